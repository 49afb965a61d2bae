"""Rock, paper, scissors with things to be fetched first, unseen: a running-with-scissors for two.

Players start in opposite corners. Whoever stands on a pile after a move gets one thing of its kind,
until it holds four in all. From slot 8 on a player may challenge one that is at most two steps
away; what both hold when that step begins decides, and the episode ends. At ``horizon`` it is
decided by itself, after the moves. The pay-off is v' A w, v and w the shares of the kinds among
what each holds (uniform for who holds nothing), and A says that paper beats rock, scissors paper
and rock scissors; the players' pay-offs sum to zero. Nobody sees what the other holds, until the
end: the event of a seat then is what it held. Players see ``view`` rows and columns around
them, and the game keeps for each where it last saw the other and how long ago that was.

After Vezhnevets et al. (2020) and the substrate of Leibo et al. (2021); the board is ours.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from counterplay.envs import board
from counterplay.envs.board import UNSEEN
from counterplay.types import NO_EVENT, Picture, TimeStep

UP, DOWN, LEFT, RIGHT, STAY, CHALLENGE = range(6)
ROCK, PAPER, SCISSORS = range(3)
SIZE, CARRIED = 9, 4
REACH, EARLIEST = 2, 8
"""Steps from which a challenge is legal, and the first slot in which it is."""
BEATS = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))
"""Row my kind, column the other's."""
PILES = {
    ROCK: ((1, 5), (5, 1), (7, 3), (3, 7)),
    PAPER: ((2, 4), (4, 2), (6, 4), (4, 6)),
    SCISSORS: ((0, 6), (6, 0), (8, 2), (2, 8)),
}
"""Row and column; each kind is twice six steps from either corner."""

_HOLDINGS = [h for h in product(range(CARRIED + 1), repeat=3) if sum(h) <= CARRIED]
HOLDINGS: tuple[tuple[int, ...], ...] = tuple(
    sorted(_HOLDINGS, key=lambda held: (max(held) < CARRIED, tuple(-n for n in held)))
)
"""All that can be held, rocks, papers, scissors; four of a kind come first, so that a kind is the
code of a collection of it alone. Codes are the goals of the game."""

PRESETS: dict[str, dict[str, int]] = {"9x9": {}, "short": {"horizon": 10}}


class State(NamedTuple):
    """Cells count row by row from the upper left."""

    players: Int[Array, " N"]
    held: Int[Array, "N 3"]
    """Rocks, papers and scissors of each."""
    seen: Int[Array, " N"]
    """Where each last saw the other; UNSEEN before it has."""
    age: Int[Array, " N"]
    """Slots since then; UNSEEN before."""
    time: Int[Array, ""]


