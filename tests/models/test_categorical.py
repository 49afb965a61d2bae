"""Discrete latents: chances, draws, and where their divergence stops pulling."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.models import categorical

FAR, NEAR = jnp.log(jnp.array([[0.02, 0.98]])), jnp.log(jnp.array([[0.5, 0.5]]))
"""KL(FAR || flipped FAR) is more than a nat; KL of FAR from NEAR is less."""


def test_every_class_keeps_a_share():
    log_p = categorical.mixed(jnp.array([[100.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(jnp.exp(log_p), [[0.995, 0.005], [0.5, 0.5]], rtol=1e-5)


def test_draws_are_one_hot_and_as_frequent_as_they_should_be():
    log_p = jnp.log(jnp.array([[0.2, 0.8], [1.0, 0.0]]))
    drawn = jax.vmap(lambda k: categorical.draw(k, log_p))(jr.split(jr.key(0), 4000))
    assert np.allclose(drawn.sum(-1), 1, atol=1e-6) and np.allclose(drawn.max(-1), 1, atol=1e-6)
    np.testing.assert_allclose(drawn.mean(0), [[0.2, 0.8], [1, 0]], atol=0.03)
    np.testing.assert_allclose(categorical.draw(None, log_p), [[0, 1], [1, 0]], atol=1e-6)
    assert categorical.draw(jr.key(0), jnp.zeros((0, 0))).shape == (0, 0)


def test_gradients_pass_straight_through_the_draw():
    weight, log_p = jnp.array([[3.0, 5.0]]), jnp.log(jnp.array([[0.25, 0.75]]))
    slope = jax.grad(lambda x: (weight * categorical.draw(jr.key(0), x)).sum())(log_p)
    np.testing.assert_allclose(slope, weight * jnp.exp(log_p), rtol=1e-6)


def test_divergence_by_hand():
    q, p = jnp.log(jnp.array([[0.5, 0.5]])), jnp.log(jnp.array([[0.25, 0.75]]))
    one = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    np.testing.assert_allclose(categorical.divergence(q, p), one, rtol=1e-5)
    both = jnp.concatenate([q, q]), jnp.concatenate([p, p])
    np.testing.assert_allclose(categorical.divergence(*both), 2 * one, rtol=1e-5)


def test_each_half_moves_its_own_side_and_neither_below_a_nat():
    slopes = jax.jacrev(lambda q, p: jnp.stack(categorical.balanced(q, p)), (0, 1))
    by_q, by_p = slopes(FAR, FAR[:, ::-1])
    assert (by_q[0] == 0).all() and (by_p[0] != 0).all(), "dynamics move the prior only"
    assert (by_q[1] != 0).all() and (by_p[1] == 0).all(), "representation the posterior only"
    assert float(categorical.divergence(FAR, NEAR)) < 1
    assert [float(x) for x in categorical.balanced(FAR, NEAR)] == [1, 1]
    for slope in slopes(FAR, NEAR):
        assert (slope == 0).all()
