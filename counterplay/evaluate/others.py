"""The others of watched matches in rows, and what the exact filter held of each.

Axes: ``R`` rows, one an other in a match, match by match; ``T`` slots since first contact; ``Y``
known rules; ``A`` actions; ``G`` goals.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from counterplay.evaluate.curves import masked_mean, moves_seen
from counterplay.evaluate.exact_filter import Filtered, exact_filter
from counterplay.evaluate.statistics import t_interval
from counterplay.evaluate.watching import Watching
from counterplay.types import NO_EVENT, NO_MOVE, NO_TYPE

AT_A_TIME = 2**22
"""Likelihoods filtered in one batch, 32 MiB; what is found does not depend on it."""
LEAST = float(np.finfo(np.float32).tiny)
"""A posterior below this is 0 in float32: it stands for whatever is less."""


class Known(NamedTuple):
    """A pool whose rules are known, and which of them each opponent is."""

    names: tuple[str, ...]
    types: Mapping[int, tuple[int, ...]]
    """opponent_id -> its rule in each of its modes, NO_TYPE for one that is not known."""


class Others(NamedTuple):
    """Rows; what was not told is None."""

    match: np.ndarray
    """[R]."""
    opponent: np.ndarray
    """opponent_id, [R]."""
    moves: np.ndarray
    """[R, T], NO_MOVE where the other is absent or the match is over."""
    legal: np.ndarray
    here: np.ndarray
    """Where I act."""
    asked: np.ndarray
    """Where both of us act: predictions and beliefs count there."""
    seen: np.ndarray
    """The other's moves before this slot since first contact."""
    seen_now: np.ndarray
    """The same since the episode began."""
    episode: np.ndarray
    mode: np.ndarray
    type: np.ndarray
    """Which of the known rules moves, NO_TYPE where none or nobody does."""
    goal: np.ndarray
    log_true: np.ndarray | None
    hypotheses: np.ndarray | None
    intents: np.ndarray | None
    """The goal of each known rule, had it moved; NO_EVENT where it declares none, [R, T, Y]."""
    predict: np.ndarray | None
    belief: np.ndarray | None
    """Log-probabilities, as are all here; [R, T, G]."""
    types: np.ndarray | None
    decode: np.ndarray | None
    """What the policy takes each of its types to do, [R, T, Y, A]."""
    exact_types: np.ndarray | None
    exact_predict: np.ndarray | None
    """Of an inference that saw no more than the policy."""


def others(w: Watching, known: Known) -> Others:
    """Everybody but the one under evaluation, with their types among the known rules."""
    b, t, n = w.actions.shape
    m = n - 1

    def rows(x: Any) -> Any:
        """[B, T, M, ...] -> [R, T, ...]; None stays so."""
        return None if x is None else np.moveaxis(x, 2, 1).reshape(b * m, t, *x.shape[3:])

    each = lambda x: np.repeat(x, m, 0)
    there, here = rows(w.alive[..., 1:]), each(w.alive[..., 0])
    opponent = w.opponent_id[:, 0, 1:].reshape(-1).astype(np.int64)
    moves = np.where(there, rows(w.actions[..., 1:]), NO_MOVE)
    mode = np.where(there, rows(w.mode[..., 1:]), NO_TYPE).astype(np.int64)
    start = each(w.valid & (w.time == 0))
    told = lambda x: None if x is None else _finite(rows(x), there & here)
    truth, hypotheses, intents = rows(w.truth), rows(w.hypotheses), rows(w.intents)
    return Others(
        match=each(np.arange(b)),
        opponent=opponent,
        moves=moves,
        legal=rows(w.legal[:, :, 1:]),
        here=here,
        asked=here & there,
        seen=moves_seen(moves),
        seen_now=moves_seen(moves, start),
        episode=each(w.episode),
        mode=mode,
        type=np.where(there, _types(known, opponent, mode), NO_TYPE),
        goal=np.where(there, rows(w.goal[..., 1:]), NO_EVENT).astype(np.int64),
        log_true=None if truth is None else _finite(truth, there),
        hypotheses=None if hypotheses is None else _finite(hypotheses, there),
        intents=None if intents is None else _finite(intents, there),
        predict=told(w.predict),
        belief=_log(told(w.belief)),
        types=_log(told(w.types)),
        decode=told(w.decode),
        exact_types=_log(told(w.exact_types)),
        exact_predict=told(w.exact_predict),
    )


