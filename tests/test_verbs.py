"""``train`` leaves a run folder behind, and ``eval`` lets it and others play."""

import io
import json
import math
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import counterplay
from counterplay import cli, envs, play, runs, verbs
from counterplay.algos import ppo

HUNT, PD = "stag_hunt:4x4", "matrix:pd,horizon=4"
TINY = "--lanes 16 --slots 8 --widths 8 --minibatches 2"
ROW = {
    "label",
    "episodes",
    "matches",
    "mean",
    "error",
    "length",
    "focal_mean",
    "focal_error",
    "seats_mean",
    "low",
    "high",
}
ALL_D, ALL_C = "always_defect:tremble=0", "always_cooperate:tremble=0"


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """The devices of this process were chosen when its first test began."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (verbs, play):
            patch.setattr(module, "use_all_cores", lambda game="": None)
        yield


def answer(command: str) -> dict[str, Any]:
    """What a command prints with --json, numbers only: NaN is no JSON."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.main([*command.split(), "--json"]) == 0
    return strict(out.getvalue())


def strict(text: str) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {text}")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[dict[str, Any], Path]:
    """Two seeds of a hunter among three others, 16 iterations of 128 steps."""
    folder = tmp_path_factory.mktemp("hunt") / "run"
    seats = "--seat 0=self --seat 1..3=nearest_hare,random"
    return answer(
        f"train ppo --env {HUNT} {seats} --seeds 2 --steps 2000 {TINY} --out {folder}"
    ), folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """Two independent learners of a matrix game."""
    folder = tmp_path_factory.mktemp("pd") / "run"
    answer(f"train ppo --env {PD} --seat 0..1=own --steps 2000 {TINY} --out {folder}")
    return folder


def test_train_tells_what_it_did(trained):
    row, folder = trained
    assert row["run"] == str(folder) and row["steps"] == 2048
    assert 0 < row["compile_seconds"] < row["seconds"] and len(row["returns"]) == 2
    speed = 2 * 2048 / row["seconds"]
    assert row["steps_per_second"] == pytest.approx(speed, rel=0.02)


def test_a_run_folder_holds_logs_checkpoints_and_all_settings(trained):
    _, folder = trained
    logs = {"metrics.jsonl", "episodes.parquet", "tensorboard"}
    assert {p.name for p in folder.iterdir()} == {"config.json", "checkpoints", *logs}
    (last,) = (folder / "checkpoints").iterdir()
    assert last.name == f"{2048:012d}"
    row = strict((folder / "config.json").read_text())
    assert (row["algorithm"], row["env"]) == ("ppo", HUNT)
    assert row["learners"] == [{"name": "self", "members": 1, "seats": [0]}]
    config = ppo.Config(steps=2000, lanes=16, slots=8, widths=(8,), minibatches=2, seeds=2)
    assert row["config"] == json.loads(json.dumps(vars(config)))


