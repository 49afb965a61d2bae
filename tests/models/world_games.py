"""Slots written by hand, of games whose outcomes are known, for the model of the game."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from probes import Probe, State

from counterplay.models.windows import Window, window_of


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
