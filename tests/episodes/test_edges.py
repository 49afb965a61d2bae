"""The least and the most a store may hold, what is not read, and what must never happen."""

import logging
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from streams import ACTIONS, AGENTS, SCHEME, Stream

from counterplay import maths
from counterplay.episodes import Field, Replay, Scheme
from counterplay.episodes.ring import at_entries

FIELDS = {
    "obs": Field((2,), np.float32, "agents"),
    "actions": Field((), np.int8, "agents"),
    "reward": Field((), np.float32, "agents"),
    "alive": Field((), np.bool_, "agents"),
    "left": Field((), np.bool_, "agents"),
    "terminated": Field((), np.bool_),
    "closing": Field((), np.bool_),
}
NUMBERS = Scheme(FIELDS, {"agents": 2})


def written(horizon: int, capacity: int, chunk: int, chunks: int, lanes: int = 2, seed: int = 0):
    stream = Stream(seed, lanes, chunks * chunk, horizon)
    replay = Replay.empty(SCHEME, lanes=lanes, slots=capacity, chunk=chunk, horizon=horizon)
    for i in range(chunks):
        replay = replay.write(stream.chunk(i, chunk))
    return replay, stream


def whole(replay: Replay):
    return at_entries(replay, replay.index.entry(jnp.arange(int(replay.ended))))


# what is not filled is not read


def loss(weights, obs, actions, reward, mask):
    """Of a policy and a value on every slot that counts. Nothing is selected before it is computed
    of: gradients would be 0 times NaN if what does not count were not zero already."""
    legal = jnp.ones((*mask.shape, ACTIONS), bool)
    log_pi = maths.masked_log_softmax(obs @ weights["policy"], legal & mask[..., None])
    error = obs @ weights["value"] - reward
    entropy = maths.masked_mean(maths.entropy(log_pi), mask)
    chosen = maths.masked_mean(maths.chosen(log_pi, actions) * reward, mask)
    return maths.masked_mean(error**2, mask) - chosen - 0.01 * entropy


def numbers_in(store: str) -> Replay:
    """A ring with slots that are not filled: where games paused, none was yet, or at the ends of
    lanes to which whole episodes were dealt."""
    stream = Stream(0, 2, 48, 5, gaps=store == "paused")
    rng = np.random.default_rng(0)
    replay = Replay.empty(NUMBERS, lanes=2, slots=48, chunk=4, horizon=5)
    for i in range(8 if store == "begun" else 12):
        chunk = {k: stream.chunk(i, 4)[k][:, :, :2] for k in ("actions", "alive", "left")}
        chunk |= {k: stream.chunk(i, 4)[k] for k in ("terminated", "closing", "filled")}
        chunk["obs"] = rng.standard_normal((2, 4, 2, 2), np.float32)
        replay = replay.write({**chunk, "reward": rng.standard_normal((2, 4, 2), np.float32)})
    if store == "dealt":
        wide = Replay.empty(NUMBERS, lanes=3, slots=48, chunk=12, horizon=5)
        replay = wide.extend(replay.whole())
    return replay


def spoilt(replay: Replay, with_what: float) -> Replay:
    """The same store, with that in place of all numbers of slots that did not happen."""
    filled = replay.slots["filled"]
    over = lambda x: filled.reshape(filled.shape + (1,) * (x.ndim - 2))
    rings = {
        name: jnp.where(over(x), x, with_what) if jnp.issubdtype(x.dtype, jnp.inexact) else x
        for name, x in replay.slots.items()
    }
    assert not np.array_equal(rings["reward"], replay.slots["reward"])
    return eqx.tree_at(lambda r: r.slots, replay, rings)


def read(replay: Replay, how: str):
    """Fields of a sample, and the slots of it that a loss counts, [B, T] or [B].

    Episodes, and slots that follow others, are zero where nothing happened. Windows, and slots that
    are drawn, are as they stand in the ring: their learner selects what is filled, as here.
    """
    if how == "episodes":
        batch = replay.episodes(jr.key(0), 6)
        return batch.data, batch.filled & ~batch["closing"]
    if how == "windows":
        rows = replay.windows(jr.key(0), 30, 7)
        data, filled = rows.data, rows["filled"] & rows.ok[:, None]
    else:
        pairs = replay.transitions(jr.key(0), 40)
        if how == "after":
            return pairs.after, pairs.ok & pairs.after["filled"]
        data, filled = pairs.now, pairs.ok
    over = lambda x: filled.reshape(filled.shape + (1,) * (x.ndim - filled.ndim))
    data = {k: jnp.where(over(x), x, jnp.zeros_like(x)) for k, x in data.items()}
    return data, filled & ~data["closing"]


