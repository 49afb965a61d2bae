"""Recurrent nets in PPO: unrolling repeats acting, chunks join, and matches begin afresh."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from recorded import SEATS, SLOTS, Played, played

from counterplay.algos.onpolicy import unroll
from counterplay.maths import chosen, masked_log_softmax
from counterplay.rollout import Chunk


def replay(here: Played, chunk: Chunk) -> tuple[Any, Any, Any]:
    """(alive, log_pi, value) of a chunk's decisions, [K, P, T], from its first memory on."""
    rows = here.rows(chunk)
    each = jax.vmap(jax.vmap(unroll, (None, 0, 0, 0, 0)), (0, 0, 0, 0, 0))
    logits, value = jax.jit(each)(here.net, rows.obs, rows.contact, rows.alive, rows.memory)
    log_pi = chosen(masked_log_softmax(logits, rows.legal), rows.action)
    return np.asarray(rows.alive), np.asarray(log_pi), np.asarray(value)


def test_unrolling_a_chunk_repeats_what_was_thought_when_acting():
    """Across first contacts, later episodes of a match, closing slots and absences."""
    here = played("own", over=False, gru=8)
    contact = here.chunk.slots["contact"]
    assert contact[:, 1:].any() and not contact[:, 0].all()
    assert (here.chunk.memories[0] != 0).any(), "the chunk begins inside a match"
    alive, log_pi, value = replay(here, here.chunk)
    record = jax.tree.map(np.asarray, here.chunk.records[0])
    np.testing.assert_allclose(log_pi[alive], record["log_pi"][alive], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value[alive], record["value"][alive], rtol=1e-4, atol=1e-5)


def test_chunk_by_chunk_is_as_whole():
    here = played("own", over=False, gru=8)
    join = lambda axis: lambda a, b: jnp.concatenate([a, b], axis)
    slots = jax.tree.map(join(1), here.before.slots, here.chunk.slots)
    records = jax.tree.map(join(2), here.before.records, here.chunk.records)
    whole = here.chunk._replace(slots=slots, records=records, memories=here.before.memories)
    _, log_pi, value = replay(here, whole)
    alive, *parts = replay(here, here.chunk)
    for joined, part in zip((log_pi, value), parts, strict=True):
        np.testing.assert_allclose(joined[:, :, SLOTS:][alive], part[alive], rtol=1e-4, atol=1e-6)


def test_what_was_seen_before_first_contact_is_forgotten():
    here = played("own", over=False, gru=8)
    contact = np.asarray(here.seating.take(jnp.stack([here.chunk.slots["contact"]] * SEATS, 1), 0))
    before = np.cumsum(contact, axis=2) == 0
    obs = here.chunk.slots["obs"]
    changed = here.chunk._replace(slots=here.chunk.slots | {"obs": obs.at[:, 0].add(1.0)})
    alive, _, value = replay(here, here.chunk)
    other = replay(here, changed)[2]
    remembers = alive & before & alive[:, :, :1]
    assert remembers[:, :, 1:].any() and (alive & ~before)[:, :, 1:].any()
    assert (value != other)[remembers].mean() > 0.9, "memory lasts beyond an episode"
    forgets = alive & ~before
    forgets[:, :, 0] = False
    assert np.array_equal(value[forgets], other[forgets])