@dataclass(frozen=True)
class Scissors:
    """Settings of the game. Presets: 9x9, short."""

    horizon: int = 25
    """Slots after which the holdings are compared, 1 to 254."""
    view: int = 2
    """Rows and columns around it that each player sees; 0 sees the whole board."""

    num_seats = 2
    num_actions = 6
    num_goals = len(HOLDINGS)
    obs_shape = (8,)
    obs_dtype = np.dtype(np.uint8)
    public_legal = False
    public_events = True
    size = SIZE
    cells = SIZE * SIZE

    def __post_init__(self):
        board.check_sizes("scissors", self.size, self.horizon)
        if self.view < 0:
            raise ValueError(f"scissors: view must be at least 0, found {self.view}")

    def reset(self, key: PRNGKeyArray) -> tuple[State, TimeStep]:
        """Every game starts alike: the key is not used."""
        unseen = jnp.full(2, UNSEEN, jnp.int32)
        corners = jnp.array([0, self.cells - 1], jnp.int32)
        state = State(corners, jnp.zeros((2, 3), jnp.int32), unseen, unseen, jnp.int32(0))
        state = self._watch(state)
        nobody, everything = jnp.full(2, NO_EVENT, jnp.int32), jnp.ones((2, 2), bool)
        return state, self._show(state, jnp.zeros(2), nobody, jnp.array(False), everything)

    def step(self, state: State, actions: Int[Array, " N"]) -> tuple[State, TimeStep]:
        """Illegal moves do nothing."""
        old = state.players
        challenged = (actions == CHALLENGE).any() & self._may_challenge(state)
        steps = board.steps_inside(old, self.size) & ~challenged
        new = board.walk(old, actions, steps, self.size)
        room = (state.held.sum(1) < CARRIED) & ~challenged
        held = state.held + (on_pile(new) & room[:, None])
        over = challenged | (state.time + 1 >= self.horizon)
        shares = _shares(held)
        gain = (shares[0][:, None] * jnp.array(BEATS) * shares[1][None]).sum()
        gain = jnp.where(over, gain, 0.0)
        event = jnp.where(over, codes(held), NO_EVENT)
        aged = jnp.where(state.age == UNSEEN, UNSEEN, state.age + 1)
        after = self._watch(State(new, held, state.seen, aged, state.time + 1))
        visible = jnp.eye(2, dtype=bool) | self.sees(old[0], old[1])
        return after, self._show(after, jnp.stack([gain, -gain]), event, over, visible)

    def encode(self, obs: UInt8[Array, " D"]) -> Float[Array, " F"]:
        """Planes: me, the other, where it was last seen, [3, size, size] flat; then the rocks,
        papers and scissors that I hold, / 4, how long ago I saw it (1 before) and the time, both
        / horizon.
        """
        plane = np.arange(3) * self.cells
        feature = np.arange(3 * self.cells)
        seen = jnp.where(obs[:3] == UNSEEN, -1, obs[:3].astype(jnp.int32) + plane)
        here = (seen[:, None] == feature[None]).any(0).astype(jnp.float32)
        held = obs[3:6].astype(jnp.float32) / CARRIED
        clock = jnp.minimum(obs[6:8], self.horizon).astype(jnp.float32) / self.horizon
        return jnp.concatenate([here, held, clock])

    def render(self, state: State) -> Picture:
        from counterplay.envs.hidden_pictures import scissors_picture

        return scissors_picture(self, state)

    def sees(self, eye: Int[Array, "*b"], cell: Int[Array, "*b"]) -> Bool[Array, "*b"]:
        """Whether a player on ``eye`` sees a cell: the larger of both distances counts."""
        if not self.view:
            return jnp.ones_like(eye, bool)
        rows = abs(eye // self.size - cell // self.size)
        cols = abs(eye % self.size - cell % self.size)
        return jnp.maximum(rows, cols) <= self.view

    def _may_challenge(self, state: State) -> Bool[Array, ""]:
        one, other = state.players
        rows, cols = (
            abs(one // self.size - other // self.size),
            abs(one % self.size - other % self.size),
        )
        return (rows + cols <= REACH) & (state.time >= EARLIEST)

    def _watch(self, state: State) -> State:
        """The map memories, brought up to what each sees now."""
        others = state.players[::-1]
        sees = self.sees(state.players, others)
        return state._replace(
            seen=jnp.where(sees, others, state.seen), age=jnp.where(sees, 0, state.age)
        )

    def _show(
        self,
        state: State,
        reward: Float[Array, " N"],
        event: Int[Array, " N"],
        over: Bool[Array, ""],
        visible: Bool[Array, "N N"],
    ) -> TimeStep:
        others = state.players[::-1]
        in_sight = jnp.where(self.sees(state.players, others), others, UNSEEN)
        time = jnp.broadcast_to(state.time, (2,))
        before = jnp.stack([state.players, in_sight, state.seen], axis=1)
        after = jnp.stack([state.age, time], axis=1)
        steps = board.steps_inside(state.players, self.size)
        may = jnp.broadcast_to(self._may_challenge(state), (2, 1))
        return TimeStep(
            obs=jnp.concatenate([before, state.held, after], axis=1).astype(jnp.uint8),
            legal=jnp.concatenate([steps, jnp.ones((2, 1), bool), may], axis=1),
            alive=jnp.ones(2, bool),
            reward=reward,
            event=event,
            visible=visible,
            terminated=over,
            truncated=jnp.zeros((), bool),
        )


def pile_cells(kind: int) -> tuple[int, ...]:
    return tuple(row * SIZE + col for row, col in PILES[kind])


def on_pile(cell: Int[Array, "*b"]) -> Bool[Array, "*b 3"]:
    """Of which kind a pile lies there."""
    kinds = [pile_cells(kind) for kind in PILES]
    there = [[cell == pile for pile in piles] for piles in kinds]
    return jnp.stack([jnp.stack(each).any(0) for each in there], axis=-1)


def codes(held: Int[Array, "*b 3"]) -> Int[Array, "*b"]:
    """The place of a collection among HOLDINGS."""
    base = CARRIED + 1
    table = np.zeros(base**3, np.int32)
    for code, (rocks, papers, scissors) in enumerate(HOLDINGS):
        table[(rocks * base + papers) * base + scissors] = code
    at = (held[..., 0] * base + held[..., 1]) * base + held[..., 2]
    return jnp.array(table)[at]


def _shares(held: Int[Array, "N 3"]) -> Float[Array, "N 3"]:
    total = held.sum(1, keepdims=True)
    return jnp.where(total > 0, held / jnp.maximum(total, 1), 1 / 3)
