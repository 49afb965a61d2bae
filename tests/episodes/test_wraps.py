"""No sample mixes two episodes, however often the ring has been written over."""

import jax
import jax.random as jr
import numpy as np
import pytest
from streams import SCHEME, Stream

from counterplay.episodes import Replay

LANES, CHUNK, HORIZON, CAPACITY = 3, 4, 6, 24
WRAPS, N = 10, 16
SCHEME = SCHEME.only("obs", "terminated", "closing", "left")


@jax.jit
def drawn(replay, key):
    """All three readings at once; what a store inside jit lacks is marked as not there."""
    return (
        replay.episodes(key, N),
        replay.windows(key, N, 5),
        replay.transitions(key, N),
    )


def episode_of(stream: Stream, slots: int) -> np.ndarray:
    """The number of the episode of every slot [lanes, slots], -1 outside those that end."""
    number = np.full((stream.lanes, slots), -1)
    for i, e in enumerate(stream.episodes):
        number[e.lane, e.start : e.stop] = i
    return number


def place(obs, slots: int):
    mark = np.asarray(obs)[..., 0, 0]
    return mark // slots, mark % slots


@pytest.mark.parametrize("gaps", [False, True])
def test_ten_wrap_arounds_of_many_seeds(gaps):
    slots = WRAPS * CAPACITY
    wrote, read = 0, 0
    for seed in range(12):
        stream = Stream(seed, LANES, slots, HORIZON, gaps)
        number = episode_of(stream, slots)
        replay = Replay.empty(SCHEME, lanes=LANES, slots=CAPACITY, chunk=CHUNK, horizon=HORIZON)
        for i in range(slots // CHUNK):
            chunk = {k: x for k, x in stream.chunk(i, CHUNK).items() if k in SCHEME.fields}
            filled = stream.chunk(i, CHUNK)["filled"]
            replay = replay.write({**chunk, "filled": filled})
            wrote += 1
            if wrote % 3:  # so that every phase of the ring is read, at a third of the cost
                continue
            batch, rows, pairs = drawn(replay, jr.key(i))
            read += check_episodes(batch, stream, number)
            check_rows(rows, stream, number)
            check_pairs(pairs, stream, number)
    assert read > 2000


def check_episodes(batch, stream: Stream, number: np.ndarray) -> int:
    """Every row is one episode from its first slot to its last."""
    filled, slots = np.asarray(batch.filled), number.shape[1]
    length = filled.sum(1)
    lane, slot = place(batch["obs"], slots)
    for row in np.flatnonzero(length):
        here = number[lane[row, : length[row]], slot[row, : length[row]]]
        assert (here == here[0]).all() and here[0] >= 0
        assert stream.episodes[here[0]].length == length[row]
        assert (np.diff(slot[row, : length[row]]) == 1).all()
        assert filled[row, : length[row]].all()
    return int((length > 0).sum())


def check_rows(rows, stream: Stream, number: np.ndarray) -> None:
    """Slots follow one another, and where another episode begins is marked."""
    ok = np.asarray(rows.ok)
    lane, slot = (x[ok] for x in place(rows["obs"], number.shape[1]))
    assert (np.diff(slot, axis=1) == 1).all() and (lane == lane[:, :1]).all()
    assert np.array_equal(np.asarray(rows["filled"])[ok], stream.slots["filled"][lane, slot])
    same = number[lane, slot]
    new = (same[:, 1:] != same[:, :-1]) & (same[:, 1:] >= 0)
    first = np.asarray(rows.first)
    assert np.array_equal(first[ok][:, 1:] & (same[:, 1:] >= 0), new)
    begins = (stream.time == 0) & stream.slots["filled"]
    assert np.array_equal(first[ok], begins[lane, slot]) and not first[~ok].any()


def check_pairs(pairs, stream: Stream, number: np.ndarray) -> None:
    """A slot and the one after it are of one episode, or there is none after it."""
    there = np.asarray(pairs.after["filled"]) & np.asarray(pairs.ok)
    lane, slot = (x[there] for x in place(pairs.now["obs"], number.shape[1]))
    lane_after, after = (x[there] for x in place(pairs.after["obs"], number.shape[1]))
    assert np.array_equal(after, slot + 1) and np.array_equal(lane, lane_after)
    assert np.array_equal(number[lane, slot], number[lane, after])
