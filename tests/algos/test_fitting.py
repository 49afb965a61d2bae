"""How many places a reader learns from in a pass."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from counterplay.algos.fitting import here, minibatches_of
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
