"""How well the others' next moves are predicted: excess NLL over the exact filter, in nats.

Predictions are log-probabilities [..., T, A] held before the move of slot t; ``moves`` [..., T] is
NO_MOVE where the other was absent or made none, and nothing is counted there. Further axes: ``S``
training seeds, ``K`` opponents, ``R`` matches.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.evaluate.curves import masked_mean
from counterplay.evaluate.exact_filter import log_or_minus_inf
from counterplay.evaluate.statistics import Interval, hierarchical_bootstrap, mean
from counterplay.types import NO_MOVE

FILTER, TRUE = "exact filter", "true policy"
DIGITS = 5
"""Of log-probabilities, in nats, when the likeliest move is chosen, whatever their precision."""


class Line(NamedTuple):
    """One predictor against one opponent, or against all."""

    predictor: str
    opponent: int | None
    """None: all."""
    nll: Interval
    """Nats a move."""
    excess: Interval
    """Over the exact filter, nats a move: the headline. Below 0 by luck, or by knowing more."""
    accuracy: Interval | None
    """Expected, see ``expected_accuracy``; None where nobody knows the true policy."""
    moves: int


def nll(
    log_predicted: Float[np.ndarray, "*b T A"], moves: Int[np.ndarray, "*b T"]
) -> Float[np.ndarray, "*b T"]:
    """-log p(move), in nats; NaN where there was no move.

    ValueError where a move was predicted with probability 0: no mean tells anything after that.
    """
    made = np.take_along_axis(log_predicted, np.maximum(moves, 0)[..., None], -1)[..., 0]
    made = np.asarray(made, np.float64)
    bad = np.argwhere((moves != NO_MOVE) & ~np.isfinite(made))
    if bad.size:
        at = tuple(bad[0].tolist())
        raise ValueError(
            f"the move {moves[at]} at {list(at)} was made and its predicted log-probability is "
            f"{made[at]}: expected a finite one; mix a uniform share into the prediction"
        )
    return np.where(moves != NO_MOVE, -made, np.nan)


def expected_accuracy(
    log_predicted: Float[np.ndarray, "*b T A"],
    log_true: Float[np.ndarray, "*b T A"],
    moves: Int[np.ndarray, "*b T"],
) -> Float[np.ndarray, "*b T"]:
    """p_true(argmax p_hat): the chance that the likeliest predicted move is made; NaN without move.

    Not whether it was made, so no luck of the draw is in it. Ties go to the lowest number.
    """
    best = log_predicted.argmax(-1)[..., None]
    chance = np.exp(np.take_along_axis(np.asarray(log_true, np.float64), best, -1)[..., 0])
    return np.where(moves != NO_MOVE, chance, np.nan)


def policy_entropy(
    log_true: Float[np.ndarray, "*b T A"], moves: Int[np.ndarray, "*b T"]
) -> Float[np.ndarray, "*b T"]:
    """Entropy of the true policy in nats: what its NLL is on average; NaN without a move."""
    logs = np.asarray(log_true, np.float64)
    logs = np.where(np.isneginf(logs), 0.0, logs)  # adds nothing: 0 log 0
    possible = ~np.isneginf(log_true)
    entropy = -np.where(possible, np.exp(logs) * logs, 0.0).sum(-1)
    return np.where(moves != NO_MOVE, entropy, np.nan)


def marginal_baseline(
    train_moves: Int[np.ndarray, "..."], legal: Bool[np.ndarray, "*b T A"]
) -> Float[np.ndarray, "*b T A"]:
    """How often each move was made in ``train_moves``, one added to each, over the legal ones.

    Log-probabilities; -inf where illegal.
    """
    actions = legal.shape[-1]
    count = 1.0 + np.bincount(train_moves[train_moves != NO_MOVE], minlength=actions)
    return _over_legal(count, legal)


def last_move_baseline(
    train_moves: Int[np.ndarray, "*c U"],
    moves: Int[np.ndarray, "*b T"],
    legal: Bool[np.ndarray, "*b T A"],
) -> Float[np.ndarray, "*b T A"]:
    """How often each move followed the last one seen of the same other, one added.

    Counted in ``train_moves``. Rows are matches in a line; before the first move seen there is a
    count of its own.
    Log-probabilities over the legal moves; -inf where illegal.
    """
    actions = legal.shape[-1]
    last = last_seen(train_moves)
    made = train_moves != NO_MOVE
    pairs = (last[made] + 1) * actions + train_moves[made]  # NO_MOVE + 1 = 0: none seen yet
    count = 1.0 + np.bincount(pairs, minlength=(actions + 1) * actions)
    return _over_legal(count.reshape(actions + 1, actions)[last_seen(moves) + 1], legal)


def marginal_so_far(
    moves: Int[np.ndarray, "*b T"], legal: Bool[np.ndarray, "*b T A"]
) -> Float[np.ndarray, "*b T A"]:
    """How often each move was made before this slot of the same row, one added to each.

    Nothing is counted elsewhere: this is what keeping a tally tells during a match.
    Log-probabilities over the legal moves; -inf where illegal.
    """
    made = moves[..., None] == np.arange(legal.shape[-1])
    return _over_legal(1.0 + np.cumsum(made, -2) - made, legal)


def last_move_so_far(
    moves: Int[np.ndarray, "*b T"], legal: Bool[np.ndarray, "*b T A"]
) -> Float[np.ndarray, "*b T A"]:
    """How often each move followed the last one seen, before this slot of the same row, one added.

    Before the first move seen there is a count of its own. Nothing is counted elsewhere.
    Log-probabilities over the legal moves; -inf where illegal.
    """
    actions = np.arange(legal.shape[-1])
    last = last_seen(moves)[..., None] == np.arange(NO_MOVE, len(actions))
    made = last[..., None] & (moves[..., None] == actions)[..., None, :]  # [*b, T, A + 1, A]
    before = np.cumsum(made, -3) - made
    return _over_legal(1.0 + np.where(last[..., None], before, 0).sum(-2), legal)


def last_seen(moves: Int[np.ndarray, "*b T"]) -> Int[np.ndarray, "*b T"]:
    """The last move before each slot, NO_MOVE before any."""
    place = np.where(moves != NO_MOVE, np.arange(moves.shape[-1]), -1)
    latest = np.maximum.accumulate(place, -1)
    before = np.concatenate([np.full_like(latest[..., :1], -1), latest[..., :-1]], -1)
    last = np.take_along_axis(moves, np.maximum(before, 0), -1)
    return np.where(before >= 0, last, NO_MOVE)


def next_action(
    predictions: Mapping[str, np.ndarray],
    moves: Int[np.ndarray, "S K R T"],
    log_true: Float[np.ndarray, "S K R T A"] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Line]:
    """Every predictor against every opponent and against all: means over matches, with 95%.

    ``predictions`` maps names to log-probabilities [S, K, R, T, A], among them the exact filter's
    under FILTER, the attainable reference. With ``log_true`` the true policy is a predictor too:
    the floor. A match counts by its mean over moves; intervals draw seeds, then opponents, then
    matches (``hierarchical_bootstrap``). The excess is taken move by move, so that luck cancels.
    """
    if FILTER not in predictions:
        raise ValueError(
            f"predictions need the reference {FILTER!r}, found {sorted(predictions)}: "
            "run exact_filter over the training pool"
        )
    named = dict(predictions) | ({} if log_true is None else {TRUE: log_true})
    attained = nll(named[FILTER], moves)
    count = (moves != NO_MOVE).sum((0, 2, 3))
    lines = []
    for name, log_predicted in named.items():
        own = nll(log_predicted, moves)
        scores = [own, own - attained]
        if log_true is not None:
            even = np.round(log_predicted, DIGITS)  # moves that tie on paper tie here
            scores.append(expected_accuracy(even, log_true, moves))
        means = [masked_mean(x) for x in scores]  # [S, K, R]
        for k in [None, *range(moves.shape[1])]:
            cells = [x if k is None else x[:, k : k + 1] for x in means]
            found = [hierarchical_bootstrap(x, mean, resamples=resamples, seed=seed) for x in cells]
            total = int(count.sum() if k is None else count[k])
            lines.append(Line(name, k, found[0], found[1], [*found, None][2], total))
    return lines


def _over_legal(count: np.ndarray, legal: np.ndarray) -> np.ndarray:
    weight = np.where(legal, count, 0.0)
    total = weight.sum(-1, keepdims=True)
    return log_or_minus_inf(weight / np.where(total > 0, total, 1.0))
