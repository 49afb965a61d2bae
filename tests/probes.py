"""Tiny games whose right answers are known, each so simple that a failure names its cause.

They are ordinary games: nothing in the library knows them. A game says what a slot earns and what
is seen; unless it says otherwise everybody is present, may do anything and sees every move.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.types import NO_EVENT, Picture, TimeStep


class State(NamedTuple):
    """Slots played so far, and a number drawn uniformly from 0 to 1 at reset."""

    time: Int[Array, ""]
    lot: Float[Array, ""]


class Probe(ABC):
    """What the games here share."""

    num_seats: int = 1
    num_actions: int = 2
    num_goals: int = 0
    horizon: int = 8
    obs_shape: tuple[int] = (1,)
    obs_dtype = np.dtype(np.float32)
    public_legal: bool = True
    public_events: bool = True

    @abstractmethod
    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        """What the moves of this slot earn."""

    @abstractmethod
    def shows(self, state: State) -> dict[str, Any]:
        """``obs`` [N, D], how the game has ended, and whatever is unusual."""

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        state = State(jnp.int32(0), jr.uniform(key))
        return state, self._show(state, jnp.zeros(self.num_seats))

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        after = state._replace(time=state.time + 1)
        return after, self._show(after, self.earns(state, actions))

    def encode(self, obs: Float[Array, " D"]) -> Float[Array, " F"]:
        return obs

    def render(self, state: State) -> Picture:
        raise NotImplementedError("a probe has no picture")

    def _show(self, state: State, reward: Float[Array, " N"]) -> TimeStep:
        n = self.num_seats
        usual = {
            "legal": jnp.ones((n, self.num_actions), bool),
            "alive": jnp.ones(n, bool),
            "reward": reward,
            "event": jnp.full(n, NO_EVENT, jnp.int32),
            "visible": jnp.ones((n, n), bool),
            "terminated": jnp.array(False),
            "truncated": jnp.array(False),
        }
        return TimeStep(**usual | self.shows(state))


def one_hot(index: Any, size: int) -> Float[Array, " size"]:
    return (jnp.arange(size) == index).astype(jnp.float32)


@dataclass(frozen=True)
class Clock(Probe):
    """Slot t pays ``pays[t]``, whatever is done; after the last one the game is over."""

    pays: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def obs_shape(self) -> tuple[int]:
        return (len(self.pays) + 1,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.array(self.pays)[state.time][None]

    def shows(self, state: State) -> dict[str, Any]:
        obs = one_hot(state.time, len(self.pays) + 1)[None]
        return {"obs": obs, "terminated": state.time >= len(self.pays)}


@dataclass(frozen=True)
class Chain(Probe):
    """Two states take turns, and leaving state s pays ``pays[s]``. Time is not seen.

    After ``limit`` slots the game is interrupted, or with ``over`` at its end.
    """

    pays: tuple[float, float] = (1.0, 0.0)
    limit: int = 4
    over: bool = False

    obs_shape = (2,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.array(self.pays)[self._place(state)][None]

    def shows(self, state: State) -> dict[str, Any]:
        end = "terminated" if self.over else "truncated"
        return {"obs": one_hot(self._place(state), 2)[None], end: state.time >= self.limit}

    def _place(self, state: State) -> Int[Array, ""]:
        return (state.time + (state.lot < 0.5)) % 2


@dataclass(frozen=True)
class Departure(Probe):
    """Seat 1 earns 5 with its first move and leaves; seat 0 plays ``length`` slots for 1 each."""

    length: int = 3

    num_seats = 2

    @property
    def obs_shape(self) -> tuple[int]:
        return (self.length + 1,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.stack([jnp.float32(1), jnp.where(state.time == 0, 5.0, 0.0)])

    def shows(self, state: State) -> dict[str, Any]:
        time = one_hot(state.time, self.length + 1)
        alive = jnp.array([True, False]) | (state.time == 0)
        return {
            "obs": jnp.stack([time, time]),
            "alive": alive,
            "legal": jnp.stack([alive, alive], axis=1),
            "terminated": state.time >= self.length,
        }


@dataclass(frozen=True)
class OneLegal(Probe):
    """One action of four is legal, another in every slot. Nothing tells which, and it costs 1.

    From slot ``stuck`` on none is, although the player is present: a fault, except in a slot that
    only shows where the game was interrupted, which without ``over`` it is.
    """

    length: int = 4
    stuck: int = 8
    over: bool = True

    num_actions = 4

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.full(1, -1.0)

    def shows(self, state: State) -> dict[str, Any]:
        only = ((state.lot * 1024).astype(jnp.int32) + 3 * state.time) % 4
        legal = (jnp.arange(4) == only) & (state.time < self.stuck)
        return {
            "obs": jnp.ones((1, 1)),
            "legal": legal[None],
            "terminated" if self.over else "truncated": state.time >= self.length,
        }


@dataclass(frozen=True)
class Bandit(Probe):
    """One move: action ``best`` pays 1, every other 0."""

    best: int = 1

    num_actions = 3

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return (actions == self.best).astype(jnp.float32)

    def shows(self, state: State) -> dict[str, Any]:
        return {"obs": jnp.ones((1, 1)), "terminated": state.time >= 1}


@dataclass(frozen=True)
class Parting(Probe):
    """In the first slot action 1 of seat 0 pays it 1 and is the end; else there are three slots,
    which pay .1 each. What seat 1 does changes nothing."""

    num_seats = 2
    obs_shape = (4,)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        time = jnp.where(self._leaves(state, actions), 3, state.time + 1)
        after = state._replace(time=time.astype(jnp.int32))
        return after, self._show(after, self.earns(state, actions))

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.stack([jnp.where(self._leaves(state, actions), 1.0, 0.1), jnp.zeros(())])

    def shows(self, state: State) -> dict[str, Any]:
        obs = one_hot(state.time, 4)
        return {"obs": jnp.stack([obs, obs]), "terminated": state.time >= 3}

    def _leaves(self, state: State, actions: Int[Array, " N"]) -> Bool[Array, ""]:
        return (state.time == 0) & (actions[0] == 1)


@dataclass(frozen=True)
class Cue(Probe):
    """A cue, 0 or 1, is seen in the first slot only; repeating it in the third pays 1."""

    obs_shape = (3,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return ((state.time == 2) & (actions == self._cue(state))).astype(jnp.float32)

    def shows(self, state: State) -> dict[str, Any]:
        seen = jnp.where(state.time == 0, self._cue(state), 2)
        return {"obs": one_hot(seen, 3)[None], "terminated": state.time >= 3}

    def _cue(self, state: State) -> Int[Array, ""]:
        return (state.lot < 0.5).astype(jnp.int32)


@dataclass(frozen=True)
class Coin(Probe):
    """Half of the games last 1 slot and pay 0, the others last ``long`` slots and pay 1."""

    long: int = 8

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return (state.time == self.long - 1).astype(jnp.float32)[None]

    def shows(self, state: State) -> dict[str, Any]:
        last = jnp.where(state.lot < 0.5, 1, self.long)
        return {"obs": jnp.ones((1, 1)), "terminated": state.time >= last}


@dataclass(frozen=True)
class Leavers(Probe):
    """Every seat leaves after 1 to ``longest`` moves, drawn for each game; the last one ends it.

    Each slot pays what a wave drawn for the game and seat says, and more for action 1; action 2
    is forbidden in every other slot. Without ``over`` the game is interrupted one slot early.
    """

    num_seats: int = 3
    longest: int = 4
    over: bool = True

    num_actions = 3
    obs_shape = (4,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return jnp.where(self._alive(state), self._wave(state, 5.0) + 0.5 * (actions == 1), 0.0)

    def shows(self, state: State) -> dict[str, Any]:
        alive = self._alive(state)
        waves = [self._wave(state, pitch) for pitch in (5.0, 11.0)]
        time = jnp.full(self.num_seats, state.time / self.longest, jnp.float32)
        even = state.time % 2 == 0
        return {
            "obs": jnp.stack([jnp.ones(self.num_seats), time, *waves], axis=1),
            "alive": alive,
            "legal": alive[:, None] & ((jnp.arange(3)[None] != 2) | even),
            "terminated": ~alive.any(),
            "truncated": alive.any() & (state.time >= self.longest - 1) & (not self.over),
        }

    def _alive(self, state: State) -> Bool[Array, " N"]:
        return state.time < 1 + (self._lots(state) * self.longest).astype(jnp.int32)

    def _lots(self, state: State) -> Float[Array, " N"]:
        return (state.lot * 97 * (1 + jnp.arange(self.num_seats))) % 1.0

    def _wave(self, state: State, pitch: float) -> Float[Array, " N"]:
        return jnp.sin(pitch * self._lots(state) + state.time)


PROBES: tuple[Probe, ...] = (
    *(Clock(), Clock((1.0,)), Chain(), Chain(over=True), Departure(), OneLegal(), Bandit(), Cue()),
    Parting(),
    *(Coin(), Leavers(), Leavers(over=False)),
)
