"""Run folders are read as they are; damage is told, and never fails a report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_runs import ROWS, iteration, make_run

from counterplay.report.build import read_all
from counterplay.report.read import read_run


def test_numbers_are_those_of_the_files(tmp_path):
    run = read_run(make_run(tmp_path / "mine", ROWS))
    assert run.steps.tolist() == [10, 20, 30] and run.done == 30 and run.seconds == 3.0
    returns = run.metrics["return"]
    assert np.isnan(returns[1, 0])
    assert np.nan_to_num(returns, nan=-1).tolist() == [[1, 3], [-1, 5], [2, 6]]
    assert run.metrics["entropy"].tolist() == [[0.6, 0.5], [0.5, 0.4], [0.4, 0.3]]
    assert "value_loss" not in run.metrics
    assert run.notes == () and run.finished is True and (run.name, run.seeds) == ("mine", 2)


@pytest.mark.parametrize("broken", ['{"steps": 4', "\x00\x00", "[]", '{"steps": null}', '"'])
def test_a_damaged_last_line_is_left_out_and_said(broken, tmp_path):
    folder = make_run(tmp_path / "mine", ROWS)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(broken)
    run = read_run(folder)
    assert run.steps.tolist() == [10, 20, 30]
    assert run.notes == (
        "the last line of metrics.jsonl is damaged, as after a kill, and left out",
    )


def test_damaged_lines_in_between_are_counted(tmp_path):
    folder = make_run(tmp_path / "mine", ROWS)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join([lines[0], "?", "{}", lines[2]]))
    run = read_run(folder)
    assert run.steps.tolist() == [10, 30]
    assert run.notes == ("damaged lines of metrics.jsonl are left out: 2",)


@pytest.mark.parametrize(
    ("asked", "finished"), [(30, True), (31, False), (None, None), ("x", None)]
)
def test_a_run_is_finished_when_it_has_trained_for_its_steps(asked, finished, tmp_path):
    assert read_run(make_run(tmp_path / "x", ROWS, config={"steps": asked})).finished is finished


@pytest.mark.parametrize("there", [True, False])
def test_a_run_without_metrics_is_told(there, tmp_path):
    folder = make_run(tmp_path / "mine", [])
    if not there:
        (folder / "metrics.jsonl").unlink()
    run = read_run(folder)
    assert run.metrics == {} and run.seconds is None and run.done == 0 and run.finished is False
    said = "metrics.jsonl holds no iteration" if there else "metrics.jsonl is missing"
    assert run.notes == (said,)


def test_of_steps_trained_twice_the_later_hold(tmp_path):
    """Killed after 20 steps, taken up again at 10; the clock began anew."""
    again = [
        {"steps": 20, "seconds": 0.5, "return": [7.0, 8.0]},
        {"steps": 30, "seconds": 1.5, "return": [9.0, 9.0]},
    ]
    run = read_run(make_run(tmp_path / "mine", [*ROWS[:2], *again]))
    assert run.metrics["return"].tolist() == [[1, 3], [7, 8], [9, 9]]


def test_what_a_training_took_is_the_most_that_was_told(tmp_path):
    rows = [
        iteration(10 * i) | {"memory_mb": m, "parameters": 50} for i, m in enumerate((9, 12.5, 7))
    ]
    run = read_run(make_run(tmp_path / "mine", rows))
    assert (run.memory, run.parameters) == (12.5, 50)
    without = read_run(make_run(tmp_path / "older", [iteration(10)]))
    assert (without.memory, without.parameters) == (None, None)


def test_wall_time_goes_on_where_the_clock_began_anew(tmp_path):
    rows = [iteration(10) | {"seconds": s, "steps": 10 * i} for i, s in enumerate((1, 4, 0.5, 2))]
    assert read_run(make_run(tmp_path / "mine", rows)).seconds == 6.0


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], 1.0, "no", None, [True, "1"]])
def test_what_is_not_one_number_a_seed_is_not_recorded(values, tmp_path):
    assert read_run(make_run(tmp_path / "x", [iteration(10, entropy=values)])).metrics == {}


def test_evaluations_are_found_and_damaged_ones_told(tmp_path):
    folder = make_run(tmp_path / "mine", ROWS)
    contents: dict[str, Any] = {
        "a": {"kind": "eval", "rows": [{"label": "grim", "episodes": 4}]},
        "b": {"kind": "xplay", "rows": []},
        "c": {"kind": "eval", "rows": [{"label": 3}]},
        "d": ["eval"],
    }
    for name, result in contents.items():
        (folder / "evaluations" / name).mkdir(parents=True)
        (folder / "evaluations" / name / "result.json").write_text(json.dumps(result))
    run = read_run(folder)
    assert [(e.name, e.result) for e in run.evaluations] == [("a", contents["a"])]
    assert [note.split()[0] for note in run.notes] == [
        f"evaluations/{name}/result.json" for name in ("c", "d")
    ]


@pytest.mark.parametrize("config", [{"seeds": 0}, {"seeds": "2"}, {"seeds": True}])
def test_a_run_without_seeds_is_damaged(config, tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        read_run(make_run(tmp_path / "mine", ROWS, config=config))


def test_runs_of_one_name_are_told_apart_by_where_they_lie(tmp_path):
    places = [make_run(tmp_path / name, ROWS) for name in ("a/x/run", "b/x/run", "other")]
    assert [run.name for run in read_all(places)] == ["a/x/run", "b/x/run", "other"]
    with pytest.raises(ValueError, match="is given twice"):
        read_all([places[0], Path(f"{places[0]}/../run")])
