"""Belief strips: what was held of an other over a match, as a picture and under a film's board.

A row is a type (or goal), a column a slot, and the darker a cell, the more was believed. The frame
runs along the truth, whose name has its colour; thin lines part episodes, and an arrow marks a
switch.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from counterplay.report.figures import LIGHT, WIDTH, Theme, drawable, new_axes, png, shortened

MOST_ROWS = 12
"""Types that have a row; the least believed share the last one."""
MOST_WIDTH = 13.0
"""Inches."""
REST = "all others"
SOURCES = {
    "types": "the agent's posterior over types",
    "belief": "the agent's belief over goals",
    "exact filter": "the exact filter's posterior over the known rules",
}


class Strip(NamedTuple):
    """One other in one match."""

    posterior: np.ndarray
    """Before the move of every slot, [T, K]."""
    truth: np.ndarray
    """Which of them it was, [T], -1 unknown or absent."""
    names: tuple[str, ...]
    mode: np.ndarray
    """What a switcher plays, [T]; it changes where it switches."""
    episode: np.ndarray
    """Of the match, [T]."""
    source: str


def strip_of(part: Mapping[str, Any]) -> Strip:
    """From a result; ValueError where its lengths do not go together."""
    names = tuple(map(str, part["names"]))
    posterior = np.array(part["posterior"], np.float64)
    slots, types = len(posterior), len(names)
    if posterior.shape != (slots, types) or not slots:
        raise ValueError(
            f"a belief strip wants a posterior [T, {types}], found shape {posterior.shape}"
        )
    whole = lambda key, usual: np.array(part.get(key) or [usual] * slots, np.int64)
    truth, mode, episode = whole("truth", -1), whole("mode", 0), whole("episode", 0)
    for name, x in {"truth": truth, "mode": mode, "episode": episode}.items():
        if x.shape != (slots,):
            raise ValueError(f"a belief strip of {slots} slots has a {name} of shape {x.shape}")
    if not np.isfinite(posterior).all() or (truth >= types).any():
        raise ValueError(f"a belief strip of {types} types names another, or holds no number")
    return Strip(posterior, truth, names, mode, episode, str(part.get("source", "")))


def fewer(shown: Strip, most: int = MOST_ROWS) -> Strip:
    """At most so many rows: the true ones and the most believed; the others in one."""
    types = len(shown.names)
    if types <= most:
        return shown
    true = np.isin(np.arange(types), shown.truth)
    order = np.lexsort((np.arange(types), -shown.posterior.mean(0), ~true))
    kept = np.sort(order[: most - 1])
    rest = 1 - shown.posterior[:, kept].sum(1, keepdims=True)
    place = np.full(types + 1, most - 1)
    place[kept] = np.arange(most - 1)
    place[-1] = -1  # truth -1 stays unknown
    names = (*(shown.names[k] for k in kept), REST)
    posterior = np.concatenate([shown.posterior[:, kept], np.maximum(rest, 0)], 1)
    return shown._replace(posterior=posterior, truth=place[shown.truth], names=names)


def stretches(x: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(value, first, end) of every stretch in which ``x`` [T] stays what it is."""
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
    for first, end in zip(starts.tolist(), [*starts[1:].tolist(), len(x)], strict=True):
        yield int(x[first]), first, end


def switches_of(shown: Strip) -> list[int]:
    """The first slot of every new mode; absence, -1, is none."""
    there = np.flatnonzero(shown.mode >= 0)
    mode = shown.mode[there]
    return there[1:][mode[1:] != mode[:-1]].tolist()


def boundaries(shown: Strip) -> list[int]:
    """The first slot of every episode but the first."""
    return [first for _, first, _ in stretches(shown.episode)][1:]


def width_of(shown: Strip) -> float:
    """Inches, so that a slot can be seen."""
    return width_of_slots(len(shown.posterior))


def width_of_slots(slots: int) -> float:
    """Inches of a picture that has a column for each of so many."""
    return float(np.clip(1.5 + 0.045 * slots, WIDTH, MOST_WIDTH))


