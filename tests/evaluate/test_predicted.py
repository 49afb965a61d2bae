"""NLL and accuracy by hand, against the exact filter and a wrong one, and rude input."""

import numpy as np
import pytest
from repeated import TYPES, fixed, play, sharpened

from counterplay.evaluate.exact_filter import exact_filter
from counterplay.evaluate.predicted import (
    FILTER,
    TRUE,
    expected_accuracy,
    last_move_baseline,
    last_move_so_far,
    last_seen,
    marginal_baseline,
    marginal_so_far,
    next_action,
    nll,
    policy_entropy,
)
from counterplay.types import NO_MOVE

NAN = np.nan
EVEN = np.full(TYPES, 1 / TYPES)


def test_by_hand_where_the_other_acts():
    predicted = np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1], [0.2, 0.7, 0.1]]))
    true = np.log(np.array([[0.6, 0.2, 0.2], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]))
    moves = np.array([2, 0, NO_MOVE])
    np.testing.assert_allclose(nll(predicted, moves), [np.log(4), np.log(5), NAN])
    # the likeliest predicted moves are 0 and 1, which are made with chances .6 and .25
    np.testing.assert_allclose(expected_accuracy(predicted, true, moves), [0.6, 0.25, NAN])
    halves = 0.5 * np.log(2) + 0.5 * np.log(4)
    np.testing.assert_allclose(policy_entropy(true, moves)[1:], [halves, NAN])


def test_certain_policies_have_no_entropy():
    with np.errstate(divide="ignore"):
        true = np.log(np.array([[0.0, 1.0]]))
    assert policy_entropy(true, np.array([1])).tolist() == [0]
    with pytest.raises(ValueError, match=r"the move 0 at \[0\] was made .* is -inf"):
        nll(true, np.array([0]))


def test_baselines_by_hand():
    train = np.array([[0, 0, 1, NO_MOVE, 0], [0, NO_MOVE, NO_MOVE, NO_MOVE, NO_MOVE]])
    legal = np.array([[[True, True, True], [True, False, True], [False, False, False]]])
    # counts 4, 1, 0, and one more each
    marginal = np.exp(marginal_baseline(train, legal))
    np.testing.assert_allclose(marginal[0], [[5 / 8, 2 / 8, 1 / 8], [5 / 6, 0, 1 / 6], [0, 0, 0]])
    assert last_seen(train).tolist() == [[-1, 0, 0, 1, 1], [-1, 0, 0, 0, 0]]
    # at first 0 twice; after 0: 0, 1; after 1: 0
    moves = np.array([[0, 2, 1]])
    last = np.exp(last_move_baseline(train, moves, legal))
    np.testing.assert_allclose(last[0], [[3 / 5, 1 / 5, 1 / 5], [2 / 3, 0, 1 / 3], [0, 0, 0]])


def test_what_a_tally_tells_during_a_match_by_hand():
    moves = np.array([[0, 0, 1, NO_MOVE, 0], [2, 2, 2, 2, 2]])
    legal = np.ones((2, 5, 3), bool)
    legal[0, 4, 2] = False
    tally = np.exp(marginal_so_far(moves, legal))
    third = np.full(3, 1 / 3)
    want = [third, [2 / 4, 1 / 4, 1 / 4], [3 / 5, 1 / 5, 1 / 5], [3 / 6, 2 / 6, 1 / 6]]
    np.testing.assert_allclose(tally[0, :4], want)
    np.testing.assert_allclose(tally[0, 4], [3 / 5, 2 / 5, 0])
    np.testing.assert_allclose(tally[1, :, 2], [1 / 3, 2 / 4, 3 / 5, 4 / 6, 5 / 7])
    last = np.exp(last_move_so_far(moves, legal))
    # none seen, then 0 once after 0, then 1; nothing has followed 1 when it is the last
    want = [third, third, [2 / 4, 1 / 4, 1 / 4], third]
    np.testing.assert_allclose(last[0, :4], want)
    np.testing.assert_allclose(last[0, 4], [1 / 2, 1 / 2, 0])
    np.testing.assert_allclose(last[1, :, 2], [1 / 3, 1 / 3, 2 / 4, 3 / 5, 4 / 6])


