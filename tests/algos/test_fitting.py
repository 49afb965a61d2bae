"""How many places a reader learns from in a pass."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from jaxtyping import Array

from counterplay.algos.adam import optimiser
from counterplay.algos.fitting import fit_reader, here, minibatches_of
from counterplay.algos.loops import Spec


@pytest.mark.parametrize(("asked", "cores", "each"), [(256, 4, 64), (256, 1, 256), (3, 4, 1)])
def test_places_of_a_pass_are_shared_by_the_cores(asked, cores, each):
    config = SimpleNamespace(reader_places=asked)
    alone = here(config, Spec(None, None, None))  # pyright: ignore[reportArgumentType]
    assert alone == asked
    spec = Spec(None, None, "cores")  # pyright: ignore[reportArgumentType]
    drawn = jax.vmap(lambda x: x + here(config, spec), axis_name="cores")(jnp.zeros(cores))
    assert drawn.tolist() == [each] * cores


@pytest.mark.parametrize(
    ("places", "most", "minibatches", "found"),
    [
        (2048, 256, 8, (32, 8)),
        (128, 256, 8, (16, 8)),  # all there are
        (2048, 2, 8, (1, 2)),  # never more than asked for
        (3, 256, 8, (1, 3)),
        (10, 10, 4, (2, 4)),  # two are left over, others in every pass
    ],
)
def test_minibatches_are_no_more_places_than_a_pass_has(places, most, minibatches, found):
    assert minibatches_of(places, most, minibatches) == found


class Places(NamedTuple):
    """A number for every place, to learn the mean of."""

    shown: Array
    acting: Array


def passed(past: bool) -> list[float]:
    """Of passes over 64 places of zeros and, with ``past``, as many of ones: the mean of each."""
    config = SimpleNamespace(
        reader_places=32, reader_epochs=50, reader_minibatches=1, reader_rate=0.0, max_grad_norm=1.0
    )
    seen = []

    def loss(config, env, reader, place):
        jax.debug.callback(lambda x: seen.append(float(x)), place.shown)
        return {"x": (reader - place.shown) ** 2}, {"x": jnp.float32(1)}

    fresh = Places(jnp.zeros((1, 64)), jnp.ones((1, 64), bool))
    old = fresh._replace(shown=jnp.ones((1, 64))) if past else None
    reader = jnp.zeros(1)
    opt = jax.vmap(optimiser(config).init)(reader)
    spec: Any = Spec(None, None, None)  # pyright: ignore[reportArgumentType]
    fit_reader(loss, config, spec, reader, opt, fresh, jnp.float32(0), jr.key(0), old)
    jax.effects_barrier()
    return seen


def test_half_of_a_pass_is_of_earlier_play_and_none_is_longer_for_it():
    alone, both = passed(False), passed(True)
    assert len(alone) == len(both) == 50 * 32 and not any(alone)
    assert abs(sum(both) / len(both) - 0.5) < 0.05, "four standard errors"
