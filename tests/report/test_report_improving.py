"""Comparisons of runs of several seeds, and the file for marl-eval."""

import json

import numpy as np
import pytest
from synthetic_runs import ROWS, make_run

from counterplay.evaluate.a_a import a_a, halves
from counterplay.report import exporting, improving
from counterplay.report.blocks import Image, Table, Text
from counterplay.report.improving import comparisons
from counterplay.report.measure import Cell, Measured
from counterplay.report.read import read_run

PD = "matrix:pd,horizon=4"


def measured(*runs: list[tuple[float, ...]], blocks: tuple[float, ...] = ()) -> Measured:
    cells = {
        i: tuple(tuple(Cell(mean, 0.1, 8, blocks) for mean in row) for row in rows)
        for i, rows in enumerate(runs)
    }
    return Measured(PD, ("grim", "bully"), cells, None, {}, 1, ())


def test_who_always_earns_more_improves_for_sure():
    """Against grim 9 of 9 pairs of seeds are won, against bully 4.5, as all are alike."""
    strong, weak = [(5.0 + k, 1.0) for k in range(3)], [(1.0 + k, 1.0) for k in range(3)]
    section = comparisons(measured(strong, weak), {0: "A", 1: "B"}, "")
    assert section is not None
    (table,) = [b for b in section.blocks if isinstance(b, Table)]
    assert table.rows == (
        ("A over B", "0.750", "0.750 to 0.750", "3 and 3"),
        ("B over A", "0.250", "0.250 to 0.250", "3 and 3"),
    )
    (image,) = [b for b in section.blocks if isinstance(b, Image)]
    assert image.file == "profile.png" and "A: 1.000 at 0.88 to 0.000 at 7.12." in image.alt
    assert "fewer than 10 seeds: A, B" in str(section.blocks[0])


def test_runs_of_few_seeds_are_not_compared_so():
    three, two = [(1.0, 2.0)] * 3, [(1.0, 2.0)] * 2
    assert comparisons(measured(three, two), {0: "A", 1: "B"}, "") is None
    assert comparisons(measured(three), {0: "A"}, "") is None
    same = comparisons(measured(three, three), {0: "A", 1: "B"}, "")
    assert same is not None and same.blocks[1].rows[0][1] == "0.500"  # pyright: ignore


def test_a_run_of_many_seeds_is_compared_with_itself(monkeypatch):
    rng = np.random.default_rng(0)
    many = [tuple(rng.normal(size=2).tolist()) for _ in range(24)]
    section = comparisons(measured(many), {0: "A"}, "")
    assert section is not None and [type(b) for b in section.blocks] == [Text, Table]
    table = section.blocks[1]
    assert isinstance(table, Table)
    ((name, false, most, sound, halvings, seeds),) = table.rows
    assert (name, most, sound, halvings, seeds) == ("A", "8%", "yes", "200", "24")
    expected = a_a(halves(np.array(many)))
    assert false == f"{expected.false:.1%}" and 0 < expected.false <= 0.08
    # a procedure that always finds something is not hidden by the table
    monkeypatch.setattr(improving, "a_a", lambda draw: a_a(draw, lambda a, b: 0.01))
    section = comparisons(measured(many), {0: "A"}, "")
    assert section is not None and section.blocks[1].rows[0][1:4] == ("100.0%", "8%", "no")  # pyright: ignore


def test_too_few_seeds_have_no_a_a():
    eleven, twelve = [(float(k), 1.0) for k in range(11)], [(float(k), 1.0) for k in range(12)]
    assert comparisons(measured(eleven), {0: "A"}, "") is None
    assert comparisons(measured(twelve), {0: "A"}, "") is not None
    both = comparisons(measured(eleven, twelve), {0: "A", 1: "B"}, "")
    assert both is not None
    captions = [b.caption for b in both.blocks if isinstance(b, Table)]
    assert captions == ["Probability of improvement.", "A/A: a run compared with itself."]
    (row,) = [b for b in both.blocks if isinstance(b, Table)][1].rows
    assert row[0] == "B" and row[-1] == "12"


def test_the_file_has_a_task_an_opponent_and_a_run_a_seed(tmp_path):
    runs = [read_run(make_run(tmp_path / name, ROWS)) for name in ("a", "b")]
    found = measured([(1.0, 2.0), (3.0, 4.0)], [(5.0, 6.0), (7.0, 8.0)])
    path = tmp_path / "new" / "marl.json"
    exporting.export(path, runs, [found])
    tree = json.loads(path.read_text())[PD]
    assert set(tree) == {"grim", "bully"} and set(tree["grim"]) == {"ppo a", "ppo b"}
    one = tree["bully"]["ppo b"]["seed_1"]
    assert one == {"step_0": {"step_count": 30, "return": [8.0]},
                   "absolute_metrics": {"return": [8.0]}}  # fmt: skip


def test_one_run_of_an_algorithm_has_its_name_and_matches_their_numbers(tmp_path):
    run = read_run(make_run(tmp_path / "a", ROWS))
    many = measured([(1.0, 2.0), (3.0, 4.0)], blocks=(0.5, 1.5))
    (first, *rest) = exporting.evaluated([run], [many])
    assert (first.environment, first.task, first.algorithm, first.seed) == (PD, "grim", "ppo", 0)
    assert first.absolute == {"return": [0.5, 1.5]} and len(rest) == 3


def test_what_marl_eval_could_not_read_is_refused_before_anything_is_played(tmp_path):
    runs = [read_run(make_run(tmp_path / "a", ROWS)), read_run(make_run(tmp_path / "b", ROWS[:2]))]
    with pytest.raises(ValueError, match="as many seeds and the same steps, found a: 2 seeds, 30"):
        exporting.check_export("x.json", runs)
    exporting.check_export("x.json", runs[:1])
    for path in ("", " ", str(tmp_path)):
        with pytest.raises(ValueError, match="wants the name of a file"):
            exporting.check_export(path, runs[:1])
    with pytest.raises(ValueError, match="no run could play"):
        exporting.export(tmp_path / "x", runs, [Measured(PD, (), {}, None, {}, 1, ())])
