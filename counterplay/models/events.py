"""When goals are inferred: what hindsight makes of a stretch of play, to train goal models by.

A segment is what one seat plays between two events, from its coming or the slot after an event to
the next one or to where its episode is over. All slots of a segment that ends in an event are
labelled with it (Huang et al., 2024, HOP). HOP drops the slots after the last event; here they are
censored, and get soft labels: one who hunts a stag and never catches it is seen hunting.

Everything is written for one lane, ``T`` slots in the order in which they were played, of as many
episodes as there are; batch it with ``vmap``. ``acting`` marks the slots in which a seat moves,
``over`` those after which its episode is over; ``presence`` makes both from the fields of a
rollout or a store. What stands in other slots, NaN included, is never read.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from counterplay.episodes.batch import EpisodeBatch
from counterplay.episodes.replay import Replay
from counterplay.maths import LEAST_LOG, masked_log_softmax
from counterplay.names import unknown
from counterplay.types import NO_EVENT

ENDS = ("terminated", "truncated", "closing")
"""Fields [..., T] of which each means that the episode is over for everybody."""


class Censored(NamedTuple):
    """Acting slots without a label, [T, ...]; each is one or the other."""

    ended: Bool[Array, "T *n"]
    """The seat left, or its episode ended or was interrupted, before any event."""
    cut: Bool[Array, "T *n"]
    """The stretch stops before either: what comes next was not shown."""


def presence(
    slots: Mapping[str, Any],
) -> tuple[Bool[Array, "*b T N"], Bool[Array, "*b T N"]]:
    """``acting`` and ``over`` from the slots of a rollout, or the data of a batch or of rows.

    Slots that are not ``filled``, or of a ``dropped`` game, belong to no episode. ValueError where
    there is no ``alive``; other fields that are missing never happened.
    """
    if "alive" not in slots:
        raise unknown("field of the slots", "alive", slots)
    alive = slots["alive"]
    never = jnp.zeros(alive.shape[:-1], bool)
    there = slots.get("filled", ~never) & ~slots.get("dropped", never)
    over = ~there
    for name in ENDS:
        over |= slots.get(name, never)
    left = slots.get("left", jnp.zeros_like(alive))
    return alive & there[..., None], left | over[..., None]


def hindsight(
    event: Int[Array, "T *n"], acting: Bool[Array, "T *n"], over: Bool[Array, "T *n"]
) -> Int[Array, "T *n"]:
    """The goal that each seat completes next, at this slot or later in its segment.

    NO_EVENT where it does not act, and where its segment ends, or the stretch is cut, without one:
    ``censored`` says which. Of the type of ``event``. After Huang et al. (2024), HOP, who go back
    from the slot where a goal was reached.
    """
    ahead, _, known = _ahead(event, acting, over)
    last = event.shape[0] - 1
    label = jnp.take_along_axis(event, jnp.minimum(ahead, last), axis=0)
    return jnp.where(known, label, NO_EVENT)


def censored(
    event: Int[Array, "T *n"], acting: Bool[Array, "T *n"], over: Bool[Array, "T *n"]
) -> Censored:
    """Why ``hindsight`` has no label for an acting slot."""
    _, end, known = _ahead(event, acting, over)
    shown = end < event.shape[0]
    return Censored(acting & ~known & shown, acting & ~known & ~shown)


def segments(
    event: Int[Array, "T *n"], acting: Bool[Array, "T *n"], over: Bool[Array, "T *n"]
) -> Int[Array, "T *n"]:
    """Numbers of the segments of each seat, from 0 in slot 0, one more after an event or an end.

    At most T of them, and never falling, so ``jax.ops.segment_sum(x, number, T)`` adds up what
    belongs to one. Slots in which a seat does not act have numbers too: mask them.
    """
    ends = over | (acting & (event != NO_EVENT))
    return jnp.cumsum(ends, axis=0, dtype=jnp.int32) - ends


def _ahead(
    event: Int[Array, "T *n"], acting: Bool[Array, "T *n"], over: Bool[Array, "T *n"]
) -> tuple[Int[Array, "T *n"], Int[Array, "T *n"], Bool[Array, "T *n"]]:
    """Slots of the next event and of the next end, T for none, and which labels are known."""
    at = _next(acting & (event != NO_EVENT))
    end = _next(over)
    return at, end, acting & (at < event.shape[0]) & (at <= end)


def _next(marks: Bool[Array, "T *n"]) -> Int[Array, "T *n"]:
    """The first marked slot at or after each, T where there is none."""
    slots = marks.shape[0]
    number = lax.broadcasted_iota(jnp.int32, marks.shape, 0)
    return lax.cummin(jnp.where(marks, number, slots), axis=0, reverse=True)


def rewarded(
    event: Int[Array, "*s"], reward: Float[Array, "*#s"], threshold: Float[Array, ""] | float
) -> Int[Array, "*s"]:
    """The events of slots that brought at least ``threshold``; NO_EVENT in place of the others.

    For games of dense rewards, where not all that happens is worth a goal; in games that tell of no
    events moves may stand in for them. ``reward`` is the
    other's own where training may see it, a privilege that the caller has to declare, else mine:
    [T, 1] holds for all seats. The threshold is a number, or of ``quantile_of``.
    """
    return jnp.where(reward >= threshold, event, NO_EVENT)


def quantile_of(rewards: Float[Array, "*s"], mask: Bool[Array, "*s"], q: float) -> Float[Array, ""]:
    """The smallest of the masked rewards that a share 1 - q of them reaches at most.

    Rewards of games are often the same: a value that too many share is passed over for the next
    larger one, and the largest is taken where even that is reached by more. Infinity, so that no
    event counts, where nothing is masked. ValueError for q outside 0 to 1.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"quantile_of: q is a share, 0 to 1, found {q}")
    number = mask.sum()
    last = jnp.maximum(number - 1, 0)
    x = jnp.sort(jnp.where(mask, rewards, jnp.inf).ravel())
    best = x[last]
    # a little more, or .05 of 20 would be less than one
    most = jnp.floor((1 - q) * number * (1 + 1e-6)).astype(number.dtype)
    at = jnp.clip(number - most, 0, last)
    found = x[at]
    tied = (at > 0) & (x[jnp.maximum(at - 1, 0)] == found)
    above = jnp.where(x > found, x, jnp.inf).min()
    found = jnp.where(tied, jnp.minimum(above, best), found)
    return jnp.where(number > 0, jnp.where(most > 0, found, best), jnp.inf)


