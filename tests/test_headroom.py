"""References of scenarios: what is published holds together, and how it is made."""

import json
from typing import Any

import numpy as np
import pytest

from counterplay import envs, headroom, opponents
from counterplay.cli import main
from counterplay.evaluate import published
from counterplay.evaluate.exact import best_response
from counterplay.evaluate.scenarios import SCENARIOS, scenario_of
from counterplay.evaluate.statistics import t_interval
from counterplay.opponents.sets import members

PAYS = ("matrix:pd", "matrix:chicken", "race", "coordination", "pursuit")
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
            assert np.mean(row["blocks"]) == pytest.approx(row["all"][row["seed"]])


@pytest.mark.parametrize("scenario", FOUND, ids=lambda s: s.name)
def test_the_references_score_themselves(scenario):
    known = published.references(scenario)
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
        published.read(scenario_of("matrix:pd"))["sets"]["train"]["oracle"]["blocks"]
    )
    assert found.low <= exact <= found.high


def test_references_are_made_kept_and_chosen_elsewhere(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(headroom, "use_all_cores", lambda game="": None)
    words = ["headroom", "matrix:pd", "--seeds", "2", "--steps", "3000", "--matches", "40"]
    words += ["--out", str(tmp_path / "queue"), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scenario"] == "matrix:pd-v1" and found["steps"] == 3000
    assert found["sets"]["train"]["random"] != found["sets"]["held-out"]["random"]
    files = sorted(tmp_path.glob("queue/*.json"))
    assert [f.name.split("-v1-")[1].rpartition("-")[2] for f in files] == ["0.json", "1.json"] * 2
    # a second call reads what is there: nothing is trained, and nothing changes
    before = [f.stat().st_mtime_ns for f in files]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == found["sets"]
    assert [f.stat().st_mtime_ns for f in files] == before


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
