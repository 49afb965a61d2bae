"""A/A: how often the comparison of an agent with itself finds a difference."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay.evaluate.statistics import paired_permutation

Pair = tuple[np.ndarray, np.ndarray]
Procedure = Callable[[np.ndarray, np.ndarray], float]
"""``procedure(a, b)`` is the p-value of a comparison; each is whatever the draw gives."""

MOST_FALSE = 0.08
"""Share of false positives above which a procedure at 5% is not to be believed; of 200 repetitions
a right one exceeds it once in 40."""

LEAST_SEEDS = 12
"""In two halves: six pairs of seeds are the fewest of which a test can reach 5% (2 / 2**6)."""


class AA(NamedTuple):
    """What comparing equals found."""

    false: float
    """Share of repetitions in which a difference was found."""
    repetitions: int

    @property
    def sound(self) -> bool:
        return self.false <= MOST_FALSE


def seed_means(a: np.ndarray, b: np.ndarray) -> float:
    """The procedure of this project: the mean of every seed, then paired sign flips over seeds."""
    of_seed = lambda x: x.reshape(len(x), -1).mean(1)
    return paired_permutation(of_seed(a), of_seed(b), resamples=4096).p_value


def a_a(
    draw: Callable[[np.random.Generator], Pair],
    procedure: Procedure = seed_means,
    *,
    level: float = 0.05,
    repetitions: int = 200,
    seed: int = 0,
) -> AA:
    """Share of repetitions in which two draws of one and the same agent differ at ``level``.

    ``draw(rng)`` gives scores of both sides, [S, ...], seeds first and paired. With a fresh draw
    every time the repetitions are independent; ``halves`` draws from trainings that there are.
    """
    if repetitions < 1 or not 0 < level < 1:
        raise ValueError(
            f"expected 1 or more repetitions and a level between 0 and 1, found {repetitions} and "
            f"{level}"
        )
    rng = np.random.default_rng(seed)
    found = sum(procedure(*draw(rng)) <= level for _ in range(repetitions))
    return AA(found / repetitions, repetitions)


def halves(scores: Float[np.ndarray, "S ..."]) -> Callable[[np.random.Generator], Pair]:
    """A draw for ``a_a``: the seeds of one agent, dealt in two halves at random.

    Halves share seeds from one repetition to the next, so the share of false positives wavers
    more than that of as many independent ones. Six seeds or more a half: no test of fewer reaches
    5% (2 / 2**5 = .0625).
    """
    if len(scores) < LEAST_SEEDS:
        raise ValueError(
            f"two halves of six seeds or more are needed, found {len(scores)} seeds: with fewer no "
            "difference is ever found, and nothing is tested"
        )
    half = len(scores) // 2

    def draw(rng: np.random.Generator) -> Pair:
        order = rng.permutation(len(scores))
        return scores[order[:half]], scores[order[half : 2 * half]]

    return draw
