"""The store's own speed in miniature, and what is refused."""

import json
import os

import pytest

from counterplay import bench
from counterplay.bench.buffer import RATES, Buffer, _read
from counterplay.bench.stored import measure
from counterplay.bench.tables import TABLES

SMALL = {"episodes": 24, "rows": 4, "repeats": 1, "seconds": 0.001}


@pytest.mark.parametrize("task", ["5", "stag_hunt"])
def test_all_that_is_asked_for_is_held_and_timed(task, tmp_path):
    chosen = Buffer(lengths=str(tmp_path / "lengths.npz"), **SMALL)
    row = measure(chosen, task)
    assert min(row[name] for name in (*RATES, "copy", "payload", "bytes")) > 0
    assert row["payload_read"] > row["payload"], "one-hots are read, not stored"
    assert (tmp_path / "lengths.npz").is_file()
    told = {"rows": [{"task": task, "memory": "kept", "who": "counterplay"} | row]}
    assert TABLES["buffer"](told)[0]["who"] == "counterplay"


def test_a_peer_without_programs_is_called_for_each_draw():
    calls = {"sample": 3.0, "insert": 2.0}
    row = {f"{n}_episodes_per{cpu}_s": x for n, x in calls.items() for cpu in ("", "_cpu")}
    row |= {"bytes_held": 10, "bytes_per_episode": 5}
    found = _read(row)
    assert (found["sample_inside"], found["insert_inside_busy"]) == (3.0, 2.0)
    assert (
        _read(row | {"sample_inside_episodes_per_s": 9.0, "sample_inside_episodes_per_cpu_s": 9})[
            "sample_inside"
        ]
        == 9.0
    )


def test_the_command(capsys, monkeypatch):
    monkeypatch.setattr("counterplay.bench.buffer.take_one_core", lambda: None)
    words = "buffer --alone 3 --episodes 8 --rows 2 --repeats 1 --seconds .001"
    assert bench.main([*words.split()]) == 0
    assert json.loads(capsys.readouterr().out)["horizon"] == 3
    assert os.environ.get("MALLOC_MMAP_THRESHOLD_") is None


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="a task is stag_hunt or a number of steps, found 'hunt'"):
        Buffer(tasks=("hunt",))
    with pytest.raises(ValueError, match=r"(?s)unknown memory 'new'.*kept"):
        Buffer(memory=("new",))
    with pytest.raises(ValueError, match="rounds must be at least 1, found 0"):
        Buffer(rounds=0)
