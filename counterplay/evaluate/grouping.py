"""Whether an agent's codes tell the others apart: codes merged into groups, and how they agree.

A code is what an agent says of one other in one match: its discrete code, or the likeliest type of
its posterior. Codes that decode to the same behaviour are one group, however many there are.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from counterplay.evaluate.exact_filter import log_or_minus_inf
from counterplay.types import NO_MOVE


class Groups(NamedTuple):
    """Codes merged."""

    of_code: np.ndarray
    """The group of every code, [C]."""
    number: int
    log_likelihood: np.ndarray
    """Of validation moves with 1, 2, ..., C groups, in nats a move, [C]."""
    distance: np.ndarray
    """Symmetric KL between the decoders, mean over moves, in nats, [C, C]."""


class Agreement(NamedTuple):
    """How a grouping agrees with the truth; 1 is perfect, numbers of groups may differ."""

    homogeneity: float
    """Every group holds one type. Rosenberg & Hirschberg (2007), eq. 1."""
    completeness: float
    """Every type is in one group. Eq. 2 there."""
    nmi: float
    """Normalised mutual information, by the mean of the two entropies; their V-measure."""
    adjusted_rand: float
    """Pairs that are together or apart in both, chance at 0. Hubert & Arabie (1985)."""


def decoder_distance(
    log_decoded: Float[np.ndarray, "C B T A"], moves: Int[np.ndarray, "B T"]
) -> Float[np.ndarray, "C C"]:
    """KL(c || d) + KL(d || c) of every two codes, mean over the slots with a move, in nats.

    ValueError where it is infinite: a decoder that rules out what another allows.
    """
    logs = np.asarray(log_decoded, np.float64)[:, moves != NO_MOVE]  # [C, V, A]
    codes, slots, _ = logs.shape
    p = np.exp(logs).reshape(codes, -1)
    possible = ~np.isneginf(logs.reshape(codes, -1))
    if (possible != possible[:1]).any():
        raise ValueError(
            "every code must allow the same moves in a slot, the legal ones: found a decoded "
            "probability 0 where another code's is not; mix in a uniform share"
        )
    flat = np.where(possible, logs.reshape(codes, -1), 0.0)
    cross = p @ flat.T  # sum p_c log p_d
    own = np.diag(cross)
    distance = (own[:, None] + own[None] - cross - cross.T) / slots
    np.fill_diagonal(distance, 0.0)
    return np.maximum((distance + distance.T) / 2, 0.0)


def group_codes(
    log_decoded: Float[np.ndarray, "C B T A"],
    code: Int[np.ndarray, " B"],
    moves: Int[np.ndarray, "B T"],
) -> Groups:
    """Merges codes by average linkage on their symmetric KL, over validation segments.

    Each of ``B`` segments is one other in one match: ``code`` is what the agent said of it,
    ``log_decoded`` what every code would predict in every slot of it, in log-probabilities. A group
    predicts the mean of its codes, weighted by how often they were used. The number of groups is
    the least whose log-likelihood is within one standard error, over segments, of the best: codes
    that split one behaviour gain nothing. Sokal & Michener (1958) for the linkage; Hastie et al.
    (2009), sect. 7.10, for the standard error.
    """
    codes = len(log_decoded)
    if not len(code) or (code < 0).any() or (code >= codes).any():
        raise ValueError(f"expected codes 0 to {codes - 1} of one segment or more, found {code}")
    seen = moves != NO_MOVE
    if not seen.any(-1).all():
        empty = int(np.flatnonzero(~seen.any(-1))[0])
        raise ValueError(f"segment {empty} has no move: leave it out")
    distance = decoder_distance(log_decoded, moves)
    made = np.maximum(moves, 0)[None, ..., None]
    likelihood = np.exp(np.take_along_axis(log_decoded, made, -1)[..., 0].astype(np.float64))
    cuts = _cuts(distance)
    each = np.array([_segments(cut, likelihood, code, seen) for cut in cuts])  # [C, B]
    best = each.sum(1).argmax()
    number = 1 + next(k for k in range(codes) if _as_good(each[k], each[best]))
    return Groups(cuts[number - 1], number, each.sum(1) / seen.sum(), distance)


def exact_classes(log_posterior: Float[np.ndarray, "*b Y"]) -> Int[np.ndarray, "*b"]:
    """The exact-likelihood classifier's group: the likeliest type when the match is over."""
    return log_posterior.argmax(-1)


def agreement(truth: Int[np.ndarray, " B"], group: Int[np.ndarray, " B"]) -> Agreement:
    """How the groups of ``B`` (match, other) pairs agree with their types, in float64."""
    table = contingency(truth, group)
    total = table.sum()
    of_truth, of_group = table.sum(1), table.sum(0)
    h_truth, h_group = _entropy(of_truth / total), _entropy(of_group / total)
    shared = max(h_truth + h_group - _entropy(table.ravel() / total), 0.0)
    part = lambda whole: min(shared / whole, 1.0) if whole > 0 else 1.0
    pairs = lambda x: (x * (x - 1) / 2).sum()
    together, a, b = pairs(table), pairs(of_truth), pairs(of_group)
    every = max(total * (total - 1) / 2, 1.0)
    chance, most = a * b / every, (a + b) / 2
    rand = (together - chance) / (most - chance) if most > chance else 1.0
    return Agreement(part(h_truth), part(h_group), part((h_truth + h_group) / 2), float(rand))


def contingency(
    truth: Int[np.ndarray, " B"], group: Int[np.ndarray, " B"]
) -> Float[np.ndarray, "..."]:
    """How many pairs have each type and each group, [types, groups], those that occur."""
    if not len(truth):
        raise ValueError("expected pairs of a type and a group, found none")
    types, row = np.unique(truth, return_inverse=True)
    groups, column = np.unique(group, return_inverse=True)
    count = np.bincount(row * len(groups) + column, minlength=len(types) * len(groups))
    return count.reshape(len(types), len(groups)).astype(np.float64)


def _cuts(distance: np.ndarray) -> np.ndarray:
    """The groups of every code where there are 1, 2, ..., C of them, [C, C]."""
    codes = len(distance)
    held = np.arange(codes)
    cuts = [held]
    merges = linkage(squareform(distance, checks=False), "average") if codes > 1 else []
    for new, (a, b, *_) in enumerate(merges, codes):
        held = np.where((held == a) | (held == b), new, held)
        cuts.append(held)
    return np.array([np.unique(cut, return_inverse=True)[1] for cut in reversed(cuts)])


def _segments(
    cut: np.ndarray, likelihood: np.ndarray, code: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Log-likelihood of every segment under the group of its code, [B]."""
    used = np.bincount(code, minlength=len(cut)).astype(np.float64)
    found = np.empty(len(code))
    for group in np.unique(cut[code]):
        weight = np.where(cut == group, used, 0.0)
        here = cut[code] == group
        mixture = np.einsum("c,cbt->bt", weight / weight.sum(), likelihood[:, here])
        found[here] = np.where(seen[here], log_or_minus_inf(mixture), 0.0).sum(-1)
    return found


def _as_good(score: np.ndarray, best: np.ndarray) -> bool:
    """Whether segments score within a standard error of the best, by their differences."""
    loss = best - score
    error = loss.std(ddof=1) * np.sqrt(len(loss)) if len(loss) > 1 else 0.0
    return bool(loss.sum() <= error + 1e-9)


def _entropy(p: np.ndarray) -> float:
    return float(-(p * np.where(p > 0, log_or_minus_inf(p), 0.0)).sum())
