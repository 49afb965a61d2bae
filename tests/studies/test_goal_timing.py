"""When goals are inferred: what a dense game pays and tells, and what is read of watched play."""

import json
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, studies
from counterplay.bench import agents, study_tables
from counterplay.envs.race import Race
from counterplay.envs.stag_hunt import HUNT_HARE, HUNT_STAG, StagHunt, State
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import scenario_of
from counterplay.evaluate.watching import Watching
from counterplay.studies import goal_timing
from counterplay.studies.dense import PAY, Dense
from counterplay.types import NO_EVENT, NO_MOVE

UP, DOWN, LEFT, RIGHT, STAY = range(5)
CHOSEN = goal_timing.GoalTiming(scenarios=("race",), seeds=2, steps=2000, matches=40)


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(goal_timing, "use_all_cores", lambda game="": None)


def test_every_step_in_a_corridor_tells_and_pays_until_the_last_slot():
    """Left, centre and right are ten steps away; who comes back, or stays, is told of nothing."""
    plain, game = Race(), Dense(Race())
    state, shown = game.reset(jr.key(0))
    assert (shown.event == NO_EVENT).all()
    state, shown = game.step(state, jnp.array([LEFT, UP, RIGHT]))
    assert shown.event.tolist() == [0, 1, 2]
    assert shown.reward.tolist() == pytest.approx([PAY] * 3)
    state, shown = game.step(state, jnp.array([LEFT, DOWN, STAY]))
    # back at the start, the second is one step nearer to the left and the right alike
    assert shown.event.tolist() == [0, NO_EVENT, NO_EVENT]
    assert shown.reward.tolist() == pytest.approx([PAY, 0, 0])
    state, before = plain.reset(jr.key(0))
    for k, move in enumerate([LEFT] * 4 + [UP] * 6):
        joint = jnp.array([move, UP if k < 9 else STAY, STAY])
        state, shown = game.step(state, joint)
        ends = bool(shown.terminated)
        assert ends == (k == 9)
        assert shown.event.tolist() == [0, NO_EVENT if ends else 1, NO_EVENT]
        assert shown.reward.tolist() == pytest.approx([1.0, 0, 0] if ends else [PAY, PAY, 0])
    assert before.obs.shape == shown.obs.shape


def test_a_hunter_is_told_of_the_one_kind_of_prey_that_came_nearer():
    """4x4: a stag in the upper left corner, a hare in the lower right one."""
    game = Dense(StagHunt(players=2, hares=1))
    make = lambda *players: State(
        jnp.array(players, jnp.int32), jnp.array([0]), jnp.array([15]), jnp.zeros(0, int),
        jnp.int32(0),
    )  # fmt: skip
    _, shown = game.step(make(5, 10), jnp.array([UP, DOWN]))
    assert shown.event.tolist() == [0, 1] and shown.reward.tolist() == pytest.approx([PAY, PAY])
    state, shown = game.step(make(15, 4), jnp.array([HUNT_HARE, UP]))
    assert shown.event.tolist() == [1, 0] and shown.reward.tolist() == pytest.approx([1, PAY])
    _, shown = game.step(state, jnp.array([NO_MOVE, HUNT_STAG]))  # alone, and the hare is gone
    assert shown.event.tolist() == [NO_EVENT] * 2 and not shown.reward.any()
    with pytest.raises(ValueError, match="a dense version is known of Race"):
        Dense(envs.make("matrix:pd"))


def test_steps_towards_goals_are_left_out_of_returns_and_nothing_else():
    """Ten matches alike of each of two seeds: two slots, one other of two goals and two moves."""
    half = np.log([[0.5, 0.5]])
    w = watched(
        reward=[[PAY, 1.0], [PAY, PAY]],
        moves=[[0, 1], [1, NO_MOVE]],
        predict=np.stack([np.stack([half, np.log([[0.9, 0.1]])]), np.stack([half, half])]),
        goal=[[1, NO_EVENT], [0, 0]],
        belief=np.stack([np.array([[[0.2, 0.8]], [[0.5, 0.5]]]), np.array([[[0.4, 0.6]]] * 2)]),
    )
    one, two = goal_timing.told_of(w, 2, 1, PAY)
    assert one["report"] == [1.0] * 10 and two["report"] == [0.0] * 10
    assert one["others_nll"] == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)
    assert two["others_nll"] == pytest.approx(-np.log(0.5))
    assert (one["goal_nll"], two["goal_nll"]) == pytest.approx((-np.log(0.8), -np.log(0.4)))
    assert (one["goal_top1"], two["goal_top1"]) == (1, 0)
    (whole, _) = goal_timing.told_of(w._replace(belief=None), 2, 1, 0.0)
    assert whole["report"][0] == pytest.approx(1 + PAY) and "goal_nll" not in whole


