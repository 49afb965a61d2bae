"""The benchmark of the controls: what is trained for each, what is told, and what is held."""

import json
from typing import Any

import numpy as np
import pytest

from counterplay import bench, envs
from counterplay.bench import agents, controls, study_tables
from counterplay.bench.adaptation_table import held
from counterplay.bench.controls import Controls, compared, jobs_of, rows_of, twice
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import scenario_of

TINY = {"lanes": 8, "widths": (4,), "slots": 8, "minibatches": 2, "reader_widths": (4,)}
TINY |= {"reader_gru": 4, "reader_minibatches": 2}
COORDINATION = scenario_of("coordination-v2")
WAYS = ("sampled", "greedy")


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(controls, "use_all_cores", lambda game="": None)


def answer(capsys: Any, *words: str) -> dict[str, Any]:
    assert bench.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def row(sampled: float, greedy: float, blocks: int = 10) -> dict[str, Any]:
    part = lambda x: {"choice": x, "report": [x] * blocks}
    played = dict(zip(WAYS, (part(sampled), part(greedy)), strict=True))
    return {"train": played, "foreseen": []}


def test_one_control_is_trained_met_kept_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(agents.PLAYERS, "goal_ppo", ("goal_ppo", TINY))
    words = "controls --scenarios coordination --players goal_ppo --controls permuted --seeds 1"
    words = [*words.split(), "--steps", "200", "--matches", "40", "--out", str(tmp_path)]
    found = answer(capsys, *words)
    (row,) = found["rows"]
    assert (row["control"], row["measure"], row["asked"]) == ("permuted", "score", [None, 0.1])
    told = published.references(COORDINATION)
    blind, filter = told.blind.mean(), told.filter.mean()
    assert row["found"][0] == pytest.approx((row["mean"] - blind) / (filter - blind))
    assert row["found"][0] < 0 and row["held"] is True, "it has learnt next to nothing"
    (file,) = tmp_path.glob("*.json")
    before = file.stat().st_mtime_ns
    assert answer(capsys, *words) == found and file.stat().st_mtime_ns == before
    about = json.loads(file.read_text())["job"]["config"]
    assert about["control"] == "permuted" and about["settings"]["reader_gru"] == 0
    (line,) = study_tables.controls(found)
    assert line["asked"] == "at most 0.1" and line["held"] == "yes"


def test_every_control_trains_what_it_says():
    jobs = jobs_of(Controls(scenarios=("coordination",), players=("goal_ppo",), seeds=2))
    each = [(job.name.removeprefix("coordination-v2-"), job.seed) for job in jobs]
    assert sorted(each) == sorted(
        [("goal_ppo-prior", 300), ("goal_ppo-prior", 301), ("goal_ppo-permuted", 300),
         ("goal_ppo-permuted", 301), ("goal_ppo-alone", 300), ("goal_ppo-alone", 301),
         ("ppo-as-goal_ppo-alone", 300), ("ppo-as-goal_ppo-alone", 301),
         *(("goal_ppo-a_a", seed) for seed in (300, 301, 302, 303))]
    )  # fmt: skip
    of = {job.name.removeprefix("coordination-v2-"): job.config for job in jobs}
    assert {n: c.get("control") for n, c in of.items() if "control" in c} == {
        "goal_ppo-prior": "prior",
        "goal_ppo-permuted": "permuted",
    }
    assert of["goal_ppo-prior"]["settings"]["drift"] == 0
    plain = agents.settings(COORDINATION, *agents.PLAYERS["goal_ppo"])
    assert of["goal_ppo-a_a"]["settings"] == of["goal_ppo-alone"]["settings"] == plain
    ppo = of["ppo-as-goal_ppo-alone"]["settings"]
    assert ppo and ppo == {name: plain[name] for name in ppo}


def test_the_pool_of_one_seats_one_opponent_in_training_and_after(monkeypatch):
    (job, beside) = jobs_of(
        Controls(scenarios=("race",), players=("goal_ppo",), controls=("alone",), seeds=1)
    )
    env = envs.make(job.config["game"])
    for one in (job, beside):
        _, _, roster = agents.training(one.config, env, 300, 1)
        assert [kind.names or (kind.name,) for kind in roster.kinds if not kind.learner] == [
            ("always_left",)
        ]
        assert len({chair for table in roster.tables for chair in table}) == 2
    met: list[Any] = []

    def evaluate(env, roster, *args, **how):
        met.extend(kind.names for kind in roster.kinds)
        raise KeyboardInterrupt

    monkeypatch.setattr(agents, "evaluate", evaluate)
    monkeypatch.setattr(agents, "seated", lambda roster, *args: roster)
    monkeypatch.setattr(controls, "learnt", lambda about, *args: ([], []))
    with pytest.raises(KeyboardInterrupt):
        controls.measured(job, 300, 1)
    assert ("always_left",) in met and len(met) == 2


