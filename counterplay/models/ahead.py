"""What the others would do in situations that are only imagined: heads on a latent of the game.

Inside a learned world nothing is seen, so what reads histories cannot be asked. ``Ahead`` is told
the latent alone, and learns the same as ``actions.ActionModel``: pi(a_j | e, x_j, k, g).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.maths import masked_log_softmax
from counterplay.models.nets import Dense


class Ahead(eqx.Module):
    """Moves of every other, for all types and goals at once."""

    latent: Dense
    other: Float[Array, "M W W"]
    """A linear map of its own picks each other out of the latent: x_j."""
    move: Float[Array, "W Y G A"]
    bias: Float[Array, "Y G A"]

    def __init__(
        self, latent: int, sizes: tuple[int, int, int, int], width: int, key: PRNGKeyArray
    ):
        """``sizes`` are others, types, goals and actions, as of ``ActionModel``."""
        others, *rest = sizes
        keys = jr.split(key, 3)
        self.latent = Dense(latent, width, 2**0.5, keys[0])
        self.other = (2 / width) ** 0.5 * jr.normal(keys[1], (others, width, width))
        self.move = 0.1 / width**0.5 * jr.normal(keys[2], (width, *rest))
        self.bias = jnp.zeros(rest)

    def __call__(self, e: Float[Array, " E"], legal: Bool[Array, "M A"]) -> Float[Array, "M Y G A"]:
        """Log-probabilities; -inf where a move is known to be illegal."""
        units = jax.nn.silu(self.latent(e))
        units = jax.nn.silu(jnp.einsum("w,mwv->mv", units, self.other))
        flat = units @ self.move.reshape(len(self.move), -1)
        logits = flat.reshape(len(units), *self.bias.shape) + self.bias[None]
        return masked_log_softmax(logits, jnp.broadcast_to(legal[:, None, None], logits.shape))
