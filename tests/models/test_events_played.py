"""Hindsight labels of stag hunts that were played, in the stream and in a store."""

from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

from counterplay.envs.stag_hunt import CAUGHT_HARE, CAUGHT_STAG, HUNT_HARE, HUNT_STAG, StagHunt
from counterplay.episodes import EpisodeBatch, Replay, default_scheme, from_rollout
from counterplay.maths import chosen
from counterplay.models.events import censored, hindsight, presence, relabelled, segments
from counterplay.models.events import soft_labels as soft
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.stag_hunt import adaptive, nearest_hare, nearest_stag, stay
from counterplay.rollout import collect, open_lanes
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import NO_EVENT, Act, Memory, View

LANES, SLOTS, CHUNKS, CAPACITY = 6, 20, 8, 60
GAME = StagHunt()


@cache
def hunts() -> tuple[dict[str, np.ndarray], ...]:
    """Slots [L, T, ...] of 4x4 stag hunts, in chunks; after the second all lanes change hands."""
    makers = nearest_stag, nearest_hare, adaptive
    policy = Mixture(tuple(make(GAME, 0.2) for make in makers))
    kind = Kind("hunters", policy=policy)
    seating = Roster((kind,), ((Chair(0, 0),) * GAME.num_seats,)).seating(LANES)
    play = jax.jit(partial(collect, GAME, seating, (policy,), slots=SLOTS, match=3))
    lanes, chunks = open_lanes(GAME, seating, (policy,), jr.key(0)), []
    for i in range(CHUNKS):
        lanes, chunk = play(lanes, jr.key(i + 1), cut=jnp.array(i == 1))
        chunks.append({name: np.asarray(x) for name, x in chunk.slots.items()})
    return tuple(chunks)


@cache
def stream() -> dict[str, np.ndarray]:
    """All chunks in one: [L, CHUNKS * SLOTS, ...]."""
    return {name: np.concatenate([c[name] for c in hunts()], 1) for name in hunts()[0]}


@cache
def truth() -> tuple[np.ndarray, np.ndarray]:
    """The prey that each acting seat goes on to catch in its episode, by the hunt after which it
    leaves, and whether the stream stops before this can be told."""
    slots = stream()
    caught = np.full(slots["alive"].shape, NO_EVENT)
    unknown = np.zeros(slots["alive"].shape, bool)
    for lane, t, seat in zip(*np.nonzero(slots["alive"]), strict=True):
        for here in range(t, slots["time"].shape[1]):
            if slots["left"][lane, here, seat]:
                hunt = int(slots["actions"][lane, here, seat])
                caught[lane, t, seat] = {HUNT_STAG: CAUGHT_STAG, HUNT_HARE: CAUGHT_HARE}[hunt]
                break
            if slots["terminated"][lane, here] or slots["truncated"][lane, here]:
                break
        else:
            unknown[lane, t, seat] = True
    return caught, unknown


def test_labels_of_played_hunts_are_the_prey_that_was_caught():
    slots = {name: jnp.asarray(x) for name, x in stream().items()}
    acting, over = presence(slots)
    caught, unknown = truth()
    label = jax.vmap(hindsight)(slots["event"], acting, over)
    assert np.array_equal(label, caught)
    why = jax.vmap(censored)(slots["event"], acting, over)
    assert np.array_equal(why.cut, unknown)
    assert np.array_equal(why.ended, np.asarray(acting) & (caught == NO_EVENT) & ~unknown)
    counts = [(caught == goal).sum() for goal in (CAUGHT_STAG, CAUGHT_HARE)]
    assert min(*counts, why.cut.sum(), why.ended.sum()) > 0, "all there is to tell apart"
    assert stream()["closing"].any() and stream()["truncated"].any()
    earned = np.where(stream()["left"], stream()["reward"], np.nan)  # a stag's share is 2.5 or more
    assert np.array_equal(earned[stream()["left"]] >= 2.5, caught[stream()["left"]] == CAUGHT_STAG)


def store(chunks: int) -> Replay:
    """A ring of CAPACITY slots a lane, after so many chunks."""
    scheme = default_scheme(GAME)
    sizes = {"lanes": LANES, "slots": CAPACITY, "chunk": SLOTS, "horizon": GAME.horizon}
    replay = Replay.empty(scheme, **sizes)
    for i in range(chunks):
        replay = written(replay, i)
    return replay


def written(replay: Replay, number: int) -> Replay:
    return replay.write(from_rollout(replay.scheme, hunts()[number]))


def expected(total: int, batch: EpisodeBatch) -> np.ndarray:
    """``label`` of every place of the ring after ``total`` slots, once a batch was relabelled."""
    ring = np.full((LANES, CAPACITY, GAME.num_seats), NO_EVENT)
    caught, _ = truth()
    for row, length in enumerate(np.asarray(batch.length)):
        lane, start = int(batch.where.lane[row]), int(batch.where.slot[row])
        for slot in range(start, start + int(length)):
            if slot >= total - CAPACITY:
                ring[lane, slot % CAPACITY] = caught[lane, slot]
    return ring


write_labels = jax.jit(relabelled)


