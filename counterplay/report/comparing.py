"""What a report concludes over seeds: interquartile means, and tests of runs with paired seeds."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from counterplay.evaluate.statistics import (
    Interval,
    hierarchical_bootstrap,
    iqm,
    paired_permutation,
)
from counterplay.report.blocks import Block, Table, Text
from counterplay.report.curves import FEW_SEEDS
from counterplay.report.measure import Cell, Measured
from counterplay.report.read import Run

Cells = tuple[tuple[Cell, ...], ...]
"""For each seed of a run a cell an opponent."""


class Middle(NamedTuple):
    """What a run earned against each opponent, then over the mean of them, and by what it is known.

    Empty where nobody took down what matches earned.
    """

    intervals: tuple[Interval, ...]
    over: str


def with_mean(x: np.ndarray) -> np.ndarray:
    """[..., opponents] with their mean after them, as a table has it; of one there is none."""
    return np.concatenate([x, x.mean(-1, keepdims=True)], -1) if x.shape[-1] > 1 else x


def middle(cells: Cells) -> Middle:
    """Interquartile means over seeds, and 95% by drawing seeds, then matches, with replacement."""
    fewest = min(len(cell.blocks) for row in cells for cell in row)
    over = f"{len(cells)} seeds, and matches" if len(cells) > 1 else "matches of one seed only"
    if fewest * len(cells) < 2:
        return Middle((), over)
    means = with_mean(np.array([[cell.mean for cell in row] for row in cells]))
    blocks = np.array([[cell.blocks[:fewest] for cell in row] for row in cells])
    each = np.moveaxis(with_mean(np.moveaxis(blocks, 1, -1)), -1, 0)  # [opponents, seeds, blocks]
    drawn = [hierarchical_bootstrap(x) for x in each]
    pairs = zip(drawn, means.T, strict=True)
    return Middle(tuple(found._replace(estimate=float(iqm(x))) for found, x in pairs), over)


def middles(found: Measured, opponents: Sequence[str], names: Mapping[int, str]) -> list[Block]:
    """A table of the interquartile means of every run, and what was drawn for its intervals."""
    results = {i: middle(cells) for i, cells in found.returns.items()}
    results = {i: result for i, result in results.items() if result.intervals}
    if not results:
        return []
    columns, rows = ["against"], [[name] for name in opponents]
    for i, (intervals, over) in results.items():
        columns += [f"{names[i]}, interquartile mean", f"{names[i]}, 95% over {over}"]
        for row, one in zip(rows, intervals, strict=True):
            row += [f"{one.estimate:,.3f}", f"{one.low:,.3f} to {one.high:,.3f}"]
    words = (
        "The interquartile mean leaves out the lowest and the highest quarter of the seeds; of "
        "fewer than four it is the mean. Its interval is a hierarchical bootstrap: seeds are drawn "
        "with replacement, then matches of each seed (of many, means of groups of them); the "
        "opponents stay as they are."
    )
    if any(len(found.returns[i]) == 1 for i in results):
        words += (
            " Of one seed only its matches are drawn, which says nothing of what another seed "
            "would learn."
        )
    caption = "Interquartile mean over seeds of the mean return of an episode."
    return [Text(words), Table(caption, tuple(columns), tuple(map(tuple, rows)))]


def differences(
    found: Measured, opponents: Sequence[str], runs: Mapping[int, Run], names: Mapping[int, str]
) -> list[Block]:
    """Each run less each later one, seed by seed, and whether chance alone would do as much."""
    rows: list[tuple[str, ...]] = []
    for a, b in combinations(found.returns, 2):
        left, right = paired(runs[a], found.returns[a]), paired(runs[b], found.returns[b])
        seeds = [seed for seed in left if seed in right]
        less = [left[seed] for seed in seeds], [right[seed] for seed in seeds]
        for k, name in enumerate(opponents):
            x, y = (np.array([means[k] for means in side]) for side in less)
            rows.append((f"{names[a]} - {names[b]}", name, *_tested(x, y), str(len(seeds))))
    if not rows:
        return []
    words = (
        "Runs are compared seed by seed, those of one number making a pair: a two-sided "
        "permutation test that flips the signs of the differences. p is how often chance alone "
        "would set the runs as far apart, if they were alike. No p is corrected for how many "
        f"there are; fewer than {FEW_SEEDS} pairs are preliminary."
    )
    columns = ("runs", "against", "mean difference", "p", "pairs of seeds")
    return [
        Text(words),
        Table("Differences of the mean return of an episode.", columns, tuple(rows)),
    ]


def paired(run: Run, cells: Cells) -> dict[int, np.ndarray]:
    """Number of a seed -> its mean returns, as tables have them."""
    means = with_mean(np.array([[cell.mean for cell in row] for row in cells]))
    return dict(zip(run.seed_numbers, means, strict=False))


def _tested(x: np.ndarray, y: np.ndarray) -> tuple[str, str]:
    """Mean difference and p-value in words."""
    if len(x) < 2:
        return (f"{(x - y).mean():,.3f}" if len(x) else "-"), "too few pairs"
    found = paired_permutation(x, y)
    p = f"{found.p_value:.3f}" if found.p_value >= 0.0005 else f"{found.p_value:.1e}"
    return f"{found.difference:,.3f}", p if len(x) >= FEW_SEEDS else f"{p} (preliminary)"