def strip(whole: Strip, theme: Theme = LIGHT) -> bytes:
    """The picture of a whole match."""
    shown = fewer(whole)
    types = len(shown.names)
    figure = Figure(figsize=(width_of(shown), 1.3 + 0.26 * types), layout="constrained")
    draw(new_axes(figure, theme), shown, theme)
    return png(figure, theme)


def draw(axes: Axes, shown: Strip, theme: Theme) -> None:
    """The strip on axes of a figure that is laid out by constraints."""
    slots, types = shown.posterior.shape
    hue = LinearSegmentedColormap.from_list("belief", [theme.paper, theme.series[0]])
    ends = (0, slots, types - 0.5, -0.5)
    look: dict[str, Any] = {"cmap": hue, "vmin": 0, "vmax": 1, "interpolation": "nearest"}
    drawn = axes.imshow(shown.posterior.T, aspect="auto", extent=ends, **look)
    for first in boundaries(shown):
        axes.axvline(first, color=theme.ink, lw=0.6, ls=(0, (1, 2)))
    for value, first, end in stretches(shown.truth):
        if value >= 0:
            at = (first, value - 0.44)
            frame = Rectangle(at, end - first, 0.88, fill=False, ec=theme.series[1], lw=1.8)
            axes.add_patch(frame)
            frame.set_clip_on(False)  # or the axes would hide half of its outer sides
            frame.set_zorder(3)  # over the axes
    for slot in switches_of(shown):
        axes.axvline(slot, color=theme.ink, lw=1.3)
        above = {"xytext": (0, 11), "textcoords": "offset points", "ha": "center"}
        arrow = {"arrowstyle": "-|>", "color": theme.ink}
        axes.annotate("", (slot, -0.5), arrowprops=arrow, annotation_clip=False, **above)
    axes.set_yticks(range(types), [drawable(shortened(name, 24)) for name in shown.names])
    for name, row in zip(axes.get_yticklabels(), range(types), strict=True):
        if row in shown.truth:
            name.set_color(theme.series[1])
    axes.set_xlim(0, slots)
    axes.set_ylim(types - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_xlabel("slots since first contact")
    key = "framed: the truth" if (shown.truth >= 0).any() else " "
    axes.set_title(key, fontsize=8, loc="right", color=theme.series[1], pad=13)  # above the arrows
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.015, aspect=12, ticks=[0, 0.5, 1])
    bar.set_label("believed", color=theme.ink, fontsize=8)
    bar.ax.tick_params(colors=theme.ink, labelsize=8)
    bar.outline.set_edgecolor(theme.faint)  # pyright: ignore[reportCallIssue]


def caption(shown: Strip) -> str:
    """What is seen, and how to read it."""
    source = SOURCES.get(shown.source, shown.source or "a posterior")
    words = (
        f"{source}, before the move of every slot of one match. The more is believed, the stronger "
        "the colour; "
    )
    known = (shown.truth >= 0).any()
    words += "the frame is the truth." if known else "no row is the truth, as far as is known."
    if boundaries(shown):
        words += " Dotted lines part episodes."
    if switches_of(shown):
        words += " An arrow marks a switch of the other."
    if len(shown.names) > MOST_ROWS:
        words += f" Of {len(shown.names)} rows the least believed share one."
    return words


def told(shown: Strip) -> str:
    """The picture in words."""
    slots, types = shown.posterior.shape
    last = shown.posterior[-1]
    words = f"{slots} slots, episodes: {len(boundaries(shown)) + 1}, rows: {types}. "
    words += f"At the end {last.max():.2f} is believed of {shown.names[int(last.argmax())]}"
    known = shown.truth >= 0
    if known.any():
        true = np.take_along_axis(shown.posterior, np.maximum(shown.truth, 0)[:, None], 1)[:, 0]
        words += f"; the truth holds {true[known].mean():.2f} on average"
    where = ", ".join(map(str, switches_of(shown)))
    return f"{words}. Switches at slot {where}." if where else f"{words}."
