"""References of scenarios: what is published holds together, and how it is made."""

import json
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from counterplay import envs, headroom, opponents
from counterplay.algos import Options, ppo
from counterplay.cli import main
from counterplay.evaluate import published, references, tabular
from counterplay.evaluate.adaptation import LEAST_HEADROOM
from counterplay.evaluate.exact import best_response
from counterplay.evaluate.scenarios import SCENARIOS, Scenario, scenario_of
from counterplay.evaluate.statistics import t_interval
from counterplay.opponents.sets import members
from counterplay.seats import Chair, Kind, Roster

MODES = (0, 1, 2)
SMALL = {"lanes": 4, "slots": 8, "widths": (4,), "minibatches": 1}
TINY = Scenario("tiny", "matrix:pd,horizon=4", 1, training=SMALL)
PAYS = ("matrix:pd", "matrix:stag", "race", "coordination", "pursuit", "scissors")
"""Scenarios in which knowing the others was measured to pay."""
FOUND = [s for s in SCENARIOS.values() if published.path_of(s).is_file()]
NAMES = published.NAMES


@pytest.mark.parametrize("game", PAYS)
def test_knowing_the_others_pays(game):
    told = headroom.summary(published.read(scenario_of(game)), "train")
    assert told["headroom"] >= 0.30
    assert told["filter"] >= 0.15


@pytest.mark.parametrize("scenario", FOUND, ids=lambda s: s.name)
def test_who_knows_more_earns_no_less(scenario):
    assert headroom.summary(published.read(scenario), "train")["ordered"]


@pytest.mark.parametrize("scenario", FOUND, ids=lambda s: s.name)
def test_what_is_published_says_how_it_was_made(scenario):
    found = published.read(scenario)
    assert found["scenario"] == scenario.name and found["game"] == scenario.game
    assert found["match"] == scenario.match and found["seeds"] >= 10
    assert found["steps"] == 3 * scenario.budget and found["matches"] == scenario.matches
    for pool in headroom.POOLS:
        assert tuple(found["sets"][pool]) == NAMES
        assert found[pool] == list(headroom.members(scenario.game.partition(":")[0], pool))
        for name in NAMES[1:]:
            row = found["sets"][pool][name]
            assert len(row["all"]) == found["seeds"] and len(row["blocks"]) == 10
            means = row["table"] if row["seed"] is None else row["all"][row["seed"]]
            assert np.mean(row["blocks"]) == pytest.approx(means)


@pytest.mark.parametrize("scenario", FOUND, ids=lambda s: s.name)
def test_the_references_score_themselves(scenario):
    known = published.references(scenario)
    told = headroom.summary(published.read(scenario), "train")
    assert known.tells == (not scenario.weak and told["filter"] >= LEAST_HEADROOM)
    assert known.tells == (scenario in published.telling())
    if not known.tells:
        assert known.score(known.filter[None]).score is None
        known = known._replace(weak=False)
    if told["filter"] < LEAST_HEADROOM:
        return
    scores = [known.score(x[None]).score for x in (known.blind, known.filter)]
    share = known.score(known.oracle[None]).share
    assert share is not None and None not in scores
    assert [x.estimate for x in scores if x] == pytest.approx([0, 1])
    assert share.estimate == pytest.approx(1)


def test_the_oracle_of_a_matrix_game_earns_what_exact_best_replies_do():
    env: Any = envs.make("matrix:pd")
    rules = [opponents.make(text, env) for text in members("matrix", "train")]
    exact = np.mean([best_response(env, rule).per_round for rule in rules]) * env.horizon
    found = t_interval(
        published.read(scenario_of("matrix:pd-v1"))["sets"]["train"]["oracle"]["blocks"]
    )
    assert found.low <= exact <= found.high


@pytest.mark.parametrize("name", ["matrix:pd-v2", "matrix:stag-v2"])
def test_tables_are_told_exactly(name):
    scenario = scenario_of(name)
    known = references.known_in(scenario)
    sets = published.read(scenario)["sets"]["train"]
    oracle, random = tabular.oracle(known)[0].mean(), tabular.value(known, tabular.uniform(known))
    assert sets["oracle"]["blocks"] == pytest.approx([oracle / scenario.match] * 10)
    assert sets["random"]["blocks"] == pytest.approx([random / scenario.match] * 10)


