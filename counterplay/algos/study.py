"""What readers of the others learn from: stretches of play as one place saw them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from counterplay.maths import chosen, masked_sum
from counterplay.models.history import Seen, from_record
from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.types import NO_EVENT, NO_MOVE, Memory
from counterplay.views import select

DOUBT = ("others_random", "others_unknown")
"""In nats, of the others' next moves: their own randomness, and what is not known of them."""


class Study(NamedTuple):
    """A chunk of slots of one place, arrays [T, ...]; others in the order of the view."""

    obs: Array
    """What was shown, compact."""
    seen: Seen
    acting: Bool[Array, "*b T"]
    contact: Bool[Array, "*b T"]
    """Slots in which a match begins."""
    moves: Int[Array, "*b T M"]
    """What the others did in this slot, as far as it was seen; else, and where I do not act
    myself, NO_MOVE."""
    there: Bool[Array, "*b T M"]
    """Who of the others acts in this slot."""
    opponent: Int[Array, "*b T M"]
    event: Int[Array, "*b T M"]
    """Goals that the others completed by these moves."""
    goal: Int[Array, "*b T M"]
    """What they declare to be after: for studies of what such a label would be worth."""
    reward: Array
    """Mine, [T]."""
    rewards: Array
    """Theirs, [T, M]: known while training only."""
    time: Int[Array, "*b T"]
    goes_on: Bool[Array, "*b T M"]
    """Who of the others plays on after this slot."""
    stays: Bool[Array, "*b T"]
    """I play on after this slot."""
    theirs: Array
    """What the others were shown, compact [T, M, D]: known while training only."""
    memory: Memory
    """The reader's, before slot 0."""
    record: dict[str, Array]
    label: Int[Array, "*b T M"] | None = None
    """The goal that each is after as far as it is known, NO_EVENT where not; an algorithm's."""
    segment: Int[Array, "*b T M"] | None = None
    """Numbers of the stretches of play in which it stays the same."""
    gone: Bool[Array, "*b T G"] | None = None
    """Goals that were completed earlier in the episode, where each can be completed once."""


def of_others(seating: Seating, index: int, x: Array) -> Array:
    """[L, T, N, ...] -> [K, P, T, M, ...], the others as each place of a kind counts them."""
    turned = [jnp.roll(x, -i, axis=2)[:, :, 1:] for i in range(seating.num_seats)]
    return seating.take(jnp.stack(turned, 1), index)


def studies(seating: Seating, index: int, chunk: Chunk) -> Study:
    """Of all places of one kind of policy, leaves [K, P, T, ...].

    What the slots of an absent player hold is made zero: not even a NaN there can spread.
    """
    slots, record = chunk.slots, chunk.records[index]

    def mine(name: str) -> Array:
        x = slots[name]
        if x.ndim == 2:
            x = jnp.broadcast_to(x[:, :, None], (*x.shape, seating.num_seats))
        return seating.take(jnp.moveaxis(x, 2, 1), index)

    theirs: Any = lambda name: of_others(seating, index, slots[name])
    acting, there = mine("alive"), theirs("alive")
    ids = jnp.arange(seating.num_seats)
    seen = of_others(seating, index, jnp.broadcast_to(ids, (*slots["alive"].shape,)))
    visible = jnp.take_along_axis(mine("visible"), seen, axis=-1)
    counts = acting[..., None] & there & visible
    zero = lambda x, mask: select(mask, x, jax.tree.map(jnp.zeros_like, x))
    return Study(
        obs=zero(mine("obs"), acting),
        seen=zero(from_record(record), acting),
        acting=acting,
        contact=mine("contact"),
        moves=jnp.where(counts, theirs("actions"), NO_MOVE),
        there=there,
        opponent=theirs("opponent_id"),
        event=jnp.where(there, theirs("event"), NO_EVENT),
        goal=jnp.where(there, theirs("goal"), NO_EVENT),
        reward=jnp.where(acting, mine("reward"), 0.0),
        rewards=jnp.where(there, theirs("reward"), 0.0),
        time=mine("time"),
        goes_on=theirs("continues"),
        stays=mine("continues"),
        theirs=zero(theirs("obs"), there),
        memory=chunk.memories[index][1],
        record=record,
    )


def paid_more(seating: Seating, index: int, chunk: Chunk, more: Float[Array, "K P T"]) -> Chunk:
    """The chunk with something added to the reward of one kind of learner."""
    parts = [
        more if i == index else jnp.zeros((*p.shape, more.shape[2]))
        for i, p in enumerate(seating.places)
    ]
    added = jnp.moveaxis(seating.put(parts), 1, 2)  # [L, N, T] -> [L, T, N]
    reward = jnp.where(chunk.slots["alive"], chunk.slots["reward"] + added, 0.0)
    return chunk._replace(slots=chunk.slots | {"reward": reward})


def judged(
    study: Study, record: dict[str, Array], total: Callable[[Array], Array] = lambda x: x
) -> dict[str, Array]:
    """How well the moves were predicted while playing, before anything was learnt from them.
    ``total`` sums over devices."""
    if "predicted" not in record:
        return {}
    log_p, counts = record["predicted"], study.moves != NO_MOVE
    right = jnp.argmax(log_p, -1) == study.moves
    nll = -jnp.maximum(chosen(log_p, study.moves), -50.0)
    number = jnp.maximum(total(counts.sum()), 1)
    mean = lambda x: total(masked_sum(x, counts)) / number
    told = {"others_nll": mean(nll), "others_top1": mean(right.astype(jnp.float32))}
    if "doubt" in record:
        told |= {name: mean(record["doubt"][..., i]) for i, name in enumerate(DOUBT)}
    return told
