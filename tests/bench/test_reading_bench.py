"""The benchmark of reading the others in miniature: trained, watched, kept, and told."""

import json
from dataclasses import replace

import pytest

from counterplay import bench
from counterplay.bench import lone_hunter
from counterplay.bench import reading as module
from counterplay.bench.reading_table import MISSED, reading
from counterplay.bench.tables import TABLES
from counterplay.evaluate.opponent_model import LAST_MOVE, MARGINAL, MODEL
from counterplay.evaluate.predicted import FILTER, TRUE

SMALL = {"lanes": 8, "reader_widths": (4,), "reader_gru": 4, "widths": (4,), "slots": 8}


def test_it_tells_predictions_beliefs_and_groups_of_every_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "use_all_cores", lambda: None)
    case = replace(module.CASES["race"], settings=SMALL)
    monkeypatch.setitem(module.CASES, "race", case)
    words = ["reading", "--cases", "race", "--seeds", "2", "--together", "2", "--steps", "200"]
    words += ["--matches", "6"]
    assert bench.main([*words, "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    train, held_out = found["rows"]
    assert (train["set"], held_out["set"], train["steps"]) == ("train", "held-out", 200)
    one, other = train["per_seed"]
    assert one["moves"][MODEL] != other["moves"][MODEL], "two trainings"
    assert set(one["moves"]) == {MODEL, FILTER, TRUE, MARGINAL, LAST_MOVE}
    assert set(one["types"]) == {MODEL, FILTER} and set(one["groups"]) == {MODEL, FILTER}
    assert one["moves"][MODEL]["excess"] > 0, "it has learnt next to nothing"
    assert held_out["per_seed"][0]["types"] == {}, "who is of no known type has none to be told"
    shown = reading(found)
    assert TABLES["reading"] is reading and len({tuple(line) for line in shown}) == 1
    assert {line["asked"] for line in shown if line["set"] == "held-out"} == {""}
    files = sorted(tmp_path.glob("*.json"))
    before = [file.stat().st_mtime_ns for file in files]
    assert bench.main([*words, "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert len(files) == 2 and [file.stat().st_mtime_ns for file in files] == before


def test_a_lone_hunter_is_watched_and_told(tmp_path, monkeypatch, capsys):
    """By a reader that has seen next to nothing; the filter knows it in every lane."""
    monkeypatch.setattr(module, "use_all_cores", lambda: None)
    tiny = lone_hunter.SETTINGS | {"reader_widths": (4,), "reader_gru": 4, "reader_epochs": 1}
    case = replace(module.CASES["lone_hunter"], settings=tiny)
    monkeypatch.setitem(module.CASES, "lone_hunter", case)
    words = ["reading", "--cases", "lone_hunter", "--seeds", "1", "--steps", "1920"]
    assert bench.main([*words, "--matches", "16", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    (job,) = module.jobs_of(module.Reading(("lone_hunter",), seeds=1))
    assert job.config["settings"]["reader_gru"] == 4, "settings are the case's"
    ((one,),) = (row["per_seed"] for row in found["rows"])
    assert one["lone"]["exact"]["share"] == 1 and one["lone"]["reader"]["share"] < 1
    lanes, middle = reading(found)
    assert lanes["set"] == middle["set"] == "train" and lanes["outcome"] == MISSED


def test_ten_seeds_are_the_default():
    assert module.Reading().seeds == 10


def test_every_case_is_one_that_can_be_played():
    jobs = module.jobs_of(module.Reading(seeds=2))
    assert len({(job.name, job.seed) for job in jobs}) == 2 * len(module.CASES)
    for case in module.CASES.values():
        assert case.place.game, case.scenario


def test_an_unknown_case_is_refused():
    with pytest.raises(ValueError, match="unknown case 'rac'"):
        bench.main(["reading", "--cases", "rac"])
