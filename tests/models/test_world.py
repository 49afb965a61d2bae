"""The model of the game: what its axes mean, and that what players do is added up."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.models import history
from counterplay.models.history import Seen
from counterplay.models.world import World
from counterplay.types import NO_EVENT, NO_MOVE

FEATURES, SEATS, ACTIONS, GOALS = 3, 3, 2, 2
SIZES: dict[str, Any] = {"hidden": 6, "width": 8, "token": 4, "bins": 5}


@cache
def model(groups: int = 4) -> World:
    game, sizes = (FEATURES, SEATS, ACTIONS, GOALS), SIZES | {"groups": groups, "classes": 3}
    return World(*game, public=True, binary=True, key=jr.key(0), **sizes)


def seen(*moved: int) -> Seen:
    quiet, there = jnp.full(SEATS, NO_EVENT), jnp.ones(SEATS, bool)
    legal = jnp.ones((SEATS - 1, ACTIONS), bool)
    return Seen(jnp.array(moved), quiet, there, jnp.float32(0), jnp.bool_(False), legal)


def shown(w: World, s: Seen) -> jax.Array:
    return w.inputs(jnp.array([0.0, 1.0, 0.5]), s)


@cache
def latent(groups: int = 4) -> jax.Array:
    w, s = model(groups), seen(0, 1, 0)
    return w.see(jr.key(1), w.begin(), shown(w, s), s)


@pytest.mark.parametrize("groups", [4, 0])
def test_shapes_are_those_that_were_promised(groups):
    w, e = model(groups), latent(groups)
    assert w.size == 6 + 3 * groups and w.begin().shape == e.shape == (w.size,)
    assert (w.begin() == 0).all() and (e != 0).any()
    table = w.table(e)
    assert table.shape == (SEATS, ACTIONS + 1, 8)
    h, prior = w.step(e, table, jnp.array([0, 1, NO_MOVE]))
    assert h.shape == (6,) and prior.shape == (groups, 3 * (groups > 0))
    told = w.read(w.arrive(jr.key(2), h, prior))
    assert told.reward.shape == (5,) and told.alive.shape == (SEATS,)
    assert told.events.shape == (SEATS, GOALS + 1) and told.legal.shape == (ACTIONS,)
    assert told.public_legal.shape == (SEATS - 1, ACTIONS) and told.obs.shape == (FEATURES,)
    assert w.earned(told).shape == ()
    assert shown(w, seen(0, 0, 0)).shape == (history.width(FEATURES, SEATS, ACTIONS, GOALS),)


def test_each_group_of_the_latent_has_one_class():
    drawn = latent()[6:].reshape(4, 3)
    assert np.allclose(drawn.sum(-1), 1, atol=1e-6) and np.allclose(drawn.max(-1), 1, atol=1e-6)


def test_without_a_key_the_latent_is_always_the_same():
    w, s = model(), seen(1, 1, 0)
    x, e = shown(w, s), latent()
    one = w.see(None, e, x, s)
    assert np.array_equal(one, w.see(None, e, x, s))
    drawn = jax.vmap(lambda k: w.see(k, e, x, s))(jr.split(jr.key(3), 64))
    assert (drawn[:, :6] == one[None, :6]).all(), "h is no draw"
    assert len(np.unique(np.round(drawn[:, 6:]), axis=0)) > 1, "z is"


def test_tokens_of_the_players_are_added_up():
    w, e = model(), latent()
    table, joint = jr.normal(jr.key(4), (SEATS, ACTIONS + 1, 8)), jnp.array([1, 0, NO_MOVE])
    total = table[0, 1] + table[1, 0] + table[2, ACTIONS]
    one_does_it_all = jnp.zeros_like(table).at[1, 0].set(total)
    each, one = w.step(e, table, joint)[0], w.step(e, one_does_it_all, joint)[0]
    np.testing.assert_allclose(each, one, atol=1e-6)
    again = table.at[0, 0].set(table[1, 0])  # now player 0 can do as player 1 does
    two = w.step(e, again, jnp.array([0, 0, NO_MOVE]))[0]
    alone = w.step(e, again.at[0, 0].set(0.0), jnp.array([0, 0, NO_MOVE]))[0]
    assert not np.allclose(two, alone, atol=1e-4), "two are not as one"


def test_one_joint_move_is_what_the_table_says():
    w, e = model(), latent()
    for joint in (jnp.array([0, 1, 1]), jnp.array([NO_MOVE, 0, NO_MOVE])):
        for a, b in zip(w.expect(e, joint), w.step(e, w.table(e), joint), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_players_are_told_apart_by_what_is_picked_out_of_the_latent():
    w, e = model(), latent()
    a, b = (w.expect(e, jnp.array(joint))[0] for joint in ([0, 1, 1], [1, 0, 1]))
    assert not np.allclose(a, b, atol=1e-4)
    blind = eqx.tree_at(lambda w: w.players.weight, w, jnp.zeros_like(w.players.weight))
    other = blind.begin().at[7].set(1.0)
    assert np.array_equal(blind.table(e), blind.table(other)), "else tokens knew of nothing"


def test_who_moves_is_told_by_its_mark_alone():
    """Where two are picked out of the latent alike, it is the same who of them makes which move."""
    w, e = model(), latent()
    marks = w.players.weight.reshape(w.size, SEATS, -1)
    alike = marks.at[:, 1].set(marks[:, 0]).reshape(w.players.weight.shape)
    w = eqx.tree_at(lambda w: w.players.weight, w, alike)
    each = [w.expect(e, jnp.array(joint))[0] for joint in ([0, 1, NO_MOVE], [1, 0, NO_MOVE])]
    np.testing.assert_allclose(*each, atol=1e-6)
    third = w.expect(e, jnp.array([NO_MOVE, 0, 1]))[0]
    assert not np.allclose(each[0], third, atol=1e-4), "the third is another"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"groups": -1}, "groups"),
        ({"groups": 2, "classes": 1}, "groups of 2 classes"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"bins": 4}, "odd"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        World(3, 2, 2, 1, public=True, binary=True, key=jr.key(0), **wrong)