def _finite(x: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """The same where all that is wanted was told; None where some of it was not (NaN)."""
    return None if np.isnan(x[wanted]).any() else x


def _log(p: np.ndarray | None) -> np.ndarray | None:
    return None if p is None else np.log(np.maximum(np.asarray(p, np.float64), LEAST))


def _types(known: Known, opponent: np.ndarray, mode: np.ndarray) -> Int[np.ndarray, "R T"]:
    ids, widest = (
        [*known.types, 0, *opponent.tolist()],
        max(map(len, known.types.values()), default=1),
    )
    table = np.full((max(ids) + 1, widest), NO_TYPE)
    for i, types in known.types.items():
        table[i, : len(types)] = types
    return table[opponent[:, None], np.clip(mode, 0, widest - 1)]


def filtered(rows: Others, drift: float = 0.0) -> Filtered | None:
    """What exact inference over the known rules holds; None where neither they nor it watched.

    It takes in every move of the others, also those made after I have left, and begins with equal
    chances. One that watched from my seat holds what it told, with the drift that it was given.
    """
    if rows.exact_types is not None and rows.exact_predict is not None:
        return Filtered(rows.exact_types, after(rows.exact_types, rows), rows.exact_predict)
    if rows.hypotheses is None:
        return None
    types = rows.hypotheses.shape[2]
    size = max(1, AT_A_TIME // rows.hypotheses[0].size)
    prior, parts = np.full(types, 1 / types), []
    for first in range(0, len(rows.moves), size):
        here = slice(first, first + size)
        moves = rows.moves[here]
        allowed = rows.legal[here]
        # nobody is there, so nothing is read: what the padding holds is of another match
        logs = np.where((moves != NO_MOVE)[..., None, None], rows.hypotheses[here], -np.inf)
        parts.append(exact_filter(logs, allowed, moves, prior, drift=drift))
    return Filtered(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def after(log_before: Float[np.ndarray, "R T Y"], rows: Others) -> Float[np.ndarray, "R T Y"]:
    """What a policy held after every slot: what it tells in the next one in which it acts.

    While it does not act it holds what it did; what it made of the very last move nobody knows, so
    that is left out.
    """
    held = forward(log_before, rows.here)
    return np.concatenate([held[:, 1:], held[:, -1:]], 1)


def forward(x: Shaped[np.ndarray, "R T ..."], there: np.ndarray) -> Shaped[np.ndarray, "R T ..."]:
    """Each slot's entry, or that of the last slot that is there; of the first one before any."""
    place = np.maximum.accumulate(np.where(there, np.arange(x.shape[1]), -1), 1)
    place = np.where(place < 0, there.argmax(1)[:, None], place)
    return x[np.arange(len(x))[:, None], place]


def constant(x: Int[np.ndarray, "R T"]) -> Int[np.ndarray, " R"]:
    """The one number of 0 or more that a row has; -1 where it has none, or several."""
    there = x >= 0
    most, least = x.max(1), np.where(there, x, x.max(initial=0) + 1).min(1)
    return np.where(there.any(1) & (most == least), most, -1)


def over_matches(x: Float[np.ndarray, " R"], match: np.ndarray) -> dict[str, Any] | None:
    """Mean over matches of their mean over others, with Student's 95%; None without any."""
    matches = int(match.max()) + 1
    means = masked_mean(x.reshape(matches, -1))
    means = means[~np.isnan(means)]
    if not len(means):
        return None
    if len(means) == 1:
        return {"estimate": float(means[0]), "low": None, "high": None, "matches": 1}
    found = t_interval(means)
    return plain(found) | {"matches": len(means)}


def plain(found: Any) -> dict[str, Any]:
    """An interval as JSON has it; None in place of NaN."""
    return {name: number(getattr(found, name)) for name in ("estimate", "low", "high")}


def number(x: Any) -> float | None:
    """None for what is not finite."""
    return float(x) if np.isfinite(x) else None


def numbers(x: np.ndarray) -> list[float | None]:
    return [number(v) for v in np.asarray(x, np.float64).tolist()]
