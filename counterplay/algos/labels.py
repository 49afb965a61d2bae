"""What each other is and wants, for readers to learn from: labels, and what stands in for them."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from counterplay.algos.study import Study
from counterplay.maths import LEAST_LOG, masked_log_softmax, masked_sum
from counterplay.models.actions import Reading
from counterplay.models.beliefs import Held, Rates, heard, looked
from counterplay.models.events import (
    best_within,
    hindsight,
    quantile_of,
    rewarded,
    segments,
    soft_labels,
)
from counterplay.models.history import Seen
from counterplay.types import NO_EVENT, View
from counterplay.views import select

LATEST = 2**14
"""Events of which a quantile is taken, at most."""


class Paid(NamedTuple):
    """What the latest events paid, the last of them last; the same on every core."""

    rewards: Float[Array, "K S"]
    number: Int[Array, " K"]
    """Of them that there are: those at the end."""

    @property
    def there(self) -> Bool[Array, "K S"]:
        size = self.rewards.shape[1]
        return jnp.arange(size)[None] >= size - self.number[:, None]


def paid_at_first(config: Any, members: int) -> Paid | None:
    """Of no event yet; None where no quantile is asked for."""
    if config.goal_quantile is None:
        return None
    return Paid(jnp.zeros((members, LATEST)), jnp.zeros(members, jnp.int32))


def noted(config: Any, study: Study, paid: Paid | None, axis: str | None = None) -> Paid | None:
    """``paid`` with what the events of studies [K, P, T] paid, of those of all cores that learn
    together, whose name is ``axis``; in the order of play."""
    if paid is None:
        return None
    counts, reward = events_of(config, study) != NO_EVENT, pay_of(config, study)

    def in_order(x: Array) -> Array:
        x = jnp.moveaxis(x, 2, 1)  # [K, T, P, M]
        x = lax.all_gather(x, axis, axis=2, tiled=True) if axis else x
        return x.reshape(len(x), -1)

    counts = in_order(counts)
    there = jnp.concatenate([paid.there, counts], 1)
    every = jnp.concatenate([paid.rewards, in_order(reward)], 1)
    every = jnp.where(there, every, 0.0)
    size = paid.rewards.shape[1]
    latest = jnp.argsort(there, axis=1, stable=True)[:, -size:]  # those that are there come last
    number = jnp.minimum(paid.number + counts.sum(1, dtype=jnp.int32), size)
    return Paid(jnp.take_along_axis(every, latest, axis=1), number)


def prepared(config: Any, study: Study, paid: Paid | None = None) -> Study:
    """Studies [K, P, T] with ``label`` and ``segment``, as ``config.goals`` asks for them, and
    ``gone`` where goals vanish.

    ``paid`` are the events that a quantile is of, these among them (``noted``); those of the
    studies alone where it is not given.
    """
    event = events_of(config, study)
    if config.bounded:
        event = paying(config, study, event, paid)
    study = study._replace(event=event)
    each = jax.vmap(jax.vmap(partial(_labelled, config)))
    label, segment = each(study, pay_of(config, study))
    study = study._replace(label=label, segment=segment)
    return study._replace(gone=jax.vmap(jax.vmap(vanished))(study)) if config.vanish else study


def events_of(config: Any, study: Study) -> Int[Array, "K P T M"]:
    """What may be goals of the others: events of the game, or moves that were seen."""
    return study.moves if config.goals == "rewards" else study.event


def _labelled(
    config: Any, study: Study, pay: Float[Array, "T M"]
) -> tuple[Int[Array, "T M"], Int[Array, "T M"]]:
    there, over = study.there, ~study.goes_on
    if config.goals in ("events", "rewards"):
        label = hindsight(study.event, there, over)
        return label, segments(study.event, there, over)
    if config.goals == "extremum":
        best: Any = jax.vmap(partial(best_within, horizon=config.goal_horizon), 1, 1)
        return best(study.event, pay, there, over), segments(study.event, there, over)
    if config.goals == "declared":
        return study.goal, segments(study.event, there, over)
    if config.goals == "codes":
        over |= ((study.time + 1) % config.window == 0)[:, None]
    nothing = jnp.full_like(study.event, NO_EVENT)
    return nothing, segments(nothing, there, over)


def pay_of(config: Any, study: Study) -> Float[Array, "K P T M"]:
    """What a slot paid, by ``config.reward_of``: the other or me."""
    if config.reward_of == "mine":
        return jnp.broadcast_to(study.reward[..., None], study.event.shape)
    return study.rewards


def paying(
    config: Any, study: Study, event: Int[Array, "K P T M"], paid: Paid | None = None
) -> Int[Array, "K P T M"]:
    """Of the events those whose slot paid enough: an amount, or a quantile of what events pay."""
    reward = pay_of(config, study)
    if config.goal_reward is not None:
        return rewarded(event, reward, config.goal_reward)
    found: Any = paid or noted(config, study, paid_at_first(config, len(event)))
    least = jax.vmap(lambda x, there: quantile_of(x, there, config.goal_quantile))
    return jax.vmap(rewarded)(event, reward, least(found.rewards, found.there))


def vanished(study: Study) -> Bool[Array, "T G"]:
    """Goals that were completed before each slot of one place, in the same episode: what
    ``beliefs.heard`` holds at play, from what was held before slot 0."""
    held = study.memory[1].gone
    goals = jnp.arange(len(held))[None, None]
    done = (study.seen.event[..., None] == goals).any(1) & study.acting[:, None]

    def slot(gone, shown):
        done, first = shown
        gone = (gone | done) & ~first  # a first slot shows events of another episode
        return gone, gone

    return lax.scan(slot, held, (done, study.time == 0))[1]


def types_of(
    ids: tuple[int, ...], opponent: Int[Array, "T M"], types: int
) -> tuple[Float[Array, "T M Y"], Bool[Array, "T M"]]:
    """Chances of each type by who sits there, and whether it is known. Whoever is none of ``ids``
    learns: that is the type after theirs, where there is one more, and else nobody knows."""
    if types == 1:
        return jnp.ones((*opponent.shape, 1)), jnp.ones(opponent.shape, bool)
    numbers = jnp.array([*ids, *[-1] * (types - len(ids))])
    hot = opponent[..., None] == numbers[None, None]
    known = hot.any(-1)
    if types > len(ids):
        hot = hot.at[..., len(ids)].set(~known)
        known = jnp.ones_like(known)
    return jnp.where(known[..., None], hot, 1 / types).astype(jnp.float32), known


def met_together(
    logits: Float[Array, " H"],
    study: Study,
    kind: Float[Array, "T M Y"],
    known: Bool[Array, "T M"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy in nats of who sits together, and of how many matches it is the sum.

    Of the matches whose first slot the study holds and in which the type of everybody is known.
    ``logits`` are of the hypotheses in the order of ``hypotheses.assignments``.
    """
    true = jnp.ones((len(kind), 1))
    for j in range(kind.shape[1]):
        true = (true[:, :, None] * kind[:, j][:, None]).reshape(len(kind), -1)
    counts = study.contact & study.acting & known.all(1)
    log_p = jax.nn.log_softmax(logits)[None]
    return masked_sum(-(true * log_p).sum(1), counts), counts.sum().astype(jnp.float32)


