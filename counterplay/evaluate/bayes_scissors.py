"""Replies in scissors: what to collect against what the other is expected to hold."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from counterplay.envs.scissors import BEATS, CARRIED, CHALLENGE, HOLDINGS, Scissors
from counterplay.evaluate.hidden_scissors import LEAST, ScissorsFilter, scissors_filter
from counterplay.evaluate.reading import SLACK
from counterplay.evaluate.reading_hidden import Watched, first_contact, watch
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.scissors import AIMS, CELLS, wanted
from counterplay.types import NO_MOVE, View
from counterplay.views import select


class Placed(NamedTuple):
    """What the filter of each corner has seen, and in which of both I start."""

    watched: tuple[Watched, Watched]
    corner: Int[Array, ""]


class ScissorsMind(eqx.Module):
    """One filter for each corner that I may start in: piles equally near differ by it."""

    exact: tuple[ScissorsFilter, ScissorsFilter]

    def begin(self, carry: Placed | None) -> Placed:
        if carry is not None:
            return carry
        one, other = (first_contact(exact, exact.env) for exact in self.exact)
        return Placed((one, other), jnp.int32(0))

    def look(self, carry: Placed, view: View) -> Placed:
        move = view.moved[0]
        one, other = (
            watch(exact, watched._replace(move=move, pending=move != NO_MOVE), view)
            for exact, watched in zip(self.exact, carry.watched, strict=True)
        )
        corner = (jnp.argmax(view.obs[:CELLS]) > 0).astype(jnp.int32)
        return Placed((one, other), jnp.where(view.first, corner, carry.corner))

    def types(self, carry: Placed) -> Float[Array, "1 Y"]:
        return self._ask(carry, lambda exact, seen: exact.told(seen)[None, : -len(AIMS)])

    def aims(self, carry: Placed) -> Float[Array, " 4"]:
        """Over the collections of ``AIMS``."""
        return self._ask(carry, lambda exact, seen: exact.told(seen)[-len(AIMS) :])

    def aims_at_first(self, carry: Placed) -> Float[Array, " 4"]:
        """What was expected when this episode began."""
        expected = lambda exact, seen: jax.nn.softmax(seen.weight.ravel())
        return self._ask(carry, expected).reshape(-1, len(AIMS)).sum(0)

    def goals(self, carry: Placed, view: View) -> Float[Array, "1 G"]:
        codes = np.array([HOLDINGS.index(aim) for aim in AIMS])
        return jnp.zeros((1, len(HOLDINGS))).at[0, codes].set(self.aims(carry))

    def moves(self, carry: Placed, view: View) -> Float[Array, "1 A"]:
        return self._ask(carry, lambda exact, seen: _moves(exact, seen, view))[None]

    def _ask(self, carry: Placed, question: Any) -> Array:
        """The answer of the filter for my corner."""
        pairs = zip(self.exact, carry.watched, strict=True)
        one, other = (question(exact, watched.carry) for exact, watched in pairs)
        return select(carry.corner == 0, one, other)


class Counter(eqx.Module):
    """Collects one kind, the best against what the other was expected to collect when the episode
    began, then meets it at the centre; no mixture is better than the best kind.
    """

    def log_probs(self, mind: ScissorsMind, carry: Placed, view: View) -> Float[Array, " A"]:
        here = jnp.argmax(view.obs[:CELLS]).astype(jnp.int32)
        held = jnp.round(view.obs[3 * CELLS : 3 * CELLS + 3] * CARRIED).astype(jnp.int32)
        aim = jnp.argmax(self.worth(mind.aims_at_first(carry))).astype(jnp.int32)
        return any_of(wanted(aim, here, held, view.legal))

    def worth(self, aims: Float[Array, " 4"]) -> Float[Array, " 3"]:
        """The expected pay-off of each kind alone, against whole collections."""
        shares = jnp.array(AIMS, jnp.float32) / CARRIED
        return jnp.array(BEATS) @ (aims @ shares)


def scissors_mind(env: Scissors, rules: Sequence[Rule]) -> ScissorsMind:
    """The mind that knows these rules."""
    one, other = (scissors_filter(env, rules, seat, mix=SLACK) for seat in (0, 1))
    return ScissorsMind((one, other))


def collector(env: Scissors, rules: Sequence[Rule]) -> tuple[ScissorsMind, Counter]:
    """The mind that knows these rules, and the reply."""
    return scissors_mind(env, rules), Counter()


def _moves(exact: ScissorsFilter, seen: Any, view: View) -> Float[Array, " A"]:
    """P(move) of the other, by what it aims at, where it is and what it holds."""
    rows = seen.rows / jnp.maximum(seen.rows.sum(1, keepdims=True), LEAST)
    share = exact.told(seen)[-len(AIMS) :, None] * rows
    _, ratio, near = jnp.split(exact.factors, [1, 1 + CHALLENGE + 1])
    free = jnp.where(ratio > 0, near / jnp.where(ratio > 0, ratio, 1.0), 0.0)
    chances = jnp.where(view.legal[CHALLENGE], near, free)
    return jnp.einsum("gs,ags->a", share, chances)
