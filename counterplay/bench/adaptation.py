"""Where agents lie between the references of the scenarios: exact inference by hand, and PPO that
remembers nothing.
"""

import json
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.console import read, table, use_all_cores
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import SCENARIOS, Scenario, scenario_of
from counterplay.verbs import Train, run_training


@dataclass(frozen=True)
class Adapting:
    """Adaptation scores of bayes and of PPO without memory, on the published scenarios."""

    scenarios: tuple[str, ...] = ()
    """Scenarios; by default all that have published references and that bayes plays."""
    seed: int = 0
    """First seed of training; evaluation derives its own."""
    seeds: int = 5
    """Trainings of PPO."""
    steps: int | None = None
    """Environment steps of each training; by default the scenario's budget."""
    matches: int = 1000
    """Matches of each evaluation, against the training set."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("seeds", "steps", "matches"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"--{name} must be at least 1, found {number}")


def main(args: list[str]) -> int:
    """``counterplay bench adaptation``"""
    bench = read(Adapting, args, "bench adaptation")
    chosen = [scenario_of(name) for name in bench.scenarios] or [
        s for s in SCENARIOS.values() if published.path_of(s).is_file() and _bayes_plays(s)
    ]
    use_all_cores()
    rows = [row for scenario in chosen for row in measured(scenario, bench)]
    found = {"seed": bench.seed, "seeds": bench.seeds, "matches": bench.matches, "rows": rows}
    if bench.json:
        print(json.dumps(found))
        return 0
    shown = [as_row(row) for row in rows]
    table("adaptation scores", tuple(shown[0]), [tuple(row.values()) for row in shown])
    return 0


def _bayes_plays(scenario: Scenario) -> bool:
    from counterplay import opponents

    try:
        opponents.check_name("bayes", scenario.game.partition(":")[0])
    except ValueError:
        return False
    return True


def measured(scenario: Scenario, bench: Adapting) -> list[dict[str, Any]]:
    """One row a player."""
    return [
        _score(scenario, "bayes", _returns(scenario, ["bayes"], bench)),
        _trained(scenario, bench),
    ]


def _trained(scenario: Scenario, bench: Adapting) -> dict[str, Any]:
    from counterplay.algos import ppo

    n = envs.make(scenario.game).num_seats
    seats = tuple(f"{i}={'self' if i == scenario.seat else 'pool:train'}" for i in range(n))
    steps = bench.steps or scenario.budget
    config = ppo.Config(
        seed=bench.seed, seeds=bench.seeds, steps=steps, match=scenario.match, **scenario.training
    )
    with tempfile.TemporaryDirectory() as scratch:
        train = Train(config, env=scenario.game, seat=seats, out=f"{scratch}/run")
        done = run_training("ppo", train, quiet=True)
        runs = [f"run:{done.folder}#{k}" for k in range(bench.seeds)]
        return _score(scenario, "ppo", _returns(scenario, runs, bench)) | {"steps": steps}


def _returns(scenario: Scenario, players: list[str], bench: Adapting) -> np.ndarray:
    """Mean return of an episode in every match of each, [players, matches]."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.evaluate.rows import EpisodeRows
    from counterplay.pools import roster_of

    env = envs.make(scenario.game)
    found = []
    for player in players:
        seats = dict.fromkeys(range(env.num_seats), "pool:train") | {scenario.seat: player}
        rows = EpisodeRows()
        episodes = bench.matches * scenario.match
        evaluate(
            env, roster_of(env, seats), episodes, seed=bench.seed, match=scenario.match, rows=rows
        )
        columns = rows.columns()
        own = np.asarray(columns[f"return_{scenario.seat}"], np.float64)
        found.append(own.reshape(-1, scenario.match).mean(1)[: bench.matches])
    return np.stack(found)


def _score(scenario: Scenario, player: str, returns: np.ndarray) -> dict[str, Any]:
    told = published.references(scenario).score(returns)
    row: dict[str, Any] = {"scenario": scenario.name, "player": player}
    for name, found in (("score", told.score), ("share", told.share)):
        row[name] = None if found is None else [float(x) for x in found[:3]]
    return row | {"mean": float(returns.mean()), "per_seed": [float(x) for x in returns.mean(1)]}


def as_row(row: dict[str, Any]) -> dict[str, str]:
    """A line of the table."""
    told = lambda x: "-" if x is None else f"{x[0]:.2f} [{x[1]:.2f}, {x[2]:.2f}]"
    return {
        "scenario": row["scenario"],
        "player": row["player"],
        "return an episode": f"{row['mean']:.3f}",
        "adaptation score": told(row["score"]),
        "share of oracle": told(row["share"]),
    }
