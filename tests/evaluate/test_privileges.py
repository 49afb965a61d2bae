"""Marks of what a training gives a learner: by algorithm, settings and game."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from counterplay.algos import ALGORITHMS
from counterplay.bench import study_tables
from counterplay.evaluate.marks import MEANING, in_training, meanings
from counterplay.report.read import Run

AS_THEY_ARE = {
    "ppo": "", "dqn": "", "naive_om": "", "moa": "", "liam": "O",
    "goal_ppo": "GT", "goal_dqn": "GT", "counterplay": "GT",
}  # fmt: skip


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_says_what_it_is_given(name):
    settings = asdict(import_module(ALGORITHMS[name]).Config())
    assert in_training(name, settings, 3) == AS_THEY_ARE[name]
    assert in_training(name, settings, 0) == AS_THEY_ARE[name].replace("G", "")


@pytest.mark.parametrize(
    ("settings", "marks"),
    [
        ({"goals": "codes"}, "T"),
        ({"goals": "declared"}, "GT"),
        ({"goals": "none", "types": 1}, ""),
        ({"goals": "codes", "types_from": "moves", "types": 4}, ""),
        ({"goals": "events", "goal_reward": 0.5}, "GOT"),
        ({"goals": "events", "goal_quantile": 0.5, "reward_of": "mine"}, "GT"),
        ({"goals": "extremum"}, "GOT"),
        ({"goals": "extremum", "reward_of": "mine"}, "GT"),
        ({"goals": "rewards", "goal_reward": 0.5}, "OT"),
        ({"goals": "rewards", "goal_reward": 0.5, "reward_of": "mine"}, "T"),
    ],
)
def test_what_is_given_follows_from_the_settings(settings, marks):
    assert in_training("goal_ppo", settings, 3) == marks
    assert set(marks) <= set(MEANING)


def test_nobody_is_told_what_events_paid_where_there_are_none():
    assert in_training("goal_ppo", {"goals": "events", "goal_reward": 0.5}, 0) == "T"
    assert in_training("goal_ppo", {"goals": "rewards", "goal_reward": 0.5}, 0) == "OT"


def test_results_of_before_have_the_marks_of_their_player():
    row = {"set": "train", "per_seed": [1.0], "mean": 1.0, "score": None, "share": None}
    rows = [row | {"scenario": f"{game}-v2", "player": player} for game, player in (
        ("race", "goal_ppo"), ("matrix:pd", "goal_ppo"), ("race", "liam"), ("race", "ppo-gru"),
        ("race", "codes-4"),
    )]  # fmt: skip
    rows.append(rows[-1] | {"marks": ""})
    found = study_tables.agents({"rows": rows})
    assert [line["marks"] for line in found] == ["GT", "T", "O", "-", "", "-"]


def test_a_report_tells_them_of_its_runs():
    def told(game: str, algorithm: str, **settings: Any) -> str | None:
        config = {"env": game, "algorithm": algorithm, "config": settings}
        fields = cast(Any, (config, np.zeros(0), {}, None, (), ()))
        return Run("x", Path("x"), *fields).privileges

    assert told("matrix:pd", "ppo") == "none"
    assert told("matrix:pd", "liam") == f"O: {MEANING['O']}"
    assert told("race:narrow", "goal_ppo", goals="events") == "; ".join(meanings(["GT"]))
    assert told("nowhere", "ppo") is None and told("matrix:pd", "nobody") is None
