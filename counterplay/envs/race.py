"""Race: players start together, and whoever is first and alone on a target takes it.

Ours: a congestion game (Rosenthal, 1973) in which to choose is to commit, on the map of
``corridors.py``. Players see the whole board and may share cells. A target taken pays 1, and its
taker leaves with it; when several arrive in the same step nobody gets it, it is gone, and they play
on. The episode ends at ``horizon``, ten slots and the slack, or when no player or no target is
left; reaching the horizon is an end of the game (terminated), not an interruption.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board, corridors
from counterplay.envs.board import GONE
from counterplay.envs.corridors import SIZE, STEPS, State
from counterplay.types import NO_EVENT, Picture, TimeStep

REWARD = 1.0

PRESETS: dict[str, dict[str, int]] = {
    "slack0": {},
    "slack2": {"slack": 2},
    "slack4": {"slack": 4},
    "narrow": {"narrow": True},
}


@dataclass(frozen=True)
class Race:
    """Settings of a race. Presets: slack0, slack2, slack4, narrow."""

    players: int = 3
    """Players."""
    slack: int = 0
    """Slots beyond the ten that the way to a target takes, 0 to 244."""

    narrow: bool = False
    """Only moves are legal after which something can still be reached: no search for the corridors.
    """

    num_actions = 5
    num_goals = 3
    obs_dtype = np.dtype(np.uint8)
    public_legal = True
    public_events = True

    def __post_init__(self):
        corridors.check("race", self.players, self.slack, STEPS)
        corridors.check_narrow("race", self.narrow, self.slack)

    @property
    def num_seats(self) -> int:
        return self.players

    @property
    def horizon(self) -> int:
        return STEPS + self.slack

    @property
    def obs_shape(self) -> tuple[int]:
        return (self.players + 4,)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        """The key is not used: there is one start."""
        state, quiet = corridors.start(self.players), jnp.zeros(self.players)
        return state, self._show(state, quiet, jnp.full(self.players, NO_EVENT))

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing."""
        steps = corridors.legal_steps(state.players)
        moved = board.walk(state.players, actions, steps, SIZE)
        arrived = corridors.on_target(moved, state.targets)
        arrivals = arrived.sum(0)
        takes = arrived & (arrivals == 1)[None]
        takers = takes.any(1)
        after = State(
            players=jnp.where(takers, GONE, moved),
            targets=jnp.where(arrivals > 0, GONE, state.targets),
            time=state.time + 1,
        )
        reward = jnp.where(takers, REWARD, 0.0)
        return after, self._show(after, reward, corridors.completed(takes))

    def worthwhile(self, state: State) -> Bool[Array, "N 5"]:
        """The legal moves after which something can still be reached; all of them where none is."""
        return corridors.worthwhile(state, self.horizon - state.time)

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        return corridors.encode(obs, self.horizon)

    def render(self, state: State) -> Picture:
        from counterplay.envs.board_pictures import race_picture

        return race_picture(self, state)

    def _show(self, state: State, reward: Float[Array, " N"], event: Int[Array, " N"]) -> TimeStep:
        stay = (state.players != GONE)[:, None]
        worth = self.worthwhile(state) if self.narrow else None
        return corridors.show(state, stay, reward, event, self.horizon, worth)
