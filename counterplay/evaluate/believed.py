"""What was believed of the others in watched matches, for pictures: by slot, and on average."""

from typing import Any, NamedTuple

import numpy as np

from counterplay.evaluate.exact_filter import Filtered
from counterplay.evaluate.others import Known, Others, constant
from counterplay.evaluate.predicted import FILTER
from counterplay.evaluate.watching import Watching

MOST_MAPPED = 400
"""Others in a match that a map has; of more, every second, third and so on is taken."""


class Believed(NamedTuple):
    """What is held of each other, for pictures."""

    names: list[str]
    log_belief: np.ndarray
    """Before the move of every slot, [R, T, K]."""
    truth: np.ndarray
    """[R, T], -1 where unknown."""
    source: str


def strip(
    w: Watching, rows: Others, known: Known, held: Filtered | None, own: np.ndarray | None
) -> dict[str, Any] | None:
    """What was believed of the first other in the first match, before the move of every slot."""
    found = believed(rows, known, held, own)
    if found is None:
        return None
    there = w.valid[0]
    return {
        "names": found.names,
        "posterior": np.exp(found.log_belief[0, there]).round(6).tolist(),
        "truth": found.truth[0, there].tolist(),
        "mode": rows.mode[0, there].tolist(),
        "episode": rows.episode[0, there].tolist(),
        "source": found.source,
    }


def mapped(
    rows: Others,
    known: Known,
    opponents: dict[int, str],
    held: Filtered | None,
    own: np.ndarray | None,
) -> dict[str, Any] | None:
    """What was believed of each other on average over the match, in at most MOST_MAPPED of them.

    The truth is the one type of the match, -1 where it has none of those known or several.
    """
    found = believed(rows, known, held, own)
    if found is None:
        return None
    kept = np.flatnonzero(rows.asked.any(1))
    kept = kept[:: max(1, -(-len(kept) // MOST_MAPPED))]
    there = rows.asked[kept][..., None]
    total = np.where(there, np.exp(found.log_belief[kept]), 0.0).sum(1)
    return {
        "names": found.names,
        "posterior": (total / there.sum(1)).round(6).tolist(),
        "truth": constant(found.truth[kept]).tolist(),
        "who": [opponents.get(int(i), str(i)) for i in rows.opponent[kept]],
        "source": found.source,
    }


def believed(
    rows: Others, known: Known, held: Filtered | None, own: np.ndarray | None
) -> Believed | None:
    """The policy's posterior over types, else its belief over goals, else the exact filter's."""
    if own is not None:
        return Believed(list(known.names), own, rows.type, "types")
    if rows.belief is not None:
        goals = [str(g) for g in range(rows.belief.shape[-1])]
        return Believed(goals, rows.belief, rows.goal, "belief")
    if held is not None:
        return Believed(list(known.names), held.log_before, rows.type, FILTER)
    return None
