"""Snowdrift on a grid: whoever clears a drift pays for it, and everybody profits.

Sugden (1986) and Hauert & Doebeli (2004) describe the game of one drift and two drivers, Huang et
al. (2024) one of several on a board; sizes, pay-offs and ends are stated here. Players see the
whole board and may share cells. Drifts do not move and nobody leaves. The episode ends when no
drift is left, or at ``horizon``; reaching that is an end of the game (terminated), not an
interruption.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board
from counterplay.envs.board import GONE, UNSEEN
from counterplay.types import NO_EVENT, Picture, TimeStep

UP, DOWN, LEFT, RIGHT, STAY, CLEAR = range(6)
CLEARED = 0
REWARD, COST = 6.0, 4.0

PRESETS: dict[str, dict[str, int]] = {
    "8x8": {},
    "4x4": {"size": 4, "drifts": 3, "horizon": 15},
}


class State(NamedTuple):
    """Cells count row by row from the upper left; GONE marks drifts that have been cleared."""

    players: Int[Array, " N"]
    drifts: Int[Array, " D"]
    time: Int[Array, ""]


@dataclass(frozen=True)
class Snowdrift:
    """Settings of a snowdrift game. Presets: 8x8, 4x4."""

    players: int = 4
    """Players."""
    drifts: int = 6
    """Snowdrifts, each worth 6 to everybody and 4 in all to those who clear it."""
    size: int = 8
    """Rows and columns, 2 to 15."""
    horizon: int = 50
    """Slots after which the game ends, 1 to 254."""

    num_actions = 6
    num_goals = 1
    obs_dtype = np.dtype(np.uint8)
    public_legal = True
    public_events = True

    def __post_init__(self):
        board.check_sizes("snowdrift", self.size, self.horizon)
        if self.players < 2:
            raise ValueError(f"snowdrift: players must be at least 2, found {self.players}")
        if not 1 <= self.drifts <= self.cells:
            raise ValueError(
                f"snowdrift: drifts must be 1 to {self.cells}, a cell each on a "
                f"{self.size}x{self.size} board, found {self.drifts}"
            )

    @property
    def num_seats(self) -> int:
        return self.players

    @property
    def cells(self) -> int:
        return self.size * self.size

    @property
    def obs_shape(self) -> tuple[int]:
        return (self.players + self.drifts + 1,)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        drift_key, player_key = jr.split(key)
        order = jnp.argsort(jr.uniform(drift_key, (self.cells,)))
        state = State(
            players=jr.randint(player_key, (self.players,), 0, self.cells),
            drifts=jnp.sort(order[: self.drifts]),
            time=jnp.int32(0),
        )
        quiet = jnp.zeros(self.players)
        return state, self._show(state, quiet, jnp.full(self.players, NO_EVENT))

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing."""
        clears = (actions == CLEAR)[:, None] & self._on(state)
        clearers = clears.sum(0)
        cleared = clearers > 0
        share = COST / jnp.maximum(clearers, 1)
        reward = REWARD * cleared.sum() - jnp.where(clears, share[None], 0.0).sum(1)
        steps = board.steps_inside(state.players, self.size)
        after = State(
            players=board.walk(state.players, actions, steps, self.size),
            drifts=jnp.where(cleared, GONE, state.drifts),
            time=state.time + 1,
        )
        return after, self._show(after, reward, jnp.where(clears.any(1), CLEARED, NO_EVENT))

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        """Planes: me, each other, drifts, [N + 1, size, size] flat; then time."""
        return board.encode(obs, (1,) * self.players + (self.drifts,), self.size, self.horizon)

    def around(self, features: Float[Array, " F"]) -> Float[Array, "N R"]:
        """What lies around each player, me first, of an encoded observation; see ``board``."""
        return board.around(features[:-1].reshape(-1, self.cells), self.players, self.size)

    def render(self, state: State) -> Picture:
        from counterplay.envs.board_pictures import snowdrift_picture

        return snowdrift_picture(self, state)

    def _on(self, state: State) -> Bool[Array, "N D"]:
        """Who stands on which drift."""
        return state.players[:, None] == state.drifts[None]

    def _show(self, state: State, reward: Float[Array, " N"], event: Int[Array, " N"]) -> TimeStep:
        everyone = jnp.ones(self.players, bool)
        steps = board.steps_inside(state.players, self.size)
        rest = jnp.stack([everyone, self._on(state).any(1)], axis=1)
        cells = jnp.concatenate([state.players, state.drifts])
        shown = jnp.where(cells == GONE, UNSEEN, cells)
        return TimeStep(
            obs=board.observe(jnp.tile(shown, (self.players, 1)), state.time),
            legal=jnp.concatenate([steps, rest], axis=1),
            alive=everyone,
            reward=reward,
            event=event,
            visible=jnp.ones((self.players, self.players), bool),
            terminated=(state.time >= self.horizon) | (state.drifts == GONE).all(),
            truncated=jnp.zeros((), bool),
        )
