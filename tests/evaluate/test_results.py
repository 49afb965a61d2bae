"""Results on disk: whole or not there, and with all that has to be known of them."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from counterplay import envs, runs
from counterplay.algos import ppo
from counterplay.episodes.files import read_rows
from counterplay.evaluate import results
from counterplay.evaluate.disjoint import opponent_digest
from counterplay.evaluate.results import described, digests, opening, save_result
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.pools import roster_against
from counterplay.runs.folder import commit

PD = "matrix:pd,horizon=4"


@pytest.fixture(scope="module")
def rows() -> EpisodeRows:
    env, rows = envs.make(PD), EpisodeRows()
    evaluate(env, roster_against(env, "grim", ("bully", "random")), 6, match=3, rows=rows)
    return rows


def test_rows_are_read_as_they_were(tmp_path, rows):
    save_result(tmp_path / "new" / "folder", {"kind": "eval", "opponents": {3: "x"}}, rows)
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "result.json",
        "rows.parquet",
    ]
    found = read_rows(tmp_path / "new" / "folder" / "rows.parquet")
    expected = rows.columns()
    assert list(found) == list(expected)
    for name, column in expected.items():
        assert np.array_equal(found[name], np.array(column, found[name].dtype)), name
        if name != "label":
            assert found[name].dtype == column.dtype, name
    assert json.loads((tmp_path / "new/folder/result.json").read_text())["opponents"] == {"3": "x"}
    notes = pq.read_schema(tmp_path / "new/folder/rows.parquet").metadata
    told = {key.decode(): json.loads(text) for key, text in notes.items()}
    assert told == {"kind": "eval", "opponents": {"3": "x"}}, "rows that lie alone say whose"


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("broken", ["write_rows", "write_whole"])
def test_of_a_result_that_cannot_be_written_nothing_is_left(
    there, broken, tmp_path, rows, monkeypatch
):
    folder = tmp_path / "result"
    if there:
        folder.mkdir()
        (folder / "mine.txt").write_text("kept")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, broken, full)
    with pytest.raises(OSError, match="No space left"):
        save_result(folder, {}, rows)
    assert folder.exists() == there and not (folder / "result.json").exists()
    assert not there or (folder / "mine.txt").read_text() == "kept"


def test_a_folder_below_a_file_is_told(tmp_path, rows):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        save_result(tmp_path / "file" / "result", {}, rows)


def test_who_when_and_with_what(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {0: "run:x/a#1", 1: "grim", 2: "run:x/a", 3: f"run:{tmp_path}/b@200"}
    row = described("eval", ["counterplay", "eval", "x/a"], names, seed=3)
    assert row["kind"] == "eval" and row["command"] == ["counterplay", "eval", "x/a"]
    assert row["runs"] == [os.path.realpath("x/a"), os.path.realpath("b")]
    assert set(row["versions"]) == {"counterplay", "jax", "jaxlib"} and row["seed"] == 3
    assert re.fullmatch("([0-9a-f]{40}(-dirty)?)?", row["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", row["date"])


@pytest.fixture
def run(tmp_path) -> str:
    """A run with checkpoints of steps 0 and 7."""
    runs.save_config(tmp_path, "ppo", PD, [{"name": "x", "members": 1, "seats": []}], ppo.Config())
    for steps in (0, 7):
        runs.save_policy(tmp_path, np.full(2, steps), steps)
    return f"run:{tmp_path}"


def test_the_checkpoint_that_played_is_told(run):
    names = ["grim", run, f"{run}@0#1", run, "run:nowhere"]
    with opening(names) as found:
        assert found == {}
    assert {name: one["steps"] for name, one in found.items()} == {run: 7, f"{run}@0#1": 0}
    for one in found.values():
        file = f"{run.removeprefix('run:')}/checkpoints/{one['steps']:012d}/policy.safetensors"
        assert one["sha256"] == hashlib.sha256(Path(file).read_bytes()).hexdigest()


def test_a_checkpoint_that_came_while_they_were_opened_leaves_it_open(run):
    """Nobody can say which of the two was read."""
    with opening([run, f"{run}@7"]) as found:
        runs.save_policy(Path(run.removeprefix("run:")), np.zeros(2), 9)
    assert list(found) == [f"{run}@7"]


def test_of_a_damaged_checkpoint_the_one_before_played(run):
    folder = Path(run.removeprefix("run:")) / "checkpoints"
    (folder / "000000000007" / "policy.safetensors").write_bytes(b"")
    with opening([run]) as found:
        pass
    assert found[run]["steps"] == 0


def test_players_are_told_by_what_they_play_and_not_by_how_it_is_written(run, tmp_path):
    """One of 12 digits for every way to write the same; the run's as it was when it sat down."""
    (tmp_path / "mine.py").write_text("class One: ...")
    (tmp_path / "copy.py").write_text("class One: ...")
    files = [f"{tmp_path}/mine.py:One", f"{tmp_path}/copy.py:One"]
    names = ["grim", "grim:tremble=0.05", "grim:tremble=.1", *files, run, f"{run}@7", f"{run}@0"]
    names += [f"{run}#1", "roshambo:boom", " roshambo: boom", "roshambo:greenberg"]
    names += [f"mcts:sims=20+{run}", f"mcts: sims=20 +{run}", f"mcts:sims=30+{run}"]
    with opening(names) as found:
        pass
    told = digests(dict(enumerate(names)), "matrix", found)
    runs.save_policy(Path(run.removeprefix("run:")), np.zeros(2), 9)
    assert told == digests(dict(enumerate(names)), "matrix", found), "a later checkpoint played"
    assert told[6] == opponent_digest(f"{run}@7", "matrix") != opponent_digest(run, "matrix")
    alike = [{0, 1}, {2}, {3, 4}, {5, 6}, {7}, {8}, {9, 10}, {11}, {12, 13}, {14}]
    assert sorted(map(sorted, _groups(told))) == sorted(map(sorted, alike))
    assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in told.values())


def _groups(told: dict[int, str]) -> list[set[int]]:
    return [{i for i, one in told.items() if one == digest} for digest in set(told.values())]


def test_a_run_of_which_nobody_can_say_what_played_has_no_digest(run):
    assert list(digests({0: run, 1: "random"}, "matrix", {})) == [1]


def test_the_commit_of_a_checkout_is_told_and_of_nothing_else(tmp_path):
    """Not that of somebody's repository further up, in which this is installed."""
    commit.cache_clear()
    assert commit(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        (tmp_path / "file").write_text("one")
        subprocess.run([*git, *words], check=True)
    commit.cache_clear()
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert len(head.stdout) == 41 and commit(tmp_path) == head.stdout.strip()
    (tmp_path / "file").write_text("two")
    commit.cache_clear()
    assert commit(tmp_path) == f"{head.stdout.strip()}-dirty"
    (tmp_path / "inside").mkdir()
    assert commit(tmp_path / "inside") == ""


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.TimeoutExpired("git", 1)])
def test_where_git_cannot_tell_nothing_breaks(error, tmp_path, monkeypatch):
    (tmp_path / ".git").write_text("gitdir: nowhere")
    commit.cache_clear()
    assert commit(tmp_path) == "", "git says that this is no repository"

    def fail(*words: Any, **how: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    commit.cache_clear()
    assert commit(tmp_path) == ""
    commit.cache_clear()
