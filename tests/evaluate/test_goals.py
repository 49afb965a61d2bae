"""Scores of beliefs and the step at which a type is known, by hand and on the exact filter."""

import numpy as np
import pytest
from repeated import TYPES, fixed, play, sharpened

from counterplay.evaluate.curves import (
    adaptation_curve,
    by_number,
    curve,
    masked_mean,
    moves_seen,
)
from counterplay.evaluate.exact_filter import exact_filter
from counterplay.evaluate.goals import (
    ODDS,
    goal_scores,
    identified_by,
    log_odds,
    steps_to_identify,
)
from counterplay.evaluate.statistics import t_interval
from counterplay.types import NO_EVENT, NO_MOVE

NAN = np.nan
EVEN = np.full(TYPES, 1 / TYPES)


def test_scores_by_hand():
    belief = np.log(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6]]))
    found = goal_scores(belief, np.array([0, 1, 1, NO_EVENT]))
    np.testing.assert_allclose(found.nll, [-np.log(0.5), -np.log(0.4), -np.log(0.2), NAN])
    expected = [0.25 + 0.09 + 0.04, 0.16 + 0.36 + 0.04, 0.04 + 0.64 + 0.36, NAN]
    np.testing.assert_allclose(found.brier, expected)
    np.testing.assert_allclose(found.top1, [1, 0.5, 0, NAN])


def test_scores_by_moves_seen_fall_as_they_should():
    game = play(fixed(600, 60), tremble=0.4)  # so that evidence grows slowly
    held = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN)
    number = moves_seen(game.moves)
    mean = lambda x: by_number(x[None], number[None], 59)[0]
    right = goal_scores(held.log_before, game.mode)
    over = goal_scores(sharpened(held.log_before, 4.0), game.mode)
    assert mean(right.nll)[0] == pytest.approx(np.log(TYPES))
    assert mean(right.top1)[0] == pytest.approx(1 / TYPES)
    for score in (right.nll, right.brier, -right.top1):
        assert (np.diff(mean(score)[:30:6]) < 0).all()  # then most are known
    assert mean(right.top1)[59] > 0.9
    assert mean(over.nll)[1:30].mean() > mean(right.nll)[1:30].mean() + 0.1
    assert mean(over.brier)[1:30].mean() > mean(right.brier)[1:30].mean() + 0.01
    np.testing.assert_allclose(mean(over.top1), mean(right.top1), atol=0.02)


def posterior(*odds: float) -> np.ndarray:
    """Two types, the first ahead by so many nats."""
    x = np.array(odds)
    return np.stack([-np.logaddexp(0, -x), -np.logaddexp(0, x)], -1)[None]


@pytest.mark.parametrize(
    ("odds", "moves", "steps", "episodes"),
    [
        ((0, 3, 1, 3, 4), (0, 0, 0, 0), 3, 2),
        ((3, 3, 3, 3, 4), (0, 0, 0, 0), 0, 1),
        ((0, 3, 3, 3, 1), (0, 0, 0, 0), NAN, NAN),
        ((0, 0, 0, 0, 3), (0, 0, 0, 0), 4, 2),
        ((0, 3, 3, 3, 0), (0, 0, 0, NO_MOVE), 1, 1),  # what is held where nobody moves is not read
        ((0, 0, 3, 3, 3), (0, NO_MOVE, 0, 0), 2, 2),
        ((0, 0, 0, 0, 3), (0, 0, 0, NO_MOVE), NAN, NAN),
        ((3, 0, 0, 0, 0), (NO_MOVE,) * 4, 0, 1),
        ((0, -3, -3, -3, -3), (0, 0, 0, 0), NAN, NAN),
    ],
)
def test_when_it_is_known_by_hand(odds, moves, steps, episodes):
    held = posterior(*odds)
    found = steps_to_identify(
        held[:, :-1], held[:, 1:], np.array([0]), np.array([moves]), np.array([[0, 0, 1, 1]])
    )
    np.testing.assert_equal([found.moves[0], found.episodes[0]], [steps, episodes])
    assert found.censored[0] == np.isnan(steps)


def test_odds_are_against_the_best_other():
    held = np.log(np.array([[[0.45, 0.05, 0.5]]]))
    np.testing.assert_allclose(log_odds(held, np.array([0])), [[np.log(0.45 / 0.5)]])
    np.testing.assert_allclose(log_odds(held, np.array([2])), [[np.log(0.5 / 0.45)]])
    with np.errstate(divide="ignore"):
        certain = np.log(np.array([[[1.0, 0.0, 0.0]]]))
    assert log_odds(certain, np.array([0]))[0, 0] > 1e9
    assert log_odds(certain, np.array([1]))[0, 0] < -1e9


