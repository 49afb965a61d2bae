"""Networks that rate actions by what they will bring."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.models.nets import Dense, Trunk


class QNetwork(eqx.Module):
    """The value of every action from one observation, through a GRU when ``gru`` > 0.

    With ``duelling`` it is the sum of a state's value and each action's advantage, which are on
    average 0 (Wang et al., 2016, eq. 9).
    """

    trunk: Trunk
    action: Dense
    state: Dense | None

    def __init__(
        self,
        inputs: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        activation: str = "relu",
        duelling: bool = False,
    ):
        trunk_key, _, action_key, state_key = jr.split(key, 4)
        self.trunk = Trunk(inputs, widths, trunk_key, activation, gru)
        self.action = Dense(self.trunk.width, actions, 0.01, action_key)
        self.state = Dense(self.trunk.width, 1, 1.0, state_key) if duelling else None

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.trunk.gru

    def __call__(
        self, obs: Float[Array, " F"], memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, " H"]]:
        """Values and the next memory."""
        e, memory = self.trunk(obs, memory)
        return self.rate(e), memory

    def rate(self, e: Float[Array, " E"]) -> Float[Array, " A"]:
        """Values of the actions from what the trunk made of the observation."""
        q = self.action(e)
        return q if self.state is None else q - q.mean() + self.state(e)

    def along(
        self,
        obs: Float[Array, "W F"],
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
        burn_in: int = 0,
    ) -> Float[Array, "W E"]:
        """What the trunk makes of a row; see ``Trunk.along``."""
        return self.trunk.along(obs, contact, alive, memory, burn_in)


class ConditionedQ(eqx.Module):
    """The same from a pair: the observation, and what is held of each other player, a row each.

    Rows go through one layer that also sees which other they are of, unless there are no ``marks``,
    and are added up, as ``Conditioned`` does it. Rows of zeros, as of the absent, add nothing.
    """

    core: QNetwork
    other: Dense
    marks: bool = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        activation: str,
        duelling: bool,
        rows: int,
        row: int,
        width: int,
        marks: bool = True,
    ):
        """``rows`` others, of each of whom ``row`` numbers are held, read by ``width`` units;
        ``marks`` as in ``Conditioned``."""
        self.marks = marks
        core_key, other_key = jr.split(key)
        sizes = inputs + width, actions, widths, gru
        self.core = QNetwork(*sizes, core_key, activation, duelling)
        self.other = Dense(row + rows * marks, width, 2**0.5, other_key)

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.core.gru

    def __call__(
        self, x: tuple[Float[Array, " F"], Float[Array, "R C"]], memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, " H"]]:
        """Values and the next memory."""
        return self.core(self.joined(*x), memory)

    def rate(self, e: Float[Array, " E"]) -> Float[Array, " A"]:
        """Values of the actions from what the trunk made of all."""
        return self.core.rate(e)

    def along(
        self,
        x: tuple[Float[Array, "W F"], Float[Array, "W R C"]],
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
        burn_in: int = 0,
    ) -> Float[Array, "W E"]:
        """What the trunk makes of a row of slots; see ``Trunk.along``."""
        return self.core.along(jax.vmap(self.joined)(*x), contact, alive, memory, burn_in)

    def joined(self, obs: Float[Array, " F"], told: Float[Array, "R C"]) -> Float[Array, " J"]:
        """The observation, and the sum over what is held of the others."""
        marked = jnp.concatenate([told, jnp.eye(len(told))], 1) if self.marks else told
        each = jax.nn.relu(marked @ self.other.weight + self.other.bias[None])
        there = (told != 0).any(1, keepdims=True)
        return jnp.concatenate([obs, jnp.where(there, each, 0.0).sum(0)])


Rater = QNetwork | ConditionedQ


def unroll(
    net: Rater,
    obs: Any,
    contact: Bool[Array, " W"],
    alive: Bool[Array, " W"],
    burn_in: int = 0,
) -> Float[Array, "W A"]:
    """Values along a row that begins with a fresh memory; see ``Trunk.along``."""
    return jax.vmap(net.rate)(net.along(obs, contact, alive, jnp.zeros(net.gru), burn_in))
