"""Repeated matrix games: two players choose at once, are paid, and see what both did.

Pay-offs are from each player's own side: row is my action, column the other's. The social games
count cooperate as action 0 and defect as 1; matching pennies heads 0, tails 1; rock 0, paper 1,
scissors 2. The last round is an end of the game (terminated), not an interruption.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

from counterplay.types import NO_EVENT, NO_MOVE, Picture, TimeStep

COOPERATE, DEFECT = range(2)
LONGEST_IN_A_BYTE = 254
LONGEST = 65_534
"""Rounds of the longest game: rounds are shown in 16 bits."""

Table = tuple[tuple[float, ...], ...]

PRISONERS_DILEMMA: Table = ((3.0, 0.0), (5.0, 1.0))

PRESETS: dict[str, dict[str, Any]] = {
    "pd": {"payoffs": PRISONERS_DILEMMA},
    "chicken": {"payoffs": ((3.0, 1.0), (4.0, 0.0))},
    "stag": {"payoffs": ((4.0, 0.0), (3.0, 2.0))},
    "pennies": {
        "payoffs": ((1.0, -1.0), (-1.0, 1.0)),
        "other_payoffs": ((-1.0, 1.0), (1.0, -1.0)),
    },
    "rps": {"payoffs": ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))},
}


class State(NamedTuple):
    """The last joint move (NO_MOVE before the first), what each seat has earned, and the round."""

    moves: Int[Array, " N"]
    totals: Float[Array, " N"]
    time: Int[Array, ""]


@dataclass(frozen=True)
class Matrix:
    """Settings of a matrix game. Presets: pd, chicken, stag, pennies, rps."""

    payoffs: Table = PRISONERS_DILEMMA
    """What seat 0 is paid; row its own action, column the other's."""
    other_payoffs: Table | None = None
    """What seat 1 is paid, row its own action; without it the game is symmetric."""
    horizon: int = 100
    """Rounds, 1 to 65534; with more than 254 observations take two bytes an entry, not one."""

    num_seats = 2
    num_goals = 0
    obs_shape = (3,)
    public_legal = True
    public_events = True

    def __post_init__(self):
        if not 1 <= self.horizon <= LONGEST:
            raise ValueError(f"matrix: horizon must be 1 to {LONGEST}, found {self.horizon}")
        for table in (self.payoffs, self.other_payoffs or self.payoffs):
            if {len(table)} != {self.num_actions, *map(len, table)} or self.num_actions < 2:
                raise ValueError(
                    "matrix: pay-offs must be square, the same size for both seats, with two "
                    f"actions or more, found {table}"
                )

    @property
    def num_actions(self) -> int:
        return len(self.payoffs)

    @property
    def obs_dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.horizon <= LONGEST_IN_A_BYTE else np.uint16)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        """Every game starts alike: the key is not used."""
        nobody = jnp.full(2, NO_MOVE, jnp.int32)
        state = State(moves=nobody, totals=jnp.zeros(2), time=jnp.int32(0))
        return state, self._show(state, jnp.zeros(2))

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        chosen = actions[:, None] == jnp.arange(self.num_actions)[None]
        tables = jnp.array([self.payoffs, self.other_payoffs or self.payoffs], jnp.float32)
        played = chosen[:, :, None] & chosen[::-1, None, :]
        reward = jnp.where(played, tables, 0.0).sum((1, 2))
        after = State(actions.astype(jnp.int32), state.totals + reward, state.time + 1)
        return after, self._show(after, reward)

    def encode(self, obs: UInt[Array, " D"]) -> Float[Array, " F"]:
        """My last move and the other's, a one-hot each whose first place means none yet; time."""
        moves = (obs[:2, None] == jnp.arange(self.num_actions + 1, dtype=obs.dtype)[None]).ravel()
        time = obs[2:].astype(jnp.float32) / self.horizon
        return jnp.concatenate([moves.astype(jnp.float32), time])

    def render(self, state: State) -> Picture:
        from counterplay.envs.pictures import matrix_picture

        return matrix_picture(self, state)

    def _show(self, state: State, reward: Float[Array, " N"]) -> TimeStep:
        time = jnp.broadcast_to(state.time, (2,))
        shown = jnp.stack([state.moves + 1, state.moves[::-1] + 1, time], axis=1)
        return TimeStep(
            obs=shown.astype(self.obs_dtype),
            legal=jnp.ones((2, self.num_actions), bool),
            alive=jnp.ones(2, bool),
            reward=reward,
            event=jnp.full(2, NO_EVENT, jnp.int32),
            visible=jnp.ones((2, 2), bool),
            terminated=state.time >= self.horizon,
            truncated=jnp.zeros((), bool),
        )
