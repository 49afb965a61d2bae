"""How throws are foreseen, with known answers: by hand, by bots that are sure or at random."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterplay import envs, studies
from counterplay.bench.tables import TABLES
from counterplay.pools import roster_of, stage
from counterplay.studies import roshambo_matches
from counterplay.studies.roshambo_throws import MEASURES, averages, foreseen, play

ROCK, PAPER, SCISSORS = range(3)
CHANCE = np.log(3)
SURE = """
import equinox as eqx
import jax.numpy as jnp
from counterplay.types import Act


class Sure(eqx.Module):  # throws paper, and holds that the other throws rock with this chance
    rock: float = eqx.field(static=True, default={rock})

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        return Act(jnp.int32(1), memory, {{}})

    def predict(self, memory, view):
        other = (1 - self.rock) / 2
        return jnp.log(jnp.array([[self.rock, other, other]]))
"""


@pytest.fixture(autouse=True)
def on_the_devices_there_are(monkeypatch):
    monkeypatch.setattr(roshambo_matches, "run_where_called", lambda: None)


def studied(capsys, folder: Path, agent: str, bots: str, *words: str):
    words = (f"--agent={agent}", f"--bots={bots}", f"--out={folder}", *words)
    assert studies.main(["roshambo", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_foreseen_by_hand():
    throws = np.array([[ROCK, PAPER], [PAPER, PAPER]])
    held = np.log([[[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]], [[0.4, 0.4, 0.2], [0.1, 0.8, 0.1]]])
    found: Any = foreseen(throws, held)
    assert set(found) == set(MEASURES)
    np.testing.assert_allclose(found["nll"], [np.log(8) / 2, -np.log(0.4 * 0.8) / 2])
    assert found["top1"] == [0.5, 0.75]  # rock and paper alike is half a guess
    np.testing.assert_allclose(found["frequencies"], [np.log(3 * 4) / 2, np.log(3 * 2) / 2])
    np.testing.assert_allclose(found["transitions"], [CHANCE, CHANCE])
    silent = foreseen(throws, None)
    assert silent["nll"] == silent["top1"] == [None, None]
    assert silent["frequencies"] == found["frequencies"]


def test_what_was_held_impossible_leaves_no_mean():
    with np.errstate(divide="ignore"):
        held = np.log([[[1.0, 0, 0], [1, 0, 0]], [[0.5, 0.5, 0], [0.5, 0.5, 0]]])
    found: Any = foreseen(np.array([[ROCK, PAPER], [ROCK, PAPER]]), held)
    assert found["nll"] == [None, pytest.approx(np.log(2))] and found["top1"] == [0.5, 0.5]
    mean = averages([found])
    assert mean["nll"] is None and mean["top1"] == 0.5


def test_bots_count_alike_however_many_matches():
    of = lambda *x: {name: [*x] for name in MEASURES}
    assert averages([of(1.0, 3.0), of(6.0)]) == dict.fromkeys(MEASURES, 4.0)
    assert averages([of(1.0), of(None)]) == dict.fromkeys(MEASURES, None)


def test_matches_are_whole_and_throw_by_throw():
    env = envs.make("matrix:rps,horizon=40")
    roster = roster_of(env, {0: "roshambo:rockbot", 1: "roshambo:copybot"})
    played = play(stage(env, roster), roster, 3, 0, False)
    assert played.throws.tolist() == [[PAPER] * 40] * 3
    assert played.returns.tolist() == [-40] * 3 and played.predicted is None


def test_who_throws_rock_is_foreseen_and_who_draws_is_not(tmp_path, capsys):
    found = studied(capsys, tmp_path, "context_mixture", "randbot,rockbot", "--matches=2")
    rock, chance = (found["bots"][bot]["foreseen"] for bot in ("rockbot", "randbot"))
    assert rock["nll"] < 0.02 and rock["top1"] > 0.995
    assert 1.09 < chance["nll"] < 1.2 and 0.28 < chance["top1"] < 0.39
    # 1 in 3, 2 in 4, ... 1,000 in 1,002; after rock the same from the second throw on
    n = np.arange(1000.0)
    assert rock["frequencies"] == pytest.approx(np.log((n + 3) / (n + 1)).mean())
    after = CHANCE + np.log((n + 3) / (n + 1))[:-1].sum()
    assert rock["transitions"] == pytest.approx(after / 1000)
    for name in ("frequencies", "transitions"):
        assert 1.09 < chance[name] < 1.13
    for name in MEASURES:
        assert found["all"]["foreseen"][name] == pytest.approx((rock[name] + chance[name]) / 2)
    cells = {row["context_mixture against"]: row for row in TABLES["study_roshambo"](found)}
    assert cells["rockbot"]["next throw, nats"] == f"{rock['nll']:.3f}"
    assert cells["randbot"]["top-1"] == f"{chance['top1']:.3f}"
    assert cells["randbot"]["from frequencies, nats"] == f"{chance['frequencies']:.3f}"
    assert cells["all 2 bots"]["from the last throw, nats"] != ""


def test_a_jitted_policy_is_heard_and_a_silent_one_is_not(tmp_path, capsys):
    file, words = tmp_path / "sure.py", ("--matches=2", "--throws=30")
    file.write_text(SURE.format(rock=0.9))
    found = studied(capsys, tmp_path, f"{file}:Sure", "copybot,rockbot", *words)
    rock, copy = (found["bots"][bot] for bot in ("rockbot", "copybot"))
    assert rock["population_return"] == 30 and rock["foreseen"]["top1"] == 1
    assert rock["foreseen"]["nll"] == pytest.approx(-np.log(0.9))
    # it throws paper, and then what beats paper
    assert copy["population_return"] == -29 and copy["foreseen"]["top1"] == 0
    assert copy["foreseen"]["nll"] == pytest.approx(-np.log(0.05))
    file = tmp_path / "surer.py"
    file.write_text(SURE.format(rock=1.0))
    found = studied(capsys, tmp_path, f"{file}:Sure", "copybot", *words)
    _, row = TABLES["study_roshambo"](found)[:2]
    assert row["next throw, nats"] == "infinite" and row["top-1"] == "0.000"
    found = studied(capsys, tmp_path, "roshambo:rockbot", "copybot", *words)
    row = TABLES["study_roshambo"](found)[0]
    assert row["next throw, nats"] == row["top-1"] == "" != row["from frequencies, nats"]


def test_files_that_tell_returns_alone_are_not_taken(tmp_path, capsys, monkeypatch):
    words = ("roshambo:rockbot", "copybot", "--matches=1", "--throws=5")
    studied(capsys, tmp_path, *words)
    (made,) = tmp_path.glob("copybot-*.json")
    assert set(json.loads(made.read_text())["result"]) == {"returns", *MEASURES}
    monkeypatch.setattr(roshambo_matches, "TOLD", "returns")
    studied(capsys, tmp_path, *words)
    assert len([*tmp_path.glob("copybot-*.json")]) == 2


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("roshambo:nosuch", "unknown RoShamBo bot 'nosuch'"),
        ("run:nowhere", "nowhere is no run folder"),
        ("always_defect", "plays games of two actions, and this one has 3"),
        ("nofile.py:Bot", "no file 'nofile.py'"),
        ("rocky,roshambo:rockbot", "unknown"),
    ],
)
def test_who_cannot_play_is_refused_before_the_queue(agent, said, tmp_path, capsys):
    folder = tmp_path / "queue"
    with pytest.raises(ValueError, match=said):
        studies.main(["roshambo", f"--agent={agent}", f"--out={folder}"])
    assert not folder.exists() and not capsys.readouterr().err
