"""Networks that rate actions by what they will bring."""

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


def unroll(
    net: QNetwork,
    obs: Float[Array, "W F"],
    contact: Bool[Array, " W"],
    alive: Bool[Array, " W"],
    burn_in: int = 0,
) -> Float[Array, "W A"]:
    """Values along a row that begins with a fresh memory; see ``Trunk.along``."""
    return jax.vmap(net.rate)(net.trunk.along(obs, contact, alive, jnp.zeros(net.gru), burn_in))
