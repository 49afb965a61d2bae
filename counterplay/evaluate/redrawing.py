"""What inference over hidden aims holds where the other may be somebody else from now on.

Axes: ``Y`` types, ``G`` aims of an episode.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

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


def mingled(
    joint: Float[Array, "Y G"],
    idle: Float[Array, "Y G"],
    rows: Float[Array, "H cells"],
    direct: Bool[np.ndarray, "Y 1"],
    at_way: Bool[Array, "W cells"],
    drift: float,
) -> tuple[Float[Array, "Y G"], Float[Array, "H cells"]]:
    """log P(type, exit) and rows of cells as ``PursuitFilter`` has them, a slot later: by ``drift``
    somebody else has taken over, where the other stands.

    ``joint`` is P(type, exit), ``rows`` those of all exits, way-points and exits from there. Types
    of one style share rows though by now they may differ in where they are thought to be, so both
    are what they are on average: assumed-density filtering (Boyen & Koller, 1998). Who takes over
    and passes a way-point is taken not to have done so.
    """
    straight, ways, later = jnp.split(rows, 3)
    mass = straight.sum(1), ways.sum() + later.sum(1)
    new = drift * idle / len(idle)
    of = lambda x: (jnp.where(direct, x, 0.0).sum(0), jnp.where(direct, 0.0, x).sum(0))
    share = [x / jnp.maximum(m, LEAST) for x, m in zip(of(joint), mass, strict=True)]
    here = share[0] @ straight + share[1].sum() * ways.sum(0) + share[1] @ later
    (go, turn), (stay, stays) = of(new), ((1 - drift) * x for x in share)
    here = here[None]
    ahead, behind = jnp.where(at_way, 0.0, here), jnp.where(at_way, here, 0.0).sum(0)
    ahead, behind = ahead / len(at_way), behind / len(at_way)
    straight = stay[:, None] * straight + go[:, None] * here
    # rows to way-points are one for all exits: those from there are held in proportion
    each = stays * ways.sum() + turn * ahead.sum()
    later = stays[:, None] * later + turn[:, None] * behind[None]
    ways = stays.sum() * ways + turn.sum() * ahead
    later = later * (ways.sum() / jnp.maximum(each, LEAST))[:, None]
    most = jnp.maximum((ways.sum() + later.sum(1)).max(), LEAST)
    straight = straight / jnp.maximum(straight.sum(1, keepdims=True), LEAST)
    weight = jnp.log(jnp.maximum((1 - drift) * joint + new, LEAST))
    return weight, jnp.concatenate([straight, ways / most, later / most])


def check_drift(name: str, drift: float) -> None:
    """ValueError for what is no chance of a change."""
    if not 0 <= drift < 1:
        raise ValueError(f"{name}: drift is the chance of a change, 0 to below 1, found {drift}")
