"""Means over whole episodes: exact where they are known, unbiased, and under the right label."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import Clock, Coin, OneLegal
from scripted import Script

from counterplay import envs
from counterplay.algos import ppo
from counterplay.errors import GameError
from counterplay.evaluate import returns
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.tally import Row, Tally, rows_of, tally_up
from counterplay.pools import roster_against, roster_of, stage
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import Env

PD = "matrix:pd,horizon=4"
STEADY = ("always_cooperate:tremble=0", "always_defect:tremble=0")


def everybody(env: Env, who: str = "random") -> Roster:
    seats: dict[int, str] = dict.fromkeys(range(env.num_seats), who)
    return roster_of(env, seats)


@pytest.mark.parametrize("paid", [float("nan"), float("inf")])
def test_a_return_that_is_no_number_is_an_error_that_names_game_and_seat(paid):
    env = Clock((1.0, paid))
    with pytest.raises(GameError, match=r"Clock.*the return of seat 0 is not finite .lane 0."):
        evaluate(env, everybody(env), 4)


def test_a_game_of_known_return_is_reported_exactly():
    env = Clock((1.0, 2.0, 4.0))
    (row,) = evaluate(env, everybody(env), 10)
    assert row.episodes >= 10
    assert row.mean.tolist() == [7.0] and row.error.tolist() == [0.0] and row.length == 3.0
    assert row.focal_mean is None and row.focal_error is None


def test_closing_slots_count_neither_as_length_nor_as_return():
    env = Script(length=2, stays=(9, 1, 9), over=False)
    (row,) = evaluate(env, everybody(env), 64)
    assert row.length == 2.0
    actions = row.mean - [210, 200, 610]  # what seat i earns besides its actions' numbers
    assert (actions > [2, 0.5, 2]).all() and (actions < [4, 1.5, 4]).all()


def test_every_label_gets_its_own_mean_and_the_focal_seat_its_own():
    env = envs.make(PD)
    rows = evaluate(env, roster_against(env, STEADY[1], STEADY), 8)
    assert [row.label for row in rows] == list(STEADY)
    assert [row.focal_mean for row in rows] == [5 * 4.0, 1 * 4.0]
    assert [row.focal_error for row in rows] == [0.0, 0.0]
    assert rows[0].mean.tolist() == [10.0, 10.0], "half of the games in either seat: 20 or 0"
    spread = np.sqrt(100 * rows[0].episodes / (rows[0].episodes - 1) / rows[0].episodes)
    assert rows[0].error == pytest.approx([spread] * 2)
    assert all(row.episodes >= 8 and row.length == 4.0 for row in rows)


@pytest.mark.parametrize(("lanes", "episodes"), [(4096, 1000), (16, 1000)])
def test_short_games_are_not_favoured(lanes, episodes, monkeypatch):
    """Half of the games last 1 slot for nothing, half 8 slots for 1: the mean is a half."""
    monkeypatch.setattr(returns, "MOST_LANES", lanes)
    env = Coin(long=8)
    (row,) = evaluate(env, everybody(env), episodes, seed=3)
    assert row.episodes == pytest.approx(episodes, abs=16)
    assert row.error[0] == pytest.approx(np.sqrt(0.25 / row.episodes), rel=0.05)
    assert abs(row.mean[0] - 0.5) < 4 * row.error[0]
    assert abs(row.length - 4.5) < 4 * 3.5 / np.sqrt(row.episodes)


def test_only_the_first_episodes_of_a_lane_are_tallied():
    slots = {
        "terminated": jnp.array([[1, 0, 1, 1], [0, 0, 0, 1]], bool),
        "truncated": jnp.array([[0, 1, 0, 0], [0, 1, 0, 0]], bool),
        "returns": jnp.arange(8.0).reshape(2, 4, 1) + 1,
        "time": jnp.arange(8).reshape(2, 4),
    }
    counted, none = jnp.array([0, 1]), jnp.zeros((2, 1))
    found = tally_up(Tally(counted, none, none, none, jnp.array([0, 0])), slots, 2, 1)
    assert found.episodes.tolist() == [2, 2]
    assert found.total.tolist() == [[1 + 2], [6]]
    assert found.square.tolist() == [[1 + 4], [36]]
    assert found.length.tolist() == [1 + 2, 6]


def test_the_returns_of_a_match_are_squared_once_also_across_chunks():
    """Matches of two: lane 0 ends 1, 2 | 3, 4 and lane 1 ends 5 | 6, 7, of which 7 is too many."""
    ended = (
        jnp.array([[1, 1, 1, 0], [0, 1, 0, 0]], bool),
        jnp.array([[0, 1, 0, 0], [1, 1, 0, 0]], bool),
    )
    returns = jnp.array([[1, 2, 3, 0], [0, 5, 0, 0.0]]), jnp.array([[0, 4, 0, 0], [6, 7, 0, 0.0]])
    none, nobody = jnp.zeros((2, 1)), jnp.zeros(2, jnp.int32)
    tally = Tally(nobody, none, none, none, nobody)
    for over, earned in zip(ended, returns, strict=True):
        slots = {"terminated": over, "truncated": ~over & over, "returns": earned[:, :, None]}
        tally = tally_up(tally, slots | {"time": nobody[:, None]}, jnp.array([4, 2]), 2)
    assert tally.episodes.tolist() == [4, 2]
    assert tally.total.tolist() == [[1 + 2 + 3 + 4], [5 + 6]]
    assert tally.square.tolist() == [[3**2 + 7**2], [11**2]]


@pytest.mark.parametrize("hosted", [False, True])
def test_the_error_is_that_of_matches_whose_opponent_stays(hosted, tmp_path):
    """A cooperator is paid 12 an episode by another, nothing by a defector; matches of 20."""
    env: Any = envs.make(PD)
    (tmp_path / "nice.py").write_text(NICE)
    nice = f"{tmp_path}/nice.py:Nice" if hosted else STEADY[0]
    roster = roster_of(env, {0: nice, 1: ",".join(STEADY)})
    (row,) = evaluate(stage(env, roster), roster, 160, match=20)
    share = row.mean[0] / 12
    assert (row.episodes, row.matches) == (160, 8) and 0 < share < 1
    assert row.error[0] == pytest.approx(12 * np.sqrt(share * (1 - share) / 7))


NICE = """
class Nice:
    def begin(self, seed, new_match):
        pass

    def act(self, view):
        return 0
