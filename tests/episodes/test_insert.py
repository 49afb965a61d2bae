"""Whole episodes into the lanes of a store, and what is cut off there."""

import re

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import SCHEME, Stream
from test_files import batch_of, made
from test_replay import CHUNK, HORIZON, LANES, SPAN, filled_to

from counterplay.episodes import EpisodeBatch, Field, Replay, Scheme
from counterplay.episodes.insert import dealt, streamed
from counterplay.episodes.ring import at_entries


def store(lanes: int = LANES, slots: int = 200, episodes: int = 200) -> Replay:
    sizes = {"slots": slots, "chunk": CHUNK, "horizon": HORIZON, "episodes": episodes}
    return Replay.empty(SCHEME, lanes=lanes, **sizes)


def episodes_of(batch: EpisodeBatch) -> list[tuple]:
    """Every episode with all its numbers, in an order of their own."""
    found = []
    for row, length in enumerate(np.asarray(batch.length).tolist()):
        parts = [np.asarray(batch.data[n])[row, :length].tobytes() for n in sorted(batch.data)]
        parts += [np.asarray(batch.constants[n])[row].tobytes() for n in sorted(batch.constants)]
        found.append((length, np.asarray(batch.left_at)[row].tobytes(), *parts))
    return sorted(found)


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), max_size=60), st.integers(1, 7))
def test_the_longest_go_first_onto_the_shortest_lane(length, lanes):
    length = np.array(length, np.int32)
    lane, start = dealt(length, lanes)
    taken = np.zeros((lanes, int(length.sum())), int)
    for at, first, slots in zip(lane, start, length, strict=True):
        taken[at, first : first + slots] += 1
    assert taken.max(initial=0) <= 1
    each = np.bincount(lane, length, minlength=lanes) if len(length) else np.zeros(lanes)
    assert (taken.sum(1) == each).all(), "no lane has holes"
    assert np.ptp(each) <= length.max(initial=0), "no lane waits for long"


@pytest.mark.parametrize("lanes", [1, 3, 50])
def test_every_episode_can_be_read_again_exactly(lanes):
    batch = batch_of(Stream(3, 3, 60, HORIZON), SPAN)
    replay = store(lanes).extend(batch)
    assert int(replay.ended) == batch.batch_size
    assert int(replay.written) % CHUNK == 0
    assert episodes_of(replay.whole()) == episodes_of(batch)
    assert int(replay.overlong) == 0


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("chunks", [0, 1, 3, 6, 7, 20])
def test_all_whole_episodes_are_those_of_the_index(gaps, chunks):
    """And where there is no index worth the name, those of which every slot is there."""
    replay, stream = filled_to(chunks, seed=chunks, gaps=gaps)
    found = replay.whole()
    rows = at_entries(replay, replay.index.entry(jnp.arange(int(replay.ended))))
    assert found.length.tolist() == rows.length.tolist()
    assert episodes_of(found) == episodes_of(rows)
    scheme = SCHEME.only(*SCHEME.slotwise)
    bare = Replay.empty(scheme, lanes=LANES, slots=24, chunk=CHUNK, horizon=HORIZON, episodes=1)
    for i in range(chunks):
        chunk = stream.chunk(i, CHUNK)
        bare = bare.write(
            {name: chunk[name] for name in (*scheme.slotwise, "filled") if name in chunk}
        )
    written = chunks * CHUNK
    there = [e for e in stream.episodes if e.stop <= written and e.start >= written - 24]
    assert bare.whole().length.tolist() == [e.length for e in there]
    marks = [stream.slots["obs"][e.lane, e.start, 0, 0] for e in there]
    assert np.asarray(bare.whole()["obs"])[:, :1, 0, 0].flatten().tolist() == marks


def test_streams_of_other_lanes_hold_the_same_episodes():
    """Out of one store, dealt to another of more lanes, and back."""
    replay, stream = filled_to(12, capacity=48)
    there = store(5).extend(replay.whole())
    back = store(LANES, slots=48).extend(there.whole())
    wanted = stream.live(12 * CHUNK, 48, SPAN, 40)
    assert int(back.ended) == len(wanted)
    assert episodes_of(back.whole()) == episodes_of(replay.whole())


