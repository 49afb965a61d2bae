"""Distributions of scores by hand and against SciPy, and how often bands hold the truth."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from counterplay.evaluate.profiles import (
    lowest_decile,
    performance_profile,
    probability_of_improvement,
    spread,
    worst_decile,
)

NAN = np.nan


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_profile_by_hand():
    scores = np.array([[0.1, 0.5], [0.5, 0.9]])
    found = performance_profile(scores, np.array([0.0, 0.1, 0.5, 0.9]))
    assert found.estimate.tolist() == [1, 0.75, 0.25, 0] and found.count == 2
    # resamples of two seeds have the first twice, both, or the second twice
    assert found.low.tolist() == [1, 0.5, 0, 0] and found.high.tolist() == [1, 1, 0.5, 0]


def test_profiles_fall_and_are_the_distribution_function():
    scores, at = normal(20, 5), np.linspace(-3, 3, 13)
    found = performance_profile(scores, at, resamples=500)
    np.testing.assert_allclose(found.estimate, 1 - stats.ecdf(scores.ravel()).cdf.evaluate(at))
    for x in found[:3]:
        assert (np.diff(x) <= 0).all()
    assert (found.low <= found.estimate).all() and (found.estimate <= found.high).all()


def test_the_band_of_the_profile_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        scores = normal(20, 1, seed=seed) + normal(20, 4, seed=seed + 1000)  # seeds differ
        found = performance_profile(scores, np.array([0.0]), resamples=300, seed=seed)
        held += found.low[0] <= 0.5 <= found.high[0]
    assert 178 <= held <= 198  # of 200 at 95%, less what a bootstrap of 20 lacks


def test_improvement_by_hand():
    a, b = np.array([[1.0, 2], [3, 2]]), np.array([[0.0, 2], [2, 5], [4, 1]])
    # first opponent: 1 > 0, 3 > 0, 3 > 2 of 6; second: 2 = 2 twice, 2 > 1 twice
    found = probability_of_improvement(a, b)
    assert found.estimate == pytest.approx((3 / 6 + 3 / 6) / 2) and found.count == 2


@pytest.mark.parametrize(("n", "m"), [(5, 5), (8, 3)])
def test_improvement_is_the_mann_whitney_statistic(n, m):
    a, b = normal(n, 1) + 0.5, normal(m, 1, seed=1)
    a[0], b[0] = 0.3, 0.3
    expected = stats.mannwhitneyu(a[:, 0], b[:, 0]).statistic / (n * m)
    assert probability_of_improvement(a, b).estimate == pytest.approx(expected)
    turned = probability_of_improvement(b, a)
    assert turned.estimate == pytest.approx(1 - expected)


def test_the_limits_of_improvement_by_enumeration():
    a, b = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])
    wins = [
        np.mean([[x > y for y in ys] for x in xs])
        for xs in product(a[:, 0], repeat=2)
        for ys in product(b[:, 0], repeat=2)
    ]
    found = probability_of_improvement(a, b, level=0.9, resamples=20_000)
    low, high = np.quantile(wins, [0.05, 0.95], method="inverted_cdf")
    assert (found.low, found.high) == (low, high)


def test_sides_that_always_win_and_sides_alike():
    x = normal(10, 3)
    sure = probability_of_improvement(x + 100, x)
    assert sure[:3] == (1, 1, 1)
    same = probability_of_improvement(x, x)
    assert same.estimate == pytest.approx(0.5) and same.low < 0.5 < same.high


def test_worst_decile_by_hand():
    x = np.array([[*range(20)], [*range(100, 120)]], float)
    assert lowest_decile(x).tolist() == [0.5, 100.5]
    assert lowest_decile([5.0, 3.0, 4.0]) == 3  # of few the lowest one
    assert lowest_decile([*range(11), NAN]) == 0.5  # of eleven two
    assert lowest_decile(x, axis=0).tolist() == [*range(20)]
    found = worst_decile(x)
    assert found[:3] == (50.5, 0.5, 100.5) and found.count == 2


def test_spread_by_hand():
    assert spread([*range(11), NAN]) == (1, 9)
    assert spread([[3.0]]) == (3, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: performance_profile(np.array([[NAN]]), np.zeros(1)), "without gaps.* with 1 that"),
        (lambda: performance_profile(np.zeros((0, 2)), np.zeros(1)), r"found shape \(0, 2\)"),
        (lambda: performance_profile(np.ones((2, 2)), np.zeros(1), level=95), "the level"),
        (lambda: performance_profile(np.ones((2, 2)), np.zeros(1), resamples=0), "resamples"),
        (
            lambda: probability_of_improvement(np.ones((2, 3)), np.ones((2, 1))),
            "the same opponents, found 3 and 1",
        ),
        (lambda: worst_decile([1.0, 2.0]), r"\[seeds, episodes\], found 1"),
        (lambda: lowest_decile([[NAN], [1.0]]), "found none"),
        (lambda: spread([NAN]), "found none"),
    ],
)
def test_rude_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
