"""Means, intervals and tests over training seeds: arrays in, numbers out, each with its source.

NaN marks what is missing, such as an episode that was not played; it is never counted.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

Numbers = np.ndarray | Sequence[Any]
Statistic = Callable[..., Any]
"""Called as ``statistic(x, axis=-1)``; reads NaN as missing."""

AT_A_TIME = 2**21
"""Numbers drawn in one batch, 16 MiB; what is found does not depend on it."""


class Interval(NamedTuple):
    """An estimate and the limits about it: numbers, or arrays with one entry a point of a curve."""

    estimate: Any
    low: Any
    high: Any
    count: Any
    """Top-level units, mostly seeds; 1 leaves their spread out, 0 means nobody said."""


class PermutationTest(NamedTuple):
    """What a paired permutation test found."""

    difference: float
    """Mean of a - b."""
    p_value: float
    """Two-sided."""
    exact: bool
    """Whether all sign flips were tried, rather than some drawn at random."""
    pairs: int


class _Cells(NamedTuple):
    """Scores without their gaps: what exists stands first along every axis."""

    values: np.ndarray
    """[seeds, opponents, episodes]."""
    opponents: np.ndarray
    """How many a seed has, [seeds]."""
    episodes: np.ndarray
    """How many an opponent has, [seeds, opponents]."""


def mean(x: Numbers, axis: int | None = None) -> Any:
    """Mean along an axis, or over everything; refuses to average nothing."""
    x = _numbers(x)
    there = ~np.isnan(x)
    return np.where(there, x, 0.0).sum(axis) / _counted(there, axis, 1)


def iqm(x: Numbers, axis: int | None = None) -> Any:
    """Interquartile mean: without the lowest and the highest quarter, each rounded down.

    Refuses to average nothing. Agarwal et al. (2021), sect. 4.3: steadier than the mean, and less
    wasteful than the median.
    """
    x = _numbers(x)
    x = np.sort(x.ravel() if axis is None else np.moveaxis(x, axis, -1))  # NaN comes last
    count = _counted(~np.isnan(x), -1, 1)
    cut = count // 4
    place = np.arange(x.shape[-1])
    kept = (place >= cut[..., None]) & (place < (count - cut)[..., None])
    return np.where(kept, x, 0.0).sum(-1) / (count - 2 * cut)


def standard_error(x: Numbers) -> Any:
    """Standard error of the mean over the first axis, of two or more values."""
    x = _numbers(x)
    there = ~np.isnan(x)
    count = _counted(there, 0, 2)
    square = np.where(there, (x - mean(x, 0)) ** 2, 0.0).sum(0)
    return np.sqrt(square / (count - 1) / count)


def t_interval(x: Numbers, level: float = 0.95) -> Interval:
    """Student's interval of the mean over seeds, one a point of a curve.

    ``x`` is [seeds] or [seeds, ...] with two or more seeds at every point. Student (1908).
    """
    error = standard_error(x)
    count = (~np.isnan(_numbers(x))).sum(0)
    return student_interval(mean(x, 0), error, count if count.ndim else int(count), level)


def student_interval(mean: Any, error: Any, count: Any, level: float = 0.95) -> Interval:
    """Student's interval of a mean of ``count`` units, two or more, by its standard error."""
    return _about(mean, error, count, level, stdtrit(np.subtract(count, 1), (1 + level) / 2))


def mean_interval(mean: Any, error: Any, level: float = 0.95, *, count: int = 0) -> Interval:
    """Normal interval of a mean whose standard error is known; numbers or arrays.

    Too narrow where few units stand behind the error: ``student_interval`` heeds how many.
    """
    return _about(mean, error, count, level, ndtri((1 + level) / 2))


def _about(mean: Any, error: Any, count: Any, level: float, reach: Any) -> Interval:
    """As many errors to either side as ``reach`` says."""
    _check_level(level)
    if not np.all(np.greater_equal(error, 0)):
        raise ValueError(f"a standard error is 0 or more, not {error}")
    return Interval(mean, mean - reach * error, mean + reach * error, count)


