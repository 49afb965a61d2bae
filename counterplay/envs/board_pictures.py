"""Boards for people, in pixels and in words."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from counterplay.envs.coordination import Coordination
from counterplay.envs.corridors import SIZE, WALLS
from counterplay.envs.corridors import State as CorridorState
from counterplay.envs.glyphs import (
    FAINT,
    INK,
    MARGIN,
    SEATS,
    Number,
    Pen,
    draw_drift,
    draw_flag,
    draw_hare,
    draw_player,
    draw_rock,
    draw_stag,
    draw_time,
    draw_wall,
    mixed,
    nest,
    text_width,
)
from counterplay.envs.race import Race
from counterplay.envs.snowdrift import Snowdrift
from counterplay.envs.snowdrift import State as DriftState
from counterplay.envs.stag_hunt import StagHunt
from counterplay.envs.stag_hunt import State as HuntState
from counterplay.types import Picture

GRASS = "#dbe8c9", "#cfdfba", "#7f9468"
ICE = "#d3e0ec", "#c5d5e5", "#7d97b3"
SAND = "#f1e7d0", "#e9dcbf", "#a58f63"
"""Two kinds of cells, and the fence."""
SEAT_MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Thing(NamedTuple):
    """One kind of what stands on a board besides players."""

    mark: str
    """In words."""
    draw: Callable[[Pen, Number, Number, Number], None]
    cells: list[int]
    """Where they are, row by row from the upper left; negative: gone."""

    @property
    def gone(self) -> int:
        return sum(cell < 0 for cell in self.cells)


class Board(NamedTuple):
    """What a picture shows above its last line."""

    size: int
    colours: tuple[str, str, str]
    things: tuple[Thing, ...]
    players: list[int]
    """Cells, negative for who has left."""
    time: int
    horizon: int
    view: int = 0
    """How far players see, rows and columns together; 0 for everything."""

    def sees(self, seat: int, cell: int) -> bool:
        """Whether a cell is near enough for a player who is there."""
        eye = self.players[seat]
        rows = abs(eye // self.size - cell // self.size)
        cols = abs(eye % self.size - cell % self.size)
        return eye >= 0 and cell >= 0 and rows + cols <= self.view


def stag_hunt_picture(env: StagHunt, state: HuntState) -> Picture:
    """The board, who has left and what was caught, and the clock."""
    state = jax.device_get(state)
    rock = Thing("#", _draw_boulder, _ints(state.obstacles))
    prey = {
        "stag": Thing("S", draw_stag, _ints(state.stags)),
        "hare": Thing("H", draw_hare, _ints(state.hares)),
    }
    players, time = _ints(state.players), int(state.time)
    board = Board(env.size, GRASS, (rock, *prey.values()), players, time, env.horizon, env.view)
    caught = {name: thing for name, thing in prey.items() if thing.gone}
    pen, below, width = _sheet(board)
    _draw_departed(pen, players, list(caught.values()), MARGIN, below, width)
    left = " ".join(str(seat) for seat, place in enumerate(players) if place < 0)
    told = ", ".join(f"{thing.gone} {name}" for name, thing in caught.items())
    words = f"{_words(board)}\nleft: {left or '-'}; caught: {told or '-'}"
    return Picture(pen.pixels(), words + (f"\n{_told_views(board)}" if env.view else ""))


def snowdrift_picture(env: Snowdrift, state: DriftState) -> Picture:
    """The board, how many drifts have been cleared, and the clock."""
    state = jax.device_get(state)
    drifts = Thing("*", draw_drift, _ints(state.drifts))
    time = int(state.time)
    board = Board(env.size, ICE, (drifts,), _ints(state.players), time, env.horizon)
    cleared = f"{drifts.gone} of {env.drifts}"
    pen, below, _ = _sheet(board)
    pen.text(MARGIN, below, f"cleared {cleared}", 17, INK if drifts.gone else FAINT, "lm")
    return Picture(pen.pixels(), f"{_words(board)}\ncleared: {cleared}")


def race_picture(env: Race, state: CorridorState) -> Picture:
    """The corridors, who has left with a target, which targets are gone, and the clock."""
    flags = [(mark, draw_flag) for mark in "LCR"]
    return _corridor_picture(env, state, SAND, flags, "left with a target")


def coordination_picture(env: Coordination, state: CorridorState) -> Picture:
    """The corridors, who has left the hunt, which stag was caught, and the clock."""
    stags = [(mark, draw_stag) for mark in "LCR"]
    return _corridor_picture(env, state, GRASS, stags, "left the hunt")


def _corridor_picture(
    env: Race | Coordination,
    state: CorridorState,
    colours: tuple[str, str, str],
    kinds: list[tuple[str, Callable[[Pen, Number, Number, Number], None]]],
    departed: str,
) -> Picture:
    state = jax.device_get(state)
    walls = Thing("#", draw_wall, list(WALLS))
    targets = [Thing(*kind, [cell]) for kind, cell in zip(kinds, _ints(state.targets), strict=True)]
    players, time = _ints(state.players), int(state.time)
    board = Board(SIZE, colours, (walls, *targets), players, time, env.horizon)
    gone = [thing for thing in targets if thing.gone]
    pen, below, width = _sheet(board)
    _draw_departed(pen, players, gone, MARGIN, below, width, departed)
    left = " ".join(_seat_mark(seat) for seat, place in enumerate(players) if place < 0)
    told = " ".join(thing.mark for thing in gone)
    return Picture(pen.pixels(), f"{_words(board)}\nleft: {left or '-'}; gone: {told or '-'}")


def _sheet(board: Board) -> tuple[Pen, int, int]:
    """The board and the clock, and the middle and the width of the line that is free below."""
    cell = min(112, max(44, 560 // board.size))
    width = cell * board.size
    pen = Pen(width + 2 * MARGIN, width + 2 * MARGIN + 74)
    pen.box(MARGIN - 6, MARGIN - 6, width + 12, width + 12, board.colours[2], 12)
    for index in range(board.size**2):
        _draw_cell(pen, board, index, cell)
    below = MARGIN + width + 22
    draw_time(pen, MARGIN, below, width, board.time, board.horizon, "slot")
    return pen, below + 48, width


def _draw_cell(pen: Pen, board: Board, index: int, cell: int):
    row, col = divmod(index, board.size)
    x, y = MARGIN + col * cell, MARGIN + row * cell
    pen.box(x, y, cell, cell, board.colours[(row + col) % 2])
    if board.view:
        _draw_views(pen, board, index, x, y, cell)
    middle_x, middle_y, room = x + cell / 2, y + cell / 2, cell * 0.9
    seats = [i for i, place in enumerate(board.players) if place == index]
    here = [thing for thing in board.things if index in thing.cells]
    for thing in here:
        high, size = (middle_y - cell * 0.17, 0.62) if seats else (middle_y, 0.8)
        thing.draw(pen, middle_x, high, cell * size)
        middle_y, room = y + cell * 0.79, cell * 0.38
    if seats:
        crowd = bool(here) and len(seats) > 2
        centres, radius = nest(len(seats), cell * 0.96, room, cell * 0.25, 0.25 * crowd)
        for seat, (dx, dy) in zip(seats, centres, strict=True):
            draw_player(pen, middle_x + dx, middle_y + dy, radius * 0.92, seat)


def _draw_views(pen: Pen, board: Board, index: int, x: Number, y: Number, cell: int):
    """Along the upper edge a faint dot for each who sees the cell; one that nobody sees is dark."""
    ground = board.colours[sum(divmod(index, board.size)) % 2]
    seats = [seat for seat in range(len(board.players)) if board.sees(seat, index)]
    if not seats:
        pen.box(x, y, cell, cell, mixed(ground, INK, 0.25))
    step = cell / (len(board.players) + 1)
    radius = min(cell * 0.05, step * 0.4)
    for seat in seats:
        colour = mixed(ground, SEATS[seat % len(SEATS)], 0.6)
        pen.oval(x + step * (seat + 1), y + cell * 0.08, radius, radius, colour)


def _told_views(board: Board) -> str:
    """Whom each player sees besides itself, and how many things."""
    told = []
    for seat, mark in enumerate(map(_seat_mark, range(len(board.players)))):
        others = [
            _seat_mark(other)
            for other, place in enumerate(board.players)
            if other != seat and board.sees(seat, place)
        ]
        things = sum(board.sees(seat, cell) for thing in board.things for cell in thing.cells)
        if board.players[seat] >= 0:
            told.append(f"{mark} sees {' '.join(others) or 'nobody'}, things: {things}")
    return f"view {board.view}: {'; '.join(told) or '-'}"


def _seat_mark(seat: int) -> str:
    return SEAT_MARKS[seat % len(SEAT_MARKS)]


def _draw_boulder(pen: Pen, x: Number, y: Number, size: Number):
    """Nobody stands beside a rock, so it may be a little larger than other things."""
    draw_rock(pen, x, y, size * 1.05)


def _draw_departed(
    pen: Pen,
    players: list[int],
    caught: list[Thing],
    x: Number,
    y: Number,
    width: Number,
    departed: str = "left the hunt",
):
    """On the left who has left, on the right what was caught."""
    seats = [i for i, place in enumerate(players) if place < 0]
    words = departed if seats else "nobody has left"
    pen.text(x, y, words, 17, INK if seats else FAINT, "lm")
    start = x + text_width(words, 17) + 20
    end = x + width
    for thing in reversed(caught):
        if thing.gone > 1:
            pen.text(end, y, f"x{thing.gone}", 17, anchor="rm")
            end -= text_width(f"x{thing.gone}", 17) + 4
        thing.draw(pen, end - 16, y, 32)
        end -= 42
    step = min(30, (end - start) / max(len(seats), 1))
    for i, seat in enumerate(seats):
        draw_player(pen, start + i * step, y, min(13, max(step / 2 - 1, 6)), seat)


def _words(board: Board) -> str:
    """The mark of what stands on a cell, else a point; players follow as digits, then letters."""
    marks = [""] * board.size**2
    for thing in board.things:
        for place in thing.cells:
            if place >= 0:
                marks[place] = thing.mark
    marks = [mark or "." for mark in marks]
    for seat, place in enumerate(board.players):
        if place >= 0:
            marks[place] += _seat_mark(seat)
    wide = max(map(len, marks)) + 1
    starts = range(0, len(marks), board.size)
    rows = ["".join(m.ljust(wide) for m in marks[i : i + board.size]).rstrip() for i in starts]
    return "\n".join([f"slot {board.time} of {board.horizon}", *rows])


def _ints(array: Any) -> list[int]:
    return np.asarray(array).tolist()
