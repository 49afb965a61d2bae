"""Everything that watched matches tell of an opponent model, beside what could be known.

The exact filter over the known rules is the reference of all of it. What cannot be told is None,
and ``why`` says why.
"""

from typing import Any

import numpy as np

from counterplay.evaluate.believed import mapped, strip
from counterplay.evaluate.changing import after_switches
from counterplay.evaluate.exact_filter import Filtered
from counterplay.evaluate.inferring import (
    aims_held,
    blocks,
    calibrated,
    graded,
    grouped,
    identified,
)
from counterplay.evaluate.others import Known, Others, after, filtered, others, plain
from counterplay.evaluate.own_types import Own, by_rule
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


def measures(
    w: Watching,
    known: Known,
    opponents: dict[int, str],
    *,
    drift: float = 0.0,
    meant: Own | None = None,
) -> dict[str, Any]:
    """Measures of the policy under evaluation and of the exact filter, as JSON has them.

    ``opponents`` names each opponent_id; ``drift`` is what the filter expects of changes, the
    chance between two slots; ``meant`` says which rules the policy's types are, by default the
    known ones in their order. Keys: next_move, types, goals, calibration, grouping, switch, strip,
    map, why.
    """
    rows = others(w, known)
    held = filtered(rows, drift)
    why: dict[str, str] = {}
    own = _types_of(rows, known, held, meant, why)
    own_after = None if own is None else after(own, rows)
    aims = aims_held(rows, held and held.log_before)
    found = {
        "next_move": next_move(rows, held, opponents, why),
        "types": _types(rows, known, held, own, own_after, why),
        "goals": _goals(rows, held, aims, why),
        "calibration": _calibration(rows, held, own, aims),
        "grouping": _grouping(rows, held, own_after, why),
        "switch": after_switches(w, rows, held, own_after),
        "strip": strip(w, rows, known, held, own),
        "map": mapped(rows, known, opponents, held, own),
    }
    return found | {"why": why}


def _types_of(
    rows: Others,
    known: Known,
    held: Filtered | None,
    meant: Own | None,
    why: dict[str, str],
) -> np.ndarray | None:
    """The policy's posterior over the known rules, where its types are those."""
    if rows.types is None:
        return None
    own, reason = by_rule(rows.types, known, meant)
    if own is None:
        why["types"] = reason
    return None if held is None else own


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


def _goals(
    rows: Others, held: Filtered | None, aims: np.ndarray | None, why: dict[str, str]
) -> dict[str, Any] | None:
    """Of beliefs over goals against declared intents, by moves seen in the episode: the policy's,
    and ``aims``, the exact filter's, where it knows what each rule would be after."""
    if not (rows.goal[rows.asked] >= 0).any():
        why["goals"] = "none of the others declares a goal"
        return None
    if rows.belief is None:
        why["goals"] = "the policy has no belief over goals"
    own_after = None if rows.belief is None else after(rows.belief, rows)
    later_aims = aims_held(rows, held and held.log_after)
    pairs = {MODEL: (rows.belief, own_after), FILTER: (aims, later_aims)}
    told: dict[str, Any] = {MODEL: None, FILTER: None}
    for name, (before, later) in pairs.items():
        if before is not None and later is not None:
            scores = graded(rows, before, rows.goal, rows.seen_now)
            told[name] = scores | {"identified": identified(rows, before, later, rows.goal)}
    return told if any(told.values()) else None


def _calibration(
    rows: Others, held: Filtered | None, own: np.ndarray | None, aims: np.ndarray | None
) -> dict[str, Any]:
    """Reliability of types and goals, of a whole stretch of constant truth as one block."""
    block = blocks(rows, rows.type, by_episode=False)
    per_goal = blocks(rows, rows.goal, by_episode=True)
    types = lambda x: None if x is None else calibrated(x, rows.type, rows.asked, block)
    goals = lambda x: None if x is None else calibrated(x, rows.goal, rows.asked, per_goal)
    exact = None if held is None else types(held.log_before)
    found = {"types": types(own), "goals": goals(rows.belief), FILTER: exact}
    return found | {f"{FILTER}, goals": goals(aims)}


def _grouping(
    rows: Others, held: Filtered | None, own_after: np.ndarray | None, why: dict[str, str]
) -> dict[str, Any] | None:
    """Agreement of the likeliest types with the truth, each merged by its own decoders. A policy
    that does not say what its types do means the known rules by them.
    """
    if held is None:
        return None
    if rows.types is not None and rows.decode is not None:
        own_after = after(rows.types, rows)  # in the order in which they are decoded
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


def first_strip(
    w: Watching, known: Known, drift: float = 0.0, meant: Own | None = None
) -> dict[str, Any] | None:
    """``strip`` alone, of matches of which nothing else is asked; see ``measures``."""
    rows = others(w, known)
    held = filtered(rows, drift)
    return strip(w, rows, known, held, _types_of(rows, known, held, meant, {}))
