"""What each other is and wants, for readers to learn from: labels, and what stands in for them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from counterplay.algos.study import Study
from counterplay.maths import masked_sum
from counterplay.models.actions import Reading
from counterplay.models.events import hindsight, quantile_of, rewarded, segments, soft_labels
from counterplay.types import NO_EVENT


def prepared(config: Any, study: Study) -> Study:
    """Studies [K, P, T] with ``label`` and ``segment``, as ``config.goals`` asks for them."""
    bounds = config.goal_reward, config.goal_quantile
    if config.goals == "events" and bounds != (None, None):
        study = study._replace(event=paying(config, study))
    each = jax.vmap(jax.vmap(lambda s: _labelled(config, s)))
    label, segment = each(study)
    return study._replace(label=label, segment=segment)


def _labelled(config: Any, study: Study) -> tuple[Int[Array, "T M"], Int[Array, "T M"]]:
    there, over = study.there, ~study.goes_on
    if config.goals == "events":
        label = hindsight(study.event, there, over)
        return label, segments(study.event, there, over)
    if config.goals == "declared":
        return study.goal, segments(study.event, there, over)
    if config.goals == "codes":
        over |= ((study.time + 1) % config.window == 0)[:, None]
    nothing = jnp.full_like(study.event, NO_EVENT)
    return nothing, segments(nothing, there, over)


def paying(config: Any, study: Study) -> Int[Array, "K P T M"]:
    """Of the events those whose slot paid enough: an amount, or a quantile of what events pay."""
    if config.reward_of == "mine":
        reward = jnp.broadcast_to(study.reward[..., None], study.event.shape)
    else:
        reward = study.rewards
    threshold: Any = config.goal_reward
    if threshold is None:
        threshold = quantile_of(reward, study.event != NO_EVENT, config.goal_quantile)
    return rewarded(study.event, reward, threshold)


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

    ``before`` is the log belief with which the stretch began, if it began inside a match, from
    before the last joint move; ``log_pi`` is that of the moves made, 0 where none counts. The E
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
    """Chances of each goal: the one that was completed next, or what a segment makes likely."""
    if log_pi.shape[-1] == 1:
        return jnp.ones(log_pi.shape)
    weigh: Any = jax.vmap(soft_labels, 1, 1)
    return weigh(study.label, study.segment, log_goal, log_pi, study.there)


def tempered(
    temper: Float[Array, ""],
    mix: float,
    before: Float[Array, "M Y"],
    study: Study,
    reading: Reading,
    log_pi: Float[Array, "T M Y G"],
    kind: Float[Array, "T M Y"],
    known: Bool[Array, "T M"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy in nats of true types under the beliefs that follow from the moves of a match
    so far, each counted ``temper`` times, and of how many it is the sum. Nothing else learns of it.

    ``before`` are the chances of each type with which the stretch began, ``log_pi`` those of the
    moves made, 0 where none counts (temperature scaling: Guo et al., 2017).
    """
    counts = (log_pi != 0).any((2, 3))
    even = 1 / jnp.maximum(study.seen.legal.sum(-1), 1)
    each = jnp.exp(jax.nn.logsumexp(reading.goals + log_pi, axis=-1))
    each = jnp.log((1 - mix) * each + mix * even[..., None])
    each = lax.stop_gradient(jnp.where(counts[..., None], each, 0.0))
    match = jnp.cumsum(study.contact)
    earlier = (match[:, None] == match[None]) & jnp.tri(len(match), dtype=bool)
    prior = jnp.where((match == 0)[:, None, None], jnp.log(before + 1e-9)[None], 0.0)
    evidence = jnp.einsum("st,tmy->smy", earlier.astype(jnp.float32), each)
    log_b = jax.nn.log_softmax(lax.stop_gradient(prior) + temper * evidence)
    counts &= known
    return masked_sum(-(kind * log_b).sum(-1), counts), counts.sum().astype(jnp.float32)
