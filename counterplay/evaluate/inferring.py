"""How well types and goals are inferred in watched matches: scores, curves, bands and groups."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.evaluate.calibration import calibration
from counterplay.evaluate.curves import by_number, curve
from counterplay.evaluate.exact_filter import log_or_minus_inf, mixed
from counterplay.evaluate.goals import goal_scores, identified_by, steps_to_identify
from counterplay.evaluate.grouping import agreement, group_codes
from counterplay.evaluate.others import Others, constant, number, numbers, over_matches
from counterplay.evaluate.switching import switches
from counterplay.types import NO_MOVE

MOST_MOVES = 100
"""Up to which curves by moves seen go."""
MOST_PREDICTIONS = 60_000
"""Of a reliability diagram; of more, every second, third and so on is taken."""
RESAMPLES = 200
DIGITS = 5
"""Of log-probabilities, in nats, when beliefs are scored."""
STRANGE = 0.001
"""Share of the filter's belief over goals that is even: a stranger may be after what no known rule
is. More of it would make right beliefs too timid by more than their null band is wide."""
MOST_SEGMENTS = 200
"""By which codes are merged."""


def graded(
    rows: Others,
    log_belief: Float[np.ndarray, "R T G"],
    truth: Int[np.ndarray, "R T"],
    seen: Int[np.ndarray, "R T"],
) -> dict[str, Any]:
    """NLL, Brier score and top-1 where both act: means over matches, and by moves seen."""
    even = log_belief.round(DIGITS)  # types that tie on paper tie here, whatever the precision
    scores = goal_scores(even, np.where(rows.asked, truth, -1))._asdict()
    matches = int(rows.match.max()) + 1
    by_match = lambda x: x.reshape(matches, -1, x.shape[-1])  # [B, M, T]
    most = min(int(seen[rows.asked].max(initial=0)), MOST_MOVES)
    lines = {
        name: curve(by_number(by_match(x), by_match(seen), most)) for name, x in scores.items()
    }
    points = [
        {"x": k, "matches": int(lines["nll"].count[k])}
        | {name: number(line.estimate[k]) for name, line in lines.items()}
        for k in range(most + 1)
        if lines["nll"].count[k]
    ]
    means = {name: over_matches(_row_means(x), rows.match) for name, x in scores.items()}
    return means | {"by_moves": points}


def aims_held(
    rows: Others, log_types: Float[np.ndarray, "R T Y"] | None
) -> Float[np.ndarray, "R T G"] | None:
    """What a posterior over the known rules says of goals: of each, the sum over those after it.

    Rules that declare none in a slot are left out; where all do, goals are even. So is a share of
    ``STRANGE``. None where nobody says what rules are after, or declares a goal.
    """
    if log_types is None or rows.intents is None or not (rows.goal[rows.asked] >= 0).any():
        return None
    moves = rows.moves != NO_MOVE
    least = int(max(rows.goal.max(initial=0), rows.intents[moves].max(initial=0))) + 1
    number = least if rows.belief is None else rows.belief.shape[-1]
    aims = np.where(moves[..., None], rows.intents, -1)[..., None] == np.arange(number)
    sums = np.einsum("rty,rtyg->rtg", np.exp(log_types), aims)
    total = sums.sum(-1, keepdims=True)
    share = np.where(total > 0, sums / np.where(total > 0, total, 1.0), 1 / number)
    return np.log((1 - STRANGE) * share + STRANGE / number)


def _row_means(x: np.ndarray) -> np.ndarray:
    there = ~np.isnan(x)
    total, count = np.where(there, x, 0.0).sum(1), there.sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def identified(
    rows: Others,
    log_before: Float[np.ndarray, "R T Y"],
    log_after: Float[np.ndarray, "R T Y"],
    truth: Int[np.ndarray, "R T"],
) -> dict[str, Any] | None:
    """When the truth was known for good; None where no row has one that lasts for the match."""
    true = constant(truth)
    kept = true >= 0
    if not kept.any() or log_before.shape[-1] < 2:
        return None
    moves, episode = rows.moves[kept], rows.episode[kept]
    found = steps_to_identify(log_before[kept], log_after[kept], true[kept], moves, episode)
    middle = np.median(np.where(found.censored, np.inf, found.moves))
    most = min(int((moves != NO_MOVE).sum(1).max()), MOST_MOVES)
    return {
        "rows": int(kept.sum()),
        "share": number(1 - found.censored.mean()),
        "median_moves": number(middle),
        "by_moves": numbers(identified_by(found.moves, most)),
        "by_episodes": numbers(identified_by(found.episodes, int(episode.max()) + 1)),
    }


def calibrated(
    log_belief: Float[np.ndarray, "R T G"],
    truth: Int[np.ndarray, "R T"],
    asked: Bool[np.ndarray, "R T"],
    block: Int[np.ndarray, "R T"],
) -> dict[str, Any] | None:
    """A reliability diagram with its null band; None without a truth."""
    kept = np.argwhere(asked & (truth >= 0))
    if not len(kept):
        return None
    kept = kept[:: -(-len(kept) // MOST_PREDICTIONS)]
    at = tuple(kept.T)
    found = calibration(log_belief[at], truth[at], block[at], resamples=RESAMPLES)
    bins = {k: numbers(v) for k, v in found._asdict().items() if isinstance(v, np.ndarray)}
    whole = {k: v for k, v in found._asdict().items() if not isinstance(v, np.ndarray)}
    return bins | whole | {"inside": found.inside, "enough": found.enough}


def blocks(rows: Others, truth: Int[np.ndarray, "R T"], *, by_episode: bool) -> np.ndarray:
    """A number for every stretch in which the truth stays what it is, [R, T]."""
    stretch = np.cumsum(switches(truth), 1)
    if by_episode:
        stretch = stretch + rows.episode * (int(stretch.max(initial=0)) + 1)
    return stretch + np.arange(len(truth))[:, None] * (int(stretch.max(initial=0)) + 1)


def grouped(
    rows: Others,
    last: Float[np.ndarray, "R Y"],
    decoded: Float[np.ndarray, "R T Y A"],
    told: Bool[np.ndarray, "R T"],
) -> dict[str, Any] | None:
    """How the likeliest type at the end agrees with the truth, in every second match.

    ``last`` is the posterior then, and ``decoded`` what each type would do, log-probabilities,
    where ``told`` is True. Types that do the same in the other matches are one group. None where
    the matches are too few, or types do not last.
    """
    true, second = constant(rows.type), rows.match % 2 == 1
    scored = (true >= 0) & second
    made = np.flatnonzero((true >= 0) & ~second & told.any(1))[:MOST_SEGMENTS]
    if not scored.any() or not len(made):
        return None
    code, there = last.argmax(-1), told[made]
    chances = mixed(np.where(there[..., None, None], decoded[made], -np.inf), rows.legal[made])
    each = np.moveaxis(log_or_minus_inf(chances), 2, 0)  # [Y, B, T, A]
    moves = np.where(there, rows.moves[made], NO_MOVE)
    group = group_codes(each, code[made], moves).of_code[code[scored]]
    found = agreement(true[scored], group)
    return {k: float(v) for k, v in found._asdict().items()} | {
        "groups": len(np.unique(group)),
        "rows": int(scored.sum()),
    }
