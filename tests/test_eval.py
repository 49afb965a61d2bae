"""``eval``: which game is played, by whom, and in matches of how many episodes."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, runs
from counterplay.algos import ppo
from counterplay.episodes.files import read_rows
from counterplay.evaluate.disjoint import opponent_digest
from counterplay.runs.folder import commit

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
    one, other = answer(f"eval run:{run}"), answer(f"eval {run}")
    assert one.pop("saved") != other.pop("saved") and one == other
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


def test_a_result_is_kept_in_the_run_with_its_episodes(run, answer):
    command = f"eval {run} --against {ALL_D} grim,bully --seed 3 --match 2"
    printed = answer(command)
    folder = Path(printed.pop("saved"))
    assert folder.parent == run / "evaluations"
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{12}", folder.name)
    kept = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    assert {name: kept[name] for name in printed} == printed
    assert kept["kind"] == "eval" and kept["runs"] == [str(run)]
    assert kept["command"] == ["counterplay", *command.split(), "--json", "--episodes", "8"]
    assert (kept["seed"], kept["greedy"]) == (3, False) and set(kept["versions"]) > {"jax"}
    assert kept["opponents"] == {"0": f"run:{run}", "1": ALL_D, "2": "grim", "3": "bully"}
    assert kept["given"] == [f"run:{run}", ALL_D, "grim,bully"]
    assert kept["policies"] == [run.name, ALL_D, "grim,bully"]
    data = (run / "checkpoints" / "000000000000" / "policy.safetensors").read_bytes()
    played = {"steps": 0, "sha256": hashlib.sha256(data).hexdigest()}
    assert kept["checkpoints"] == {f"run:{run}": played}
    assert kept["opponent_digests"] == {
        i: opponent_digest(text, "matrix") for i, text in kept["opponents"].items()
    }
    assert kept["commit"] == commit(Path(cli.__file__).parents[1])
    rows = read_rows(folder / "rows.parquet")
    for row in printed["rows"]:
        mine = rows["label"] == row["label"]
        own = np.where(rows["focal"] == 0, rows["return_0"], rows["return_1"])[mine]
        assert len(own) == row["episodes"] == 8
        assert own.mean() == pytest.approx(row["focal_mean"])
        by_match = own.reshape(-1, 2).mean(1)
        assert by_match.std(ddof=1) / 2 == pytest.approx(row["focal_error"], abs=1e-6)
    other = np.where(rows["focal"] == 0, rows["opponent_id_1"], rows["opponent_id_0"])
    assert {*other[rows["label"] == ALL_D]} == {1} and {*other[rows["label"] != ALL_D]} <= {2, 3}


def test_focal_rows_have_an_interval(run, answer):
    """Of four matches: 3.182 standard errors to either side."""
    (row,) = answer(f"eval {run} --against {ALL_D} --match 2")["rows"]
    half = 3.182 * row["focal_error"]
    assert row["low"] == pytest.approx(row["focal_mean"] - half, abs=1e-3)
    assert row["high"] == pytest.approx(row["focal_mean"] + half, abs=1e-3)
    (row,) = answer(f"eval {run}")["rows"]
    assert row["low"] is None and row["high"] is None


def test_without_a_run_a_result_is_kept_where_it_is_asked_for(answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = f"eval --env {PD} --seat 0..1=grim"
    assert answer(command)["saved"] is None and not list(tmp_path.iterdir())
    assert answer(f"{command} --out a/b")["saved"] == "a/b"
    kept = json.loads((tmp_path / "a/b/result.json").read_text())
    assert kept["runs"] == [] and kept["policies"] == ["grim"]
    assert kept["opponents"] == {"0": "grim"} and kept["checkpoints"] == {}
    assert kept["opponent_digests"] == {"0": opponent_digest("grim:tremble=.05", "matrix")}
    assert read_rows(tmp_path / "a/b/rows.parquet")["focal"].tolist() == [-1] * 8


def test_out_takes_the_place_of_the_folder_in_the_run(run, answer, tmp_path):
    before = list((run / "evaluations").glob("*"))
    assert answer(f"eval {run}#0 --out {tmp_path}/here")["saved"] == f"{tmp_path}/here"
    assert list((run / "evaluations").glob("*")) == before


def test_a_result_is_told_where_it_is(run, capsys):
    assert cli.main(["eval", f"run:{run}", "--episodes", "8"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"saved in {run}/evaluations/")
    assert Path(last.removeprefix("saved in "), "result.json").is_file()


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_kept_is_printed_all_the_same(as_json, run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["eval", str(run), "--episodes", "8", "--out", f"{tmp_path}/file/deep"]
    assert cli.main([*command, *["--json"] * as_json]) == 0
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line == (
        f"counterplay: the result was not saved: cannot write {tmp_path}/file/deep: "
        "Not a directory; --out names another folder"
    )
    if as_json:
        assert json.loads(out)["saved"] is None
    else:
        assert "mean return ± standard error" in out and "saved" not in out


def test_a_result_that_is_there_is_not_overwritten(answer, tmp_path, capsys):
    command = f"eval --env {PD} --seat 0..1=grim --out {tmp_path}/one"
    answer(command)
    before = (tmp_path / "one" / "result.json").read_bytes()
    assert cli.main(command.split()) == 2
    assert "one: a result is there already; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "one" / "result.json").read_bytes() == before