"""


@given(
    st.lists(st.floats(-50, 50), min_size=4, max_size=24),
    st.integers(0, 1),
    st.integers(1, 3),
)
def test_mean_and_standard_error_are_those_of_the_matches(numbers, focal, match):
    """Two tables of one label, two seats; the focal seat is another one in each table.

    Every lane has played one match; its episodes' mean is the number.
    """
    numbers = np.array(numbers[: len(numbers) // 4 * 4]).reshape(2, -1, 2)  # table, episode, seat
    roster = Roster((Kind("x"),), ((Chair(0, 0),) * 2,) * 2, ("all", "all"), (focal, 1 - focal))
    each = numbers.shape[1]
    flat = numbers.reshape(-1, 2)
    ones = np.ones(2 * each, int)
    sums = (match * ones, match * flat, (match * flat) ** 2, 0 * flat, 3 * match * ones)
    (row,) = rows_of(roster, Tally(*cast(Any, sums)), match)
    assert row.matches == 2 * each and row.length == 3.0
    assert row.episodes == 2 * each * match
    error = lambda x: x.std(axis=0, ddof=1) / np.sqrt(len(x))
    np.testing.assert_allclose(row.mean, flat.mean(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(row.error, error(flat), rtol=1e-6, atol=1e-5)
    mine = np.concatenate([numbers[0, :, focal], numbers[1, :, 1 - focal]])
    assert row.focal_mean == pytest.approx(mine.mean(), rel=1e-9, abs=1e-9)
    assert row.focal_error == pytest.approx(error(mine), rel=1e-6, abs=1e-5)


def test_the_interval_is_that_of_students_t():
    """The table of Student (1908) and everybody since: 2.306 with 8 degrees of freedom."""
    row = Row("x", 18, 9, np.zeros(2), np.zeros(2), 1.0, 10.0, 0.5)
    assert row.interval == pytest.approx((10 - 2.306 * 0.5, 10 + 2.306 * 0.5), abs=1e-4)
    assert row._replace(matches=10**9).interval == pytest.approx((10 - 0.98, 10 + 0.98), abs=1e-4)
    assert row._replace(matches=1).interval is None, "one match tells nothing of the spread"
    assert row._replace(focal_mean=None, focal_error=None).interval is None


def test_one_seed_gives_one_result_and_another_another():
    env = Coin()
    once, again, other = (evaluate(env, everybody(env), 64, seed=seed)[0] for seed in (0, 0, 1))
    assert once.mean == again.mean and once.error == again.error
    assert once.mean != other.mean or once.length != other.length


def test_progress_is_told_until_it_is_done(monkeypatch):
    monkeypatch.setattr(returns, "MOST_LANES", 4)
    told = []
    env = Clock()
    evaluate(env, everybody(env), 18, progress=lambda *done: told.append(done))
    assert told[-1] == (20, 20) and told == sorted(told) and len(told) > 1
    assert {total for _, total in told} == {20}, "four lanes of five episodes"


def agents(env: Any, seed: int) -> Roster:
    """A network against a mixture, all of it made anew."""
    net = ppo.init_learner(ppo.Config(widths=(4,)), env, 1, jr.key(seed)).net
    pool = bank([ppo.Agent(jax.tree.map(lambda x: x[0], net))])
    rival = roster_of(env, {0: STEADY[0], 1: "grim,tit_for_tat"}).kinds[1]
    kinds = (Kind(f"net {seed}", policy=pool), rival)
    return Roster(kinds, ((Chair(0, 0), Chair(1, 0)), (Chair(1, 0), Chair(0, 0))))


def test_evaluating_rosters_of_one_kind_compiles_once(caplog):
    """Also with another seed, other networks and another number of episodes a lane."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        (first,) = evaluate(envs.make(PD), agents(envs.make(PD), 0), 8)
        assert "ompil" in caplog.text, "compilation is noticed"
        caplog.clear()
        agents(envs.make(PD), 1)  # making networks compiles too
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(returns, "MOST_LANES", 8)
            roster = agents(envs.make(PD), 1)
            caplog.clear()
            (second,) = evaluate(envs.make(PD), roster, 24, seed=1)
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]
    assert (first.episodes, second.episodes) == (8, 24) and first.mean[0] != second.mean[0]


