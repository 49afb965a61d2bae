"""What learners earn between references: trained, met with both sets, kept, and told."""

import json
from typing import Any

import numpy as np
import pytest

from counterplay import bench, studies
from counterplay.bench import agents, overhead, study_tables
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import scenario_of
from counterplay.jobs import Job
from counterplay.studies import action_in_planning, goal_choice, real_ratio

RACE = scenario_of("race-v2")
SMALL = "--scenarios race-v2 --seeds 1 --steps 2000 --matches 40"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    for module in (agents, overhead):
        monkeypatch.setattr(module, "use_all_cores", lambda game="": None)


def answer(capsys: Any, *words: str) -> dict[str, Any]:
    assert bench.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_a_player_that_predicts_nothing_is_measured_once_and_kept(tmp_path, capsys):
    words = ["agents", *SMALL.split(), "--players", "ppo", "--out", str(tmp_path)]
    found = answer(capsys, *words)
    train, held_out = found["rows"]
    assert (train["set"], held_out["set"]) == agents.POOLS
    for row in (train, held_out):
        assert row["steps"] == 2000 and len(row["per_seed"]) == 1 and "others_nll" not in row
    told = published.references(RACE, "train")
    blind, filter = told.blind.mean(), told.filter.mean()
    assert train["score"][0] == pytest.approx((train["mean"] - blind) / (filter - blind))
    unknown = published.references(RACE, "held-out")
    assert unknown.blind.mean() < unknown.random.mean() and held_out["score"] is None
    (file,) = tmp_path.glob("*.json")
    before = file.stat().st_mtime_ns
    assert answer(capsys, *words) == found and file.stat().st_mtime_ns == before
    lines = study_tables.agents(found)
    assert [line["next move, nats"] for line in lines] == ["", ""]
    assert train["marks"] == "" and [line["marks"] for line in lines] == ["-", "-"]


def test_a_seed_plays_as_the_training_set_told_it_to():
    """Greedy earned more in the matches that choose, so greedy play is reported, on either set."""
    part = lambda choice, report: {"choice": choice, "report": [report] * 10}
    row = {
        "train": {"sampled": part(0.4, 0.9), "greedy": part(0.5, 0.6)},
        "held-out": {"sampled": part(0.9, 0.9), "greedy": part(0.1, 0.2)},
        "foreseen": [0.25, 0.75],
    }
    job = Job("race-v2-x", {"scenario": "race-v2", "player": "x", "steps": 1, "matches": 40}, 0)
    train, held_out = (agents.row_of(job, pool, [row]) for pool in agents.POOLS)
    assert (train["mean"], held_out["mean"]) == pytest.approx((0.6, 0.2))
    assert (train["others_nll"], train["others_top1"]) == (0.25, 0.75)
    assert "others_nll" not in held_out and train["plays"] == ["greedy"]


def test_scenarios_without_references_are_refused_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(agents, "tabled", lambda *a, **k: pytest.fail("nothing should be run"))
    monkeypatch.setattr(published, "path_of", lambda scenario: tmp_path / scenario.file)
    with pytest.raises(ValueError, match="race-v2 has no published references"):
        bench.main(["agents", "--scenarios", "race", "--seeds", "1"])
    with pytest.raises(ValueError, match="unknown player 'pp'"):
        bench.main(["agents", "--players", "pp"])


@pytest.mark.parametrize(
    ("name", "module", "steps"),
    [
        ("goal-choice", goal_choice, 400_000),
        ("action-in-planning", action_in_planning, 100_000),
        ("real-ratio", real_ratio, 100_000),
    ],
)
def test_studies_ask_for_settings_that_there_are(name, module, steps, monkeypatch):
    asked: list[Any] = []

    def met(chosen, players, title):
        asked.append((chosen, players, title))
        return 0

    monkeypatch.setattr(goal_choice, "met", met)
    assert studies.main([name, "--json"]) == 0 == studies.main([name, "--quick", "--json"])
    (whole, players, _), (short, few, _) = asked
    assert whole.seeds == 10 and short.seeds == 2 and len(short.scenarios) == 1
    assert whole.steps is None and short.steps == module.QUICK_STEPS == steps
    assert set(few) == set(module.QUICK) and set(players) == set(module.VARIANTS)
    for scenario in whole.scenarios:
        assert published.references(scenario_of(scenario)) is not None
        for algorithm, more in players.values():
            given = agents.settings(scenario_of(scenario), algorithm, more)
            config = agents.config_class(algorithm)
            config(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def test_iterations_are_timed_by_turns(capsys):
    words = ["overhead", "--env", "matrix:pd,horizon=4", "--seat", "0..1=self"]
    words += ["--iterations", "2", "--players", "ppo"]
    with pytest.raises(ValueError, match="--players must be different ones"):
        bench.main([*words, "ppo"])
    found = answer(capsys, *words)
    (row,) = found["rows"]
    assert row["player"] == "ppo" and row["ratio"] == 1.0 and row["seconds"] > 0
    assert np.isfinite(row["compile_seconds"])
    assert study_tables.overhead(found)[0]["times the first"] == "1.00"
