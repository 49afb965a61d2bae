"""Hits by hand and by loops; a decoder that knows the future, one that knows nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterplay.evaluate.subgoals import (
    hits,
    most_frequent,
    most_likely_cells,
    random_future,
    subgoal_hits,
)

NAN = np.nan


def line(*cells: int) -> np.ndarray:
    return np.array(cells)[None, :, None]


def test_hits_by_hand():
    state, present = line(0, 1, 1, 2, 9), np.array([[True, True, True, True, False]])
    # from slot 3 on nothing changes: no guess is asked for
    np.testing.assert_equal(hits(line(1, 2, 1, 2, 2), state, present), [[1, 1, 0, NAN, NAN]])
    np.testing.assert_equal(hits(state, state, present), [[0, 0, 0, NAN, NAN]])
    np.testing.assert_equal(hits(line(9, 0, 9, 9, 9), state, present), [[0, 0, 0, NAN, NAN]])
    back = line(0, 1, 0, 0, 0)
    np.testing.assert_equal(hits(line(0, 0, 0, 0, 0), back, present), [[0, 1, NAN, NAN, NAN]])


def test_all_objects_have_to_be_right_together():
    state = np.array([[[0, 0], [0, 1], [1, 0]]])
    guess = np.array([[[1, 1], [1, 0], [0, 0]]])
    np.testing.assert_equal(hits(guess, state, np.ones((1, 3), bool)), [[0, 1, NAN]])


def slow_hits(guess, state, present) -> list[float]:
    found = []
    for t in range(len(state)):
        later = [tuple(state[u]) for u in range(t + 1, len(state)) if present[u]]
        now = tuple(state[t])
        if not present[t] or all(x == now for x in later):
            found.append(NAN)
        else:
            found.append(float(tuple(guess[t]) in later and tuple(guess[t]) != now))
    return found


@given(st.integers(0, 10**6))
def test_hits_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    state, guess = rng.integers(0, 2, (2, 3, 6, 2))
    present = np.arange(6) < rng.integers(1, 7, (3, 1))
    expected = [slow_hits(*x) for x in zip(guess, state, present, strict=True)]
    np.testing.assert_equal(hits(guess, state, present), expected)


def test_guesses_by_hand():
    assert most_likely_cells(np.array([[[[0.0, 2.0, 1.0], [3.0, 3.0, 0.0]]]])).tolist() == [
        [[1, 0]]
    ]
    train = np.array([[1], [1], [1], [0], [0], [2]])
    assert most_frequent(train, line(1, 0, 2))[0, :, 0].tolist() == [0, 1, 1]
    state = np.array([[[0], [1], [2]], [[5], [6], [7]]])
    present = np.array([[True, True, True], [True, True, False]])
    for seed in range(20):
        drawn = random_future(state, present, seed)[..., 0]
        assert set(drawn[0]) <= {6} and set(drawn[1]) <= {1, 2}  # later, and of the other one
        assert (drawn[1, 1:] == 2).all()
    assert (random_future(state[:1], present[:1]) == -1).all()


def walks(rows=200, slots=12, cells=10, seed=0) -> np.ndarray:
    """Everyone walks from the middle to a goal of its own and stays: [rows, slots, 1]."""
    goal = np.random.default_rng(seed).integers(0, cells, (rows, 1, 1))
    start = cells // 2
    steps = np.minimum(np.arange(slots)[None, :, None], abs(goal - start))
    return start + np.sign(goal - start) * steps


def test_knowing_the_goal_has_lift_and_guessing_has_none():
    state, train = walks(), walks(seed=1).reshape(-1, 1)
    present = np.ones(state.shape[:2], bool)
    one_hot = lambda guess: (guess[..., None] == np.arange(10)).astype(float)
    knows = subgoal_hits(
        one_hot(np.broadcast_to(state[:, -1:], state.shape)), state, present, train
    )
    assert knows.model == 1 and knows.copy_present == 0 and knows.lift > 0.3
    assert 0.1 < knows.random_future < 0.7 and knows.most_frequent < 0.7
    blind = subgoal_hits(one_hot(np.full_like(state, 9)), state, present, train)
    assert blind.lift < 0 and blind.slots == knows.slots
    copies = subgoal_hits(one_hot(state), state, present, train)
    assert copies.model == 0
    same = subgoal_hits(one_hot(most_frequent(train, state)), state, present, train)
    assert same.model == same.most_frequent and same.lift <= 0


def test_rude_input():
    still, present = line(1, 1, 1), np.ones((1, 3), bool)
    with pytest.raises(ValueError, match="features that do not move"):
        subgoal_hits(np.zeros((1, 3, 1, 2)), still, present, np.array([[0]]))
    with pytest.raises(ValueError, match="found none"):
        most_frequent(np.zeros((0, 1), int), still)
