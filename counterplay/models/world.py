"""A latent model of the game as one player sees it: what everybody's moves lead to.

The latent ``e = [h, z]`` is one of my history: h is carried on deterministically, z is drawn, a
few groups of classes (Hafner et al., 2023). What is seen in a slot enters h as well, and what was
expected, h before it was seen, is trained to equal that; z is left for what moves do not decide.

What the players do enters as a sum of one token a player, phi(e, x_j, a_j), so that two who hunt
differ from one (Zaheer et al., 2017); x_j, which marks the player, is a linear map of e of its own,
by which that player is picked out of e. All tokens of a node are made once, and what follows from a
joint move is a sum of theirs:

    table = world.table(e)                            # tokens of every player and move
    h, prior = world.step(e, table, joint)            # a joint move
    after = world.arrive(key, h, prior)               # a draw of what it leads to
    told = world.read(after)                          # what it pays, who plays on, what is legal

With ``groups=0`` the latent is h alone: where what may come is not certain, the mean of it.
"""

from itertools import accumulate
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.models import categorical, history, twohot
from counterplay.models.history import Seen
from counterplay.models.nets import Dense, opened
from counterplay.types import NO_MOVE, Env

Looked = tuple[Float[Array, " W"], Float[Array, " X"]]
"""What the eye makes of what is seen."""


LIMIT = 4.0
"""No unit of h goes beyond, however long it is added to; below half of it they are hardly bent."""


class Outcome(NamedTuple):
    """What a latent tells of the joint move that led to it, and of what is seen now: all logits."""

    reward: Float[Array, "*b B"]
    """Of bins (``twohot``): what I earned by it."""
    alive: Float[Array, "*b N"]
    """I, and every other, play on."""
    events: Float[Array, "*b N G1"]
    """The goal that each completed by it; the last of G + 1 stands for none."""
    legal: Float[Array, "*b A"]
    """Mine now."""
    public_legal: Float[Array, "*b M A"]
    """The others'; no actions where the rules do not make them public."""
    obs: Float[Array, "*b F"]
    """What is shown now: of ones, or symlog of the numbers where they are not all in 0..1."""


