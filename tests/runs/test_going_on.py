"""What goes on with a run beside its arrays: how it is saved, whom it meets, what was damaged."""

import json
from pathlib import Path

import pytest
from going_on import PD, go_on, settings, train

from counterplay import cli, envs, verbs
from counterplay.pools import roster_of
from counterplay.runs import checkpoints

LINE = f"train ppo --env {PD} --lanes 4 --slots 8 --widths 4 --minibatches 2 --epochs 1"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(verbs, "use_all_cores", lambda game="": None)


def test_checkpoints_that_were_to_stay_do_so_when_a_run_goes_on(tmp_path, capsys):
    run = tmp_path / "run"
    train(settings(run, 12, save_seconds=0, keep=2, keep_every=96), until=8)
    there = [96, 192, 224, 256]
    assert sorted(checkpoints.steps_of(run)) == there
    assert cli.main(["train", "ppo", "--resume", str(run), "--json"]) == 0
    assert sorted(checkpoints.steps_of(run)) == [96, 192, 288, 352, 384]
    row = json.loads(capsys.readouterr().out)
    speed = (384 - 256) / row["seconds"]
    assert row["steps"] == 384 and abs(row["steps_per_second"] - speed) < 1, "of this sitting"


def test_a_pool_that_changed_is_told_by_its_names(tmp_path, capsys):
    pool, run = tmp_path / "pool.txt", tmp_path / "run"
    pool.write_text("tit_for_tat\nrandom\n")
    seats = ["--seat", "0=self", "--seat", f"1=pool:{pool}"]
    assert cli.main([*LINE.split(), *seats, "--steps", "64", "--out", str(run), "--json"]) == 0
    pool.write_text("always_defect\nrandom\n")
    capsys.readouterr()
    assert cli.main(["train", "ppo", "--resume", str(run)]) == 2
    told = capsys.readouterr().err
    assert "opponents were self, tit_for_tat, random" in told
    assert "found self, always_defect, random" in told


def test_opponents_are_named_whole_with_their_settings():
    env = envs.make(PD)
    rule = "generous_tit_for_tat:tremble=.1,forgive=.2"
    names = verbs.opponents_of(roster_of(env, {0: "self", 1: f"{rule},random"}))
    assert names == ["self", rule, "random"]


def test_what_was_damaged_goes_when_there_is_something_whole_after_it(tmp_path, capsys):
    run = tmp_path / "run"
    train(settings(run, 12, save_seconds=0, keep=3), until=5)
    for steps in (128, 160):
        manifest = checkpoints.folder_of(run, steps) / "manifest.json"
        manifest.write_bytes(manifest.read_bytes()[:-3])
    go_on(settings(run, 12, save_seconds=0, keep=3), until=7)
    assert sorted(checkpoints.steps_of(run)) == [160, 192, 224]
    for steps in (160, 192, 224):
        checkpoints.at_step(run, None, steps, (checkpoints.POLICY, checkpoints.STATE))
    capsys.readouterr()


def test_how_it_was_saved_stands_in_the_settings(tmp_path):
    folder = train(settings(tmp_path / "run", 2, keep=7))
    row = json.loads(Path(folder, "config.json").read_text())
    assert (row["keep"], row["keep_every"], row["save_seconds"]) == (7, None, 60.0)
