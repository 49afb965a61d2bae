"""Level-based foraging: foods on a grid, each loaded by neighbours who are strong enough together.

Albrecht & Ramamoorthy (2013) describe the game, Christianos, Schäfer & Albrecht (2020) the one
played since; the rules are those of lbforaging 2.0, state by state, with the clock shown as well.
A food falls to all who load it in the same step if their levels add up to its own. Nobody leaves.
The episode ends when no food is left, or at ``horizon``; reaching that is an end of the game
(terminated), not an interruption.
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

UP, DOWN, LEFT, RIGHT, STAY, LOAD = range(6)
TEAM = 3
"""No food needs more than the levels of the three weakest players together."""

PRESETS: dict[str, dict[str, int]] = {
    "8x8-2p-3f": {},
    "8x8-2p-3f-coop": {"coop": True},
    "5x5-2p-1f-coop": {"size": 5, "foods": 1, "coop": True},
    "2s-8x8-2p-2f-coop": {"foods": 2, "coop": True, "view": 2},
    "10x10-3p-3f": {"size": 10, "players": 3},
}
"""Named as lbforaging names its games, Foraging-8x8-2p-3f-v3 and so on."""


class State(NamedTuple):
    """Cells count row by row from the upper left; GONE marks foods that have been loaded."""

    players: Int[Array, " N"]
    levels: Int[Array, " N"]
    foods: Int[Array, " X"]
    food_levels: Int[Array, " X"]
    """As they were at the start; 0 where a food found no room."""
    time: Int[Array, ""]


@dataclass(frozen=True)
class Foraging:
    """Settings of level-based foraging. Presets: as in lbforaging, 8x8-2p-3f and others."""

    players: int = 2
    """Players."""
    foods: int = 3
    """Foods; fewer where there is no room for so many."""
    size: int = 8
    """Rows and columns, 5 to 15."""
    coop: bool = False
    """Every food needs the three weakest players, or all where there are fewer."""
    view: int = 0
    """Rows and columns around it that each player sees; 0 sees the whole board."""
    max_level: int = 2
    """Players have levels from 1 to this one."""
    penalty: float = 0.0
    """What each who loads in vain loses."""
    horizon: int = 50
    """Slots after which the game ends, 1 to 254."""

    num_actions = 6
    obs_dtype = np.dtype(np.uint8)

    def __post_init__(self):
        board.check_sizes("foraging", self.size, self.horizon)
        inner = (self.size - 2) ** 2
        limits = {
            "size": (5, 15, "so that foods have room inside the edge"),
            "players": (2, inner - 1, "so that there is always room for a food"),
            "foods": (1, inner, "a cell each inside the edge"),
            "max_level": (1, 255 // TEAM, "as observations hold bytes"),
            "view": (0, 15, "where 0 is the whole board"),
        }
        for name, (least, most, why) in limits.items():
            if not least <= (found := getattr(self, name)) <= most:
                raise ValueError(
                    f"foraging: {name} must be {least} to {most}, {why}, found {found}"
                )
        if not 0 <= self.penalty < float("inf"):
            raise ValueError(f"foraging: penalty must be a number from 0 up, found {self.penalty}")

    @property
    def num_seats(self) -> int:
        return self.players

    @property
    def num_goals(self) -> int:
        """One for each food, numbered row by row."""
        return self.foods

    @property
    def cells(self) -> int:
        return self.size * self.size

    @property
    def window(self) -> int:
        """Rows and columns of what a player sees at most."""
        return min(2 * self.view + 1, self.size) if self.view else self.size

    @property
    def obs_shape(self) -> tuple[int]:
        return (2 * (self.players + self.foods) + 1,)

    @property
    def public_legal(self) -> bool:
        """Who sees the whole board sees what everyone may do."""
        return self.view == 0

    @property
    def public_events(self) -> bool:
        return self.view == 0

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        player_key, level_key, food_key, need_key = jr.split(key, 4)
        players = jnp.argsort(jr.uniform(player_key, (self.cells,)))[: self.players]
        levels = jr.randint(level_key, (self.players,), 1, self.max_level + 1)
        most = jnp.sort(levels)[:TEAM].sum()
        drawn = jr.randint(need_key, (self.foods,), 1, most + 1)
        foods = self._spread(food_key, players)
        needs = jnp.where(foods == GONE, 0, most if self.coop else drawn)
        order = jnp.argsort(jnp.where(foods == GONE, self.cells, foods))
        state = State(players, levels, foods[order], needs[order], jnp.int32(0))
        nothing = jnp.full(self.players, NO_EVENT)
        everything = jnp.ones((self.players, self.players), bool)
        quiet, on = jnp.zeros(self.players), jnp.array(False)
        return state, self._show(state, quiet, nothing, everything, on)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing. Nobody moves to a cell that another one stays on or moves to.

        As in lbforaging, whoever stays because a move failed counts for the cell aimed at and not
        for the one it is on: of three or more players two may come to share a cell.
        """
        # foods lie so far apart that nobody is beside two
        loads = (actions == LOAD)[:, None] & self._beside(state)
        strength = jnp.where(loads, state.levels[:, None], 0).sum(0)
        falls = loads.any(0) & (strength >= state.food_levels)
        got = loads & falls[None]
        whole = jnp.maximum(strength * state.food_levels.sum(), 1)
        share = state.levels[:, None] * state.food_levels[None] / whole[None]
        failed = (loads & ~falls[None]).any(1)
        reward = jnp.where(got, share, 0.0).sum(1) - jnp.where(failed, self.penalty, 0.0)
        event = jnp.where(got.any(1), jnp.argmax(got, axis=1), NO_EVENT)
        after = state._replace(
            players=self._move(state, actions),
            foods=jnp.where(falls, GONE, state.foods),
            time=state.time + 1,
        )
        over = (after.time >= self.horizon) | (after.foods == GONE).all()
        _, visible = self._seen_players(state.players)
        return after, self._show(after, reward, event, visible, over)

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        """Planes: me, each other, foods by level, [N + 1, window, window] flat; then the levels of
        players from me on, the levels of foods, and the time.

        All levels are parts of the highest that there may be; the time is a part of the horizon.
        """
        things = self.players + self.foods
        place = jnp.where(obs[:things] == UNSEEN, -1, obs[:things].astype(jnp.int32))
        here = place[:, None] == jnp.arange(self.window**2)[None]
        level = obs[things:-1].astype(jnp.float32)
        strong = level[: self.players] / self.max_level
        needs = level[self.players :] / (self.max_level * min(self.players, TEAM))
        foods = jnp.where(here[self.players :], needs[:, None], 0.0).sum(0)
        planes = here[: self.players].astype(jnp.float32).ravel()
        time = obs[-1:].astype(jnp.float32) / self.horizon
        return jnp.concatenate([planes, foods, strong, needs, time])

    def render(self, state: State) -> Picture:
        from counterplay.envs.foraging_pictures import foraging_picture

        return foraging_picture(self, state)

    def _spread(self, key: PRNGKeyArray, players: Int[Array, " N"]) -> Int[Array, " X"]:
        """Cells of foods, one after the other: off the edge, on no player, and neither next to
        another food, aslant too, nor two steps straight from it. GONE where none is left.
        """
        row, col = np.divmod(np.arange(self.cells), self.size)
        inner = (np.minimum(row, col) > 0) & (np.maximum(row, col) < self.size - 1)
        free = inner & ~(jnp.arange(self.cells)[:, None] == players[None]).any(1)
        foods = []
        for food_key in jr.split(key, self.foods):
            cell = jnp.argmax(jnp.where(free, jr.uniform(food_key, (self.cells,)), -1.0))
            foods.append(jnp.where(free.any(), cell, GONE))
            rows, cols = abs(row - cell // self.size), abs(col - cell % self.size)
            near = (jnp.maximum(rows, cols) <= 1) | ((rows + cols == 2) & (rows * cols == 0))
            free &= ~near
        return jnp.stack(foods)

    def _beside(self, state: State) -> Bool[Array, "N X"]:
        """Who may load which food: one that is a step away."""
        one, other = state.players[:, None], state.foods[None]
        rows = abs(one // self.size - other // self.size)
        cols = abs(one % self.size - other % self.size)
        return (rows + cols == 1) & (other != GONE)

    def _legal_steps(self, state: State) -> Bool[Array, "N 4"]:
        """Which of up, down, left, right stay on the board and off the foods."""
        target = state.players[:, None] + jnp.array([-self.size, self.size, -1, 1])[None]
        taken = (target[:, :, None] == state.foods[None, None]).any(2)
        return board.steps_inside(state.players, self.size) & ~taken

    def _move(self, state: State, actions: Int[Array, " N"]) -> Int[Array, " N"]:
        target = board.walk(state.players, actions, self._legal_steps(state), self.size)
        alone = (target[:, None] == target[None]).sum(1) == 1
        return jnp.where(alone, target, state.players)

    def _seen_players(
        self, players: Int[Array, " N"]
    ) -> tuple[Int[Array, "N N"], Bool[Array, "N N"]]:
        """Cell in the window of row i's player of column j's, and whether it lies there.

        As in lbforaging the window begins ``view`` rows above a player, or at the edge of the
        board, and for players it always has 2 ``view`` + 1 rows; the same goes for columns.
        """
        row, col, _ = self._in_window(players, players)
        seen = (jnp.minimum(row, col) >= 0) & (jnp.maximum(row, col) < self.window)
        return row * self.window + col, seen

    def _seen_foods(
        self, players: Int[Array, " N"], foods: Int[Array, " X"]
    ) -> tuple[Int[Array, "N X"], Bool[Array, "N X"]]:
        """The same of foods, which are seen up to ``view`` rows and columns away."""
        row, col, away = self._in_window(players, foods)
        near = (away <= self.view) if self.view else jnp.ones_like(away, bool)
        return row * self.window + col, near & (foods != GONE)[None]

    def _in_window(
        self, eyes: Int[Array, " N"], things: Int[Array, " Y"]
    ) -> tuple[Int[Array, "N Y"], Int[Array, "N Y"], Int[Array, "N Y"]]:
        """Row and column in each eye's window, and the larger of both distances."""
        reach = self.view or self.size
        rows, cols = eyes // self.size, eyes % self.size
        down = things[None] // self.size - rows[:, None]
        right = things[None] % self.size - cols[:, None]
        row = down + jnp.minimum(rows, reach)[:, None]
        col = right + jnp.minimum(cols, reach)[:, None]
        return row, col, jnp.maximum(abs(down), abs(right))

    def _show(
        self,
        state: State,
        reward: Float[Array, " N"],
        event: Int[Array, " N"],
        visible: Bool[Array, "N N"],
        over: Bool[Array, ""],
    ) -> TimeStep:
        everyone = jnp.ones((self.players, 1), bool)
        may_load = self._beside(state).any(1, keepdims=True)
        return TimeStep(
            obs=self._observe(state),
            legal=jnp.concatenate([self._legal_steps(state), everyone, may_load], axis=1),
            alive=everyone[:, 0],
            reward=reward,
            event=event,
            visible=visible,
            terminated=over,
            truncated=jnp.zeros((), bool),
        )

    def _observe(self, state: State) -> UInt8[Array, "N D"]:
        """Cells in my window, ego first: mine, the others', foods'; levels in that order; time."""
        players, in_sight = self._seen_players(state.players)
        foods, near = self._seen_foods(state.players, state.foods)
        seen = jnp.concatenate([in_sight, near], axis=1)
        cells = jnp.concatenate([players, foods], axis=1)
        levels = jnp.concatenate([state.levels, state.food_levels])
        shown = board.observe(jnp.where(seen, cells, UNSEEN), state.time)
        strong = board.observe(jnp.where(seen, levels[None], 0), state.time)
        return jnp.concatenate([shown[:, :-1], strong], axis=1)
