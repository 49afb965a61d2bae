"""Pictures of numbers, as PNG. Each is drawn for a light page and again for a dark one.

Only matplotlib's objects are used, never its global state. No meaning hangs on colour alone: lines
differ in dashes and marks, bars in hatching, and the cells of a heat map hold their numbers.
"""

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import EngFormatter
from PIL import Image

DOTS_PER_INCH = 200
WIDTH = 4.6
"""Inches; shown on a phone at about three quarters, so letters stay legible."""
COLOURS_KEPT = 128
"""Of a picture: lines and letters need few, and the file is a third as large."""
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")


class Theme(NamedTuple):
    paper: str
    ink: str
    faint: str
    series: tuple[str, ...]
    """Hues that people with any colour vision tell apart, each 3 to 1 or more against the paper."""


LIGHT = Theme(
    "#ffffff",
    "#1c2126",
    "#d5dade",
    ("#0072b2", "#c65300", "#007d5e", "#a8487f", "#8a6500", "#4d5358"),
)
DARK = Theme(
    "#171b1f",
    "#e4e8eb",
    "#3a4148",
    ("#56b4e9", "#f0883e", "#2bc49a", "#e29bc4", "#e8c547", "#b4bbc2"),
)


class Line(NamedTuple):
    """A mean over seeds; the band is left out where its bounds are NaN."""

    name: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Bars(NamedTuple):
    """What one run earned against each opponent."""

    name: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def learning_curve(
    lines: Sequence[Line], metric: str, theme: Theme = LIGHT, *, level: float | None = None
) -> bytes:
    """One metric over environment steps, all runs in one picture; ``level`` is a goal."""
    figure = Figure(figsize=(WIDTH, 3.0 + 0.22 * (len(lines) - 1)), layout="constrained")
    axes = new_axes(figure, theme)
    handles = []
    for i, line in enumerate(lines):
        colour = theme.series[i % len(theme.series)]
        if np.isfinite(line.low).any():
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.22, lw=0)
        shown = np.isfinite(line.mean)
        style = {"ls": DASHES[i % len(DASHES)], "marker": MARKS[i % len(MARKS)], "ms": 4.5}
        every = max(1, int(shown.sum()) // 8)
        at = (i * every // max(len(lines), 1), every)
        x, y = line.x[shown], line.mean[shown]
        handles += axes.plot(x, y, color=colour, lw=1.7, markevery=at, **style)
    if level is not None:
        axes.axhline(level, color=theme.ink, lw=1.0, ls=(0, (1, 2)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("environment steps of each seed")
    axes.set_ylabel(drawable(metric))
    axes.grid(color=theme.faint, lw=0.6)
    axes.margins(x=0.02)
    if len(lines) > 1:
        legend(figure, handles, [line.name for line in lines], theme)
    return png(figure, theme)


def return_bars(opponents: Sequence[str], runs: Sequence[Bars], theme: Theme = LIGHT) -> bytes:
    """A group of bars an opponent, a bar a run, with the ends of its interval."""
    thick = 0.8 / len(runs)
    height = 1.0 + len(opponents) * max(0.34, 0.2 * len(runs)) + 0.22 * (len(runs) - 1)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = new_axes(figure, theme)
    place = np.arange(len(opponents), dtype=float)
    handles = []
    for i, run in enumerate(runs):
        look: dict[str, Any] = {
            "color": theme.series[i % len(theme.series)],
            "edgecolor": theme.paper,
        }
        look |= {"hatch": HATCHES[i % len(HATCHES)], "linewidth": 0.5}
        y = place + (i - (len(runs) - 1) / 2) * thick
        handles.append(axes.barh(y, run.mean, thick * 0.92, **look))
        known = np.isfinite(run.low)
        reach = np.stack([run.mean - run.low, run.high - run.mean])[:, known]
        marks = {"fmt": "none", "ecolor": theme.ink, "elinewidth": 1.1, "capsize": 2.5}
        axes.errorbar(run.mean[known], y[known], xerr=np.maximum(reach, 0), **marks)
    axes.set_yticks(place, [drawable(shortened(name)) for name in opponents])
    axes.invert_yaxis()
    axes.axvline(0, color=theme.ink, lw=0.8)
    axes.grid(axis="x", color=theme.faint, lw=0.6)
    axes.set_xlabel("mean return of an episode, with 95% interval")
    if len(runs) > 1:
        legend(figure, handles, [run.name for run in runs], theme)
    return png(figure, theme)


def heat_map(names: Sequence[str], values: np.ndarray, theme: Theme = LIGHT) -> bytes:
    """Who plays (rows) among whom (columns); every cell holds its number."""
    wide = heat_width(len(names))
    figure = Figure(figsize=(wide, wide * 0.78 + 0.9), layout="constrained")
    axes = new_axes(figure, theme)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    colours = colormaps["cividis"]
    image = axes.imshow(values, cmap=colours, aspect="auto", vmin=low, vmax=high)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = colours((value - low) / (high - low) if high > low else 0.0)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        ink = "#ffffff" if dark else "#000000"
        told = number(float(value))
        axes.text(column, row, told, ha="center", va="center", color=ink, fontsize=8)
    labels = [drawable(shortened(name)) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=50, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlabel("all other seats")
    axes.set_ylabel("who earns")
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.ax.tick_params(colors=theme.ink, labelsize=8)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return png(figure, theme)


def heat_width(names: int) -> float:
    """Inches, so that the number in a cell has room."""
    return max(WIDTH, 1.9 + 0.46 * names)


def number(value: float) -> str:
    """As short as a cell is: about three digits."""
    size = abs(value)
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 100 else f"{value:.0f}"


def shortened(name: str, most: int = 20) -> str:
    """The two ends of a name that is too long for an axis."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def drawable(text: str) -> str:
    """Text as matplotlib draws it letter by letter: no formulas, no letters its font lacks."""
    known = _letters()
    return "".join(c if ord(c) in known else "?" for c in text).replace("$", r"\$")


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    font = get_font(findfont("DejaVu Sans"))
    return frozenset(code for code in font.get_charmap() if code >= 32)


def new_axes(figure: Figure, theme: Theme) -> Axes:
    """Axes in the colours of a theme, without a frame."""
    return dressed(started(figure, theme).add_subplot(), theme)


def started(figure: Figure, theme: Theme) -> Figure:
    """The figure on the paper of a theme, ready to be drawn on."""
    FigureCanvasAgg(figure)
    figure.set_facecolor(theme.paper)
    return figure


def dressed(axes: Axes, theme: Theme) -> Axes:
    """The axes in the colours of a theme, without a frame."""
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=theme.ink, fontsize=9.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.ink)
    return axes


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], theme: Theme) -> None:
    """Names above the axes, one a line."""
    labels = [drawable(shortened(name, 52)) for name in names]
    where = {"loc": "outside upper left", "ncols": 1, "handlelength": 3.2}
    look = {"fontsize": 8.5, "frameon": False, "labelcolor": theme.ink}
    figure.legend(handles, labels, **where, **look)


def png(figure: Figure, theme: Theme) -> bytes:
    """The figure as a file of few colours."""
    canvas = figure.canvas
    figure.set_dpi(DOTS_PER_INCH)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # pyright: ignore[reportAttributeAccessIssue]
    small = Image.fromarray(np.ascontiguousarray(pixels)).quantize(
        COLOURS_KEPT, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    out = io.BytesIO()
    small.save(out, format="PNG", optimize=True)
    return out.getvalue()
