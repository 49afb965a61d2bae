"""Right beliefs fall inside the band as often as it says, sharpened ones outside."""

from typing import Any

import numpy as np
import pytest
from repeated import TYPES, fixed, play, sharpened

from counterplay.evaluate.calibration import Calibration, calibration
from counterplay.evaluate.exact_filter import exact_filter

EVEN = np.full(TYPES, 1 / TYPES)


def beliefs(rows: int, slots: int, seed: int = 0, tremble: float = 0.5):
    """The filter's own, before every move; the game's tremble is what the filter knows too."""
    game = play(fixed(rows, slots, seed), seed, tremble)
    held = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN, uniform=0.0)
    block = np.repeat(np.arange(rows), slots)
    return held.log_before.reshape(-1, TYPES), game.mode.ravel(), block


def test_the_diagram_by_hand():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.7, 0.3], [0.2, 0.8]])
    found = calibration(np.log(p), np.array([0, 0, 1, 1]), np.arange(4), bins=5)
    # .7 in bin 3; .8 and .9 in bin 4
    assert found.count.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(found.confidence[3:], [0.7, 0.85])
    np.testing.assert_allclose(found.frequency[3:], [0.5, 1.0])
    assert np.isnan(found.frequency[:3]).all()
    assert found.ece == pytest.approx(0.5 * 0.2 + 0.5 * 0.15)
    assert (found.predictions, found.blocks, found.enough) == (4, 4, False)


def test_the_band_is_that_of_one_draw_a_block():
    """A constant belief, 100 times a block, of 64 blocks: binomial of 64, not of 6,400."""
    p = np.log(np.broadcast_to([0.8, 0.2], (6400, 2)))
    block = np.repeat(np.arange(64), 100)
    found = calibration(p, np.zeros(6400, int), block, bins=1, resamples=4000)
    half = 1.96 * np.sqrt(0.8 * 0.2 / 64)
    assert found.low[0] == pytest.approx(0.8 - half, abs=0.02)
    assert found.high[0] == pytest.approx(0.8 + half, abs=0.02)
    alone = calibration(p, np.zeros(6400, int), np.arange(6400), bins=1)
    assert alone.high[0] - alone.low[0] == pytest.approx(2 * half / 10, rel=0.2)


def test_the_filter_is_inside_and_sharper_or_blunter_ones_are_not():
    log_belief, truth, block = beliefs(1000, 25)
    found = calibration(log_belief, truth, block, resamples=200)
    assert found.inside and found.enough and found.p_value > 0.05
    kept = found.count > 50
    within = (found.frequency >= found.low) & (found.frequency <= found.high)
    assert within[kept].mean() > 0.8
    for power in (2.0, 0.5):
        wrong = calibration(sharpened(log_belief, power), truth, block, resamples=200)
        assert not wrong.inside and wrong.p_value < 0.01, power
    over = calibration(sharpened(log_belief, 2.0), truth, block, resamples=200)
    sure = (over.count > 400) & (over.confidence > 0.4)  # near 1/5 sharpening does next to nothing
    assert sure.sum() >= 6 and (over.frequency < over.low)[sure].all()


@pytest.mark.parametrize("slots", [1, 10])
def test_right_beliefs_are_called_wrong_no_more_often_than_stated(slots):
    outside = 0
    for seed in range(100):
        found = calibration(*beliefs(100, slots + 5, seed), resamples=100, seed=seed)
        outside += not found.inside
    assert outside <= 12  # of 100, at 5%: more happens by chance once in 700


def test_counting_every_slot_as_a_trial_would_find_faults_where_none_are():
    outside = 0
    for seed in range(30):
        log_belief, truth, _ = beliefs(100, 15, seed)
        outside += not calibration(log_belief, truth, np.arange(1500), resamples=100).inside
    assert outside > 15, "more than half the time"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_belief": np.zeros((2, 2))}, "sum to 1, found 2"),
        ({"truth": np.array([0, 2])}, "truths are 0 to 1, found 0 to 2: leave out"),
        ({"truth": np.array([-1, 0])}, "found -1 to 0"),
        ({"bins": 0}, "1 or more bins"),
        ({"level": 95.0}, "a level between 0 and 1"),
    ],
)
def test_rude_input(change, words):
    right: dict[str, Any] = {
        "log_belief": np.log(np.full((2, 2), 0.5)),
        "truth": np.array([0, 1]),
        "block": np.array([7, 7]),
    }
    assert isinstance(calibration(**right), Calibration)
    with pytest.raises(ValueError, match=words):
        calibration(**(right | change))


def test_nothing_is_not_calibrated():
    none = np.zeros(0, int)
    with pytest.raises(ValueError, match="found none"):
        calibration(np.zeros((0, 2)), none, none)