def test_a_player_without_a_legal_action_stops_the_evaluation():
    env = OneLegal(stuck=2)
    with pytest.raises(GameError, match=r"OneLegal.*no legal action"):
        evaluate(env, everybody(env), 1)


def test_a_game_that_cannot_be_remembered_is_played_all_the_same():
    class Loose(Clock):
        __hash__ = None  # type: ignore[assignment]  (as of a dataclass that is not frozen)

    (row,) = evaluate(Loose(), everybody(Loose()), 2)
    assert row.length == 3.0


@pytest.mark.parametrize("episodes", [0, -3])
def test_no_episodes_are_refused(episodes):
    env = Clock()
    with pytest.raises(ValueError, match=f"episodes must be at least 1, found {episodes}"):
        evaluate(env, everybody(env), episodes)


def test_lanes_of_two_devices_come_back_under_their_label():
    program = (
        "import jax\n"
        "jax.config.update('jax_num_cpu_devices', 2)\n"
        "from test_returns import PD, STEADY, envs, evaluate, roster_against\n"
        "assert jax.device_count() == 2\n"
        "env = envs.make(PD)\n"
        "rows = evaluate(env, roster_against(env, STEADY[1], STEADY), 5)\n"
        "print([(row.label, row.focal_mean, row.focal_error, row.length) for row in rows])\n"
        "print(min(row.episodes for row in rows))\n"
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
    rows, fewest = done.stdout.splitlines()
    assert rows == str([(STEADY[0], 20.0, 0.0, 4.0), (STEADY[1], 4.0, 0.0, 4.0)])
    assert int(fewest) >= 5
