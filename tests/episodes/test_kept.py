"""What is kept of a store, told of it, and lent to another."""

import json
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from streams import SCHEME, Stream
from test_files import batch_of
from test_insert import episodes_of
from test_replay import CHUNK, HORIZON, LANES, SPAN, filled_to

from counterplay import data
from counterplay.episodes import Replay
from counterplay.episodes.parquet import write_parquet
from counterplay.episodes.ring import at_entries
from counterplay.runs import buffers, lent
from counterplay.runs.checkpoints import named


def shapes_of(replay: Replay) -> dict[str, Replay]:
    return {"replay": jax.eval_shape(lambda: jax.tree.map(jnp.asarray, replay))}


def back(replay: Replay, keep: int | None) -> Replay:
    """Through a checkpoint, as it were."""
    parts = buffers.parted({"replay": replay}, keep)
    assert parts.state == {}
    tree = buffers.put_back(shapes_of(replay), parts.state, parts.buffer, parts.kept, "here")
    return jax.tree.map(jnp.asarray, tree["replay"])


@pytest.mark.parametrize("chunks", [0, 2, 6, 9])
def test_a_whole_store_comes_back_to_the_bit(chunks):
    replay, _ = filled_to(chunks)
    found = back(replay, None)
    for (name, was), (_, now) in zip(named(replay).items(), named(found).items(), strict=True):
        assert was.tobytes() == now.tobytes(), name


