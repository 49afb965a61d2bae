"""Whole distributions of scores, not only their middle: profiles, comparisons, the worst decile.

``S`` seeds, ``K`` opponents or tasks, ``H`` thresholds.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay.evaluate.statistics import Interval, Numbers, resampled


class Spread(NamedTuple):
    """Where the middle four fifths of scores lie."""

    low: float
    """10th percentile."""
    high: float
    """90th percentile."""


def performance_profile(
    scores: Float[np.ndarray, "S K"],
    thresholds: Float[np.ndarray, " H"],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Share of (seed, opponent) scores above each threshold; entries [H].

    The score distribution of Agarwal et al. (2021), sect. 4.2. The band is pointwise and draws
    seeds, each with its scores against all opponents, which share it; the paper draws runs apart
    for every task, as its runs do not go together. Refuses gaps.
    """
    _check(level, resamples)
    scores = _matrix("scores", scores)
    above = (scores[..., None] > thresholds).mean(1)  # [S, H]
    rng = np.random.default_rng(seed)
    seeds = len(scores)
    drawn = rng.integers(0, seeds, (resamples, seeds))
    weight = np.zeros((resamples, seeds))  # how often each seed was drawn: a mean is a product
    np.add.at(weight, (np.arange(resamples)[:, None], drawn), 1 / seeds)
    low, high = np.quantile(weight @ above, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(above.mean(0), low, high, seeds)


def probability_of_improvement(
    a: Float[np.ndarray, "S K"],
    b: Float[np.ndarray, "V _"],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Chance that a seed of ``a`` scores more than one of ``b``, against an opponent at random.

    Mean over opponents of P(a > b) + P(a = b) / 2 over all pairs of seeds, the Mann-Whitney
    statistic over the number of pairs: Agarwal et al. (2021), sect. 4.3; Mann & Whitney (1947).
    ``b`` is [V, K], its own seeds; the interval draws the seeds of both apart. Above 1/2 ``a`` is
    better more often than not; by how much it does not say. Refuses gaps.
    """
    _check(level, resamples)
    a, b = _matrix("a", a), _matrix("b", b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"both sides must have met the same opponents, found {a.shape[1]} and {b.shape[1]}"
        )
    x, y = a[:, None], b[None]
    wins = ((x > y) + 0.5 * (x == y)).mean(-1)  # [S, V]
    rng = np.random.default_rng(seed)
    found = np.empty(resamples)
    for i in range(resamples):
        rows, columns = rng.integers(0, len(a), len(a)), rng.integers(0, len(b), len(b))
        found[i] = wins[rows][:, columns].mean()
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(wins.mean()), float(low), float(high), min(len(a), len(b)))


def lowest_decile(x: Numbers, axis: int = -1) -> Any:
    """Mean of the lowest tenth along an axis, rounded up, so one at least; NaN is missing."""
    x = np.sort(np.moveaxis(np.asarray(x, np.float64), axis, -1))  # NaN comes last
    count = (~np.isnan(x)).sum(-1)
    if not x.size or (count == 0).any():
        raise ValueError("expected one score or more along the axis, found none")
    kept = np.arange(x.shape[-1]) < -(-count // 10)[..., None]
    return np.where(kept, x, 0.0).sum(-1) / kept.sum(-1)


def worst_decile(
    returns: Numbers, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean return of the worst tenth of a seed's episodes, or matches, averaged over seeds.

    ``returns`` is [seeds, episodes]; the interval draws seeds: episodes drawn anew would repeat the
    worst of them. Conditional value at risk at 10%, Rockafellar & Uryasev (2000).
    """
    _check(level, resamples)
    x = np.asarray(returns, np.float64)
    if x.ndim != 2:
        raise ValueError(f"returns are [seeds, episodes], found {x.ndim} axes")
    each = lowest_decile(x)
    found = resampled(each, np.mean, resamples=resamples, seed=seed)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(each.mean()), float(low), float(high), len(each))


def spread(scores: Numbers) -> Spread:
    """10th to 90th percentile of all scores, interpolated; NaN is missing."""
    x = np.asarray(scores, np.float64)
    x = x[~np.isnan(x)]
    if not x.size:
        raise ValueError("expected one score or more, found none")
    low, high = np.quantile(x, [0.1, 0.9])
    return Spread(float(low), float(high))


def _matrix(name: str, x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if not x.size or not np.isfinite(x).all():
        raise ValueError(
            f"{name} is [seeds, opponents] without gaps, found shape {x.shape} with "
            f"{int((~np.isfinite(x)).sum())} that are missing or infinite"
        )
    return x


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    if resamples < 1:
        raise ValueError(f"expected 1 or more resamples, not {resamples}")
