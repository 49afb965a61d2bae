"""Reliability of beliefs as a report shows it: diagrams with the null band, and a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from counterplay.report import diagrams
from counterplay.report.blocks import Block, Table, Text
from counterplay.report.contents import image
from counterplay.report.protocols import Protocol, number, parts_of, values

NAMES = {
    "types": "types, the agent's belief",
    "goals": "goals, the agent's belief",
    "exact filter": "types, exact filter",
    "exact filter, goals": "goals, exact filter",
}

BINS = ("confidence", "frequency", "low", "high", "count")


def reliabilities(found: Sequence[Protocol], mark: str) -> list[Block]:
    """A picture for every kind of belief with all protocols in it, and a table of their errors."""
    rows = [
        (part.called, str(NAMES.get(name, name)), *_error(bins))
        for part in parts_of(found)
        for name, bins in (part.found.get("calibration") or {}).items()
        if bins
    ]
    if not rows:
        return []
    columns = ("run, protocol, play", "of", "ECE", "right beliefs: below", "p", "predictions")
    words = (
        "A reliability diagram tells how often what is believed with some probability is true. The "
        "pale bars are the null band: where the frequency lies in 95% of the worlds in which "
        "these beliefs are right, whole stretches of a match being right or wrong together. A "
        "point below its bar is too sure, above it too timid. ECE, the expected calibration "
        "error, is the mean distance from the diagonal."
    )
    caption = "Calibration of beliefs."
    table = Table(caption, (*columns, "stretches", "verdict"), tuple(rows))
    return [Text(words), *_pictures(found, mark), table]


def _error(bins: Any) -> tuple[str, ...]:
    blocks = number(bins.get("blocks"))
    said = (number(bins["ece"]), number(bins.get("ece_high")), number(bins.get("p_value")))
    return (*said, number(bins["predictions"]), blocks, verdict(bins))


def verdict(bins: Any) -> str:
    """What may be concluded."""
    if not bins["enough"]:
        return "too few"
    return "as right beliefs" if bins["inside"] else "outside the band"


def _pictures(found: Sequence[Protocol], mark: str) -> list[Block]:
    shown: dict[str, list[diagrams.Reliability]] = {}
    verdicts: dict[str, list[str]] = {}
    for part in parts_of(found, drawn=True):
        for name, bins in (part.found.get("calibration") or {}).items():
            if bins:
                shown.setdefault(name, []).append(_bins(part.name, bins))
                few = f" (too few: {number(bins['predictions'])} predictions)"
                said = f"{part.name} ECE {number(bins['ece'])}"
                verdicts.setdefault(name, []).append(said + ("" if bins["enough"] else few))
    blocks: list[Block] = []
    for name, lines in shown.items():
        draw = lambda theme, lines=lines: diagrams.reliability(lines, theme)
        words = f"{NAMES.get(name, name)}: {'; '.join(verdicts[name])}."
        alt = f"Reliability diagram of {words} {' '.join(map(_far_told, lines))}"
        file = f"reliability-{name.replace(', ', '-').replace(' ', '-')}{mark}.png"
        blocks.append(image(file, draw, alt, words[0].upper() + words[1:]))
    return blocks


def _bins(name: str, bins: Any) -> diagrams.Reliability:
    confidence, frequency, low, high, count = (values(bins[key]) for key in BINS)
    return diagrams.Reliability(name, confidence, frequency, low, high, np.nan_to_num(count))


def _far_told(one: diagrams.Reliability) -> str:
    """How many bins lie outside their band."""
    known = np.isfinite(one.frequency) & np.isfinite(one.low) & np.isfinite(one.high)
    outside = (one.frequency < one.low) | (one.frequency > one.high)
    count = int((outside & known).sum())
    return f"{one.name}: {count} of {int(known.sum())} bins outside the null band."
