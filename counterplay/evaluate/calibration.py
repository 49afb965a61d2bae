"""Whether beliefs mean what they say, with the band in which right ones would fall.

The truth is constant in a block, one other in one episode (or match), so the predictions of a
block are right or wrong together: counting them as so many trials finds faults where there are
none.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

ENOUGH = 20_000
"""Predictions below which a diagram is noise."""


class Calibration(NamedTuple):
    """A reliability diagram and its null band; NaN in empty bins."""

    confidence: np.ndarray
    """Mean probability given to the likeliest outcome, [bins]."""
    frequency: np.ndarray
    """How often that was the true one, [bins]."""
    low: np.ndarray
    """Of the frequency, in 95% of the worlds where the beliefs are right, [bins]."""
    high: np.ndarray
    count: np.ndarray
    """Predictions, [bins]."""
    ece: float
    """Expected calibration error: mean of |frequency - confidence| over predictions."""
    ece_high: float
    """Below which it falls in 95% of the worlds where the beliefs are right."""
    p_value: float
    """Share of those worlds with an error at least as large."""
    predictions: int
    blocks: int

    @property
    def inside(self) -> bool:
        """The error is one that right beliefs have."""
        return self.ece <= self.ece_high

    @property
    def enough(self) -> bool:
        """Say "too few" where it is False."""
        return self.predictions >= ENOUGH


def calibration(
    log_belief: Float[np.ndarray, "P G"],
    truth: Int[np.ndarray, " P"],
    block: Int[np.ndarray, " P"],
    *,
    bins: int = 15,
    level: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
) -> Calibration:
    """Reliability of ``P`` beliefs over G outcomes; ``block`` numbers the block of each.

    Bins are of equal width, of the probability of the likeliest outcome: Guo et al. (2017), eq. 3.
    The null band redraws one outcome a block: G Gumbel numbers are drawn for a block and held, and
    what they and a belief make the outcome, argmax(log b + Gumbel), stands for the truth. So every
    belief is right on its own, as likely as it says, and the same belief in a block has the same
    outcome throughout. Drawing it from the block's last belief instead would excuse who was too
    sure early on. Bröcker & Smith (2007) for the band; Gumbel (1954) for the draw.
    For next moves, which are drawn anew in every slot, every prediction is a block.
    """
    log_belief = np.asarray(log_belief, np.float64)
    block, blocks = _checked(log_belief, truth, block, bins, level, resamples)
    best = log_belief.argmax(-1)
    top = np.exp(log_belief.max(-1))
    place = np.minimum((top * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    share = lambda x: np.bincount(place, x, bins) / np.where(count > 0, count, np.nan)
    confidence, frequency = share(top), share(best == truth)
    rng = np.random.default_rng(seed)
    null = np.empty((resamples, bins))
    for i in range(resamples):
        held = rng.gumbel(size=(blocks, log_belief.shape[-1]))
        null[i] = share((log_belief + held[block]).argmax(-1) == best)
    error = lambda f: np.nansum(abs(f - confidence) * count, -1) / count.sum()
    ece, errors = float(error(frequency)), error(null)
    low, high = np.quantile(null, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Calibration(
        confidence,
        frequency,
        low,
        high,
        count,
        ece,
        float(np.quantile(errors, level)),
        float((1 + (errors >= ece - 1e-12).sum()) / (1 + resamples)),
        len(truth),
        blocks,
    )


def _checked(
    log_belief: np.ndarray,
    truth: np.ndarray,
    block: np.ndarray,
    bins: int,
    level: float,
    resamples: int,
) -> tuple[np.ndarray, int]:
    """Blocks numbered from 0, and how many; ValueError where something is amiss."""
    if bins < 1 or resamples < 1 or not 0 < level < 1:
        raise ValueError(
            "expected 1 or more bins and resamples and a level between 0 and 1, found "
            f"{bins}, {resamples} and {level}"
        )
    if not len(truth):
        raise ValueError("expected predictions to calibrate, found none")
    total = np.exp(log_belief).sum(-1)
    if not np.allclose(total, 1, rtol=0, atol=1e-4):
        worst = total[abs(total - 1).argmax()]
        raise ValueError(f"log_belief holds log-probabilities that sum to 1, found {worst}")
    if truth.min() < 0 or truth.max() >= log_belief.shape[-1]:
        raise ValueError(
            f"truths are 0 to {log_belief.shape[-1] - 1}, found {truth.min()} to {truth.max()}: "
            "leave out slots where none is declared"
        )
    _, numbers = np.unique(block, return_inverse=True)
    return numbers, int(numbers.max()) + 1
