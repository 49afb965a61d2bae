"""JaxMARL beside us in miniature: training, its networks in our evaluation, bare and wrapped."""

import json
import os

import jax
import numpy as np
import pytest

from counterplay import bench
from counterplay.bench import figures, jaxmarl
from counterplay.bench.tables import TABLES

pytest.importorskip("jaxmarl")

RIDDLE = "jaxmarl:switch_riddle"
"""The smallest of its games: three players, three actions, two numbers to see."""
PEER = """
import argparse, json, numpy as np
parser = argparse.ArgumentParser()
for name in ("peer", "task", "steps", "seeds", "seed", "out"):
    parser.add_argument(f"--{name}")
asked = parser.parse_args()
sizes = [(2, 64), (64, 64), (64, 3), (2, 64), (64, 64), (64, 1)]
arrays = {f"Dense_{i}/kernel": np.zeros((2, *size), "f4") for i, size in enumerate(sizes)}
arrays |= {f"Dense_{i}/bias": np.zeros((2, size[1]), "f4") for i, size in enumerate(sizes)}
arrays["Dense_2/bias"][1] = [50, 0, 0]  # the second seed's network always takes action 0
np.savez(asked.out, **arrays)
print(json.dumps({"steps": 64, "seconds": [2.0, 4.0], "compile_seconds": 1.0}))
"""


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """Benchmarks choose cores and devices; this process keeps those it has."""
    monkeypatch.setattr(jaxmarl, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(jaxmarl, "TASKS", {"riddle": (RIDDLE, RIDDLE)})
    if hasattr(os, "sched_setaffinity"):
        monkeypatch.setattr(os, "sched_setaffinity", lambda *args: None)
    monkeypatch.chdir(tmp_path)
    with jax.numpy_rank_promotion("allow"):  # JaxMARL's games need it
        yield tmp_path


def test_both_are_measured_side_by_side(here, capsys):
    (here / "benchmarks").mkdir()
    (here / "benchmarks" / "jaxmarl_ippo.py").write_text(PEER)
    command = ["ippo", "--tasks", "riddle", "--steps", "2048", "--seeds", "2", "--episodes", "64"]
    assert bench.main([*command, "--peer", "somewhere", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ours, theirs = found["rows"]
    assert (ours["who"], theirs["who"]) == ("counterplay PPO", "JaxMARL IPPO")
    assert len(ours["returns"]) == len(theirs["returns"]) == 2
    assert theirs["steps_per_second"] == 64 / 3.0 and ours["steps_per_second"] > 0
    uniform, zero = theirs["returns"]
    assert zero == 0.0 != uniform, "nobody ever tells, or some tell by chance"
    mean, half = theirs["interval"]
    assert mean == pytest.approx(uniform / 2)
    assert half == pytest.approx(12.706 * np.std([uniform, 0], ddof=1) / 2**0.5, rel=1e-3)
    table = TABLES["ippo"](found)
    assert [row["game"] for row in table] == ["riddle", "riddle"]
    assert table[0]["training, env-steps/s"].endswith(" x")
    assert "x" not in table[1]["training, env-steps/s"]
    assert figures.seeds_of(found) == "seeds 0 to 1" and not found["elsewhere"]
    alone = TABLES["ippo"](found | {"rows": [ours], "elsewhere": {"riddle": "7 on one core"}})
    assert [row["who"] for row in alone] == [ours["who"], "JaxMARL IPPO, measured elsewhere"]
    assert alone[1]["training, env-steps/s"] == "7 on one core"


def test_single_trainings_are_timed_beside_those_of_a_core_each(here, capsys):
    (here / "benchmarks").mkdir()
    (here / "benchmarks" / "jaxmarl_ippo.py").write_text(PEER)
    command = ["ippo", "--tasks", "riddle", "--apart", "riddle", "--steps", "2048", "--seeds", "2"]
    assert bench.main([*command, "--episodes", "8", "--peer", "somewhere", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    one, each = found["rows"][2:]
    assert one["who"] == "counterplay PPO, a single training" and one["steps_per_second"] > 0
    assert each["who"] == "JaxMARL IPPO, a training a core"
    assert each["steps_per_second"] == len(os.sched_getaffinity(0)) * 64 / 3.0
    assert [row["return a player, 95%"] for row in TABLES["ippo"](found)[2:]] == ["", ""]


def test_a_peer_that_fails_is_quoted(here, capsys):
    (here / "benchmarks").mkdir()
    (here / "benchmarks" / "jaxmarl_ippo.py").write_text("raise ImportError('no distrax')")
    command = ["ippo", "--tasks", "riddle", "--steps", "64", "--seeds", "1", "--episodes", "8"]
    with pytest.raises(ValueError, match=r"(?s)JaxMARL's IPPO failed: .*no distrax"):
        bench.main([*command, "--peer", "somewhere"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--tasks ridle", "unknown task 'ridle' .did you mean 'riddle'"),
        ("--tasks riddle --seeds 0", "--seeds must be at least 1, found 0"),
        ("--tasks riddle --peer anywhere", "start this in the repository's folder"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        bench.main(["ippo", *words.split()])


def test_wrapped(capsys):
    command = ["wrapped", "--games", RIDDLE, "--lanes", "8", "--slots", "4", "--rounds", "3"]
    assert bench.main([*command, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["game"] == RIDDLE and min(row[n] for n in ("bare", "endless", "wrapped")) > 0
    assert 0 < row["kept"] < 20
    with pytest.raises(ValueError, match="stag_hunt is none of JaxMARL's"):
        bench.main(["wrapped", "--games", "stag_hunt"])
