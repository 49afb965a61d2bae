"""Numbers of any size as distributions over bins: what a network tells of rewards and values.

Hafner et al. (2023), "Mastering diverse domains through world models", equations 1, 9 and 10.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def symlog(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """sign(x) log(1 + |x|): the logarithm on both sides of 0, where its slope is 1."""
    return jnp.sign(x) * jnp.log1p(abs(x))


def symexp(x: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """The inverse of ``symlog``."""
    return jnp.sign(x) * jnp.expm1(abs(x))


def bins(count: int = 255, reach: float = 20.0) -> Float[Array, " B"]:
    """What the bins stand for: symexp of ``count`` even steps from -reach to reach.

    Odd numbers only, so that 0 has a bin. ValueError for others, and where ``reach`` is not
    positive.
    """
    if count < 3 or count % 2 == 0:
        raise ValueError(f"bins: count must be odd, 3 or more, so that 0 has one; found {count}")
    if not reach > 0:
        raise ValueError(f"bins: reach must be positive, found {reach}")
    positive = symexp(jnp.linspace(0.0, reach, count // 2 + 1))
    return jnp.concatenate([-positive[:0:-1], positive])  # symmetric to the last bit


def two_hot(x: Float[Array, ""], bins: Float[Array, " B"]) -> Float[Array, " B"]:
    """Weights on the two bins around x whose mean is x; one bin's where x lies beyond all."""
    x = jnp.clip(x, bins[0], bins[-1])
    above = jnp.clip(jnp.searchsorted(bins, x, side="right"), 1, len(bins) - 1)
    low, high = bins[above - 1], bins[above]
    share = (x - low) / (high - low)
    number = jnp.arange(len(bins))
    return jnp.where(number == above, share, 0.0) + jnp.where(number == above - 1, 1 - share, 0.0)


def two_hot_loss(
    logits: Float[Array, " B"], x: Float[Array, ""], bins: Float[Array, " B"]
) -> Float[Array, ""]:
    """Cross-entropy of the bins against ``two_hot``, in nats."""
    return -(two_hot(x, bins) * jax.nn.log_softmax(logits)).sum()


def expected(logits: Float[Array, "*b B"], bins: Float[Array, " B"]) -> Float[Array, "*b"]:
    """Mean of the bins under a softmax; exactly 0 where it is even, however far the bins reach.

    Bins that mirror each other are subtracted before they are weighed, as their authors' code
    does. ``bins`` must be symmetric.
    """
    p = jax.nn.softmax(logits)
    half = bins.shape[0] // 2 + 1
    odd = p[..., half:] - p[..., half - 2 :: -1]
    return (odd * jnp.broadcast_to(bins[half:], odd.shape)).sum(-1)