def hierarchical_bootstrap(
    scores: Numbers,
    statistic: Statistic = iqm,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic, drawing seeds, then their opponents, then episodes.

    ``scores`` is [seeds], [seeds, episodes] or [seeds, opponents, episodes]. Episodes are averaged
    first; the statistic is of the scores of all (seed, opponent) pairs, as in Agarwal et al.
    (2021). Where episodes of a match depend on each other, give means of matches instead.

    Where all seeds meet the same opponents, the interval is for these and not for others like
    them. One seed gives an interval over the lower levels alone, with a count of 1. Refuses a seed
    without a score, and a single score in all.
    Efron & Tibshirani (1993), ch. 8 and 13. Noise below the seeds counts about twice, so intervals
    err on the wide side where it is not small: Davison & Hinkley (1997), sect. 3.8.
    """
    _check_level(level)
    cells = _without_gaps(_by_level(scores))
    if cells.episodes.sum() == 1:
        raise ValueError("an interval needs two scores or more, found one")
    found = resampled(scores, statistic, resamples=resamples, seed=seed)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    estimate = statistic(_means_of_episodes(cells.values, cells.episodes).ravel(), axis=-1)
    return Interval(float(estimate), float(low), float(high), len(cells.values))


def resampled(
    scores: Numbers, statistic: Statistic = iqm, *, resamples: int = 2000, seed: Any = 0
) -> np.ndarray:
    """The statistic in every resample of ``hierarchical_bootstrap``, [resamples].

    For intervals of what is made of several statistics; one score in all gives itself each time.
    ``seed`` is whatever ``np.random.default_rng`` takes.
    """
    _check_resamples(resamples)
    cells = _without_gaps(_by_level(scores))
    streams = np.random.default_rng(seed).spawn(3)
    batch = max(1, AT_A_TIME // cells.values.size)
    found = np.empty(resamples)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        found[start : start + size] = statistic(_resample(streams, cells, size), axis=-1)
    return found


def paired_permutation(
    a: Numbers, b: Numbers, *, resamples: int = 20_000, seed: int = 0
) -> PermutationTest:
    """Two-sided test of whether paired scores differ, by flipping the signs of a - b.

    ``a`` and ``b`` are [seeds], two pairs or more, none missing. All 2**pairs flips are tried if
    they are no more than ``resamples``; otherwise that many are drawn, and the flip that happened
    counts as one more (Phipson & Smyth, 2010). No p-value is below 2 / 2**pairs if
    all are tried, or 1 / (resamples + 1).
    Fisher (1935), sect. 21; Good (2005).
    """
    _check_resamples(resamples)
    a, b = _numbers(a), _numbers(b)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"pairs are two lists of one length, found shapes {a.shape}, {b.shape}")
    if len(a) < 2:
        raise ValueError("a paired test needs two pairs or more, found one")
    if np.isnan(a).any() or np.isnan(b).any():
        raise ValueError("a paired test needs both scores of every pair, found one missing (NaN)")
    difference = a - b
    exact = 2 ** len(a) <= resamples
    # sums that are equal on paper differ by rounding, of the scores and of the sums
    least = abs(difference.sum()) - 1e-14 * (abs(a) + abs(b)).sum()
    flips = _all_signs(len(a)) if exact else _some_signs(len(a), resamples, seed)
    as_far = sum(int((abs(signs @ difference) >= least).sum()) for signs in flips)
    p_value = as_far / 2 ** len(a) if exact else (as_far + 1) / (resamples + 1)
    return PermutationTest(float(difference.mean()), p_value, exact, len(a))


def _all_signs(pairs: int) -> Iterator[np.ndarray]:
    """All rows of -1 and 1, in batches [rows, pairs]."""
    batch = max(1, AT_A_TIME // pairs)
    for start in range(0, 2**pairs, batch):
        number = np.arange(start, min(start + batch, 2**pairs))[:, None]
        yield 1.0 - 2.0 * (number >> np.arange(pairs) & 1)


def _some_signs(pairs: int, rows: int, seed: int) -> Iterator[np.ndarray]:
    """Random rows of -1 and 1, in batches [rows, pairs]."""
    rng = np.random.default_rng(seed)
    batch = max(1, AT_A_TIME // pairs)
    for start in range(0, rows, batch):
        yield np.where(rng.random((min(batch, rows - start), pairs)) < 0.5, -1.0, 1.0)


def _by_level(scores: Numbers) -> np.ndarray:
    """[seeds, opponents, episodes], of whatever levels there are; every seed has a score."""
    x = _numbers(scores)
    if not 1 <= x.ndim <= 3:
        raise ValueError(
            "scores are [seeds], [seeds, episodes] or [seeds, opponents, episodes], "
            f"found {x.ndim} axes"
        )
    x = x.reshape(len(x), x.shape[1] if x.ndim == 3 else 1, x.shape[-1] if x.ndim > 1 else 1)
    empty = np.flatnonzero(np.isnan(x).all((1, 2)))
    if empty.size:
        raise ValueError(f"every seed needs a score, found none (all NaN) at {empty.tolist()}")
    return x


def _without_gaps(x: np.ndarray) -> _Cells:
    """Moves what is missing to the end of the last two axes, and cuts off what nobody fills."""
    there = ~np.isnan(x)
    x = np.take_along_axis(x, np.argsort(~there, axis=2, kind="stable"), 2)
    episodes = there.sum(2)
    order = np.argsort(episodes == 0, axis=1, kind="stable")
    x = np.take_along_axis(x, order[:, :, None], 1)
    episodes = np.take_along_axis(episodes, order, 1)
    opponents = (episodes > 0).sum(1)
    most = opponents.max()
    return _Cells(x[:, :most, : episodes.max()], opponents, episodes[:, :most])


def _resample(streams: Sequence[np.random.Generator], cells: _Cells, size: int) -> np.ndarray:
    """Draws with replacement at every level; scores of (seed, opponent) pairs, [size, pairs].

    Each level has a stream of its own, so that neither the size of a batch nor the levels below
    change what is drawn.
    """
    seeds, opponents, episodes = shape = cells.values.shape
    seed = _draw(streams[0], np.full((size, seeds), seeds))
    most = np.broadcast_to(cells.opponents[seed][..., None], (size, seeds, opponents))
    pair = seed[..., None] * opponents + _draw(streams[1], most)
    count = cells.episodes.ravel()[pair]
    episode = _draw(streams[2], np.broadcast_to(count[..., None], (size, *shape)))
    drawn = cells.values.ravel()[pair[..., None] * episodes + episode]
    count = np.where(np.arange(opponents) < most, count, 0)  # as many opponents as the seed has
    return _means_of_episodes(drawn, count).reshape(size, seeds * opponents)


def _draw(stream: np.random.Generator, most: np.ndarray) -> np.ndarray:
    """Whole numbers below ``most``, all equally likely."""
    return (stream.random(most.shape) * most).astype(np.int64)


def _means_of_episodes(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Mean of the first ``count`` along the last axis; NaN where there are none."""
    counts = np.arange(values.shape[-1]) < count[..., None]
    total = np.where(counts, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _numbers(x: Numbers) -> np.ndarray:
    """Float64, none of them infinite."""
    x = np.asarray(x, np.float64)
    if x.size == 0:
        raise ValueError(f"expected numbers, found none in shape {x.shape}")
    if np.isinf(x).any():
        raise ValueError("expected finite numbers (NaN where missing), found an infinite one")
    return x


def _counted(there: np.ndarray, axis: int | None, least: int) -> Any:
    """How many are there along an axis."""
    count = there.sum(axis)
    if np.min(count) < least:
        raise ValueError(f"expected {least} or more numbers to average, found {np.min(count)}")
    return count


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")


def _check_resamples(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"expected 1 or more resamples, not {resamples}")
