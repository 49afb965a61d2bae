"""Closed forms, enumeration, how often intervals and tests are right, and rude input."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from counterplay.evaluate import statistics
from counterplay.evaluate.statistics import (
    Interval,
    hierarchical_bootstrap,
    iqm,
    mean,
    mean_interval,
    paired_permutation,
    standard_error,
    student_interval,
    t_interval,
)

INF, NAN = np.inf, np.nan
Array = np.ndarray[Any, Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def resampled(scores: Any, resamples: int, seed: int = 0) -> Array:
    """The scores of every resample, one a (seed, opponent) pair: [resamples, pairs]."""
    seen = []

    def spy(x: Array, axis: int) -> Array:
        seen.append(x)
        return np.nansum(x, axis)

    hierarchical_bootstrap(scores, spy, resamples=resamples, seed=seed)
    return np.concatenate(seen[:-1])  # the last is the estimate


def usual(hits: int, of: int, share: float) -> bool:
    """Whether a count is one that chance gives more often than twice in 10,000."""
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], of, share)
    return low <= hits <= high


# means


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([1000, 0, 4, 1, 8, 0, 100, 2], (1 + 2 + 4 + 8) / 4),
        ([1000, 6, 0, 5, 1], (1 + 5 + 6) / 3),
        ([0, 1, 8], 3),
        ([7], 7),
        ([NAN, 1000, 6, NAN, 0, 5, 1], 4),
        ([[0, 1], [5, 6], [1000, NAN]], 4),
    ],
)
def test_iqm_by_hand(x, expected):
    assert iqm(x) == expected


@pytest.mark.parametrize("n", range(20))
def test_iqm_of_the_first_numbers_is_their_middle(n):
    assert iqm(np.arange(n + 1)) == n / 2


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.integers(0, 5))
def test_means_are_those_of_scipy_and_do_not_see_gaps(x, gaps):
    holey = np.random.default_rng(gaps).permutation([*x, *[NAN] * gaps])
    assert iqm(holey) == pytest.approx(stats.trim_mean(x, 0.25), abs=1e-12)
    assert mean(holey) == pytest.approx(np.mean(x), abs=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_means_along_an_axis(axis):
    x = normal(5, 6, 7)
    np.testing.assert_allclose(mean(x, axis), x.mean(axis))
    np.testing.assert_allclose(iqm(x, axis), stats.trim_mean(x, 0.25, axis))


# the bootstrap


def test_limits_by_hand():
    # of two scores, resamples have means 0, 1/2 and 1 with chances 1/4, 1/2 and 1/4
    for scores in ([0, 1], [[0, 1]], [[[0], [1]]], [[[0, 1]]], [[0, 0], [1, 1]]):
        found = [hierarchical_bootstrap(scores, mean, level=level)[:3] for level in (0.4, 0.6)]
        assert found == [(0.5, 0.5, 0.5), (0.5, 0, 1)]


def test_the_spread_of_the_mean_is_sigma_over_root_n():
    x = 3 * normal(400)
    found = resampled(x, 10_000).mean(1)
    assert found.std() == pytest.approx(x.std() / 20, rel=0.03)
    assert found.std() == pytest.approx(3 / 20, rel=0.15)
    interval = hierarchical_bootstrap(x, mean, level=0.9, resamples=10_000)
    half = stats.norm.ppf(0.95) * x.std() / 20
    assert interval[:3] == pytest.approx((x.mean(), x.mean() - half, x.mean() + half), abs=0.02)


@pytest.mark.parametrize(("a", "b"), [(1, 0), (0, 1), (1, 2)])
def test_variance_components(a, b):
    """The truth is a**2 / S + b**2 / (S * E); drawing at both levels counts the second twice."""
    S, E = 2000, 5
    x = a * normal(S, 1) + b * normal(S, E, seed=1)
    expected = ((S - 1) / S * (a**2 + b**2 / E) + (E - 1) / E * b**2 / E) / S
    assert resampled(x, 1000).mean(1).var() == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("ragged", [False, True])
def test_three_levels_add_their_variances(ragged):
    """Exact given the data, but for the number of resamples."""
    seeds, opponents, episodes = 6, 4, 5
    x = normal(seeds, 1, 1) + normal(opponents, 1, seed=1) + 2 * normal(6, 4, 5, seed=2)
    if ragged:
        count = np.random.default_rng(3).integers(1, episodes + 1, (seeds, opponents, 1))
        x[np.arange(episodes) >= count] = NAN
        x = np.random.default_rng(4).permuted(x, axis=2)
    pair = np.nanmean(x, 2)
    within_pair = np.nanvar(x, 2) / (~np.isnan(x)).sum(2)
    within_seed = (pair.var(1) + within_pair.mean(1)) / opponents
    expected = (pair.mean(1).var() + within_seed.mean()) / seeds
    found = resampled(x, 20_000).mean(1)
    assert found.var() == pytest.approx(expected, rel=0.05)
    assert found.mean() == pytest.approx(pair.mean(), abs=5 * np.sqrt(expected / 20_000))


def test_lower_levels_are_drawn_inside_the_level_above():
    seeds, opponents = np.arange(5)[:, None], np.arange(3)
    x = np.repeat((10.0 * seeds + opponents)[..., None], 2, axis=2)
    seed, opponent = np.divmod(resampled(x, 500).reshape(500, 5, 3), 10)
    assert (seed == seed[:, :, :1]).all(), "opponents of several seeds under one"
    assert set(opponent.ravel()) == {0, 1, 2}
    # a seed drawn twice draws its opponents twice
    twice = (seed[:, 0, 0] == seed[:, 1, 0]) & (opponent[:, 0] != opponent[:, 1]).any(1)
    assert usual(int(twice.sum()), 500, 1 / 5 * (1 - 1 / 27))


def test_a_seed_keeps_its_own_number_of_opponents():
    x = np.array([[1.0, NAN, NAN], [NAN, 2.0, 3.0], [4.0, 5.0, 6.0]])[..., None]
    drawn = resampled(x, 300).reshape(300, 3, 3)
    first = drawn[..., 0]
    owners = np.where(first == 1, 1, np.where(first <= 3, 2, 3))
    assert (np.isfinite(drawn).sum(2) == owners).all()
    assert set(drawn[np.isfinite(drawn)]) == {1, 2, 3, 4, 5, 6}


@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 3))
def test_padding_changes_nothing(seed, more_opponents, more_episodes):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 3, 3))
    x[rng.random(x.shape) < 0.3] = NAN
    x[:, 0, 0] = 1.0
    padded = np.insert(x, rng.integers(0, 4, more_episodes), NAN, axis=2)
    padded = np.insert(padded, rng.integers(0, 4, more_opponents), NAN, axis=1)
    for statistic in (mean, iqm):
        found = [hierarchical_bootstrap(s, statistic, resamples=50) for s in (x, padded)]
        assert found[0] == found[1]


@given(st.integers(0, 10**6))
def test_gaps_in_equal_episodes_leave_only_the_seeds(seed):
    rng = np.random.default_rng(seed)
    seeds = rng.integers(-9, 9, 5).astype(float)
    x = np.repeat(seeds[:, None], 4, axis=1)
    x[:, 1:][rng.random((5, 3)) < 0.5] = NAN
    for statistic in (mean, iqm):
        found = [hierarchical_bootstrap(s, statistic, resamples=50) for s in (x, seeds)]
        assert found[0] == found[1]


@pytest.mark.parametrize("statistic", [mean, iqm])
def test_the_estimate_is_of_means_of_episodes(statistic):
    """An interquartile mean of single wins and losses would make a rate of .2 a zero."""
    x = np.zeros((4, 3, 10))
    x[:, :, :2] = 1.0
    x[0] = NAN
    x[0, 1, :5] = [1, 0, 0, 0, 0]
    assert hierarchical_bootstrap(x, statistic).estimate == pytest.approx(0.2)


def test_one_seed_says_so():
    found = hierarchical_bootstrap(normal(1, 50), mean)
    assert found.count == 1 and found.high - found.low == pytest.approx(4 / 50**0.5, rel=0.2)
    assert hierarchical_bootstrap(normal(7, 50)).count == 7


@pytest.mark.parametrize(
    ("statistic", "shape"), [(mean, (20,)), (iqm, (20,)), (mean, (20, 40)), (iqm, (20, 3, 20))]
)
def test_intervals_cover_the_truth_as_often_as_they_should(statistic, shape):
    """Percentile intervals of 20 seeds cover .93 where they promise .95."""
    repetitions = 1000 if len(shape) == 1 else 200
    x = normal(repetitions, 20, *[1] * (len(shape) - 1)) + normal(repetitions, *shape, seed=1)
    found = [hierarchical_bootstrap(scores, statistic, resamples=300) for scores in x]
    assert usual(sum(i.low <= 0 <= i.high for i in found), repetitions, 0.93)
    assert usual(sum(i.low > 0 for i in found), repetitions, 0.035)


@given(
    st.integers(0, 10**6),
    st.floats(-10, 10),
    st.floats(0.1, 10),
    st.sampled_from([(6,), (4, 3), (3, 2, 2)]),
)
def test_shifts_and_scales_pass_through(seed, shift, scale, shape):
    x = normal(*shape, seed=seed)
    for statistic in (mean, iqm):
        e, low, high, _ = hierarchical_bootstrap(x, statistic, resamples=60)
        moved = hierarchical_bootstrap(scale * x + shift, statistic, resamples=60)
        expected = scale * np.array([e, low, high]) + shift
        np.testing.assert_allclose(moved[:3], expected, rtol=1e-9, atol=1e-9)
        turned = hierarchical_bootstrap(-x, statistic, resamples=60)
        np.testing.assert_allclose(turned[:3], [-e, -high, -low], rtol=1e-9, atol=1e-9)
        assert low <= high


@given(st.permutations(range(12)))
def test_the_order_of_seeds_does_not_matter(order):
    x = normal(12, 3, 4)
    found = [hierarchical_bootstrap(s, iqm, resamples=500) for s in (x, x[order])]
    assert found[0].estimate == pytest.approx(found[1].estimate, abs=1e-12)
    assert found[0].low == pytest.approx(found[1].low, abs=0.2)
    assert found[0].high == pytest.approx(found[1].high, abs=0.2)


@pytest.mark.parametrize("at_a_time", [1, 100, 10**9])
def test_batches_change_nothing(at_a_time, monkeypatch):
    x = normal(5, 4, 3)
    work = lambda: [
        hierarchical_bootstrap(x, resamples=50),
        paired_permutation(x[0].ravel(), x[1].ravel(), resamples=100),
        paired_permutation(x[0, :2].ravel(), x[1, :2].ravel()),
    ]
    expected = work()
    monkeypatch.setattr(statistics, "AT_A_TIME", at_a_time)
    assert work() == expected


def test_a_seed_decides():
    x, y = normal(20), normal(20, seed=1)
    for f in (hierarchical_bootstrap, lambda x, seed: paired_permutation(x, y, seed=seed)):
        assert f(x, seed=1) == f(x, seed=1) != f(x, seed=2)


def test_resamples_are_those_of_the_interval_and_one_score_gives_itself():
    x = normal(5, 3, 4)
    found = statistics.resampled(x, mean, resamples=500, seed=3)
    interval = hierarchical_bootstrap(x, mean, level=0.9, resamples=500, seed=3)
    assert np.quantile(found, [0.05, 0.95]) == pytest.approx([interval.low, interval.high])
    assert statistics.resampled([2.5], mean, resamples=3).tolist() == [2.5] * 3
    with pytest.raises(ValueError, match="1 or more resamples"):
        statistics.resampled(x, resamples=0)


# the permutation test


def enumerated(difference: list[int]) -> float:
    """Every flip of whole numbers, which sum without rounding."""
    size = len(difference)
    sums = [
        abs(sum(s * d for s, d in zip(signs, difference, strict=True)))
        for signs in product((-1, 1), repeat=size)
    ]
    return sum(s >= abs(sum(difference)) for s in sums) / 2**size


pairs = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=7)


@given(pairs, st.sampled_from([1.0, 0.1, 1 / 3, 1e-9, 1e9]), st.sampled_from([0.0, 0.7, 100.0]))
def test_p_values_by_enumeration_with_ties_that_rounding_breaks(pairs, scale, shift):
    a, b = np.array(pairs).T
    found = paired_permutation(scale * (a + shift), scale * (b + shift))
    assert found.p_value == enumerated((a - b).tolist())
    assert found.difference == pytest.approx(scale * (a - b).mean(), abs=scale * 1e-12)
    assert found.exact and found.pairs == len(pairs)


@given(pairs)
def test_small_differences_of_large_scores_are_no_ties(pairs):
    a, b = np.array(pairs).T
    found = paired_permutation(1000 + 1e-6 * a, 1000 + 1e-6 * b)
    assert found.p_value == enumerated((a - b).tolist())


@pytest.mark.parametrize("n", range(2, 15))
def test_p_of_a_constant_difference_is_two_flips(n):
    a = normal(n)
    assert paired_permutation(a + 0.1, a).p_value == 2 / 2**n
    assert paired_permutation(a, a + 0.1).p_value == 2 / 2**n
    assert paired_permutation(a, a).p_value == 1


@pytest.mark.parametrize("n", [3, 8, 11])
def test_p_values_are_those_of_scipy(n):
    a, b = normal(n) + 0.4, normal(n, seed=1)
    peer = stats.permutation_test(
        (a, b),
        lambda a, b, axis: (a - b).mean(axis),
        permutation_type="samples",
        n_resamples=4096,
        vectorized=True,
    )
    assert paired_permutation(a, b).p_value == pytest.approx(peer.pvalue, rel=1e-12)


def test_what_is_too_much_to_enumerate_is_drawn():
    a, b = normal(10) + 0.4, normal(10, seed=1)
    exact, drawn = (paired_permutation(a, b, resamples=n) for n in (1024, 1023))
    assert exact.exact and not drawn.exact
    assert drawn.p_value != exact.p_value
    assert usual(round(drawn.p_value * 1024) - 1, 1023, exact.p_value)


def test_drawn_p_values_count_what_happened():
    a = normal(40)
    assert paired_permutation(a + 1, a, resamples=99).p_value == 1 / 100
    assert paired_permutation(a, a, resamples=99).p_value == 1


@pytest.mark.parametrize("resamples", [1024, 999])
def test_p_values_of_equals_are_uniform(resamples):
    """Pairs are correlated, as those of one seed are; the test must not mind."""
    shared = 3 * normal(2000, 10)
    a, b = shared + normal(2000, 10, seed=1), shared + normal(2000, 10, seed=2)
    p = np.array(
        [paired_permutation(*x, resamples=resamples).p_value for x in zip(a, b, strict=True)]
    )
    # exact p-values are multiples of 1/512, of which 25 are below .05
    share = {1024: 25 / 512, 999: 0.05}[resamples]
    assert usual(int((p <= 0.05).sum()), 2000, share)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_a_real_difference_is_found():
    shared = 10 * normal(20)
    found = paired_permutation(shared + 1, shared + 0.5 * normal(20, seed=1))
    assert found.p_value < 0.001
    assert found.difference == pytest.approx(1, abs=0.5)


@given(pairs, st.randoms(use_true_random=False))
def test_order_and_sides_do_not_change_p(pairs, random):
    a, b = np.array(pairs, float).T
    expected = paired_permutation(a, b)
    turned = paired_permutation(b, a)
    assert turned.p_value == expected.p_value and turned.difference == -expected.difference
    random.shuffle(pairs)
    assert paired_permutation(*np.array(pairs, float).T).p_value == expected.p_value


# errors and curves


def test_student_by_hand():
    low, high = 1 - 12.7062, 1 + 12.7062  # t of one degree of freedom at .975 is 12.7062
    assert standard_error([0, 2]) == 1
    assert t_interval([0, 2]) == (1, pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4), 2)


def test_students_interval_may_be_had_from_a_mean_and_its_error():
    x = np.array([[1.0, 4.0], [2.0, np.nan], [4.0, 1.0]])
    whole = t_interval(x)
    found = student_interval(mean(x, 0), standard_error(x), [3, 2])
    assert all(np.array_equal(a, b) for a, b in zip(found, whole, strict=True))
    assert found.high[1] == pytest.approx(2.5 + 12.7062047 * 1.5)
    with pytest.raises(ValueError, match="a standard error is 0 or more"):
        student_interval(1.0, -1.0, 3)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_curves_are_students_at_every_point(level):
    x = normal(6, 4)
    x[2, 1], x[:3, 3] = NAN, NAN
    found = t_interval(x, level)
    for t, column in enumerate(x.T):
        column = column[~np.isnan(column)]
        peer = stats.ttest_1samp(column, 0).confidence_interval(level)
        expected = (column.mean(), peer.low, peer.high, len(column))
        assert [field[t] for field in found] == pytest.approx(expected)
        assert standard_error(x)[t] == pytest.approx(stats.sem(column))


def test_normal_intervals():
    found = mean_interval(2.0, 0.5)
    half = 0.5 * 1.959964
    assert found[:3] == pytest.approx((2, 2 - half, 2 + half), abs=1e-6) and found.count == 0
    several = mean_interval(np.array([2.0, 0.0]), np.array([0.5, 0.0]), count=9)
    assert several.low == pytest.approx([2 - half, 0], abs=1e-6) and several.count == 9
    assert mean_interval(0, 1, 0.6827).high == pytest.approx(1, abs=1e-4)
    many = normal(5000)
    np.testing.assert_allclose(
        t_interval(many)[:3], mean_interval(many.mean(), standard_error(many))[:3], rtol=1e-3
    )


# rude input


@pytest.mark.parametrize("f", [mean, iqm, standard_error, t_interval, hierarchical_bootstrap])
@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([], r"found none in shape \(0,\)"),
        (np.zeros((3, 0)), r"found none in shape \(3, 0\)"),
        ([1.0, INF], "finite"),
        ([NAN, NAN], "found (0|none)"),
    ],
)
def test_nothing_and_infinity_are_refused(f, x, words):
    with pytest.raises(ValueError, match=words):
        f(x)


@pytest.mark.parametrize("f", [standard_error, t_interval])
def test_a_spread_needs_two(f):
    with pytest.raises(ValueError, match="expected 2 or more numbers to average, found 1"):
        f([[1.0, 2.0], [3.0, NAN]])


@pytest.mark.parametrize("level", [0, 1, -0.1, 95, NAN])
def test_levels_are_shares(level):
    bounded: list[Any] = [
        lambda: hierarchical_bootstrap([1, 2], level=level),
        lambda: t_interval([1, 2], level),
        lambda: mean_interval(1, 1, level),
    ]
    for f in bounded:
        with pytest.raises(ValueError, match=f"between 0 and 1, not at {level}"):
            f()


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([[1, 2], [NAN, NAN], [3, NAN], [NAN, NAN]], r"found none \(all NaN\) at \[1, 3\]"),
        (np.array(1.0), "found 0 axes"),
        (np.zeros((2, 2, 2, 2)), "found 4 axes"),
        ([1.0], "two scores or more, found one"),
        ([[NAN, 1.0, NAN]], "two scores or more, found one"),
    ],
)
def test_scores_that_say_nothing_are_refused(scores, words):
    with pytest.raises(ValueError, match=words):
        hierarchical_bootstrap(scores)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1, 2, 3], [1, 2], r"one length, found shapes \(3,\), \(2,\)"),
        ([[1, 2]], [[1, 2]], "found shapes"),
        ([1], [2], "two pairs or more, found one"),
        ([1, NAN], [2, 3], "found one missing"),
        ([1, 2], [NAN, 3], "found one missing"),
        ([], [], "found none"),
        ([1, INF], [2, 3], "finite"),
    ],
)
def test_what_is_not_paired_is_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        paired_permutation(a, b)


@pytest.mark.parametrize("resamples", [0, -1])
def test_no_resamples_are_refused(resamples):
    for f in (
        lambda: hierarchical_bootstrap([1, 2], resamples=resamples),
        lambda: paired_permutation([1, 2], [2, 3], resamples=resamples),
    ):
        with pytest.raises(ValueError, match=f"1 or more resamples, not {resamples}"):
            f()


@pytest.mark.parametrize("error", [-1.0, NAN, np.array([1.0, -1.0])])
def test_errors_below_zero_are_refused(error):
    with pytest.raises(ValueError, match="0 or more"):
        mean_interval(1.0, error)


def test_scores_are_left_as_they_were():
    x, before = normal(4, 3, 2), normal(4, 3, 2)
    x[0, 0, 0] = before[0, 0, 0] = NAN
    assert isinstance(hierarchical_bootstrap(x), Interval)
    for f in (iqm, mean, t_interval):
        f(x)
    np.testing.assert_array_equal(x, before)
