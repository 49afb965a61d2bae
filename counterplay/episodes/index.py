"""Which episodes of a ring have ended and are still whole, in the order of their ends."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int

NEVER = -1
"""In place of a slot: this agent stayed to the end."""


class Index(eqx.Module):
    """A ring of I entries; those numbered from ``tail`` to ``head - 1`` are live."""

    lane: Int[Array, " I"]
    start: Int[Array, " I"]
    """Slot of the first move, counted from the very first that was written."""
    length: Int[Array, " I"]
    """Slots, that which only shows where a truncated episode stopped included."""
    left_at: Int[Array, "I N"]
    """Slots since the start after which an agent was gone, or NEVER."""
    constants: dict[str, Array]
    head: Int[Array, ""]
    tail: Int[Array, ""]

    @property
    def size(self) -> int:
        return self.lane.shape[0]

    def entry(self, rank: Int[Array, " n"]) -> Int[Array, " n"]:
        """Where the live episode of this age stands, 0 being the oldest."""
        return (self.tail + rank) % self.size

    def rank(self) -> Int[Array, " I"]:
        """Age rank of every entry, the oldest live one 0; beyond the count where it is not live."""
        return (jnp.arange(self.size) - self.tail) % self.size

    def live(self) -> Bool[Array, " I"]:
        return self.rank() < self.head - self.tail


class Ended(NamedTuple):
    """Episodes that ended in a chunk of K slots, [L, K]: true where one did, and what it was."""

    here: Bool[Array, "L K"]
    start: Int[Array, "L K"]
    length: Int[Array, "L K"]
    left_at: Int[Array, "L K N"]


class Open(eqx.Module):
    """The episodes that go on, one a lane."""

    start: Int[Array, " L"]
    """Below 0 where the beginning is not in the store."""
    left: Int[Array, "L N"]
    """The slot after which an agent was gone, NEVER where it was there since; of an earlier episode
    where it is before ``start``."""


def follow(
    goes: Open,
    written: Int[Array, ""],
    filled: Bool[Array, "L K"],
    ends: Bool[Array, "L K"],
    left: Bool[Array, "L K N"],
    alive: Bool[Array, "L K N"],
) -> tuple[Open, Ended, Int[Array, "L K"]]:
    """Where episodes end in a chunk, and for every slot how many its episode had before it.

    A slot that is not filled belongs to no episode, and cuts off the one before it. An agent that
    is ``alive`` after it left has come back.
    """
    slot = written + jnp.arange(ends.shape[1], dtype=jnp.int32)[None]
    # the next episode's first slot; that of one whose beginning was not kept is below 0
    after = jnp.where(ends | ~filled, slot + 1, jnp.iinfo(jnp.int32).min)
    before = jnp.concatenate([goes.start[:, None], after[:, :-1]], 1)
    start = lax.cummax(before, axis=1)
    twice = 2 * jnp.arange(ends.shape[1], dtype=jnp.int32)[None, :, None]
    last = lax.cummax(jnp.where(left, twice + 1, jnp.where(alive, twice, -1)), axis=1)
    here = jnp.where(last % 2 == 1, written + last // 2, NEVER)
    gone = jnp.where(last < 0, goes.left[:, None], here)
    in_this = gone >= start[:, :, None]
    ended = Ended(
        here=ends & filled,
        start=start,
        length=slot - start + 1,
        left_at=jnp.where(in_this, gone - start[:, :, None], NEVER),
    )
    then = Open(jnp.maximum(start[:, -1], after[:, -1]), gone[:, -1])
    return then, ended, slot - start


def add(index: Index, ended: Ended, constants: Mapping[str, Array], guard: Int[Array, ""]) -> Index:
    """Enters the episodes that ended in a chunk and drops those that ended before slot ``guard``.

    Episodes stand in the order of their ends, so that these are the first of them.
    """
    lanes, slots = ended.here.shape
    flat = lambda x: jnp.swapaxes(x, 0, 1).reshape(lanes * slots, *x.shape[2:])
    here = flat(ended.here)
    before = jnp.cumsum(here, dtype=jnp.int32) - here
    count = here.sum(dtype=jnp.int32)
    kept = jnp.minimum(count, index.size)
    number = before - (count - kept)  # where all cannot stand, the later ones do
    to = jnp.where(here & (number >= 0), (index.head + number) % index.size, index.size)
    put = lambda old, new: old.at[to].set(
        flat(new).astype(old.dtype), mode="drop", unique_indices=True
    )
    head = index.head + kept
    lane_of = jnp.broadcast_to(jnp.arange(lanes, dtype=jnp.int32)[:, None], ended.here.shape)
    after = Index(
        lane=put(index.lane, lane_of),
        start=put(index.start, ended.start),
        length=put(index.length, ended.length),
        left_at=put(index.left_at, ended.left_at),
        constants={name: put(x, constants[name]) for name, x in index.constants.items()},
        head=head,
        tail=jnp.maximum(index.tail, head - index.size),
    )
    gone = after.live() & (after.start + after.length < guard)
    return eqx.tree_at(lambda i: i.tail, after, after.tail + gone.sum(dtype=jnp.int32))
