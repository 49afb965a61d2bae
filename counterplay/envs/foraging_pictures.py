"""Boards of level-based foraging: how strong players are and what foods need."""

from functools import partial

import jax

from counterplay.envs.board_pictures import (
    GRASS,
    Board,
    Thing,
    _ints,
    _seat_mark,
    _sheet,
    _told_views,
    _words,
)
from counterplay.envs.foraging import Foraging, State
from counterplay.envs.glyphs import INK, MARGIN, Number, Pen
from counterplay.types import Picture


class Window(Board):
    """Sight of cells is a square: as far in rows as in columns."""

    def sees(self, seat: int, cell: int) -> bool:
        eye = self.players[seat]
        rows = abs(eye // self.size - cell // self.size)
        cols = abs(eye % self.size - cell % self.size)
        return cell >= 0 and max(rows, cols) <= self.view


def foraging_picture(env: Foraging, state: State) -> Picture:
    """The board with the level of each food, the levels of players, what was loaded, the clock."""
    state = jax.device_get(state)
    needs, cells = _ints(state.food_levels), _ints(state.foods)
    foods = tuple(
        Thing(f"F{level}", partial(draw_food, str(level)), [cell])
        for level, cell in zip(needs, cells, strict=True)
        if level
    )
    players, time = _ints(state.players), int(state.time)
    board = Window(env.size, GRASS, foods, players, time, env.horizon, env.view)
    strong = ", ".join(
        f"{_seat_mark(seat)} has {level}" for seat, level in enumerate(_ints(state.levels))
    )
    loaded = f"loaded: {sum(food.gone for food in foods)} of {len(foods)}"
    pen, below, width = _sheet(board)
    pen.text(MARGIN, below, f"levels: {strong}", 17, INK, "lm")
    pen.text(MARGIN + width, below, loaded, 17, INK, "rm")
    words = f"{_words(board)}\nlevels: {strong}; {loaded}"
    return Picture(pen.pixels(), words + (f"\n{_told_views(board)}" if env.view else ""))


def draw_food(level: str, pen: Pen, x: Number, y: Number, size: Number):
    """An apple with what it needs written on it, in a square of side ``size``."""
    pen.box(x - size * 0.025, y - size * 0.46, size * 0.05, size * 0.24, "#5b4632")
    pen.oval(x + size * 0.13, y - size * 0.34, size * 0.13, size * 0.06, "#6f9a4a")
    for grow, colour in ((0.02, "#8d2f2f"), (0.0, "#cf4f45")):
        for side in (-1, 1):
            radius = size * (0.29 + grow)
            pen.oval(x + side * size * 0.13, y + size * 0.1, radius, size * (0.33 + grow), colour)
    pen.text(x, y + size * 0.1, level, size * 0.42, "#ffffff")
