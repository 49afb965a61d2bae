"""Results of evaluation protocols that lie in run folders, as the sections of a report read them.

What a result does not tell is None in it; what is damaged becomes a note, and the rest is shown.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from counterplay.report.blocks import Block, Note
from counterplay.report.figures import Line
from counterplay.report.read import Run

PLAYS = ("sampled", "greedy")
"""The order in which they are shown; pictures are of the first that there is."""
NONE = "-"


class Protocol(NamedTuple):
    """One protocol of one run."""

    run: int
    label: str
    name: str
    """The folder of the evaluation."""
    protocol: str
    result: Mapping[str, Any]

    @property
    def plays(self) -> dict[str, Mapping[str, Any]]:
        """Play -> what was found with it, known plays first."""
        found = self.result["plays"]
        order = [*(play for play in PLAYS if play in found), *sorted(set(found) - set(PLAYS))]
        return {play: found[play] for play in order if isinstance(found[play], dict)}

    @property
    def called(self) -> str:
        return f"{self.label}, {self.protocol}"


def protocols_of(runs: Mapping[int, Run], names: Mapping[int, str]) -> list[Protocol]:
    """The latest result of every protocol of every run; folders sort by the time they were made."""
    found = []
    for i, run in runs.items():
        latest = {one.result["protocol"]: one for one in run.protocols}
        found += [
            Protocol(i, names[i], one.name, protocol, one.result)
            for protocol, one in sorted(latest.items())
        ]
    return found


class Part(NamedTuple):
    """What was found against one set of opponents with one play."""

    name: str
    """Run, protocol and, where a protocol has several, set."""
    play: str
    found: Mapping[str, Any]

    @property
    def called(self) -> str:
        return f"{self.name}, {self.play}"


def parts_of(found: Sequence[Protocol], drawn: bool = False) -> list[Part]:
    """All of them; those that are ``drawn`` are of the first play that there is.

    Curves and measures of the first set stand in a play itself, those of another with its returns.
    """
    parts = []
    for one in found:
        for play, whole in list(one.plays.items())[: 1 if drawn else None]:
            sets = whole.get("sets") or {}
            rest = {name: x for name, x in sets.items() if isinstance(x.get("model"), dict)}
            first = whole.get("of") or next((name for name in sets if name not in rest), "")
            several = len(sets) > 1 and first
            parts.append(Part(f"{one.called}, {first}" if several else one.called, play, whole))
            for name, x in rest.items():
                parts.append(Part(f"{one.called}, {name}", play, {**x["model"], **_curve(x)}))
    return parts


def _curve(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {"curve": cell["curve"]} if cell.get("curve") else {}


def attempted(what: str, make: Callable[[], Sequence[Block]]) -> list[Block]:
    """The blocks, or a note where a result does not have the form that it should."""
    try:
        return list(make())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return [Note(f"{what} left out, as the result is damaged: {type(error).__name__}: {error}")]


def number(value: Any, digits: int = 3) -> str:
    """A number of a result; a dash for none."""
    if not is_number(value):
        return NONE
    return f"{value:,}" if type(value) is int else f"{value:,.{digits}f}"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def spread(found: Mapping[str, Any] | None) -> tuple[str, str]:
    """An estimate, or mean, and its interval in words."""
    if found is None:
        return NONE, NONE
    middle = found["estimate"] if "estimate" in found else found["mean"]
    return number(middle), interval(found)


def interval(found: Mapping[str, Any]) -> str:
    low, high = found.get("low"), found.get("high")
    both = is_number(low) and is_number(high)
    return f"{number(low)} to {number(high)}" if both else NONE


def values(found: Sequence[Any]) -> np.ndarray:
    """Numbers of a result, NaN for None."""
    return np.array([x if is_number(x) else np.nan for x in found], np.float64)


def curve(name: str, points: Sequence[Mapping[str, Any]]) -> Line:
    """Points with x, mean and perhaps bounds."""
    column = lambda key: values([point.get(key) for point in points])
    return Line(name, *(column(key) for key in ("x", "mean", "low", "high")))
