"""Pursuit under limited sight: one guards four exits, the other has chosen one of them.

The pursuer starts at the centre, the evader in a corner drawn uniformly. Both take one step at a
time; sharing a cell or swapping cells is capture, and is looked at before the exits are. The
pursuer sees ``view`` cells around it in rows and in columns, and the game keeps for it where it
last saw the evader and how long ago that was; the evader sees everything. Reaching ``horizon`` is
an end of the game (terminated) that pays nobody. Ours, after the games of Isaacs (1965).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board
from counterplay.envs.board import UNSEEN
from counterplay.types import NO_EVENT, Picture, TimeStep

UP, DOWN, LEFT, RIGHT, STAY = range(5)
NORTH, EAST, SOUTH, WEST = range(4)
PURSUER, EVADER = range(2)

PRESETS: dict[str, dict[str, int]] = {"11x11": {}}


class State(NamedTuple):
    """Cells count row by row from the upper left."""

    players: Int[Array, " N"]
    """The pursuer's cell and the evader's."""
    seen: Int[Array, ""]
    """Where the pursuer last saw the evader; UNSEEN before it has."""
    age: Int[Array, ""]
    """Slots since then; UNSEEN before."""
    time: Int[Array, ""]


@dataclass(frozen=True)
class Pursuit:
    """Settings of a pursuit. Preset: 11x11."""

    size: int = 11
    """Rows and columns, odd, 5 to 15."""
    horizon: int = 30
    """Slots after which the game ends, 1 to 254."""
    view: int = 2
    """Rows and columns around it that the pursuer sees; 0 sees the whole board."""

    num_seats = 2
    num_actions = 5
    num_goals = 4
    obs_shape = (6,)
    obs_dtype = np.dtype(np.uint8)
    public_legal = False
    public_events = True

    def __post_init__(self):
        board.check_sizes("pursuit", self.size, self.horizon)
        if self.size % 2 == 0 or self.size < 5:
            raise ValueError(
                f"pursuit: size must be odd and at least 5, found {self.size}: the pursuer starts "
                "in the middle of the board, and the exits are in the middle of its sides"
            )
        if self.view < 0:
            raise ValueError(f"pursuit: view must be at least 0, found {self.view}")

    @property
    def cells(self) -> int:
        return self.size * self.size

    @property
    def centre(self) -> int:
        return self.cells // 2

    @property
    def exits(self) -> tuple[int, ...]:
        """Cells in the middle of the upper, right, lower and left side."""
        half, n = self.size // 2, self.size
        return (half, half * n + n - 1, (n - 1) * n + half, half * n)

    @property
    def corners(self) -> tuple[int, ...]:
        return (0, self.size - 1, self.cells - self.size, self.cells - 1)

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        corner = jr.choice(key, jnp.array(self.corners, jnp.int32))
        players = jnp.stack([jnp.full_like(corner, self.centre), corner])
        unseen = jnp.int32(UNSEEN)
        state = self._watch(State(players, unseen, unseen, jnp.int32(0)))
        nobody = jnp.full(2, NO_EVENT, jnp.int32)
        everything = jnp.ones((2, 2), bool)
        return state, self._show(state, jnp.zeros(2), nobody, jnp.array(False), everything)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing."""
        old = state.players
        new = board.walk(old, actions, board.steps_inside(old, self.size), self.size)
        swapped = (new == old[::-1]).all()
        caught = swapped | (new[PURSUER] == new[EVADER])
        on_exit = new[EVADER] == jnp.array(self.exits)
        escaped = on_exit.any() & ~caught
        event = jnp.stack([
            jnp.where(caught, self._nearest_exit(new[PURSUER]), NO_EVENT),
            jnp.where(escaped, jnp.argmax(on_exit), NO_EVENT),
        ])  # fmt: skip
        gain = caught.astype(jnp.float32) - escaped.astype(jnp.float32)
        aged = jnp.where(state.age == UNSEEN, UNSEEN, state.age + 1)
        after = self._watch(State(new, state.seen, aged, state.time + 1))
        visible = jnp.array([[True, False], [True, True]])
        visible |= self.sees(old[PURSUER], old[EVADER])
        reward = jnp.stack([gain, -gain])
        shown = self._show(after, reward, event.astype(jnp.int32), caught | escaped, visible)
        return after, shown

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        """Planes: me, the other, where it was last seen, [3, size, size] flat; then how long ago
        (1 before it has been seen) and the time, both / horizon, and whether I am the evader.
        """
        plane = np.arange(3) * self.cells
        feature = np.arange(3 * self.cells)
        seen = jnp.where(obs[:3] == UNSEEN, -1, obs[:3].astype(jnp.int32) + plane)
        here = (seen[:, None] == feature[None]).any(0).astype(jnp.float32)
        age, role, time = obs[3], obs[4], obs[5]
        clock = jnp.stack([jnp.minimum(age, self.horizon), time]).astype(jnp.float32)
        last = role.astype(jnp.float32)[None]
        return jnp.concatenate([here, clock / self.horizon, last])

    def render(self, state: State) -> Picture:
        from counterplay.envs.hidden_pictures import pursuit_picture

        return pursuit_picture(self, state)

    def sees(self, eye: Int[Array, "*b"], cell: Int[Array, "*b"]) -> Bool[Array, "*b"]:
        """Whether a pursuer on ``eye`` sees a cell: the larger of both distances counts."""
        if not self.view:
            return jnp.ones_like(eye, bool)
        rows = abs(eye // self.size - cell // self.size)
        cols = abs(eye % self.size - cell % self.size)
        return jnp.maximum(rows, cols) <= self.view

    def _nearest_exit(self, cell: Int[Array, ""]) -> Int[Array, ""]:
        """Of those equally near the first."""
        rows, cols = np.divmod(np.array(self.exits), self.size)
        return jnp.argmin(abs(cell // self.size - rows) + abs(cell % self.size - cols))

    def _watch(self, state: State) -> State:
        """The map memory, brought up to what the pursuer sees now."""
        sees = self.sees(state.players[PURSUER], state.players[EVADER])
        return state._replace(
            seen=jnp.where(sees, state.players[EVADER], state.seen),
            age=jnp.where(sees, 0, state.age),
        )

    def _show(
        self,
        state: State,
        reward: Float[Array, " N"],
        event: Int[Array, " N"],
        over: Bool[Array, ""],
        visible: Bool[Array, "N N"],
    ) -> TimeStep:
        pursuer, evader = state.players
        in_sight = jnp.where(self.sees(pursuer, evader), evader, UNSEEN)
        known = [state.seen, state.age]
        mine = jnp.stack([pursuer, in_sight, *known, jnp.full_like(evader, PURSUER), state.time])
        theirs = jnp.stack([evader, pursuer, *known, jnp.full_like(evader, EVADER), state.time])
        steps = board.steps_inside(state.players, self.size)
        return TimeStep(
            obs=jnp.stack([mine, theirs]).astype(jnp.uint8),
            legal=jnp.concatenate([steps, jnp.ones((2, 1), bool)], axis=1),
            alive=jnp.ones(2, bool),
            reward=reward,
            event=event,
            visible=visible,
            terminated=over | (state.time >= self.horizon),
            truncated=jnp.zeros((), bool),
        )