def types_found(
    study: Study, before: Float[Array, "M Y"], reading: Reading, log_pi: Float[Array, "T M Y G"]
) -> Float[Array, "T M Y"]:
    """Chances of each type by all its moves of a match that the stretch holds; no labels.

    ``before`` is the log belief with which the stretch began, if it began inside a match;
    ``log_pi`` is that of the moves made, 0 where none counts. The E
    step of a mixture (Dempster, Laird & Rubin, 1977).
    """
    counts = (log_pi != 0).any((2, 3))
    each = jax.nn.logsumexp(reading.goals + log_pi, axis=-1)
    each = jnp.where(counts[..., None], each, 0.0)
    match = jnp.cumsum(study.contact)
    same = (match[:, None] == match[None]).astype(jnp.float32)
    prior = jnp.where((match == 0)[:, None, None], before[None], 0.0)
    return lax.stop_gradient(jax.nn.softmax(prior + jnp.einsum("st,tmy->smy", same, each)))


def goals_of(
    study: Study, log_pi: Float[Array, "T M G"], log_goal: Float[Array, "T M G"]
) -> Float[Array, "T M G"]:
    """Chances of each goal: the one that was completed next, or what a segment makes likely among
    those that are not ``gone``."""
    if log_pi.shape[-1] == 1:
        return jnp.ones(log_pi.shape)
    weigh: Any = jax.vmap(soft_labels, 1, 1)
    if study.gone is None:
        return weigh(study.label, study.segment, log_goal, log_pi, study.there)
    log_goal = jnp.where(study.gone[:, None], -jnp.inf, log_goal)
    q = weigh(study.label, study.segment, log_goal, log_pi, study.there)
    left = jnp.broadcast_to(~study.gone[:, None], q.shape)
    left |= ~left.any(-1, keepdims=True)
    # a segment has one q, and what it was after may be gone before it ends
    of_left = jnp.exp(masked_log_softmax(jnp.maximum(jnp.log(q), LEAST_LOG), left))
    soft = study.there & (study.label == NO_EVENT)
    return jnp.where(soft[..., None], of_left, q)


