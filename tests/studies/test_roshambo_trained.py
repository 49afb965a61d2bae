"""Learners and RoShamBo bots that they never met: folds, known answers, and that it goes on."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from counterplay import verbs
from counterplay.bench.study_tables import roshambo_trained as shown
from counterplay.jobs import Job
from counterplay.opponents.roshambo import NAMES
from counterplay.studies import main, roshambo_matches
from counterplay.studies import roshambo_trained as module
from counterplay.studies.roshambo_trained import RoShamBoTrained, jobs_of, scored, short

FEW = "rockbot,rotatebot,copybot"
TINY = {
    "lanes": 2, "slots": 6, "match": 1, "goals": "none", "widths": (4,), "minibatches": 1,
    "epochs": 1, "told_width": 4, "reader_widths": (4,), "reader_gru": 4, "reader_minibatches": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def on_the_devices_there_are(monkeypatch):
    monkeypatch.setattr(module, "run_where_called", lambda: None)
    monkeypatch.setattr(roshambo_matches, "run_where_called", lambda: None)


def test_every_bot_is_a_stranger_once_to_every_training():
    jobs = jobs_of(RoShamBoTrained(seeds=2))
    for player in module.PLAYERS:
        mine = [job.config for job in jobs if job.config["player"] == player and job.seed == 900]
        assert len(mine) == 5
        assert sorted(bot for about in mine for bot in about["bots"]) == sorted(NAMES)
        for about in mine:
            met = about["training"]["against"]
            assert not {*met} & {*about["bots"]} and len(met) + len(about["bots"]) == len(NAMES)
    online = [job for job in jobs if job.config["player"] == module.ONLINE]
    assert len(online) == 2 * 5 and not any("training" in job.config for job in online)


def test_a_quick_study_keeps_what_is_asked_for():
    chosen = short(RoShamBoTrained(quick=True, bots=FEW, folds=3, steps=60))
    assert (chosen.seeds, chosen.matches, chosen.steps) == (1, 4, 60)
    assert sorted(bot for fold in chosen.dealt for bot in fold) == sorted(FEW.split(","))
    usual = short(RoShamBoTrained(quick=True))
    assert (len(usual.dealt), usual.steps) == (2, module.QUICK_STEPS)
    assert short(RoShamBoTrained()) == RoShamBoTrained()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"players": ("goal_pp",)}, "unknown player 'goal_pp'"),
        ({"players": ("roshambo",)}, "unknown player 'roshambo'"),
        ({"seed": -1}, "--seed must be 0 to 2147483643, found -1"),
        ({"throws": 1001}, "--throws must be 2 to 1000, found 1001"),
        ({"folds": 1}, "--folds must be 2 or more"),
        ({"bots": "granite,marble"}, "--folds must be 2 or more"),
        ({"bots": "granit"}, "unknown bot in --bots 'granit'"),
    ],
)
def test_what_cannot_be_studied_is_told(settings, message):
    with pytest.raises(ValueError, match=message):
        RoShamBoTrained(**settings)


def test_means_are_over_bots_of_whole_seeds_by_hand():
    told = lambda *returns: {"returns": list(returns), "nll": [1.0] * len(returns)}
    job = lambda fold, seed: Job("x", {"player": "x", "fold": fold}, seed)
    jobs = [job(0, 1), job(1, 1), job(0, 2), job(1, 2), job(0, 3)]  # seed 3 was stopped halfway
    results = [
        {"a": told(10, 20), "b": told(0, 0)}, {"c": told(-30, -30)},
        {"a": told(25, 25), "b": told(2, 0)}, {"c": told(-20, -20)}, {"a": told(9e9), "b": told(0)},
    ]  # fmt: skip
    (row,) = scored(2, jobs, results)
    assert row["per_seed"] == [pytest.approx((15 + 0 - 30) / 3), pytest.approx((25 + 1 - 20) / 3)]
    assert row["population_return"] == pytest.approx(-1.5)
    assert (row["worst"], row["exploitability"]) == ("c", 25)
    assert row["folds"] == [pytest.approx((20 + 0.5) / 2), -25]
    assert scored(3, jobs, results) == [], "of no seed the last fold was played"
    (line,) = shown({"rows": [row]})
    assert line["least from"] == "c -25" and line["seeds"] == 2
    mean, low, high = -1.5, *(-1.5 + np.array([-1, 1]) * 12.706 * 3.5)
    assert line["points a match, 95%"] == f"{mean:.0f} [{low:.0f}, {high:.0f}]"


def test_a_study_is_told_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyspiel")
    monkeypatch.setattr(module, "PLAYERS", {"goal_ppo": ("goal_ppo", TINY)})
    words = ["roshambo-trained", "--players", "goal_ppo", "context_mixture", "--bots", FEW]
    words += ["--folds", "3", "--seeds", "1", "--steps", "24", "--throws", "12", "--matches", "2"]
    words += ["--out", str(tmp_path), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    learner, online = found["rows"]
    assert learner["steps"] == 24 and online["steps"] is None
    assert [*learner["bots"]] == [*online["bots"]] == [bot for f in found["folds"] for bot in f]
    assert online["bots"]["rockbot"][0] > 6, "who sees a rock 12 times throws paper"
    runs = sorted((tmp_path / "trained").glob("*/config.json"))
    assert len(runs) == 3

    def again() -> None:
        """Without the results of the learner, whose trainings are gone on with."""
        for file in tmp_path.glob("goal_ppo-fold-*.json"):
            file.unlink()
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out) == found

    shutil.rmtree(runs[0].parent / "checkpoints")  # killed before there was one
    runs[1].unlink()  # or before there were settings
    again()
    monkeypatch.setattr(module, "measured", None)
    assert main(words) == 0, "all is there"
    assert json.loads(capsys.readouterr().out) == found


def test_a_training_that_is_stopped_is_not_counted(tmp_path, monkeypatch, capsys):
    """Nor told of; the others are."""
    pytest.importorskip("pyspiel")
    monkeypatch.setattr(module, "PLAYERS", {"goal_ppo": ("goal_ppo", TINY)})
    monkeypatch.setattr(verbs, "run_training", lambda *x, **y: SimpleNamespace(stopped=2))
    words = ["roshambo-trained", "--bots", FEW, "--folds", "3", "--seeds", "1", "--steps", "24"]
    words += ["--throws", "12", "--matches", "2", "--out", str(tmp_path), "--json"]
    assert main([*words, "--players", "context_mixture", "goal_ppo"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["player"] for row in found["rows"]] == ["context_mixture"]
    assert found["missing"] == 3


def test_every_learner_is_made_of_settings_that_it_has():
    for player in module.PLAYERS:
        about = module.training_of(player, ["rockbot"], RoShamBoTrained())
        assert about["settings"]["lanes"] == 68 and about["settings"]["gamma"] == 0.9
        assert "reader_places" in about["settings"], "what it has anyway is part of a job"
    assert module.PLAYERS["counterplay"][1]["samples"] == 0, "three throws are summed exactly"
