"""What the others do next: a model of the moves of every other player, from what one player saw.

``pi(a_j | e, x_j, k, g)`` for all types k and goals g at once, where e is a latent of my history
and x_j marks which other it is. Beside it what the history says of types and goals themselves,
which is where beliefs over goals start from: ``P(g | e, x_j, k)`` and ``P(k | e, x_j)``.
With one type and one goal it is a plain model of others' moves (Jaques et al., 2019, section 4).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.maths import masked_log_softmax
from counterplay.models.history import features_of, or_all, there_in
from counterplay.models.nets import Dense, Trunk


class Heads(NamedTuple):
    """What the model makes of one slot, logits."""

    moves: Float[Array, "M Y G A"]
    goals: Float[Array, "M Y G"]
    types: Float[Array, "M Y"]


class Reading(NamedTuple):
    """The same as log-probabilities; any batch axes come last."""

    moves: Float[Array, "M Y G A *b"]
    """Of each other's move, given its type and goal; -inf where that is known to be illegal."""
    goals: Float[Array, "M Y G *b"]
    """Of each other's goal, given its type."""
    types: Float[Array, "M Y *b"]


def read(heads: Heads, legal: Bool[Array, "M A *b"]) -> Reading:
    """Log-probabilities; logits [M, Y, G, A, *b] are of as many batch axes."""
    can = jnp.broadcast_to(legal[:, None, None], heads.moves.shape)
    return Reading(
        masked_log_softmax(heads.moves, can, 3),
        jax.nn.log_softmax(heads.goals, 2),
        jax.nn.log_softmax(heads.types, 1),
    )


def over_legal(logits: Float[Array, "M A *b"], legal: Bool[Array, "M A *b"]) -> Array:
    """Log-probabilities [M, A, *b]; over all moves where nobody knows which are legal."""
    return masked_log_softmax(logits, or_all(legal, 1), 1)


class Around(eqx.Module):
    """What lies around each player, for models of what each other does.

    A layer that all players share, of each other's own surroundings and of the sum of everybody
    else's: so whom an other goes by need not be known (Zaheer et al., 2017, eq. 4).
    """

    look: Dense
    own: Dense
    rest: Dense
    game: Any = eqx.field(static=True)
    """One that tells it of an encoded observation: ``around``, [F] -> [N, R]."""
    features: int = eqx.field(static=True)

    def __init__(self, game: Any, wide: int, key: PRNGKeyArray):
        self.game, self.features = game, features_of(game)
        seen = jax.eval_shape(game.around, jax.ShapeDtypeStruct((self.features,), jnp.float32))
        keys = jr.split(key, 3)
        self.look = Dense(seen.shape[1], wide, 2**0.5, keys[0])
        self.own, self.rest = (Dense(wide, wide, s, k) for s, k in ((1.0, keys[1]), (0.5, keys[2])))

    def __call__(self, x: Float[Array, " I"]) -> Float[Array, "M W"]:
        """``x`` is of ``history.inputs``. Who is absent adds nothing to what is seen of others."""
        seen = self.game.around(x[: self.features])
        there = there_in(x, len(seen))[:, None]
        each = jnp.where(there, jax.nn.relu(jax.vmap(self.look)(seen)), 0.0)
        others = each[1:]
        rest = each.sum(0)[None] - others
        return jax.vmap(self.own)(others) + jax.vmap(self.rest)(rest)


class ActionModel(eqx.Module):
    """Reads a history through a GRU; what is seen now also goes past it, straight to the heads."""

    trunk: Trunk
    history: Dense
    now: Dense
    other: Float[Array, "M W"]
    """What marks which other it is: x_j."""
    move: Float[Array, "W Y G A"]
    """A head for every type and goal, on the same units: one plain matrix product."""
    bias: Float[Array, "Y G A"]
    goal: Float[Array, "W Y G"]
    type: Float[Array, "W Y"]
    around: Around | None

    def __init__(
        self,
        inputs: int,
        others: int,
        actions: int,
        types: int,
        goals: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
        board: Any = None,
    ):
        """``board`` is a game that tells what lies around each player, if that is to be read."""
        keys, wide = jr.split(key, 5), widths[-1]
        self.trunk = Trunk(inputs, widths, keys[0], gru=gru, light=True)
        self.history = Dense(self.trunk.width, wide, 1.0, keys[1])
        self.now = Dense(inputs, wide, 1.0, keys[2])
        self.other = jr.normal(keys[3], (others, wide))
        self.move = 0.1 / wide**0.5 * jr.normal(keys[4], (wide, types, goals, actions))
        self.bias = jnp.zeros((types, goals, actions))
        self.goal = jnp.zeros((wide, types, goals))
        self.type = jnp.zeros((wide, types))
        self.around = board and Around(board, wide, jr.fold_in(key, len(keys)))

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Others, types, goals and actions."""
        types, goals, actions = self.bias.shape
        return len(self.other), types, goals, actions

    def __call__(
        self, x: Float[Array, " I"], e: Float[Array, " E"], legal: Bool[Array, "M A"]
    ) -> Reading:
        """``x`` is what is seen now (``history.inputs``), ``e`` what the trunk made of all."""
        return read(self.heads(x, e), legal)

    def heads(self, x: Float[Array, " I"], e: Float[Array, " E"]) -> Heads:
        units = (self.history(e) + self.now(x))[None] + self.other  # [M, W]
        units = jax.nn.relu(units if self.around is None else units + self.around(x))
        heads = lambda w: (units @ w.reshape(len(w), -1)).reshape(len(units), *w.shape[1:])
        return Heads(heads(self.move) + self.bias[None], heads(self.goal), units @ self.type)
