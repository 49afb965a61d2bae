"""Matrix games worked out by hand."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.matrix import COOPERATE, DEFECT, Matrix


def rewards(text, mine, other):
    env = envs.make(text)
    return env.step(env.reset(jr.key(0))[0], jnp.array([mine, other]))[1].reward.tolist()


@pytest.mark.parametrize(
    ("text", "both_first", "split", "both_second"),
    [
        ("matrix:pd", [3, 3], [0, 5], [1, 1]),
        ("matrix:chicken", [3, 3], [1, 4], [0, 0]),
        ("matrix:stag", [4, 4], [0, 3], [2, 2]),
        ("matrix:pennies", [1, -1], [-1, 1], [1, -1]),
        ("matrix:rps", [0, 0], [-1, 1], [0, 0]),
    ],
)
def test_pays_by_the_table(text, both_first, split, both_second):
    assert rewards(text, 0, 0) == both_first
    assert rewards(text, 0, 1) == split
    assert rewards(text, 1, 0) == (split if text == "matrix:pennies" else split[::-1])
    assert rewards(text, 1, 1) == both_second


def test_scissors_cut_paper_and_break_on_rock():
    assert rewards("matrix:rps", 2, 1) == [1, -1]
    assert rewards("matrix:rps", 2, 0) == [-1, 1]


def test_shows_my_move_first_and_keeps_count():
    env = Matrix(horizon=2)
    state, shown = env.reset(jr.key(0))
    assert shown.obs.tolist() == [[0, 0, 0], [0, 0, 0]]
    state, shown = env.step(state, jnp.array([COOPERATE, DEFECT]))
    assert shown.obs.tolist() == [[1, 2, 1], [2, 1, 1]]
    assert not shown.terminated
    state, shown = env.step(state, jnp.array([DEFECT, DEFECT]))
    assert state.totals.tolist() == [1, 6]
    assert shown.terminated


def test_encodes_each_move_as_a_one_hot_whose_first_place_means_none_yet():
    env = Matrix(horizon=4)
    assert env.encode(jnp.array([0, 0, 0], jnp.uint8)).tolist() == [1, 0, 0, 1, 0, 0, 0]
    assert env.encode(jnp.array([1, 2, 3], jnp.uint8)).tolist() == [0, 1, 0, 0, 0, 1, 0.75]


@pytest.mark.parametrize(
    ("horizon", "dtype"), [(254, np.uint8), (255, np.uint16), (999, np.uint16)]
)
def test_a_long_game_counts_its_rounds_in_two_bytes(horizon, dtype):
    env = Matrix(horizon=horizon)
    state = env.reset(jr.key(0))[0]._replace(time=jnp.int32(horizon - 1))
    _, shown = env.step(state, jnp.array([DEFECT, COOPERATE]))
    assert shown.obs.dtype == env.obs_dtype == dtype and shown.terminated
    assert shown.obs.tolist() == [[2, 1, horizon], [1, 2, horizon]]
    assert env.encode(shown.obs[0]).tolist() == [0, 0, 1, 0, 1, 0, 1]


def test_every_round_is_paid_once():
    env, total = Matrix(horizon=5), np.zeros(2)
    state, shown = env.reset(jr.key(0))
    while not shown.terminated:
        state, shown = env.step(state, jnp.array([DEFECT, COOPERATE]))
        total += np.asarray(shown.reward)
    assert total.tolist() == state.totals.tolist() == [25, 0]


@pytest.mark.parametrize("payoffs", [((1.0,),), ((1.0, 2.0),), ((1.0, 2.0), (3.0,))])
def test_a_table_that_is_not_square_is_refused(payoffs):
    with pytest.raises(ValueError, match="pay-offs must be square"):
        Matrix(payoffs=payoffs)
