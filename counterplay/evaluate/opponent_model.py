"""Everything that watched matches tell of an opponent model, beside what could be known.

The exact filter over the known rules is the reference of all of it. What cannot be told is None,
and ``why`` says why.
"""

from typing import Any, NamedTuple

import numpy as np

from counterplay.evaluate.changing import after_switches
from counterplay.evaluate.exact_filter import Filtered
from counterplay.evaluate.inferring import blocks, calibrated, graded, grouped, identified
from counterplay.evaluate.others import Known, Others, after, constant, filtered, others, plain
from counterplay.evaluate.predicted import (
    FILTER,
    Line,
    last_move_baseline,
    marginal_baseline,
    next_action,
)
from counterplay.evaluate.watching import Watching
from counterplay.types import NO_MOVE

MODEL, MARGINAL, LAST_MOVE = "model", "marginal", "last move"
RESAMPLES = 500
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


def measures(
    w: Watching, known: Known, opponents: dict[int, str], *, drift: float = 0.0
) -> dict[str, Any]:
    """Measures of the policy under evaluation and of the exact filter, as JSON has them.

    ``opponents`` names each opponent_id; ``drift`` is what the filter expects of changes, the
    chance between two slots. Keys: next_move, types, goals, calibration, grouping, switch, strip,
    map, why.
    """
    rows = others(w, known)
    held = filtered(rows, drift)
    why: dict[str, str] = {}
    own = _types_of(rows, known, held, why)
    own_after = None if own is None else after(own, rows)
    found = {
        "next_move": next_move(rows, held, opponents, why),
        "types": _types(rows, known, held, own, own_after, why),
        "goals": _goals(rows, why),
        "calibration": _calibration(rows, held, own),
        "grouping": _grouping(rows, held, own_after, why),
        "switch": after_switches(w, rows, held, own_after),
        "strip": strip(w, rows, known, held, own),
        "map": mapped(rows, known, opponents, held, own),
    }
    return found | {"why": why}


def _types_of(
    rows: Others, known: Known, held: Filtered | None, why: dict[str, str]
) -> np.ndarray | None:
    """The policy's posterior, where it is one over the known rules."""
    if rows.types is None:
        return None
    width = rows.types.shape[-1]
    if held is None or width != len(known.names):
        why["types"] = (
            f"the policy has a posterior over {width} types, and {len(known.names)} rules are known"
        )
        return None
    return rows.types


def next_move(
    rows: Others, held: Filtered | None, opponents: dict[int, str], why: dict[str, str]
) -> dict[str, Any] | None:
    """Every predictor against every opponent and against all, in nats a move.

    Baselines count the moves of the other half of the matches: even ones predict odd ones.
    """
    if rows.predict is None or held is None:
        who = "the policy predicts no moves" if rows.predict is None else "no rules are known here"
        why["next_move"] = who
        return None
    counted = np.where(rows.asked, rows.moves, NO_MOVE)
    predictions = {
        MODEL: rows.predict,
        FILTER: held.log_predicted,
        MARGINAL: _other_half(rows, lambda train, here: marginal_baseline(train, rows.legal[here])),
        LAST_MOVE: _other_half(
            rows, lambda train, here: last_move_baseline(train, rows.moves[here], rows.legal[here])
        ),
    }
    made = np.take_along_axis(rows.predict, np.maximum(counted, 0)[..., None], -1)[..., 0]
    impossible = int((~np.isfinite(made) & (counted != NO_MOVE)).sum())
    if impossible:
        why["next_move"] = (
            f"the policy gave {impossible} moves that were made probability 0, and no mean tells "
            "anything after that: mix a uniform share into its predictions"
        )
        del predictions[MODEL]
    ids, few = _met(rows.opponent, (counted != NO_MOVE).any(1))
    if few:
        names = ", ".join(opponents.get(i, str(i)) for i in few)
        why["opponents"] = f"met once, too little for an interval, so left out: {names}"
    if not ids:
        return None
    place = _places(rows.opponent, ids)
    deal = lambda x: x[np.maximum(place, 0)][None]  # [1, K, R, T, ...]
    moves = np.where((place >= 0)[..., None], counted[np.maximum(place, 0)], NO_MOVE)[None]
    true = None if rows.log_true is None else deal(rows.log_true)
    lines = next_action(
        {k: deal(x) for k, x in predictions.items()}, moves, true, resamples=RESAMPLES
    )
    names = [opponents.get(int(i), str(i)) for i in ids]
    told = [_line(line, names) for line in lines]
    head = [x["excess"] for x in told if x["predictor"] == MODEL and x["opponent"] is None]
    return {"excess": head[0] if head else None, "lines": told}


