"""The store against a list of all that was ever written to it."""

import re

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import ACTIONS, AGENTS, SCHEME, Stream

from counterplay.episodes import Field, Replay, Scheme
from counterplay.episodes.ring import at_entries

LANES, CHUNK, HORIZON = 3, 4, 6
SPAN = HORIZON + 1


def filled_to(chunks: int, capacity: int = 24, episodes: int = 40, seed=0, gaps=False):
    stream = Stream(seed, LANES, chunks * CHUNK, HORIZON, gaps)
    sizes = {"slots": capacity, "chunk": CHUNK, "horizon": HORIZON, "episodes": episodes}
    replay = Replay.empty(SCHEME, lanes=LANES, **sizes)
    for i in range(chunks):
        replay = replay.write(stream.chunk(i, CHUNK))
    return replay, stream


def whole(replay: Replay):
    """All live episodes, oldest first."""
    return at_entries(replay, replay.index.entry(jnp.arange(int(replay.ended))))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("episodes", [5, 40])
def test_live_episodes_are_those_nothing_of_was_written_over(gaps, episodes):
    for chunks in range(1, 16):
        replay, stream = filled_to(chunks, episodes=episodes, seed=chunks, gaps=gaps)
        wanted = stream.live(chunks * CHUNK, replay.capacity, SPAN, episodes)
        assert int(replay.ended) == len(wanted)
        if not wanted:
            continue
        batch = whole(replay)
        assert batch.filled.shape == (len(wanted), SPAN)
        for row, episode in enumerate(wanted):
            here = (episode.lane, slice(episode.start, episode.stop))
            assert int(batch.length[row]) == episode.length
            for name in SCHEME.slotwise.keys() - {"label"}:
                found = np.asarray(batch[name][row])
                assert np.array_equal(found[: episode.length], stream.slots[name][here]), name
                assert not found[episode.length :].any(), name
            assert batch["time"][row].tolist()[: episode.length] == [*range(episode.length)]
            assert (np.asarray(batch["label"][row, : episode.length]) == -1).all()
            for name in SCHEME.constants:
                last = stream.slots[name][episode.lane, episode.stop - 1]
                assert np.array_equal(batch[name][row], last)
            left = stream.slots["left"][here]
            after = np.where(left.any(0), left.argmax(0), -1)
            assert batch.left_at[row].tolist() == after.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 20), st.integers(1, 8))
def test_windows_are_stretches_of_the_stream(seed, chunks, length):
    replay, stream = filled_to(chunks, seed=seed % 50)
    have = LANES * (min(chunks * CHUNK, replay.capacity) - length + 1)
    if have < 1:
        with pytest.raises(ValueError, match="windows"):
            replay.windows(jr.key(seed), 1, length)
        return
    n = min(have, 16)
    rows = replay.windows(jr.key(seed), n, length)
    marks = np.asarray(rows["obs"][:, :, 0, 0])
    assert (np.diff(marks, axis=1) == 1).all()
    assert len(np.unique(marks[:, 0])) == n
    lane, slot = marks // (chunks * CHUNK), marks % (chunks * CHUNK)
    assert np.array_equal(rows.first, stream.time[lane, slot] == 0)
    assert rows.ok.all()
    assert slot.min() >= chunks * CHUNK - replay.capacity


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 20), st.booleans())
def test_transitions_stop_at_the_ends_of_episodes(seed, chunks, gaps):
    replay, stream = filled_to(chunks, seed=seed % 50, gaps=gaps)
    total = chunks * CHUNK
    n = min(LANES * (min(total, replay.capacity) - 1), 16)
    pairs = replay.transitions(jr.key(seed), n)
    where = np.asarray(pairs.where.lane), np.asarray(pairs.where.slot)
    assert len(set(zip(*where, strict=True))) == n
    slots, (lane, slot) = stream.slots, where
    filled = slots["filled"][lane, slot]
    ends = (slots["terminated"] | slots["closing"])[lane, slot] | ~filled
    goes_on = ~ends & slots["filled"][lane, slot + 1]
    assert np.array_equal(pairs.ok, filled & ~slots["closing"][lane, slot])
    for name in ("obs", "actions", "reward", "alive"):
        assert np.array_equal(pairs.now[name], slots[name][lane, slot])
        after = np.asarray(pairs.after[name])
        assert np.array_equal(after[goes_on], slots[name][lane, slot + 1][goes_on])
        assert not after[~goes_on].any()


def test_samples_are_different_whole_episodes():
    replay, stream = filled_to(30)
    wanted = stream.live(30 * CHUNK, replay.capacity, SPAN, 40)
    starts = {(e.lane, e.start) for e in wanted}
    for seed in range(20):
        batch = replay.episodes(jr.key(seed), len(wanted))
        drawn = zip(batch.where.lane.tolist(), batch.where.slot.tolist(), strict=True)
        assert set(drawn) == starts


