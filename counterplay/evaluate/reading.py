"""Exact inference over the others where everybody sees everything: Bayes' rule over known rules."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from counterplay.maths import bayes_update
from counterplay.opponents.rule import Mixture
from counterplay.types import NO_MOVE, Env, View

SLACK = 0.01
"""Share of every likelihood that is uniform over the legal moves, so that no type ever dies."""


class Beliefs(NamedTuple):
    """What is known of each other: one entry an other."""

    memories: tuple[tuple[Any, ...], ...]
    """Of every rule, had it watched from that other's seat."""
    log_posterior: Float[Array, "M Y"]
    moves: Float[Array, "M Y A"]
    """What each rule would do in this slot, with ``SLACK``; 0 for nobody there."""


@dataclass(frozen=True)
class Public:
    """Reads moves that everybody sees. Rules must remember nothing but what they saw."""

    known: Mixture
    others: tuple[int, ...]
    actions: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.others), len(self.known.rules), self.actions

    def begin(self, carry: Beliefs | None) -> Beliefs:
        others, types, _ = self.shape
        key = jax.random.key(0)  # such rules draw nothing
        if carry is None:
            even = jnp.full((others, types), -jnp.log(float(types)))
            memories = tuple(
                tuple(r.begin(key, None) for r in self.known.rules) for _ in self.others
            )
            return Beliefs(memories, even, jnp.zeros(self.shape))
        memories = tuple(
            tuple(r.begin(key, m) for r, m in zip(self.known.rules, each, strict=True))
            for each in carry.memories
        )
        return carry._replace(memories=memories)

    def look(self, carry: Beliefs, views: View) -> Beliefs:
        rows = []
        kept = []
        for j, each in zip(self.others, carry.memories, strict=True):
            view = jax.tree.map(lambda x, j=j: x[j], views)
            pairs = list(zip(self.known.rules, each, strict=True))
            rows.append(jnp.stack([jnp.exp(r.log_probs(m, view)) for r, m in pairs]))
            present = view.legal.any()
            kept.append(
                tuple(
                    jax.tree.map(lambda a, b, p=present: jnp.where(p, a, b), r.remember(m, view), m)
                    for r, m in pairs
                )
            )
        legal = jnp.stack([views.legal[j] for j in self.others]).astype(jnp.float32)
        even = legal / jnp.maximum(legal.sum(1, keepdims=True), 1)
        moves = (1 - SLACK) * jnp.stack(rows) + SLACK * even[:, None]
        return carry._replace(memories=tuple(kept), moves=moves)

    def told(self, carry: Beliefs) -> tuple[Float[Array, "M Y"], Float[Array, "M A"]]:
        types = jnp.exp(carry.log_posterior)
        return types, (types[:, :, None] * carry.moves).sum(1)

    def truth(
        self,
        carry: Beliefs,
        member: Int[Array, " M"],
        log_probs: Float[Array, "M A"],
        goal: Int[Array, " M"],
    ) -> Float[Array, "M A"]:
        return jnp.exp(log_probs)

    def moved(self, carry: Beliefs, moves: Int[Array, " N"]) -> Beliefs:
        made = jnp.stack([moves[j] for j in self.others])
        chosen = made[:, None, None] == jnp.arange(self.actions)[None, None]
        likelihood = jnp.where(chosen, carry.moves, 0.0).sum(2)
        nobody = (made == NO_MOVE)[:, None]
        told = jnp.log(jnp.where(nobody, 1.0, likelihood))
        return carry._replace(log_posterior=bayes_update(carry.log_posterior, told))


def public(env: Env, rules: Mixture, seat: int) -> Public:
    """Of one seat over all others, each one of the rules."""
    n = env.num_seats
    return Public(rules, tuple((seat + k) % n for k in range(1, n)), env.num_actions)
