"""Environment steps a second on one core: random legal moves, masks and observations made."""

import json
import os
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from counterplay import envs
from counterplay.console import read, table


@dataclass(frozen=True)
class Pace:
    """How the speed of a game is measured."""

    lanes: int = 1024
    """Games side by side."""
    slots: int = 16
    """Steps in one program, as in a rollout; much longer ones time the kernel's fresh pages."""
    rounds: int = 101
    """Programs timed; the median counts."""
    seed: int = 0
    """Seed of start states and moves."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        if min(self.lanes, self.slots, self.rounds) < 1:
            sizes = f"{self.lanes}, {self.slots}, {self.rounds}"
            raise ValueError(f"lanes, slots and rounds must be at least 1, found {sizes}")


@dataclass(frozen=True)
class Step(Pace):
    """Measure how fast a game steps, compact observations and float32 planes written to memory."""

    env: str = "stag_hunt:4x4"
    """The game."""


def take_one_core() -> None:
    """Keeps this process on one core with one thread; call before JAX is imported."""
    keep_to(here()[:1])
    os.environ.setdefault("NPROC", "1")


def here() -> list[int]:
    """The cores this process may use, none where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def keep_to(cores: list[int]) -> None:
    """This process and those it starts run on these cores from now on, where a system can do it."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def main(args: list[str]) -> int:
    """``counterplay bench step``"""
    chosen = read(Step, args, "bench step")
    take_one_core()
    row = {"env": chosen.env, "lanes": chosen.lanes, "seed": chosen.seed}
    for name in ("compact", "planes"):
        row[name] = round(measure(chosen, planes=name == "planes"))
    if chosen.json:
        print(json.dumps(row))
    else:
        title = f"{chosen.env}, {chosen.lanes} lanes, one core, random legal moves"
        rows = [(name, f"{row[name] / 1e6:.2f} M") for name in ("compact", "planes")]
        table(title, ("observations", "env-steps/s"), rows)
    return 0


def measure(chosen: Step, planes: bool) -> float:
    """Median env-steps a second."""
    import jax
    import jax.random as jr

    env = envs.make(chosen.env)
    starts = jax.jit(jax.vmap(env.reset))(jr.split(jr.key(chosen.seed), chosen.lanes))
    run = jax.jit(lambda carry, seed: _play(env, chosen, planes, starts, carry, seed))
    carry, _ = run(starts, chosen.seed)
    seconds = []
    for i in range(chosen.rounds):
        began = time.perf_counter()
        carry, seen = run(carry, chosen.seed + i)
        jax.block_until_ready(seen)
        seconds.append(time.perf_counter() - began)
    return chosen.lanes * chosen.slots / median(seconds)


def _play(env: Any, chosen: Step, planes: bool, starts: Any, carry: Any, seed: Any) -> Any:
    import jax
    import jax.numpy as jnp

    from counterplay.maths import counter_hash
    from counterplay.types import NO_MOVE
    from counterplay.views import select

    place = jnp.arange(chosen.lanes * env.num_seats, dtype=jnp.uint32)
    place = place.reshape(chosen.lanes, env.num_seats) * jnp.uint32(2654435761)

    def slot(carry, t):
        state, shown = carry
        draw = counter_hash(place + counter_hash(jnp.uint32(seed * chosen.slots) + t))
        action = jnp.where(shown.alive, legal_move(shown.legal, draw), NO_MOVE)
        # barriers keep XLA from computing the whole step once for every array it feeds
        stepped = jax.vmap(env.step)(state, jax.lax.optimization_barrier(action))
        state, after = jax.lax.optimization_barrier(stepped)
        state, shown = select(after.terminated | after.truncated, starts, (state, after))
        obs = jax.vmap(jax.vmap(env.encode))(shown.obs) if planes else shown.obs
        return (state, shown), (obs, shown.legal, after.reward, after.terminated)

    return jax.lax.scan(slot, carry, jnp.arange(chosen.slots, dtype=jnp.uint32))


def legal_move(legal: Any, draw: Any) -> Any:
    """A uniform legal move from 32 random bits."""
    import jax.numpy as jnp

    count = jnp.maximum(legal.sum(-1, dtype=jnp.uint32), 1)
    nth = (draw % count).astype(jnp.int32)
    return (jnp.cumsum(legal, axis=-1) <= nth[..., None]).sum(-1)
