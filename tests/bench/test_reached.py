"""How soon a training is near what it ends with, and the table of what it reaches."""

import json

import numpy as np
import pytest

from counterplay import bench
from counterplay.bench import planning_tables, reached


def test_near_is_where_the_mean_of_five_first_gets_to_95_percent_of_the_last():
    steps = np.arange(1, 21) * 100
    returns = np.array([0.0] * 10 + [1.0] * 10)
    assert reached.near(steps, returns) == 1500  # the first five that are all 1
    assert reached.near(steps, np.linspace(0.05, 1, 20)) == 2000  # .855 asked
    assert reached.near(steps[:2], returns[-2:]) == 200, "fewer than five are taken together"
    for never in (returns[:10], -returns, returns[:0]):
        assert reached.near(steps[: len(never)], never) is None
    noisy = returns + np.tile([0.5, -0.5], 10)
    assert (reached.near(steps, noisy) or 0) >= 1400, "one lucky iteration is not enough"


def test_what_was_played_is_told_with_its_error():
    row = {
        "against": "self", "seed": 3, "steps": 1000, "sampled": (2.8, 0.01), "greedy": (2.9, 0.02),
        "planners": {"none": (2.7, 0.03)}, "seconds": 60.0, "compile_seconds": 20.0,
        "near_steps": 500, "near_seconds": 40.0, "trust": None,
    }  # fmt: skip
    told, other = planning_tables.reached(
        {"rows": [row, row | {"against": "random", "trust": 0.5}]}
    )
    assert told["against"] == "itself" and other["against"] == "3 random"
    assert told["none"] == "2.700 ± 0.030" and told["95% of its return after, s"] == "40"
    assert told["trust at the end"] == "" and other["trust at the end"] == "0.50"


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="--focal-steps must be at least 1, found 0"):
        reached.main(["--focal-steps", "0"])
    with pytest.raises(ValueError, match="goal_ppo learns no world to plan in"):
        reached.main(["--algorithm", "goal_ppo", "--planners", "none", "latent:depth=1"])
    assert reached.Reached(algorithm="goal_ppo").ways == ("none",)


def test_a_training_is_played_on_as_it_was_and_by_its_plans_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reached, "use_all_cores", lambda: None)
    words = ["reached", "--env", "matrix:pd,horizon=4", "--against", "self", "--steps", "100"]
    words += ["--episodes", "64", "--planners", "none", "--queue", str(tmp_path), "--json"]
    assert bench.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["steps"] >= 100
    assert row["near_steps"] is None or row["near_seconds"] <= row["seconds"]
    assert row["trust"] == 0, "it is still warming up"
    assert row["sampled"] == row["planners"]["none"], "without trust the policy plays alone"
    (file,) = tmp_path.glob("*.json")
    before = file.stat().st_mtime_ns
    assert bench.main(words) == 0 and json.loads(capsys.readouterr().out) == found
    assert file.stat().st_mtime_ns == before