def _line(line: Line, names: list[str]) -> dict[str, Any]:
    accuracy = None if line.accuracy is None else plain(line.accuracy)
    who = None if line.opponent is None else names[line.opponent]
    return {
        "predictor": line.predictor,
        "opponent": who,
        "nll": plain(line.nll),
        "excess": plain(line.excess),
        "accuracy": accuracy,
        "moves": line.moves,
    }


def _other_half(rows: Others, fit: Any) -> np.ndarray:
    """Predictions for each half of the matches by what was counted in the other."""
    out = np.empty(rows.legal.shape)
    for half in (0, 1):
        here = rows.match % 2 == half
        out[here] = fit(rows.moves[~here], here)
    return out


def _met(opponent: np.ndarray, moved: np.ndarray) -> tuple[list[int], list[int]]:
    """Opponents that moved in two rows or more, and those that did in one."""
    ids, count = np.unique(opponent[moved], return_counts=True)
    return ids[count > 1].tolist(), ids[count == 1].tolist()


def _places(opponent: np.ndarray, ids: list[Any]) -> np.ndarray:
    """Rows of each opponent, [K, R], -1 where it has no more."""
    each = [np.flatnonzero(opponent == i) for i in ids]
    place = np.full((len(ids), max(map(len, each))), -1)
    for k, found in enumerate(each):
        place[k, : len(found)] = found
    return place


def _types(
    rows: Others,
    known: Known,
    held: Filtered | None,
    own: np.ndarray | None,
    own_after: np.ndarray | None,
    why: dict[str, str],
) -> dict[str, Any] | None:
    """Of the posterior over known rules: the policy's, and always the exact filter's."""
    if held is None or not (rows.type[rows.asked] >= 0).any():
        why.setdefault("types", "none of the others is one of the known rules")
        return None
    told: dict[str, Any] = {"names": list(known.names), MODEL: None}
    pairs = {MODEL: (own, own_after), FILTER: (held.log_before, held.log_after)}
    for name, (before, later) in pairs.items():
        if before is not None and later is not None:
            scores = graded(rows, before, rows.type, rows.seen)
            told[name] = scores | {"identified": identified(rows, before, later, rows.type)}
    return told


def _goals(rows: Others, why: dict[str, str]) -> dict[str, Any] | None:
    """Of beliefs over goals against declared intents, by moves seen in the episode."""
    if rows.belief is None:
        why["goals"] = "the policy has no belief over goals"
        return None
    if not (rows.goal[rows.asked] >= 0).any():
        why["goals"] = "none of the others declares a goal"
        return None
    scores = graded(rows, rows.belief, rows.goal, rows.seen_now)
    later = after(rows.belief, rows)
    return {MODEL: scores | {"identified": identified(rows, rows.belief, later, rows.goal)}}


def _calibration(rows: Others, held: Filtered | None, own: np.ndarray | None) -> dict[str, Any]:
    """Reliability of types and goals, of a whole stretch of constant truth as one block."""
    block = blocks(rows, rows.type, by_episode=False)
    types = lambda x: None if x is None else calibrated(x, rows.type, rows.asked, block)
    goals = None
    if rows.belief is not None:
        per_goal = blocks(rows, rows.goal, by_episode=True)
        goals = calibrated(rows.belief, rows.goal, rows.asked, per_goal)
    exact = None if held is None else types(held.log_before)
    return {"types": types(own), "goals": goals, FILTER: exact}


def _grouping(
    rows: Others, held: Filtered | None, own_after: np.ndarray | None, why: dict[str, str]
) -> dict[str, Any] | None:
    """Agreement of the likeliest types with the truth, each merged by its own decoders. A policy
    that does not say what its types do means the known rules by them.
    """
    if held is None:
        return None
    if own_after is None and rows.types is not None and rows.decode is not None:
        own_after = after(rows.types, rows)  # codes, in groups of which rules may be told apart
    if rows.hypotheses is None:
        why["grouping"] = "nothing says what the known rules would have done in each slot"
        return None
    acts = rows.moves != NO_MOVE
    exact = grouped(rows, held.log_after[:, -1], rows.hypotheses, acts)
    if exact is None:
        return None
    own = (rows.hypotheses, acts) if rows.decode is None else (rows.decode, rows.asked & acts)
    model = None if own_after is None else grouped(rows, own_after[:, -1], *own)
    return {MODEL: model, FILTER: exact}


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


def first_strip(w: Watching, known: Known, drift: float = 0.0) -> dict[str, Any] | None:
    """``strip`` alone, of matches of which nothing else is asked."""
    rows = others(w, known)
    held = filtered(rows, drift)
    return strip(w, rows, known, held, _types_of(rows, known, held, {}))


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
