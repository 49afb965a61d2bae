"""Beliefs over what each other player is (a type, for a match) and wants (a goal, until reached).

Bayes' rule over moves with a learned likelihood: b(k, g) grows with pi(a_j | e, x_j, k, g) of what
was seen done. Others are inferred each for themselves. Goals begin anew, from what the history says
of them, at first slots and after every event; types stay. Whoever is absent is frozen.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from counterplay.maths import bayes_update
from counterplay.models.actions import Reading
from counterplay.types import NO_EVENT, NO_MOVE, View


class Held(NamedTuple):
    """What is carried from slot to slot of a match."""

    log_belief: Float[Array, "M Y G"]
    """Over type and goal of each other, before its next move."""
    moves: Float[Array, "M Y G A"]
    """Probabilities of that move under each of them, with a uniform share of the legal ones."""
    habit: Float[Array, "M G"]
    """How often each goal was reached of late in this match."""


class Rates(NamedTuple):
    """How fast beliefs move without evidence, and how sure likelihoods may be."""

    mix: float = 0.01
    """Share of every likelihood that is uniform over the legal moves."""
    drift: float = 0.01
    """Share of the belief over goals that a slot replaces by what the history says of them."""
    type_drift: float = 0.0
    """Share of the belief over types that a slot replaces by an even one."""
    habit: float = 0.0
    """Weight, when goals begin anew, of how often each was reached in earlier episodes."""
    decay: float = 0.98
    """Of what was reached before, when another goal is (Huang et al., 2024: alpha)."""
    window: int = 0
    """Slots after which goals begin anew; 0 where they last until an event."""
    events: bool = True
    """Goals are what events tell of."""


def held_at_first(sizes: tuple[int, int, int, int]) -> Held:
    """Nothing is known: every type and goal as likely as another."""
    others, types, goals, actions = sizes
    even = jnp.full((others, types, goals), -jnp.log(float(types * goals)))
    share = jnp.full((others, goals), 1.0 / goals)
    return Held(even, jnp.zeros((others, types, goals, actions)), share)


def heard(held: Held, view: View, rates: Rates) -> Held:
    """Takes in the moves and events of the slot before.

    A move counts if I saw it and moved in that slot myself: then ``held.moves`` is about it.
    """
    moved, event = view.moved[1:], view.event[1:]
    counts = (moved != NO_MOVE) & (view.moved[0] != NO_MOVE)
    told = _log_chosen(held.moves, moved, counts)
    hot = event[:, None] == jnp.arange(held.habit.shape[-1])[None]
    reached = (
        hot.any(1) & rates.events
    )  # where goals are not inferred, none of the game's is among them
    told += jnp.where(reached[:, None, None], jnp.log(hot + 0.01)[:, None], 0.0)
    flat = lambda x: x.reshape(x.shape[0], x.shape[1] * x.shape[2])  # -1 cannot be told of nobody
    after = bayes_update(flat(held.log_belief), flat(told)).reshape(told.shape)
    lately = rates.decay * held.habit + (1 - rates.decay) * hot
    return held._replace(
        log_belief=jnp.where((counts | reached)[:, None, None], after, held.log_belief),
        habit=jnp.where(reached[:, None], lately, held.habit),
    )


def _log_chosen(
    moves: Float[Array, "M Y G A"], moved: Int[Array, " M"], counts: Bool[Array, " M"]
) -> Float[Array, "M Y G"]:
    """Log-likelihood of what was done; 0 where nothing was seen, or nothing that could be."""
    done = moved[:, None, None, None] == jnp.arange(moves.shape[-1])[None, None, None]
    chance = jnp.where(done, moves, 0.0).sum(-1)
    seen = counts & (chance > 0).any((1, 2))
    return jnp.log(jnp.where(seen[:, None, None], chance, 1.0))


def looked(held: Held, view: View, reading: Reading, rates: Rates, amortised: bool = False) -> Held:
    """Makes ready for the moves of this slot, of which ``reading`` is about.

    With ``amortised`` the belief is what the history says of types and goals, and no filter.
    """
    now = reading.types[:, :, None] + reading.goals
    if not amortised:
        now = _filtered(held, view, reading, rates)
    there = view.alive[1:][:, None, None]
    legal = view.public_legal[1:].astype(jnp.float32)
    even = legal / jnp.maximum(legal.sum(-1, keepdims=True), 1)
    chances = (1 - rates.mix) * jnp.exp(reading.moves) + rates.mix * even[:, None, None]
    return held._replace(
        log_belief=jnp.where(there, now, held.log_belief),
        moves=jnp.where(there[..., None], chances, 0.0),
    )


def _filtered(held: Held, view: View, reading: Reading, rates: Rates) -> Float[Array, "M Y G"]:
    """The filter's belief, with goals begun anew and drift."""
    types = jax.nn.logsumexp(held.log_belief, axis=-1, keepdims=True)
    types = _towards(types, jnp.full_like(types, -jnp.log(float(types.shape[1]))), rates.type_drift)
    said = _towards(reading.goals, jnp.log(held.habit)[:, None], rates.habit)
    fresh = view.first | ((view.event[1:] != NO_EVENT) & rates.events)
    if rates.window:
        fresh |= view.time % rates.window == 0
    fresh = fresh[:, None, None]
    goals = jax.nn.log_softmax(held.log_belief)
    return types + jnp.where(fresh, said, _towards(goals, said, rates.drift))


def _towards(log_p: Array, log_q: Array, share: float) -> Array:
    """Log of (1 - share) p + share q."""
    if share == 0:
        return log_p
    return jnp.logaddexp(log_p + jnp.log1p(-share), log_q + jnp.log(share))


def predicted(held: Held) -> Float[Array, "M A"]:
    """Probabilities of each other's next move; 0 for whoever is absent."""
    return (jnp.exp(held.log_belief)[..., None] * held.moves).sum((1, 2))


def over_goals(held: Held) -> Float[Array, "M G"]:
    return jnp.exp(held.log_belief).sum(1)


def over_types(held: Held) -> Float[Array, "M Y"]:
    return jnp.exp(held.log_belief).sum(2)
