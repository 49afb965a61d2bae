"""Small arrays of many seats, computed abreast: what they are batched over is put last.

A CPU computes several numbers at once where they lie side by side. Of a few types, goals or moves
each seat has too few for that, and sums over such an axis take most of the time; seats there are
thousands of.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array


def abreast(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of trees of arrays; under ``vmap`` its batch axes come last.

    ``f`` counts axes from the front and leaves those that follow alone: as it takes [M, A] it takes
    [M, A, *b]. No reverse-mode gradient passes through it.
    """
    return _batched(f, 0)


def _batched(f: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """``f``, whose arrays have so many batch axes."""

    @custom_vmap
    def call(*args):
        return jax.tree.map(_in_order, f(*jax.tree.map(_in_order, args))) if axes else f(*args)

    @call.def_vmap
    def rule(size: int, batched: Any, *args: Any):
        def last(x, along):  # the outermost of them comes first
            x = x if along else jnp.broadcast_to(x, (size, *x.shape))
            return jnp.moveaxis(x, 0, x.ndim - 1 - axes)

        out = _batched(f, axes + 1)(*jax.tree.map(last, args, tuple(batched)))
        out = jax.tree.map(lambda x: jnp.moveaxis(x, x.ndim - 1 - axes, 0), out)
        return out, jax.tree.map(lambda _: True, out)

    return call


def _in_order(x: Array) -> Array:
    """Kept in the order of its axes: left to itself XLA keeps it in that of where it came from."""
    if jax.default_backend() != "cpu":
        return x
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))