def test_an_episode_beyond_the_horizon_is_counted_and_never_read_as_one():
    stream = Stream(0, LANES, 40, 12)
    replay = Replay.empty(SCHEME, lanes=LANES, slots=40, chunk=CHUNK, horizon=HORIZON)
    for i in range(10):
        replay = replay.write(stream.chunk(i, CHUNK))
    ended = [e for e in stream.episodes if e.stop <= 40]
    assert int(replay.overlong) == sum(e.length > SPAN for e in ended) > 0
    assert int(replay.ended) == len(stream.live(40, 40, SPAN, 1000))
    assert int(replay.slots["time"].max()) == SPAN  # it does not count on and on


def test_exactly_full_reads_every_slot():
    replay, _ = filled_to(6, capacity=24)
    assert int(replay.held) == replay.capacity == 24
    pairs = replay.transitions(jr.key(0), LANES * 23)
    assert sorted(np.asarray(pairs.where.slot).tolist()) == sorted([*range(23)] * LANES)
    rows = replay.windows(jr.key(0), LANES, 24)
    assert sorted(rows["obs"][:, 0, 0, 0].tolist()) == [0, 24, 48]


def test_asking_for_more_than_there_is():
    replay, _ = filled_to(2)
    have = int(replay.ended)
    assert bool(replay.can_sample(have))
    assert not bool(replay.can_sample(have + 1))
    with pytest.raises(ValueError, match=rf"asked for {have + 1} episodes, holds {have}"):
        replay.episodes(jr.key(0), have + 1)
    with pytest.raises(ValueError, match="to draw must be 1 to 40, its capacity; found 41"):
        replay.episodes(jr.key(0), 41)
    with pytest.raises(ValueError, match="found 0"):
        replay.transitions(jr.key(0), 0)
    inside = jax.jit(lambda r, k: r.episodes(k, have + 3))(replay, jr.key(0))
    assert int((inside.length > 0).sum()) == have
    assert not np.asarray(inside["obs"][inside.length == 0]).any()
    pairs = jax.jit(lambda r, k: r.transitions(k, 30))(replay, jr.key(0))
    assert int(pairs.ok.sum()) <= LANES * 7


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reward": None}, "field 'reward': the scheme wants float32[3, 4, 3], found nothing"),
        ({"reward": np.zeros((3, 4), np.float32)}, "float32[3, 4, 3], found float32[3, 4]"),
        ({"reward": np.zeros((4, 3, 3), np.float32)}, "float32[3, 4, 3], found float32[4, 3, 3]"),
        ({"actions": np.zeros((3, 4, 3), np.float32)}, "int8[3, 4, 3], found float32[3, 4, 3]"),
        ({"terminated": np.zeros((3, 4), np.int32)}, "bool[3, 4], found int32[3, 4]"),
        ({"rewards": np.zeros((3, 4, 3))}, "unknown field of the scheme 'rewards' (did you mean"),
    ],
)
def test_what_does_not_fit_is_named_and_not_written(changes, says):
    replay, stream = filled_to(3)
    chunk = stream.chunk(0, CHUNK) | changes
    chunk = {name: x for name, x in chunk.items() if x is not None}
    with pytest.raises(ValueError, match=re.escape(says)):
        replay.write(chunk)
    assert int(replay.written) == 12


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"slots": 9}, "slots must be at least 10, or some episodes could never be read; found 9"),
        ({"lanes": 0}, "lanes must be at least 1; found 0"),
        ({"episodes": 0}, "episodes must be at least 1; found 0"),
        ({"lanes": 2**20, "slots": 2**12}, "more than 2147483647"),
        ({"lanes": 2**18, "slots": 2**12}, "GB is more than the"),
    ],
)
def test_sizes_that_cannot_work_are_refused(sizes, says):
    asked = {"lanes": 3, "slots": 24, "chunk": 4, "horizon": 6} | sizes
    with pytest.raises(ValueError, match=re.escape(says)):
        Replay.empty(SCHEME, **asked)


def test_bytes_are_stated_as_they_are():
    replay, _ = filled_to(1)
    a_slot = 3 * (8 + 1 + 4 + 1 + 1 + 1) + 2 + 5
    an_episode = 4 + 6 + 3 * 4 + 3 * 4
    assert f"{a_slot} bytes a slot, and up to 40 episodes" in replay.describe()
    small = 3 * 4 + 3 * 3 * 4 + 4 * 4  # what goes on in each lane, and counters
    assert replay.nbytes() == LANES * 24 * a_slot + 40 * an_episode + small