def test_the_filter_needs_some_moves_and_a_wrong_one_more():
    game = play(fixed(300, 60))
    truth = game.mode[:, 0]
    runs = {}
    for name, shift in (("right", 0), ("late", 1)):
        likelihood = np.roll(game.log_likelihood, shift, 1)
        held = exact_filter(likelihood, game.legal, game.moves, EVEN)
        runs[name] = steps_to_identify(held.log_before, held.log_after, truth, game.moves)
        loop = slow_steps(held.log_after, truth)
        np.testing.assert_equal(runs[name].moves, loop)
    right, late = (identified_by(runs[k].moves, 60) for k in ("right", "late"))
    assert right[0] == 0 and right[60] == 1 - runs["right"].censored.mean() > 0.95
    assert late[60] < 0.7 and (np.diff(right) >= 0).all()
    assert 2 <= np.nanmedian(runs["right"].moves) <= 20


def slow_steps(log_after: np.ndarray, truth: np.ndarray) -> list[float]:
    found = []
    for row, mine in zip(log_after, truth, strict=True):
        step = NAN
        for t in reversed(range(len(row))):
            others = max(x for y, x in enumerate(row[t]) if y != mine)
            if row[t][mine] - others < ODDS:
                break
            step = t + 1
        found.append(step)
    return found


def test_shares_count_those_never_known():
    assert identified_by(np.array([[2.0, NAN], [0.0, 2.0]]), 3).tolist() == [0.25, 0.25, 0.75, 0.75]


@pytest.mark.parametrize(
    ("belief", "goal", "words"),
    [
        (np.zeros((1, 3)), [0], "sum to 1, found a sum of 3"),
        (np.log(np.full((1, 3), 1 / 3)), [3], "goals are 0 to 2"),
        (np.array([[0.0, -np.inf]]), [1], "gives the true goal probability 0"),
    ],
)
def test_what_is_no_belief_is_refused(belief, goal, words):
    with pytest.raises(ValueError, match=words):
        goal_scores(belief, np.array(goal))


def test_undeclared_types_are_refused():
    held = posterior(0, 0)
    with pytest.raises(ValueError, match="leave out rows that declare none"):
        steps_to_identify(held, held, np.array([NO_EVENT]), np.zeros((1, 2), np.int64))


# curves


def test_moves_seen_by_hand():
    moves = np.array([0, NO_MOVE, 1, 1, NO_MOVE, 0])
    assert moves_seen(moves).tolist() == [0, 1, 1, 2, 3, 3]
    start = np.array([True, False, False, True, False, False])
    assert moves_seen(moves, start).tolist() == [0, 1, 1, 0, 1, 1]


def test_means_by_number_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    x, number = rng.normal(size=(3, 40)), rng.integers(-1, 8, (3, 40))
    x[rng.random(x.shape) < 0.2] = NAN
    number[1][number[1] == 4] = 5
    found = by_number(x, number, 6)
    for s in range(3):
        for n in range(7):
            picked = x[s][(number[s] == n) & ~np.isnan(x[s])]
            np.testing.assert_allclose(found[s, n], picked.mean() if len(picked) else NAN)
    assert np.isnan(found[1, 4])


def test_curves_are_students_and_have_gaps():
    means = np.random.default_rng(1).normal(size=(5, 3))
    for mine, peer in zip(curve(means, 0.9), t_interval(means, 0.9), strict=True):
        np.testing.assert_allclose(mine, peer)
    means[1:, 1], means[:, 2] = NAN, NAN
    found = curve(means)
    assert found.count.tolist() == [5, 1, 0]
    np.testing.assert_equal(np.isnan(found.low), [False, True, True])
    assert found.estimate[1] == means[0, 1] and np.isnan(found.estimate[2])


def test_adaptation_curves_by_hand():
    returns = np.array([[[[0, 2], [2, 4]]], [[[2, 4], [4, NAN]]]])  # [S, K, M, R]
    found = adaptation_curve(returns)
    np.testing.assert_allclose(found.estimate, [2, 3.5])
    assert masked_mean(np.array([[NAN], [1.0]]))[1] == 1
    with pytest.raises(ValueError, match="one seed is"):
        adaptation_curve(np.zeros(3))
