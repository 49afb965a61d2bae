"""What latents are worth, and what others would do in them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.models.ahead import Ahead
from counterplay.models.values import Values

E, M, ROW = 5, 3, 4


@pytest.fixture(scope="module")
def values():
    return Values(E, M, ROW, 16, jr.key(0))


def test_rows_of_the_absent_add_nothing_and_no_gradient(values):
    e, held = jr.normal(jr.key(1), (E,)), jr.uniform(jr.key(2), (M, ROW))
    gone = held.at[1].set(0.0)
    fewer = lambda v: v.mean(e, gone)
    changed = jax.tree.map(lambda x: x, values)
    grad = jax.grad(lambda v: fewer(v))(values)
    marks = grad.other.weight[ROW:]
    np.testing.assert_array_equal(marks[1], 0.0)
    assert (marks[jnp.array([0, 2])] != 0).any(1).all()
    assert fewer(changed) != values.mean(e, held)


def test_who_wants_what_is_told_apart(values):
    held = jnp.eye(M, ROW)
    turned = held[jnp.array([1, 0, 2])]
    e = jnp.ones(E)
    told = [values(e, rows).later for rows in (held, turned)]
    assert not np.allclose(*told)


def test_the_smaller_head_is_not_above_the_mean(values):
    e, held = jr.normal(jr.key(3), (8, E)), jr.uniform(jr.key(4), (8, M, ROW))
    least, mean = jax.vmap(values.least)(e, held), jax.vmap(values.mean)(e, held)
    assert (least <= mean).all() and (least < mean).any()


def test_a_fresh_value_is_about_nothing(values):
    assert abs(values.mean(jnp.zeros(E), jnp.zeros((M, ROW)))) < 2.0
    assert values.told(jnp.zeros(values.bins)) == 0.0


def test_moves_expected_ahead_are_legal_ones():
    ahead = Ahead(E, (M, 2, 3, 4), 16, jr.key(0))
    legal = jnp.array([[True, True, False, False], [True] * 4, [False] * 4])
    log_pi = ahead(jr.normal(jr.key(1), (E,)), legal)
    assert log_pi.shape == (M, 2, 3, 4)
    shares = jnp.exp(log_pi)
    np.testing.assert_allclose(shares.sum(-1)[:2], 1.0, rtol=1e-5)
    assert (shares[0, ..., 2:] == 0).all()
    assert (shares[2] == 0).all()
