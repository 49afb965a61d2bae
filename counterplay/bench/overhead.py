"""What reading the others costs: seconds an iteration of every agent, beside PPO's, in one run."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from counterplay import algos, envs
from counterplay.bench import study_tables
from counterplay.console import read, set_threads, table, use_all_cores
from counterplay.pools import read_seats, roster_of

READERS = ("ppo", "goal_ppo", "naive_om", "moa", "liam")
WARM = 3


@dataclass(frozen=True)
class Overhead:
    """Time iterations of PPO and of agents that read the others, by turns."""

    env: str = "stag_hunt:4x4"
    """The game."""
    seat: tuple[str, ...] = ("0..3=self",)
    """Who sits where."""
    match: int = 1
    """Episodes a match."""
    players: tuple[str, ...] = READERS
    """Algorithms; the first is what the others are compared with."""
    iterations: int = 40
    """Iterations of each that are timed, beside a few to warm up."""
    seed: int = 0
    """Seed of all of them."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        if self.iterations < 1:
            raise ValueError(f"--iterations must be at least 1, found {self.iterations}")
        if not self.players or len(set(self.players)) < len(self.players):
            raise ValueError(f"--players must be different ones, found {self.players}")


def main(args: list[str]) -> int:
    """``counterplay bench overhead``"""
    bench = read(Overhead, args, "bench overhead")
    set_threads()
    use_all_cores(bench.env)
    rows = timed(bench)
    found = {"seed": bench.seed, "env": bench.env, "iterations": bench.iterations, "rows": rows}
    if bench.json:
        print(json.dumps(found))
        return 0
    shown = study_tables.overhead(found)
    table(f"an iteration on {bench.env}", tuple(shown[0]), [tuple(r.values()) for r in shown])
    return 0


def timed(bench: Overhead) -> list[dict[str, Any]]:
    """One row a player: medians over iterations, and of the ratios to the first player's beside
    them."""
    env = envs.make(bench.env)
    roster = roster_of(env, read_seats(bench.seat, env.num_seats))
    runs = {name: _training(name, env, roster, bench) for name in bench.players}
    compiling = {name: next(run) for name, run in runs.items()}
    for run in runs.values():
        for _ in range(WARM):
            next(run)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(bench.iterations):
        for name, run in runs.items():
            seconds[name].append(next(run))
    first = np.array(seconds[bench.players[0]])
    return [
        {
            "player": name,
            "compile_seconds": compiling[name],
            "seconds": float(np.median(times)),
            "ratio": float(np.median(np.array(times) / first)),
        }
        for name, times in seconds.items()
    ]


def _training(name: str, env: Any, roster: Any, bench: Overhead) -> Iterator[float]:
    """Seconds of each iteration; the first with compiling."""
    module: Any = import_module(algos.module_of(name))
    config = module.Config(seed=bench.seed, match=bench.match, steps=2**30)
    began = time.perf_counter()
    for update in module.train(config, env, roster):
        np.asarray(update.metrics["slots"])  # waits for the iteration to end
        yield time.perf_counter() - began
        began = time.perf_counter()
