"""Beliefs over what each other player is (a type, for a match) and wants (a goal, until reached).

Bayes' rule over moves with a learned likelihood: b(k, g) grows with pi(a_j | e, x_j, k, g) of what
was seen done. Others are inferred each for themselves, or their types together, where what one does
tells of another. Goals begin anew, from what the history says of them, at first slots and after
every event; types stay. Whoever is absent is frozen.
Axes are counted from the front, so all that is carried may have batch axes *b behind them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from counterplay.maths import LEAST_LOG, bayes_update, masked_log_softmax
from counterplay.models.actions import Reading
from counterplay.models.history import one_hot
from counterplay.models.hypotheses import chances_of, marginals, redrawn, weighed
from counterplay.types import NO_EVENT, NO_MOVE, View


class Held(NamedTuple):
    """What is carried from slot to slot of a match."""

    log_belief: Float[Array, "M Y G *b"]
    """Over type and goal of each other, before its next move."""
    moves: Float[Array, "M Y G A *b"]
    """Probabilities of that move under each of them, with a uniform share of the legal ones."""
    habit: Float[Array, "M G *b"]
    """How often each goal was reached of late in this match."""
    joint: Float[Array, "H *b"] | None = None
    """Log-weights of all assignments of types to the others (``hypotheses.assignments``), where
    they are inferred together: types in ``log_belief`` follow from them."""
    gone: Bool[Array, "G *b"] | None = None
    """Goals that somebody completed in this episode, where each is there to be completed once."""


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
    pays: float | None = None
    """What a slot must have paid me for its events to be goals; None for any."""
    moves: bool = False
    """Goals are moves, those that were paid, in place of the game's events."""


def held_at_first(
    sizes: tuple[int, int, int, int],
    prior: Float[Array, " H"] | None = None,
    vanish: bool = False,
) -> Held:
    """Nothing is known: every type and goal as likely as another.

    With ``prior``, logits of the hypotheses, types are inferred together and as likely as it says;
    with ``vanish`` completed goals are gone for the rest of an episode.
    """
    others, types, goals, actions = sizes
    even = jnp.full((others, types, goals), -jnp.log(float(types * goals)))
    share = jnp.full((others, goals), 1.0 / goals)
    held = Held(even, jnp.zeros((others, types, goals, actions)), share)
    if prior is not None:
        joint = jax.nn.log_softmax(prior)
        each = marginals(joint, others, types)[:, :, None] - jnp.log(float(goals))
        held = held._replace(log_belief=jnp.broadcast_to(each, even.shape), joint=joint)
    return held._replace(gone=jnp.zeros(goals, bool)) if vanish else held


def heard(held: Held, view: View, rates: Rates, temper: Float[Array, " *b"] | None = None) -> Held:
    """Takes in the moves and events of the slot before.

    A move counts if I saw it and moved in that slot myself: then ``held.moves`` is about it. With
    ``temper`` its log-likelihood counts so many times: below 1 where likelihoods are too sure.
    """
    moved, event = view.moved[1:], completed(view, rates)
    counts = (moved != NO_MOVE) & (view.moved[:1] != NO_MOVE)
    told = _log_chosen(held.moves, moved, counts)
    told = told if temper is None else temper[None, None, None] * told
    hot = one_hot(event, held.habit.shape[1])
    reached = (
        hot.any(1) & rates.events
    )  # where goals are not inferred, none of the game's is among them
    told += jnp.where(reached[:, None, None], jnp.log(hot + 0.01)[:, None], 0.0)
    sizes = told.shape[0], told.shape[1] * told.shape[2], *told.shape[3:]
    flat = lambda x: x.reshape(sizes)  # -1 cannot be told of nobody
    joint, gone = held.joint, held.gone
    if joint is None:
        after = bayes_update(flat(held.log_belief), flat(told), axis=1).reshape(told.shape)
    else:
        joint, after = heard_together(joint, held.log_belief, told, counts | reached)
    if gone is not None:
        done = one_hot(view.event, len(gone)).any(0)
        gone = (gone | done) & ~view.first[None]  # a first slot shows events of another episode
    lately = rates.decay * held.habit + (1 - rates.decay) * hot
    return held._replace(
        log_belief=jnp.where((counts | reached)[:, None, None], after, held.log_belief),
        habit=jnp.where(reached[:, None], lately, held.habit),
        joint=joint,
        gone=gone,
    )


