"""Runs of several seeds compared as whole distributions: who improves on whom, and profiles; and
whether a comparison of a run with itself finds what is not there.
"""

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from counterplay.evaluate.a_a import LEAST_SEEDS, MOST_FALSE, a_a, halves
from counterplay.evaluate.profiles import performance_profile, probability_of_improvement
from counterplay.report import diagrams
from counterplay.report.adapting import ends_told
from counterplay.report.blocks import Block, Section, Table, Text
from counterplay.report.comparing import Cells
from counterplay.report.contents import image
from counterplay.report.curves import FEW_SEEDS
from counterplay.report.figures import Line
from counterplay.report.measure import Measured

THRESHOLDS = 101
NEEDED = 3
"""Seeds of a run; of fewer a bootstrap draws hardly anything but what was there."""


def comparisons(found: Measured, names: Mapping[int, str], mark: str) -> Section | None:
    """Of runs with several seeds; None where there are not two of them, nor one of many."""
    scores = {i: _matrix(cells) for i, cells in found.returns.items() if len(cells) >= NEEDED}
    blocks = [*_compared(scores, names, mark), *alike(scores, names)]
    return Section("Comparisons", tuple(blocks)) if blocks else None


def _compared(scores: Mapping[int, np.ndarray], names: Mapping[int, str], mark: str) -> list[Block]:
    """Of two runs or more."""
    if len(scores) < 2:
        return []
    words = (
        "A score is the mean return of one seed against one opponent. The probability of "
        "improvement is the chance that a seed of the first run scores more than one of the "
        "second against an opponent drawn at random (Agarwal et al., 2021, sect. 4.3): above .5 "
        "it does so more often than not; by how much it does not say. A performance profile is "
        "the share of scores above each return (sect. 4.2 there): a curve that is nowhere below "
        "another is the better run."
    )
    few = [names[i] for i, x in scores.items() if len(x) < FEW_SEEDS]
    if few:
        words += f" Preliminary, of fewer than {FEW_SEEDS} seeds: {', '.join(few)}."
    return [Text(words), improvement(scores, names), profile(scores, names, mark)]


def alike(scores: Mapping[int, np.ndarray], names: Mapping[int, str]) -> list[Block]:
    """A/A of every run with seeds enough; nothing where none has."""
    rows = []
    for i, x in scores.items():
        if len(x) >= LEAST_SEEDS:
            found = a_a(halves(x))
            told = f"{found.false:.1%}", f"{MOST_FALSE:.0%}", "yes" if found.sound else "no"
            rows.append((names[i], *told, str(found.repetitions), str(len(x))))
    if not rows:
        return []
    words = (
        "A/A: the seeds of one run, dealt at random in two halves, are compared like two runs. "
        "There is nothing to be found, so at a level of 5% a difference should be found about "
        "that often. Where it is found more often than asked, differences of such runs are not to "
        "be believed."
    )
    columns = ("run", "differences found", "at most asked", "sound", "halvings", "seeds")
    return [Text(words), Table("A/A: a run compared with itself.", columns, tuple(rows))]


def _matrix(cells: Cells) -> np.ndarray:
    """Scores, [seeds, opponents]."""
    return np.array([[cell.mean for cell in row] for row in cells])


def improvement(scores: Mapping[int, np.ndarray], names: Mapping[int, str]) -> Table:
    """Every run over every other one."""
    rows = []
    for a, b in permutations(scores, 2):
        found = probability_of_improvement(scores[a], scores[b])
        reach = f"{found.low:.3f} to {found.high:.3f}"
        seeds = f"{len(scores[a])} and {len(scores[b])}"
        rows.append((f"{names[a]} over {names[b]}", f"{found.estimate:.3f}", reach, seeds))
    columns = ("runs", "probability of improvement", "95% over seeds", "seeds")
    return Table("Probability of improvement.", columns, tuple(rows))


def profile(scores: Mapping[int, np.ndarray], names: Mapping[int, str], mark: str) -> Block:
    """A curve a run."""
    low = min(float(x.min()) for x in scores.values())
    high = max(float(x.max()) for x in scores.values())
    room = 0.02 * (high - low) or 1.0
    at = np.linspace(low - room, high + room, THRESHOLDS)
    lines = []
    for i, x in scores.items():
        found = performance_profile(x, at)
        lines.append(Line(names[i], at, found.estimate, found.low, found.high))
    axes = "return", "share of scores above it"
    draw = lambda theme: diagrams.curves(lines, *axes, theme, unit=True)
    alt = (
        f"Performance profile: share of scores above each return. {' '.join(map(ends_told, lines))}"
    )
    caption = "Performance profile; a band is the pointwise 95% interval over seeds."
    return image(f"profile{mark}.png", draw, alt, caption)