def watched(reward: Any, moves: Any, predict: Any, goal: Any, belief: Any) -> Watching:
    """Every match ten times. Me first; the other is there wherever it moves."""
    moves, two = np.array(moves), np.zeros((2, 2), int)
    seats = lambda other, mine=0: np.stack([np.full_like(other, mine), other], -1)
    once = Watching(
        valid=np.ones((2, 2), bool), actions=seats(moves), legal=np.ones((2, 2, 2, 2), bool),
        alive=seats(moves != NO_MOVE, True), reward=np.stack([np.array(reward)] * 2, -1),
        returns=np.zeros((2, 2, 2)), event=seats(two), goal=seats(np.array(goal)),
        type_id=seats(two), mode=seats(two), opponent_id=seats(two), time=two, episode=two,
        contact=two == 1, ended=two == 1, seat=np.zeros(2, int), predict=predict, belief=belief,
    )  # fmt: skip
    each: Any = [x if x is None else np.repeat(x, 10, 0) for x in once]
    return Watching(*each)


def test_settings_are_those_that_there_are_and_quick_has_fewer():
    for quick in (False, True):
        chosen = goal_timing.GoalTiming(quick=quick)
        jobs = goal_timing.jobs_of(chosen)
        names = goal_timing.QUICK if quick else goal_timing.VARIANTS
        assert {job.config["goals"] for job in jobs} == set(names)
        assert {job.config["version"] for job in jobs} == set(goal_timing.VERSIONS)
        scenarios, seeds = (1, 2) if quick else (2, 10)
        assert len({job.name for job in jobs}) * seeds == len(jobs)
        assert len(jobs) == scenarios * 2 * len(names) * seeds
        for job in jobs:
            given = job.config["settings"].items()
            config = {k: tuple(v) if isinstance(v, list) else v for k, v in given}
            agents.config_class(job.config["algorithm"])(**config)
            assert ("pay" in job.config) == (job.config["version"] == "dense")
    bounds = [more for _, more in goal_timing.VARIANTS.values()]
    assert sum("goal_reward" in more for more in bounds) == 2
    assert {more.get("reward_of") for more in bounds} == {None, "other", "mine"}


def test_a_queue_goes_on_and_is_told(monkeypatch, tmp_path, capsys):
    """Scores lie where the published references put them; nothing is trained twice."""
    asked = []

    def measured(job, seed, seeds):
        asked.append((job.name, seed))
        told = {"report": [0.5 + 0.01 * seed] * 10, "others_nll": 0.25}
        told |= {} if job.config["goals"] == "none" else {"goal_nll": 1.5, "goal_top1": 0.5}
        return [dict.fromkeys(job.config["sets"], told) for _ in range(seeds)]

    monkeypatch.setattr(goal_timing, "measured", measured)
    monkeypatch.setattr(goal_timing.references, "together", lambda seeds: 1)
    words = ["goal-timing", "--quick", "--seed", "0", "--out", str(tmp_path)]
    assert studies.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(found["rows"]) == 6 and len(asked) == 12 == len(set(asked))
    told = published.references(scenario_of("race"))
    blind, filter = told.blind.mean(), told.filter.mean()
    for row in found["rows"]:
        assert row["set"] == "train" and row["per_seed"] == pytest.approx([0.5, 0.51])
        assert row["score"][0] == pytest.approx((0.505 - blind) / (filter - blind))
        assert ("goal_nll" in row) == (row["goals"] != "none")
    assert studies.main([*words, "--json"]) == 0 and len(asked) == 12
    lines = study_tables.goal_timing(found)
    assert lines[0]["goal, nats"] == "-" and lines[1]["goal, nats"] == "1.500"


def test_a_dense_game_is_trained_in_and_watched():
    (job,) = [
        job
        for job in goal_timing.jobs_of(CHOSEN)
        if job.seed == CHOSEN.seed and job.name == "race-v2-dense-paid-0.2-other"
    ]
    small = {"widths": (8,), "reader_widths": (8,), "reader_gru": 4, "told_width": 4, "lanes": 16}
    small |= {"slots": 8, "epochs": 1, "minibatches": 1, "reader_minibatches": 1}
    about = job.config | {"settings": job.config["settings"] | small, "steps": 128, "matches": 20}
    about |= {"sets": {"train": about["sets"]["train"]}}
    (found,) = goal_timing.measured(type(job)(job.name, about, job.seed), job.seed, 1)
    told = found["train"]
    assert set(told) == {"report", "others_nll", "goal_nll", "goal_top1"}
    assert 0 < told["others_nll"] < 3 and 0 < told["goal_nll"] < 3 and 0 <= told["goal_top1"] <= 1
    # targets pay 1 each, and a match has 20 episodes: steps towards them have left no trace
    earned = np.array(told["report"]) * 20 * 20 / 10
    assert (abs(earned - earned.round()) < 1e-3).all()
