"""Slots written by hand, of games whose outcomes are known, for the model of the game."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from probes import Probe, State

from counterplay.models.windows import Window, window_of
from counterplay.models.world import World, world_of
from counterplay.models.world_loss import Weights, world_loss

SIZES: dict[str, Any] = {"hidden": 16, "width": 32, "token": 8, "bins": 9, "reach": 1.0}
ROWS = 32


@dataclass(frozen=True)
class Written(Probe):
    """Sizes of a game that is never played: only its slots are read."""

    num_seats: int = 2
    num_actions: int = 2
    num_goals: int = 1
    obs_shape: tuple[int] = (1,)
    obs_dtype: Any = field(default_factory=lambda: np.dtype(np.float32))
    public_legal: bool = True
    public_events: bool = True

    def encode(self, obs: Array) -> Float[Array, " F"]:
        return obs.astype(jnp.float32)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        raise NotImplementedError

    def shows(self, state: State) -> dict[str, Any]:
        raise NotImplementedError


def slots_of(env: Written, length: int, **given: Any) -> dict[str, np.ndarray]:
    """Slots [W, ...] in which everybody plays on and nothing happens, but for what is given."""
    n, a = env.num_seats, env.num_actions
    flags, numbers = np.zeros(length, bool), np.zeros((length, n), np.int32)
    usual = {
        "obs": np.zeros((length, n, *env.obs_shape), env.obs_dtype),
        "actions": numbers,
        "avail_actions": np.ones((length, n, a), bool),
        "reward": numbers.astype(np.float32),
        "event": numbers - 1,
        "alive": np.ones((length, n), bool),
        "closing": flags,
        "continues": np.ones((length, n), bool),
        "contact": flags,
        "filled": ~flags,
        "time": np.arange(length, dtype=np.int32),
    }
    return usual | {k: np.asarray(v, usual[k].dtype) for k, v in given.items() if k in usual}


def window(env: Written, seat: int, length: int, **given: Any) -> Window:
    slots = slots_of(env, length, **given)
    if "visible" in given:
        slots["visible"] = np.asarray(given["visible"], bool)
    return window_of(env, jax.tree.map(jnp.asarray, slots), seat)


def learnt(env: Written, play: Any, updates: int, **sizes: Any) -> World:
    """A model after so many steps of Adam; ``play(key)`` makes a window."""
    world = world_of(env, jr.key(0), **SIZES | sizes)
    adam = optax.adam(1e-2)

    def loss(world, windows, key):
        one = lambda w, k: world_loss(env, world, w, None, k, Weights(steps=2, every=1))
        sums, counts = jax.vmap(one)(windows, jr.split(key, ROWS))
        means = jax.tree.map(lambda s, n: s.sum() / jnp.maximum(n.sum(), 1), sums, counts)
        return sum(means.values())

    def update(carry, key):
        world, state = carry
        play_key, learn_key = jr.split(key)
        windows = jax.vmap(play)(jr.split(play_key, ROWS))
        step, state = adam.update(jax.grad(loss)(world, windows, learn_key), state)
        return (optax.apply_updates(world, step), state), None

    start = world, adam.init(world)  # type: ignore[arg-type]
    keys = jr.split(jr.key(1), updates)
    return jax.jit(lambda s: jax.lax.scan(update, s, keys)[0][0])(start)
