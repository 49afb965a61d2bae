"""The adaptation score: how much of what knowing the others is worth an agent earns."""

from typing import NamedTuple

import numpy as np

from counterplay.evaluate.statistics import Interval, Numbers, mean, resampled

LEAST_HEADROOM = 0.15
"""Of oracle - random, below which filter - blind is too little to divide by."""
LEAST_BELOW = 1e-12
"""In place of a difference of 0 in a resample: the ratio is huge there, and so are the limits."""


class Adaptation(NamedTuple):
    """What an agent earned, between the references of its scenario."""

    score: Interval | None
    """(return - blind) / (filter - blind): 0 as who knows nothing, 1 as exact inference.

    Not clipped. None, printed "-", where there is too little headroom.
    """
    share: Interval | None
    """(return - random) / (oracle - random), the share of oracle; None where oracle <= random."""
    headroom: float
    """(filter - blind) / (oracle - random); NaN where oracle <= random."""

    def __str__(self) -> str:
        return "-" if self.score is None else "{:.2f} [{:.2f}, {:.2f}]".format(*self.score[:3])


def adaptation(
    returns: Numbers,
    *,
    random: Numbers,
    blind: Numbers,
    filter: Numbers,
    oracle: Numbers,
    least: float = LEAST_HEADROOM,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Adaptation:
    """Ratio of means with a bootstrap over the numerator and every reference.

    Each is [seeds], [seeds, matches] or [seeds, opponents, matches], over the same opponents; a
    reference known exactly is one number, [value], and adds no spread. All are drawn apart, as in
    ``hierarchical_bootstrap``; limits are percentiles of the ratio, which is not clipped. Where
    filter - blind may be 0 within its error they are wide, as they should be.
    Efron & Tibshirani (1993), sect. 10.3, for a ratio of means.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    if least < 0:
        raise ValueError(f"the least headroom is 0 or more, found {least}")
    named = {"return": returns, "random": random, "blind": blind}
    named |= {"filter": filter, "oracle": oracle}
    drawn = {
        name: resampled(_at_least_one_axis(x), mean, resamples=resamples, seed=[seed, i])
        for i, (name, x) in enumerate(named.items())
    }
    at = {name: _estimate(x) for name, x in named.items()}
    count = len(np.atleast_1d(np.asarray(returns)))
    room = at["oracle"] - at["random"]
    headroom = (at["filter"] - at["blind"]) / room if room > 0 else np.nan
    sound = at["blind"] >= at["random"]  # or random play would have a score
    ratio = lambda low, high: _ratio(at, drawn, low, high, level, count)
    return Adaptation(
        ratio("blind", "filter") if headroom >= least and headroom > 0 and sound else None,
        ratio("random", "oracle") if room > 0 else None,
        float(headroom),
    )


def _ratio(
    at: dict[str, float], drawn: dict[str, np.ndarray], low: str, high: str, level: float, n: int
) -> Interval:
    """(return - low) / (high - low), and its percentiles."""
    estimate = (at["return"] - at[low]) / (at[high] - at[low])
    above, below = drawn["return"] - drawn[low], drawn[high] - drawn[low]
    found = above / np.where(below == 0, LEAST_BELOW, below)
    limits = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(limits[0]), float(limits[1]), n)


def _estimate(x: Numbers) -> float:
    """Mean over (seed, opponent) pairs of their mean over matches: what is resampled."""
    values = _at_least_one_axis(x)
    pairs = values if values.ndim == 1 else _mean_of_matches(values)
    return float(mean(pairs))


def _mean_of_matches(x: np.ndarray) -> np.ndarray:
    there = ~np.isnan(x)
    total = np.where(there, x, 0.0).sum(-1)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)


def _at_least_one_axis(x: Numbers) -> np.ndarray:
    return np.atleast_1d(np.asarray(x, np.float64))
