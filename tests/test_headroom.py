"""References of scenarios: what is published holds together, and how it is made."""

import json
import re
from dataclasses import replace
from pathlib import Path
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
FROZEN = Path(__file__).parent / "published.json"
"""Digests of the published files."""
NAMES = published.NAMES


def test_every_scenario_has_published_references():
    missing = [s.name for s in SCENARIOS.values() if s not in FOUND]
    assert not missing, (
        f"without references: {', '.join(missing)}. Make them with counterplay headroom SCENARIO "
        f"--publish, then write their digests into {FROZEN.name}, as the next test says"
    )


def test_published_references_stay_as_they_are():
    """Whoever changes one has to say so here; nothing else notices, and scores change."""
    kept, found = json.loads(FROZEN.read_text()), {s.file: published.digest(s) for s in FOUND}
    assert {p.stem for p in published.FOLDER.glob("*.json")} == set(found), "no scenario's files"
    changed = {name for name in kept | found if kept.get(name) != found.get(name)}
    wanted = json.dumps(dict(sorted(found.items())), indent=1)
    assert not changed, (
        f"published references that are new, gone or others than before: {sorted(changed)}. What "
        "was there changes every score that was told with it: give the scenario a new version "
        f"instead. If it is meant, or the file is new, {FROZEN.name} has to be:\n{wanted}\n"
        "and the tables follow with: counterplay bench figures --only references"
    )


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
    assert re.fullmatch(r"(20\d\d-\d\d-\d\d)?", found.get("date", "")), "the first had none"
    assert re.fullmatch("([0-9a-f]{40}(-dirty)?)?", found.get("commit", ""))
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
    assert (known.tells and not scenario.beside) == (scenario in published.telling())
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


@pytest.mark.parametrize("scenario", [s for s in FOUND if s.weak], ids=lambda s: s.name)
def test_a_blind_player_that_is_said_to_be_weak_is(scenario):
    """A table that any search finds earns more."""
    found = tabular.blind(references.known_in(scenario), starts=2)[0]
    assert found > t_interval(published.references(scenario).blind).high


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


