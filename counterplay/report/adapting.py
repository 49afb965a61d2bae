"""The section of a report on what protocols found of returns: scores, worst decile, adaptation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterplay.report import diagrams
from counterplay.report.blocks import Block, Section, Table, Text
from counterplay.report.contents import image, told
from counterplay.report.figures import Line
from counterplay.report.protocols import (
    NONE,
    Protocol,
    attempted,
    curve,
    number,
    parts_of,
    spread,
)

AXES = {
    "episodes": ("episode of the match", "return of the episode"),
    "slots": ("steps since first contact", "reward of the step"),
}
"""Curve of a result -> its axes."""

SCORES = (
    "The adaptation score is (return - blind) / (filter - blind): 0 is what the best policy earns "
    "that knows nothing of the others, 1 what exact inference over the training opponents earns. "
    "The share of oracle is (return - random) / (oracle - random). The worst decile is the mean "
    "of the lowest tenth of the matches. Where a score has no meaning a dash stands for it, and "
    "why stands beside it."
)


def adaptation(found: Sequence[Protocol], mark: str) -> Section | None:
    """Scores, returns by opponent, and curves; None where no protocol was run."""
    if not found:
        return None
    blocks: list[Block] = [Text(SCORES)]
    blocks += attempted("scores of the protocols", lambda: [scores(found)])
    for one in found:
        title = f"{one.called}: returns per opponent"
        blocks += attempted(title, lambda one=one, title=title: [by_opponent(one, title)])
    for name in AXES:
        blocks += attempted(f"adaptation over {name}", lambda name=name: curves(found, name, mark))
    return Section("Adaptation", tuple(blocks))


def scores(found: Sequence[Protocol]) -> Table:
    """A row for every run, protocol, set and play."""
    columns = ("run and protocol", "set", "play", "matches", "mean return", "95%")
    columns += ("adaptation score", "its 95%", "share of oracle", "its 95%", "worst decile")
    rows = []
    for one in found:
        for play, part in one.plays.items():
            for name, cell in (part.get("sets") or {}).items():
                why = _why(cell)
                ends = *spread(cell.get("score")), *spread(cell.get("share"))
                row = (one.called, name, play, number(cell.get("matches")), *spread(cell), *ends)
                rows.append((*row, _worst(cell.get("worst_decile")), why))
    return Table("Scores by set of opponents.", (*columns, "why none"), tuple(rows))


def _why(cell: Mapping[str, Any]) -> str:
    """Asked only where something is missing."""
    lacks = [name for name in ("score", "share") if cell.get(name) is None]
    return str(cell.get("why") or "not said") if lacks else ""


def _worst(value: Any) -> str:
    """A number, or one with an interval."""
    if isinstance(value, Mapping):
        middle, reach = spread(value)
        return middle if reach == NONE else f"{middle} ({reach})"
    return number(value)


def by_opponent(one: Protocol, title: str) -> Table:
    """A row for every opponent of every set, columns by play."""
    columns, cells = ["opponent", "set"], {}
    for play, part in one.plays.items():
        columns += [f"{play}, mean", f"{play}, 95%", f"{play}, matches"]
        for name, whole in (part.get("sets") or {}).items():
            for row in whole["opponents"]:
                kept = cells.setdefault((row["name"], name), {})
                kept[play] = (*spread(row), number(row.get("matches")))
    rows = [
        (*key, *(cell for play in one.plays for cell in kept.get(play, (NONE,) * 3)))
        for key, kept in cells.items()
    ]
    return Table(f"{title}.", tuple(columns), tuple(rows))


def curves(found: Sequence[Protocol], name: str, mark: str) -> list[Block]:
    """One picture of all protocols, from first contact on; none where no match is long enough."""
    x_axis, y_axis = AXES[name]
    lines, plays = [], []
    for part in parts_of(found, drawn=True):
        points = (part.found.get("curve") or {}).get(name) or []
        if len(points) > 1:
            lines.append(curve(part.name, points))
            plays.append(part.play)
    if not lines:
        return []
    draw = lambda theme: diagrams.curves(lines, x_axis, y_axis, theme)
    alt = f"Adaptation curve of the {y_axis}. {' '.join(map(ends_told, lines))}"
    caption = (
        f"From first contact: mean {y_axis} by {x_axis}, {' and '.join(dict.fromkeys(plays))} "
        f"play. A band is the 95% interval.{without_band(lines)}"
    )
    return [image(f"adaptation-{name}{mark}.png", draw, alt, caption)]


def ends_told(line: Line) -> str:
    """Where a curve begins and ends."""
    known = np.flatnonzero(np.isfinite(line.mean))
    if not len(known):
        return f"{line.name}: no numbers."
    pairs = [(line.x[k], line.mean[k]) for k in (known[0], known[-1])]
    parts = [f"{told(float(y))} at {x:g}" for x, y in pairs]
    return f"{line.name}: {' to '.join(parts)}."


def without_band(lines: Sequence[Line]) -> str:
    """Whose interval is not known."""
    bare = [line.name for line in lines if not np.isfinite(line.low).any()]
    return f" No interval is known of {', '.join(bare)}." if bare else ""
