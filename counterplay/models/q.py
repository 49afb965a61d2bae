"""Networks that rate actions by what they will bring."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.models.nets import Dense, Trunk


class QNetwork(eqx.Module):
    """The value of every action from one observation, through a GRU when ``gru`` > 0.

    With ``duelling`` it is the sum of a state's value and each action's advantage, which are on
    average 0 (Wang et al., 2016, eq. 9).
    """

    trunk: Trunk
    cell: eqx.nn.GRUCell | None
    action: Dense
    state: Dense | None
    gru: int = eqx.field(static=True)

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
        trunk_key, cell_key, action_key, state_key = jr.split(key, 4)
        self.trunk = Trunk(inputs, widths, trunk_key, activation)
        self.cell = eqx.nn.GRUCell(widths[-1], gru, key=cell_key) if gru else None
        width = gru or widths[-1]
        self.action = Dense(width, actions, 0.01, action_key)
        self.state = Dense(width, 1, 1.0, state_key) if duelling else None
        self.gru = gru

    def __call__(
        self, obs: Float[Array, " F"], memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, " H"]]:
        """Values and the next memory (width ``gru``, which may be 0)."""
        e = self.trunk(obs)
        if self.cell is not None:
            e = memory = self.cell(e, memory)
        return self.rate(e), memory

    def rate(self, e: Float[Array, " E"]) -> Float[Array, " A"]:
        """Values of the actions from what the layers before made of the observation."""
        q = self.action(e)
        return q if self.state is None else q - q.mean() + self.state(e)


def unroll(
    net: QNetwork,
    obs: Float[Array, "W F"],
    contact: Bool[Array, " W"],
    alive: Bool[Array, " W"],
    burn_in: int = 0,
) -> Float[Array, "W A"]:
    """Values along a row; the memory is fresh there and at first contact, frozen while absent.

    No gradient passes through what the first ``burn_in`` slots leave in it.
    """
    if net.cell is None:
        return jax.vmap(lambda o: net(o, jnp.zeros(0))[0])(obs)
    cell = net.cell

    def step(memory, slot):
        e, contact, alive = slot
        memory = jnp.where(contact, 0.0, memory)
        after = cell(e, memory)
        return jnp.where(alive, after, memory), after

    slots = (jax.vmap(net.trunk)(obs), contact, alive)
    early = jax.tree.map(lambda x: x[:burn_in], slots)
    memory, warm = lax.stop_gradient(lax.scan(step, jnp.zeros(net.gru), early))
    _, e = lax.scan(step, memory, jax.tree.map(lambda x: x[burn_in:], slots))
    return jax.vmap(net.rate)(jnp.concatenate([warm, e]))
