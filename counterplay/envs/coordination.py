"""Coordination: three stags, and one falls only to all players in the same step.

A pure coordination game (Schelling, 1960, ch. 3) in which to choose is to commit, on the map of
``corridors.py``. Players see the whole board and may share cells. A stag pays 10 shared equally
among all players, who leave with it. Who hunts without success loses 1 and leaves, after which no
stag can fall any more. The episode ends at ``horizon``, eleven slots and the slack, or when no
player or no stag is left; reaching the horizon is an end of the game (terminated), not an
interruption.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board, corridors
from counterplay.envs.board import GONE
from counterplay.envs.corridors import SIZE, STEPS, State
from counterplay.types import NO_EVENT, Picture, TimeStep

HUNT = 5
REWARD, COST = 10.0, 1.0

PRESETS: dict[str, dict[str, int]] = {
    "slack0": {},
    "slack2": {"slack": 2},
    "slack4": {"slack": 4},
    "narrow": {"narrow": True},
}


@dataclass(frozen=True)
class Coordination:
    """Settings of a coordination game. Presets: slack0, slack2, slack4, narrow."""

    players: int = 2
    """Players, all of whom a stag needs."""
    slack: int = 0
    """Slots beyond the eleven that the way to a stag and its hunt take, 0 to 243."""

    narrow: bool = False
    """Only moves are legal after which something can still be reached: no search for the corridors.
    """

    num_actions = 6
    num_goals = 3
    obs_dtype = np.dtype(np.uint8)
    public_legal = True
    public_events = True

    def __post_init__(self):
        corridors.check("coordination", self.players, self.slack, STEPS + 1)
        corridors.check_narrow("coordination", self.narrow, self.slack)

    @property
    def num_seats(self) -> int:
        return self.players

    @property
    def horizon(self) -> int:
        return STEPS + 1 + self.slack

    @property
    def obs_shape(self) -> tuple[int]:
        return (self.players + 4,)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        """The key is not used: there is one start."""
        state, quiet = corridors.start(self.players), jnp.zeros(self.players)
        return state, self._show(state, quiet, jnp.full(self.players, NO_EVENT))

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing; a hunt is not a move."""
        on = corridors.on_target(state.players, state.targets)
        hunts = on & (actions == HUNT)[:, None]
        falls = hunts.sum(0) == self.players
        caught = hunts & falls[None]
        hunters = hunts.any(1)
        steps = corridors.legal_steps(state.players)
        moved = board.walk(state.players, actions, steps, SIZE)
        after = State(
            players=jnp.where(hunters, GONE, moved),
            targets=jnp.where(falls, GONE, state.targets),
            time=state.time + 1,
        )
        failed = jnp.where(hunters, -COST, 0.0)
        reward = jnp.where(caught.any(1), REWARD / self.players, failed)
        return after, self._show(after, reward, corridors.completed(caught))

    def worthwhile(self, state: State) -> Bool[Array, "N 6"]:
        """Hunting where it is legal, and the legal moves after which it still can be; all legal
        moves where there is no such move.
        """
        walks = corridors.worthwhile(state, self.horizon - 1 - state.time)
        hunts = corridors.on_target(state.players, state.targets).any(1)
        return jnp.concatenate([walks, hunts[:, None]], axis=1)

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        return corridors.encode(obs, self.horizon)

    def render(self, state: State) -> Picture:
        from counterplay.envs.board_pictures import coordination_picture

        return coordination_picture(self, state)

    def _show(self, state: State, reward: Float[Array, " N"], event: Int[Array, " N"]) -> TimeStep:
        hunt = corridors.on_target(state.players, state.targets).any(1)
        rest = jnp.stack([state.players != GONE, hunt], axis=1)
        worth = self.worthwhile(state) if self.narrow else None
        return corridors.show(state, rest, reward, event, self.horizon, worth)
