"""Where players lie between references: measured as references are, on other matches."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

from counterplay import bench, envs
from counterplay.bench import adaptation
from counterplay.bench.tables import TABLES
from counterplay.cli import main
from counterplay.evaluate import published, references
from counterplay.evaluate.scenarios import scenario_of
from counterplay.evaluate.solo import BLIND
from counterplay.jobs import Job
from counterplay.pools import roster_of
from counterplay.types import NO_MOVE, Act, View
from counterplay.views import view_shapes

RACE = scenario_of("race-v1")
SMALL = "--scenarios race-v1 --seeds 1 --steps 2000 --matches 40"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(adaptation, "use_all_cores", lambda game="": None)


def answer(capsys: Any, *words: str) -> dict[str, Any]:
    assert bench.main(["adaptation", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_a_tiny_scenario_is_measured_once_and_kept(tmp_path, capsys):
    words = [*SMALL.split(), "--out", str(tmp_path)]
    found = answer(capsys, *words)
    assert (found["seed"], found["seeds"]) == (110, 1)
    bayes, ppo = found["rows"]
    assert (bayes["player"], ppo["player"]) == ("bayes", "ppo") and ppo["steps"] == 2000
    assert bayes["steps"] is None and ppo["matches"] == bayes["matches"] == 40
    told = published.references(RACE)
    for row in (bayes, ppo):
        assert row["scenario"] == "race-v1" and len(row["per_seed"]) == len(row["plays"]) == 1
        estimate, low, high = row["score"]
        blind, filter = told.blind.mean(), told.filter.mean()
        assert estimate == pytest.approx((row["mean"] - blind) / (filter - blind))
        assert low <= estimate <= high and row["best"] == row["score"]
        share = (row["mean"] - told.random.mean()) / (told.oracle.mean() - told.random.mean())
        assert row["share"][0] == pytest.approx(share)
    assert bayes["score"][1] > 0.7 > ppo["score"][2], "exact inference, and 2,000 steps of none"
    # a second call reads what is there, and trains nothing
    files = sorted(tmp_path.glob("*.json"))
    assert [f.name.rpartition("-")[0].rpartition("-")[0] for f in files] == [
        "race-v1-bayes", "race-v1-ppo",
    ]  # fmt: skip
    before = [f.stat().st_mtime_ns for f in files]
    assert answer(capsys, *words) == found
    assert [f.stat().st_mtime_ns for f in files] == before
    lines = TABLES["adaptation"](found)
    assert [line["player"] for line in lines] == ["bayes", "ppo"]
    assert lines[1]["seeds, steps"] == "1, 2,000" and not lines[0]["seeds, steps"]
    assert [line["asked"] for line in lines] == ["1 ± 0.1", "0 ± 0.1"]
    assert {line["held"] for line in lines} <= {"yes", "no", "cannot be told"}
    for row, score, text in (
        (bayes, [1, 0.95, 1.05], "yes"),
        (bayes, [1, 0.9, 1.2], "cannot be told"),
        (ppo, [1, 0.95, 1.05], "no"),
        (ppo, [0, -0.1, 0.1], "yes"),
        (ppo, None, "-"),
    ):
        (one,) = TABLES["adaptation"]({"rows": [row | {"score": score}]})
        assert one["held"] == text


def test_ppo_gets_what_references_get_and_sees_no_history(monkeypatch):
    """Three budgets by default, moves narrowed down, told nothing, seeds and matches of its own."""
    asked = {}

    def learn(scenario, pool, seed, seeds, steps, modes):
        asked["learn"] = (scenario, pool, seed, seeds, steps, modes)
        return ["a", "b"]

    def measure(scenario, pool, nets, modes, matches, seed):
        asked["measure"] = (scenario, pool, nets, modes, matches, seed)
        return [{}, {}]

    monkeypatch.setattr(references, "learn", learn)
    monkeypatch.setattr(references, "measure", measure)
    *jobs, _ = adaptation._jobs(RACE, adaptation.Adapting(seeds=3))
    assert [(job.config["player"], job.seed) for job in jobs] == [
        ("bayes", 110), ("ppo", 110), ("ppo", 111),
    ]  # fmt: skip
    assert adaptation.measured(jobs[1], 100, 2) == [{}, {}]
    assert asked["learn"] == (RACE, "train", 100, 2, 3 * RACE.budget, (BLIND,))
    assert asked["measure"] == (RACE, "train", ["a", "b"], (BLIND,), RACE.matches, adaptation.SEED)
    assert adaptation.SEED != references.SEED
    assert references.game_of(RACE, "train", (BLIND,), None).narrow


def test_the_way_to_play_and_the_seed_are_chosen_by_other_matches():
    row = lambda *each: {
        f"blind, {way}": {"choice": choice, "report": [report] * 10}
        for way, (choice, report) in zip(("sampled", "greedy"), each, strict=True)
    }
    config = {"scenario": "race-v1", "player": "ppo", "steps": 5, "matches": 40}
    jobs = [Job("race-ppo", config, seed) for seed in (100, 101)]
    results = [row((0.4, 0.5), (0.3, 0.9)), row((0.1, 0.8), (0.6, 0.2))]
    (found,) = adaptation.scored(jobs, results)
    assert found["plays"] == ["sampled", "greedy"] and found["per_seed"] == [0.5, 0.2]
    told = published.references(RACE)
    blind, filter = told.blind.mean(), told.filter.mean()
    assert found["score"][0] == pytest.approx((0.35 - blind) / (filter - blind))
    assert found["best"][0] == pytest.approx((0.2 - blind) / (filter - blind)), "chosen, not best"


class Leaning(eqx.Module):
    """Plays the second of two moves, and says that it prefers the first."""

    def begin(self, key: Any, memory: Any) -> Any:
        return ()

    def log_probs(self, memory: Any, view: View) -> Float[Array, " A"]:
        return jnp.log(jnp.array([0.6, 0.4]))

    def act(self, key: Any, memory: Any, view: View, greedy: bool) -> Act:
        return Act(jnp.int32(1), memory, {})


def test_a_way_to_play_is_drawn_or_the_likeliest():
    shapes = view_shapes(envs.make("matrix:pd"))
    here = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), shapes)
    away = eqx.tree_at(lambda v: v.legal, here, jnp.zeros(2, bool))
    drawn, likeliest = (adaptation.Way(Leaning(), jnp.asarray(g)) for g in (False, True))
    moves = [int(w.act(jr.key(0), (), here, False).action) for w in (drawn, likeliest)]
    assert moves == [1, 0]
    assert int(likeliest.act(jr.key(0), (), away, False).action) == NO_MOVE


def test_the_one_table_is_played_in_both_ways():
    env: Any = envs.make("race")
    seats = {0: "bayes", 1: "pool:train", 2: "pool:train"}
    roster = adaptation.both_ways(roster_of(env, seats), 0, Leaning())
    assert roster.labels == ("sampled", "greedy") and roster.focal == (0, 0)
    assert [table[0].member for table in roster.tables] == [0, 1]
    assert roster.tables[0][1:] == roster.tables[1][1:]
    policy = roster.kinds[roster.tables[0][0].kind].policy.policy
    assert np.asarray(policy.greedy).tolist() == [False, True]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "9"], "--seed must be 10 or more, found 9: the references of matrix:pd-v2"),
        (["--scenarios", "rase"], "unknown scenario 'rase'"),
        (["--matches", "39"], "--matches must be at least 40, found 39"),
        (["--seeds", "0"], "--seeds must be at least 1, found 0"),
        (["--ppo", "entrpy=0.1"], "unknown setting of --ppo 'entrpy'"),
        (["--ppo", "steps=9"], "unknown setting of --ppo 'steps'"),
        (["--ppo", "gru=8"], "unknown setting of --ppo 'gru'"),
        (["--ppo", "snapshots=0.5"], "unknown setting of --ppo 'snapshots'"),
        (["--ppo", "entropy=much"], "--entropy"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said, capsys):
    assert main(["bench", "adaptation", *words]) == 2
    assert said in capsys.readouterr().err


def test_settings_of_ppo_are_the_scenarios_and_its_own_or_those_asked_for():
    stag = scenario_of("matrix:stag-v2")
    told = lambda *own: adaptation._jobs(stag, adaptation.Adapting(ppo=own))[-1].config["training"]
    assert told() == stag.training | {"first_policy": 5.0}
    assert told("entropy=0.2", "widths=8,4") == stag.training | {"entropy": 0.2, "widths": (8, 4)}
    assert told("first-policy=0.01") == stag.training | {"first_policy": 0.01}, "a usual one, too"


def test_scenarios_without_references_are_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(published, "path_of", lambda scenario: tmp_path / scenario.file)
    assert main(["bench", "adaptation", "--scenarios", "race"]) == 2
    assert "race-v2 has no published references" in capsys.readouterr().err
