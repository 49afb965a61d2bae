"""Replies in scissors: what to collect against what the other is expected to hold, and when."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from counterplay.envs.scissors import (
    BEATS,
    CARRIED,
    CHALLENGE,
    EARLIEST,
    HOLDINGS,
    REACH,
    SIZE,
    STAY,
    Scissors,
    codes,
)
from counterplay.evaluate.hidden_scissors import (
    Carry,
    ScissorsFilter,
    next_states,
    scissors_filter,
)
from counterplay.evaluate.reading import SLACK
from counterplay.evaluate.reading_hidden import Watched, first_contact, watch
from counterplay.evaluate.redrawing import LEAST
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.scissors import AIMS, CELLS
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


class Collect(eqx.Module):
    """Makes the move that is worth most on average over what the other may aim at, as if that were
    known from the next slot on (QMDP, Littman et al., 1995).

    So it leaves open what to collect for as long as everything can still be fetched.
    """

    value: tuple[Float[Array, "G slots states"], Float[Array, "G slots states"]]
    """By the corner that I start in; see ``solve``."""
    to: Int[Array, "states steps"]
    """Where each move that is no challenge leads."""
    pay: Float[Array, "C C"]
    """See ``payoffs``."""

    def log_probs(self, mind: ScissorsMind, carry: Placed, view: View) -> Float[Array, " A"]:
        worth = jnp.where(view.legal, self.worth(mind, carry, view), -jnp.inf)
        return any_of(jnp.arange(worth.shape[0]) == jnp.argmax(worth))

    def worth(self, mind: ScissorsMind, carry: Placed, view: View) -> Float[Array, " A"]:
        """What each of my moves may be expected to earn."""
        each = zip(mind.exact, carry.watched, self.value, strict=True)
        one, other = (self._worth(exact, seen.carry, value, view) for exact, seen, value in each)
        return select(carry.corner == 0, one, other)

    def _worth(
        self, exact: ScissorsFilter, seen: Carry, value: Float[Array, "G slots states"], view: View
    ) -> Float[Array, " A"]:
        """Where a challenge is legal, what the other holds by now counts, too."""
        here = jnp.argmax(view.obs[:CELLS]).astype(jnp.int32)
        held = codes(jnp.round(view.obs[3 * CELLS : 3 * CELLS + 3] * CARRIED).astype(jnp.int32))
        later = value[:, view.time + 1][:, self.to[here * len(HOLDINGS) + held]]  # [G, steps]
        chance = exact.told(seen)[-len(AIMS) :, None] * _rows(seen)
        called = jnp.where(view.legal[CHALLENGE], chance * exact.factors[-1], 0.0)
        gain = self.pay[held][exact.code]
        moved = (called * gain).sum() + (chance - called).sum(1) @ later
        return jnp.append(moved, (chance * gain).sum())


def scissors_mind(env: Scissors, rules: Sequence[Rule], drift: float = 0.0) -> ScissorsMind:
    """The mind that knows these rules, and how often one takes another's place."""
    one, other = (scissors_filter(env, rules, i, mix=SLACK, drift=drift) for i in (0, 1))
    return ScissorsMind((one, other))


def collector(env: Scissors, rules: Sequence[Rule]) -> tuple[ScissorsMind, Collect]:
    """The mind that knows these rules, and the reply."""
    mind = scissors_mind(env, rules)
    one, other = (jnp.asarray(solve(env, exact), jnp.float32) for exact in mind.exact)
    return mind, Collect((one, other), jnp.asarray(_steps()), jnp.asarray(payoffs(), jnp.float32))


def solve(env: Scissors, exact: ScissorsFilter) -> Float[np.ndarray, "G slots states"]:
    """What one may expect in each slot against each aim, by where one is and what one holds.

    A state is cell * 35 + code. The other is where its aim takes it by then, whatever was seen of
    it. By backward induction, Puterman (1994), section 4.5.
    """
    many, pay, to, cells = len(HOLDINGS), payoffs(), _steps(), np.arange(CELLS)
    values = np.zeros((len(AIMS), env.horizon + 1, CELLS, many))
    for aim, value in enumerate(values):
        cell, code = np.asarray(exact.cell[aim]), np.asarray(exact.code[aim])
        calls, steps = np.asarray(exact.factors[-1, aim]), np.asarray(exact.steps[aim], np.float64)
        apart = np.array(divmod(cells, SIZE))[:, :, None] - np.array(divmod(cell, SIZE))[:, None]
        there = [np.asarray(exact.start[aim], np.float64)]
        for _ in range(env.horizon):
            there.append(there[-1] @ steps)
        value[-1] = pay[:, code] @ there[-1]
        for time in reversed(range(env.horizon)):
            later = value[time + 1].ravel()[to].reshape(CELLS, many, -1)
            near = (abs(apart).sum(0) <= REACH) * there[time] * (time >= EARLIEST)
            called = near * calls
            q = (called @ pay[:, code].T)[..., None] + (1 - called.sum(1))[:, None, None] * later
            call = near @ pay[:, code].T + (1 - near.sum(1))[:, None] * later[..., STAY]
            value[time] = np.maximum(q.max(-1), np.where(near.any(1)[:, None], call, -np.inf))
    return values.reshape(len(AIMS), env.horizon + 1, -1)


def _steps() -> Int[np.ndarray, "states steps"]:
    return next_states(*np.divmod(np.arange(CELLS * len(HOLDINGS)), len(HOLDINGS)))


def payoffs() -> Float[np.ndarray, "C C"]:
    """My pay-off, by the codes of what I and the other hold."""
    held = np.array(HOLDINGS, np.float64)
    held[held.sum(1) == 0] = 1  # who holds nothing has a third of each
    shares = held / held.sum(1, keepdims=True)
    return shares @ np.array(BEATS) @ shares.T


def _rows(seen: Carry) -> Float[Array, "G S"]:
    """P(state | aim, all that was seen)."""
    return seen.rows / jnp.maximum(seen.rows.sum(1, keepdims=True), LEAST)


def _moves(exact: ScissorsFilter, seen: Any, view: View) -> Float[Array, " A"]:
    """P(move) of the other, by what it aims at, where it is and what it holds."""
    share = exact.told(seen)[-len(AIMS) :, None] * _rows(seen)
    _, ratio, near = jnp.split(exact.factors, [1, 1 + CHALLENGE + 1])
    free = jnp.where(ratio > 0, near / jnp.where(ratio > 0, ratio, 1.0), 0.0)
    chances = jnp.where(view.legal[CHALLENGE], near, free)
    return jnp.einsum("gs,ags->a", share, chances)
