"""Buffers of a training: in checkpoints, whole or in part, and lent to another one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from going_on import PD, ends_after, left_by, settings

from counterplay import cli, data, runs, verbs
from counterplay.algos import dqn
from counterplay.episodes import Replay
from counterplay.episodes.npz import read_npz
from counterplay.episodes.parquet import read_parquet, write_parquet
from counterplay.runs import buffers, checkpoints, lent
from counterplay.runs.checkpoints import BUFFER, POLICY, STATE

SMALL = {"lanes": 4, "slots": 8, "replay": 256, "start": 32, "passes": 2, "batch": 4}
"""Of a lane, 64 slots: a training of six iterations plays 48."""


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(verbs, "use_all_cores", lambda game="": None)


def chosen_for(out: Path, iterations: int = 6, env: str = PD, **more: Any) -> verbs.Train:
    own = {k: more.pop(k) for k in list(more) if k in dqn.Config.__dataclass_fields__}
    own: dict[str, Any] = {**SMALL, "widths": (4,), "steps": iterations * 32, **own}
    return verbs.Train(dqn.Config(**own), env=env, out=str(out), **more)


def train(chosen: verbs.Train, until: int | None = None) -> Path:
    with ends_after(until or 10**9):
        return verbs.run_training("dqn", chosen).folder


def go_on(chosen: verbs.Train, until: int | None = None) -> Path:
    return train(replace(chosen, out=None, resume=chosen.out), until)


def last(folder: Path) -> checkpoints.Checkpoint:
    found = checkpoints.latest(folder, None, (POLICY, STATE, BUFFER), pytest.fail)
    assert found is not None
    return found


def stores_of(folder: Path) -> dict[str, Replay]:
    return buffers.stores_of(last(folder))


WAYS: dict[str, dict[str, Any]] = {
    "half full": {},
    "written over": {"replay": 96},
    "prioritised, two seeds": {"priority": 0.6, "seeds": 2},
    "memory, matches and a rule": {"gru": 3, "window": 6, "burn_in": 2, "match": 2,
                                   "seat": ("0=self", "1=tit_for_tat")},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_half_and_half_are_the_whole(way, tmp_path):
    whole = left_by(train(chosen_for(tmp_path / "whole", **WAYS[way])))
    chosen = chosen_for(tmp_path / "halves", **WAYS[way])
    half = left_by(train(chosen, until=3))
    assert half.metrics == whole.metrics[:3] and half.state != whole.state
    assert left_by(go_on(chosen)) == whole


def test_buffers_have_a_file_of_their_own(tmp_path, capsys):
    folder = train(chosen_for(tmp_path / "run"))
    assert "checkpoints hold the whole buffer, " in capsys.readouterr().err
    found = last(folder)
    state = checkpoints.arrays_of(found, STATE)
    assert not [name for name in state if "replay" in name]
    assert (found.path / STATE).stat().st_size < 20_000
    (name,) = found.about["buffers"]
    assert name == "0/state/replay"
    assert found.about["buffers"][name]["full"]
    store = stores_of(folder)[name]
    assert store.slots["obs"].shape[:4] == (1, 1, 4, 64)
    assert store.written.tolist() == [[48]]
    assert store.slots["filled"].sum() == 4 * 48


def test_a_learner_without_a_buffer_is_saved_as_ever(tmp_path, capsys):
    chosen = settings(tmp_path / "run", 2)
    folder = verbs.run_training("ppo", chosen).folder
    found = last(folder)
    assert {*found.about["files"]} == {POLICY, STATE}
    assert "buffers" not in found.about
    assert "buffer" not in capsys.readouterr().err
    with pytest.raises(ValueError, match="has no buffer: ppo keeps none"):
        lent.held_by(folder)


def test_a_damaged_buffer_makes_way_for_the_one_before(tmp_path, capsys):
    chosen = replace(chosen_for(tmp_path / "run"), save_seconds=0)
    whole = left_by(train(chosen))
    path = checkpoints.folder_of(tmp_path / "run", 192) / BUFFER
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 4
    path.write_bytes(bytes(changed))
    go_on(chosen)
    said = capsys.readouterr().err
    assert f"{path} is damaged: " in said and "using the checkpoint of step 160" in said
    assert left_by(tmp_path / "run") == whole


@pytest.mark.parametrize(
    ("kept", "slots", "told", "said"),
    [
        ("last:10", 16, "the newest 16 slots of every lane of the buffer, ", "newest 16 slots of"),
        ("none", 0, "hold nothing of the buffer of ", "an empty one"),
    ],
)
def test_in_part_a_training_goes_on_with_what_there_is(kept, slots, told, said, tmp_path, capsys):
    chosen = chosen_for(tmp_path / "run", checkpoint_buffer=kept)
    whole = stores_of(train(chosen_for(tmp_path / "whole"), until=3))["0/state/replay"]
    folder = train(chosen, until=3)
    assert told in capsys.readouterr().err
    (store,) = stores_of(folder).values()
    assert store.slots["filled"].shape == (1, 1, 4, slots)
    for name, array in store.slots.items():
        assert np.array_equal(array, whole.slots[name][:, :, :, 24 - slots : 24]), name
    go_on(replace(chosen, checkpoint_buffer="full"))
    assert said in capsys.readouterr().err
    metrics = left_by(folder).metrics
    assert [row["iteration"] for row in metrics] == [1, 2, 3, 4, 5, 6]
    (store,) = stores_of(folder).values()
    assert store.slots["filled"].shape == (1, 1, 4, 64)
    assert store.written.tolist() == [[slots + 24]]
    with pytest.raises(ValueError, match="--checkpoint-buffer must be full, none, or last:K"):
        replace(chosen, checkpoint_buffer="last:0")


HOSTED = f"{Path(__file__).parents[1] / 'envs' / 'test_hosting.py'}:Leavers"


def test_games_in_ordinary_python_begin_anew_and_what_went_on_is_cut_off(tmp_path):
    chosen = chosen_for(tmp_path / "run", env=HOSTED, seeds=2)
    folder = train(chosen, until=3)
    before = stores_of(folder)
    assert [*before] == ["0/0/state/replay", "0/1/state/replay"]
    go_on(chosen)
    for name, store in stores_of(folder).items():
        was = before[name]
        for field, array in was.slots.items():
            assert np.array_equal(array[:, :24], store.slots[field][:, :24]), field
        assert (store.slots["time"][:, 24] == 0).all(), "another episode"


def test_a_buffer_is_lent_to_another_training(tmp_path, capsys):
    """Dealt anew to other lanes, and every episode is there."""
    source = train(chosen_for(tmp_path / "one"))
    held = lent.held_by(source)
    (episodes,) = held.seeds[0]
    assert episodes.batch_size == 4 * 48 // 4
    more: dict[str, Any] = {"lanes": 2, "replay": 400, "seeds": 2}
    chosen = chosen_for(tmp_path / "two", 1, buffer_from=str(source), **more)
    capsys.readouterr()
    folder = train(replace(chosen, config=replace(chosen.config, steps=16)))
    assert f"begins with 96 of the 96 episodes of {source}" in capsys.readouterr().err
    assert json.loads((folder / "config.json").read_text())["buffer_from"] == str(source)
    there = lent.held_by(folder)
    marks = lambda batch: sorted(x.tobytes() for x in np.asarray(batch["reward"]))
    for (batch,) in there.seeds:
        assert batch.batch_size == 48 + 2 * 2  # of two lanes, two more each
        assert {*marks(episodes)} <= {*marks(batch)}
    write_parquet(tmp_path / "all.parquet", episodes)
    again = replace(chosen, out=str(tmp_path / "three"), buffer_from=str(tmp_path / "all.parquet"))
    same = train(replace(again, config=replace(chosen.config, steps=16)))
    assert left_by(same) == left_by(folder)


@pytest.mark.parametrize(("theirs", "ours"), [(0.6, 0.0), (0.0, 0.6), (0.6, 0.6)])
def test_priorities_are_lent_where_they_are_wanted_and_else_begin_anew(theirs, ours, tmp_path):
    source = train(chosen_for(tmp_path / "one", priority=theirs))
    (episodes,) = lent.held_by(source).seeds[0]
    more: dict[str, Any] = {"lanes": 6, "replay": 600, "start": 48, "passes": 1, "batch": 1}
    more |= {"steps": 48, "buffer_from": str(source), "priority": ours}
    (store,) = stores_of(train(chosen_for(tmp_path / "two", **more))).values()
    ring = {name: np.asarray(x)[0, 0] for name, x in store.slots.items()}
    assert store.written.tolist() == [[32 + 8]] and ring["filled"][:, :32].all()
    marks = lambda x: sorted(np.asarray(x, np.float32).ravel().tolist())
    assert marks(ring["reward"][:, :32]) == marks(episodes["reward"])
    assert ("priority" in ring) == (ours > 0) and ("priority" in episodes.data) == (theirs > 0)
    if ours:
        was = marks(episodes["priority"]) if theirs else [-1.0]
        assert len(was) == 1 or max(was) > 0, "some are known"
        assert len({*marks(ring["priority"][:, :40])} - {*was, -1.0}) == 1, (
            "of the one decision drawn"
        )
        assert not theirs or {*was} <= {*marks(ring["priority"][:, :40])}


def test_a_lent_buffer_is_used_once(tmp_path, capsys):
    source = train(chosen_for(tmp_path / "one", 2))
    chosen = chosen_for(tmp_path / "two", buffer_from=str(source))
    whole = left_by(train(replace(chosen, out=str(tmp_path / "whole"))))
    train(chosen, until=3)
    assert left_by(go_on(chosen)) == whole
    assert capsys.readouterr().err.count("begins with") == 2
    words = ["train", "dqn", "--resume", str(tmp_path / "two"), "--buffer-from", "other"]
    assert cli.main(words) == 2
    assert f"--buffer-from was '{source}' in that run, found 'other'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("algorithm", "words", "says"),
    [
        ("ppo", "", "--buffer-from {source}: ppo keeps no buffer of episodes"),
        ("goal_ppo", "--replay 1 --lanes 8", "goal_ppo keeps what it played with what it rem"),
        ("dqn", "--env matrix:stag,horizon=9", "at most 10 slots here"),
        ("dqn", "--env stag_hunt:4x4", "another scheme: field 'obs': expected "),
        ("dqn", "--priority 0.5 --buffer-from nowhere.npz", "cannot read nowhere.npz: No such"),
    ],
)
def test_what_cannot_be_lent_is_refused_before_there_is_a_folder(
    algorithm, words, says, tmp_path, capsys
):
    source = train(chosen_for(tmp_path / "one", 2))
    line = ["train", algorithm, "--out", str(tmp_path / "two"), *words.split()]
    line += [] if "--env" in words else ["--env", PD]
    line += [] if "--buffer-from" in words else ["--buffer-from", str(source)]
    capsys.readouterr()
    if "horizon=9" in words:  # longer ones fit
        source = train(chosen_for(tmp_path / "long", 2, env="matrix:pd,horizon=12"))
        line = [str(source) if word == str(tmp_path / "one") else word for word in line]
    assert cli.main(line) == 2
    assert says.format(source=source) in capsys.readouterr().err
    assert not (tmp_path / "two").exists()


def test_the_verb_tells_and_converts(tmp_path, capsys):
    run = train(chosen_for(tmp_path / "run", seeds=2))
    capsys.readouterr()
    assert data.main(["describe", str(run), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["checkpoint"], row["seeds"], row["episodes"], row["slots"]) == (192, 2, 96, 384)
    assert row["stored_slots"] == 2 * 4 * 48 and row["padding"] == 0
    assert row["length"] == {"min": 4, "median": 4, "max": 4}
    assert row["fields"]["actions"] == {
        "shape": [2], "dtype": "int8", "group": "agents", "constant": False, "bytes": 2,
    }  # fmt: skip
    assert data.main(["convert", str(run), str(tmp_path / "a.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 96
    assert data.main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "a.parquet")]) == 0
    one, two = read_npz(tmp_path / "a.npz"), read_parquet(tmp_path / "a.parquet")
    assert all(np.array_equal(one[name], two[name]) for name in (*one.data, "filled"))
    held = lent.all_of(lent.held_by(run))
    assert all(np.array_equal(one[name], held[name]) for name in one.data)
    capsys.readouterr()
    for path in (run, tmp_path / "a.npz"):
        assert data.main(["describe", str(path)]) == 0
    told = capsys.readouterr().out
    assert told.count("96 whole episodes of 384 slots; lengths 4 to 4, median 4") == 2
    assert told.count("mean return of every agent: ") == 2
    with pytest.raises(ValueError, match="is there already"):
        data.main(["convert", str(run), str(tmp_path / "a.npz")])


def test_runs_that_hold_nothing_are_named(tmp_path):
    chosen = chosen_for(tmp_path / "run", 1, checkpoint_buffer="none")
    folder = train(chosen)
    with pytest.raises(ValueError, match="step 32 has no buffer: --checkpoint-buffer was none"):
        lent.held_by(folder)
    with pytest.raises(ValueError, match="is no run folder"):
        lent.held_by(tmp_path)
    assert runs.read_config(folder)["checkpoint_buffer"] == "none"
