"""Boards of games of hidden information: who saw whom where, in pixels and in words."""

import jax

from counterplay.envs.board_pictures import GRASS, Board, Thing, _ints, _sheet, _words
from counterplay.envs.glyphs import FAINT, INK, MARGIN, Number, Pen
from counterplay.envs.pursuit import Pursuit
from counterplay.envs.pursuit import State as PursuitState
from counterplay.types import Picture


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


def draw_exit(pen: Pen, x: Number, y: Number, size: Number):
    """An open door in a square of side ``size``."""
    pen.box(x - size * 0.3, y - size * 0.45, size * 0.6, size * 0.9, "#5b4632", 3)
    pen.box(x - size * 0.22, y - size * 0.37, size * 0.44, size * 0.82, "#f6d98b", 2)
    left, right = x - size * 0.22, x + size * 0.02
    high, low = y - size * 0.37, y + size * 0.45
    leaf = [(left, high), (right, high + size * 0.12), (right, low), (left, low)]
    pen.shape(leaf, "#9c673c")
