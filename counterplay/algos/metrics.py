"""What a training tells of itself: metrics read without waiting, as lines of metrics.jsonl."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from counterplay.algos import Update


def lagging(updates: Iterator[Update]) -> Iterator[tuple[Update, dict[str, np.ndarray]]]:
    """Reads an iteration's metrics while the next one runs; the last update keeps its networks."""
    before = None
    for update in updates:
        if before is not None:
            yield before, _numpy(before.metrics)
        before = update
    if before is not None:
        yield before, _numpy(before.metrics)


def _numpy(metrics: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in metrics.items()}


def row_of(update: Update, metrics: dict[str, np.ndarray]) -> dict[str, Any]:
    """One line of metrics.jsonl: means over an iteration, one entry a seed."""

    def mean(total: str, count: str) -> list[float | None]:
        pairs = zip(metrics[total].tolist(), metrics[count].tolist(), strict=True)
        return [t / c if c else None for t, c in pairs]

    row: dict[str, Any] = {
        "steps": update.steps,
        "episodes": metrics["episodes"].tolist(),
        "return": mean("learner_return_sum", "learner_episodes"),
        "length": mean("length_sum", "episodes"),
        "busy_share": mean("busy_slots", "slots"),
        "live_share": (metrics["live_seats"] / metrics["seats"]).tolist(),
    }
    learned = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipped")
    return row | {name: metrics[name].tolist() for name in learned if name in metrics}


def returns_of(rows: list[dict[str, Any]]) -> list[float | None]:
    """Mean return over several lines, one a seed; None where no episode ended."""
    seen = np.array([row["return"] for row in rows], float)
    ended = (~np.isnan(seen)).sum(0)
    pairs = zip(np.nansum(seen, axis=0).tolist(), ended.tolist(), strict=True)
    return [total / count if count else None for total, count in pairs]
