"""One frozen training a seed, met with every planner: what is kept, counted and refused."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import studies
from counterplay.algos import loops
from counterplay.bench import agents, study_tables
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import scenario_of
from counterplay.jobs import Job
from counterplay.runs import read_config
from counterplay.studies import planning_frontier as frontier

SMALL: dict[str, Any] = {
    "widths": [8], "reader_widths": [8], "reader_gru": 4, "told_width": 4, "lanes": 16, "slots": 8,
    "epochs": 1, "minibatches": 1, "reader_minibatches": 1, "latent": 6, "groups": 2, "classes": 3,
    "world_width": 12, "world_token": 4, "value_width": 8, "world_minibatches": 1, "samples": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(frontier, "use_all_cores", lambda game="": None)


def test_every_planner_meets_the_same_training():
    for quick in (False, True):
        chosen = frontier.short(frontier.PlanningFrontier(quick=quick))
        jobs = frontier.jobs_of(chosen)
        assert len(jobs) == len(chosen.places) * len(chosen.planners) * chosen.seeds
        assert [job.config["planner"] for job in jobs[:: chosen.seeds]] == list(
            (frontier.QUICK if quick else frontier.PLANNERS) * len(chosen.places)
        )
        for place in chosen.places:
            about = frontier.place_of(place, chosen.steps)
            here = [job.config["training"] for job in jobs if job.config["training"] == about]
            assert len(here) == len(chosen.planners) * chosen.seeds
            given = about["settings"].items()
            config = agents.config_class(about["algorithm"])
            config(**{k: tuple(v) if isinstance(v, list) else v for k, v in given})
    assert set(frontier.QUICK) <= set(frontier.PLANNERS)


@pytest.mark.parametrize(
    ("planner", "steps"),
    [
        ("none", 0),
        ("latent:depth=1,samples=8", 7 * 8),
        ("latent:depth=3,samples=2", 14 + 14 * 14 + 14 * 14 * 14),
        ("mcts:sims=50", 50),
        ("mcts:sims=50,world=true", 0),
    ],
)
def test_steps_of_the_learned_world_are_counted(planner, steps):
    assert frontier.world_steps(planner, 7) == steps


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--planners latent:depth=1,samples=0", "steps depend on who is there"),
        ("--planners laten", "unknown planner 'laten'"),
        ("--places race=nearest_stag", "unknown rule for race 'nearest_stag'"),
        ("--places rase", "unknown scenario 'rase'"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_trained(words, told, monkeypatch):
    monkeypatch.setattr(frontier, "tabled", lambda *a, **k: pytest.fail("nothing should be run"))
    with pytest.raises(ValueError, match=told):
        studies.main(["planning-frontier", *words.split()])


def test_a_queue_goes_on_and_is_told(monkeypatch, tmp_path, capsys):
    """Two seeds, two planners, two places; a lone rule has no published references."""
    asked = []

    def measured(job, out, count, first):
        asked.append((job.name, job.seed))
        planned = job.config["planner"] != "none"
        told = {"report": [0.5 + 0.1 * job.seed + 0.1 * planned] * 10, "world_steps": 9 * planned}
        return told | {"calls_a_decision": 0.0, "decisions_a_second": 100.0 + job.seed}

    monkeypatch.setattr(frontier, "measured", measured)
    words = ["planning-frontier", "--places", "race", "stag_hunt:4x4=nearest_stag", "--seed", "0"]
    words += ["--seeds", "2", "--planners", "none", "latent:depth=1", "--out", str(tmp_path)]
    assert studies.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert studies.main([*words, "--json"]) == 0
    capsys.readouterr()
    assert len(asked) == 8 == len(set(asked))
    race, plans, hunt, _ = found["rows"]
    told = published.references(scenario_of("race"))
    blind, filter = told.blind.mean(), told.filter.mean()
    assert race["score"][0] == pytest.approx((0.55 - blind) / (filter - blind))
    assert plans["mean"] == pytest.approx(0.65) and plans["error"] == pytest.approx(0.05)
    assert race["speed"] == 100.5 and hunt["score"] is None
    assert "ahead" not in race and found["beside"] == "mcts:sims=50,world=true"
    assert study_tables.planning_frontier(found)[1]["steps of its own world"] == "9"


def test_planners_are_compared_seed_by_seed_with_one_of_them():
    """What both share, who is a lucky seed, takes nothing from what is known of the difference."""
    chosen = frontier.PlanningFrontier(
        places=("race", "stag_hunt:4x4=nearest_stag"), planners=("none", "latent", "mcts:sims=50"),
        seeds=3, beside="mcts:sims=50",
    )  # fmt: skip
    jobs = frontier.jobs_of(chosen)
    lucky, plus = {600: 0.1, 601: 0.9, 602: 0.4}, {"none": -0.2, "latent": 0.0, "mcts:sims=50": 0.1}
    swing = {600: -0.01, 601: 0.0, 602: 0.01}
    results = []
    for job in jobs:
        planner = job.config["planner"]
        earned = lucky[job.seed] + plus[planner] + (planner == "latent") * swing[job.seed]
        told = {"report": [earned] * 10, "calls_a_decision": 0.0, "decisions_a_second": None}
        results.append(told | {"world_steps": 0})
    rows = {(r["place"], r["planner"]): r for r in frontier.scored(jobs, results, chosen.beside)}
    between = published.references(scenario_of("race"))
    room = between.oracle.mean() - between.random.mean()
    none, latent = rows["race", "none"]["ahead"], rows["race", "latent"]["ahead"]
    assert none == pytest.approx([-0.3 / room] * 3)
    wide = 4.30265 * 0.01 / np.sqrt(3)  # Student's, two degrees of freedom
    assert latent == pytest.approx([-0.1 / room, (-0.1 - wide) / room, (-0.1 + wide) / room])
    assert "ahead" not in rows["race", "mcts:sims=50"]
    assert rows[chosen.places[1], "none"]["ahead"] is None  # nobody measured what room there is
    (one, *_) = study_tables.planning_frontier({"rows": [rows["race", "none"]], "beside": "mcts"})
    told = f"{round(-30 / room, 1):.1f}"
    assert one["more than mcts, share of oracle - random"] == f"{told} [{told}, {told}]%"
    last = len(jobs) // 2 - 1  # of race, a seed of the search is missing
    part = [pair for i, pair in enumerate(zip(jobs, results, strict=True)) if i != last]
    (row, *_) = frontier.scored([job for job, _ in part], [x for _, x in part], chosen.beside)
    assert row["planner"] == "none" and "ahead" not in row


def fresh(about: Any, env: Any, seed: int, seeds: int) -> Any:
    """Agents as if they had been trained."""
    module, config, roster = agents.training(about, env, seed, seeds)
    config = loops.resolved(config, env, roster)
    learner = module.init_learner(config, env, 1, jr.key(seed))
    agent = module.Agent(jax.tree.map(lambda x: x[0], learner.net))
    return [agent] * seeds, [[]] * seeds


def test_trainings_are_runs_that_are_kept_and_plan_as_they_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(frontier, "learnt", fresh)
    chosen = frontier.PlanningFrontier(places=("race",), planners=("none",), seeds=1)
    (job,) = frontier.jobs_of(replace(chosen, steps=128, matches=20))
    about = job.config["training"]
    about |= {"settings": about["settings"] | SMALL, "match": 2}
    short = Job(job.name, job.config | {"training": about, "lanes": 20}, job.seed)
    alone = frontier.measured(short, tmp_path, 1, job.seed)
    monkeypatch.setattr(frontier, "learnt", lambda *a: pytest.fail("it is trained already"))
    (folder,) = (tmp_path / "trained").iterdir()
    row = read_config(folder)
    assert row["algorithm"] == "counterplay" and row["config"]["seed"] == job.seed
    assert alone["simulator_calls"] == 0 and alone["decisions"] > 0
    true = short.config | {"planner": "mcts:sims=3,world=true,draws=2"}
    found = frontier.measured(Job(job.name, true, job.seed), tmp_path, 1, job.seed)
    assert found["calls_a_decision"] == 3 and found["marks"] == {"it": "S"}
    assert alone["marks"] == {} and np.isfinite(found["report"]).all()