@pytest.mark.parametrize("store", ["paused", "begun", "dealt"])
@pytest.mark.parametrize("how", ["episodes", "windows", "now", "after"])
def test_what_padding_holds_reaches_no_loss_and_no_gradient(how, store):
    weights = {
        "policy": jr.normal(jr.key(1), (2, ACTIONS)),
        "value": jr.normal(jr.key(2), (2,)),
    }
    learn = jax.jit(jax.value_and_grad(loss))

    def learnt(replay):
        data, counts = read(replay, how)
        mask = counts[..., None] & data["alive"]
        assert 0 < int(mask.sum()) < mask.size
        return learn(weights, data["obs"], data["actions"], data["reward"], mask)

    replay = numbers_in(store)
    clean = jax.tree.leaves(learnt(replay))
    assert all(np.isfinite(x).all() for x in clean)
    for rubbish in (np.nan, 1e30, np.inf):
        dirty = jax.tree.leaves(learnt(spoilt(replay, rubbish)))
        for one, other in zip(clean, dirty, strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("rubbish", [np.nan, 1e30])
def test_rubbish_outside_an_episode_is_not_read_with_it(rubbish):
    """What stands in slots that did not happen comes out as zero, whatever it is."""
    clean, dirty = (Replay.empty(NUMBERS, lanes=1, slots=12, chunk=3, horizon=3) for _ in range(2))
    for i in range(6):
        filled = np.array([[True, True, False]])
        chunk = {
            "actions": np.ones((1, 3, 2), np.int8),
            "alive": np.ones((1, 3, 2), bool),
            "left": np.zeros((1, 3, 2), bool),
            "terminated": np.array([[False, True, False]]),
            "closing": np.zeros((1, 3), bool),
            "filled": filled,
        }
        numbers = np.full((1, 3, 2), i, np.float32)
        spoil = np.where(filled[..., None], numbers, np.float32(rubbish))
        give = lambda x, chunk=chunk: {**chunk, "obs": np.stack([x, x], -1), "reward": x}
        clean, dirty = clean.write(give(numbers)), dirty.write(give(spoil))
    for one, other in zip(*(jax.tree.leaves(whole(r)) for r in (clean, dirty)), strict=True):
        assert np.array_equal(one, other)
    pairs = dirty.transitions(jr.key(0), 11)
    assert np.isfinite(np.asarray(pairs.after["obs"])).all()


# the least and the most


@pytest.mark.parametrize("chunk", [1, 3, 7])
@pytest.mark.parametrize("horizon", [1, 4])
def test_the_least_capacity_reads_the_longest_episode(horizon, chunk):
    least = horizon + chunk
    replay, stream = written(horizon, least, chunk, 40)
    ended, seen = 40 * chunk, set()
    live = stream.live(ended, replay.capacity, horizon + 1, 1000)
    assert int(replay.ended) == len(live)
    replay = Replay.empty(SCHEME, lanes=2, slots=least, chunk=chunk, horizon=horizon)
    for i in range(40):
        replay = replay.write(stream.chunk(i, chunk))
        live = stream.live((i + 1) * chunk, replay.capacity, horizon + 1, 1000)
        assert int(replay.ended) == len(live)
        seen |= {(e.lane, e.start) for e in live}
    every = {(e.lane, e.start) for e in stream.episodes if e.stop <= ended}
    assert seen == every, "each episode can be read at least once"
    with pytest.raises(ValueError, match=f"slots must be at least {least}"):
        Replay.empty(SCHEME, lanes=2, slots=least - 1, chunk=chunk, horizon=horizon)


def test_a_ring_of_one_chunk():
    """Refused where the guard band leaves no room, right where it does."""
    with pytest.raises(ValueError, match="slots must be at least 11, or some episodes could never"):
        Replay.empty(SCHEME, lanes=2, slots=8, chunk=8, horizon=3)
    stream = Stream(0, 2, 32, 1)
    replay = Replay.empty(SCHEME, lanes=2, slots=9, chunk=8, horizon=1)
    assert replay.capacity == 16  # rounded up to whole chunks
    for i in range(4):
        replay = replay.write(stream.chunk(i, 8))
        assert int(replay.ended) == len(stream.live(8 * (i + 1), 16, 2, 1000))


def test_episodes_of_one_slot():
    replay = Replay.empty(SCHEME, lanes=2, slots=16, chunk=4, horizon=3)
    for i in range(6):
        chunk = Stream(i, 2, 4, 3).chunk(0, 4)
        chunk |= {"terminated": np.ones((2, 4), bool), "closing": np.zeros((2, 4), bool)}
        replay = replay.write(chunk)
    assert int(replay.ended) == replay.index.size == 16
    batch = replay.episodes(jr.key(0), 16)
    assert (np.asarray(batch.length) == 1).all() and not np.asarray(batch["time"]).any()
    pairs = replay.transitions(jr.key(0), 30)
    assert pairs.ok.all() and not np.asarray(pairs.after["filled"]).any()


def test_all_agents_leave_after_the_first_slot():
    replay = Replay.empty(SCHEME, lanes=1, slots=16, chunk=4, horizon=3)
    stream = Stream(0, 1, 4, 3).chunk(0, 4)
    first = np.array([[True, False, False, False]])
    chunk = stream | {
        "terminated": np.array([[False, False, True, False]]),
        "closing": np.zeros((1, 4), bool),
        "left": np.broadcast_to(first[..., None], (1, 4, AGENTS)),
        "alive": np.broadcast_to((first | (np.arange(4) == 3))[..., None], (1, 4, AGENTS)),
    }
    batch = replay.write(chunk).episodes(jr.key(0), 1)
    assert int(batch.length[0]) == 3 and (np.asarray(batch.left_at) == 0).all()
    for agent in range(AGENTS):
        own = batch.segments(agent)
        assert int(own.length[0]) == 1 and int(own.left_at[0, 0]) == 0


# what must never happen


def test_nothing_is_compiled_after_warming_up(caplog):
    stream = Stream(0, 3, 160, 6)
    replay = Replay.empty(SCHEME, lanes=3, slots=24, chunk=4, horizon=6)

    def use(replay, i):
        replay = replay.write(stream.chunk(i, 4))
        batch = replay.episodes(jr.key(i), 2)
        replay = replay.relabel(batch.where, "label", batch["actions"], batch.filled)
        replay.episodes(jr.key(i), 2, half_life=4.0, strata="matchup")
        replay.transitions(jr.key(i), 4)
        replay.windows(jr.key(i), 4, 3)
        assert isinstance(bool(replay.can_sample(3)), bool)
        return replay

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for i in range(4):
            replay = replay.write(stream.chunk(i, 4))
        for i in range(4, 6):
            replay = use(replay, i)
        assert "ompil" in caplog.text, "compilation is noticed"
        caplog.clear()
        for i in range(6, 40):  # over the end of the ring several times
            replay = use(replay, i)
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]


