"""Switches, delays, false alarms and recovery by hand; filters that expect switches or do not."""

import numpy as np
import pytest
from repeated import TYPES, fixed, play

from counterplay.evaluate.exact_filter import exact_filter
from counterplay.evaluate.switching import (
    detection_delays,
    false_alarms,
    leader_alarms,
    leader_holds,
    quiet_slots,
    recovery,
    surprise_alarms,
    switches,
)
from counterplay.types import NO_MOVE

NAN = np.nan
EVEN = np.full(TYPES, 1 / TYPES)


def test_switches_by_hand():
    mode = np.array([[0, 0, 1, -1, 1, -1, 2], [-1, 3, 3, 3, 0, 0, -1]])
    assert np.argwhere(switches(mode)).tolist() == [[0, 2], [0, 6], [1, 4]]


def test_delays_by_hand():
    mode = np.array([[0, 0, 1, 1, 1, 0, 0, -1], [2, 2, 2, 2, 1, 1, 1, 1]])
    detected = np.array([[1, 1, 0, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 0, 0, 0]], bool)
    found = detection_delays(detected, mode)
    np.testing.assert_equal(found.delay, [3, NAN, 1])  # what comes after the match is no detection
    assert found.missed.tolist() == [False, True, False]
    assert found.row.tolist() == [0, 0, 1] and found.slot.tolist() == [2, 5, 4]
    late = np.array([[0, 0, 0, 0, 0, 0, 1, 1]], bool)  # when it has switched back
    np.testing.assert_equal(detection_delays(late, mode[:1]).delay, [NAN, 2])
    none = detection_delays(detected[:, :2], mode[:, :2])
    assert none.delay.shape == none.row.shape == (0,)


def test_false_alarms_by_hand():
    mode = np.array([[0, 0, 0, 0, 1, 1, 1, 1, -1]])
    detected = np.array([[0, 1, 0, 1, 0, 1, 1, 0, 1]], bool)
    after = quiet_slots(detected, mode, from_contact=False)
    assert after[0].astype(int).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0]
    whole = quiet_slots(detected, mode, from_contact=True)
    assert whole[0].astype(int).tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 0]
    assert false_alarms(~detected, after) == (1000 * 2 / 4, 2, 4)
    assert np.isnan(false_alarms(detected, np.zeros_like(detected)).per_1000)


def test_leaders_by_hand():
    ahead = np.array([0, 1, 1, 0, 2, 1])
    held = np.where(np.arange(3) == ahead[:, None], 0.0, -5.0)
    mode = np.array([0, 0, 1, 1, 2, -1])
    assert leader_holds(held, mode).tolist() == [True, False, True, False, True, False]
    assert leader_alarms(held, mode).tolist() == [False, True, False, True, False, False]


def test_surprise_by_hand():
    log_p = np.log(np.array([[0.9, 0.1]] * 6))
    moves = np.array([1, NO_MOVE, 1, 0, 1, 1])
    entropy = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    up, down = -np.log(0.1) - entropy - 0.1, -np.log(0.9) - entropy - 0.1
    assert 2 * up > 3 > up and 2 * up + down > 0 and up + down + up < 2 * up
    # alarm with the second rare move; S is 0 again, falls no further, and takes two more
    found = surprise_alarms(log_p, moves, threshold=3.0, allowance=0.1)
    assert found.astype(int).tolist() == [0, 0, 1, 0, 0, 1]
    # 3.75 after two, less .32, and over with the third; without an allowance two are enough
    found = surprise_alarms(log_p, moves, threshold=3.9, allowance=0.1)
    assert found.astype(int).tolist() == [0, 0, 0, 0, 1, 0]
    assert surprise_alarms(log_p, moves, threshold=3.9, allowance=0.0)[2]
    for bad in ({"threshold": 0.0}, {"allowance": -1.0}):
        with pytest.raises(ValueError, match="expected a threshold above 0"):
            surprise_alarms(log_p, moves, **bad)


def switching(rows=200, slots=80, at=40, seed=0):
    mode = fixed(rows, slots, seed)
    mode[:, at:] = (
        mode[:, at:] + np.random.default_rng(seed).integers(1, TYPES, (rows, 1))
    ) % TYPES
    return play(mode, seed)


def test_a_filter_that_expects_switches_notices_them_sooner_and_errs_more():
    game = switching()
    delay, rate = {}, {}
    for drift in (0.0, 0.02):
        held = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN, drift=drift)
        leads = leader_holds(held.log_after, game.mode)
        found = detection_delays(leads, game.mode)
        assert len(found.delay) == 200 and (found.slot == 40).all()
        loop = [next((i + 1 for i in range(40) if row[40 + i]), NAN) for row in leads]
        np.testing.assert_equal(found.delay, loop)
        delay[drift] = np.nanmedian(np.where(found.missed, 99, found.delay))
        alarms = leader_alarms(held.log_after, game.mode)
        rate[drift] = false_alarms(alarms, quiet_slots(leads, game.mode, from_contact=False))
    assert delay[0.02] < 10 < delay[0.0]
    rates = [0, rate[0.0].per_1000, rate[0.02].per_1000, 60]
    assert rates == sorted(rates) and rates[1] < rates[2]


def test_surprise_notices_switches_and_seldom_anything_else():
    game = switching()
    held = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN)
    known = np.take_along_axis(
        game.log_likelihood, np.broadcast_to(game.mode[:, :1, None, None], (200, 80, 1, 1)), 2
    )[:, :, 0]  # goes on predicting the first mode
    for predicted in (known, held.log_predicted):
        alarms = surprise_alarms(predicted, game.moves)
        found = detection_delays(alarms, game.mode)
        assert found.missed.mean() < 0.15 and np.nanmedian(found.delay) < 15
        quiet = quiet_slots(alarms, game.mode, from_contact=True) & (np.arange(80) < 40)
        assert false_alarms(alarms, quiet).per_1000 < 10
    true = surprise_alarms(game.log_true, game.moves)
    assert detection_delays(true, game.mode).missed.mean() > 0.6  # who knows is not surprised


def test_recovery_by_hand():
    mode = np.array([[0, 0, 0, 1, 1, 1, 1, 2, 2, -1]])
    returns = np.array([[9.0, 4, 4, 0, 3, 4, 4, 1, 1, 99]])
    by_one = recovery(returns, mode, within=1.0)
    np.testing.assert_equal(by_one.delay, [2, NAN])
    by_two = recovery(returns, mode, within=0.0, window=2)
    np.testing.assert_equal(by_two.delay, [4, NAN])  # means 1.5, 3.5, 4 against 4
    assert recovery(returns, mode, within=0.0, window=5).delay.shape == (0,)
    assert recovery(returns, mode, within=0.0, window=4).slot.tolist() == [7]  # 3 before the first
    assert recovery(returns, mode, within=3.0, window=2).delay.tolist() == [2, 2]
    with pytest.raises(ValueError, match="window of 1 or more"):
        recovery(returns, mode, within=1.0, window=0)
