"""Means by a number, such as the moves seen so far or the episode of a match, with intervals.

``S`` seeds come first; what follows them is whatever was played.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import stdtrit

from counterplay.evaluate.statistics import Interval
from counterplay.types import NO_MOVE


def masked_mean(x: Float[np.ndarray, "..."], axis: Any = -1) -> Any:
    """Mean of what is not NaN; NaN where nothing is."""
    there = ~np.isnan(x)
    count = there.sum(axis)
    total = np.where(there, x, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[()]


def moves_seen(
    moves: Int[np.ndarray, "*b T"], start: Bool[np.ndarray, "*b T"] | None = None
) -> Int[np.ndarray, "*b T"]:
    """How many moves were seen before each slot since the last ``start``, by default slot 0.

    Give the first slots of episodes, or of matches to count from first contact. A slot without a
    move is none.
    """
    seen = (moves != NO_MOVE).astype(np.int64)
    before = np.cumsum(seen, -1) - seen
    if start is None:
        return before
    base = np.maximum.accumulate(np.where(start, before, 0), -1)  # it never falls along a row
    return before - base


def by_number(
    x: Float[np.ndarray, "S *b"], number: Int[np.ndarray, "S *b"], most: int
) -> Float[np.ndarray, "S R"]:
    """Mean of x where the number is 0, 1, ..., ``most``, one row a seed; NaN where there is none.

    Entries of x that are NaN, and numbers outside the range, are not counted.
    """
    seeds, width = len(x), most + 1
    kept = ~np.isnan(x) & (number >= 0) & (number <= most)
    seed = np.broadcast_to(np.arange(seeds).reshape(-1, *[1] * (x.ndim - 1)), x.shape)
    place = np.where(kept, seed * width + number, seeds * width).ravel()
    size = seeds * width + 1
    total = np.bincount(place, np.where(kept, x, 0.0).ravel(), size)[:-1]
    count = np.bincount(place, minlength=size)[:-1]
    found = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found.reshape(seeds, width)


def curve(means: Float[np.ndarray, "S R"], level: float = 0.95) -> Interval:
    """Student's interval over seeds at every point, entries [R].

    Where fewer than two seeds have a mean the limits are NaN, and where none has so is the
    estimate; ``count`` tells. Student (1908).
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies between 0 and 1, not at {level}")
    count = (~np.isnan(means)).sum(0)
    estimate = masked_mean(means, 0)
    square = np.where(np.isnan(means), 0.0, (means - estimate) ** 2).sum(0)
    several = count > 1
    free = np.maximum(count - 1, 1)
    reach = stdtrit(free, (1 + level) / 2) * np.sqrt(square / free / np.maximum(count, 1))
    reach = np.where(several, reach, np.nan)
    return Interval(estimate, estimate - reach, estimate + reach, count)


def adaptation_curve(returns: Shaped[np.ndarray, "..."], level: float = 0.95) -> Interval:
    """Mean return by the episode of the match, or mean reward by the slot since first contact.

    ``returns`` is [S, ..., R] with R episodes, or slots, from first contact on; NaN where a match
    was over. Entries of the interval are [R]; Student over seeds, or over the first axis, whatever
    it is.
    """
    x = np.asarray(returns, np.float64)
    if x.ndim < 2:
        raise ValueError(f"returns are [S, ..., R], found shape {x.shape}: one seed is [1, ..., R]")
    return curve(masked_mean(x.reshape(len(x), -1, x.shape[-1]), 1), level)
