"""A policy and value that read, beside the observation, what is held of each other player."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.models.nets import ActorCritic, Dense

Told = Float[Array, " I"] | tuple[Float[Array, " F"], Float[Array, "R C"]]
MOST_PRODUCTS = 16_384
"""For one decision; about those of a first layer."""


class Conditioned(eqx.Module):
    """Reads [observation, row of each other], joined or a pair. Rows go through one layer and are
    added up.

    The layer also sees which other a row is of, so that who is where and who wants what stay
    together; given that mark, rows may come in any order. Without ``marks`` they may anyway. Rows
    of zeros, as of the absent, add nothing.
    """

    core: ActorCritic
    other: Dense
    rows: int = eqx.field(static=True)
    marks: bool = eqx.field(static=True)

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
        first_policy: float = 0.01,
        marks: bool = True,
    ):
        """``rows`` others, of each of whom ``row`` numbers are held, read by ``width`` units, which
        see by ``marks`` which of them it is.

        ``apart`` and ``first_policy`` are as in ``ActorCritic``.
        """
        core_key, other_key = jr.split(key)
        self.rows, self.marks = rows, marks
        core = inputs + width, actions, widths, gru, core_key, activation, apart, first_policy
        self.core = ActorCritic(*core)
        self.other = Dense(row + rows * marks, width, 2**0.5, other_key)

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.core.gru

    def __call__(
        self, x: Told, memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""], Float[Array, " H"]]:
        """Logits, value and the next memory."""
        return self.core(self.joined(x), memory)

    def along(
        self,
        x: Float[Array, "W I"] | tuple[Float[Array, "W F"], Float[Array, "W R C"]],
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
    ) -> Float[Array, "W E"]:
        """What the trunk makes of a row of slots; see ``Trunk.along``."""
        return self.core.along(jax.vmap(self._parts)(x), contact, alive, memory)

    def judge(self, x: Told, e: Float[Array, " E"]) -> tuple[Float[Array, " A"], Float[Array, ""]]:
        """Logits and value, from what was read and what the trunk made of it."""
        return self.core.judge(self._parts(x), e)

    def joined(self, x: Told) -> Float[Array, " J"]:
        """The observation, and the sum over what is held of the others."""
        return jnp.concatenate(self._parts(x))

    def _parts(self, x: Told) -> tuple[Float[Array, " F"], Float[Array, " D"]]:
        """The same, not joined."""
        row = self.other.weight.shape[0] - self.rows * self.marks
        if isinstance(x, tuple):
            obs, held = x
        else:
            obs, held = x[: len(x) - self.rows * row], x[len(x) - self.rows * row :]
            held = held.reshape(self.rows, row)
        marks = self.other.weight[row:] if self.marks else 0.0  # they are one-hot
        each = self._each(held) + (marks + self.other.bias[None])
        there = (held != 0).astype(jnp.float32) @ jnp.ones(row) > 0  # faster than any()
        return obs, jnp.where(there[:, None], jax.nn.relu(each), 0.0).sum(0)

    def _each(self, held: Float[Array, "R C"]) -> Float[Array, "R D"]:
        """Every row by the same weights: where that is little, as one product of all rows, many of
        whose factors are 0, since many narrow products take longer."""
        weight = self.other.weight[: held.shape[1]]
        if held.size * self.rows * weight.shape[1] > MOST_PRODUCTS:
            return held @ weight
        apart = jnp.eye(self.rows)[:, None, :, None] * weight[None, :, None]
        wide = apart.reshape(held.size, self.rows * weight.shape[1])
        return (held.ravel() @ wide).reshape(self.rows, weight.shape[1])
