"""Small networks for one item; batch them with ``vmap`` at the call."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

Inputs = Float[Array, " _"] | tuple[Float[Array, " _"], ...]
"""Numbers in one array, or in several that stand for all of them, one after the other."""
Rows = Float[Array, "W _"] | tuple[Float[Array, "W _"], ...]
"""The same of a row of slots."""


class Dense(eqx.Module):
    """x W + b. The weight is [in, out], so a batch is one plain matrix product.

    Of an input in parts each meets its own rows of the weight: nobody has to join them, and who
    wants a gradient of one part does not pay for that of all.
    """

    weight: Float[Array, "I O"]
    bias: Float[Array, " O"]

    def __init__(self, inputs: int, outputs: int, scale: float, key: PRNGKeyArray):
        """Normal weights of variance scale² / inputs (He et al., 2015), bias zero.

        Not orthogonal ones: their batched QR factorisation blocks XLA's small CPU thread pools.
        """
        self.weight = scale / inputs**0.5 * jr.normal(key, (inputs, outputs))
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Inputs) -> Float[Array, " O"]:
        if not isinstance(x, tuple):
            return x @ self.weight + self.bias
        y, at = self.bias, 0
        for part in x:
            y, at = y + part @ self.weight[at : at + len(part)], at + len(part)
        return y


def opened(layer: Dense, gates: int, bias: float) -> Dense:
    """The layer, whose first outputs open gates so far before anything was learnt."""
    return eqx.tree_at(lambda d: d.bias, layer, layer.bias.at[:gates].set(bias))


ACTIVATIONS = {"relu": jax.nn.relu, "silu": jax.nn.silu, "tanh": jnp.tanh}
"""What units may be, by name."""


class LightGRU(eqx.Module):
    """A GRU without the reset gate (Ravanelli et al., 2018), which has less to compute.

    h' = z h + (1 - z) n, z = sigmoid(..), n = tanh(..) of the input and h. It begins by keeping
    most of what it holds.
    """

    read: Float[Array, "I H2"]
    keep: Float[Array, "H H2"]
    bias: Float[Array, " H2"]

    def __init__(self, inputs: int, size: int, key: PRNGKeyArray):
        read_key, keep_key = jr.split(key)
        self.read = jr.normal(read_key, (inputs, 2 * size)) / inputs**0.5
        self.keep = jr.normal(keep_key, (size, 2 * size)) / size**0.5
        self.bias = jnp.concatenate([jnp.ones(size), jnp.zeros(size)])

    @property
    def hidden_size(self) -> int:
        return self.keep.shape[-2]

    def __call__(self, x: Float[Array, " I"], memory: Float[Array, " H"]) -> Float[Array, " H"]:
        return self.after(x @ self.read, memory)

    def after(self, read: Float[Array, " H2"], memory: Float[Array, " H"]) -> Float[Array, " H"]:
        """The same, of what was read of the input."""
        gate, new = jnp.split(read + memory @ self.keep + self.bias, 2)
        new = jnp.tanh(new)
        return new + jax.nn.sigmoid(gate) * (memory - new)


class Trunk(eqx.Module):
    """Layers of units of one kind, and after them a GRU when ``gru`` > 0."""

    layers: tuple[Dense, ...]
    cell: eqx.nn.GRUCell | LightGRU | None
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        key: PRNGKeyArray,
        activation: str = "relu",
        gru: int = 0,
        light: bool = False,
    ):
        self.activation = activation
        keys, cell_key = jr.split(key, len(widths)), jr.fold_in(key, len(widths))
        sizes = zip((inputs, *widths[:-1]), widths, keys, strict=True)
        self.layers = tuple(Dense(i, o, 2**0.5, k) for i, o, k in sizes)
        self.cell = None
        if gru:
            size = widths[-1], gru
            self.cell = LightGRU(*size, cell_key) if light else eqx.nn.GRUCell(*size, key=cell_key)

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.cell.hidden_size if self.cell else 0

    @property
    def width(self) -> int:
        """What comes out."""
        return self.gru or self.layers[-1].bias.shape[-1]

    def __call__(
        self, x: Inputs, memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " E"], Float[Array, " H"]]:
        """What it makes of one observation, and the next memory."""
        e = self._layered(x)
        if self.cell is not None:
            e = memory = self.cell(e, memory)
        return e, memory

    def along(
        self,
        x: Rows,
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
        burn_in: int = 0,
    ) -> Float[Array, "W E"]:
        """What it makes of a row; the memory is fresh at first contact, frozen while absent.

        No gradient passes through what the first ``burn_in`` slots leave in it.
        """
        e = jax.vmap(self._layered)(x)
        if (cell := self.cell) is None:
            return e

        # the input's part of a GRU's gates stays in the loop: outside it the memory it fills, on a
        # CPU, costs more than one large product saves; readers learn from few rows at a time
        after_slot = cell
        if isinstance(cell, LightGRU):
            e, after_slot = e @ cell.read, cell.after

        def step(memory, slot):
            e, contact, alive = slot
            memory = jnp.where(contact, 0.0, memory)
            after = after_slot(e, memory)
            return jnp.where(alive, after, memory), after

        slots = (e, contact, alive)
        early = jax.tree.map(lambda x: x[:burn_in], slots)
        memory, warm = lax.stop_gradient(lax.scan(step, memory, early))
        _, e = lax.scan(step, memory, jax.tree.map(lambda x: x[burn_in:], slots))
        return jnp.concatenate([warm, e])

    def _layered(self, x: Inputs) -> Float[Array, " E"]:
        first, *rest = self.layers
        e = ACTIVATIONS[self.activation](first(x))
        for layer in rest:
            e = ACTIVATIONS[self.activation](layer(e))
        return e


class ActorCritic(eqx.Module):
    """Action logits and a value from one observation, through a GRU when ``gru`` > 0.

    With ``apart`` the value has layers of its own instead of sharing those of the logits. Logits
    are as large at first as ``first_policy`` scales the weights that make them.
    """

    trunk: Trunk
    critic: Trunk | None
    policy: Dense
    value: Dense

    def __init__(
        self,
        inputs: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        activation: str = "relu",
        apart: bool = False,
        first_policy: float = 0.01,
    ):
        trunk_key, critic_key, policy_key, value_key = jr.split(key, 4)
        self.trunk = Trunk(inputs, widths, trunk_key, activation, gru)
        self.critic = Trunk(inputs, widths, critic_key, activation) if apart else None
        self.policy = Dense(self.trunk.width, actions, first_policy, policy_key)
        self.value = Dense(widths[-1] if apart else self.trunk.width, 1, 1.0, value_key)

    @property
    def gru(self) -> int:
        """Width of the memory, which may be 0."""
        return self.trunk.gru

    def __call__(
        self, obs: Inputs, memory: Float[Array, " H"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""], Float[Array, " H"]]:
        """Logits, value and the next memory."""
        e, memory = self.trunk(obs, memory)
        return *self.judge(obs, e), memory

    def along(
        self,
        obs: Rows,
        contact: Bool[Array, " W"],
        alive: Bool[Array, " W"],
        memory: Float[Array, " H"],
    ) -> Float[Array, "W E"]:
        """What the trunk makes of a row; see ``Trunk.along``."""
        return self.trunk.along(obs, contact, alive, memory)

    def judge(
        self, obs: Inputs, e: Float[Array, " E"]
    ) -> tuple[Float[Array, " A"], Float[Array, ""]]:
        """Logits and value, from an observation and what the trunk made of it."""
        v = e if self.critic is None else self.critic(obs, jnp.zeros(0))[0]
        return self.policy(e), self.value(v)[0]
