"""The exact filter: Bayes' rule over known types, in float64. What can be known, and no more.

Axes: ``T`` slots of one other in a line, matches one after another; ``Y`` types; ``A`` actions;
leading axes are whatever the caller has, such as matches or others.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.types import NO_MOVE

UNIFORM = 0.01
"""Share of a uniform legal move in every likelihood: no single move rules a type out for ever."""


class Filtered(NamedTuple):
    """What the filter held, in nats."""

    log_before: np.ndarray
    """Log-posterior before the move of every slot, [*b, T, Y]."""
    log_after: np.ndarray
    """The same after it, [*b, T, Y]."""
    log_predicted: np.ndarray
    """Log-probabilities of the move of every slot, before it; -inf where illegal, [*b, T, A]."""


def exact_filter(
    log_likelihood: Float[np.ndarray, "*b T Y A"],
    legal: Bool[np.ndarray, "*b T A"],
    moves: Int[np.ndarray, "*b T"],
    prior: Float[np.ndarray, "*p Y"],
    *,
    contact: Bool[np.ndarray, "*b T"] | None = None,
    drift: float | Float[np.ndarray, "*d"] = 0.0,
    uniform: float = UNIFORM,
) -> Filtered:
    """Posterior over types before and after every move, and the prediction it makes.

    ``log_likelihood`` is what every type would do in every slot, in log-probabilities; ``moves``
    is NO_MOVE where none was made or seen, which teaches nothing. ``prior`` is [Y] or [*b, Y].
    Where ``contact`` is True a match begins, and the posterior is the prior again; by default at
    slot 0 alone. ``drift`` is the chance that the type was drawn anew from the prior between
    two slots of a match: a number, or one a slot, [*b, T] or [T].

        before[t] = (1 - drift) after[t-1] + drift prior,  after[t] ~ before[t] p(move[t] | type)

    Rabiner (1989), eq. 19-20, with p = (1 - uniform) exp(log_likelihood) + uniform / legal moves.
    ValueError for a move that was not legal, and for what is no probability.
    """
    chances = mixed(log_likelihood, legal, uniform)
    _check_moves(legal, moves)
    log_prior = log_or_minus_inf(_probabilities("prior", prior))
    shape = moves.shape[:-1]
    log_prior = np.broadcast_to(log_prior, (*shape, log_prior.shape[-1]))
    drift = np.broadcast_to(_chance("drift", drift), moves.shape)
    starts = np.zeros(moves.shape, bool) if contact is None else contact
    seen = moves != NO_MOVE
    made = np.take_along_axis(chances, np.maximum(moves, 0)[..., None, None], -1)[..., 0]
    evidence = np.where(seen[..., None], log_or_minus_inf(made), 0.0)  # [*b, T, Y]
    log_before, log_after = np.empty_like(evidence), np.empty_like(evidence)
    held = log_prior
    for t in range(moves.shape[-1]):
        rate = drift[..., t, None]
        stays, leaves = log_or_minus_inf(1 - rate), log_or_minus_inf(rate)
        drifted = np.logaddexp(stays + held, leaves + log_prior)
        new = starts[..., t, None] | (t == 0)
        log_before[..., t, :] = np.where(new, log_prior, drifted)
        held = log_normalised(log_before[..., t, :] + evidence[..., t, :])
        log_after[..., t, :] = held
    predicted = np.einsum("...y,...ya->...a", np.exp(log_before), chances)
    return Filtered(log_before, log_after, log_or_minus_inf(predicted))


def mixed(
    log_likelihood: Float[np.ndarray, "*b T Y A"],
    legal: Bool[np.ndarray, "*b T A"],
    uniform: float = UNIFORM,
) -> Float[np.ndarray, "*b T Y A"]:
    """Probabilities of legal moves with a share of a uniform one; 0 elsewhere.

    What a type gives to illegal moves goes to the legal ones in proportion, and to all of them
    alike where it gives them nothing. Where nothing is legal all are 0.
    """
    uniform = float(_chance("uniform", uniform))
    if np.isnan(log_likelihood).any() or (log_likelihood > 1e-3).any():
        raise ValueError(
            "log_likelihood holds log-probabilities, 0 or less, found "
            f"{np.max(log_likelihood)}: probabilities given without their logarithm?"
        )
    allowed = legal[..., None, :]
    some = np.maximum(allowed.sum(-1, keepdims=True), 1)
    chances = np.where(allowed, np.exp(np.asarray(log_likelihood, np.float64)), 0.0)
    total = chances.sum(-1, keepdims=True)
    chances = np.where(total > 0, chances / np.where(total > 0, total, 1.0), allowed / some)
    return (1 - uniform) * chances + uniform * allowed / some


def log_normalised(log_weights: Float[np.ndarray, "*b Y"]) -> Float[np.ndarray, "*b Y"]:
    """Log-probabilities in proportion to weights, of which one at least is not 0."""
    most = log_weights.max(-1, keepdims=True)
    if not np.isfinite(most).all():
        raise ValueError(
            "no type is left: every one gives a move that was made probability 0; uniform above 0 "
            "keeps them all possible"
        )
    shifted = log_weights - most
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _check_moves(legal: np.ndarray, moves: np.ndarray) -> None:
    """ValueError for the first move that is out of range or illegal."""
    actions = legal.shape[-1]
    inside = (moves >= 0) & (moves < actions)
    fits = np.take_along_axis(legal, np.where(inside, moves, 0)[..., None], -1)[..., 0] & inside
    bad = np.argwhere((moves != NO_MOVE) & ~fits)
    if bad.size:
        at = tuple(bad[0].tolist())
        raise ValueError(
            f"moves{list(at)} is {moves[at]}, which is not legal there: expected a legal move of "
            f"{actions}, or {NO_MOVE} for none; moves and legal of different slots?"
        )


def _probabilities(name: str, p: np.ndarray) -> np.ndarray:
    p = np.asarray(p, np.float64)
    if not (p >= 0).all() or not np.allclose(p.sum(-1), 1, rtol=0, atol=1e-6):
        raise ValueError(f"{name} holds probabilities that sum to 1, found {p.tolist()}")
    return p / p.sum(-1, keepdims=True)


def _chance(name: str, x: float | np.ndarray) -> np.ndarray:
    chance = np.asarray(x, np.float64)
    if not ((chance >= 0) & (chance <= 1)).all():
        raise ValueError(f"{name} is a probability, 0 to 1, found {x}")
    return chance


def log_or_minus_inf(p: np.ndarray) -> np.ndarray:
    """Logarithm, any shape; -inf at 0."""
    return np.log(p, where=p > 0, out=np.full(np.shape(p), -np.inf))
