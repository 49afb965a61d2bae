"""Every benchmark in miniature: it runs, and its JSON has the numbers that are read from it."""

import json
import os
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from counterplay import bench
from counterplay.bench import cartpole, figures, host, learning
from counterplay.errors import GameError
from counterplay.pools import read_seats

SMALL = "--steps 20000 --episodes 64"


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """Benchmarks choose cores and devices; this process keeps those it has."""
    monkeypatch.setattr(learning, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(host, "run_where_called", lambda: None)
    monkeypatch.setattr(cartpole, "run_where_called", lambda: None)
    if hasattr(os, "sched_setaffinity"):
        monkeypatch.setattr(os, "sched_setaffinity", lambda *args: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answer(capsys):
    def ask(command: str) -> dict[str, Any]:
        assert bench.main([*command.split(), "--json"]) == 0
        return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    return ask


def test_step(answer):
    row = answer("step --rounds 3 --lanes 8 --slots 4 --env stag_hunt:6x6,view=1")
    assert set(row) == {"env", "lanes", "seed", "compact", "planes"}
    assert (row["env"], row["lanes"], row["seed"]) == ("stag_hunt:6x6,view=1", 8, 0)
    assert row["compact"] > 0 and row["planes"] > 0


def test_host(answer):
    row = answer("host --copies 2 --seconds .4")
    assert set(row) == {"env", "copies", "seconds", "seed", "rows"}
    assert set(row["rows"]) == {"random", "ppo"}
    for speed in row["rows"].values():
        assert set(speed) == {"bare", "hosted", "ratio"}
        assert speed["bare"] > 0 and speed["hosted"] > 0 and 0 < speed["ratio"] < 10


def test_rules(answer):
    rows = answer("rules --episodes 64")["rows"]
    assert [row["who"] for row in rows] == list(learning.LINE_UPS)
    for row in rows:
        assert set(row) == {"who", "mean", "error", "length"}
        assert len(row["mean"]) == len(row["error"]) == 4
        assert sum(row["mean"]) <= 14, "one stag and four hares is all there is"
        assert all(0 <= error < 1 for error in row["error"])
    mean = {row["who"]: row["mean"] for row in rows}
    hunters = "2 nearest_stag, 2 nearest_hare"
    assert min(mean[hunters][:2]) > max(mean[hunters][2:]), "seats 0 and 1 hunt the stag"
    assert mean["1 nearest_stag, 3 nearest_hare"][0] < 0.5, "alone nobody catches one"
    assert max(mean["4 random"]) < min(mean["4 nearest_hare"])


def test_snowdrift(answer, monkeypatch):
    few = {"4 cleaner", learning.LONE_CLEANER}
    line_ups = {who: seats for who, seats in learning.SNOW_LINE_UPS.items() if who in few}
    monkeypatch.setattr(learning, "SNOW_LINE_UPS", line_ups)
    rows = {row["who"]: row for row in answer("snowdrift --episodes 64")["rows"]}
    assert set(rows) == few
    assert sum(rows["4 cleaner"]["mean"]) == pytest.approx(3 * 20), "each drift: 4 times 6, less 4"
    cleaner, *riders = rows[learning.LONE_CLEANER]["mean"]
    assert 4 <= cleaner <= 6 and riders == pytest.approx([3 * cleaner] * 3)
    assert rows["4 cleaner"]["length"] < rows[learning.LONE_CLEANER]["length"] <= 15


def test_snowdrift_notices_a_game_that_does_not_pay_what_it_should(monkeypatch):
    row = SimpleNamespace(mean=np.array([2.0, 6.0, 5.5, 6.0]))
    monkeypatch.setattr(learning, "_earned", lambda *_: {learning.LONE_CLEANER: row})
    with pytest.raises(GameError, match=r"three to one; found 6, 5\.5, 6 to 2: the game"):
        bench.main(["snowdrift"])


def test_line_ups_are_called_by_who_sits_there():
    for who, seats in (learning.LINE_UPS | learning.SNOW_LINE_UPS).items():
        counts = Counter(read_seats(seats, 4).values())
        assert {f"{count} {name}" for name, count in counts.items()} == {*who.split(", ")}


def test_selfplay(answer):
    row = answer(f"selfplay {SMALL} --seeds 2 --seed 3 --env matrix:pd,horizon=5")
    assert set(row) == {"bench", "seconds", "compile_seconds", "steps", "sampled_mean", "rows"}
    assert row["steps"] == 24576 and 0 < row["compile_seconds"] < row["seconds"]
    assert [r["seed"] for r in row["rows"]] == [3, 4]
    for r in row["rows"]:
        assert set(r) == {"seed", "sampled", "error", "greedy"}
        assert 5 <= r["sampled"] <= 15 and 5 <= r["greedy"] <= 15 and 0 <= r["error"] < 1
    assert row["sampled_mean"] == pytest.approx(sum(r["sampled"] for r in row["rows"]) / 2)


def test_time_is_taken_from_the_start_of_the_command(answer, monkeypatch):
    """With what is imported before the first training."""
    began = []
    monkeypatch.setattr(
        learning, "use_all_cores", lambda game="": began.append(time.perf_counter())
    )
    train = learning.run_training

    def told(*args, **settings):
        began.append(settings["began"])
        return train(*args, **settings)

    monkeypatch.setattr(learning, "run_training", told)
    monkeypatch.setattr(learning, "_score", lambda *args, **settings: pytest.skip("seen enough"))
    with pytest.raises(pytest.skip.Exception):
        answer("selfplay --steps 2000 --episodes 4 --env matrix:pd,horizon=5")
    assert began[1] <= began[0], "the clock was read before the cores were chosen"


def test_focal_keeps_a_run_for_each_opponent(answer, here):
    who = "always_cooperate:tremble=0"
    rows = answer(f"focal {SMALL} --env matrix:pd,horizon=5 --against {who} --out kept")["rows"]
    (row,) = rows
    assert set(row) == {"against", "seed", "sampled", "±sampled", "greedy", "±greedy", "seconds"}
    assert row["against"] == who and 15 <= row["sampled"] <= 25 and row["±greedy"] == 0
    assert (here / "kept" / who / "config.json").exists()


def test_foraging(answer):
    found = answer("foraging --steps 2048 --episodes 4 --seeds 1")
    (row,) = found["rows"]
    assert set(row) == {"seed", "team return", "length"}
    assert 0 <= row["team return"] <= 1 and 1 <= row["length"] <= 50


def test_cartpole(answer):
    found = answer("cartpole --steps 2048 --episodes 2 --seeds 1 --seed 5")
    (row,) = found["rows"]
    assert set(row) == {"seed", "greedy", "sampled", "step", "seconds"} and row["seed"] == 5
    assert 8 <= row["greedy"] <= 500 and 8 <= row["sampled"] <= 500
    solved = int(row["greedy"] >= 475)
    assert (found["solved"], found["steps"], found["episodes"]) == (solved, 2048, 2)
    last = figures.TABLES["cartpole"](found)[-1]
    assert last["greedy play, of 500"] == f"{solved} of 1 at 475 or more"


def test_processes_share_the_seeds_of_cartpole(answer, monkeypatch):
    """Each is asked for its part, and a failure of one is not passed over."""
    asked = []

    class Process:
        def __init__(self, command, **settings):
            asked.append(command[-5:])
            self.first, self.returncode = int(command[-2][7:]), int("--seeds=9" in command)

        def communicate(self):
            rows = [{"seed": self.first, "greedy": 500.0, "sampled": 1.0, "seconds": 1.0}]
            return json.dumps({"rows": rows}), None

    monkeypatch.setattr(cartpole.subprocess, "Popen", Process)
    found = answer("cartpole --seeds 7 --seed 3 --at-once 3 --steps 9 --episodes 4")
    size = ["--steps=9", "--episodes=4", "--algorithm=ppo"]
    parts = [("--seed=3", "--seeds=2"), ("--seed=5", "--seeds=2"), ("--seed=7", "--seeds=3")]
    assert asked == [[*size, *part] for part in parts]
    assert [row["seed"] for row in found["rows"]] == [3, 5, 7] and found["solved"] == 3
    with pytest.raises(ValueError, match="a training failed"):
        bench.main(["cartpole", "--seeds", "18", "--at-once", "2"])


@pytest.mark.parametrize(("name", "column"), [("rules", "who"), ("step", "observations")])
def test_people_read_a_table(name, column, capsys, monkeypatch):
    monkeypatch.setattr(learning, "LINE_UPS", {"4 stay": ("0..3=stay",)})
    small = "--episodes 8" if name == "rules" else "--rounds 2 --lanes 4 --slots 2"
    assert bench.main([name, *small.split()]) == 0
    out = capsys.readouterr().out
    assert column in out and out.splitlines()[-1].startswith("└")


def test_every_benchmark_leads_to_a_function_and_a_table():
    from importlib import import_module

    for place, about in bench.BENCHES.values():
        module, function = place.split(":")
        assert callable(getattr(import_module(module), function)) and about
    assert set(figures.SUITE) <= set(figures.TABLES)
    for command in figures.SUITE.values():
        verb, *rest = command.split()
        assert verb != "bench" or rest[0] in bench.BENCHES


def test_figures_are_written_between_their_marks(here):
    result = {
        "env": "stag_hunt:4x4",
        "lanes": 8,
        "seed": 0,
        "compact": 2_000_000,
        "planes": 500_000,
    }
    row = {"command": "counterplay bench step", "date": "2026-11-24", "wall_seconds": 3.2}
    row |= {"cores": 2, "machine": "x86_64", "versions": {"jax": "1.2.3"}, "result": result}
    (here / "benchmarks").mkdir()
    (here / "benchmarks" / "step.json").write_text(json.dumps(row))
    text = "# Speed\n<!-- figures:step -->\nlast year's\n<!-- /figures:step -->\nafter\n"
    kept = "<!-- figures:host -->\nnot measured again\n<!-- /figures:host -->\n"
    (here / "README.md").write_text(text + kept)
    assert bench.main(["figures", "--render", "--write", "README.md"]) == 0
    found = (here / "README.md").read_text()
    assert "last year" not in found and "2.0 M" in found and "jax 1.2.3" in found
    assert found.startswith("# Speed\n<!-- figures:step -->\n|") and found.endswith(
        "after\n" + kept
    )
    assert bench.main(["figures", "--render", "--write", "README.md"]) == 0
    assert Path("README.md").read_text() == found, "writing them twice changes nothing"
    with pytest.raises(ValueError, match=r"unknown table 'stpe' .did you mean 'step'"):
        bench.main(["figures", "--only", "stpe"])