def test_rows_tell_what_the_training_took(trained):
    _, folder = trained
    rows = [strict(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    memory = [row["memory_mb"] for row in rows]
    assert memory == sorted(memory) and 100 < memory[0] < 1e5, "in MB, the most so far"
    saved = load_file(max(folder.glob("checkpoints/*/policy.safetensors")))
    each = sum(x.size for x in saved.values()) // 2
    assert {row["parameters"] for row in rows} == {each}, "of one seed"


def test_every_iteration_has_a_row_of_metrics(trained):
    summary, folder = trained
    rows = [strict(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == list(range(128, 2049, 128))
    for row in rows:
        whole = {"steps", "iteration", "seconds", "memory_mb", "parameters"}
        assert all(len(value) == 2 for name, value in row.items() if name not in whole), "per seed"
        assert all(0 < share <= 1 for name in ("busy_share", "live_share") for share in row[name])
        assert all(0 <= nats <= math.log(7) for nats in row["entropy"])
        assert all(0 <= share <= 1 for share in row["clipped"])
        assert all(loss >= 0 for loss in row["value_loss"])
        for episodes, length in zip(row["episodes"], row["length"], strict=True):
            assert length is None if episodes == 0 else 1 <= length <= 15
    seen = np.array([[r if r is not None else np.nan for r in row["return"]] for row in rows])
    assert summary["returns"] == pytest.approx(np.nanmean(seen, axis=0), abs=1e-4)
    assert sum(row["episodes"][0] for row in rows) > 16, "games end and begin again"
    assert rows[0]["policy_loss"][0] != rows[0]["policy_loss"][1], "seeds differ"


def test_the_checkpoint_is_what_was_learned(trained, alone):
    """Both seeds, and both members: all different, and none as at the start."""
    for folder, game in ((trained[1], HUNT), (alone, PD)):
        row = runs.read_config(folder)
        (nets,) = runs.load_nets(folder, row, envs.make(game))
        one, other = np.asarray(nets.policy.weight).reshape(2, -1)
        assert not np.array_equal(one, other) and np.isfinite([one, other]).all()
        assert np.asarray(nets.policy.bias).any(), "biases begin at zero"


def test_members_are_saved_under_their_seats(alone):
    assert runs.read_config(alone)["learners"] == [{"name": "own", "members": 2, "seats": [0, 1]}]
    players = [counterplay.load(alone, seat=seat) for seat in (0, 1)]
    first, second = (np.asarray(p.policy.net.policy.bias) for p in players)
    assert not np.array_equal(first, second)


def test_a_trained_run_acts(trained):
    _, folder = trained
    env: Any = envs.make(HUNT)
    _, shown = env.reset(jax.random.key(0))
    obs, legal = np.asarray(shown.obs)[0], np.asarray(shown.legal)[0]
    for text in (str(folder), f"{folder}#1"):
        assert legal[counterplay.load(text).act(obs, legal)]


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_a_second_run_into_one_folder_changes_nothing(trained, capsys, monkeypatch):
    _, folder = trained
    before = contents(folder)
    monkeypatch.setattr(ppo, "train", lambda *args: pytest.fail("it went on to train"))
    assert cli.main(f"train ppo --env {PD} --out {folder}".split()) == 2
    assert "a run is there already; choose another folder" in capsys.readouterr().err
    assert before == contents(folder)


@pytest.mark.parametrize(
    ("seats", "means"),
    [
        (f"--seat 0={ALL_D} --seat 1={ALL_C}", [500.0, 0.0]),
        (f"--seat 0={ALL_C} --seat 1={ALL_D}", [0.0, 500.0]),
        ("--seat 0..1=tit_for_tat:tremble=0", [300.0, 300.0]),
        (f"--seat 0=grim:tremble=0 --seat 1={ALL_D}", [99.0, 104.0]),
    ],
)
def test_known_returns_are_told_exactly(seats, means):
    """A hundred rounds of the prisoner's dilemma: 5 and 0, 3 each, 1 each."""
    found = answer(f"eval --env matrix:pd {seats} --episodes 6")
    assert found["env"] == "matrix:pd"
    (row,) = found["rows"]
    assert set(row) == ROW
    assert row["mean"] == means and row["error"] == [0.0, 0.0]
    assert row["seats_mean"] == sum(means) / 2 and row["length"] == 100.0
    assert row["episodes"] >= 6 and row["focal_mean"] is None


def test_a_run_plays_its_own_game_against_each_in_turn(alone):
    found = answer(f"eval {alone} --against {ALL_C} {ALL_D} --episodes 400")
    assert found["env"] == PD
    kind, nasty = found["rows"]
    assert (kind["label"], nasty["label"]) == (ALL_C, ALL_D)
    assert 12 <= kind["focal_mean"] <= 20 and 0 <= nasty["focal_mean"] <= 4
    # the others earn what is left of a round's pay: 3 + 3, 5 + 0 or 1 + 1
    assert nasty["mean"][0] + nasty["mean"][1] == pytest.approx(
        nasty["focal_mean"] + (20 - 4 * nasty["focal_mean"]), abs=0.01
    )


def test_play_is_drawn_unless_it_is_greedy(alone):
    base = f"eval --env {PD} --seat 0=run:{alone} --seat 1={ALL_C} --episodes 400"
    drawn, again, other, greedy = (
        answer(base + more)["rows"][0] for more in ("", "", " --seed 1", " --greedy")
    )
    assert greedy["error"] == [0.0, 0.0] and greedy["mean"][0] in (12.0, 14.0, 16.0, 18.0, 20.0)
    assert drawn["error"][0] > 0 and drawn == again != other
    assert abs(drawn["mean"][0] - other["mean"][0]) < 5 * np.hypot(
        drawn["error"][0], other["error"][0]
    )


def test_runs_and_rules_share_a_seat(trained):
    _, folder = trained
    both = f"run:{folder},run:{folder}#1,stay"
    found = answer(f"eval --env {HUNT} --seat 0={both} --seat 1..3=nearest_hare --episodes 60")
    (row,) = found["rows"]
    assert row["episodes"] >= 60 and len(row["mean"]) == 4
    assert min(row["mean"][1:]) > 0.5 > row["mean"][0]


BOT = """
class Defector:
    begun = []

    def begin(self, seed, new_match):
        assert isinstance(seed, int)
        self.begun.append(new_match)

    def act(self, view):
        assert view["legal"].tolist() == [True, True] and view["obs"].shape == (7,)
        return 1


class Cheat(Defector):
    def act(self, view):
        return 2
"""


def test_a_policy_in_ordinary_python_plays_a_native_game(tmp_path, alone):
    bot = tmp_path / "bots.py"
    bot.write_text(BOT)
    (row,) = answer(f"eval --env {PD} --seat 0={bot}:Defector --seat 1={ALL_C} --episodes 6")[
        "rows"
    ]
    assert row["mean"] == [20.0, 0.0] and row["error"] == [0.0, 0.0] and row["length"] == 4.0
    (row,) = answer(f"eval {alone} --against {bot}:Defector --episodes 32")["rows"]
    assert 0 <= row["focal_mean"] <= 4 and row["episodes"] >= 32


def test_a_forbidden_answer_is_named(tmp_path, capsys):
    (tmp_path / "bots.py").write_text(BOT)
    seats = f"--seat 0={tmp_path}/bots.py:Cheat --seat 1={ALL_C}"
    assert cli.main(f"eval --env {PD} {seats} --episodes 6".split()) == 2
    err = capsys.readouterr().err
    assert "seat 0 of lane 0 in slot 0 answered 2; legal are the whole numbers [0, 1]" in err


@pytest.mark.parametrize(("match", "grim", "nasty"), [(1, 3, 8), (2, 3.5, 6), (4, 3.75, 5)])
def test_matches_are_played_whole(match, grim, nasty):
    """Grim is paid 0, 1, 1, 1 in the first episode of a match, and 1 throughout in later ones."""
    seats = f"--seat 0=grim:tremble=0 --seat 1={ALL_D}"
    (row,) = answer(f"eval --env {PD} {seats} --episodes 8 --match {match}")["rows"]
    assert row["mean"] == [grim, nasty] and row["episodes"] == 8


def test_people_read_a_table(alone, capsys):
    assert (
        cli.main([*f"eval {alone} --against {ALL_C} grim --episodes 64".split(), "--greedy"]) == 0
    )
    out, err = capsys.readouterr()
    assert f"{PD}, " in out and "greedy play, seed 0" in out and "against" in out
    assert "mean return ± standard error" in out
    assert out.count("±") == 3 and ALL_C in out and "4.00" in out
    assert err == ""
    assert cli.main(["eval", "--env", PD, "--seat", f"0={ALL_D}", "--seat", "1=grim"]) == 0
    assert f"0 {ALL_D}" in capsys.readouterr().out