def completed(view: View, rates: Rates) -> Int[Array, "M *b"]:
    """Goals that each other was seen to complete in the slot before, as far as such events are
    goals."""
    event = view.event[1:]
    if rates.moves:  # of slots in which I moved myself, as they are learnt from
        event = jnp.where(view.moved[:1] != NO_MOVE, view.moved[1:], NO_EVENT)
    if rates.pays is None:
        return event
    return jnp.where((view.reward >= rates.pays)[None], event, NO_EVENT)


def heard_together(
    joint: Float[Array, "H *b"],
    log_belief: Float[Array, "M Y G *b"],
    told: Float[Array, "M Y G *b"],
    counts: Bool[Array, "M *b"],
) -> tuple[Float[Array, "H *b"], Float[Array, "M Y G *b"]]:
    """Bayes' rule for hypotheses, to which each other that counts adds
    log sum_g b_j(g | k_j) exp(told); and what follows for each type and goal."""
    goals = jax.nn.log_softmax(log_belief, axis=2)
    each = jax.nn.logsumexp(goals + told, axis=2)
    joint = weighed(joint, jnp.where(counts[:, None], each, 0.0))
    types = marginals(joint, *told.shape[:2])
    return joint, types[:, :, None] + bayes_update(goals, told, axis=2)


def _log_chosen(
    moves: Float[Array, "M Y G A *b"], moved: Int[Array, "M *b"], counts: Bool[Array, "M *b"]
) -> Float[Array, "M Y G *b"]:
    """Log-likelihood of what was done; 0 where nothing was seen, or nothing that could be."""
    done = one_hot(moved, moves.shape[3])[:, None, None]
    chance = jnp.where(done, moves, 0.0).sum(3)
    seen = counts & (chance > 0).any((1, 2))
    return jnp.log(jnp.where(seen[:, None, None], chance, 1.0))


def looked(held: Held, view: View, reading: Reading, rates: Rates, amortised: bool = False) -> Held:
    """Makes ready for the moves of this slot, of which ``reading`` is about.

    With ``amortised`` the belief is what the history says of types and goals, and no filter.
    """
    types, goals, joint = reading.types[:, :, None], reading.goals, held.joint
    if joint is not None:
        joint = redrawn(joint, view.alive[1:], goals.shape[1], rates.type_drift)
    if not amortised:
        types, goals = _filtered(held, joint, view, reading, rates)
    if held.gone is not None:
        goals = _left(goals, held.gone)
    now, there = types + goals, view.alive[1:][:, None, None]
    legal = view.public_legal[1:].astype(jnp.float32)
    even = legal / jnp.maximum(legal.sum(1, keepdims=True), 1)
    chances = (1 - rates.mix) * jnp.exp(reading.moves) + rates.mix * even[:, None, None]
    return held._replace(
        log_belief=jnp.where(there, now, held.log_belief),
        moves=jnp.where(there[:, :, :, None], chances, 0.0),
        joint=joint,
    )


def _filtered(
    held: Held, joint: Float[Array, "H *b"] | None, view: View, reading: Reading, rates: Rates
) -> tuple[Float[Array, "M Y 1 *b"], Float[Array, "M Y G *b"]]:
    """The filter's belief over types, and over goals given these, begun anew and with drift."""
    if joint is None:
        types = jax.nn.logsumexp(held.log_belief, axis=2, keepdims=True)
        even = jnp.full_like(types, -jnp.log(float(types.shape[1])))
        types = _towards(types, even, rates.type_drift)
    else:
        types = marginals(joint, *held.log_belief.shape[:2])[:, :, None]
    said = _towards(reading.goals, jnp.log(held.habit)[:, None], rates.habit)
    fresh = view.first[None] | ((completed(view, rates) != NO_EVENT) & rates.events)
    if rates.window:
        fresh |= view.time[None] % rates.window == 0
    fresh = fresh[:, None, None]
    goals = jax.nn.log_softmax(held.log_belief, axis=2)
    return types, jnp.where(fresh, said, _towards(goals, said, rates.drift))


