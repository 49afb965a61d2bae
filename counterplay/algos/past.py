"""What was played lately, kept in one replay, so that readers and models of the game learn from it
again.

Slots are kept as a rollout left them, of all players at once, and read back a chunk a lane: each
lane shows one of the chunks that it was in. What learns from them is given what it is given of the
latest chunk, with the memories that were held when it was played.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from counterplay.algos.study import Study, studies
from counterplay.episodes import Field, Replay, Scheme, default_scheme, from_rollout, memory, ring
from counterplay.episodes.batch import Where
from counterplay.episodes.default import AGENTS
from counterplay.models.history import as_record
from counterplay.models.windows import window_of
from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.types import Env

FIELDS = (
    "obs", "actions", "avail_actions", "reward", "terminated", "closing", "continues", "alive",
    "event", "goal",
)  # fmt: skip

BEFORE = 2
"""Slots before the first of a chunk that tell what was seen there: a closing slot moves nobody."""


class Past(NamedTuple):
    """The latest chunks of play."""

    replay: Replay
    starts: tuple[Any, ...]
    """Memories before slot 0 of each, leaves [C, K, P, ...], one entry a kind of learner."""
    chunks: Int[Array, ""]
    """Chunks written, ever. A replay of which a checkpoint kept the newest slots counts anew."""


class Again(NamedTuple):
    """A chunk of earlier play, as one kind of learner learns from it."""

    chunk: Chunk
    study: Study
    """Leaves [K, P, T, ...]."""


def scheme_of(env: Env) -> Scheme:
    """What models of the others and of the game read, and no more."""
    seats = env.num_seats
    scheme = default_scheme(env).only(*FIELDS).with_field("contact", Field((), np.bool_))
    scheme = scheme.with_field("opponent_id", Field((), np.int16, AGENTS))
    return scheme.with_field("visible", Field((seats,), np.bool_, AGENTS))


def past_of(
    slots: int, chunk: int, env: Env, seating: Seating, agents: Sequence[Any], seeds: int = 1
) -> Past | None:
    """Room for so many slots of all lanes, and at least for an episode of each; None for none.

    ``agents`` are the policies that learn, leaves [K, ...], in the order of their kinds. ValueError
    where ``seeds`` of these do not fit into memory.
    """
    if not slots:
        return None
    lanes = seating.lanes
    least = env.horizon + 2 * chunk + BEFORE  # the oldest slots are never read: see ``latest``
    chunks = -(-max(-(-slots // lanes), least) // chunk)
    sizes = {"lanes": lanes, "slots": chunks * chunk, "chunk": chunk, "horizon": env.horizon}
    replay = Replay.empty(scheme_of(env), **sizes, episodes=1)
    places = [p.shape[1] for k, p in zip(seating.kinds, seating.places, strict=True) if k.learner]

    def begun(agent: Any, number: int) -> Any:
        start = jax.vmap(lambda one: one.begin(jr.key(0), None))(agent)
        room = lambda x: jnp.broadcast_to(x[None, :, None], (chunks, len(x), number, *x.shape[1:]))
        return jax.tree.map(lambda x: jnp.array(room(x)), start)

    starts = lambda: tuple(map(begun, agents, places))
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(starts)))
    size = seeds * (size + replay.nbytes())
    memory.check(size, f"{slots:,} slots, with what was held of the others, {memory.told(size)}")
    return Past(replay, starts(), jnp.int32(0))


def written(past: Past, seating: Seating, chunk: Chunk) -> Past:
    """The past with one chunk more, over the oldest."""
    at = past.chunks % (past.replay.capacity // past.replay.chunk)
    mine = [m for m, kind in zip(chunk.memories, seating.kinds, strict=True) if kind.learner]
    starts = jax.tree.map(lambda kept, new: kept.at[at].set(new), past.starts, tuple(mine))
    replay = past.replay.write(from_rollout(past.replay.scheme, chunk.slots))
    return Past(replay, starts, past.chunks + 1)


def latest(past: Past) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Numbers of the chunks that can be read, the first of them and one beyond the last: not the
    oldest where what was before has been written over, or was not kept, unless it is the only one.
    """
    replay = past.replay
    over, spare = replay.written // replay.chunk, -(-BEFORE // replay.chunk)
    lost = jnp.where(past.chunks > over, spare, 0)
    first = jnp.maximum(over - replay.capacity // replay.chunk + spare, lost)
    return jnp.clip(first, 0, jnp.maximum(over - 1, 0)), over


def again(
    past: Past, env: Env, seating: Seating, index: int, chunk: Chunk, key: PRNGKeyArray
) -> Again:
    """Of each lane one of the chunks that are kept, all equally likely, for one kind of learner.

    ``chunk`` is the latest one: the same form, and what comes after it.
    """
    replay, slots = past.replay, chunk.slots
    first, beyond = latest(past)
    drawn = jr.randint(key, (replay.lanes,), first, beyond)
    where = Where(jnp.arange(replay.lanes), drawn * replay.chunk - BEFORE)
    there = where.slot[:, None] + jnp.arange(replay.chunk + BEFORE)[None] >= 0
    found = ring.gather(replay, where, replay.chunk + BEFORE, there)
    found = {name: x.astype(slots[name].dtype) for name, x in found.items()}
    places = jnp.asarray(seating.places[index])
    lane, seat = places // seating.num_seats, places % seating.num_seats
    cut = lambda lane, seat: window_of(env, {n: x[lane] for n, x in found.items()}, seat).seen
    seen: Any = jax.vmap(jax.vmap(cut))(lane, seat)
    record = chunk.records[index]
    record = {n: x[:, :, BEFORE:].astype(record[n].dtype) for n, x in as_record(seen).items()}
    room, number = replay.capacity // replay.chunk, _number(seating, index)
    at = (drawn[lane] + past.chunks - beyond) % room, *np.indices(places.shape)
    start = jax.tree.map(lambda x: x[at], past.starts[number])
    put = lambda whole, new: tuple(new if i == index else x for i, x in enumerate(whole))
    slots = {name: x[:, BEFORE:] for name, x in found.items()}
    parts = put(chunk.memories, start), put(chunk.records, record)
    old = chunk._replace(slots=slots, memories=parts[0], records=parts[1])
    return Again(old, studies(seating, index, old)._replace(record={}))


def _number(seating: Seating, index: int) -> int:
    """Of a kind among those that learn."""
    return sum(kind.learner for kind in seating.kinds[:index])


def joined(fresh: Any, old: Any) -> Any:
    """Leaves [K, P, ...] of both, one after the other."""
    return jax.tree.map(lambda *x: jnp.concatenate(x, 1), fresh, old)
