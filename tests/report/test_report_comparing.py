"""Conclusions over seeds: known means and p-values, and words where there is too little to tell."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_runs import make_run

from counterplay.report.blocks import Table, Text
from counterplay.report.comparing import differences, middle, middles
from counterplay.report.measure import MOST_BLOCKS, Cell, Measured, _blocks
from counterplay.report.read import Run, read_run

A, B = "grim", "bully"
OPPONENTS = (A, B, "mean of these")
Cells = tuple[tuple[Cell, ...], ...]


def cells(means: np.ndarray, noise: float = 1.0, blocks: int = MOST_BLOCKS) -> Cells:
    """[seeds, opponents] -> cells whose blocks lie evenly about their mean."""
    about = noise * np.linspace(-1, 1, blocks)
    return tuple(tuple(Cell(x, 0.1, 8, tuple(x + about)) for x in row) for row in means)


def measured(*returns: Cells) -> Measured:
    return Measured("pd", (A, B), dict(enumerate(returns)), None, {}, 1, ())


def run(folder: Path, seeds: int, seed: int = 0) -> Run:
    return read_run(make_run(folder, [], seeds, config={"seed": seed}))


def test_the_middle_leaves_out_the_outer_quarters():
    """Of 0, 1, 2 and 99 stay 1 and 2; of 4, 4, 4 and 4 all are alike."""
    found = middle(cells(np.array([[0.0, 4], [1, 4], [2, 4], [99, 4]]), noise=0))
    assert [one.estimate for one in found.intervals] == [1.5, 4.0, (2.5 + 3) / 2]
    assert found.over == "4 seeds, and matches"
    assert (found.intervals[1].low, found.intervals[1].high) == (4, 4)
    assert found.intervals[0].low < 1 and found.intervals[0].high > 50


def test_the_interval_of_one_seed_is_that_of_its_matches():
    noise = 3.0
    found = middle(cells(np.array([[1.0, 5.0]]), noise))
    assert found.over == "matches of one seed only"
    error = noise * np.linspace(-1, 1, MOST_BLOCKS).std() / np.sqrt(MOST_BLOCKS)
    for one, mean in zip(found.intervals, (1, 5, 3), strict=True):
        assert one.estimate == mean and one.count == 1
        assert one.high - one.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    (text, table) = middles(measured(cells(np.array([[1.0, 5.0]]))), OPPONENTS, {0: "ppo"})
    assert isinstance(text, Text) and "says nothing of what another seed" in text.words
    assert isinstance(table, Table) and table.rows[1][:2] == (B, "5.000")
    assert table.columns[2] == "ppo, 95% over matches of one seed only"


@pytest.mark.parametrize(("seeds", "blocks"), [(1, 1), (1, 0), (4, 0)])
def test_without_what_matches_earned_there_is_no_middle(seeds, blocks):
    found = cells(np.ones((seeds, 2)), blocks=blocks)
    assert middle(found).intervals == () and middles(measured(found), OPPONENTS, {0: "x"}) == []


def test_twenty_seeds_take_no_time():
    began = time.process_time()
    middle(cells(np.random.default_rng(0).normal(size=(20, 8))))
    assert time.process_time() - began < 10


@pytest.mark.parametrize("matches", [1, 2, 64, 65, 1000])
def test_groups_of_matches_share_out_the_seats(matches):
    """Matches come seat by seat: were groups cut in a row, each would hold one seat only."""
    found = _blocks(np.repeat([0.0, 10.0], matches))
    assert len(found) == min(2 * matches, MOST_BLOCKS)
    if matches == 1000:
        assert min(found) > 4.5 and max(found) < 5.5
    assert _blocks(None) == ()


def test_paired_seeds_are_tested_by_flipping_signs(tmp_path):
    x = np.random.default_rng(0).normal(size=(11, 2))
    y = x + np.random.default_rng(1).normal(0.4, 1, size=(11, 2))
    runs = {0: run(tmp_path / "a", 11), 1: run(tmp_path / "b", 11)}
    blocks = differences(measured(cells(x), cells(y)), OPPONENTS, runs, {0: "A", 1: "B"})
    (_, table) = blocks
    assert isinstance(table, Table)
    for k, row in enumerate(table.rows[:2]):
        less = (x - y)[:, k]
        peer = stats.permutation_test(
            (less,), np.mean, permutation_type="samples", n_resamples=2**12
        )
        told = (f"{less.mean():,.3f}", f"{peer.pvalue:.3f}", "11")
        assert row == ("A - B", OPPONENTS[k], *told)
    assert len(table.rows) == 3


@pytest.mark.parametrize(
    ("first", "pairs", "said"),
    [
        (0, "3", "0.250 (preliminary)"),
        (1, "2", "0.500 (preliminary)"),
        (2, "1", "too few pairs"),
        (3, "0", "too few pairs"),
    ],
)
def test_pairs_are_seeds_of_one_number(first, pairs, said, tmp_path):
    """Seeds 0, 1, 2 against those from ``first``: a seed earns its number, and the other 9 less."""
    mine, theirs = (np.arange(n, n + 3.0)[:, None] * np.ones(2) for n in (0, first))
    runs = {0: run(tmp_path / "a", 3), 1: run(tmp_path / "b", 3, first)}
    found = measured(cells(mine), cells(theirs - 9))
    (text, table) = differences(found, OPPONENTS, runs, {0: "A", 1: "B"})
    assert isinstance(table, Table) and isinstance(text, Text)
    assert [row[2:] for row in table.rows] == [("9.000" if pairs != "0" else "-", said, pairs)] * 3


def test_seeds_of_unknown_number_make_no_pairs(tmp_path):
    old = run(tmp_path / "a", 2)
    old = replace(old, config=old.config | {"config": {"seeds": 2}})
    found = measured(cells(np.ones((2, 2))), cells(np.ones((2, 2))))
    (_, table) = differences(found, OPPONENTS, {0: old, 1: old}, {0: "A", 1: "B"})
    assert isinstance(table, Table) and table.rows[0][2:] == ("-", "too few pairs", "0")


def test_a_single_run_is_compared_with_nobody(tmp_path):
    found = measured(cells(np.ones((2, 2))))
    assert differences(found, OPPONENTS, {0: run(tmp_path / "a", 2)}, {0: "A"}) == []