def test_rows_tell_each_control_beside_what_it_is_compared_with():
    told = Controls(scenarios=("coordination",), players=("goal_ppo",), seeds=2)
    worth = {"goal_ppo-alone": 3.0, "ppo-as-goal_ppo-alone": 3.03, "goal_ppo-a_a": 4.0}
    blind = published.references(COORDINATION).blind.mean()
    jobs = jobs_of(told)
    of = lambda job: worth.get(job.name.removeprefix("coordination-v2-"), float(blind))
    rows = {r["control"]: r for r in rows_of(jobs, [row(0.1, of(job)) for job in jobs], 2)}
    assert list(rows) == ["prior", "permuted", "alone", "a_a"]
    assert rows["prior"]["found"][0] == pytest.approx(0, abs=1e-9)
    assert rows["prior"]["plays"] == ["greedy", "greedy"]
    assert rows["alone"]["found"] == pytest.approx([3 / 3.03] * 3)
    assert rows["alone"]["held"] is True and rows["alone"]["against"] == "always_left"
    assert rows["a_a"]["seeds"] == 2 and rows["a_a"]["held"] is None
    lines = study_tables.controls({"rows": [*rows.values()]})
    assert [line["asked"] for line in lines] == ["0 ± 0.1", "at most 0.1", "within 2%", "above 5%"]
    assert lines[2]["found, 95%"] == "times PPO's return 0.99 [0.99, 0.99]"
    assert lines[3]["found, 95%"] == "p 1.00" and lines[3]["held"] == "cannot be told"


@pytest.mark.parametrize(
    ("interval", "low", "expected"),
    [
        ((0.0, -0.05, 0.05), -0.1, True),
        ((0.0, -0.2, 0.05), -0.1, None),
        ((0.0, -0.2, 0.05), None, True),
        ((-0.3, -0.4, -0.2), -0.1, False),
        ((-0.3, -0.4, -0.2), None, True),
        ((0.3, 0.2, 0.4), None, False),
        ((0.1, 0.05, 0.2), None, None),
    ],
)
def test_a_bound_is_held_where_all_of_the_interval_lies_within(interval, low, expected):
    assert held(interval, low, 0.1) is expected


def test_a_return_beside_another_has_the_spread_of_both():
    equal = [row(1.0, 0.0), row(1.0, 0.0)]
    wide = [row(0.5, 0.0), row(1.5, 0.0)]
    narrow, other = compared(equal, equal), compared(equal, wide)
    assert narrow["found"] == [1.0, 1.0, 1.0] and narrow["held"] is True
    estimate, low, high = other["found"]
    assert estimate == 1.0 and (low, high) == pytest.approx((1 / 1.5, 2.0))
    assert other["held"] is None and other["beside"] == [0.5, 1.5]
    assert compared(equal, [row(0.9, 0.0)] * 2)["held"] is False


def test_an_agent_differs_from_itself_by_chance_only():
    same = np.random.default_rng(0).normal(size=12)
    told = twice(same)
    assert told["held"] is True and told["found"] > 0.05 and told["false"] <= 0.08
    apart = twice(np.repeat([0.0, 1.0], 6) + 0.01 * same)
    assert apart["found"] == pytest.approx(2 / 2**6) and apart["held"] is False
    few = twice(np.array([0.0, 0.1, 1.0, 1.1]))
    assert few["held"] is None and few["found"] == pytest.approx(0.5) and "false" not in few
    assert twice(np.array([0.0, 1.0]))["found"] is None


def test_what_cannot_be_told_is_refused():
    with pytest.raises(ValueError, match="unknown control 'a-a'"):
        bench.main(["controls", "--controls", "a-a"])
    with pytest.raises(ValueError, match="unknown player 'ppo'; expected one of: goal_ppo"):
        bench.main(["controls", "--players", "ppo"])
    with pytest.raises(ValueError, match="whose references tell a score, found matrix:chicken-v1"):
        bench.main(["controls", "--scenarios", "matrix:chicken"])
