"""A model of the game on what is seen itself: what everybody's moves make of an observation.

P(o' | o, a_i, a_-i), beside which ``world`` is a model on latents. It remembers nothing, and what
it imagines is an observation again, of which a value is asked: V(o'). What players do enters as a
sum of one token a player that knows who moved and reads o, as there.

    table = raw.table(o)                              # tokens of every player and move
    told = raw.step(table, joint)                     # what a joint move leads to
    after = raw.shown(told)                           # the observation expected there

The same network learns by one of two losses. ``squared`` is that of a number with a deviation of
1: where next to every number is 0, so is next to all of the loss of a blank observation.
``bernoulli`` is that of a chance for every number, which a blank one pays dearly for.
"""

from itertools import accumulate
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.maths import finite, masked_sum
from counterplay.models import history, twohot
from counterplay.models.nets import Dense
from counterplay.models.windows import Window
from counterplay.models.world_loss import Parts, shown_loss
from counterplay.names import unknown
from counterplay.types import NO_MOVE, Env

FORMS = ("squared", "bernoulli")
"""Of the loss of an observation."""


class Table(NamedTuple):
    """What is made of one observation, whatever is done there."""

    base: Float[Array, " H"]
    tokens: Float[Array, "N A1 W"]
    """Of every player and move; the last move stands for none."""


class Told(NamedTuple):
    """What a joint move leads to."""

    reward: Float[Array, "*b B"]
    """Logits of bins (``twohot``): what I earned by it."""
    alive: Float[Array, "*b N"]
    """Logits: I, and every other, play on."""
    legal: Float[Array, "*b A"]
    """Logits: mine there."""
    obs: Float[Array, "*b F"]
    """What is shown there: numbers, or logits with ``bernoulli``."""


class Raw(eqx.Module):
    """The model. Weights only; one item at a time."""

    eye: tuple[Dense, Dense]
    glance: Dense
    """What is seen also goes past the layers."""
    players: Dense
    """H -> [N K]: picks each player out of what was made of o."""
    gain: Float[Array, "A1 K"]
    shift: Float[Array, "A1 K"]
    effect: Float[Array, "K W"]
    carry: Dense
    turn: Dense
    reader: Dense
    heads: Dense
    """All of them, side by side, in the order of ``Told``."""
    sizes: tuple[int, int, int, int] = eqx.field(static=True)
    form: str = eqx.field(static=True)
    reach: float = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        seats: int,
        actions: int,
        *,
        form: str,
        key: PRNGKeyArray,
        hidden: int = 192,
        width: int = 128,
        token: int = 192,
        bins: int = 63,
        reach: float = 5.0,
    ):
        """Of observations of ``features`` numbers; sizes as those of ``World``."""
        twohot.bins(bins, reach)  # ValueError for what cannot be
        if form not in FORMS:
            raise unknown("form of a raw model", form, FORMS)
        for name, size in {"hidden": hidden, "width": width, "token": token}.items():
            if size < 1:
                raise ValueError(f"raw: {name} must be at least 1, found {size}")
        self.sizes, self.form, self.reach = (bins, seats, actions, features), form, reach
        keys = iter(jr.split(key, 10))
        dense = lambda i, o, scale: Dense(i, o, scale, next(keys))
        self.eye = dense(features, width, 2**0.5), dense(width, hidden, 1.0)
        self.glance = dense(features, hidden, 4.0)
        self.players = dense(hidden, seats * token, 1.0)
        self.gain = jr.normal(next(keys), (actions + 1, token))
        self.shift = jnp.zeros((actions + 1, token))
        self.effect = jr.normal(next(keys), (token, width)) / token**0.5
        self.carry, self.turn = dense(hidden, width, 1.0), dense(2 * width, hidden, 0.05)
        self.reader = dense(hidden, width, 2**0.5)
        self.heads = dense(width + hidden, sum(self.sizes), 1.0)

    def table(self, o: Float[Array, " F"]) -> Table:
        """What is made of an encoded observation, and the tokens of all players and moves."""
        base = self._base(o)
        units = self._picked(base)[:, None] * self.gain[None] + self.shift[None]
        return Table(base, units @ self.effect)

    def step(self, table: Table, joint: Int[Array, " N"]) -> Told:
        """What everybody's moves lead to; NO_MOVE is of the absent."""
        tokens = jnp.take_along_axis(table.tokens, self._column(joint)[:, None, None], axis=1)
        return self._told(table.base, tokens.sum((0, 1)))

    def expect(self, o: Float[Array, " F"], joint: Int[Array, " N"]) -> Told:
        """``step`` for one joint move, without a table of all the others."""
        base, column = self._base(o), self._column(joint)
        units = self._picked(base) * self.gain[column] + self.shift[column]
        return self._told(base, units.sum(0) @ self.effect)

    def shown(self, told: Told) -> Float[Array, "*b F"]:
        """The observation that is told of: the mean of each number."""
        return jax.nn.sigmoid(told.obs) if self.form == "bernoulli" else told.obs

    def missed(self, told: Told, after: Float[Array, "*b F"]) -> Float[Array, "*b"]:
        """Loss of the observation that came: nats, or half the squares, in both cases summed; the
        mean of squares would be next to nothing beside the other parts of a loss."""
        if self.form == "bernoulli":
            return shown_loss(told.obs, after, binary=True).sum(-1)
        return 0.5 * jnp.square(told.obs - after).sum(-1)

    def earned(self, told: Told) -> Float[Array, "*b"]:
        """Mean of the reward that is told."""
        return twohot.expected(told.reward, twohot.bins(self.sizes[0], self.reach))

    def _base(self, o: Float[Array, " F"]) -> Float[Array, " H"]:
        first, second = self.eye
        return second(jax.nn.silu(first(o))) + self.glance(o)

    def _picked(self, base: Float[Array, " H"]) -> Float[Array, "N K"]:
        return self.players(base).reshape(self.sizes[1], -1)

    def _column(self, joint: Int[Array, " N"]) -> Int[Array, " N"]:
        return jnp.where(joint == NO_MOVE, self.sizes[2], joint).astype(jnp.int32)

    def _told(self, base: Float[Array, " H"], moved: Float[Array, " W"]) -> Told:
        together = jax.nn.silu(self.carry(base) + moved)
        h = base + self.turn(jnp.concatenate([together, moved]))
        made = self.heads(jnp.concatenate([jax.nn.silu(self.reader(h)), h]))
        return Told(*jnp.split(made, [*accumulate(self.sizes)][:-1]))


