"""Tables of queues that were stopped, or in which jobs failed: what was done is told."""

import json
import re
from typing import Any

import numpy as np
import pytest

from counterplay import bench, studies
from counterplay.bench import adaptation, agents, controls, reading
from counterplay.errors import JobError
from counterplay.evaluate import published, references
from counterplay.evaluate.opponent_model import MODEL
from counterplay.evaluate.predicted import FILTER
from counterplay.evaluate.scenarios import scenario_of
from counterplay.jobs import Job
from counterplay.queues import Form, filled, tabled
from counterplay.studies import goal_timing, planning_frontier, raw_vs_embedding

JOBS = [Job(name, {"of": name}, seed) for name in ("a", "b", "c") for seed in (0, 1)]
PLAYED = {way: {"choice": 0.5, "report": [0.5] * 10} for way in ("sampled", "greedy")}
BLIND = {f"blind, {way}": told for way, told in PLAYED.items()}
GROUPS = {"moves": {}, "types": {}, "groups": {who: {"nmi": 0.5} for who in (MODEL, FILTER)}}
PLANS = {"report": [0.5] * 10, "world_steps": 9, "calls_a_decision": 0.0, "decisions_a_second": 1.0}
EARNED = {"return": 1.0, "return_error": 0.1}


def gathered(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    told: dict[str, list[float]] = {}
    for job, result in zip(jobs, results, strict=True):
        told.setdefault(job.name, []).append(result["y"])
    return [{"of": name, "mean": float(np.mean(y))} for name, y in told.items()]


FORM = Form(
    "means",
    gathered,
    lambda found: [{"of": row["of"], "mean": f"{row['mean']:.1f}"} for row in found["rows"]],
    lambda job: [{"of": job.name}],
)


def lines(out: str) -> list[list[str]]:
    """The cells of a printed table, without its head."""
    found = [line.split("│")[1:-1] for line in out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line] for line in found]


def square(without: Any, error: type[BaseException]) -> Any:
    def work(job: Job) -> dict[str, Any]:
        if without(job):
            raise error("no such luck")
        return {"y": 10.0 * ord(job.name) - 970 + job.seed}

    return work


def test_a_queue_that_was_stopped_tells_what_was_done(tmp_path, capsys):
    how: dict[str, Any] = {"title": "squares", "as_json": False}
    stops = square(lambda job: (job.name, job.seed) == ("b", 1), KeyboardInterrupt)
    assert tabled(JOBS, stops, tmp_path, FORM, {}, **how) == 1
    out, err = capsys.readouterr()
    assert out.startswith("means, without 3 of 6 jobs\n")
    assert lines(out) == [["a", "0.5"], ["b", "10.0"], ["c", ""]], "b: of the one that was done"
    assert "3 jobs not run; the same command goes on" in err
    goes_on = square(lambda job: False, KeyboardInterrupt)
    assert tabled(JOBS, goes_on, tmp_path, FORM, {}, **how) == 0
    out = capsys.readouterr().out
    assert out.startswith("means\n")
    assert lines(out) == [["a", "0.5"], ["b", "10.5"], ["c", "20.5"]]


def test_jobs_that_fail_do_not_keep_back_what_others_gave(tmp_path, capsys):
    fails = square(lambda job: job.name == "a" or (job.name, job.seed) == ("c", 0), RuntimeError)
    with pytest.raises(JobError, match="squares: 3 of 6 jobs failed"):
        tabled(JOBS, fails, tmp_path, FORM, {}, title="squares", as_json=False)
    out = capsys.readouterr().out
    assert lines(out) == [["a", ""], ["b", "10.5"], ["c", "21.0"]]
    assert "without 3 of 6 jobs" in out


def test_json_says_how_many_are_missing_and_only_then(tmp_path, capsys):
    how: dict[str, Any] = {"title": "squares", "as_json": True}
    stops = square(lambda job: job.name == "b", KeyboardInterrupt)
    assert tabled(JOBS, stops, tmp_path, FORM, {"seed": 7}, **how) == 1
    rows = [{"of": "a", "mean": 0.5}]
    assert json.loads(capsys.readouterr().out) == {"seed": 7, "rows": rows, "missing": 4}
    assert tabled(JOBS, square(lambda job: False, ValueError), tmp_path, FORM, {}, **how) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"rows"}


def test_of_nothing_there_is_no_table(tmp_path, capsys):
    stops = square(lambda job: True, KeyboardInterrupt)
    assert tabled(JOBS, stops, tmp_path, FORM, {}, title="squares", as_json=False) == 1
    out, err = capsys.readouterr()
    assert not out and "squares: too little has been done for a table" in err