def test_references_are_made_kept_and_chosen_elsewhere(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(headroom, "use_all_cores", lambda game="": None)
    words = ["headroom", "matrix:stag", "--seeds", "2", "--steps", "3000", "--matches", "240"]
    words += ["--out", str(tmp_path / "queue"), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scenario"] == "matrix:stag-v2" and found["steps"] == 3000
    of = found["sets"]["train"]  # so little training is no match for the tables
    assert of["blind"]["seed"] is None and of["oracle"]["seed"] is None
    assert np.mean(of["oracle"]["blocks"]) == of["oracle"]["table"] and "table" not in of["filter"]
    for name in ("random", "blind", "oracle"):
        assert len(set(of[name]["blocks"])) == 1, "told exactly"
    assert found["sets"]["train"]["random"] != found["sets"]["held-out"]["random"]
    files = sorted(tmp_path.glob("queue/*.json"))
    assert [f.name.split("-v2-")[1].rpartition("-")[2] for f in files] == ["0.json", "1.json"] * 2
    # a second call reads what is there: nothing is trained, and nothing changes
    before = [f.stat().st_mtime_ns for f in files]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == found["sets"]
    assert [f.stat().st_mtime_ns for f in files] == before


def test_seeds_that_are_trained_apart_share_a_program_and_are_those_of_one_training():
    small = replace(TINY, name="seeds apart", match=2)
    apart = [references.learn(small, "train", seed, 1, 300)[0] for seed in (5, 6)]
    assert references._training.cache_info().currsize >= 1
    solo = references.game_of(small, "train", MODES, None)
    config = ppo.Config(seed=5, seeds=2, steps=300, **small.training)
    roster = Roster((Kind("self", 1, True),), ((Chair(0, 0),),))
    *_, last = ppo.train(config, solo, roster, Options())
    for i, net in enumerate(apart):
        for mine, whole in zip(jax.tree.leaves(net), jax.tree.leaves(last.nets[0]), strict=True):
            np.testing.assert_array_equal(mine, np.asarray(whole)[i, 0])


def test_as_many_seeds_are_trained_at_once_as_there_are_cores(tmp_path, monkeypatch, capsys):
    """And always the same together, wherever a queue was stopped."""
    asked: list[Any] = []
    stops = [("train", 2)]

    def work(scenario, job, seed, seeds):
        asked.append((job.config["pool"], seed, seeds))
        if asked[-1][:2] in stops:
            raise KeyboardInterrupt
        row = {"blind, greedy": {"choice": seed, "report": [0.5, 0.5]}}
        row |= {f"{n}, greedy": row["blind, greedy"] for n in NAMES[2:]}
        chance = {pool: [0.0, 0.0] for pool in headroom.POOLS}
        return [dict.fromkeys(headroom.POOLS, row) | {"random": chance} for _ in range(seeds)]

    monkeypatch.setattr(headroom, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(headroom, "work", work)
    monkeypatch.setattr(references, "together", lambda seeds: 2)
    words = ["headroom", "race", "--seeds", "4", "--out", str(tmp_path), "--json"]
    assert main(words) == 1
    assert asked == [("train", 0, 2), ("train", 2, 2)] and len([*tmp_path.glob("*.json")]) == 2
    (tmp_path / next(tmp_path.glob("*-1.json")).name).unlink()  # killed between two files
    asked.clear()
    stops.clear()
    assert main(words) == 0
    assert asked == [(pool, seed, 2) for pool in headroom.POOLS for seed in (0, 2)]
    assert len([*tmp_path.glob("*.json")]) == 8


def test_the_best_seed_is_chosen_by_other_matches_than_it_is_reported_by():
    row = lambda choice, report: {"choice": choice, "report": [report]}
    rows = [
        {"blind, sampled": row(1, 9), "blind, greedy": row(2, 0)},
        {"blind, sampled": row(3, 1), "blind, greedy": row(0, 9), "oracle, greedy": row(9, 9)},
    ]
    assert headroom._best(rows, "blind") == (1, "blind, sampled")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rase"], "unknown scenario 'rase'; expected one of: matrix:pd-v1"),
        (["race:narrow"], "race:narrow is the game of race-once-v1 and race-v2: name"),
        (["race", "--publish", "--seeds", "3", "--steps", "9"], "leave --steps and --seeds away"),
        (["race", "--publish", "--matches", "40"], "leave --matches away"),
        (["race", "--seeds", "0"], "--seeds must be at least 1, found 0"),
        (["race", "--matches", "10"], "--matches must be at least 40, found 10"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, said, capsys):
    assert main(["headroom", *words]) == 2
    assert said in capsys.readouterr().err


def test_without_a_scenario_it_shows_what_is_published(capsys):
    assert main(["headroom", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["scenario"] for row in rows[::2]] == [s.name for s in FOUND]


def test_references_measured_with_opponents_as_drawn_are_refused(monkeypatch):
    scenario = scenario_of("matrix:pd-v2")
    kept = published.read(scenario)
    assert kept["balanced"]
    monkeypatch.setattr(published, "read", lambda scenario: kept | {"balanced": None})
    with pytest.raises(
        ValueError, match="measured with opponents as they were drawn, while agents"
    ):
        published.references(scenario)


def test_fewer_matches_than_blocks_are_refused():
    assert references.blocks(np.arange(10.0)) == list(range(10))
    with pytest.raises(ValueError, match="intervals need 10 matches or more, found 9"):
        references.blocks(np.arange(9.0))
