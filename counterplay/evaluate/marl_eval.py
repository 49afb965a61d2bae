"""Results in the JSON layout that marl-eval reads (id-marl-eval 0.0.4; Gorsane et al., 2022).

environment -> task -> algorithm -> run -> step_0, step_1, ..., absolute_metrics. Each step has a
``step_count`` and, for every metric, a list of one number an evaluation episode; absolute_metrics,
the last entry of a run, has the same metrics of the final evaluation. The reader looks names up in
lower case and wants every algorithm on the same tasks, with as many runs and steps as the others.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from counterplay.evaluate.statistics import Numbers
from counterplay.runs.disk import write_whole

LAYOUT = "id-marl-eval 0.0.4"
ABSOLUTE, STEP_COUNT = "absolute_metrics", "step_count"


class Evaluated(NamedTuple):
    """One training run and its evaluations."""

    environment: str
    task: str
    algorithm: str
    seed: int
    step_counts: Sequence[int]
    """Environment steps at every evaluation, rising."""
    metrics: Mapping[str, Sequence[Numbers] | np.ndarray]
    """For every metric a list an evaluation, of one number an episode, or of one in all."""
    absolute: Mapping[str, Numbers]
    """The same metrics of the final evaluation, ten times as many episodes."""


def marl_eval_tree(runs: Iterable[Evaluated]) -> dict[str, Any]:
    """The layout as nested dictionaries, names in lower case; ValueError where it would not read.

    Gives ``json.dump`` nothing but dictionaries, lists, strings and finite numbers.
    """
    tree: dict[str, Any] = {}
    for run in runs:
        _check_run(run)
        names = [name.lower() for name in (run.environment, run.task, run.algorithm)]
        place = tree
        for name in names:
            place = place.setdefault(name, {})
        key = f"seed_{run.seed}"
        if key in place:
            raise ValueError(f"{'/'.join(names)} has seed {run.seed} twice: one run a seed")
        place[key] = {
            f"step_{i}": {STEP_COUNT: int(count)}
            | {name.lower(): _numbers(values[i]) for name, values in run.metrics.items()}
            for i, count in enumerate(run.step_counts)
        }
        place[key][ABSOLUTE] = {name.lower(): _numbers(x) for name, x in run.absolute.items()}
    _check_tree(tree)
    return tree


def save_marl_eval(path: Path, runs: Iterable[Evaluated]) -> None:
    """Writes the layout as JSON, whole or not at all."""
    write_whole(path, json.dumps(marl_eval_tree(runs), indent=1, allow_nan=False) + "\n")


def _numbers(x: Numbers) -> list[float]:
    return [float(value) for value in x]


def _check_run(run: Evaluated) -> None:
    """ValueError where a run lacks something, or has it in a form that nobody reads."""
    about = f"{run.algorithm} seed {run.seed} on {run.environment}/{run.task}"
    steps = list(run.step_counts)
    if not steps or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"{about}: step_counts must rise and be one or more, found {steps}")
    if not run.metrics or set(run.metrics) != set(run.absolute):
        raise ValueError(
            f"{about}: absolute must have the metrics of the steps, {sorted(run.metrics)}, found "
            f"{sorted(run.absolute)}"
        )
    if STEP_COUNT in run.metrics or len({name.lower() for name in run.metrics}) < len(run.metrics):
        raise ValueError(
            f"{about}: metrics must differ in lower case and not be called {STEP_COUNT}, found "
            f"{sorted(run.metrics)}"
        )
    for name, values in run.metrics.items():
        if len(values) != len(steps):
            raise ValueError(
                f"{about}: {name} has {len(values)} evaluations for {len(steps)} steps"
            )
        for x in [*values, run.absolute[name]]:
            if not len(x) or not all(math.isfinite(value) for value in x):
                raise ValueError(f"{about}: {name} needs finite numbers, found {list(x)}")


def _check_tree(tree: dict[str, Any]) -> None:
    """ValueError unless an environment's tasks have the same algorithms, runs, steps, metrics."""
    for environment, tasks in tree.items():
        shapes = {
            (task, algorithm): [
                ([step.get(STEP_COUNT) for step in steps.values()], sorted(steps[ABSOLUTE]))
                for steps in runs.values()
            ]
            for task, algorithms in tasks.items()
            for algorithm, runs in algorithms.items()
        }
        first, *others = shapes
        for pair in others:
            if shapes[pair] != shapes[first]:
                raise ValueError(
                    f"{environment}: {'/'.join(pair)} has not as many runs, the same steps and the "
                    f"same metrics as {'/'.join(first)}; marl-eval reads nothing else"
                )
        for task, algorithms in tasks.items():
            missing = {algorithm for _, algorithm in shapes} - set(algorithms)
            if missing:
                raise ValueError(f"{environment}/{task} lacks {sorted(missing)}")
