"""The table of ``bench adaptation``."""

from typing import Any

import numpy as np

from counterplay.bench.study_tables import HELD, interval

ASKED = {"bayes": 1, "ppo": 0}
"""Adaptation score of each, within ``ALLOWED``."""
ALLOWED = 0.1


def held(found: Any, low: float | None, high: float) -> bool | None:
    """Whether all of an interval lies within bounds; None where some of it does."""
    _, least, most = found
    least_asked = -np.inf if low is None else low
    if most < least_asked or least > high:
        return False
    return True if least_asked <= least and most <= high else None


def adaptation(found: Any) -> list[dict[str, Any]]:
    """Where each player lies between the references of each scenario, and whether that is where
    exact inference, and whoever sees no history, should."""
    near = lambda row: ASKED[row["player"]]
    told = lambda row: HELD[held(row["score"], near(row) - ALLOWED, near(row) + ALLOWED)]
    return [
        {
            "scenario": row["scenario"],
            "player": row["player"],
            "seeds, steps": f"{len(row['per_seed'])}, {row['steps']:,}" if row["steps"] else "",
            "greedy": f"{row['plays'].count('greedy')} of {len(row['plays'])}",
            "return an episode": f"{row['mean']:.3f}",
            "adaptation score, 95%": interval(row["score"]),
            "asked": f"{near(row)} ± {ALLOWED}",
            "held": told(row) if row["score"] else "-",
            "of the best seed": interval(row["best"]) if row["steps"] else "",
            "share of oracle": interval(row["share"]),
        }
        for row in found["rows"]
    ]
