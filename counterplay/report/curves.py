"""Learning curves: fewer points, and intervals over seeds."""

from typing import NamedTuple

import numpy as np

from counterplay.evaluate.statistics import t_interval

MOST_POINTS = 200
"""Of one curve; more would not be seen."""
FEW_SEEDS = 10
"""A study with fewer seeds is preliminary."""


class Interval(NamedTuple):
    """A mean over seeds and its interval; NaN bounds where fewer than two seeds are known."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Student's t over the last axis, which holds one entry a seed; NaN is none."""
    seeds = np.moveaxis(np.where(np.isfinite(values), values, np.nan), -1, 0)
    mean = mean_over(seeds)
    bounds = np.full((2, *mean.shape), np.nan)
    several = np.isfinite(seeds).sum(0) > 1
    if several.any():
        found = t_interval(seeds[:, several], level)
        bounds[:, several] = found.low, found.high
    return Interval(mean, *bounds)


def binned(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[I] and [I, S] -> at most MOST_POINTS points: means over consecutive iterations.

    Iterations in which a seed has no value do not count for it.
    """
    parts = np.array_split(np.arange(len(steps)), min(len(steps), MOST_POINTS))
    x = np.array([steps[part].mean() for part in parts])
    y = np.array([mean_over(values[part]) for part in parts])
    return x, y.reshape(len(parts), values.shape[1])


def mean_over(values: np.ndarray) -> np.ndarray:
    """Mean of every column over the rows where it has a value; NaN where it has none."""
    known = np.isfinite(values)
    count = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
