"""Files of PyMARL's batches get into a store, and hold there what our own store saw."""

import jax.random as jr
import numpy as np
import pytest
from beside_pymarl import CHUNK, CLOSED, HORIZON, LANES, SPAN, Beside, model_batch, model_buffer

from counterplay.episodes import Field, Replay
from counterplay.episodes.npz import read_npz


@pytest.mark.parametrize("seed", range(3))
def test_a_file_as_pymarl_writes_it_is_read_into_a_store(tmp_path, seed):
    both, rng = Beside(60, 60, model_batch, model_buffer), np.random.default_rng(seed)
    for _ in range(16):
        both.write(rng.choice((0, 0, 0, 1, 2, 4), LANES * CHUNK).tolist())
    data, rows = both.buffer.data, both.buffer.episodes_in_buffer
    assert 5 < rows < 60
    fields = {**data.transition_data, **data.episode_data}
    np.savez(tmp_path / "theirs.npz", **{name: x[:rows] for name, x in fields.items()})
    batch, wanted = read_npz(tmp_path / "theirs.npz"), both.replay.whole()
    closed = int(wanted["closing"].any(1).sum())
    assert 0 < closed < rows, "some terminated, and some did not"
    same(batch, wanted)

    sizes = {"lanes": 2, "slots": 90, "chunk": 5, "horizon": HORIZON}
    replay = Replay.empty(batch.scheme, **sizes).extend(batch)
    assert int(replay.ended) == rows
    drawn = replay.episodes(jr.key(0), rows)
    key = lambda batch: np.argsort(np.asarray(batch["matchup"]).reshape(-1))
    same(drawn[key(drawn)], wanted[key(wanted)])


def same(found, wanted) -> None:
    """All that both have, but for what a slot that is never played holds."""
    assert found.length.tolist() == wanted.length.tolist()
    assert found.left_at.tolist() == wanted.left_at.tolist()
    assert np.asarray(wanted.left_at).max() >= 0
    for name in wanted.scheme.fields:
        if name in wanted.constants:
            ours, theirs = wanted[name], np.asarray(found[name])
        else:
            slots = wanted.max_seq_length
            ours, theirs = np.asarray(wanted[name]), np.asarray(found[name])[:, :slots]
            shown = np.asarray(wanted["closing"]) & (name in CLOSED)
            ours = np.where(shown.reshape(*shown.shape, *(1,) * (ours.ndim - 2)), 0, ours)
        assert np.array_equal(theirs.reshape(ours.shape), ours), name


def test_what_has_closing_of_its_own_is_left_as_it_is(tmp_path):
    ends = np.zeros((2, SPAN, 1), np.uint8)
    ends[0, 2], ends[1, 3] = 1, 1
    arrays = {"filled": np.ones((2, SPAN, 1), np.int64), "terminated": ends}
    np.savez(tmp_path / "closing.npz", closing=np.zeros_like(ends), **arrays)
    batch = read_npz(tmp_path / "closing.npz")
    assert batch.length.tolist() == [SPAN, SPAN] and not batch["closing"].any()
    np.savez(tmp_path / "none.npz", **arrays)
    batch = read_npz(tmp_path / "none.npz")
    assert batch.length.tolist() == [SPAN, SPAN - 1]
    assert batch.scheme.fields["closing"] == Field((), np.bool_)
    with pytest.raises(ValueError, match=r"episode 0: .* found \[2\]"):
        Replay.empty(batch.scheme, lanes=1, slots=20, chunk=5, horizon=HORIZON).extend(batch)
