"""Posteriors worked by hand and by enumeration, and the float32 filter against the float64 one."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from repeated import TYPES, fixed, play

from counterplay.evaluate.exact_filter import exact_filter, mixed
from counterplay.maths import LEAST_LOG, bayes_update
from counterplay.types import NO_MOVE

EVEN = np.full(TYPES, 1 / TYPES)
LOG_ZERO = -np.inf


def coins(*heads: float, slots: int) -> np.ndarray:
    """Types that ignore everything: [T, Y, 2]."""
    p = np.array([[h, 1 - h] for h in heads])
    logs = np.full(p.shape, LOG_ZERO)
    np.log(p, out=logs, where=p > 0)
    return np.repeat(logs[None], slots, 0)


def run(log_likelihood, moves, prior, **settings):
    moves = np.array(moves)
    legal = np.ones((*moves.shape, log_likelihood.shape[-1]), bool)
    return exact_filter(log_likelihood, legal, moves, np.array(prior), **settings)


def test_two_coins_by_hand():
    # 3/4 against 1/4 for heads: odds 3, then 3 / 3 = 1, then nothing seen, then 3 again
    found = run(coins(0.75, 0.25, slots=4), [0, 1, NO_MOVE, 0], [0.5, 0.5], uniform=0.0)
    after = np.exp(found.log_after)
    np.testing.assert_allclose(after, [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5], [0.75, 0.25]])
    np.testing.assert_allclose(np.exp(found.log_before)[1:], after[:-1])
    heads = np.exp(found.log_predicted)[:, 0]
    np.testing.assert_allclose(heads, [0.5, 0.75 * 0.75 + 0.25 * 0.25, 0.5, 0.5])


def test_one_hundredth_of_uniform_keeps_a_type_possible():
    found = run(coins(1.0, 0.0, slots=2), [0, 1], [0.5, 0.5])
    # .995 against .005, and back
    np.testing.assert_allclose(np.exp(found.log_after), [[0.995, 0.005], [0.5, 0.5]], rtol=1e-12)
    with pytest.raises(ValueError, match="no type is left"):
        run(coins(1.0, 1.0, slots=1), [1], [0.5, 0.5], uniform=0.0)


def test_drift_and_contact_by_hand():
    contact = np.array([True, False, True])
    found = run(
        coins(0.75, 0.25, slots=3), [0, 0, 0], [0.5, 0.5], uniform=0.0, drift=0.2, contact=contact
    )
    before = np.exp(found.log_before)[:, 0]
    np.testing.assert_allclose(before, [0.5, 0.8 * 0.75 + 0.2 * 0.5, 0.5])


def enumerated(likelihood: np.ndarray, moves: list[int], prior: np.ndarray, drift: float):
    """Posterior before the last move: sums over every sequence of types."""
    slots, types = likelihood.shape[:2]
    total = np.zeros(types)
    for path in product(range(types), repeat=slots):
        p = prior[path[0]]
        for t, move in enumerate(moves[:-1]):
            stays = (1 - drift) * (path[t] == path[t + 1])
            p *= likelihood[t, path[t], move] * (stays + drift * prior[path[t + 1]])
        total[path[-1]] += p
    return total / total.sum()


@pytest.mark.parametrize("drift", [0.0, 0.3, 1.0])
def test_filter_is_the_sum_over_all_sequences_of_types(drift):
    rng = np.random.default_rng(3)
    likelihood = rng.dirichlet(np.ones(3), (5, 3))
    prior, moves = rng.dirichlet(np.ones(3)), [0, 2, 1, 1, 0]
    found = run(np.log(likelihood), moves, prior, drift=drift, uniform=0.0)
    expected = enumerated(likelihood, moves, prior, drift)
    np.testing.assert_allclose(np.exp(found.log_before[-1]), expected, rtol=1e-12)


def test_rows_are_filtered_apart_and_slots_may_drift_apart():
    game = play(fixed(6, 30))
    whole = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN, drift=np.full(30, 0.1))
    for b in range(6):
        one = exact_filter(game.log_likelihood[b], game.legal[b], game.moves[b], EVEN, drift=0.1)
        assert all(np.array_equal(a[b], x) for a, x in zip(whole, one, strict=True))


def test_the_filter_recognises_its_types_and_a_wrong_one_does_not():
    game = play(fixed(300, 60))
    right = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN)
    assert (right.log_after[:, -1].argmax(-1) == game.mode[:, 0]).mean() > 0.98
    np.testing.assert_allclose(np.exp(right.log_predicted).sum(-1), 1)
    late = exact_filter(np.roll(game.log_likelihood, 1, 1), game.legal, game.moves, EVEN)
    assert (late.log_after[:, -1].argmax(-1) == game.mode[:, 0]).mean() < 0.7


def test_what_is_illegal_is_not_predicted():
    legal = np.array([[True, False, True], [False, False, False]])
    chances = mixed(np.log(np.array([[[0.2, 0.5, 0.3]], [[0.2, 0.5, 0.3]]])), legal, 0.1)
    np.testing.assert_allclose(chances[0, 0], [0.9 * 0.4 + 0.05, 0, 0.9 * 0.6 + 0.05])
    assert not chances[1].any()
    nothing_left = np.log(np.array([[[1e-300, 1.0, 1e-300]]])) * 1e4  # all underflow but one
    np.testing.assert_allclose(mixed(nothing_left, legal[:1], 0.1)[0, 0], [0.5, 0, 0.5])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"moves": np.array([2])}, r"moves\[0\] is 2, which is not legal"),
        ({"moves": np.array([1])}, "not legal"),
        ({"moves": np.array([-2])}, "not legal"),
        ({"prior": np.array([0.5, 0.6])}, "sum to 1"),
        ({"prior": np.array([1.5, -0.5])}, "sum to 1"),
        ({"drift": 1.1}, "drift is a probability"),
        ({"uniform": np.nan}, "uniform is a probability"),
        ({"log_likelihood": np.full((1, 2, 2), 0.5)}, "without their logarithm"),
        ({"log_likelihood": np.full((1, 2, 2), np.nan)}, "found nan"),
    ],
)
def test_what_is_no_probability_is_refused(change, words):
    right: dict[str, Any] = {
        "log_likelihood": np.log(np.full((1, 2, 2), 0.5)),
        "legal": np.array([[True, False]]),
        "moves": np.array([0]),
        "prior": np.array([0.5, 0.5]),
    }
    exact_filter(**right)
    with pytest.raises(ValueError, match=words):
        exact_filter(**(right | change))


@pytest.mark.parametrize(("switching", "drift"), [(0, 0.0), (500, 0.01)])
def test_float32_and_jit_stay_within_a_hundred_thousandth(switching, drift):
    """1,000 steps of 1,000 random models, of which some switch half-way if the filters drift.

    Without drift a type falls hundreds of nats behind, where float32 has four digits left.
    """
    models, slots, types, actions = 1000, 1000, 5, 4
    rng = np.random.default_rng(0)
    sharp = rng.uniform(0.2, 3, (models, 1, 1, 1))
    policies = sharp * np.log(rng.dirichlet(np.ones(actions), (models, 8, types)))  # in 8 states
    policies -= np.log(np.exp(policies).sum(-1, keepdims=True))
    states = rng.integers(0, 8, (models, slots))
    true = np.repeat(rng.integers(0, types, (models, 1)), slots, 1)
    true[:switching, slots // 2 :] = rng.integers(0, types, (switching, 1))
    likelihood = policies[np.arange(models)[:, None], states]  # [models, T, Y, A]
    chances = np.exp(np.take_along_axis(likelihood, true[..., None, None], 2)[:, :, 0])
    moves = (chances.cumsum(-1) < rng.random((models, slots, 1))).sum(-1).clip(0, actions - 1)
    legal, prior = np.ones((models, slots, actions), bool), np.full(types, 1 / types)
    exact = exact_filter(likelihood, legal, moves, prior, drift=drift)

    evidence = np.take_along_axis(mixed(likelihood, legal), moves[..., None, None], -1)[..., 0]
    evidence = np.log(evidence).astype(np.float32).swapaxes(0, 1)  # [T, models, Y]
    start = jnp.full((models, types), np.log(1 / types), jnp.float32)

    def step(held, observed):
        held = bayes_update(held, observed)
        return jnp.logaddexp(held + jnp.log1p(-drift), start + jnp.log(drift)), jnp.exp(held)

    found = np.asarray(jax.jit(lambda x: jax.lax.scan(step, start, x)[1])(evidence))
    assert found.dtype == np.float32
    assert abs(found.swapaxes(0, 1) - np.exp(exact.log_after)).max() <= 1e-5


def test_the_update_survives_what_cannot_be():
    inf = jnp.inf
    even = jnp.log(jnp.array([0.5, 0.5]))
    none = bayes_update(even, jnp.array([-inf, -inf]))
    np.testing.assert_allclose(np.exp(none), [0.5, 0.5], rtol=1e-6)
    one = bayes_update(even, jnp.array([-inf, 0.0]))
    assert np.exp(one).tolist() == [0, 1] and one[0] == LEAST_LOG
    back = bayes_update(one, jnp.array([0.0, -inf]))
    assert np.isfinite(np.asarray(back)).all() and abs(float(jnp.exp(back).sum()) - 1) < 1e-6
    slope = jax.grad(lambda x: bayes_update(even, x)[0])(jnp.array([-inf, 0.0]))
    assert np.isfinite(np.asarray(slope)).all()
