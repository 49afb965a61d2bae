"""A policy that is told of the others: rows are added up, marked, and the absent add nothing."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.models.conditioned import Conditioned
from counterplay.models.q import ConditionedQ

INPUTS, ACTIONS, ROWS, ROW = 4, 3, 3, 5
OBS = jnp.array([0.3, -1.0, 2.0, 0.0])


@cache
def net(gru: int = 0, apart: bool = False) -> Conditioned:
    return Conditioned(INPUTS, ACTIONS, (8, 6), gru, jr.key(0), "tanh", ROWS, ROW, 16, apart)


def told(held) -> jax.Array:
    return jnp.concatenate([OBS, held.ravel()])


ROWS_HELD = jr.normal(jr.key(1), (ROWS, ROW))
judged = jax.jit(lambda n, x: n(x, jnp.zeros(n.gru))[:2])


def test_rows_may_come_in_any_order_if_their_marks_go_with_them():
    order = jnp.array([2, 0, 1])
    marks = net().other.weight[ROW:]
    turned = eqx.tree_at(lambda n: n.other.weight, net(),
                         jnp.concatenate([net().other.weight[:ROW], marks[order]]))  # fmt: skip
    for a, b in zip(judged(turned, told(ROWS_HELD[order])), judged(net(), told(ROWS_HELD)),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, atol=1e-5)
    mixed = judged(net(), told(ROWS_HELD[order]))[1]
    assert abs(mixed - judged(net(), told(ROWS_HELD))[1]) > 1e-3, "who wants what stays together"


@pytest.mark.parametrize("kind", ["policy", "values"])
def test_without_marks_rows_may_come_in_any_order(kind):
    """Who sits where may be exchanged: nothing else tells the others apart."""
    sizes = INPUTS, ACTIONS, (8, 6), 0, jr.key(0), "tanh"
    if kind == "policy":
        plain = Conditioned(*sizes, ROWS, ROW, 16, marks=False)
        made = lambda held: plain(told(held), jnp.zeros(0))[:2]
    else:
        values = ConditionedQ(*sizes, True, ROWS, ROW, 16, marks=False)
        made = lambda held: values((OBS, held), jnp.zeros(0))[:1]
    for a, b in zip(made(ROWS_HELD[jnp.array([2, 0, 1])]), made(ROWS_HELD), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    one, nobody = made(ROWS_HELD.at[1:].set(0.0)), made(jnp.zeros((ROWS, ROW)))
    assert abs(one[0] - nobody[0]).max() > 1e-4, "but what is held is read"


def test_a_row_of_zeros_adds_nothing():
    some = ROWS_HELD.at[1].set(0.0)
    sums = net().joined(told(some))[INPUTS:]
    layer = net().other
    wanted = sum(
        jax.nn.relu(jnp.concatenate([ROWS_HELD[i], jnp.eye(ROWS)[i]]) @ layer.weight + layer.bias)
        for i in (0, 2)
    )
    np.testing.assert_allclose(sums, wanted, rtol=1e-5, atol=1e-7)
    assert (net().joined(told(jnp.zeros((ROWS, ROW)))) == jnp.pad(OBS, (0, 16))).all()


def test_how_many_want_a_thing_is_told_apart():
    """A mean over rows could not: two hunters among two, and one who hunts alone, are the same."""
    hunts = jnp.eye(ROW)[0]
    one, two = jnp.zeros((ROWS, ROW)).at[0].set(hunts), jnp.zeros((ROWS, ROW)).at[:2].set(hunts)
    unmarked = eqx.tree_at(lambda n: n.other.weight, net(), net().other.weight.at[ROW:].set(0.0))
    few, many = (unmarked.joined(told(rows))[INPUTS:] for rows in (one, two))
    np.testing.assert_allclose(many, 2 * few, rtol=1e-6)
    assert (few > 0).any()
    a, b = (judged(unmarked, told(rows)) for rows in (one, two))
    assert not np.allclose(a[1], b[1])


def test_absent_rows_have_exactly_no_gradient():
    def loss(n, held):
        logits, value = n(told(held), jnp.zeros(0))[:2]
        return logits.sum() + value

    slope = jax.jit(jax.grad(lambda both: loss(*both)))
    only, held = slope((net(), ROWS_HELD.at[1:].set(0.0)))
    assert (held[1:] == 0).all() and (held[0] != 0).any()
    marks = only.other.weight[ROW:]
    assert (marks[1:] == 0).all() and (marks[0] != 0).any()
    alone, _ = slope((net(), jnp.zeros((ROWS, ROW))))
    assert (alone.other.weight == 0).all() and (alone.other.bias == 0).all()


def test_nobody_else_is_nothing_to_be_told():
    lonely = Conditioned(INPUTS, ACTIONS, (8,), 0, jr.key(0), "relu", 0, ROW, 16)
    assert lonely.joined(OBS).shape == (INPUTS + 16,)
    assert np.isfinite(lonely(OBS, jnp.zeros(0))[0]).all()


@pytest.mark.parametrize("gru", [0, 7])
def test_along_a_row_is_slot_by_slot(gru):
    n, x = net(gru), jr.normal(jr.key(2), (4, INPUTS + ROWS * ROW))
    no = jnp.zeros(4, bool)
    e = n.along(x, no, ~no, jnp.zeros(gru))
    memory = jnp.zeros(gru)
    for t in range(4):
        logits, value, memory = n(x[t], memory)
        again = n.judge(x[t], e[t])
        np.testing.assert_allclose(again[0], logits, atol=1e-5)
        np.testing.assert_allclose(again[1], value, atol=1e-5)


def test_a_value_with_layers_of_its_own_is_told_the_same():
    n = net(apart=True)
    x = told(ROWS_HELD)
    _, value, _ = n(x, jnp.zeros(0))
    e = n.along(x[None], jnp.zeros(1, bool), jnp.ones(1, bool), jnp.zeros(0))[0]
    np.testing.assert_allclose(n.judge(x, e)[1], value, rtol=1e-6)
    assert n.core.critic is not None and value != n(told(-ROWS_HELD), jnp.zeros(0))[1]
