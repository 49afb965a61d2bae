"""Plan strips: what each move was planned to be worth over a match, and what was believed then.

A row is a move, a column a slot. Blue moves are worth more than what the policy would make on
average, orange ones less; grey are worth the same, and blank ones are illegal. The frame is the
move that was made.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from counterplay.evaluate.planned import Planned, advantage
from counterplay.report import strips
from counterplay.report.figures import LIGHT, Theme, drawable, dressed, png, shortened, started
from counterplay.report.strips import Strip, stretches
from counterplay.types import NO_MOVE

MOST_ROWS = 20
"""Moves that have a row: of more, those that were made or worth most."""
MOST_NUMBERED = 11
"""Slots whose cells have room for a number."""


def rows_of(values: np.ndarray, made: np.ndarray, most: int = MOST_ROWS) -> np.ndarray:
    """Which moves have a row, [R] in order: those made most often, and of the rest the best."""
    moves = values.shape[1]
    often = np.bincount(made[made >= 0], minlength=moves)
    best = np.where(np.isfinite(values), values, -np.inf).max(0, initial=-np.inf)
    order = np.lexsort((np.arange(moves), -best, -often))
    return np.sort(order[:most])


def values_of(planned: Planned) -> np.ndarray:
    """[T, A]; see ``advantage``."""
    return advantage(planned.worth, planned.log_pi, planned.legal, planned.acting)


def width_of(planned: Planned) -> float:
    """Inches, so that a slot can be seen."""
    return strips.width_of_slots(len(planned.acting))


def plan_strip(
    planned: Planned, moves: tuple[str, ...], belief: Strip | None, theme: Theme = LIGHT
) -> bytes:
    """The picture of a match; the belief below it, slot under slot."""
    values, made = values_of(planned), planned.joint[:, 0]
    rows = rows_of(values, made)
    held = None if belief is None else strips.fewer(belief)
    heights = [len(rows) + 1.0, *([] if held is None else [len(held.names) + 1.0])]
    size = (width_of(planned), 0.75 + 0.26 * sum(heights))
    figure = started(Figure(figsize=size, layout="constrained"), theme)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    axes = dressed(figure.add_subplot(grid[0]), theme)
    _draw(axes, values[:, rows], np.searchsorted(rows, made), made != NO_MOVE, theme)
    axes.set_yticks(range(len(rows)), [drawable(shortened(moves[k], 20)) for k in rows])
    for _, first, _ in list(stretches(planned.episode))[1:]:
        axes.axvline(first, color=theme.ink, lw=0.6, ls=(0, (1, 2)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("planned worth over the policy's mean", fontsize=9, color=theme.ink, loc="left")
    if held is None:
        axes.set_xlabel("slots since first contact")
    else:
        below = dressed(figure.add_subplot(grid[1], sharex=axes), theme)
        strips.draw(below, held, theme)
        words = "believed of the first other"
        axes.tick_params(labelbottom=False)
        below.set_title(words, fontsize=9, color=theme.ink, loc="left")
    return png(figure, theme)


def _draw(axes: Axes, values: np.ndarray, made: np.ndarray, acts: np.ndarray, theme: Theme) -> None:
    slots, rows = values.shape
    ends = [theme.series[1], theme.faint, theme.series[0]]
    hue = LinearSegmentedColormap.from_list("plan", ends).with_extremes(bad=theme.paper)
    known = abs(values[np.isfinite(values)])
    most = max(float(known.max(initial=0)), 1e-6)
    look: dict[str, Any] = {"cmap": hue, "vmin": -most, "vmax": most, "interpolation": "nearest"}
    extent = (0, slots, rows - 0.5, -0.5)
    drawn = axes.imshow(np.ma.masked_invalid(values.T), aspect="auto", extent=extent, **look)
    for row, first, end in stretches(np.where(acts, made, -1)):
        if row >= 0:
            at = (first + 0.02, row - 0.46)
            frame = Rectangle(at, end - first - 0.04, 0.92, fill=False, ec=theme.ink, lw=1.4)
            axes.add_patch(frame)
    if slots <= MOST_NUMBERED:
        for slot, row in np.argwhere(np.isfinite(values)):
            value = float(values[slot, row])
            words = {"ha": "center", "va": "center", "fontsize": 6.5, "color": theme.ink}
            axes.text(slot + 0.5, row, f"{value:+.2f}" if most < 10 else f"{value:+.0f}", **words)
    axes.set_xlim(0, slots)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=8)
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.015, aspect=12, ticks=[-most, 0, most])
    bar.ax.set_yticklabels([f"{x:+.2g}" if x else "0" for x in (-most, 0, most)])
    bar.ax.tick_params(colors=theme.ink, labelsize=8)
    bar.outline.set_edgecolor(theme.faint)  # pyright: ignore[reportCallIssue]


def caption(planned: Planned, belief: Strip | None, trust: float) -> str:
    """What is seen, and how to read it."""
    words = (
        "What each move was planned to be worth, less the mean of that under the policy alone, "
        "before the move of every slot: blue is more, orange less, grey the same, blank illegal "
        f"or gone. The frame is the move that was made, in which plans had a say of {trust:.2f}. "
    )
    if len(list(stretches(planned.episode))) > 1:
        words += "Dotted lines part episodes. "
    if planned.worth.shape[1] > MOST_ROWS:
        words += f"Of {planned.worth.shape[1]} moves those made or worth most are shown. "
    if belief is not None:
        words += f"Below, {strips.caption(belief)}"
    return words.strip()


def told(planned: Planned, moves: tuple[str, ...], belief: Strip | None) -> str:
    """The picture in words."""
    values, made = values_of(planned), planned.joint[:, 0]
    (acted,) = np.nonzero(planned.acting)
    best = int((np.nanargmax(values[acted], 1) == made[acted]).sum())
    words = (
        f"{len(made)} slots, moves: {len(moves)}. In {best} of {len(acted)} slots the move that "
        f"was worth most was made; one move was worth up to {np.nanmax(values[acted]):.2f} more "
        f"than the policy's mean, and up to {-np.nanmin(values[acted]):.2f} less."
    )
    listed = ", ".join(moves[k] for k in made[acted][:12])
    words += f" Made: {listed}{', ...' if len(acted) > 12 else ''}."
    return words if belief is None else f"{words} Belief: {strips.told(belief)}"
