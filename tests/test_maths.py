"""Sequences worked by hand, fast forms against obvious loops, and rude input."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, spearmanr

from counterplay.maths import (
    chosen,
    clipped_surrogate,
    entropy,
    lambda_returns,
    masked_log_softmax,
    masked_mean,
    masked_sum,
    rank_correlation,
    sample_action,
    v_trace,
)

INF, NAN = np.inf, np.nan
DRAWS = 10**6 if os.environ.get("COUNTERPLAY_FULL") else 10**5
scanned = jax.jit(lambda_returns, static_argnames="lam")


def returns(reward, discount, value, last_value, closing=None, lam=0.5) -> list[float]:
    closing = [False] * len(reward) if closing is None else closing
    arrays = (np.array(x, np.float32) for x in (reward, discount, value, last_value))
    return scanned(*arrays, np.array(closing), lam=lam).tolist()


def test_lambda_returns_by_hand():
    # 4 + .5 (8) = 8, then 2 + .5 (.5 * 6 + .5 * 8) = 5.5, then 1 + .5 (.5 * 2 + .5 * 5.5)
    assert returns([1, 2, 4], [0.5] * 3, [10, 2, 6], 8) == [2.875, 5.5, 8.0]


def test_leaving_cuts_the_future():
    # left after slot 1: slot 2 belongs to the next game, or to nobody
    assert returns([1, 2, 4], [0.5, 0, 0.5], [10, 2, 6], 8) == [1 + 0.5 * (1 + 1), 2.0, 8.0]


def test_a_closing_slot_lends_its_value_and_earns_nothing():
    found = returns([1, 99, 4], [0.5, 0, 0.5], [10, 6, 2], 8, [False, True, False])
    assert found == [1 + 0.5 * 6, 6.0, 8.0]


def test_the_last_value_is_the_bootstrap():
    for lam in (0.0, 0.5, 1.0):
        assert returns([1.0], [0.5], [0.0], 8.0, lam=lam) == [5.0]
        assert returns([1.0], [0.0], [0.0], 8.0, lam=lam) == [1.0]


@pytest.mark.parametrize("rude", [NAN, INF, 1e30])
def test_what_an_absent_player_holds_cannot_travel_back(rude):
    """The player left with slot 0; slots 1 and 2 were never played."""
    assert returns([1, rude, rude], [0, 0, 0], [2, rude, rude], rude)[0] == 1.0
    assert returns([1, 2, rude], [0.5, 0, rude], [2, 2, rude], rude)[:2] == [2.0, 2.0]


numbers = st.floats(-10, 10, width=32)


@st.composite
def sequences(draw):
    size = draw(st.integers(1, 12))
    some = lambda kind: draw(st.lists(kind, min_size=size, max_size=size))
    discount = some(st.sampled_from([0.0, 0.5, 0.99, 1.0]))
    return some(numbers), discount, some(numbers), draw(numbers), some(st.booleans())


@given(sequences(), st.sampled_from([0.0, 0.3, 0.95, 1.0]))
def test_scan_equals_the_obvious_loop(sequence, lam):
    reward, discount, value, last_value, closing = sequence
    size = len(reward)
    after = [*value[1:], last_value]
    expected = [0.0] * size + [last_value]
    for t in reversed(range(size)):
        mixed = (1 - lam) * after[t] + lam * expected[t + 1]
        expected[t] = value[t] if closing[t] else reward[t] + discount[t] * mixed
    # made one length, so that one program serves all examples: a closing slot lends the last value
    filler = [0.0] * (12 - size)
    found = returns(
        [*reward, *filler, 0.0],
        [*discount, *filler, 0.0],
        [*value, last_value, *filler],
        NAN,
        [*closing, True, *[False] * len(filler)],
        lam,
    )
    np.testing.assert_allclose(found[:size], expected[:-1], rtol=1e-5, atol=1e-4)


def test_minus_value_it_is_the_generalised_advantage_estimate():
    """Schulman et al. (2016), eq. 16: the discounted sum of one-step errors."""
    keys = jr.split(jr.key(0), 3)
    reward, value = (np.asarray(jr.normal(k, (7,))) for k in keys[:2])
    discount = 0.9 * np.asarray(jr.bernoulli(keys[2], 0.7, (7,)), np.float32)
    after, lam = np.append(value[1:], 2.0), 0.8
    error = reward + discount * after - value
    advantage = np.array(
        [sum(error[k] * np.prod(lam * discount[t:k]) for k in range(t, 7)) for t in range(7)]
    )
    found = np.array(returns(reward, discount, value, 2.0, lam=lam)) - value
    np.testing.assert_allclose(found, advantage, rtol=1e-4, atol=1e-5)


def test_masked_sums_do_not_read_what_is_masked():
    x, mask = jnp.array([1.0, NAN, 3.0, INF]), jnp.array([True, False, True, False])
    assert masked_sum(x, mask) == 4 and masked_mean(x, mask) == 2
    assert masked_mean(x, jnp.zeros(4, bool)) == 0
    assert jax.grad(masked_mean)(x, mask).tolist() == [0.5, 0, 0.5, 0]


def test_masked_log_softmax_by_hand():
    logits = jnp.log(jnp.array([1.0, 3.0, 4.0]))
    found = masked_log_softmax(logits, jnp.array([True, True, False]))
    np.testing.assert_allclose(jnp.exp(found), [0.25, 0.75, 0], rtol=1e-6)
    assert found[2] == -INF
    np.testing.assert_allclose(
        entropy(found), -0.25 * np.log(0.25) - 0.75 * np.log(0.75), rtol=1e-6
    )
    np.testing.assert_allclose(chosen(found, jnp.array(1)), np.log(0.75), rtol=1e-6)
    assert chosen(found, jnp.array(-1)) == 0
    batch = jnp.stack([found, found[::-1]])[None]
    np.testing.assert_allclose(
        chosen(batch, jnp.array([[1, 2]])), np.log([[0.75, 0.25]]), rtol=1e-6
    )


@pytest.mark.parametrize("size", [0.0, 1e3, 1e30, 3e38])
def test_forbidden_actions_get_nothing_however_large_their_logits(size):
    legal = jnp.array([False, True, True, False])
    log_pi = masked_log_softmax(jnp.array([size, 0.0, 0.0, size]), legal)
    np.testing.assert_allclose(jnp.exp(log_pi), [0, 0.5, 0.5, 0], atol=1e-7)
    assert masked_log_softmax(jnp.array([size, -size]), jnp.array([False, True])).tolist()[1] == 0


def judge(logits, legal, action):
    """Everything a policy loss makes of logits."""
    log_pi = masked_log_softmax(logits, legal)
    ratio = jnp.exp(chosen(log_pi, action))
    return clipped_surrogate(ratio, jnp.float32(1), 0.2) - 0.1 * entropy(log_pi)


@pytest.mark.parametrize("size", [0.0, 5.0, 1e30])
def test_with_nothing_legal_values_are_finite_and_gradients_zero(size):
    logits, nothing = jnp.array([size, 0.0, -size]), jnp.zeros(3, bool)
    log_pi = masked_log_softmax(logits, nothing)
    assert (log_pi == -INF).all()
    assert entropy(log_pi) == 0 and chosen(log_pi, jnp.array(-1)) == 0
    assert jax.grad(judge)(logits, nothing, jnp.array(-1)).tolist() == [0, 0, 0]
    assert (
        jax.grad(judge)(logits, jnp.array([True, False, False]), jnp.array(0)).tolist() == [0] * 3
    )


@pytest.mark.parametrize("size", [1.0, 200.0, 1e30])
def test_gradients_are_finite_and_spare_forbidden_actions(size):
    gradient = jax.grad(judge)(
        jnp.array([size, 0.3, -size, 0.1]), jnp.array([True, True, True, False]), jnp.array(1)
    )
    assert jnp.isfinite(gradient).all() and gradient[3] == 0
    if size == 1.0:
        assert (gradient[:3] != 0).all()


def test_entropy_of_certain_and_of_uniform():
    legal = jnp.array([[True, False, False], [True, True, True]])
    assert entropy(masked_log_softmax(jnp.zeros((2, 3)), legal)).tolist() == [
        0,
        pytest.approx(np.log(3)),
    ]


def drawn(probabilities, count: int) -> np.ndarray:
    log_pi = jnp.log(jnp.array(probabilities, jnp.float32))
    pick = jax.jit(jax.vmap(lambda key: sample_action(key, log_pi)))
    return np.bincount(np.asarray(pick(jr.split(jr.key(7), count))), minlength=len(log_pi))


@pytest.mark.parametrize(
    "probabilities",
    [
        (0.0, 0.5, 0.0, 0.3, 0.2, 0.0),
        (0.25, 0.25, 0.25, 0.25),
        (0.0, 0.4, 0.6),
        (1e-3, 0.0, 0.999),
        (0.0, *[0.1] * 5, 0.0, *[0.1] * 5, 0.0),
    ],
)
def test_draws_match_the_probabilities_and_never_what_has_none(probabilities):
    count, p = drawn(probabilities, DRAWS), np.array(probabilities)
    assert len(count) == len(p), "an action that does not exist"
    assert (count[p == 0] == 0).all()
    assert chisquare(count[p > 0], DRAWS * p[p > 0]).pvalue > 1e-4


@pytest.mark.parametrize("edge", ["lowest", "highest", "on a boundary"])
def test_no_random_number_draws_an_impossible_action(edge, monkeypatch):
    """Any number a generator may return, also those that rounding makes awkward."""
    p = jr.uniform(jr.key(0), (3000, 11)) * jr.bernoulli(jr.key(1), 0.5, (3000, 11))
    p = p / p.sum(1, keepdims=True).clip(1e-6)
    reach = jnp.cumsum(p, axis=1)
    number = {
        "lowest": jnp.zeros(3000),
        "highest": jnp.full(3000, 1 - 2**-23),
        "on a boundary": (reach[:, 5] / reach[:, -1].clip(1e-6)).clip(0, 1 - 2**-23),
    }[edge]

    def pick(number, log_pi):
        monkeypatch.setattr(jr, "uniform", lambda key: number)
        return sample_action(jr.key(0), log_pi)

    action = jax.vmap(pick)(number, jnp.log(p))
    some = p.sum(1) > 0
    assert (jnp.take_along_axis(p, action[:, None], 1)[some] > 0).all()
    assert (action[~some] == 0).all() and not some.all()


def test_clipped_surrogate_by_hand():
    """Schulman et al. (2017), figure 1: the better of two losses is never taken."""
    ratio = jnp.array([1.0, 1.5, 0.5, 1.5, 0.5])
    advantage = jnp.array([2.0, 2.0, 2.0, -2.0, -2.0])
    found = clipped_surrogate(ratio, advantage, 0.2)
    np.testing.assert_allclose(found, [-2, -2.4, -1, 3, 1.6], rtol=1e-6)
    slope = jax.vmap(jax.grad(clipped_surrogate), (0, 0, None))(ratio, advantage, 0.2)
    assert slope[1:].tolist() == [0, -2, 2, 0]


def test_v_trace_is_the_lambda_return_where_the_policy_did_what_it_would():
    r, v = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, -1.0, 4.0])
    d, closing = jnp.array([0.9, 0.9, 0.9]), jnp.zeros(3, bool)
    told = r, d, v, jnp.float32(2.0), closing
    same = v_trace(*told, jnp.ones(3), 0.8)
    np.testing.assert_allclose(same, lambda_returns(*told, 0.8), rtol=1e-6)
    np.testing.assert_allclose(v_trace(*told, jnp.full(3, 7.0), 0.8), same)  # cut at 1


def test_v_trace_by_hand():
    r, v = jnp.array([1.0, 2.0]), jnp.array([0.5, 3.0])
    got = v_trace(
        r, jnp.array([0.5, 0.0]), v, jnp.float32(jnp.nan), jnp.zeros(2, bool),
        jnp.array([0.5, 0.25]), 0.5,
    )  # fmt: skip
    last = 3 + 0.25 * (2 - 3)
    first = 0.5 + 0.5 * (1 + 0.5 * 3 - 0.5) + 0.5 * 0.5 * 0.5 * (last - 3)
    np.testing.assert_allclose(got, [first, last], rtol=1e-6)
    shows = jnp.array([False, True])
    got = v_trace(r, jnp.array([0.5, 0.0]), v, jnp.float32(0), shows, jnp.ones(2), 1.0)
    np.testing.assert_allclose(got, [1 + 0.5 * 3, 3.0])


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, 200).astype(np.float32)  # many are equal
    y = (x + 3 * rng.normal(size=200)).astype(np.float32)
    mask = rng.random(200) < 0.7
    told = rank_correlation(
        jnp.asarray(x), jnp.asarray(np.where(mask, y, np.nan)), jnp.asarray(mask)
    )
    wanted: Any = spearmanr(x[mask], y[mask])
    np.testing.assert_allclose(told, wanted.statistic, rtol=1e-4)
    assert rank_correlation(jnp.zeros(4), jnp.arange(4.0), jnp.ones(4, bool)) == 0
    assert rank_correlation(jnp.ones(4), jnp.ones(4), jnp.zeros(4, bool)) == 0
