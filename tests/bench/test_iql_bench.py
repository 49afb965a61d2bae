"""EPyMARL's IQL beside our DQN in miniature: who runs where, with what, and what is told."""

import json
import os
import time
from typing import Any

import pytest

from counterplay import bench, envs
from counterplay.algos import loops
from counterplay.bench import figures, iql
from counterplay.bench.tables import TABLES

pytest.importorskip("lbforaging")

GAME = "lbforaging:Foraging-5x5-2p-1f-v3"
PEER = """
import argparse, json
parser = argparse.ArgumentParser()
for name in ("peer", "game", "minutes", "seed", "out"):
    parser.add_argument(f"--{name}", required=True)
asked = parser.parse_args()
assert (asked.peer, asked.minutes, asked.seed) == ("somewhere", "0.5", "3"), asked
assert asked.game.startswith("lbforaging:Foraging-5x5"), asked
found = {"steps_per_gradient_step": 49.5, "steps": 9000, "seconds": 30.0, "steps_per_s": 300.0}
found |= {"steps_per_cpu_s": 301.0, "test_return": 0.25}
open(asked.out, "w").write(json.dumps(found))
"""
OURS = {
    "who": "counterplay DQN, its defaults", "network": "128 x 64", "batch": "64 decisions",
    "steps_per_gradient_step": 4.0, "steps": 1024, "seconds": 2.0, "steps_per_s": 600.0,
    "steps_per_cpu_s": 610.0, "return": 0.5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def cores(monkeypatch, tmp_path):
    """Lists of the cores that this process would have kept to; it keeps those it has."""
    kept: list[Any] = []
    monkeypatch.setattr(iql, "run_where_called", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5, 2, 9}, raising=False)
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda pid, cores: kept.append(cores), raising=False
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    return kept


def peer_is(text: str) -> None:
    iql.SCRIPT.write_text(text)


def test_both_are_trained_side_by_side_a_core_each(cores, capsys):
    peer_is(PEER)
    small = "--steps 1024 --equal-steps 1600 --every 100 --episodes 4 --minutes .5 --seed 3"
    command = ["iql", "--env", GAME, *small.split(), "--peer", "somewhere", "--json"]
    assert bench.main(command) == 0
    assert cores == [[9], [2]], "EPyMARL on the last one, ours on the first"
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (found["env"], found["seed"], found["elsewhere"]) == (GAME, 3, None)
    alike, usual, theirs = found["rows"]
    assert [row["who"] for row in (alike, usual, theirs)] == [
        "counterplay DQN, EPyMARL's settings", "counterplay DQN, its defaults", "EPyMARL IQL",
    ]  # fmt: skip
    assert (alike["network"], alike["batch"], alike["steps"]) == ("GRU 128", "32 windows", 1600)
    assert alike["steps_per_gradient_step"] == 100 and alike["return"] is None
    assert (usual["network"], usual["batch"], usual["steps"]) == ("128 x 64", "64 decisions", 1024)
    assert usual["steps_per_gradient_step"] == 4 and 0 <= usual["return"] <= 1
    assert alike["steps_per_s"] > 0 and usual["steps_per_s"] > 0
    assert (theirs["steps"], theirs["steps_per_s"], theirs["return"]) == (9000, 300.0, 0.25)
    assert figures.seeds_of(found) == "seed 3"


def test_rows_of_the_table():
    like = OURS | {"who": iql.LIKE_THEIRS, "steps_per_gradient_step": 24.0, "return": None}
    theirs = OURS | {"who": iql.THEIRS, "steps_per_s": 300.0, "return": 0.25}
    told = {"rows": [like, OURS, theirs], "elsewhere": None}
    first, second, third = TABLES["iql"](told)
    assert first["env-steps/s"] == second["env-steps/s"] == "600, 2.0 x"
    assert third["env-steps/s"] == "300"
    assert first["return of the pair, of 1"] == "" and third["return of the pair, of 1"] == "0.250"
    assert first["env-steps a gradient step"] == "24" and first["steps, in"] == "1,024, 2 s"
    ours, aside = TABLES["iql"]({"rows": [OURS], "elsewhere": iql.ELSEWHERE})
    assert ours["env-steps/s"] == "600" and list(aside) == list(ours)
    assert aside["who"] == iql.THEIRS and aside["env-steps/s"] == iql.ELSEWHERE


def test_settings_like_epymarls():
    env = envs.make(GAME)
    for every in (24, 50):
        config = loops.resolved(iql.settings(iql.Iql(), every), env)
        assert config.lanes * config.slots / config.passes == every
        assert (config.gru, config.batch, config.n_step, config.burn_in) == (128, 32, 1, 0)
        assert (config.learning_rate, config.anneal, config.target_every) == (3e-4, False, 200)
        assert (config.window, config.start) == (51, 32 * 50), "32 episodes of 50 steps"
        config.check_start()


def test_a_peer_that_fails_is_quoted(monkeypatch):
    monkeypatch.setattr(iql, "train", lambda *args: OURS)
    peer_is("raise ImportError('no torch')")
    with pytest.raises(ValueError, match=r"(?s)EPyMARL's IQL failed: .*no torch"):
        bench.main(["iql", "--env", GAME, "--peer", "somewhere"])


def test_the_peer_ends_where_ours_fails(monkeypatch, tmp_path):
    told = tmp_path / "pid"

    def fail(*args):
        for _ in range(600):
            if told.exists() and told.read_text():
                break
            time.sleep(0.05)
        raise KeyError("ours")

    monkeypatch.setattr(iql, "train", fail)
    peer_is(f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    with pytest.raises(KeyError, match="ours"):
        bench.main(["iql", "--env", GAME, "--peer", "somewhere"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--steps 0", "--steps must be more than 0, found 0"),
        ("--equal-steps 0", "--equal-steps must be more than 0, found 0"),
        ("--minutes -1", "--minutes must be more than 0, found -1"),
        ("--every 24 0", "--every must be at least 1 each"),
        ("--peer anywhere", "start this in the repository's folder"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        bench.main(["iql", *words.split()])


def test_figures_pass_the_peer_on():
    asked = figures.Figures(epymarl="there", epymarl_python="py")
    assert figures.peers_of(asked, "iql") == ["--peer", "there", "--peer-python", "py"]
    assert figures.peers_of(asked, "ippo") == figures.peers_of(figures.Figures(), "iql") == []
    assert figures.command_of("iql") == "counterplay bench iql" and "iql" in figures.PEERS
