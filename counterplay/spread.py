"""One training program over all cores: seeds go to cores where they can, else lanes do.

Inside the program every leaf of a training state has two leading axes, [seeds, shards]. With as
many seeds as devices, or a multiple, each device trains its own seeds and shards is 1. Otherwise
the lanes of every seed are dealt to all devices: those that only play never wait for each other,
and GPUs that learn sum their gradients. Cores that learn do not: waiting for each other at every
sum takes longer than it saves, so one device trains every seed, with the threads of all cores.
Importing this changes no setting; the number of devices is the caller's choice.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

CORES = "cores"


class Spread(NamedTuple):
    """How a population of seeds is laid over the devices."""

    mesh: Mesh
    spec: PartitionSpec
    """Of every leaf [seeds, shards, ...]."""
    shards: int
    """Parts into which the lanes of one seed are dealt."""
    axis: str | None
    """Name of the axis to sum over, None where a seed stays on one device."""


def spread_over(seeds: int, learning: bool = False) -> Spread:
    """Lays seeds over the devices of the default backend; who is ``learning`` would have to sum."""
    devices = jax.devices()
    if seeds % len(devices) and learning and jax.default_backend() == "cpu":
        devices = devices[:1]
    mesh = jax.make_mesh((len(devices),), (CORES,), (AxisType.Auto,), devices=devices)
    if seeds % len(devices) == 0:
        return Spread(mesh, PartitionSpec(CORES), 1, None)
    return Spread(mesh, PartitionSpec(None, CORES), len(devices), CORES)


def _every_seed(body: Callable, *args: Any) -> Any:
    """Maps over the seeds of one device: one after another on a CPU, side by side on a GPU."""
    seeds = jax.tree.leaves(args)[0].shape[0]
    if seeds == 1:
        one = body(*jax.tree.map(lambda x: x[0], args))
        return jax.tree.map(lambda x: x[None], one)
    if jax.default_backend() == "gpu":
        return jax.vmap(body)(*args)
    return jax.lax.map(lambda packed: body(*packed), args)


def start(spread: Spread, init: Callable[[jax.Array], Any], seeds: jax.Array) -> Any:
    """``init(seed)`` for every seed and shard -> leaves [seeds, shards, ...]."""

    def local(seeds):
        states = _every_seed(init, seeds)
        return jax.tree.map(lambda x: x[:, None], states)

    seeds_spec = PartitionSpec(CORES) if spread.axis is None else PartitionSpec()
    mapped = jax.shard_map(
        local, mesh=spread.mesh, in_specs=seeds_spec, out_specs=spread.spec, check_vma=False
    )
    return jax.jit(mapped)(seeds)


def over_cores(spread: Spread, body: Callable[..., Any]) -> Callable[..., Any]:
    """Jits ``body(state, *shared) -> (state, metrics)`` for all seeds and shards.

    The state is donated. What is shared goes to every seed as it is.
    """

    def local(state, *shared):
        one = jax.tree.map(lambda x: x[:, 0], state)
        out = _every_seed(lambda s: body(s, *shared), one)
        return jax.tree.map(lambda x: x[:, None], out)

    def mapped(state, *shared):
        specs = (spread.spec, *(PartitionSpec() for _ in shared))
        return jax.shard_map(
            local, mesh=spread.mesh, in_specs=specs, out_specs=spread.spec, check_vma=False
        )(state, *shared)

    options = in_turn() if spread.mesh.size > 1 else {}
    return jax.jit(mapped, donate_argnums=0, compiler_options=options)


def shard_key(key: PRNGKeyArray, axis: str | None) -> PRNGKeyArray:
    """A key of this shard's own, where a seed is dealt to several."""
    return key if axis is None else jax.random.fold_in(key, jax.lax.axis_index(axis))


@lru_cache(maxsize=1)
def in_turn() -> dict[str, str]:
    """Options that make XLA run the parts of a program in turn on a CPU.

    Left to itself it deals them to threads. Waking one takes longer than a small program runs; and
    where devices wait for one another to sum, parts that wait for a thread may keep them waiting.
    """
    options = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:  # an option of XLA's own, which may come and go
        return {}
    return options


def placed(spread: Spread, tree: Any) -> Any:
    """Arrays [seeds, shards, ...] laid over the devices as a training state is."""
    lay = lambda x: NamedSharding(spread.mesh, spread.spec if x.size else PartitionSpec())
    return jax.tree.map(lambda x: jax.device_put(x, lay(x)), tree)  # programs return the empty so


@jax.jit  # one program: to slice sixty small arrays one by one takes longer than many an iteration
def first_shard(tree: Any) -> Any:
    """[seeds, shards, ...] -> [seeds, ...], for leaves that are equal on all shards."""
    return jax.tree.map(lambda x: x[:, 0], tree)


def seed_numbers(seed: int, seeds: int) -> jax.Array:
    """The seeds of a population: seed, seed + 1, and so on."""
    return jnp.asarray(np.arange(seed, seed + seeds, dtype=np.int32))  # compiles nothing