@pytest.mark.parametrize("seeds", [0, 2])
@pytest.mark.parametrize("keep", [0, 5, 8, 16, 100])
@pytest.mark.parametrize("chunks", [1, 3, 9])
def test_what_is_kept_is_what_a_smaller_store_would_hold(chunks, keep, seeds):
    replay, stream = filled_to(chunks, capacity=24, seed=chunks)
    several = jax.tree.map(lambda x: jnp.stack([x] * seeds), replay) if seeds else replay
    found = back(several, keep)
    found = jax.tree.map(lambda x: x[1], found) if seeds else found
    slots, written = min(-(-keep // CHUNK) * CHUNK, 24), chunks * CHUNK
    assert int(found.written) == (min(slots, written) if slots < 24 else written)
    wanted = stream.live(written, slots, SPAN, 40) if slots else []
    whole = found.whole()
    assert whole.length.tolist() == [e.length for e in wanted]
    marks = [int(stream.slots["obs"][e.lane, e.start, 0, 0]) for e in wanted]
    assert np.asarray(whole["obs"])[:, :1, 0, 0].flatten().tolist() == marks


@pytest.mark.parametrize("keep", [0, 4, 12])
def test_what_goes_on_without_its_beginning_is_never_a_whole_episode(keep):
    """Its end comes after, and is no episode; those that begin later are exact."""
    for seed in range(6):
        total, before = 12, 5
        stream = Stream(seed, LANES, total * CHUNK, HORIZON)
        replay = Replay.empty(SCHEME, lanes=LANES, slots=48, chunk=CHUNK, horizon=HORIZON)
        for i in range(before):
            replay = replay.write(stream.chunk(i, CHUNK))
        replay = back(replay, keep)
        for i in range(before, total):
            replay = replay.write(stream.chunk(i, CHUNK))
        first = before * CHUNK - keep
        there = [e for e in stream.episodes if e.start >= first and e.stop <= total * CHUNK]
        live = [e for e in there if e.stop - first >= int(replay.written) - 48 + SPAN]
        old = {e for e in live if e.stop <= before * CHUNK and e.stop < first + SPAN}
        live = [e for e in live if e not in old]  # the guard band of what was kept
        marks = [int(stream.slots["obs"][e.lane, e.start, 0, 0]) for e in live]
        found = replay.whole()
        assert np.asarray(found["obs"])[:, 0, 0, 0].tolist() == marks
        assert found.length.tolist() == [e.length for e in live]
        assert int(replay.overlong) == 0
        entries = at_entries(replay, replay.index.entry(jnp.arange(int(replay.ended))))
        assert episodes_of(entries) == episodes_of(found)
        time = {(e.lane, slot): slot - e.start for e in stream.episodes
                for slot in range(e.start, e.stop)}  # fmt: skip
        rows = replay.windows(jr.key(seed), 8, 6)
        at = np.asarray(rows["obs"])[:, :, 0, 0]
        lane, slot = at // (total * CHUNK), at % (total * CHUNK)
        assert slot.min() >= first
        for index in np.ndindex(*at.shape):
            known = time.get((int(lane[index]), int(slot[index])))
            if known is not None and int(rows["filled"][index]):
                assert int(rows["time"][index]) == known


def test_what_does_not_fit_is_named():
    replay, _ = filled_to(3)
    parts = buffers.parted({"replay": replay}, None)
    with pytest.raises(ValueError, match="here: expected a buffer replay, found none"):
        buffers.put_back(shapes_of(replay), {}, {}, {}, "here")
    other = shapes_of(Replay.empty(SCHEME, lanes=LANES, slots=32, chunk=CHUNK, horizon=HORIZON))
    said = re.escape(
        "here/buffer.safetensors: replay: slots/actions should be int8[3, 32, 3], found"
    )
    with pytest.raises(ValueError, match=said):
        buffers.put_back(other, {}, parts.buffer, parts.kept, "here")


def test_numbers_of_other_opponents_are_told(tmp_path, capsys):
    batch = batch_of(Stream(0, 2, 20, 6), 7)
    store = jax.eval_shape(lambda: Replay.empty(SCHEME, lanes=2, slots=32, chunk=4, horizon=6))
    held = lent.Held(tmp_path, [[batch]], ["self", "stay"])
    lent.check(held, {"replay": store}, "x", ["self", "stay"])
    assert capsys.readouterr().err == ""
    lent.check(held, {"replay": store}, "x", ["self", "roam"])
    assert "opponent_id counts as in that run (self, stay)" in capsys.readouterr().err
    with pytest.raises(ValueError, match=re.escape("x keeps 3 buffers here (0, 1, 2), found 2")):
        lent.check(held._replace(seeds=[[batch] * 2]), [store] * 3, "x", [])


def test_the_verb_counts_padding_and_players(tmp_path, capsys):
    batch = batch_of(Stream(3, 3, 60, 6), 9)
    write_parquet(tmp_path / "a.parquet", batch)
    assert data.main(["describe", str(tmp_path / "a.parquet"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    length = np.asarray(batch.length)
    rows, longest, slots = len(length), int(length.max()), int(length.sum())
    assert row["padding"] == 1 - slots / (rows * longest)
    once, slot = 4 + 3 * 2, 3 * (8 + 1 + 4 + 1 + 1 + 1) + 2
    assert row["padded_bytes"] == rows * (longest * (slot + 8) + once)
    assert row["bytes"] == slots * (slot + 5) + rows * (once + 4 * 6)
    reward = np.where(np.asarray(batch.filled)[:, :, None], batch["reward"], 0).sum(1)
    assert np.allclose(row["returns"]["mean"], reward.mean(0), atol=1e-3)
    ids = np.asarray(batch["opponent_id"])
    for seat in range(3):
        numbers, counts = np.unique(ids[:, seat], return_counts=True)
        wanted = dict(zip(map(str, numbers.tolist()), counts.tolist(), strict=True))
        assert row["players"]["seats"][seat] == wanted
    assert sum(row["players"]["matchups"].values()) == rows
    assert data.main(["describe", str(tmp_path / "a.parquet")]) == 0
    assert "seat 2: " in capsys.readouterr().out


def test_the_verb_tells_of_episodes_beyond_the_horizon(tmp_path, capsys):
    replay, _ = filled_to(4)
    held = lent.Held(tmp_path, [[replay.whole()]], [], 1, 10, 20, overlong=7)
    row = data.described(held)
    assert row["overlong"] == 7
    data._tell(row)
    assert "7 episodes longer than its horizon" in capsys.readouterr().out
    data._tell({**row, "overlong": 0})
    assert "longer than" not in capsys.readouterr().out


def test_one_agents_own_episodes_are_described_and_kept(tmp_path, capsys):
    """Their scheme has no axis of agents any more, and still knows when this one left."""
    replay, _ = filled_to(6)
    own = replay.whole().segments(1)
    write_parquet(tmp_path / "own.parquet", own)
    assert data.main(["describe", str(tmp_path / "own.parquet"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    came = np.asarray(own.length) > 0
    assert row["episodes"] == came.sum() and row["slots"] == int(own.length.sum())
    assert own.scheme.agents == 1 and own.scheme.shape("left") == ()
    kept = Replay.empty(own.scheme, lanes=2, slots=64, chunk=8, horizon=HORIZON)
    over = (own["terminated"] | own["left"]) & ~own["closing"]  # where it left, it is over for it
    kept = kept.extend(replace(own, data={**own.data, "terminated": over}))
    found = kept.whole()
    assert sorted(found.left_at[:, 0].tolist()) == sorted(own.left_at[came, 0].tolist())
    index = kept.index.entry(jnp.arange(int(kept.ended)))
    assert np.array_equal(kept.index.left_at[index], found.left_at)
