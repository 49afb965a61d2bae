"""Measures of a model of the game, beside a model that knows and one that does not."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import Written, window

from counterplay.evaluate import world as measures
from counterplay.models.world import World, world_of
from counterplay.models.world_loss import Weights, imagine

GAME = Written(obs_shape=(2,), obs_dtype=np.dtype(np.uint8))
SIZES: dict[str, Any] = {"hidden": 4, "width": 6, "token": 2, "bins": 5, "groups": 2, "classes": 2}
PLAY = {
    "alive": [[1, 1], [1, 1], [1, 1], [1, 1]],
    "continues": [[1, 1], [1, 1], [0, 0], [1, 1]],
    "time": [0, 1, 2, 0],
    "reward": [[0, 0], [0, 0], [1, 0], [0, 0]],
    "obs": [[[0, 1]] * 2, [[0, 1]] * 2, [[1, 0]] * 2, [[0, 1]] * 2],
}
"""What is shown changes in slot 2, at the end of which 1 is paid and everybody leaves."""


@cache
def model() -> World:
    return world_of(GAME, jr.key(0), **SIZES)


def always(features: list[float]) -> Any:
    """A probe that reads the same from everything."""
    probe = measures.Probe(model(), jr.key(0))
    zero = jax.tree.map(jnp.zeros_like, probe)
    bias = jnp.where(jnp.array(features) > 0.5, 9.0, -9.0)
    return eqx.tree_at(lambda p: p.layers[1].bias, zero, bias)


def test_states_count_where_something_is_shown_by_moves_ahead():
    w, tolerance = window(GAME, 0, 4, **PLAY), jnp.full(2, 0.5)
    run = jax.jit(lambda p: measures.measured(GAME, model(), p, w, tolerance, None, ahead=3))
    found = run(always([0, 1]))
    told = {name: [x.tolist() for x in part] for name, part in found.items()}
    assert told["seen"] == [[3], [4]], "three of four slots show it"
    # one move from slots 0 and 1 leads to slots 1 and 2; two moves from slot 0 to slot 2
    assert told["state"] == [[1, 0, 0], [2, 1, 0]]
    assert told["rollout"] == [[1, 0, 0], [2, 1, 0]]
    assert told["reward"][1] == [4, 2, 1], "slot 3 is of the next episode, and acts too"
    assert told["paid"][1] == [1, 1, 1]
    assert told["alive"][1] == [8, 4, 2] and told["legal"][1] == [4, 2, 0]
    assert told["public_legal"][1] == [4, 2, 0] and "ghosts" not in told
    shares = measures.shares(found)
    assert shares["state"] == [0.5, 0, None] and shares["seen"] == [0.75]
    late = run(always([1, 0]))
    assert [x.tolist() for x in late["state"]] == [[1, 1, 0], [2, 1, 0]]
    assert [x.tolist() for x in late["rollout"]] == [[1, 0, 0], [2, 1, 0]], "also before"


def test_rewards_and_heads_are_compared_with_what_came():
    w, tolerance = window(GAME, 0, 4, **PLAY), jnp.full(2, 0.5)
    run = jax.jit(lambda w: measures.measured(GAME, model(), always([0, 1]), w, tolerance, None))
    found = run(w._replace(obs=w.obs))  # five moves ahead of four slots: some lead out
    dreams, _ = imagine(
        model(),
        measures.lived(GAME, model(), w, None)[1],
        w,
        None,
        Weights(steps=1),
    )
    told = jax.vmap(model().read)(dreams.e)
    want = np.abs(np.asarray(model().earned(told)) - [0, 0, 1, 0]).sum()
    np.testing.assert_allclose(found["reward"][0][0], want, rtol=1e-5)
    stays = np.asarray(told.alive > 0) == np.asarray(w.continues)
    assert found["alive"][0][0] == stays.sum()
    legal = np.asarray(told.legal > 0)[:2].sum()
    assert found["legal"][0][0] == legal, "everything is legal here"


def test_the_probe_learns_and_the_model_does_not():
    w, probe = window(GAME, 0, 4, **PLAY), measures.Probe(model(), jr.key(1))

    def loss(world, probe):
        return measures.probe_loss(GAME, world, probe, w, jr.key(2))[0]

    by_world, by_probe = jax.jit(jax.grad(loss, argnums=(0, 1)))(model(), probe)
    assert all((x == 0).all() for x in jax.tree.leaves(by_world))
    assert any((x != 0).any() for x in jax.tree.leaves(by_probe))
    assert measures.probe_loss(GAME, model(), probe, w, jr.key(2))[1] == 4 + 2


@pytest.mark.parametrize(
    ("cells", "ghost"),
    [
        ([[0, 1, 0], [0, 0, 0]], False),
        ([[1, 0, 0], [0, 0, 0]], False),  # in a wrong cell, but in one
        ([[0, 1, 1], [0, 0, 0]], True),
        ([[0, 0, 0], [0, 0, 0]], True),
        ([[0, 1, 0], [0, 1, 0]], True),  # has left, and is still there
    ],
)
def test_ghosts(cells, ghost):
    shown = jnp.array([0.0, 1, 0, 0, 0, 0, 0.3])
    read = jnp.append(jnp.array(cells, jnp.float32).ravel(), 0.9)
    assert measures.ghosts(read, shown, 2, 3) == ghost


def test_tolerances_tell_every_value_from_the_next():
    features = np.array([[0, 0.0, 7], [1, 0.2, 7], [0, 0.3, 7]], np.float32)
    np.testing.assert_allclose(measures.tolerances(features, True), [0.5, 0.05, 0.5], rtol=1e-5)
    logs = measures.tolerances(np.array([[0.0], [np.e - 1]], np.float32), False)
    np.testing.assert_allclose(logs, [0.5], rtol=1e-5)