def raw_of(env: Env, form: str, key: PRNGKeyArray, **sizes: Any) -> Raw:
    """A fresh model of a game; ``sizes`` are the settings of ``Raw`` that a game leaves open.

    ValueError where chances are asked for numbers that do not lie in 0..1.
    """
    if form == "bernoulli" and np.dtype(env.obs_dtype) != np.uint8:
        raise ValueError(
            f"raw: form bernoulli gives each number of an observation a chance, so all must lie in "
            f"0..1; {env} shows {np.dtype(env.obs_dtype)}: use form squared"
        )
    game = history.features_of(env), env.num_seats, env.num_actions
    return Raw(*game, form=form, key=key, **sizes)


def raw_loss(env: Env, raw: Raw, window: Window) -> Parts:
    """Parts of the loss of one window: name -> sum over slots, and over how many slots.

    The observation and my legal moves of the slot after, where it is shown; what my moves earned
    and who plays on, wherever I act.
    """
    obs = jax.vmap(env.encode)(finite(window.obs))
    told = jax.vmap(raw.expect)(obs, window.joint)
    binary = optax.sigmoid_binary_cross_entropy
    legal = binary(told.legal, jnp.roll(window.legal, -1, axis=0).astype(jnp.float32)).sum(-1)
    alive = binary(told.alive, window.continues.astype(jnp.float32))
    bins = twohot.bins(raw.sizes[0], raw.reach)
    rated = jax.vmap(lambda logits, x: twohot.two_hot_loss(logits, x, bins))
    there = window.alive & window.acting[:, None]
    parts = {
        "next": (raw.missed(told, jnp.roll(obs, -1, axis=0)), window.follows),
        "next_legal": (legal, window.follows),
        "reward": (rated(told.reward, finite(window.reward)), window.acting),
        "alive": (jnp.where(there, alive, 0.0).sum(-1), window.acting),
    }
    sums = {name: masked_sum(*part) for name, part in parts.items()}
    return sums, {name: counts.sum().astype(jnp.float32) for name, (_, counts) in parts.items()}