def fake(worth: Any = lambda job, seed: 0.5, stop: Any = lambda job, seed: False) -> Any:
    """Work on seeds, all of whose references earn so much, and a random player nothing."""

    def work(scenario, job, seed, seeds):
        if stop(job, seed):
            raise KeyboardInterrupt
        told = lambda s: {"choice": worth(job, s), "report": [worth(job, s)] * 10}
        row = lambda s: {f"{name}, greedy": told(s) for name in NAMES[1:]}
        chance = {"random": {pool: [0.0] * 10 for pool in headroom.POOLS}}
        each = range(seed, seed + seeds)
        return [dict.fromkeys(headroom.POOLS, row(s)) | chance for s in each]

    return work


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    """Where references are published that nobody trained, two seeds at once."""
    monkeypatch.setattr(headroom, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(headroom, "work", fake())
    monkeypatch.setattr(references, "together", lambda seeds: 2)
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    return tmp_path


def test_what_is_published_says_when_and_by_which_commit_it_was_measured(made, monkeypatch, capsys):
    words = ["headroom", "race", "--publish", "--json", "--out", str(made / "queue")]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    found = json.loads((made / "race-v2.json").read_text())
    (row, *_) = [json.loads(path.read_text()) for path in (made / "queue").glob("*-9.json")]
    assert found == told and found["date"] == row["date"][:10] and "missing" not in found
    assert {name: found[name] for name in headroom.MADE} == {n: row[n] for n in headroom.MADE}
    scenario = scenario_of("race")
    assert published.measured(scenario).startswith(found["date"])
    assert published.references(scenario).digest == published.digest(scenario)


def test_published_references_are_not_replaced_without_a_word(made, monkeypatch, capsys):
    words = ["headroom", "race", "--publish", "--out", str(made / "queue")]
    kept = {"seeds": 10, "date": "2026-11-02", "commit": "0123456789" * 4 + "-dirty"}
    (made / "race-v2.json").write_text(json.dumps(kept))
    before = published.digest(scenario_of("race"))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "race-v2 has published references, measured 2026-11-02, 0123456-dirty" in said
    assert f"(10 seeds, digest {before}): scores told with them would change" in said
    assert "Make a new version of the scenario, or say --replace" in said
    assert not (made / "queue").exists(), "nothing was trained"
    assert published.digest(scenario_of("race")) == before
    (made / "race-v2.json").write_text('{"seeds": 10}')
    assert main(words) == 2 and "on a day that it does not say" in capsys.readouterr().err
    assert main([*words, "--replace"]) == 0
    assert published.read(scenario_of("race"))["sets"]["train"]["blind"]["all"] == [0.5] * 10


def test_a_queue_that_was_stopped_tells_what_was_done_and_publishes_nothing(
    made, monkeypatch, capsys
):
    """The better of the seeds that were done, and an empty line of the set that was not begun."""
    worth = lambda job, seed: 0.125 * (seed + 1)
    last = lambda job, seed: job.config["pool"] == "train" and seed == 4
    monkeypatch.setattr(headroom, "work", fake(worth, last))
    words = ["headroom", "race", "--publish", "--out", str(made / "queue")]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "without 16 of 20 jobs" in out.splitlines()[0]
    rows = [line.split("│")[2:-1] for line in out.splitlines() if line.startswith("│")]
    train, held_out = ([cell.strip() for cell in row] for row in rows)
    known = ["train", "0.000 ± 0.000", *["0.500 ± 0.000"] * 3, "0%", "0%"]
    assert train == known and held_out == ["held-out", *[""] * 6]
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["missing"] == 16 and list(found["sets"]) == ["train"]
    assert found["sets"]["train"]["oracle"]["seed"] == 3
    assert not (made / "race-v2.json").exists()
    monkeypatch.setattr(headroom, "work", fake(stop=lambda job, seed: True))
    assert main(["headroom", "race", "--out", str(made / "other")]) == 1
    said = capsys.readouterr()
    assert not said.out and "too little has been done for a table" in said.err


def test_jobs_that_fail_do_not_keep_back_what_others_found(made, monkeypatch, capsys):
    def work(scenario, job, seed, seeds):
        if job.config["pool"] == "train" and seed == 0:
            raise RuntimeError("no such luck")
        return fake(lambda job, seed: 0.125 * seed)(scenario, job, seed, seeds)

    monkeypatch.setattr(headroom, "work", work)
    words = ["headroom", "race", "--seeds", "4", "--out", str(made / "queue")]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "without 2 of 8 jobs" in said.out and "0.375 ± 0.000" in said.out
    assert "headroom of race-v2: 2 of 8 jobs failed" in said.err
    assert main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sets"]["train"]["blind"]["seed"] == 3
    assert found["sets"]["train"]["blind"]["all"] == [0.25, 0.375]


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
        (["race", "--replace"], "--replace is for what is published: say --publish, too"),
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
    told = {(row["scenario"], row["set"]): row["tells a score"] for row in rows}
    assert set(told.values()) == {"yes", "no"}
    assert told["race-v2", "train"] == told["matrix:pd-v2", "train"] == "yes"
    assert told["matrix:pd-v1", "train"] == told["stag_hunt:4x4-v1", "train"] == "no"
    days = {row["scenario"]: row["measured"] for row in rows}
    assert days == {s.name: published.measured(s) for s in FOUND}
    assert days["matrix:stag-v2"] == "967b78a-dirty", "a file without a date"


def test_unseen_opponents_are_scored_where_the_page_says_so():
    """And by the share of oracle alone everywhere else."""
    telling = [s.name for s in FOUND if published.references(s, "held-out").tells and not s.beside]
    page = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text()
    (said,) = re.findall(r"Against held-out\s+opponents that is so in `([^`]*)` alone", page)
    assert telling == [said]


def test_references_measured_with_opponents_as_drawn_are_refused(monkeypatch):
    scenario = scenario_of("matrix:pd-v2")
    kept = published.read(scenario)
    assert kept["balanced"]
    monkeypatch.setattr(published, "read", lambda scenario: kept | {"balanced": None})
    with pytest.raises(
        ValueError, match=r"measured with opponents as they were drawn, while agents .* --replace"
    ):
        published.references(scenario)


def test_fewer_matches_than_blocks_are_refused():
    assert references.blocks(np.arange(10.0)) == list(range(10))
    with pytest.raises(ValueError, match="intervals need 10 matches or more, found 9"):
        references.blocks(np.arange(9.0))
