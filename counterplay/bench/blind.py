"""Where gradients lead a blind player of a repeated matrix game: to tables, worth exactly so much.

PPO without memory follows such gradients as well as its samples tell them; what they end in says
whether it lacks the samples or the way.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterplay.bench import study_tables
from counterplay.console import read, set_threads, table, use_all_cores
from counterplay.evaluate import tabular
from counterplay.evaluate.references import known_in
from counterplay.evaluate.scenarios import SCENARIOS, Scenario, scenario_of
from counterplay.settings import check_least

NEAR = 0.01
"""Share of the best that a table may lack and count as having come as far."""
BONUS = 1.0
"""Paid for entropy at the start where gradients are urged to go on trying."""


@dataclass(frozen=True)
class Blind:
    """Exact gradients of the return of a match, from even chances and from random tables."""

    scenarios: tuple[str, ...] = ()
    """Scenarios with tables; by default all of them."""
    starts: int = 48
    """Random tables, with logits drawn from a normal distribution of standard deviation 2."""
    seed: int = 0
    """Of those tables."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, starts=1)
        for name in self.scenarios:
            if not scenario_of(name).tables:
                known = ", ".join(s.name for s in SCENARIOS.values() if s.tables)
                raise ValueError(
                    f"--scenarios: expected scenarios that have tables ({known}), found {name}"
                )


def main(args: list[str]) -> int:
    """``counterplay bench blind``"""
    bench = read(Blind, args, "bench blind")
    set_threads()
    use_all_cores()
    chosen = [scenario_of(name) for name in bench.scenarios]
    chosen = chosen or [s for s in SCENARIOS.values() if s.tables]
    rows = [reached(scenario, bench.starts, bench.seed) for scenario in chosen]
    found = {"seed": bench.seed, "starts": bench.starts, "rows": rows}
    if bench.json:
        print(json.dumps(found))
        return 0
    shown = study_tables.blind(found)
    table("a blind player's tables", tuple(shown[0]), [tuple(row.values()) for row in shown])
    return 0


def reached(scenario: Scenario, starts: int, seed: int) -> dict[str, Any]:
    """What tables earn an episode against the training set: that to which gradients lead from even
    chances, also with a bonus for entropy, those from random tables, and the best one of certain
    moves that was found."""
    of = known_in(scenario)
    even = np.zeros((1, *tabular.uniform(of).shape))
    logits = np.concatenate([even, tabular.drawn(of, starts, seed)])
    worth = [tabular.value(of, x) for x in tabular.ascended(of, logits)]
    (mixed,) = tabular.ascended(of, even, bonus=BONUS)
    certain, urged = tabular.blind(of, seed=seed)[0], tabular.value(of, mixed)
    best = max(*worth, certain, urged)
    return {
        "scenario": scenario.name,
        "random": tabular.value(of, tabular.uniform(of)) / scenario.match,
        "even": worth[0] / scenario.match,
        "urged": urged / scenario.match,
        "starts": [x / scenario.match for x in worth[1:]],
        "certain": certain / scenario.match,
        "as_far": sum(x >= (1 - NEAR) * best for x in worth[1:]),
    }
