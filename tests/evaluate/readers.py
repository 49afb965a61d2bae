"""Policies that read the other of a matrix game: exactly, or wrong in a way that is known.

What the other saw is what I saw with the moves swapped, so my view suffices to follow what every
known rule would do in its place.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay import opponents
from counterplay.opponents.rule import Mixture
from counterplay.opponents.sets import members
from counterplay.types import NO_MOVE, Act, Env, View

UNIFORM = 0.01


class Reader(eqx.Module):
    """Bayes' rule over known rules; its own moves are drawn uniformly.

    ``power`` 1 and ``order`` 0, 1, 2, ... is right; a power above 1 takes every move for that many
    and sharpens its predictions so, and another order names the types wrong.
    """

    known: Mixture
    order: Int[Array, " Y"]
    power: Float[Array, ""]

    def begin(self, key: PRNGKeyArray, memory: Any) -> Any:
        even = jnp.zeros(len(self.known.rules))
        held, last = (even, jnp.zeros((len(self.known.rules), 2))) if memory is None else memory[1:]
        rules = self.known.begin(key, None if memory is None else memory[0])
        return rules, held, last

    def _seen(self, memory: Any, view: View) -> Float[Array, " Y"]:
        """Log-posterior with the move of the slot before."""
        _, held, last = memory
        moved = view.moved[1]
        told = last[:, jnp.maximum(moved, 0)] * self.power
        return jax.nn.log_softmax(held + jnp.where(moved == NO_MOVE, 0.0, told))

    def _mirrored(self, view: View) -> View:
        swap = lambda x: x[::-1]
        swapped = (swap(view.moved), swap(view.alive), swap(view.event), swap(view.public_legal))
        at = lambda v: (v.moved, v.alive, v.event, v.public_legal)
        return eqx.tree_at(at, view, swapped)

    def _likelihood(self, memory: Any, view: View) -> Float[Array, "Y A"]:
        each = self.known.hypotheses(memory[0], self._mirrored(view))
        return jnp.log((1 - UNIFORM) * jnp.exp(each) + UNIFORM / 2)

    def types(self, memory: Any, view: View) -> Float[Array, "M Y"]:
        return jnp.exp(self._seen(memory, view))[self.order][None]

    def predict(self, memory: Any, view: View) -> Float[Array, "M A"]:
        held = self._seen(memory, view)
        right = jax.nn.logsumexp(held[:, None] + self._likelihood(memory, view), axis=0)
        return jax.nn.log_softmax(self.power * right)[None]

    def log_probs(self, memory: Any, view: View) -> Float[Array, " A"]:
        return jnp.full(2, jnp.log(0.5))

    def act(self, key: PRNGKeyArray, memory: Any, view: View, greedy: bool) -> Act:
        held, likelihood = self._seen(memory, view), self._likelihood(memory, view)
        choice, rules = memory[0]
        mirrored = self._mirrored(view)
        each = zip(self.known.rules, rules, strict=True)
        kept = choice, tuple(rule.remember(m, mirrored) for rule, m in each)
        return Act(jr.bernoulli(key).astype(jnp.int32), (kept, held, likelihood), {})


class Decoder(Reader):
    """Says besides what it takes each type to do: with ``alike`` all of them the same."""

    alike: Bool[Array, ""]

    def decode(self, memory: Any, view: View) -> Float[Array, "M Y A"]:
        each = self._likelihood(memory, view)[self.order]
        return jnp.where(self.alike, jnp.log(jnp.full_like(each, 0.5)), each)[None]


class Speaker(eqx.Module):
    """Says every code equally well: a policy that plays one move and tells nothing."""

    move: int = eqx.field(static=True, default=0)

    def begin(self, key: PRNGKeyArray, memory: Any) -> Any:
        return ()

    def act(self, key: PRNGKeyArray, memory: Any, view: View, greedy: bool) -> Act:
        return Act(jnp.int32(self.move), memory, {})


def pool(env: Env, name: str = "train") -> Mixture:
    """A set of a game as one policy."""
    game = type(env).__name__.lower()
    return Mixture(tuple(opponents.make(text, env) for text in members(game, name)))


def reader(env: Env, power: float = 1.0, swapped: bool = False) -> Reader:
    """The exact filter of the training set, or one that is wrong."""
    known = pool(env)
    order = list(range(len(known.rules)))
    if swapped:
        order[0], order[1] = order[1], order[0]
    return Reader(known, jnp.array(order), jnp.float32(power))