def test_where_not_all_fit_the_newest_are_there():
    batch = batch_of(Stream(3, 3, 120, HORIZON), SPAN)
    replay = store(2, slots=40).extend(batch)
    count = int(replay.ended)
    assert 8 <= count < batch.batch_size
    assert episodes_of(replay.whole()) == episodes_of(batch[-count:])
    few = store(2, episodes=4).extend(batch)
    assert episodes_of(few.whole()) == episodes_of(batch[-4:])


def test_what_goes_on_is_cut_off_and_belongs_to_nothing():
    replay, stream = filled_to(5, capacity=100)
    before = episodes_of(replay.whole())
    batch = batch_of(Stream(9, 2, 30, HORIZON), SPAN)
    after = replay.extend(batch)
    assert episodes_of(after.whole()) == sorted(before + episodes_of(batch))
    went_on = [e for e in stream.episodes if e.stop > 20]
    starts = {(e.lane, e.start) for e in went_on}
    drawn = {*zip(after.index.lane.tolist(), after.index.start.tolist(), strict=True)}
    assert not starts & drawn


def test_a_slot_after_which_all_is_cut_off_is_in_no_loss():
    """Nothing is known of what came next there: a bootstrap from zeros would be wrong."""
    stream = Stream(1, LANES, 40, HORIZON)
    replay = store(slots=40)
    replay = replay.write(stream.chunk(0, CHUNK)).cut().write(stream.chunk(1, CHUNK))
    pairs = replay.transitions(jr.key(0), LANES * 7)
    lane, slot = np.asarray(pairs.where.lane), np.asarray(pairs.where.slot)
    over = (stream.slots["terminated"] | stream.slots["closing"])[lane, slot]
    last = slot == CHUNK - 1
    assert (last & ~over).any()
    wanted = ~stream.slots["closing"][lane, slot] & (over | ~last)
    assert np.array_equal(pairs.ok, wanted)


def test_a_store_of_every_seed_is_cut_alike():
    one, two = filled_to(3)[0], filled_to(3, seed=5)[0]
    both = jax.tree.map(lambda *x: jnp.stack(x), one, two)
    assert (np.asarray(both.cut().goes.start) == 3 * CHUNK).all()


def test_padded_episodes_may_be_written_as_they_are():
    """Each in a lane of its own: what is not filled belongs to nothing."""
    batch = batch_of(Stream(3, 3, 60, HORIZON), SPAN)
    rows, slots = batch.filled.shape
    replay = Replay.empty(SCHEME, lanes=rows, slots=4 * slots, chunk=slots, horizon=HORIZON)
    fixed = {n: jnp.broadcast_to(x[:, None], (rows, slots, *x.shape[1:]))
             for n, x in batch.constants.items()}  # fmt: skip
    data = {n: x for n, x in batch.data.items() if n != "time"}
    for times in (1, 2):
        replay = replay.write({**data, **fixed, "filled": batch.filled})
        assert episodes_of(replay.whole()) == sorted(times * episodes_of(batch))


def test_what_a_store_would_not_read_as_one_episode_is_refused():
    batch = batch_of(Stream(3, 3, 60, HORIZON), SPAN)
    row = int(np.argmax(np.asarray(batch.length)))
    open_end = {**batch.data, "terminated": jnp.zeros_like(batch.data["terminated"])}
    parts = batch.constants, batch.length, batch.left_at, SCHEME
    first = int(np.argmax(~np.asarray(batch.data["closing"]).any(1)))
    slots = int(batch.length[first])
    with pytest.raises(ValueError, match=rf"episode {first}: .* last slot {slots - 1} .*none"):
        streamed(made(open_end, *parts), 2, CHUNK)
    early = {**batch.data, "terminated": batch.data["terminated"].at[row, 0].set(True)}
    with pytest.raises(ValueError, match=rf"episode {row}: .*found \[0, "):
        store().extend(made(early, *parts))
    short = Replay.empty(SCHEME, lanes=2, slots=40, chunk=4, horizon=3)
    with pytest.raises(ValueError, match="at most 4 slots here, found episode"):
        short.extend(batch)
    other = Scheme({**SCHEME.fields, "obs": Field((2,), np.int16, "agents")}, SCHEME.groups)
    wrong = Replay.empty(other, lanes=2, slots=40, chunk=4, horizon=HORIZON)
    with pytest.raises(ValueError, match=re.escape("field 'obs': expected int16[3, 2] of agents,")):
        wrong.extend(batch)
    assert int(wrong.written) == int(short.written) == 0