class World(eqx.Module):
    """The model. Weights only; one item at a time."""

    eye: tuple[Dense, Dense]
    players: Dense
    """E -> [N K]: x_j, which picks each player out of the latent."""
    gain: Float[Array, "A1 K"]
    shift: Float[Array, "A1 K"]
    """What a move makes of what was picked, whoever makes it: a linear map of its own, diag(gain)
    between two that all moves share, which takes a player's place to the next sooner than layers of
    units do."""
    effect: Float[Array, "K W"]
    carry: Dense
    turn: Dense
    prior: tuple[Dense, Dense]
    judge: Dense
    posterior: Dense
    glance: Dense
    """What is seen also goes past all layers, straight to the posterior."""
    stands: Dense
    """What is picked of a player, for what it may do: the same for all of them."""
    ground: Dense
    may: Dense
    reader: Dense
    heads: Dense
    """All of them, side by side; see ``read``."""
    seats: int = eqx.field(static=True)
    actions: int = eqx.field(static=True)
    goals: int = eqx.field(static=True)
    features: int = eqx.field(static=True)
    public: bool = eqx.field(static=True)
    """Everybody's legal moves are seen by all."""
    binary: bool = eqx.field(static=True)
    """What is shown lies in 0..1."""
    hidden: int = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    classes: int = eqx.field(static=True)
    bins: int = eqx.field(static=True)
    reach: float = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        seats: int,
        actions: int,
        goals: int,
        *,
        public: bool,
        binary: bool,
        key: PRNGKeyArray,
        hidden: int = 192,
        groups: int = 8,
        classes: int = 8,
        width: int = 128,
        token: int = 192,
        bins: int = 63,
        reach: float = 5.0,
    ):
        """Of observations of ``features`` numbers. ``width`` is that of every layer, ``token`` that
        of what is picked out of the latent a player; rewards beyond symexp(reach) are cut."""
        twohot.bins(bins, reach)  # ValueError for what cannot be
        least = {"seats": seats, "actions": actions, "hidden": hidden, "width": width}
        categorical.check(groups, classes, **least, token=token)
        self.seats, self.actions, self.goals, self.features = seats, actions, goals, features
        self.public, self.binary, self.bins, self.reach = public, binary, bins, reach
        self.hidden, self.groups, self.classes = hidden, groups, classes if groups else 0
        size, keys = self.size, iter(jr.split(key, 20))
        corrects = 2 * hidden + self.groups * self.classes
        inputs = history.width(features, seats, actions, goals)
        self.eye = Dense(inputs, width, 2**0.5, next(keys)), Dense(width, width, 1.0, next(keys))
        self.players = Dense(size, seats * token, 1.0, next(keys))
        moves = actions + 1, token
        self.gain = jr.normal(next(keys), moves)
        self.shift = jnp.zeros(moves)
        self.effect = jr.normal(next(keys), (token, width)) / token**0.5
        self.carry = Dense(size, width, 1.0, next(keys))
        # at first h stays what it was: else many steps on it would be anything
        self.turn = opened(Dense(2 * width, 2 * hidden, 0.05, next(keys)), hidden, 3.0)
        self.prior = (
            Dense(hidden, width, 2**0.5, next(keys)),
            Dense(width, self.groups * self.classes, 1.0, next(keys)),
        )
        self.judge = Dense(hidden, width, 1.0, next(keys))
        self.posterior = opened(Dense(width, corrects, 1.0, next(keys)), hidden, 2.0)
        self.glance = Dense(inputs, corrects, 4.0, next(keys))
        self.stands = Dense(token, width, 1.0, next(keys))
        self.ground = Dense(size, width, 1.0, next(keys))
        self.may = Dense(width, actions, 0.1, next(keys))
        self.reader = Dense(size, width, 2**0.5, next(keys))
        self.heads = Dense(width + size, sum(self._sizes), 1.0, next(keys))

    @property
    def size(self) -> int:
        """Width of the latent."""
        return self.hidden + self.groups * self.classes

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Numbers of each head, in the order of ``Outcome``."""
        n, a = self.seats, self.actions
        events, public = n * (self.goals + 1), (n - 1) * a * self.public
        return self.bins, n, events, a, public, self.features

    def begin(self) -> Float[Array, " E"]:
        """The latent before anything was seen."""
        return jnp.zeros(self.size)

    def inputs(self, obs: Float[Array, " F"], seen: Seen) -> Float[Array, " I"]:
        """What ``see`` reads of an encoded observation and what goes with it."""
        return history.inputs(obs, seen, self.actions, self.goals)

    def see(
        self, key: PRNGKeyArray | None, e: Float[Array, " E"], x: Float[Array, " I"], seen: Seen
    ) -> Float[Array, " E"]:
        """The latent after ``x`` (``history.inputs``) was seen; without a key the likeliest.

        ``e`` is that before the moves that ``seen`` tells of, and ``begin()`` at first contact.
        """
        h, _ = self.expect(e, seen.moved)
        return self.corrected(key, h, self.look(x))[0]

    def look(self, x: Float[Array, " I"]) -> Looked:
        """What the eye makes of what is seen, whatever was expected."""
        (first, second), x = self.eye, twohot.symlog(x)
        return second(jax.nn.silu(first(x))), self.glance(x)

    def corrected(
        self,
        key: PRNGKeyArray | None,
        h: Float[Array, " H"],
        looked: Looked,
    ) -> tuple[Float[Array, " E"], Float[Array, "Z C"]]:
        """The latent after something was seen where h was expected, and the posterior of its z.

        What is seen enters h, too: were it all in z, the draws would have to hold it.
        """
        units, glance = looked
        made = self.posterior(jax.nn.silu(self.judge(h) + units)) + glance
        gate, new, logits = jnp.split(made, [self.hidden, 2 * self.hidden])
        h = h + jax.nn.sigmoid(gate) * (jnp.tanh(new) - h)
        if not self.groups:
            return h, jnp.zeros((0, 0))
        log_q = categorical.mixed(logits.reshape(self.groups, self.classes))
        return jnp.concatenate([h, categorical.draw(key, log_q).ravel()]), log_q

    def table(self, e: Float[Array, " E"]) -> Float[Array, "N A1 W"]:
        """Tokens of every player and move; the last move stands for none."""
        return (self._picked(e)[:, None] * self.gain[None] + self.shift[None]) @ self.effect

    def step(
        self, e: Float[Array, " E"], table: Float[Array, "N A1 W"], joint: Int[Array, " N"]
    ) -> tuple[Float[Array, " H"], Float[Array, "Z C"]]:
        """What everybody's moves lead to: h, and log-probabilities of z. NO_MOVE is of the absent.

        With ``table(e)``; under ``vmap`` over joint moves only sums of tokens are made anew.
        """
        tokens = jnp.take_along_axis(table, self._column(joint)[:, None, None], axis=1)
        return self._turned(e, tokens.sum((0, 1)))

    def expect(
        self, e: Float[Array, " E"], joint: Int[Array, " N"]
    ) -> tuple[Float[Array, " H"], Float[Array, "Z C"]]:
        """``step`` for one joint move, without a table of all the others."""
        column = self._column(joint)
        units = self._picked(e) * self.gain[column] + self.shift[column]
        return self._turned(e, units.sum(0) @ self.effect)

    def arrive(
        self, key: PRNGKeyArray | None, h: Float[Array, " H"], prior: Float[Array, "Z C"]
    ) -> Float[Array, " E"]:
        """The latent after a joint move, before anything is seen; without a key the likeliest."""
        return jnp.concatenate([h, categorical.draw(key, prior).ravel()])

    def read(self, e: Float[Array, " E"], shown: bool = True) -> Outcome:
        """What a latent tells; without ``shown`` nothing of what is seen there, which is most."""
        x, (weight, bias) = jnp.concatenate([jax.nn.silu(self.reader(e)), e]), self.heads_of(shown)
        made = x @ weight + bias
        if not shown:
            made = jnp.concatenate([made, jnp.zeros(self.features)])
        ends = [*accumulate(self._sizes)][:-1]
        reward, alive, events, legal, public, obs = jnp.split(made, ends)
        events = events.reshape(self.seats, self.goals + 1)
        public = public.reshape(self.seats - 1, self.actions * self.public)
        may = self._may(e)
        if self.public:
            public = public + may[1:]
        return Outcome(reward, alive, events, legal + may[0], public, obs)

    def _may(self, e: Float[Array, " E"]) -> Float[Array, "N A"]:
        """Logits of what each player may do, from where it stands and what is there."""
        stands = self._picked(e) @ self.stands.weight + self.stands.bias[None]
        units = jax.nn.silu(stands + self.ground(e)[None])
        return units @ self.may.weight + self.may.bias[None]

    def heads_of(self, shown: bool) -> tuple[Float[Array, "I O"], Float[Array, " O"]]:
        """Weight and bias of all heads, or of all but the last."""
        most = None if shown else sum(self._sizes[:-1])
        return self.heads.weight[:, :most], self.heads.bias[:most]

    def earned(self, told: Outcome) -> Float[Array, "*b"]:
        """Mean of the reward that is told."""
        return twohot.expected(told.reward, twohot.bins(self.bins, self.reach))

    def _picked(self, e: Float[Array, " E"]) -> Float[Array, "N K"]:
        return self.players(e).reshape(self.seats, -1)

    def _column(self, joint: Int[Array, " N"]) -> Int[Array, " N"]:
        return jnp.where(joint == NO_MOVE, self.actions, joint).astype(jnp.int32)

    def _turned(
        self, e: Float[Array, " E"], moved: Float[Array, " W"]
    ) -> tuple[Float[Array, " H"], Float[Array, "Z C"]]:
        """Moves add to what is kept of h: what each does, and what comes of them together."""
        together = jax.nn.silu(self.carry(e) + moved)
        keep, change = jnp.split(self.turn(jnp.concatenate([together, moved])), 2)
        h = jax.nn.sigmoid(keep) * e[: self.hidden] + change
        h = LIMIT * jnp.tanh(h / LIMIT)
        if not self.groups:
            return h, jnp.zeros((0, 0))
        first, second = self.prior
        logits = second(jax.nn.silu(first(h)))
        return h, categorical.mixed(logits.reshape(self.groups, self.classes))


def world_of(env: Env, key: PRNGKeyArray, **sizes: Any) -> World:
    """A fresh model of a game; ``sizes`` are the settings of ``World`` that a game leaves open."""
    game = history.features_of(env), env.num_seats, env.num_actions, env.num_goals
    binary = np.dtype(env.obs_dtype) == np.uint8
    return World(*game, public=env.public_legal, binary=binary, key=key, **sizes)
