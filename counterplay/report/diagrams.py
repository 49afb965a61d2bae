"""Diagrams of protocols: curves, reliability, opponents as a map, profiles.

Colours, marks and dashes are those of ``figures``; no meaning hangs on colour alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from counterplay.report.figures import (
    DASHES,
    LIGHT,
    MARKS,
    WIDTH,
    Line,
    Theme,
    drawable,
    legend,
    new_axes,
    png,
    shortened,
)


class Reliability(NamedTuple):
    """How often what is believed with some confidence is true; NaN in empty bins, all [bins]."""

    name: str
    confidence: np.ndarray
    frequency: np.ndarray
    low: np.ndarray
    """Of the null band: where the frequency falls if beliefs are right."""
    high: np.ndarray
    count: np.ndarray


def curves(
    lines: Sequence[Line],
    x_axis: str,
    y_axis: str,
    theme: Theme = LIGHT,
    *,
    marked: float | None = None,
    unit: bool = False,
) -> bytes:
    """Lines with bands; ``marked`` is an x at which something happens, ``unit`` a y of 0 to 1."""
    figure = Figure(figsize=(WIDTH, 3.0 + 0.22 * (len(lines) - 1)), layout="constrained")
    axes = new_axes(figure, theme)
    handles = []
    for i, line in enumerate(lines):
        colour = theme.series[i % len(theme.series)]
        band = np.isfinite(line.low) & np.isfinite(line.high)
        if band.any():
            axes.fill_between(line.x, line.low, line.high, where=band.tolist(), color=colour,
                              alpha=0.22, lw=0)  # fmt: skip
        shown = np.isfinite(line.mean)
        every = max(1, int(shown.sum()) // 8)
        at = (i * every // max(len(lines), 1), every)
        style = {"ls": DASHES[i % len(DASHES)], "marker": MARKS[i % len(MARKS)], "ms": 4.5}
        x, y = line.x[shown], line.mean[shown]
        handles += axes.plot(x, y, color=colour, lw=1.7, markevery=at, **style)
    if marked is not None:
        axes.axvline(marked, color=theme.ink, lw=1.0, ls=(0, (1, 2)))
    if unit:
        axes.set_ylim(-0.02, 1.02)
    if all((line.x == np.round(line.x)).all() for line in lines):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # half an episode is none
    _labelled(axes, x_axis, y_axis, theme)
    axes.margins(x=0.02)
    if len(lines) > 1:
        legend(figure, handles, [line.name for line in lines], theme)
    return png(figure, theme)


def reliability(found: Sequence[Reliability], theme: Theme = LIGHT) -> bytes:
    """Frequency by confidence, and the band in which right beliefs would fall."""
    figure = Figure(figsize=(WIDTH, 3.6 + 0.22 * (len(found) - 1)), layout="constrained")
    axes = new_axes(figure, theme)
    axes.plot([0, 1], [0, 1], color=theme.ink, lw=0.9, ls=(0, (1, 2)))
    handles = []
    for i, one in enumerate(found):
        colour = theme.series[i % len(theme.series)]
        known = np.isfinite(one.confidence) & np.isfinite(one.frequency)
        band = known & np.isfinite(one.low) & np.isfinite(one.high)
        x = one.confidence[band]
        ends = one.low[band], one.high[band]
        if len(x) > 1 and len(found) == 1:  # of several only the bars, which can be told apart
            axes.fill_between(x, *ends, color=colour, alpha=0.2, lw=0)
        axes.vlines(x, *ends, color=colour, lw=5, alpha=0.3)
        most = max(float(one.count.max(initial=0)), 1.0)
        size = 14 + 60 * np.sqrt(one.count[known] / most)
        at = one.confidence[known], one.frequency[known]
        look = {"s": size, "marker": MARKS[i % len(MARKS)], "zorder": 3}
        handles.append(axes.scatter(*at, color=colour, edgecolor=theme.paper, lw=0.6, **look))
        axes.plot(*at, color=colour, lw=1.2, ls=DASHES[i % len(DASHES)])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    _labelled(axes, "probability of the likeliest", "how often it is the true one", theme)
    if len(found) > 1:
        legend(figure, handles, [one.name for one in found], theme)
    return png(figure, theme)


def opponent_map(
    place: np.ndarray, truth: np.ndarray, names: Sequence[str], theme: Theme = LIGHT
) -> bytes:
    """A point a match, [R, 2]; ``truth`` [R] is an index of ``names``, -1 unknown.

    Every name stands beside its points, so no legend has to be looked up.
    """
    figure = Figure(figsize=(WIDTH * 1.15, 4.4), layout="constrained")
    axes = new_axes(figure, theme)
    centres, labels, colours = [], [], []
    for k, name in [*enumerate(names), (-1, "not a known type")]:
        here = place[truth == k]
        if not len(here):
            continue
        colour = theme.series[k % len(theme.series)] if k >= 0 else theme.ink
        mark = MARKS[k % len(MARKS)] if k >= 0 else "x"
        edge = {} if k < 0 else {"edgecolor": theme.paper, "lw": 0.4}
        axes.scatter(here[:, 0], here[:, 1], s=26, marker=mark, color=colour, alpha=0.8, **edge)
        middle = np.median(here, 0)
        centres.append((middle[0], here[:, 1].max()))
        labels.append(name)
        colours.append(colour)
    axes.margins(x=0.22, y=0.14)
    _name_directly(axes, np.array(centres).reshape(-1, 2), labels, colours, theme)
    _labelled(axes, "first principal component", "second principal component", theme)
    return png(figure, theme)


def _name_directly(
    axes: Axes,
    tops: np.ndarray,
    labels: Sequence[str],
    colours: Sequence[str],
    theme: Theme,
) -> None:
    """Labels above their points, from the lowest up, each above the one that it would cover."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    least, near = 0.055 * (high - low), 0.34 * (right - left)
    halo = [withStroke(linewidth=2.5, foreground=theme.paper)]
    kept: list[tuple[float, float]] = []
    for k in np.lexsort((tops[:, 0], tops[:, 1])):
        x, y = tops[k].tolist()
        x = min(max(x, left + near / 2), right - near / 2)
        y += least * 0.75
        while any(abs(y - other) < least and abs(x - there) < near for there, other in kept):
            y += least / 4
        kept.append((x, y))
        look = {"ha": "center", "va": "center", "fontsize": 8, "color": colours[k], "zorder": 4}
        axes.text(x, y, drawable(shortened(str(labels[k]), 30)), path_effects=halo, **look)
    axes.set_ylim(low, max([high, *(y + least for _, y in kept)]))


def _labelled(axes: Axes, x_axis: str, y_axis: str, theme: Theme) -> None:
    axes.set_xlabel(drawable(x_axis))
    axes.set_ylabel(drawable(y_axis))
    axes.grid(color=theme.faint, lw=0.6)