def test_every_slot_of_a_filled_batch_gets_its_label():
    replay = store(4)
    batch = replay.sample(jr.key(0), n := int(replay.ended))
    assert n > 20 and batch.length.max() < batch.max_seq_length, "padding is there to be spared"
    replay = write_labels(replay, batch)
    assert np.array_equal(replay.slots["label"], expected(4 * SLOTS, batch))
    again = replay.sample(jr.key(1), n)
    event, label, alive = (np.asarray(again[name]) for name in ("event", "label", "alive"))
    for row in range(n):
        for seat in range(GAME.num_seats):
            at = np.flatnonzero(alive[row, :, seat] & (event[row, :, seat] != NO_EVENT))
            there = np.flatnonzero(alive[row, :, seat])
            wanted = event[row, at[0], seat] if len(at) else NO_EVENT
            assert (label[row, there, seat] == wanted).all(), "the whole segment, not one slot"


def test_slots_that_were_written_over_since_are_left_alone():
    replay = store(4)
    batch = replay.sample(jr.key(0), int(replay.ended))
    replay = write_labels(written(written(replay, 4), 5), batch)
    wanted = expected(6 * SLOTS, batch)
    assert np.array_equal(replay.slots["label"], wanted)
    fresh = np.arange(4 * SLOTS, 6 * SLOTS) % CAPACITY
    assert (replay.slots["label"][:, fresh] == NO_EVENT).all()
    assert (wanted != NO_EVENT).any(), "and some of the batch is still there"
    gone = write_labels(written(replay, 6), batch)
    assert (gone.slots["label"] == NO_EVENT).all()


def test_a_part_of_episodes_leaves_the_labels_that_it_cannot_tell():
    replay = store(4)
    batch = replay.sample(jr.key(0), int(replay.ended))
    replay = write_labels(replay, batch)
    whole = np.asarray(replay.slots["label"])
    batch = replay.sample(jr.key(0), int(replay.ended))
    part = batch[:, :2]
    assert (part.filled.all(1) & (batch.length > 2)).any()
    again = relabelled(replay, part)
    assert np.array_equal(again.slots["label"], whole)


def test_what_holds_no_events_of_all_seats_is_refused():
    replay = store(4)
    batch = replay.sample(jr.key(0), 2)
    with pytest.raises(ValueError, match=r"event should be \[B, T, N\], found \[2, 16\]; write"):
        relabelled(replay, batch.segments(0))
    names = "terminated", "alive", "label"
    other = eqx.tree_at(lambda b: b.data, batch, {name: batch[name] for name in names})
    with pytest.raises(ValueError, match="unknown field of the batch 'event'"):
        relabelled(replay, other)


class Watched(eqx.Module):
    """Plays one rule, and writes down how likely its move is under each of two."""

    plays: Rule
    other: Rule

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        act = self.plays.act(key, memory, view, greedy)
        each = jnp.stack([rule.log_probs((), view) for rule in (self.plays, self.other)])
        return act._replace(record={"moves": chosen(each, jnp.stack([act.action] * 2))})


@pytest.mark.parametrize("prior", [0.5, 0.05])
def test_a_lone_stag_hunter_is_seen_hunting_though_it_never_succeeds(prior):
    slots, moves = lone()
    acting, over = presence(slots)
    here = slots["event"], acting, over
    label, number = jax.vmap(hindsight)(*here), jax.vmap(segments)(*here)
    assert (label == NO_EVENT).all() and acting.all()
    ended, cut = jax.vmap(censored)(*here)
    assert ended.all() and not cut.any(), "two whole episodes a lane"
    weigh = jax.vmap(partial(soft, log_prior=jnp.log(jnp.array([prior, 1 - prior]))))
    hunter = label[:, :, 0], number[:, :, 0]
    q = weigh(*hunter, log_likelihood=moves, acting=acting[:, :, 0])
    assert (q[..., CAUGHT_STAG] > 0.99).all()
    evidence = np.asarray(moves, float).reshape(-1, GAME.horizon, 2).sum(1)
    weight = np.exp(evidence) * [prior, 1 - prior]
    wanted = np.repeat(weight / weight.sum(1, keepdims=True), GAME.horizon, axis=0)
    np.testing.assert_allclose(q.reshape(-1, 2), wanted, atol=1e-5)


@cache
def lone() -> tuple[dict, jax.Array]:
    """Two whole episodes a lane of a stag hunter beside one who never moves, and the likelihood
    of its moves [L, T, G]."""
    game = StagHunt(players=2)
    hunter = Watched(nearest_stag(game, 0.1), nearest_hare(game, 0.1))
    policies = hunter, stay(game)
    kinds = Kind("stag", policy=hunter), Kind("stay", policy=policies[1], first_id=1)
    seating = Roster(kinds, ((Chair(0, 0), Chair(1, 0)),)).seating(LANES)
    lanes = open_lanes(game, seating, policies, jr.key(0))
    play = jax.jit(partial(collect, game, seating, policies, slots=2 * game.horizon))
    _, chunk = play(lanes, jr.key(1))
    return chunk.slots, chunk.records[0]["moves"][0]
