"""Small networks for one item; batch them with ``vmap`` at the call."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


class Dense(eqx.Module):
    """x W + b. The weight is [in, out], so a batch is one plain matrix product."""

    weight: Float[Array, "I O"]
    bias: Float[Array, " O"]

    def __init__(self, inputs: int, outputs: int, scale: float, key: PRNGKeyArray):
        """Normal weights of variance scale² / inputs (He et al., 2015), bias zero.

        Not orthogonal ones: their batched QR factorisation blocks XLA's small CPU thread pools.
        """
        self.weight = scale / inputs**0.5 * jr.normal(key, (inputs, outputs))
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Float[Array, " I"]) -> Float[Array, " O"]:
        return x @ self.weight + self.bias


ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu, "tanh": jnp.tanh}
"""What units may be, by name."""


class Trunk(eqx.Module):
    """Layers of units of one kind."""

    layers: tuple[Dense, ...]
    activation: str = eqx.field(static=True)

    def __init__(
        self, inputs: int, widths: tuple[int, ...], key: PRNGKeyArray, activation: str = "relu"
    ):
        self.activation = activation
        sizes = (inputs, *widths)
        keys = jr.split(key, len(widths))
        self.layers = tuple(
            Dense(i, o, 2**0.5, k) for i, o, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )

    def __call__(self, x: Float[Array, " I"]) -> Float[Array, " E"]:
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        return x


class ActorCritic(eqx.Module):
    """Action logits and a value from one observation, through a GRU when ``gru`` > 0.

    With ``apart`` the value has layers of its own instead of sharing those of the logits.
    """

    trunk: Trunk
    critic: Trunk | None
    cell: eqx.nn.GRUCell | None
    policy: Dense
    value: Dense
    gru: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        activation: str = "relu",
        apart: bool = False,
    ):
        trunk_key, cell_key, policy_key, value_key = jr.split(key, 4)
        self.trunk = Trunk(inputs, widths, trunk_key, activation)
        self.critic = Trunk(inputs, widths, cell_key, activation) if apart else None
        self.cell = eqx.nn.GRUCell(widths[-1], gru, key=cell_key) if gru else None
        width = gru or widths[-1]
        self.policy = Dense(width, actions, 0.01, policy_key)
        self.value = Dense(width, 1, 1.0, value_key)
        self.gru = gru

    def __call__(
        self, obs: Float[Array, " F"], memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""], Float[Array, " H"]]:
        """Logits, value and the next memory (width ``gru``, which may be 0)."""
        e = self.trunk(obs)
        if self.cell is not None:
            e = memory = self.cell(e, memory)
        v = e if self.critic is None else self.critic(obs)
        return self.policy(e), self.value(v)[0], memory
