"""Intervals equal those worked by hand, and curves keep their means."""

import math

import numpy as np
import pytest

from counterplay.evaluate.statistics import t_interval
from counterplay.report.curves import MOST_POINTS, binned, interval, mean_over

NAN = math.nan


def test_the_interval_is_that_of_student():
    """1, 2, 3, 6: mean 3, deviations -2 -1 0 3, so s^2 = 14 / 3; t of 3 degrees is 3.18245."""
    found = interval(np.array([1.0, 2.0, 3.0, 6.0]))
    half = 3.182446305 * math.sqrt(14 / 3) / 2
    assert found.mean == 3.0
    assert [found.low, found.high] == pytest.approx([3 - half, 3 + half], rel=1e-7)


def test_two_seeds_have_the_widest_of_all():
    """1 and 3: s^2 = 2, s / sqrt(2) = 1, and t of one degree is tan(.475 pi) = 12.7062."""
    found = interval(np.array([[1.0, 3.0], [NAN, 4.0], [NAN, NAN]]))
    reach = math.tan(0.475 * math.pi)
    assert [found.low[0], found.high[0]] == pytest.approx([2 - reach, 2 + reach])
    assert found.mean[1] == 4.0 and np.isnan([found.low[1], found.high[1]]).all()
    assert np.isnan(found.mean[2])


def test_intervals_are_those_of_the_statistics():
    values = np.random.default_rng(0).normal(size=(7, 5))
    values[2, 1] = NAN
    found, peer = interval(values, 0.9), t_interval(values.T, 0.9)
    assert [x.tolist() for x in found] == [x.tolist() for x in peer[:3]]


def test_what_is_infinite_is_not_known():
    found = interval(np.array([[1.0, 3.0, math.inf], [-math.inf, math.inf, 2.0]]))
    assert found.mean.tolist() == [2, 2] and np.isfinite(found.low).tolist() == [True, False]


def test_one_seed_has_no_interval():
    found = interval(np.array([[1.5], [2.5]]))
    assert found.mean.tolist() == [1.5, 2.5] and np.isnan([found.low, found.high]).all()


def test_equal_seeds_have_an_interval_of_no_width():
    found = interval(np.full((3, 5), 0.7))
    assert found.low.tolist() == found.mean.tolist() == found.high.tolist() == [0.7] * 3


def test_a_short_curve_is_left_as_it_is():
    steps, values = np.arange(1.0, 8), np.arange(14.0).reshape(7, 2)
    x, y = binned(steps, values)
    assert x.tolist() == steps.tolist() and y.tolist() == values.tolist()


def test_a_long_curve_keeps_the_means_of_its_parts():
    steps = np.arange(1.0, 1001)
    x, y = binned(steps, np.stack([steps, -steps], axis=1))
    assert len(x) == MOST_POINTS
    assert x[:2].tolist() == [3.0, 8.0] and y[:2].tolist() == [[3, -3], [8, -8]]
    assert x.mean() == steps.mean()


def test_a_part_without_a_value_of_a_seed_counts_for_the_other_only():
    values = np.full((2 * MOST_POINTS, 2), 1.0)
    values[0, 0], values[:2, 1] = NAN, NAN
    values[1, 0] = 5.0
    _, y = binned(np.arange(float(len(values))), values)
    assert y[0, 0] == 5.0 and np.isnan(y[0, 1]) and (y[1:] == 1).all()


def test_means_leave_out_what_is_not_known():
    found = mean_over(np.array([[1.0, NAN], [3.0, NAN], [NAN, NAN]]))
    assert found[0] == 2.0 and np.isnan(found[1])
