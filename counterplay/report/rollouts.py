"""Imagined slots beside those that came: what is seen, what is earned, who plays on.

Boards are drawn as boards, a mark and a hue a plane, the fainter the less certain; everything else
as a heat map with a row a number. A frame is where what was imagined is wrong.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from counterplay.evaluate.planned import Rollout
from counterplay.report import boards
from counterplay.report.boards import BETWEEN
from counterplay.report.figures import (
    LIGHT,
    MARKS,
    WIDTH,
    Theme,
    dressed,
    png,
    started,
)
from counterplay.report.naming import Board

BAND = 0.12
"""Inches between two heat maps."""
CELL = 0.1
"""Inches of a cell of a board, at least."""
LEFT, RIGHT, CURVE, GAP, FOOT = 0.82, 0.12, 0.62, 0.34, 0.46
"""Inches: the margins, the height of a curve, what is above each, and the names below."""


def width_of(shown: Rollout, board: Board | None) -> float:
    """Inches, so that a cell can be seen."""
    if board is None:
        return WIDTH
    slots = len(shown.seen)
    return max(WIDTH, LEFT + RIGHT + CELL * (slots * (board.columns + BETWEEN) - BETWEEN))


def rollout(
    shown: Rollout, board: Board | None, theme: Theme = LIGHT, *, binary: bool = True
) -> bytes:
    """The picture. ``binary`` tells that all that is seen lies in 0..1."""
    width, slots = width_of(shown, board), len(shown.seen)
    inside = width - LEFT - RIGHT
    if board is None:
        tall, head = 2 * float(np.clip(0.16 * shown.seen.shape[1], 0.6, 2.0)) + BAND, 0.3
        planes, step, cell, wide = None, 1.0, 0.0, float(slots)
        middles = np.arange(slots) + 0.5
    else:
        planes, step = boards.used(shown, board), board.columns + BETWEEN
        wide = slots * step - BETWEEN
        cell = inside / wide
        tall = (2 * board.rows + BETWEEN) * cell
        head = 0.28 + 0.22 * -(-len(planes.names) // boards.ABREAST)
        middles = np.arange(slots) * step + board.columns / 2
    height = head + tall + 2 * (GAP + CURVE) + FOOT
    figure = started(Figure(figsize=(width, height)), theme)

    def below(top: float, size: float) -> Axes:
        place = LEFT / width, 1 - (top + size) / height, inside / width, size / height
        axes = dressed(figure.add_axes(place), theme)
        axes.set_xlim(0, wide)
        return axes

    above = below(head, tall)
    if planes is None:
        _heat(above, shown, binary, theme)
    else:
        boards.draw(above, planes, step, cell * 72, theme)
        boards.keys(figure, planes.names, theme)
    above.set_xticks(middles, ["now", *(f"+{k}" for k in range(1, slots))])
    above.xaxis.tick_top()
    above.tick_params(length=0, colors=theme.ink, labelsize=9)
    for spine in above.spines.values():
        spine.set_visible(False)
    top = head + tall + GAP
    _curve(below(top, CURVE), "reward", shown.reward, middles, theme)
    last = below(top + CURVE + GAP, CURVE)
    _curve(last, "plays on", shown.continues, middles, theme)
    last.set_ylim(-0.1, 1.1)
    last.set_xlabel(f"moves after slot {shown.slot}")
    last.set_xticks(middles, [str(k) for k in range(slots)])
    return png(figure, theme)


def _heat(axes: Axes, shown: Rollout, binary: bool, theme: Theme) -> None:
    """Two heat maps, one above the other; symlog of numbers that do not all lie in 0..1."""
    features, slots = shown.seen.shape[1], len(shown.seen)
    squash = (lambda x: x) if binary else (lambda x: np.sign(x) * np.log1p(abs(x)))
    seen, imagined = squash(shown.seen), squash(boards.as_imagined(shown))
    both = np.concatenate([seen, imagined])
    both = both[np.isfinite(both)]
    low, high = (0.0, 1.0) if binary else (float(both.min()), float(both.max()) + 1e-6)
    hue = LinearSegmentedColormap.from_list("seen", [_off(theme), theme.series[0]])
    look: dict[str, Any] = {"cmap": hue.with_extremes(bad=theme.paper), "vmin": low, "vmax": high}
    between = features / 10
    for top, part in ((0.0, seen), (features + between, imagined)):
        extent = (0, slots, top + features, top)
        drawn = np.ma.masked_invalid(part.T)
        axes.imshow(drawn, aspect="auto", extent=extent, interpolation="nearest", **look)
        for k in np.flatnonzero(~np.isfinite(part).all(1)):
            boards.say(axes, k + 0.5, top + features / 2, "gone", theme)
    top = features + between
    for k, feature in np.argwhere(boards.wrong(seen, imagined)) if binary else ():
        frame = {"fill": False, "ec": theme.series[1], "lw": 1.1}
        axes.add_patch(Rectangle((k + 0.02, top + feature), 0.96, 1, **frame))
    for k in range(1, slots):
        axes.axvline(k, color=theme.paper, lw=1.5)
    axes.set_ylim(top + features, 0)
    axes.set_yticks([features / 2, top + features / 2], ["seen", "imagined"])


def _off(theme: Theme) -> tuple[float, ...]:
    """The paper, a little darker or lighter, so that a 0 is seen to be there."""
    pairs = zip(to_rgb(theme.paper), to_rgb(theme.faint), strict=True)
    return tuple(0.5 * a + 0.5 * b for a, b in pairs)


def _curve(axes: Axes, name: str, values: np.ndarray, middles: np.ndarray, theme: Theme) -> None:
    """True and imagined, each below the slot that its move led to."""
    handles = []
    for k, (line, size) in enumerate(zip(values, (7, 4), strict=True)):
        style = {"ls": ("-", "--")[k], "marker": MARKS[k], "ms": size, "lw": 1.5}
        handles += axes.plot(middles[1:], line, color=theme.series[k], clip_on=False, **style)
    axes.set_xticks(middles, [""] * len(middles))
    axes.margins(y=0.15)
    axes.grid(axis="y", color=theme.faint, lw=0.6)
    axes.set_title(name, fontsize=9, color=theme.ink, loc="left", pad=4)
    look = {"fontsize": 8, "frameon": False, "labelcolor": theme.ink, "handlelength": 2.6}
    spot = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.93), "ncols": 2, "borderpad": 0.1}
    axes.legend(handles, ["true", "imagined"], **spot, **look)


def caption(shown: Rollout, board: Board | None, binary: bool) -> str:
    """What is seen, and how to read it."""
    ahead = len(shown.imagined) - 1
    words = (
        f"Slot {shown.slot} of the match and the {ahead} moves after it, chosen because most was "
        "earned or lost in so many: above what was seen, "
        "below what the agent's world says would be, told the true moves of all and shown nothing "
        "on the way. "
    )
    if board is None:
        words += "A row is a number of the observation, the stronger the more"
        words += ". " if binary else ", on a logarithmic scale. "
        frames = binary
    else:
        words += "The fainter a mark, the less certain it is. "
        frames = True
    if frames:
        words += "A frame is where what was imagined is wrong. "
    if np.isnan(shown.seen).any():
        words += "Where the agent had left nothing is seen. "
    return f"{words}Below, what each move earned, and whether the agent played on after it."


def told(shown: Rollout, board: Board | None, binary: bool) -> str:
    """The picture in words."""
    words = f"{len(shown.imagined) - 1} moves imagined from slot {shown.slot}. "
    known = np.isfinite(shown.seen).all(1) & (np.arange(len(shown.seen)) > 0)
    if board is not None:
        seen, imagined = board.planes(shown.seen)[known], board.planes(shown.imagined)[known]
        off = boards.wrong(seen, imagined).any(1)
        words += f"Of {off.size} cells seen after a move {int(off.sum())} are imagined wrongly. "
    elif binary:
        off = boards.wrong(shown.seen[known], shown.imagined[known])
        words += f"Of {off.size} numbers seen after a move {int(off.sum())} are imagined wrongly. "
    listed = lambda x: ", ".join(f"{v:.2f}" for v in x)
    true, made = shown.reward
    on, chance = shown.continues
    return (
        f"{words}Rewards: {listed(true)}; imagined {listed(made)}. "
        f"Plays on: {listed(on)}; imagined {listed(chance)}."
    )