def extremum(
    value: Float[Array, " T"], over: Bool[Array, " T"], horizon: int, best: bool
) -> Int[Array, " T"]:
    """The slot of the best, or worst, value among the ``horizon`` slots after each.

    The window stops at the slot after which the segment is ``over``; mark events there as well
    where they should end it, and for a truncated episode its closing slot alone where the state
    that it shows should count. The first of equals; where the window is empty, the slot itself.
    The selector of Yu et al. (2024), OMG: best for partners, worst where interests differ.
    ValueError for a horizon below 1.
    """
    if horizon < 1:
        raise ValueError(f"extremum: horizon counts slots, at least 1, found {horizon}")
    slots = value.shape[0]
    here = jnp.arange(slots)
    at = here[:, None] + 1 + jnp.arange(horizon)[None]
    inside = at <= jnp.minimum(_next(over), slots - 1)[:, None]
    rate = value if best else -value
    ahead = jnp.where(inside, rate.at[at].get(mode="fill", fill_value=-jnp.inf), -jnp.inf)
    return jnp.where(inside[:, 0], here + 1 + jnp.argmax(ahead, axis=1), here)


def best_within(
    event: Int[Array, " T"],
    pay: Float[Array, " T"],
    acting: Bool[Array, " T"],
    over: Bool[Array, " T"],
    horizon: int,
) -> Int[Array, " T"]:
    """The event that pays most among those of each slot and of the ``horizon`` slots after it, of
    the same episode; the first of equals. NO_EVENT where there is none, where nobody acts, and
    where more slots count than are there: what is best among them nobody knows.

    ``extremum`` with rewards of events in place of what states are worth.
    """
    value = jnp.where(acting & (event != NO_EVENT), pay, -jnp.inf)
    at = extremum(value, over, horizon, True)
    here = jnp.arange(len(event))
    at = jnp.where(value >= value[at], here, at)
    whole = (here + horizon < len(event)) | (_next(over) < len(event))
    return jnp.where(acting & whole & (value[at] > -jnp.inf), event[at], NO_EVENT)


