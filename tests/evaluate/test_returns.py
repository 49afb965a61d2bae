"""Means over whole episodes: exact where they are known, unbiased, and under the right label."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probes import Clock, Coin, OneLegal
from scripted import Script

from counterplay import envs
from counterplay.errors import GameError
from counterplay.evaluate import returns
from counterplay.evaluate.returns import Tally, evaluate, rows_of, tally_up
from counterplay.pools import roster_against, roster_of
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import Env

PD = "matrix:pd,horizon=4"
STEADY = ("always_cooperate:tremble=0", "always_defect:tremble=0")


def everybody(env: Env, who: str = "random") -> Roster:
    seats: dict[int, str] = dict.fromkeys(range(env.num_seats), who)
    return roster_of(env, seats)


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
    found = tally_up(Tally(counted, none, none, jnp.array([0, 0])), slots, quota=2)
    assert found.count.tolist() == [2, 2]
    assert found.total.tolist() == [[1 + 2], [6]]
    assert found.square.tolist() == [[1 + 4], [36]]
    assert found.length.tolist() == [1 + 2, 6]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(-50, 50), min_size=4, max_size=24),
    st.integers(0, 1),
)
def test_mean_and_standard_error_are_those_of_the_episodes(numbers, focal):
    """Two tables of one label, two seats; the focal seat is another one in each table."""
    numbers = np.array(numbers[: len(numbers) // 4 * 4]).reshape(2, -1, 2)  # table, episode, seat
    roster = Roster((Kind("x"),), ((Chair(0, 0),) * 2,) * 2, ("all", "all"), (focal, 1 - focal))
    each = numbers.shape[1]
    flat = numbers.reshape(-1, 2)
    ones = np.ones(2 * each, int)
    sums = Tally(*cast(Any, (ones, flat, flat**2, 3 * ones)))
    (row,) = rows_of(roster, roster.seating(2 * each), sums)
    assert row.episodes == 2 * each and row.length == 3.0
    error = lambda x: x.std(axis=0, ddof=1) / np.sqrt(len(x))
    np.testing.assert_allclose(row.mean, flat.mean(0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(row.error, error(flat), rtol=1e-6, atol=1e-5)
    mine = np.concatenate([numbers[0, :, focal], numbers[1, :, 1 - focal]])
    assert row.focal_mean == pytest.approx(mine.mean(), rel=1e-9, abs=1e-9)
    assert row.focal_error == pytest.approx(error(mine), rel=1e-6, abs=1e-5)


def test_one_seed_gives_one_result_and_another_another():
    env = Coin()
    once, again, other = (evaluate(env, everybody(env), 64, seed=seed)[0] for seed in (0, 0, 1))
    assert once.mean == again.mean and once.error == again.error
    assert once.mean != other.mean or once.length != other.length


def test_progress_is_told_until_it_is_done(monkeypatch):
    monkeypatch.setattr(returns, "MOST_LANES", 4)
    told = []
    env = Clock()
    evaluate(env, everybody(env), 20, progress=told.append)
    assert told[-1] == 20 and told == sorted(told) and len(told) > 1


def test_a_player_without_a_legal_action_stops_the_evaluation():
    env = OneLegal(stuck=2)
    with pytest.raises(GameError, match="OneLegal.*no legal action"):
        evaluate(env, everybody(env), 1)


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
