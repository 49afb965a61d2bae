"""A policy and value that read, beside the observation, what is held of each other player."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.models.nets import ActorCritic, Dense


class Conditioned(eqx.Module):
    """Reads [observation, row of each other]. Rows go through one layer and are added up.

    The layer also sees which other a row is of, so that who is where and who wants what stay
    together; given that mark, rows may come in any order. Rows of zeros, as of the absent, add
    nothing.
    """

    core: ActorCritic
    other: Dense
    rows: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        activation: str,
        rows: int,
        row: int,
        width: int,
        apart: bool = False,
    ):
        """``rows`` others, of each of whom ``row`` numbers are held, read by ``width`` units.

        With ``apart`` the value has layers of its own; see ``ActorCritic``.
        """
        core_key, other_key = jr.split(key)
        self.rows = rows
        core = inputs + width, actions, widths, gru, core_key, activation, apart
        self.core = ActorCritic(*core)
        self.other = Dense(row + rows, width, 2**0.5, other_key)

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.core.gru

    def __call__(
        self, x: Float[Array, " I"], memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""], Float[Array, " H"]]:
        """Logits, value and the next memory."""
        return self.core(self.joined(x), memory)

    def along(
        self,
        x: Float[Array, "W I"],
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
    ) -> Float[Array, "W E"]:
        """What the trunk makes of a row of slots; see ``Trunk.along``."""
        return self.core.along(jax.vmap(self.joined)(x), contact, alive, memory)

    def judge(
        self, x: Float[Array, " I"], e: Float[Array, " E"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""]]:
        """Logits and value, from what was read and what the trunk made of it."""
        return self.core.judge(self.joined(x), e)

    def joined(self, x: Float[Array, " I"]) -> Float[Array, " J"]:
        """The observation, and the sum over what is held of the others."""
        row = self.other.weight.shape[0] - self.rows
        obs, held = x[: len(x) - self.rows * row], x[len(x) - self.rows * row :]
        held, weight = held.reshape(self.rows, row), self.other.weight
        each = held @ weight[:row] + (weight[row:] + self.other.bias[None])  # marks are one-hot
        there = (held != 0).any(1, keepdims=True)
        return jnp.concatenate([obs, jnp.where(there, jax.nn.relu(each), 0.0).sum(0)])
