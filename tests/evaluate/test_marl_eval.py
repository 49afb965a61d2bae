"""The exported JSON has the layout that marl-eval reads, and what it would trip over is refused."""

import json
from typing import Any

import numpy as np
import pytest

from counterplay.evaluate.marl_eval import Evaluated, marl_eval_tree, save_marl_eval


def one(task="Stag", algorithm="PPO", seed=0, **change: Any) -> Evaluated:
    run = Evaluated(
        "Matrix",
        task,
        algorithm,
        seed,
        [100, 200],
        {"Return": np.array([[1.0, 2.0], [3.0, 4.0]]), "nll": [[0.5], [0.25]]},
        {"Return": list(range(20)), "nll": [0.3]},
    )
    return run._replace(**change)


def several() -> list[Evaluated]:
    return [one(task, a, s) for task in ("Stag", "PD") for a in ("PPO", "DQN") for s in (0, 7)]


def check_schema(tree: Any) -> int:
    """Walks the layout as its page describes it; the number of runs found."""
    runs = 0
    for environment, tasks in tree.items():
        assert environment == environment.lower()
        for task, algorithms in tasks.items():
            assert task == task.lower()
            for algorithm, by_run in algorithms.items():
                assert algorithm == algorithm.lower()
                for name, steps in by_run.items():
                    assert isinstance(name, str)
                    check_run(steps)
                    runs += 1
    return runs


def check_run(steps: dict[str, Any]) -> None:
    *names, last = steps
    assert names == [f"step_{i}" for i in range(len(names))] and last == "absolute_metrics"
    metrics = set(steps[last])
    for name in names:
        assert set(steps[name]) == metrics | {"step_count"}
        assert type(steps[name]["step_count"]) is int
    for values in (v for step in steps.values() for k, v in step.items() if k != "step_count"):
        assert type(values) is list and values and all(type(x) is float for x in values)


def test_the_layout_is_the_documented_one(tmp_path):
    path = tmp_path / "results.json"
    save_marl_eval(path, several())
    tree = json.loads(path.read_text())
    assert check_schema(tree) == 8
    assert tree["matrix"]["pd"]["dqn"]["seed_7"]["step_1"] == {
        "step_count": 200,
        "return": [3.0, 4.0],
        "nll": [0.25],
    }
    assert tree["matrix"]["stag"]["ppo"]["seed_0"]["absolute_metrics"]["nll"] == [0.3]


def test_it_is_read_the_way_marl_eval_reads_it():
    """Seeds by tasks of the mean of the last entry, whose keys are those of the first run."""
    tree = marl_eval_tree(several())["matrix"]
    tasks = list(tree)
    runs = list(tree[tasks[0]]["ppo"])
    last = list(tree[tasks[0]]["ppo"][runs[0]])[-1]
    table = [[np.mean(tree[t]["ppo"][r][last]["return"]) for t in tasks] for r in runs]
    assert table == [[9.5, 9.5], [9.5, 9.5]]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([one(), one()], "matrix/stag/ppo has seed 0 twice"),
        ([one(step_counts=[200, 100])], "PPO seed 0 on Matrix/Stag: step_counts must rise"),
        ([one(step_counts=[])], "step_counts must rise and be one or more"),
        ([one(absolute={"nll": [1.0]})], r"absolute must have the metrics of the steps"),
        ([one(step_counts=[1, 2, 3])], "Return has 2 evaluations for 3 steps"),
        ([one(metrics={"nll": [[1.0], [np.nan]]}, absolute={"nll": [1.0]})], "finite numbers"),
        ([one(metrics={"nll": [[1.0], []]}, absolute={"nll": [1.0]})], "finite numbers"),
        (
            [one(metrics={"a": [[1.0]] * 2, "A": [[1.0]] * 2}, absolute={"a": [1.0], "A": [1.0]})],
            "must differ in lower case",
        ),
        ([one(), one("PD"), one("PD", seed=1)], "has not as many runs, the same steps"),
        ([one(), one("PD", step_counts=[100, 300])], "has not as many runs, the same steps"),
        ([one(), one(algorithm="DQN"), one("PD")], r"matrix/pd lacks \['dqn'\]"),
    ],
)
def test_what_would_not_be_read_is_refused(runs, words):
    with pytest.raises(ValueError, match=words):
        marl_eval_tree(runs)