def test_lines_of_one_name_stay_together_and_a_whole_table_as_it_is():
    known = [{"of": "b", "x": 1}, {"of": "b", "x": 2}]
    names = [{"of": name} for name in ("a", "b", "b", "c")]
    assert filled(known, names) == [{"of": "a", "x": ""}, *known, {"of": "c", "x": ""}]
    assert filled(known, names, missing=False) is known


@pytest.mark.parametrize(
    ("module", "program", "words", "gives", "named"),
    [
        (adaptation, bench, "adaptation --scenarios race-v1", BLIND, 2),
        (agents, bench, "agents --scenarios race --players ppo dqn",
         {"train": PLAYED, "held-out": PLAYED, "foreseen": []}, 3),
        (controls, bench, "controls --scenarios race --controls prior permuted alone",
         {"train": PLAYED, "foreseen": []}, 3),
        (reading, bench, "reading --cases pd-codes race", {"train": GROUPS, "held-out": GROUPS}, 2),
        (goal_timing, studies, "goal-timing --quick", {"train": {"report": [0.5] * 10}}, 4),
        (planning_frontier, studies, "planning-frontier --places race --planners none latent",
         PLANS, 2),
        (raw_vs_embedding, studies, "raw-vs-embedding --places stag_hunt:4x4 --models latent",
         EARNED, 2),
    ],
)  # fmt: skip
def test_every_command_tells_what_was_done(
    module, program, words, gives, named, tmp_path, monkeypatch, capsys
):
    """The jobs of the first table line are done, the others not: their lines hold names alone."""
    first: list[str] = []

    def measured(job, *more):
        first.append(job.name) if not first else None
        if job.name != first[0]:
            raise KeyboardInterrupt
        return [gives] if hasattr(module, "Together") else gives

    monkeypatch.setattr(module, "measured", measured)
    for name in ("use_all_cores", "run_where_called"):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, lambda game="": None)
    monkeypatch.setattr(references, "together", lambda seeds: 1)
    more = ["--seeds", "1", "--out", str(tmp_path)]
    assert program.main([*words.split(), *more]) == 1
    out = capsys.readouterr().out
    assert re.search(r", without \d+ of \d+ jobs$", out.splitlines()[0])
    rows = lines(out)
    done = [row for row in rows if sum(map(bool, row)) > named]
    blank = [row for row in rows if sum(map(bool, row)) == named]
    assert done and blank and len(done) + len(blank) == len(rows)
    assert rows[: len(done)] == done, "in the order of the jobs"
    assert len({tuple(row) for row in blank}) == len(blank)


def test_controls_without_one_side_of_a_comparison_have_no_row():
    told = controls.Controls(scenarios=("race",), players=("goal_ppo",), seeds=2)
    jobs = [job for job in controls.jobs_of(told) if job.name.endswith(("alone", "a_a"))]
    row: Any = {"train": PLAYED, "foreseen": []}
    rows_of = lambda kept: controls.rows_of(kept, [row] * len(kept), 2)
    alone = [job for job in jobs if job.name == "race-v2-goal_ppo-alone"]
    assert rows_of(alone) == []
    twice = [job for job in jobs if job.name.endswith("a_a")]
    assert [job.seed for job in twice] == [300, 301, 302, 303]
    assert rows_of(twice[:2]) == [], "two of one half"
    (one,) = rows_of([twice[1], twice[2], twice[3]])
    assert one["seeds"] == 1, "301 beside 303; 302 has nobody"


def test_rows_with_a_score_name_the_references_it_lies_between():
    race = scenario_of("race-v2")
    (file,) = {published.digest(race), published.references(race).digest}
    job = Job("race-v2-x", {"scenario": race.name, "player": "x", "steps": 1, "matches": 40}, 0)
    row: Any = {"train": PLAYED, "held-out": PLAYED, "foreseen": []}
    found = [agents.row_of(job, pool, [row])["references"] for pool in agents.POOLS]
    found += [x["references"] for x in adaptation.scored([job], [BLIND])]
    (control,) = controls.jobs_of(
        controls.Controls(players=("goal_ppo",), scenarios=("race",), controls=("prior",), seeds=1)
    )
    found += [x["references"] for x in controls.rows_of([control], [row], 1)]
    assert set(found) == {file} and re.fullmatch("[0-9a-f]{12}", file)