def as_shown(study: Study) -> View:
    """What beliefs go by in every slot of one place, leaves [T, ...]."""

    def one(seen: Seen, time: Array) -> View:
        mine, nothing = jnp.zeros_like(seen.legal[:1]), jnp.zeros(0)  # are believed by nobody
        return View(
            obs=nothing, legal=mine[0], alive=seen.alive, moved=seen.moved.astype(jnp.int32),
            public_legal=jnp.concatenate([mine, seen.legal]), reward=seen.reward,
            event=seen.event.astype(jnp.int32), time=time, first=seen.first, told=nothing,
        )  # fmt: skip

    return jax.vmap(one)(study.seen, study.time)


def begun(study: Study, rates: Rates) -> Held:
    """What is held of the others once the last move before a stretch was seen, which is in the
    first slot of it that I play; where that begins a match it means nothing."""
    at = jnp.argmax(study.acting)
    return heard(study.memory[1], jax.tree.map(lambda x: x[at], as_shown(study)), rates)


def followed(
    temper: Float[Array, ""], rates: Rates, fresh: Held, study: Study, reading: Reading
) -> tuple[Held, Float[Array, "T M Y"]]:
    """What is held in the end, and the log belief over types in every slot, were each move counted
    ``temper`` times: by the rules by which beliefs go on at play, from what was held before the
    stretch, and from ``fresh`` where a match begins."""

    def slot(held: Held, now: Any) -> tuple[Held, Array]:
        contact, acting, view, reading = now
        held = select(contact, fresh, held)
        after = looked(heard(held, view, rates, temper), view, reading, rates)
        held = select(acting, after, held)
        return held, jax.nn.logsumexp(held.log_belief, axis=2)

    slots = study.contact, study.acting, as_shown(study), reading
    return lax.scan(slot, study.memory[1], slots)


def tempered(
    temper: Float[Array, ""],
    rates: Rates,
    fresh: Held,
    study: Study,
    reading: Reading,
    kind: Float[Array, "T M Y"],
    known: Bool[Array, "T M"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy in nats of true types under the beliefs of all slots (``followed``), and of how
    many it is the sum. Nothing but ``temper`` learns of it (temperature scaling: Guo et al., 2017).
    """
    fresh, study, reading = lax.stop_gradient((fresh, study, reading))
    log_b = followed(temper, rates, fresh, study, reading)[1]
    counts = study.acting[:, None] & study.there & known
    return masked_sum(-(kind * log_b).sum(-1), counts), counts.sum().astype(jnp.float32)
