"""The map of race and coordination: one start, three corridors, something at the end of each.

An 11 x 11 board, cells counted row by row from the upper left. Columns 3 and 7 are walls in rows 0
to 9; row 10 is open and holds the start, (10, 5). L (4, 1), C (0, 5) and R (4, 9) are each exactly
ten steps away, by three different first moves: whoever has no step to spare decides in the first.
"""

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from counterplay.envs import board
from counterplay.envs.board import GONE, UNSEEN
from counterplay.types import NO_EVENT, TimeStep

UP, DOWN, LEFT, RIGHT, STAY = range(5)
L, C, R = range(3)
SIZE = 11
START = 10 * SIZE + 5
TARGETS = (4 * SIZE + 1, 5, 4 * SIZE + 9)
"""Cells of L, C and R."""
STEPS = 10
"""From the start to any of the three."""
WALLED = (3, 7)
"""Columns of wall; row 10 is open."""
WALLS = tuple(row * SIZE + col for row in range(SIZE - 1) for col in WALLED)
PLAYER = 2 * SIZE
"""Inputs of a network that tell where one player is."""


class State(NamedTuple):
    """Cells, GONE for who has left and for what is no longer there; targets in order L, C, R."""

    players: Int[Array, " N"]
    targets: Int[Array, " 3"]
    time: Int[Array, ""]


def check(game: str, players: int, slack: int, least: int) -> None:
    """ValueError where there are too few players, or where slots would not fit into a byte."""
    if players < 2:
        raise ValueError(f"{game}: players must be at least 2, found {players}")
    if not 0 <= slack <= 254 - least:
        raise ValueError(
            f"{game}: slack must be 0 to {254 - least} steps, found {slack}: an episode of "
            f"{least} + slack slots is at most 254 long"
        )


def start(players: int) -> State:
    """Everybody at the start, in slot 0. Nothing is drawn."""
    return State(jnp.full(players, START, jnp.int32), jnp.array(TARGETS, jnp.int32), jnp.int32(0))


def legal_steps(players: Int[Array, " N"]) -> Bool[Array, "N 4"]:
    """Which of up, down, left, right stay on the board and out of the walls; none for who left."""
    row, col = jnp.divmod(players, SIZE)
    below = row == SIZE - 1
    meets = lambda shift: ~below & ((col + shift == WALLED[0]) | (col + shift == WALLED[1]))
    under = below & ((col == WALLED[0]) | (col == WALLED[1]))
    free = [(row > 0) & ~under, ~below, (col > 0) & ~meets(-1), (col < SIZE - 1) & ~meets(1)]
    return jnp.stack(free, axis=1) & (players != GONE)[:, None]


@cache
def distances() -> np.ndarray:
    """Steps from every cell to L, C and R, int [3, cells]; in a wall more than any way takes."""
    far = np.full((3, SIZE * SIZE), 2 * SIZE * SIZE, np.int32)
    for row, target in zip(far, TARGETS, strict=True):
        rim, steps = {target}, 0
        while rim:
            row[list(rim)], steps = steps, steps + 1
            rim = {cell + step for cell in rim for step in _steps(cell)}
            rim = {cell for cell in rim if row[cell] > steps}
    return far


def _steps(cell: int) -> list[int]:
    row, col = divmod(cell, SIZE)
    near = {-SIZE: row > 0, SIZE: row < SIZE - 1, -1: col > 0, 1: col < SIZE - 1}
    return [step for step, inside in near.items() if inside and cell + step not in WALLS]


def worthwhile(state: State, left: Int[Array, ""]) -> Bool[Array, "N 5"]:
    """Which legal steps, or staying, leave a way to something within ``left`` slots.

    ``left`` counts this one. Where no move does, every legal one; none for who has left.
    """
    players, alive = state.players, state.players != GONE
    moves = jnp.concatenate([legal_steps(players), alive[:, None]], axis=1)
    here = jnp.where(alive, players, 0)[:, None]
    after = jnp.where(moves, here + jnp.array([-SIZE, SIZE, -1, 1, 0])[None], 0)
    to_go = jnp.asarray(distances())[:, after]  # [3, N, 5]
    in_time = moves & ((to_go < left) & (state.targets != GONE)[:, None, None]).any(0)
    return jnp.where(in_time.any(1, keepdims=True), in_time, moves)


def check_narrow(game: str, narrow: bool, slack: int) -> None:
    """Rules walk on to what is gone, which ``narrow`` forbids; without slack nothing goes early."""
    if narrow and slack:
        raise ValueError(f"{game}: narrow wants slack 0, found slack {slack}")


def on_target(players: Int[Array, " N"], targets: Int[Array, " 3"]) -> Bool[Array, "N 3"]:
    """Who stands on which target that is still there."""
    return (players[:, None] == targets[None]) & (players != GONE)[:, None]


def show(
    state: State,
    rest: Bool[Array, "N X"],
    reward: Float[Array, " N"],
    event: Int[Array, " N"],
    horizon: int,
    worth: Bool[Array, "N A"] | None = None,
) -> TimeStep:
    """What everybody sees; ``rest`` are the legal moves after the four steps.

    Where ``worth`` is given, moves are legal that are ``worth`` it.

    The episode is over at the horizon, or when no player or nothing to reach is left.
    """
    players = state.players
    n, alive = players.shape[0], players != GONE
    cells = jnp.concatenate([players, state.targets])
    shown = jnp.where(cells == GONE, UNSEEN, cells)
    nothing_left = ~alive.any() | (state.targets == GONE).all()
    return TimeStep(
        obs=board.observe(jnp.tile(shown, (n, 1)), state.time),
        legal=jnp.concatenate([legal_steps(players), rest], axis=1) if worth is None else worth,
        alive=alive,
        reward=reward,
        event=event,
        visible=jnp.ones((n, n), bool),
        terminated=(state.time >= horizon) | nothing_left,
        truncated=jnp.zeros((), bool),
    )


def completed(by: Bool[Array, "N 3"]) -> Int[Array, " N"]:
    """The event of each player: the target it has completed, or NO_EVENT."""
    return jnp.where(by.any(1), jnp.argmax(by, axis=1), NO_EVENT)


def encode(obs: UInt8[Array, " D"], horizon: int) -> Float[Array, " F"]:
    """Zeros and ones, then the time: row and column of each player, which targets are there.

    F = 22 N + 4: of me, then of each other, 11 rows and 11 columns, all zero for who has left; L,
    C, R; time / horizon.
    """
    cells = obs[:-4].astype(jnp.int32)
    row, col = jnp.divmod(cells, SIZE)  # UNSEEN is below and right of every cell
    line = jnp.arange(SIZE)[None]
    there = (cells != UNSEEN)[:, None]
    marks = jnp.concatenate([(row[:, None] == line) & there, (col[:, None] == line) & there], 1)
    rest = (obs[-4:-1] != UNSEEN).astype(jnp.float32)
    time = obs[-1:].astype(jnp.float32) / horizon
    return jnp.concatenate([marks.ravel().astype(jnp.float32), rest, time])
