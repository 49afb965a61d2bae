"""A picture of any game at all: what everyone sees, as rows of squares, and who is present."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from counterplay.envs.glyphs import FAINT, INK, SEATS, TRACK, Pen, draw_player, draw_time, mixed
from counterplay.types import Picture

MARGIN, LEFT, ROW = 24, 48, 56
ACROSS = 64
"""Squares in a line; wider observations take several."""
SIDE = 8
MOST = 256
"""Squares drawn of one observation; wider ones are cut, and say so."""


def observed_picture(
    name: str, rows: Sequence[Any], alive: Any, time: int, horizon: int
) -> Picture:
    """``rows`` are the observations of all seats, each flat; dark is large, red is negative."""
    seen = [np.asarray(row, np.float64).ravel() for row in rows]
    most = max([1e-9, *(float(np.abs(row[np.isfinite(row)]).max(initial=0)) for row in seen)])
    lines = max(1, *(-(-min(len(row), MOST) // ACROSS) for row in seen))
    high = max(ROW, lines * SIDE + 16)
    width = LEFT + ACROSS * SIDE
    pen = Pen(width + 2 * MARGIN, MARGIN * 2 + high * len(seen) + 60)
    pen.text(MARGIN, MARGIN + 4, f"{name}: what each seat sees", 16, anchor="lm")
    words = [f"{name}: move {time} of {horizon}"]
    for seat, row in enumerate(seen):
        top = MARGIN + 24 + seat * high
        draw_player(pen, MARGIN + 18, top + high / 2 - 8, 15, seat)
        if not alive[seat]:
            pen.text(MARGIN + LEFT, top + high / 2 - 8, "has left", 15, FAINT, "lm")
            words.append(f"{seat} has left")
            continue
        for i, value in enumerate(row[:MOST].tolist()):
            x, y = MARGIN + LEFT + i % ACROSS * SIDE, top + i // ACROSS * SIDE
            pen.box(x, y, SIDE - 1, SIDE - 1, _shade(value / most))
        more = f" and {len(row) - MOST} more" if len(row) > MOST else ""
        words.append(f"{seat} sees {' '.join(f'{x:.3g}' for x in row[:MOST])}{more}")
    draw_time(pen, MARGIN, MARGIN + 30 + high * len(seen), width, time, horizon, "move")
    return Picture(pen.pixels(), "\n".join(words))


def _shade(share: float) -> str:
    """From paper to ink as a number grows, to red as it falls below nothing."""
    if not np.isfinite(share):
        return "#ff00ff"
    return mixed(TRACK, INK if share >= 0 else SEATS[1], min(abs(share), 1.0))
