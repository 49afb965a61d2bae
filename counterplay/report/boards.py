"""Boards side by side: what was seen above, what was imagined below.

A plane has a mark and a hue of its own; a mark is the fainter the less certain it is.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from counterplay.evaluate.planned import Rollout
from counterplay.report.figures import MARKS, Theme, drawable
from counterplay.report.naming import Board

LEAST = 0.05
"""Of a chance that is drawn."""
ABREAST = 6
"""Names in a row."""
BETWEEN = 0.6
"""Cells between two boards."""


class Used(NamedTuple):
    """Those planes of a board on which anything is."""

    names: tuple[str, ...]
    seen: np.ndarray
    """[H + 1, C, h, w], NaN where nothing was seen."""
    imagined: np.ndarray
    """The same, of what the world says."""


def as_imagined(shown: Rollout) -> np.ndarray:
    """What would be seen; NaN from where on the world holds it likelier that the agent is gone."""
    there = np.minimum.accumulate(np.append(1.0, shown.continues[1])) >= 0.5
    return np.where(there[:, None], shown.imagined, np.nan)


def used(shown: Rollout, board: Board) -> Used:
    """Without the planes that stay empty."""
    seen, imagined = board.planes(shown.seen), board.planes(as_imagined(shown))
    both = np.nan_to_num(np.concatenate([seen, imagined]))
    kept = np.flatnonzero(both.max((0, 2, 3)) > LEAST)
    names = tuple(board.names[k] for k in kept)
    return Used(names, seen[:, kept], imagined[:, kept])


def wrong(seen: np.ndarray, imagined: np.ndarray) -> np.ndarray:
    """Where the likelier was not so, of chances; nothing is where nothing was seen."""
    return np.nan_to_num(abs(seen - imagined)) > 0.5


def keys(figure: Figure, names: tuple[str, ...], theme: Theme) -> None:
    """What each mark stands for, above all."""
    handles = [
        Line2D([], [], ls="", marker=mark, color=hue, ms=6) for mark, hue in _looks(names, theme)
    ]
    labels = [drawable(name) for name in names]
    look = {"fontsize": 8, "frameon": False, "labelcolor": theme.ink, "handletextpad": 0.1}
    where = {"loc": "upper left", "ncols": ABREAST, "columnspacing": 0.9, "borderpad": 0.1}
    figure.legend(handles, labels, bbox_to_anchor=(0.0, 1.0), **where, **look)


def _looks(names: tuple[str, ...], theme: Theme) -> list[tuple[str, str]]:
    many = range(len(names))
    return [(MARKS[k % len(MARKS)], theme.series[k % len(theme.series)]) for k in many]


def draw(axes: Axes, planes: Used, step: float, points: float, theme: Theme) -> None:
    """Two rows of boards, cells as the unit; ``points`` is the size of a cell."""
    _, rows, columns = planes.imagined.shape[1:]
    looks = _looks(planes.names, theme)
    errors = np.asarray(wrong(planes.seen, planes.imagined).any(1))
    for line, part in enumerate((planes.seen, planes.imagined)):
        below = line * (rows + BETWEEN)
        for k, board in enumerate(part):
            left = k * step
            known = np.isfinite(board).all()
            _grid(axes, (left, below), (rows, columns), theme, known)
            if not known:
                say(axes, left + columns / 2, below + rows / 2, "gone", theme)
                continue
            for (row, column), off in np.ndenumerate(errors[k]):
                corner = left + column, below + row
                _cell(axes, corner, board[:, row, column], looks, points)
                if line and off:
                    frame = {"fill": False, "ec": theme.ink, "lw": 1.1, "zorder": 4}
                    axes.add_patch(Rectangle(corner, 1, 1, **frame))
    axes.set_ylim(2 * rows + BETWEEN, 0)
    middles = [rows / 2, rows * 1.5 + BETWEEN]
    axes.set_yticks(middles, ["seen", "imagined"])


def _grid(
    axes: Axes, corner: tuple[float, float], size: tuple[int, int], theme: Theme, known: Any
) -> None:
    (left, top), (rows, columns) = corner, size
    look = {"color": theme.faint, "lw": 0.6, "ls": "-" if known else ":", "clip_on": False}
    inner = (range(rows + 1), range(columns + 1)) if known else ((0, rows), (0, columns))
    axes.hlines([top + r for r in inner[0]], left, left + columns, **look)
    axes.vlines([left + c for c in inner[1]], top, top + rows, **look)


def _cell(
    axes: Axes,
    corner: tuple[float, float],
    chances: np.ndarray,
    looks: list[tuple[str, str]],
    points: float,
) -> None:
    """Marks side by side where several may be in one cell."""
    here = np.flatnonzero(chances > LEAST)
    across = int(np.ceil(np.sqrt(len(here))))
    down = -(-len(here) // max(across, 1))
    for place, k in enumerate(here):
        row, column = divmod(place, across)
        at = corner[0] + (column + 0.5) / across, corner[1] + (row + 0.5) / down
        mark, hue = looks[k]
        size = ((0.7 if across == 1 else 0.95 / across) * points) ** 2
        alpha = float(np.clip(chances[k], 0, 1))
        axes.scatter(*at, s=size, marker=mark, color=hue, alpha=alpha, lw=0, zorder=3)


def say(axes: Axes, x: float, y: float, words: str, theme: Theme) -> None:
    look = {"ha": "center", "va": "center", "fontsize": 8, "color": theme.ink}
    axes.text(x, y, words, **look)