def _left(goals: Float[Array, "M Y G *b"], gone: Bool[Array, "G *b"]) -> Float[Array, "M Y G *b"]:
    """Log-probabilities of goals without those that are gone (Huang et al., 2024): even ones over
    the goals left where these had none, and over all where none is left."""
    left = jnp.broadcast_to(~gone[None, None], goals.shape)
    none = ~left.any(2, keepdims=True)
    weight = jnp.where(left, jnp.maximum(goals, LEAST_LOG), 0.0)
    return masked_log_softmax(weight, left | none, 2)


def _towards(log_p: Array, log_q: Array, share: float) -> Array:
    """Log of (1 - share) p + share q."""
    if share == 0:
        return log_p
    return jnp.logaddexp(log_p + jnp.log1p(-share), log_q + jnp.log(share))


def predicted(held: Held) -> Float[Array, "M A *b"]:
    """Probabilities of each other's next move; 0 for whoever is absent."""
    return (jnp.exp(held.log_belief)[:, :, :, None] * held.moves).sum((1, 2))


def together(held: Held) -> tuple[Float[Array, "H *b"], Float[Array, "H M A *b"]]:
    """How likely each hypothesis of the others' types is, and each other's next move under it, 0
    for the absent. Others who are inferred each for themselves need one hypothesis only."""
    if held.joint is None:
        return jnp.ones((1, *held.log_belief.shape[3:])), predicted(held)[None]
    return jnp.exp(held.joint), under_each(held.log_belief, held.moves)


def under_each(
    log_belief: Float[Array, "M Y G *b"], moves: Float[Array, "M Y G A *b"]
) -> Float[Array, "H M A *b"]:
    """Chances of each other's next move under each hypothesis of the others' types."""
    goals = jax.nn.softmax(log_belief, axis=2)[:, :, :, None]
    return chances_of((goals * moves).sum(2))


def over_goals(held: Held) -> Float[Array, "M G *b"]:
    return jnp.exp(held.log_belief).sum(1)


def over_types(held: Held) -> Float[Array, "M Y *b"]:
    return jnp.exp(held.log_belief).sum(2)


def log_of(chances: Float[Array, "*b A"], axis: int = -1) -> Float[Array, "*b A"]:
    """Log-probabilities, by default on the last axis; even ones for whoever has none."""
    none = chances.sum(axis, keepdims=True) == 0
    return jnp.log(jnp.where(none, 1 / chances.shape[axis], chances))


def told_of(held: Held, noise: list[Array], goal_input: str, action_input: str) -> list[Array]:
    """What a policy is told: types [M, Y, *b], goals [M, G, *b] and moves [M, A, *b].

    ``goal_input`` and ``action_input`` say how; see ``goal_ppo.Config``. ``noise``, of types and
    goals [M, Y G, *b] and of moves [M, A, *b], has a Gumbel distribution: what is likeliest with it
    is a draw.
    """
    others, types, goals, *batch = held.log_belief.shape
    hot = lambda x: one_hot(jnp.argmax(x, 1), x.shape[1]).astype(jnp.float32)
    belief = held.log_belief.reshape(others, types * goals, *batch)
    if goal_input in ("map", "sample"):  # one of them, as if it were known
        chances = hot(belief if goal_input == "map" else belief + noise[0])
    else:
        chances = jnp.exp(belief)
    chances = chances.reshape(others, types, goals, *batch)
    moves = (chances[:, :, :, None] * held.moves).sum((1, 2))
    if action_input == "argmax":
        moves = hot(moves)
    elif action_input == "sample":
        moves = hot(log_of(moves, 1) + noise[1])
    tell = jnp.float32(goal_input != "none"), jnp.float32(action_input != "none")
    return [tell[0] * chances.sum(2), tell[0] * chances.sum(1), tell[1] * moves]


def doubt_of(held: Held) -> Float[Array, "M 2"]:
    """Nats of doubt about each other's next move, apart: its own randomness, E_b H[pi(. | k, g)],
    which no more watching takes away, and my ignorance of what it is and wants, H[E_b pi] less
    that. 0 for the absent."""
    b, p = jnp.exp(held.log_belief), held.moves
    nats = lambda x: -jnp.where(x > 0, x * jnp.log(jnp.where(x > 0, x, 1.0)), 0.0).sum(-1)
    random = (b * nats(p)).sum((1, 2))
    return jnp.stack([random, nats((b[..., None] * p).sum((1, 2))) - random], -1)
