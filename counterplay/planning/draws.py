"""Draws of the others' moves, spread as evenly as can be."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.planning import Joint
from counterplay.types import NO_MOVE


def drawn(key: PRNGKeyArray, chances: Float[Array, "M A"], draws: int) -> Int[Array, "S M"]:
    """Draws each row's entry ``draws`` times in proportion; NO_MOVE where a row is all 0.

    Every draw is fair, and those of a row are as even as can be: a Latin hypercube sample (McKay,
    Beckman & Conover, 1979), one stratum a draw, dealt to each row at random.
    """
    order_key, place_key = jr.split(key)
    shape = draws, len(chances)
    lot = jr.uniform(order_key, shape)
    stratum = (lot[:, None] > lot[None]).sum(1)  # a sort would take as long as all else
    place = (stratum + jr.uniform(place_key, shape)) / draws
    reach = jnp.cumsum(chances, axis=1)
    wanted = place[..., None] * reach[None, :, -1:]
    index = (reach[None] <= wanted).sum(-1)
    last = chances.shape[1] - 1 - jnp.argmax(chances[:, ::-1] > 0, axis=1)
    some = (chances > 0).any(1)[None]
    return jnp.where(some, jnp.minimum(index, last[None]), NO_MOVE).astype(jnp.int32)


def drawn_of(
    key: PRNGKeyArray, expected: Joint | Float[Array, "M A"], draws: int
) -> Int[Array, "S M"]:
    """The same [S, M] of others who may act together: a hypothesis first where there are several,
    spread as evenly, and each other's move under that."""
    joint = as_joint(expected)
    if len(joint.weight) == 1:
        return drawn(key, joint.chances[0], draws)
    keys = jr.split(key, draws + 1)
    picked = drawn(keys[0], joint.weight[None], draws)[:, 0]
    return jax.vmap(lambda k, h: drawn(k, joint.chances[h], 1)[0])(keys[1:], picked)


def as_joint(expected: Joint | Float[Array, "M A"]) -> Joint:
    """Of others who act independently: under a single hypothesis."""
    return expected if isinstance(expected, Joint) else Joint(jnp.ones(1), expected[None])
