"""Joint hypotheses of what type each other player is, where some pools draw others together.

A hypothesis assigns a type to each of the M others, and all Y^M assignments are kept, in the order
of ``itertools.product``. Axes are counted from the front, as in ``beliefs``.
"""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from counterplay.maths import LEAST_LOG

MOST = 64
"""Hypotheses that are kept."""


def assignments(others: int, types: int) -> Int[np.ndarray, "H M"]:
    """The type of each other under each hypothesis. ValueError where there are more than 64."""
    if types**others > MOST:
        raise ValueError(
            f"belief joint: {types} types for each of {others} others make {types**others:,} joint "
            f"hypotheses, and {MOST} are kept at most: belief filter infers each other for itself"
        )
    each = list(product(range(types), repeat=others))
    return np.array(each, np.int32).reshape(len(each), others)


def marginals(log_weight: Float[Array, "H *b"], others: int, types: int) -> Array:
    """Log-probabilities [M, Y, *b] of each other's type."""
    cube = _cube(log_weight, others, types)
    axes = range(others)
    rows = [jax.nn.logsumexp(cube, axis=[i for i in axes if i != j]) for j in axes]
    return jnp.stack(rows) if rows else jnp.zeros((0, types, *log_weight.shape[1:]))


def weighed(log_weight: Float[Array, "H *b"], told: Float[Array, "M Y *b"]) -> Array:
    """Log-weights [H, *b] after something was seen of each other that is as likely as ``told`` for
    each type: Bayes' rule over hypotheses, none of which falls below LEAST_LOG."""
    others, types, *batch = told.shape
    cube = _cube(log_weight, others, types)
    for j in range(others):
        cube += jnp.maximum(told[j], LEAST_LOG).reshape(_along(j, others, types, batch))
    flat = cube.reshape(log_weight.shape)
    return jnp.maximum(jax.nn.log_softmax(flat, 0), LEAST_LOG)


def redrawn(
    log_weight: Float[Array, "H *b"], there: Bool[Array, "M *b"], types: int, share: float
) -> Float[Array, "H *b"]:
    """Log-weights if each other that is there has, for itself, become of any type with the chance
    ``share``."""
    if share == 0:
        return log_weight
    others, *batch = there.shape
    cube = _cube(log_weight, others, types)
    for j in range(others):
        even = jax.nn.logsumexp(cube, axis=j, keepdims=True) - jnp.log(float(types))
        moved = jnp.logaddexp(cube + jnp.log1p(-share), even + jnp.log(share))
        cube = jnp.where(there[j].reshape(_along(0, others, 1, batch)), moved, cube)
    return cube.reshape(log_weight.shape)


def chances_of(moves: Float[Array, "M Y A *b"]) -> Float[Array, "H M A *b"]:
    """Of each other's moves under each hypothesis, from those under each type."""
    codes = assignments(*moves.shape[:2])
    rows = [moves[j][codes[:, j]] for j in range(len(moves))]
    return (
        jnp.stack(rows, 1) if rows else jnp.zeros((len(codes), *moves.shape[:1], *moves.shape[2:]))
    )


def _cube(log_weight: Array, others: int, types: int) -> Array:
    """[H, *b] with an axis of its own for the type of each other."""
    return log_weight.reshape(*[types] * others, *log_weight.shape[1:])


def _along(j: int, others: int, types: int, batch: list[int]) -> list[int]:
    """Sizes of what lies along the axis of other j of a cube."""
    return [types if i == j else 1 for i in range(others)] + batch
