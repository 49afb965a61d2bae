"""Rows of episodes: those of the table and no others, each under the right label and number."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from probes import Clock, Coin
from scripted import Script

from counterplay import envs
from counterplay.evaluate import returns
from counterplay.evaluate.returns import alike, evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.tally import Row
from counterplay.pools import roster_against, roster_of, stage
from counterplay.spread import spread_over

PD = "matrix:pd,horizon=4"
NICE, NASTY = "always_cooperate:tremble=0", "always_defect:tremble=0"
BOT = """
class Nice:
    def begin(self, seed, new_match):
        pass

    def act(self, view):
        return 0
"""


def everybody(env: Any, who: str) -> Any:
    seats: dict[int, str] = dict.fromkeys(range(env.num_seats), who)
    return roster_of(env, seats)


def collected(env: Any, roster: Any, episodes: int, **more: Any) -> tuple[list[Row], Any]:
    rows = EpisodeRows()
    found = evaluate(env, roster, episodes, rows=rows, **more)
    return found, {name: np.array(x) for name, x in rows.columns().items()}


def test_returns_of_matches_are_those_of_the_focal_seat():
    env, rows = envs.make(PD), EpisodeRows()
    assert rows.match_returns() == {}
    roster = roster_against(env, NASTY, (NICE, NASTY, "random"))
    table = evaluate(env, roster, 12, match=3, rows=rows)
    found = rows.match_returns()
    assert list(found) == [NICE, NASTY, "random"]
    assert set(found[NICE]) == {20.0} and set(found[NASTY]) == {4.0}, "four rounds"
    for row in table:
        mine = found[row.label]
        assert len(mine) == row.matches and mine.mean() == pytest.approx(row.focal_mean)
        error = mine.std(ddof=1) / len(mine) ** 0.5
        assert error == pytest.approx(row.focal_error, abs=1e-5)


def test_balanced_matches_meet_everybody_as_often():
    """Against one defects, and one cooperates: 1 and 5 a round, drawn match by match."""
    env, rows = envs.make(PD), EpisodeRows()
    seats: dict[int, str] = {0: NASTY, 1: f"{NICE},{NASTY}"}
    evaluate(env, roster_of(env, seats, "it"), 3 * 41, match=3, rows=rows)
    (drawn,), (found,) = rows.match_returns().values(), rows.match_returns(2).values()
    nice = int((drawn == 20).sum())
    assert set(drawn) == {4.0, 20.0} and nice not in (0, len(drawn) / 2)
    assert len(found) == min(nice, len(drawn) - nice) and (found == 12).all()
    with pytest.raises(ValueError, match="only 2 of 3 opponents were met in 41 matches"):
        rows.match_returns(3)  # a third, never met, would be left out without a word


def agree(row: Row, columns: Any, match: int) -> None:
    """Mean, error and length of a label, made anew from its rows."""
    mine = columns["label"] == row.label
    assert mine.sum() == row.episodes
    seats = len(row.mean)
    each = np.stack([columns[f"return_{i}"][mine] for i in range(seats)], 1).astype(np.float64)
    sums = each.reshape(-1, match, seats).sum(1)  # rows come match by match
    error = sums.std(0, ddof=1) / len(sums) ** 0.5 / match
    np.testing.assert_allclose(each.mean(0), row.mean, rtol=1e-6)
    np.testing.assert_allclose(error, row.error, rtol=1e-4, atol=1e-6)
    assert columns["length"][mine].mean() == pytest.approx(row.length)
    focal = columns["focal"][mine]
    if row.focal_mean is None:
        assert (focal == -1).all()
        return
    own = np.take_along_axis(each, focal[:, None].astype(int), 1).reshape(-1, match).sum(1)
    assert own.mean() / match == pytest.approx(row.focal_mean)
    error = own.std(ddof=1) / len(own) ** 0.5 / match
    assert error == pytest.approx(row.focal_error, rel=1e-4)


@pytest.mark.parametrize("match", [1, 3])
@pytest.mark.parametrize("hosted", [False, True])
def test_the_table_can_be_made_of_the_rows(hosted, match, tmp_path, monkeypatch):
    monkeypatch.setattr(returns, "MOST_LANES", 12)
    env: Any = envs.make(PD)
    (tmp_path / "bot.py").write_text(BOT)
    others = (f"{tmp_path}/bot.py:Nice" if hosted else NICE, "random", "grim,tit_for_tat:tremble=0")
    roster = roster_against(env, "random", others)
    found, columns = collected(stage(env, roster), roster, 60, match=match)
    assert [row.label for row in found] == list(others)
    for row in found:
        agree(row, columns, match)
    lanes, each = np.unique(columns["lane"], return_counts=True)
    assert lanes.tolist() == list(range(len(lanes))) and len(set(each)) == 1
    order = columns["match"] * match + columns["episode"]
    assert order.tolist() == list(range(each[0])) * len(lanes), "none left out, none twice"
    assert columns["episode"].max() == match - 1


@pytest.mark.parametrize("env", [Coin(long=8), Script(length=2, stays=(9, 1, 9), over=False)])
def test_rows_of_short_and_of_interrupted_games(env, monkeypatch):
    monkeypatch.setattr(returns, "MOST_LANES", 16)
    (row,), columns = collected(env, everybody(env, "random"), 200)
    agree(row, columns, 1)
    if isinstance(env, Coin):
        assert np.array_equal(columns["return_0"] == 1, columns["length"] == 8)
        assert set(columns["length"]) == {1, 8}


def test_columns_have_names_and_types():
    env = envs.make(PD)
    rows = EpisodeRows()
    evaluate(env, roster_against(env, "grim", ("bully",)), 4, rows=rows)
    columns = rows.columns()
    types = {name: x.dtype.name for name, x in columns.items() if name != "label"}
    assert types == {
        **dict.fromkeys(("lane", "match", "episode", "length"), "int32"),
        "focal": "int16",
        **dict.fromkeys(("return_0", "return_1"), "float32"),
        **dict.fromkeys(("opponent_id_0", "opponent_id_1"), "int16"),
    }
    assert columns["label"] == ["bully"] * 4


def test_who_sat_there_is_who_was_paid():
    """Mixtures differ from match to match: the number says which of them it was."""
    env = envs.make(PD)
    roster = roster_against(env, NICE, (f"{NICE},{NASTY}", NASTY))
    _, columns = collected(env, roster, 64, match=2)
    ids = roster.ids
    assert sorted(ids.values()) == [NICE, NICE, NASTY, NASTY]
    for i in range(len(columns["lane"])):
        focal, other = columns["focal"][i], 1 - columns["focal"][i]
        assert ids[columns[f"opponent_id_{focal}"][i]] == NICE
        nasty = ids[columns[f"opponent_id_{other}"][i]] == NASTY
        assert columns[f"return_{focal}"][i] == (0 if nasty else 12)
        assert nasty or columns["label"][i] != NASTY
    by_match = columns["opponent_id_1"].reshape(-1, 2)
    assert (by_match[:, 0] == by_match[:, 1]).all()


def test_a_later_evaluation_is_added_under_lanes_of_its_own():
    env, rows = Clock(), EpisodeRows()
    for seed in (0, 1):
        evaluate(env, everybody(env, "random"), 5, seed=seed, rows=rows)
    assert rows.columns()["lane"].tolist() == list(range(10))
    with pytest.raises(ValueError, match="no episode has been collected"):
        EpisodeRows().columns()


def test_asking_for_rows_changes_no_result():
    env = envs.make(PD)
    roster = roster_against(env, "random", ("random", NICE))
    plain, (asked, _) = evaluate(env, roster, 50), collected(env, roster, 50)
    for one, other in zip(plain, asked, strict=True):
        assert (one.focal_mean, one.focal_error) == (other.focal_mean, other.focal_error)


def test_nothing_more_leaves_the_device_for_those_who_do_not_ask():
    env = envs.make(PD)
    roster = everybody(env, "grim")
    seating, spread = alike(roster.seating(2)), spread_over(1)
    sizes = []
    for detailed in (False, True):
        begin, step = returns._programs(env, seating, spread, False, 1, detailed)
        state = jax.eval_shape(begin, np.zeros(1, np.int32), roster.others)
        _, told = jax.eval_shape(step, state, roster.others, np.int32(1))
        sizes.append(sum(x.size for x in jax.tree.leaves(told)))
    assert sizes[0] < 10 < sizes[1], "two counts, and faults by kind and seat"


def test_rows_of_two_devices_come_back_under_their_label():
    program = (
        "import jax\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "from test_rows import NASTY, NICE, PD, collected, envs, roster_against\n"
        "env = envs.make(PD)\n"
        "_, rows = collected(env, roster_against(env, NASTY, (NICE, NASTY)), 30)\n"
        "own = [rows[f'return_{i}'][k] for k, i in enumerate(rows['focal'])]\n"
        "each = zip(rows['label'].tolist(), rows['focal'].tolist(), map(float, own))\n"
        "found = set(each)\n"
        "print(jax.device_count(), sorted(found), sorted(set(rows['lane'].tolist()))[-1] + 1)\n"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parent, here.parents[1])))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    known = [(NICE, 0, 20.0), (NICE, 1, 20.0), (NASTY, 0, 4.0), (NASTY, 1, 4.0)]
    assert done.stdout.strip() == f"2 {sorted(known)} 64"
