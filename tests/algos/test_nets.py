"""What the networks of policy-gradient learners compute, against NumPy."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.algos.ppo import Config
from counterplay.models.nets import ACTIVATIONS, ActorCritic
from counterplay.runs.policies import config_of

BY_HAND = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def through(trunk, x, unit):
    for layer in trunk.layers:
        x = BY_HAND[unit](x @ np.asarray(layer.weight) + np.asarray(layer.bias))
    return x


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("unit", ACTIVATIONS)
def test_logits_and_value(unit, apart):
    net = ActorCritic(5, 3, (7, 4), 0, jr.key(0), unit, apart)
    x = np.random.default_rng(0).normal(size=5).astype(np.float32)
    logits, value, _ = net(jnp.asarray(x), jnp.zeros(0))
    seen = through(net.trunk, x, unit)
    np.testing.assert_allclose(logits, seen @ np.asarray(net.policy.weight), rtol=2e-5, atol=1e-6)
    rated = through(net.critic if apart else net.trunk, x, unit)
    np.testing.assert_allclose(value, (rated @ np.asarray(net.value.weight))[0], rtol=2e-5)


@pytest.mark.parametrize("apart", [False, True])
def test_only_a_value_apart_leaves_the_policys_layers_alone(apart):
    net = ActorCritic(5, 3, (7, 4), 0, jr.key(0), apart=apart)
    grad = eqx.filter_grad(lambda n: n(jnp.ones(5), jnp.zeros(0))[1])(net)
    size = lambda part: sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(part))
    assert (size(grad.trunk) == 0) is apart
    assert (size(grad.critic) > 0) is apart
    assert size(grad.value) > 0 and size(grad.policy) == 0


def test_unknown_units_and_a_recurrent_value_apart_are_refused():
    with pytest.raises(ValueError, match=r"(?s)settings of the wrong kind.*thanh"):
        config_of(Path("run"), {"algorithm": "ppo", "config": {"activation": "thanh"}})
    with pytest.raises(ValueError, match="apart and gru exclude each other, found gru 8"):
        Config(apart=True, gru=8)
