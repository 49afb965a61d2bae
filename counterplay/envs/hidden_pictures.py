"""Boards of games of hidden information: who saw whom where, in pixels and in words."""

from functools import partial

import jax

from counterplay.envs.board_pictures import GRASS, Board, Thing, _ints, _sheet, _words
from counterplay.envs.glyphs import FAINT, INK, MARGIN, SEATS, Number, Pen
from counterplay.envs.pursuit import Pursuit
from counterplay.envs.pursuit import State as PursuitState
from counterplay.envs.scissors import Scissors, pile_cells
from counterplay.envs.scissors import State as ScissorsState
from counterplay.types import Picture

SAND = "#efe6d0", "#e6dac0", "#a08c62"
"""Two kinds of cells, and the fence."""


class Squares(Board):
    """Sight is a square, as far in rows as in columns."""

    def sees(self, seat: int, cell: int) -> bool:
        return _in_square(self, seat, cell)


class Pursued(Board):
    """The evader sees everything, so only what the pursuer sees is drawn."""

    def sees(self, seat: int, cell: int) -> bool:
        return seat == 0 and _in_square(self, seat, cell)


def _in_square(board: Board, seat: int, cell: int) -> bool:
    """Whether a cell is at most ``view`` rows and ``view`` columns away from a player."""
    eye = board.players[seat]
    rows = abs(eye // board.size - cell // board.size)
    cols = abs(eye % board.size - cell % board.size)
    return max(rows, cols) <= board.view


def pursuit_picture(env: Pursuit, state: PursuitState) -> Picture:
    """The board with its exits, where the evader was last seen and when, and the clock."""
    state = jax.device_get(state)
    exits = Thing("X", draw_exit, list(env.exits))
    time, players = int(state.time), _ints(state.players)
    board = Pursued(env.size, GRASS, (exits,), players, time, env.horizon, env.view)
    pen, below, _ = _sheet(board)
    words = "0 has not seen 1"
    if state.age != 255:
        row, col = divmod(int(state.seen), env.size)
        when = f"{state.age} slots ago" if state.age else "now"
        words = f"0 sees 1 in row {row}, column {col}: {when}"
    pen.text(MARGIN, below, words, 17, INK if state.age != 255 else FAINT, "lm")
    return Picture(pen.pixels(), f"{_words(board)}\n{words}")


def scissors_picture(env: Scissors, state: ScissorsState) -> Picture:
    """The board with its piles, what each holds, and the clock."""
    state = jax.device_get(state)
    marks = "RPS"
    piles = tuple(
        Thing(mark, partial(draw_letter, mark), list(pile_cells(kind)))
        for kind, mark in enumerate(marks)
    )
    time, players = int(state.time), _ints(state.players)
    board = Squares(env.size, SAND, piles, players, time, env.horizon, env.view)
    pen, below, width = _sheet(board)
    told = []
    for seat, held in enumerate(state.held.tolist()):
        words = " ".join(mark * count for mark, count in zip(marks, held, strict=True) if count)
        told.append(f"{seat} holds {words or 'nothing'}")
        pen.text(MARGIN + seat * width / 2, below, told[-1], 17, SEATS[seat], "lm")
    return Picture(pen.pixels(), "\n".join([_words(board), *told]))


def draw_letter(mark: str, pen: Pen, x: Number, y: Number, size: Number):
    """A pile: three stacked plates with its letter."""
    for height in (0.3, 0.18, 0.06):
        pen.oval(x, y + size * height, size * 0.44, size * 0.16, "#6f7672")
        pen.oval(x, y + size * (height - 0.03), size * 0.44, size * 0.16, "#e0c79a")
    pen.text(x, y - size * 0.02, mark, size * 0.5, INK)


def draw_exit(pen: Pen, x: Number, y: Number, size: Number):
    """An open door in a square of side ``size``."""
    pen.box(x - size * 0.3, y - size * 0.45, size * 0.6, size * 0.9, "#5b4632", 3)
    pen.box(x - size * 0.22, y - size * 0.37, size * 0.44, size * 0.82, "#f6d98b", 2)
    left, right = x - size * 0.22, x + size * 0.02
    high, low = y - size * 0.37, y + size * 0.45
    leaf = [(left, high), (right, high + size * 0.12), (right, low), (left, low)]
    pen.shape(leaf, "#9c673c")
