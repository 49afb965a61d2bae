"""Run folders as plain data; what is damaged or missing is told in words instead of failing."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from counterplay import envs
from counterplay.evaluate.marks import in_training, meanings
from counterplay.runs import read_config

CURVES: dict[str, tuple[str, str]] = {
    "return": ("return", "What the learners earned in an episode while they trained."),
    "length": ("slots an episode", "How long episodes took."),
    "entropy": (
        "entropy, nats",
        "How undecided the policy is; near 0 it always makes the same move. A fall to 0 long "
        "before the return settles means that it stopped exploring.",
    ),
    "value_loss": (
        "value loss",
        "Squared error of the predicted returns: it follows the scale of the returns, and "
        "should settle.",
    ),
}
"""Metric -> how an axis calls it, and what it means."""

GATE: dict[str, str] = {
    "trust": "trust in plans, w",
    "plan_rank": "rank correlation of plans with what came",
    "legal_right": "legal moves told right",
    "alive_right": "who plays on told right",
}
"""Metric of an agent that plans -> how a legend calls it."""


class Evaluation(NamedTuple):
    """A result stored with the run."""

    name: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One training as its folder tells it."""

    name: str
    folder: Path
    config: dict[str, Any]
    """config.json."""
    steps: np.ndarray
    """[I] environment steps of each seed after every iteration."""
    metrics: dict[str, np.ndarray]
    """Name -> [I, S], NaN where nothing was recorded; a metric without any value is absent."""
    seconds: float | None
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...]
    """What is damaged or missing."""
    protocols: tuple[Evaluation, ...] = ()
    """Results of evaluation protocols, in the order in which they were made."""
    memory: float | None = None
    """The most main memory that the training held, in MB."""
    parameters: int | None = None
    """Of the networks of one seed."""
    exploits: tuple[Evaluation, ...] = ()
    """Best responses against it, in the order in which they were trained."""

    @property
    def seeds(self) -> int:
        return self.config["config"]["seeds"]

    @property
    def seed_numbers(self) -> tuple[int, ...]:
        """Of each seed; runs are paired by them. Empty where the folder does not say."""
        first = self.config["config"].get("seed")
        return tuple(range(first, first + self.seeds)) if type(first) is int else ()

    @property
    def game(self) -> str:
        return self.config["env"]

    @property
    def match(self) -> int:
        """Episodes a match."""
        match = self.config["config"].get("match")
        return match if type(match) is int and match > 0 else 1

    @property
    def seat(self) -> int:
        """The first at which somebody learned."""
        return (self.config["learners"][0]["seats"] or [0])[0]

    @property
    def done(self) -> int:
        """Environment steps of each seed so far."""
        return int(self.steps[-1]) if len(self.steps) else 0

    @property
    def privileges(self) -> str | None:
        """What its training gave it beyond its own views; None where the game cannot be asked."""
        try:
            goals = envs.make(self.game).num_goals
            found = in_training(self.config["algorithm"], self.config["config"], goals)
        except Exception:  # a game of somebody else's may raise whatever it likes
            return None
        return "; ".join(meanings(found)) or "none"

    @property
    def finished(self) -> bool | None:
        """Whether it trained for the steps asked for; None where the folder does not say."""
        asked = self.config["config"].get("steps")
        return self.done >= asked if _number(asked) else None


COSTS = ("memory_mb", "parameters")
EXPLOIT = "exploit"
"""Kind of the results of best responses."""


def read_run(folder: Path) -> Run:
    """A run folder; ValueError where it is none, or its config.json is damaged."""
    config = read_config(folder)
    settings = config["config"]
    seeds = settings["seeds"] if isinstance(settings, dict) else None
    if type(seeds) is not int or seeds < 1:
        raise ValueError(f"{folder / 'config.json'} is damaged: seeds should be 1 or more")
    rows, notes = read_metrics(folder / "metrics.jsonl")
    steps = np.array([row["steps"] for row in rows], float)
    series = {
        name: np.array([_seeds(row.get(name), seeds) for row in rows]) for name in (*CURVES, *GATE)
    }
    metrics = {name: values for name, values in series.items() if np.isfinite(values).any()}
    found, more = read_evaluations(folder)
    protocols = tuple(one for one in found if _of_protocol(one.result))
    exploits = tuple(one for one in found if one.result.get("kind") == EXPLOIT)
    plain = tuple(one for one in found if one not in (*protocols, *exploits))
    name = folder.resolve().name
    wall = _wall([row["seconds"] for row in rows if _number(row.get("seconds"))])
    told = name, folder, config, steps, metrics, wall, plain, (*notes, *more), protocols
    cost = [max((row[n] for row in rows if _number(row.get(n))), default=None) for n in COSTS]
    return Run(*told, *cost, exploits=exploits)


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of metrics.jsonl in the order of their steps, and what is wrong with it.

    A training that went on from an earlier state tells the same steps twice: the later line holds.
    """
    if not path.is_file():
        return [], ["metrics.jsonl is missing"]
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")
    found = [_row(line) for line in lines] if lines != [""] else []
    notes = []
    bad = [i for i, row in enumerate(found) if row is None]
    if bad and bad[-1] == len(found) - 1:
        bad.pop()
        notes.append("the last line of metrics.jsonl is damaged, as after a kill, and left out")
    if bad:
        notes.append(f"damaged lines of metrics.jsonl are left out: {len(bad)}")
    if not any(found):
        notes.append("metrics.jsonl holds no iteration")
    rows = {row["steps"]: row for row in found if row is not None}
    return [rows[steps] for steps in sorted(rows)], notes


def read_evaluations(folder: Path) -> tuple[tuple[Evaluation, ...], list[str]]:
    """What ``eval`` and ``exploit`` left in a run folder, by name, and which of it is damaged."""
    found, notes = [], []
    for path in sorted(folder.glob("evaluations/*/result.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            if _of_protocol(result) or result["kind"] == EXPLOIT:
                found.append(Evaluation(path.parent.name, result))
                continue
            if result["kind"] != "eval":
                continue
            if not all(isinstance(row["label"], str) for row in result["rows"]):
                raise ValueError("a label is no text")
            found.append(Evaluation(path.parent.name, result))
        except (OSError, ValueError, KeyError, TypeError):
            notes.append(f"evaluations/{path.parent.name}/result.json is damaged and left out")
    return tuple(found), notes


def _of_protocol(result: Any) -> bool:
    """Whether a protocol made it: such a result has no rows, but plays."""
    told = isinstance(result, dict) and isinstance(result.get("protocol"), str)
    return told and isinstance(result.get("plays"), dict)


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    good = isinstance(row, dict) and type(row.get("steps")) is int and row["steps"] >= 0
    return row if good else None


def _seeds(values: Any, seeds: int) -> list[float]:
    """One number a seed, NaN for what was not recorded."""
    if not isinstance(values, list) or len(values) != seeds:
        return [math.nan] * seeds
    return [float(x) if _number(x) else math.nan for x in values]


def _number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and abs(value) < 2**63


def _wall(seconds: list[float]) -> float | None:
    """Wall time from a clock that begins anew where a training went on after a stop."""
    total, before = 0.0, 0.0
    for now in seconds:
        total += now - before if now >= before else now
        before = now
    return total if seconds else None
