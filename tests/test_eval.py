"""``eval``: which game is played, by whom, and in matches of how many episodes."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import pytest

from counterplay import cli, envs, play, runs
from counterplay.algos import ppo

PD = "matrix:pd,horizon=3"
ALL_D = "always_defect:tremble=0"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Fresh networks of a matrix game, as if trained in matches of two episodes."""
    folder = tmp_path_factory.mktemp("runs") / "r1"
    folder.mkdir()
    config = ppo.Config(widths=(2,), match=2)
    learner = ppo.init_learner(config, envs.make(PD), 1, jr.key(0))
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "ppo", PD, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], learner.net),))
    return folder


@pytest.fixture
def answer(capsys):
    def ask(command: str) -> dict[str, Any]:
        assert cli.main([*command.split(), "--json", "--episodes", "8"]) == 0
        return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    return ask


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("eval {run}", 2),
        ("eval {run} --match 1", 1),
        ("eval {run} --match 4", 4),
        ("eval --seat 0=grim --seat 1=run:{run}", 2),
        ("eval --env matrix:pd,horizon=3 --seat 0..1=grim", 1),
    ],
)
def test_matches_are_those_of_the_training(command, match, run, answer):
    found = answer(command.format(run=run))
    assert found["match"] == match
    assert found["rows"][0]["matches"] == 8 // match


def test_matches_are_told_where_there_are_any(run, capsys):
    assert cli.main(["eval", str(run), "--episodes", "8"]) == 0
    assert "8 episodes a row in matches of 2, sampled" in capsys.readouterr().out
    assert cli.main(["eval", str(run), "--episodes", "8", "--match", "1"]) == 0
    assert "8 episodes a row, sampled" in capsys.readouterr().out


def test_a_run_may_be_named_as_in_a_seat(run, answer):
    assert answer(f"eval run:{run}") == answer(f"eval {run}")
    (row,) = answer(f"eval run:{run}#0 --against {ALL_D}")["rows"]
    assert 0 <= row["focal_mean"] <= 3


@pytest.mark.parametrize("form", ["run:{run}#0", "grim,run:{run}", "pool:{run}/pool.txt"])
def test_the_game_is_that_of_the_first_run_named(form, run, answer):
    (run / "pool.txt").write_text(f"grim\nrun:{run} # the only one\n")
    who = form.format(run=run)
    assert answer(f"eval --seat 0={ALL_D} --seat 1={who}")["env"] == PD
    other = answer(
        f"eval --env matrix:chicken,horizon=2 --seat 0=stay --seat 1={who}".replace("stay", ALL_D)
    )
    assert other["env"] == "matrix:chicken,horizon=2"


def test_progress_is_measured_by_all_that_will_be_played(run, answer, monkeypatch):
    told = []

    class Told(play.Meter):
        def update(self, done, note="", total=None):
            super().update(done, note, total)
            told.append((done, self.total))

    monkeypatch.setattr(play, "Meter", Told)
    answer(f"eval {run} --match 3")
    assert told[-1] == (9, 9)
