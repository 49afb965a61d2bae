"""Groups of classes as a discrete latent, with gradients that pass straight through the draw.

Hafner et al. (2021), "Mastering Atari with discrete world models", algorithm 1; the share of
uniform chance is that of Hafner et al. (2023), section "World model learning".
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

UNIFORM = 0.01
"""Share of every distribution that is even, so that no class is ever thought impossible."""
FREE_NATS = 1.0
"""Divergence of a latent below which nothing pulls."""


def mixed(logits: Float[Array, "Z C"]) -> Float[Array, "Z C"]:
    """Log-probabilities of softmax(logits) with a share of the uniform distribution."""
    log_p = jax.nn.log_softmax(logits)
    even = jnp.full_like(log_p, -jnp.log(log_p.shape[-1]))
    return jnp.logaddexp(log_p + jnp.log1p(-UNIFORM), even + jnp.log(UNIFORM))


def draw(key: PRNGKeyArray | None, log_p: Float[Array, "Z C"]) -> Float[Array, "Z C"]:
    """One class a group, one-hot, the likeliest without a key; its gradient is that of exp(log_p).

    A group without classes cannot be: with no groups the draw is empty.
    """
    if log_p.shape[0] == 0:
        return jnp.zeros_like(log_p)
    index = jnp.argmax(log_p, -1) if key is None else jr.categorical(key, log_p)
    hot = jax.nn.one_hot(index, log_p.shape[-1])
    p = jnp.exp(log_p)
    return hot + p - lax.stop_gradient(p)


def divergence(log_q: Float[Array, "Z C"], log_p: Float[Array, "Z C"]) -> Float[Array, ""]:
    """KL(q || p) in nats, summed over groups."""
    return (jnp.exp(log_q) * (log_q - log_p)).sum()


def balanced(
    log_q: Float[Array, "Z C"], log_p: Float[Array, "Z C"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The divergence twice, each at least FREE_NATS: for the prior p, and for the posterior q.

    The first moves p only, the second q only; neither does where it is below FREE_NATS. The
    authors weigh them 1 and .1 (2023, equations 4 and 5).
    """
    fixed = lax.stop_gradient
    dynamics, representation = divergence(fixed(log_q), log_p), divergence(log_q, fixed(log_p))
    return jnp.maximum(dynamics, FREE_NATS), jnp.maximum(representation, FREE_NATS)


def check(groups: int, classes: int, **sizes: int) -> None:
    """ValueError for sizes that cannot be."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"world: {name} must be at least 1, found {size}")
    if groups < 0 or (groups and classes < 2):
        raise ValueError(
            f"world: a discrete latent needs groups of 2 classes or more, found {groups} of "
            f"{classes}; groups=0 has none"
        )
