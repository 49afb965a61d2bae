"""What inference over hidden aims holds where the other may be somebody else from now on.

Axes: ``Y`` types, ``G`` aims of an episode.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LEAST = 1e-30
"""Less than this no chance is: so that nothing is ruled out for ever by rounding."""


def redrawn(
    log_weight: Float[Array, "Y G"],
    idle: Float[Array, "Y G"],
    drift: float,
    slots: Int[Array, ""],
) -> Float[Array, "Y G"]:
    """log P(type, aim) if between any two of so many slots the type was drawn anew that often.

    ``log_weight`` is the same, up to a constant, had nobody changed, and ``idle`` P(aim | type) of
    rules that have watched so far and not played. All types are as likely to be drawn.
    """
    changed = 1 - (1 - drift) ** slots.astype(jnp.float32)
    held = jax.nn.softmax(log_weight.ravel()).reshape(log_weight.shape)
    return jnp.log(jnp.maximum((1 - changed) * held + changed * idle / len(idle), LEAST))


def check_drift(name: str, drift: float) -> None:
    """ValueError for what is no chance of a change."""
    if not 0 <= drift < 1:
        raise ValueError(f"{name}: drift is the chance of a change, 0 to below 1, found {drift}")