def test_a_sample_shares_no_memory_with_the_store():
    replay, _ = written(5, 24, 4, 8)
    rings = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(replay)}
    samples = (replay.episodes(jr.key(0), int(replay.ended)), replay.windows(jr.key(0), 2, 24),
               replay.transitions(jr.key(0), 2 * 23))  # fmt: skip
    for x in jax.tree.leaves(samples):
        assert x.unsafe_buffer_pointer() not in rings


def test_every_filled_slot_of_a_relabelled_field_is_written():
    replay, _ = written(5, 24, 4, 8)
    batch = whole(replay)
    assert (np.asarray(batch["label"])[np.asarray(batch.filled)] == -1).all()
    labels = (batch["time"][..., None] + jnp.arange(AGENTS)[None, None]).astype(jnp.int8)
    replay = replay.relabel(batch.where, "label", labels, batch.filled)
    again = whole(replay)
    filled = np.asarray(again.filled)
    assert filled.any() and (np.asarray(again["label"])[filled] != -1).all()
    assert np.array_equal(np.asarray(again["label"])[filled], np.asarray(labels)[filled])


@pytest.mark.parametrize("name", sorted(SCHEME.fields))
def test_batch_and_time_exchanged_are_refused(name):
    stream = Stream(0, 3, 4, 6)
    replay = Replay.empty(SCHEME, lanes=3, slots=24, chunk=4, horizon=6)
    chunk = stream.chunk(0, 4)
    chunk["label"] = np.zeros((3, 4, AGENTS), np.int8)
    chunk[name] = np.swapaxes(chunk[name], 0, 1)
    rest = list(SCHEME.shape(name))
    with pytest.raises(ValueError, match=re.escape(f"{[3, 4, *rest]}, found")):
        replay.write(chunk)


def test_filled_of_another_shape_is_refused():
    stream = Stream(0, 3, 4, 6)
    replay = Replay.empty(SCHEME, lanes=3, slots=24, chunk=4, horizon=6)
    with pytest.raises(ValueError, match=re.escape("'filled': the scheme wants bool[3, 4]")):
        replay.write(stream.chunk(0, 4) | {"filled": np.ones((4, 3), bool)})
