"""What a training tells of itself, as lines of metrics.jsonl."""

from typing import Any

import numpy as np

from counterplay.algos import Update
from counterplay.algos.study import DOUBT


def numpy_of(metrics: dict[str, Any]) -> dict[str, np.ndarray]:
    """The metrics on this side of the device; waits for the iteration to end."""
    return {name: np.asarray(value) for name, value in metrics.items()}


def row_of(update: Update, metrics: dict[str, np.ndarray]) -> dict[str, Any]:
    """One line of metrics.jsonl: means over an iteration, one entry a seed."""

    def mean(total: str, count: str) -> list[float | None]:
        pairs = zip(metrics[total].tolist(), metrics[count].tolist(), strict=True)
        return [t / c if c else None for t, c in pairs]

    row: dict[str, Any] = {
        "iteration": update.iteration,
        "steps": update.steps,
        "episodes": metrics["episodes"].tolist(),
        "dropped_episodes": metrics["dropped_episodes"].tolist(),
        "return": mean("learner_return_sum", "learner_episodes"),
        "length": mean("length_sum", "episodes"),
        "busy_share": mean("busy_slots", "slots"),
        "live_share": (metrics["live_seats"] / metrics["seats"]).tolist(),
    }
    if "env_errors" in metrics:  # of games in ordinary Python
        row["env_errors"] = metrics["env_errors"].tolist()
    learned = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipped")
    learned += ("td_loss", "q", "grad_norm", "epsilon", "updates")
    learned += ("others_nll", "others_top1", *DOUBT, "moves_loss", "goals_loss", "types_loss")
    learned += ("observations_loss", "added_reward", "plan_loss", "trust", "plan_rank", "spread")
    learned += ("legal_right", "alive_right", "reward", "reconstruction", "imagined_reward")
    learned += ("imagined_reconstruction", "ahead_loss", "arriving_loss", "dreamt_return")
    learned += ("replanned_loss", "later_loss")
    return row | {name: metrics[name].tolist() for name in learned if name in metrics}
