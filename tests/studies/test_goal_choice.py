"""The study of goals as a queue: what is trained, at what size, and what is told of it."""

import json
from pathlib import Path

import pytest

import counterplay
from counterplay import studies
from counterplay.bench import agents
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import scenario_of
from counterplay.studies import goal_choice, goal_timing, types


def test_a_queue_goes_on_and_is_told(monkeypatch, tmp_path, capsys):
    """Scores lie where the published references put them; nothing is trained twice."""
    asked = []

    def measured(job, seed, seeds):
        asked.append((job.name, seed, job.config["steps"]))
        part = {"choice": 0.5, "report": [0.5 + 0.01 * (seed - 300)] * 10}
        ways = {"sampled": part, "greedy": part}
        return [{"train": ways, "held-out": ways, "foreseen": [0.25, 0.75]}]

    monkeypatch.setattr(agents, "measured", measured)
    monkeypatch.setattr(agents, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(agents.references, "together", lambda seeds: 1)
    words = ["goal-choice", "--quick", "--out", str(tmp_path), "--json"]
    assert studies.main(words) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(found["rows"]) == 10 and len(asked) == 10 == len(set(asked))
    assert {steps for *_, steps in asked} == {400_000}
    variants = {"none", "events", "events+habit", "declared", "codes-4"}
    assert {row["player"] for row in found["rows"]} == variants
    told = published.references(scenario_of("race"))
    blind, filter = told.blind.mean(), told.filter.mean()
    for row in found["rows"][::2]:
        assert row["set"] == "train" and row["per_seed"] == pytest.approx([0.5, 0.51])
        assert row["score"][0] == pytest.approx((0.505 - blind) / (filter - blind))
    declared = next(row for row in found["rows"] if row["player"] == "declared")
    assert "G" in declared["marks"], "what it was told is marked"
    assert studies.main(words) == 0 and len(asked) == 10


def test_a_habit_is_told_to_the_filter():
    """HOP counts goals across episodes; so does one variant, with a small weight."""
    settings = goal_choice.VARIANTS["events+habit"][1]
    assert settings["goals"] == "events" and 0 < settings["habit"] < 0.1
    given = agents.settings(scenario_of("race"), "goal_ppo", settings)
    assert given["habit"] == settings["habit"] and given["types"] == 1
    assert not agents.settings(scenario_of("race"), *goal_choice.VARIANTS["events"])["habit"]


@pytest.mark.parametrize(
    ("name", "chosen", "variants"),
    [
        ("goal-choice", goal_choice.GoalChoice(), len(goal_choice.VARIANTS)),
        ("types", types.Types(), len(types.VARIANTS)),
        ("goal-timing", goal_timing.GoalTiming(), 2 * len(goal_timing.VARIANTS)),
    ],
)
def test_the_page_says_how_much_a_study_trains_in_full(name, chosen, variants):
    """Every variant and seed in every scenario, each for the scenario's budget of steps."""
    each = variants * chosen.seeds
    steps = [f"of {scenario_of(s).budget:,} in `{s}`" for s in chosen.scenarios]
    steps[0] = steps[0].replace(" in", " steps in")
    said = f"`study {name}` makes {each * len(steps)} trainings, {each} in each of its scenarios: "
    said += f"{', '.join(steps[:-1])} and {steps[-1]}"
    page = Path(counterplay.__file__).parents[1] / "docs" / "reading.md"
    assert said in " ".join(page.read_text().split())
