"""Logs: nothing is told twice, whatever happened in between, and everything once."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from counterplay.episodes.files import read_rows
from counterplay.errors import SaveError
from counterplay.runs import disk, logbook
from counterplay.runs.logbook import Logbook

SEEDS = [5, 6]
Event: Any = vars(event_pb2)["Event"]


def tell(logs: Logbook, first: int, last: int) -> None:
    """Iterations first to last; in each an episode of length i ends in seed 5, every other in 6."""
    for i in range(first, last + 1):
        row = {"iteration": i, "steps": 8 * i, "return": [float(i), None if i % 2 else 2.0 * i]}
        ended = np.array([[[False, True]], [[False, i % 2 == 0]]])
        episodes = {
            "ended": ended,
            "length": np.full(ended.shape, i),
            "returns": np.full((*ended.shape, 2), float(i)),
            "opponent_id": np.full((*ended.shape, 2), i % 3),
        }
        logs.write(row | {"count": [i, i]}, episodes)


def noted(logs: Logbook, iteration: int) -> dict[str, Any]:
    return {"iteration": iteration, "steps": 8 * iteration} | logs.settle()


def read(folder: Path) -> tuple[list[int], list[int], list[int]]:
    """Iterations with a line of metrics, and with an episode of each seed."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = read_rows(folder / "episodes.parquet")
    told = [json.loads(line, parse_constant=pytest.fail)["iteration"] for line in lines]
    one, other = (rows["iteration"][rows["seed"] == seed].tolist() for seed in SEEDS)
    assert (rows["length"] == rows["iteration"]).all()
    assert (rows["return_1"] == rows["iteration"]).all()
    assert (rows["opponent_id_0"] == rows["iteration"] % 3).all()
    assert (rows["steps"] == 8 * rows["iteration"]).all()
    return told, one, other


def all_of(last: int) -> tuple[list[int], list[int], list[int]]:
    return list(range(1, last + 1)), list(range(1, last + 1)), list(range(2, last + 1, 2))


def test_everything_is_told_once(tmp_path):
    logs = Logbook(tmp_path, SEEDS)
    tell(logs, 1, 4)
    noted(logs, 4)
    tell(logs, 5, 9)
    noted(logs, 9)
    assert noted(logs, 9)["metrics_bytes"] == (tmp_path / "metrics.jsonl").stat().st_size
    logs.close()
    assert read(tmp_path) == all_of(9)
    names = sorted(p.name for p in (tmp_path / "episodes.parquet").iterdir())
    assert names == ["part-000000004.parquet", "part-000000009.parquet"]


@pytest.mark.parametrize("back", [3, 6])
def test_what_came_after_is_cut_and_told_again(back, tmp_path, monkeypatch):
    monkeypatch.setattr(logbook, "MOST_ROWS", 2)  # so parts are written between saves, too
    logs, notes = Logbook(tmp_path, SEEDS), {}
    for i in range(1, 10):
        tell(logs, i, i)
        if i % 3 == 0:
            notes[i] = noted(logs, i)
    tell(logs, 10, 11)
    logs.close()
    (tmp_path / "episodes.parquet" / "part-000000012.parquet.part").write_text("half")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 12, "st')  # killed in the middle of a line
    logs = Logbook(tmp_path, SEEDS, notes[back])
    tell(logs, back + 1, 12)
    noted(logs, 12)
    logs.close()
    assert read(tmp_path) == all_of(12)


def test_without_a_checkpoint_logs_begin_anew(tmp_path):
    for _ in range(2):
        logs = Logbook(tmp_path, SEEDS)
        tell(logs, 1, 12)
        noted(logs, 12)
        logs.close()
    assert read(tmp_path) == all_of(12)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_lines_that_are_lost_are_missed(tmp_path):
    logs = Logbook(tmp_path, SEEDS)
    tell(logs, 1, 3)
    note = noted(logs, 3)
    logs.close()
    path = tmp_path / "metrics.jsonl"
    os.truncate(path, note["metrics_bytes"] - 1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"{path} is shorter than when .* step 24 was saved"):
        Logbook(tmp_path, SEEDS, note)
    assert path.read_bytes() == before


def test_going_on_where_nothing_is_told_changes_nothing(tmp_path):
    logs = Logbook(tmp_path, SEEDS)
    tell(logs, 1, 12)
    note = noted(logs, 12)
    logs.close()
    files = lambda: {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    before = files()
    for _ in range(2):
        logs = Logbook(tmp_path, SEEDS, note)
        assert noted(logs, 12) == note
        logs.close()
    assert files() == before


def events(folder: Path) -> list[Any]:
    """All of them, in the order of their files: length, its checksum, the event, its checksum."""
    found = []
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            found.append(Event.FromString(data[at + 12 : at + 12 + size]))
            at += 16 + size
    return found


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """As TensorBoard shows them: a new start removes what was told of its steps before."""
    kept: list[tuple[int, float]] = []
    for event in events(folder / "tensorboard"):
        if event.HasField("session_log"):
            kept = [(step, value) for step, value in kept if step < event.step]
        kept += [(event.step, v.simple_value) for v in event.summary.value if v.tag == tag]
    return kept


def test_scalars_are_means_over_some_iterations_and_told_once(tmp_path):
    logs = Logbook(tmp_path, SEEDS)
    tell(logs, 1, 20)
    note = noted(logs, 20)
    tell(logs, 21, 40)
    logs.close()
    assert scalars(tmp_path, "return/seed_5")[-1] == (320, 35.5)
    logs = Logbook(tmp_path, SEEDS, note)
    tell(logs, 21, 33)
    logs.close()
    wanted = [(80, 5.5), (160, 15.5), (240, 25.5), (264, 32.0)]
    assert scalars(tmp_path, "return/seed_5") == wanted
    assert scalars(tmp_path, "return/seed_6") == [(80, 12), (160, 32), (240, 52), (264, 64)]
    assert scalars(tmp_path, "count/seed_5") == wanted


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_logs_on_a_full_disk_say_so(name, tmp_path, monkeypatch):
    logs = Logbook(tmp_path, SEEDS)
    tell(logs, 1, 3)

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os if name == "fsync" else Path, name, full)
        sentence = rf"logs were not saved: cannot write to {tmp_path}: No space.*up to .* are free"
        with pytest.raises(SaveError, match=sentence):
            logs.settle()
    assert not list(tmp_path.rglob("*.part"))
    noted(logs, 3)
    logs.close()
    assert read(tmp_path) == all_of(3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_line_that_does_not_fit_says_so_and_closing_hides_nothing(tmp_path):
    logs = Logbook(tmp_path, SEEDS)
    logs._file.close()
    logs._file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "ab")
    with pytest.raises(SaveError, match=r"logs were not saved: .*No space left on device"):
        tell(logs, 1, 500)
    logs.close()
    assert disk.free(tmp_path) > 0
