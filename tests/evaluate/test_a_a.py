"""Equals are told apart no more often than stated; a procedure that counts episodes is caught."""

import numpy as np
import pytest
from scipy import stats

from counterplay.evaluate.a_a import AA, MOST_FALSE, a_a, halves, seed_means


def trainings(rng: np.random.Generator, seeds: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """One agent twice, [S, K, R]: seeds differ, their conditions are shared, episodes are noisy."""
    shared = rng.standard_t(3, (1, seeds, 1, 1))
    own = rng.standard_t(3, (2, seeds, 1, 1)) + 0.5 * rng.normal(size=(2, seeds, 3, 1))
    a, b = shared + own + rng.normal(size=(2, seeds, 3, 20))
    return a, b


def test_equals_are_called_different_in_at_most_eight_of_a_hundred():
    found = a_a(trainings)
    assert found.repetitions == 200 and found.false <= MOST_FALSE and found.sound
    assert found.false > 0  # it does look


def test_counting_episodes_as_seeds_is_caught():
    wrong = lambda a, b: float(stats.ttest_rel(a.ravel(), b.ravel()).pvalue)
    found = a_a(trainings, wrong)
    assert not found.sound and found.false > 0.5


def test_a_real_difference_is_no_a_a():
    def draw(rng):
        a, b = trainings(rng)
        return a + 3, b

    assert a_a(draw).false > 0.5


def test_halves_are_of_one_agent_and_do_not_overlap():
    scores = np.arange(13.0)
    a, b = halves(scores)(np.random.default_rng(0))
    assert len(a) == len(b) == 6 and len({*a.tolist(), *b.tolist()}) == 12
    real = trainings(np.random.default_rng(3), seeds=40)[0]
    assert a_a(halves(real)).sound
    with pytest.raises(ValueError, match="found 11 seeds: with fewer no difference"):
        halves(np.arange(11.0))


def test_p_values_are_of_seed_means():
    a, b = trainings(np.random.default_rng(0), seeds=5)
    assert seed_means(a + 100, b) == 2 / 2**5
    assert AA(0.08, 200).sound and not AA(0.085, 200).sound


@pytest.mark.parametrize("settings", [{"repetitions": 0}, {"level": 0.0}, {"level": 5.0}])
def test_rude_input(settings):
    with pytest.raises(ValueError, match="1 or more repetitions and a level"):
        a_a(trainings, **settings)