def test_tallies_are_those_of_a_loop():
    moves = np.random.default_rng(0).integers(-1, 3, (2, 3, 40))
    legal = np.ones((2, 3, 40, 3), bool)
    tally, last = marginal_so_far(moves, legal), last_move_so_far(moves, legal)
    for at in np.ndindex(2, 3):
        made, followed, before = np.ones(3), np.ones((4, 3)), NO_MOVE
        for t, move in enumerate(moves[at]):
            np.testing.assert_allclose(tally[at][t], np.log(made / made.sum()))
            row = followed[before]  # NO_MOVE is the last one
            np.testing.assert_allclose(last[at][t], np.log(row / row.sum()))
            if move != NO_MOVE:
                made[move] += 1
                row[move] += 1
                before = move


def predictions(seeds=4, matches=25, slots=40):
    """Every strategy is an opponent, [S, K, R, T]."""
    mode = np.broadcast_to(np.arange(TYPES)[None, :, None, None], (seeds, TYPES, matches, slots))
    game = play(mode.reshape(-1, slots))
    found = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN)
    shaped = lambda x: x.reshape(seeds, TYPES, matches, slots, *x.shape[2:])
    train = play(fixed(200, slots, seed=5), seed=5).moves
    named = {
        FILTER: found.log_predicted,
        "sharpened": sharpened(found.log_predicted, 3.0),
        "marginal": marginal_baseline(train, game.legal),
        "last move": last_move_baseline(train, game.moves, game.legal),
    }
    return {k: shaped(x) for k, x in named.items()}, shaped(game.moves), shaped(game.log_true)


def test_the_filter_leads_and_the_truth_is_the_floor():
    named, moves, log_true = predictions()
    moves = moves.copy()
    moves[:, :, :, -5:] = NO_MOVE  # it left
    lines = next_action(named, moves, log_true, resamples=200)
    everyone = {line.predictor: line for line in lines if line.opponent is None}
    assert everyone[FILTER].excess[:3] == (0, 0, 0)
    assert everyone[TRUE].excess.high < 0
    for name in ("sharpened", "marginal", "last move"):
        assert everyone[name].excess.low > 0.02, name
    entropy = policy_entropy(log_true, moves)
    floor = everyone[TRUE].nll
    assert floor.low < np.nanmean(entropy) < floor.high
    # nobody can expect to be right more often than the true policy's likeliest move
    best = everyone[TRUE].accuracy
    assert best is not None and best.estimate == pytest.approx(0.975)
    for line in everyone.values():
        assert line.accuracy is not None and line.accuracy.estimate <= best.estimate + 1e-12
        assert line.moves == (moves != NO_MOVE).sum()
    # sharpening leaves the likeliest move what it is: only the NLL tells
    assert everyone["sharpened"].accuracy == everyone[FILTER].accuracy
    assert [line.opponent for line in lines[: TYPES + 1]] == [None, *range(TYPES)]
    of_one = next(line for line in lines if line.predictor == "marginal" and line.opponent == 1)
    by_hand = nll(named["marginal"][:, 1], moves[:, 1])
    assert of_one.nll.estimate == pytest.approx(np.nanmean(by_hand)) and of_one.nll.count == 4


def test_the_excess_of_a_mixture_by_hand():
    """A filter that knows, against a coin: log 2 - log(1 / .95) ... in nats, and no interval."""
    moves = np.zeros((2, 1, 2, 3), np.int64)
    known = np.log(np.broadcast_to(np.array([0.8, 0.2]), (*moves.shape, 2)))
    coin = np.log(np.full((*moves.shape, 2), 0.5))
    line = next_action({FILTER: known, "coin": coin}, moves, resamples=50)[2]
    assert line.excess[:3] == pytest.approx([np.log(0.8 / 0.5)] * 3)
    assert line.accuracy is None and line.moves == 12


def test_the_reference_has_to_be_there():
    with pytest.raises(ValueError, match="need the reference 'exact filter', found"):
        next_action({"mine": np.zeros((2, 1, 1, 1, 2))}, np.zeros((2, 1, 1, 1), np.int64))