def soft_labels(
    label: Int[Array, " T"],
    segment: Int[Array, " T"],
    log_prior: Float[Array, " G"] | Float[Array, "T G"],
    log_likelihood: Float[Array, "T G"],
    acting: Bool[Array, " T"],
) -> Float[Array, "T G"]:
    """What one seat was after, as weights over goals: q(g) of every acting slot, zero elsewhere.

    One-hot where the ``label`` is known. In a censored segment, by Bayes' rule over all its acting
    slots, q(g) is proportional to prior(g) prod_t pi(a_t | e_t, g); ``log_likelihood`` is that of
    the move made, for every goal. Of priors a slot [T, G] that of the segment's first acting slot
    counts: a belief later on holds some of these moves already. Goals of prior 0 stay at 0, unless
    all are. A move counts for no less than LEAST_LOG, so that none ever rules all goals out. No
    gradient passes. Labels are below G, ``segment`` comes from ``segments``.
    """
    log_prior, log_likelihood = lax.stop_gradient((log_prior, log_likelihood))
    same = (segment[:, None] == segment[None]) & acting[None]
    prior = jnp.broadcast_to(log_prior, log_likelihood.shape) if log_prior.ndim == 1 else log_prior
    prior = jnp.where(acting[:, None], prior[jnp.argmax(same, axis=1)], 0.0)
    moves = jnp.maximum(log_likelihood, LEAST_LOG)
    # not a product with ``same``, in which NaN would spread; not a scatter, whose order may vary
    evidence = jnp.where(same[:, :, None], moves[None], 0.0).sum(1)
    possible = prior > -jnp.inf
    possible |= ~possible.any(1, keepdims=True)
    weight = jnp.where(prior > -jnp.inf, prior, 0.0) + evidence
    soft = jnp.exp(masked_log_softmax(weight, possible))
    known = jax.nn.one_hot(label, log_likelihood.shape[1], dtype=soft.dtype)
    q = jnp.where((label != NO_EVENT)[:, None], known, soft)
    return jnp.where(acting[:, None], q, 0.0)


def relabelled(replay: Replay, batch: EpisodeBatch) -> Replay:
    """The store with hindsight written to ``label`` in all filled slots of a sampled batch.

    The store that was given is given away. Slots that were written over since stay as they are;
    so do labels which a part ``batch[:, a:b]`` of episodes cannot tell. ValueError where
    ``event``, ``label`` or ``alive`` is not stored, or the batch is not of all agents.
    """
    for name in ("event", "label", "alive"):
        if name not in batch.data:
            raise unknown("field of the batch", name, batch.data)
    event = batch["event"]
    if event.ndim != 3:
        raise ValueError(
            f"relabelled: event should be [B, T, N], found {[*event.shape]}; write labels from a "
            "batch as it was sampled, before it is cut into segments of one agent"
        )
    acting, over = presence({**batch.data, "filled": batch.filled})
    label = jax.vmap(hindsight)(event, acting, over)
    cut = jax.vmap(censored)(event, acting, over).cut
    label = jnp.where(cut, batch["label"].astype(label.dtype), label)
    return replay.relabel(batch.where, "label", label, batch.filled)