def test_writing_takes_the_old_store_and_samples_are_copies():
    replay, stream = filled_to(6)
    batch = replay.episodes(jr.key(0), 2)
    before = {name: np.array(x) for name, x in batch.data.items()}
    pointers = [x.unsafe_buffer_pointer() for x in replay.slots.values()]
    after = replay.write(stream.chunk(0, CHUNK))
    assert [x.unsafe_buffer_pointer() for x in after.slots.values()] == pointers
    assert all(x.is_deleted() for x in replay.slots.values())
    for _ in range(6):
        after = after.write(stream.chunk(1, CHUNK))
    assert all(np.array_equal(batch.data[name], x) for name, x in before.items())


def test_relabel_reaches_what_was_read_and_nothing_that_came_since():
    replay, stream = filled_to(6)
    batch = replay.episodes(jr.key(1), 4)
    marks = jnp.broadcast_to(batch["obs"][..., 0] % 100, batch["actions"].shape)
    replay = replay.relabel(batch.where, "label", marks.astype(jnp.int8), batch.filled)
    again = whole(replay)
    labels, obs = np.asarray(again["label"]), np.asarray(again["obs"][..., 0])
    read = {(lane, slot) for lane, slot in zip(*map(np.asarray, (batch.where.lane, batch.where.slot)), strict=True)}  # fmt: skip  # noqa: E501
    for row in range(len(labels)):
        mine = (int(again.where.lane[row]), int(again.where.slot[row])) in read
        filled = np.asarray(again.filled[row])
        wanted = obs[row][filled] % 100 if mine else -1
        assert (labels[row][filled] == wanted).all()
    for i in range(5):  # all but the newest chunk of what was read is written over
        replay = replay.write(stream.chunk(i, CHUNK))
    replay = replay.relabel(batch.where, "label", jnp.full(marks.shape, 9, jnp.int8), batch.filled)
    rewritten = np.asarray(replay.slots["label"]) == 9
    assert not rewritten[:, : 5 * CHUNK].any()
    assert rewritten[:, 5 * CHUNK :].sum() == AGENTS * int(
        (np.asarray(batch.where.slot)[:, None] + np.arange(SPAN) >= 20)[
            np.asarray(batch.filled)
        ].sum()
    )


def test_relabel_refuses_what_does_not_fit():
    replay, _ = filled_to(6)
    batch = replay.episodes(jr.key(1), 2)
    with pytest.raises(ValueError, match=re.escape("values should be [2, 'T', 3], found [2, 7]")):
        replay.relabel(batch.where, "label", jnp.zeros((2, 7), jnp.int8))
    with pytest.raises(ValueError, match="unknown field of every slot 'labels'"):
        replay.relabel(batch.where, "labels", jnp.zeros((2, 7, 3), jnp.int8))


def test_a_field_may_come_later():
    replay, stream = filled_to(6)
    replay = replay.with_field("infer_mu", Field((2,), np.float32, "agents", fill=0.5))
    batch = replay.episodes(jr.key(0), 3)
    assert (np.asarray(batch["infer_mu"][batch.filled]) == 0.5).all()
    replay = replay.write(stream.chunk(0, CHUNK))
    assert (np.asarray(replay.episodes(jr.key(1), 3)["infer_mu"]).max()) == 0.5
    with pytest.raises(ValueError, match="in the scheme already"):
        replay.with_field("infer_mu", Field())


def test_views_are_made_on_read():
    replay, _ = filled_to(6)
    batch = replay.episodes(jr.key(0), 3)
    onehot = np.asarray(batch["actions_onehot"])
    assert onehot.shape == (3, SPAN, AGENTS, ACTIONS)
    filled = np.asarray(batch.filled)
    assert np.array_equal(onehot.argmax(-1)[filled], np.asarray(batch["actions"])[filled])
    assert (onehot[filled].sum(-1) == 1).all()
    assert not onehot[~filled].any()


def test_a_scheme_checks_itself():
    with pytest.raises(ValueError, match=r"unknown group of field 'a' 'agent'.*'agents'"):
        Scheme({"a": Field(group="agent")}, {"agents": 2})
    with pytest.raises(ValueError, match="the store keeps it itself"):
        Scheme({"filled": Field()})
    with pytest.raises(ValueError, match="unknown field 'rewards'"):
        SCHEME.only("rewards")
    assert hash(SCHEME.only("obs", "actions")) == hash(SCHEME.only("obs", "actions"))
    assert set(SCHEME.only("obs").views) == set()
    turned = Scheme(
        {n: SCHEME.fields[n] for n in [*SCHEME.fields][::-1]}, SCHEME.groups, SCHEME.views
    )
    assert turned == SCHEME and hash(turned) == hash(SCHEME)
    assert hash(Scheme({"a": Field((), np.dtype("i1"))})) == hash(Scheme({"a": Field((), np.int8)}))
