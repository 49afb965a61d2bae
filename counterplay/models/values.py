"""What playing on is worth, from a latent of the game and a belief over the others: V(e, b)."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.models import twohot
from counterplay.models.nets import Dense


class Worth(NamedTuple):
    """Logits of bins; see ``twohot``."""

    later: Float[Array, "*b 2 B"]
    """Of what is earned from here on; twice, of heads that differ in where they began."""
    arriving: Float[Array, "*b B"]
    """Of what the move that led here earned, and what is earned from here on, if I am still
    there: the value of arriving."""


class Values(eqx.Module):
    """Reads a latent, and a row of numbers of each other player, which go through one layer that
    also sees which other it is, and are added up. Rows of zeros, as of the absent, add nothing."""

    latent: Dense
    other: Dense
    hidden: Dense
    heads: Dense
    rows: int = eqx.field(static=True)
    bins: int = eqx.field(static=True)
    reach: float = eqx.field(static=True)

    def __init__(
        self,
        latent: int,
        rows: int,
        row: int,
        width: int,
        key: PRNGKeyArray,
        bins: int = 63,
        reach: float = 6.0,
    ):
        """Of a latent of so many numbers and ``rows`` others with ``row`` numbers each. Worth
        beyond symexp(reach) is cut."""
        twohot.bins(bins, reach)  # ValueError for what cannot be
        keys = jr.split(key, 4)
        self.rows, self.bins, self.reach = rows, bins, reach
        self.latent = Dense(latent, width, 2**0.5, keys[0])
        self.other = Dense(row + rows, width, 2**0.5, keys[1])
        self.hidden = Dense(width, width, 2**0.5, keys[2])
        self.heads = Dense(width, 3 * bins, 0.1, keys[3])

    def __call__(self, e: Float[Array, " E"], held: Float[Array, "M R"]) -> Worth:
        size = held.shape[-1]
        each = held @ self.other.weight[:size] + (self.other.weight[size:] + self.other.bias[None])
        there = (held != 0).any(1, keepdims=True)
        others = jnp.where(there, jax.nn.silu(each), 0.0).sum(0)
        units = jax.nn.silu(self.hidden(jax.nn.silu(self.latent(e) + others)))
        made = self.heads(units).reshape(3, self.bins)
        return Worth(made[:2], made[2])

    def told(self, logits: Float[Array, "*b B"]) -> Float[Array, "*b"]:
        """What logits of bins stand for."""
        return twohot.expected(logits, twohot.bins(self.bins, self.reach))

    def mean(self, e: Float[Array, " E"], held: Float[Array, "M R"]) -> Float[Array, ""]:
        """What playing on is worth, by both heads."""
        return self.told(self(e, held).later).mean()

    def least(self, e: Float[Array, " E"], held: Float[Array, "M R"]) -> Float[Array, ""]:
        """The smaller of what the heads say, for what was only imagined (Fujimoto et al., 2018)."""
        return self.told(self(e, held).later).min()

    def arriving(self, e: Float[Array, " E"], held: Float[Array, "M R"]) -> Float[Array, ""]:
        """What coming here has earned and will earn."""
        return self.told(self(e, held).arriving)
