"""How well the others' goals and types are inferred, and how soon.

Beliefs are log-probabilities [..., T, G] held in slot t; truth is the declared intent, NO_EVENT
where a policy declares none, and nothing is counted there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from counterplay.types import NO_EVENT, NO_MOVE

ODDS = float(np.log(9))
"""Nats by which the true type must lead: nine to one, .9 against the best other."""


class GoalScores(NamedTuple):
    """One entry a slot, NaN where no goal was declared; means by ``curves.by_number``."""

    nll: np.ndarray
    """-log b(goal), in nats."""
    brier: np.ndarray
    """Squared distance of the belief from the truth, 0 to 2. Brier (1950)."""
    top1: np.ndarray
    """Whether the likeliest goal is the true one; where several tie, the chance of drawing it."""


class Identified(NamedTuple):
    """When each row's type was known for good, [*b]."""

    moves: np.ndarray
    """Moves seen till then, 0 where it was known at contact; NaN where never."""
    episodes: np.ndarray
    """Episodes of the match begun till then, from 1; NaN where never."""
    censored: np.ndarray
    """True where it was not known when the match ended: later, or never."""


def goal_scores(
    log_belief: Float[np.ndarray, "*b T G"], goal: Int[np.ndarray, "*b T"]
) -> GoalScores:
    """NLL, Brier score and top-1 of every slot.

    ValueError where a belief is no distribution, or gives the true goal probability 0.
    """
    log_belief = np.asarray(log_belief, np.float64)
    declared = goal != NO_EVENT
    belief = np.exp(log_belief)
    total = np.where(declared, belief.sum(-1), 1.0)
    if not np.allclose(total, 1, rtol=0, atol=1e-4):
        worst = total.flat[np.abs(total - 1).argmax()]
        raise ValueError(
            f"log_belief holds log-probabilities over goals that sum to 1, found a sum of {worst}: "
            "logits that were not normalised?"
        )
    goals = np.arange(log_belief.shape[-1])
    if (declared & ((goal < 0) | (goal >= len(goals)))).any():
        raise ValueError(
            f"goals are 0 to {len(goals) - 1}, or {NO_EVENT} where undeclared, found "
            f"{int(goal.min())} to {int(goal.max())}"
        )
    truth = goals == np.where(declared, goal, 0)[..., None]
    log_true = np.where(truth, log_belief, 0.0).sum(-1)
    if not np.isfinite(np.where(declared, log_true, 0.0)).all():
        raise ValueError("a belief gives the true goal probability 0: expected every goal possible")
    best = belief == belief.max(-1, keepdims=True)
    top1 = (best & truth).any(-1) / best.sum(-1)
    known = lambda x: np.where(declared, x, np.nan)
    return GoalScores(known(-log_true), known(((belief - truth) ** 2).sum(-1)), known(top1))


def log_odds(
    log_posterior: Float[np.ndarray, "*b T Y"], truth: Int[np.ndarray, "*b"]
) -> Float[np.ndarray, "*b T"]:
    """How far the true type leads the best other, in nats; below 0 where it does not lead."""
    mine = np.arange(log_posterior.shape[-1]) == truth[..., None, None]
    held = np.asarray(log_posterior, np.float64)
    own = np.where(mine, held, -np.inf).max(-1)
    return own - np.where(mine, -np.inf, held).max(-1)


def steps_to_identify(
    log_before: Float[np.ndarray, "*b T Y"],
    log_after: Float[np.ndarray, "*b T Y"],
    truth: Int[np.ndarray, "*b"],
    moves: Int[np.ndarray, "*b T"],
    episode: Int[np.ndarray, "*b T"] | None = None,
    *,
    odds: float = ODDS,
) -> Identified:
    """Moves seen until the true type leads by ``odds`` nats and never less until the match ends.

    Rows are matches. The posterior is read at contact (``log_before[0]``) and after every slot
    with a move; slots without one, as after the match, are not read. ``episode`` is the number of
    the episode in the match, from 0. Two types or more; no truth may be undeclared.
    """
    types = log_after.shape[-1]
    if types < 2 or (truth < 0).any() or (truth >= types).any():
        raise ValueError(
            f"expected two types or more and true ones among them, found {types} and numbers "
            f"{int(truth.min())} to {int(truth.max())}: leave out rows that declare none"
        )
    seen = moves != NO_MOVE
    at_contact = log_odds(log_before[..., :1, :], truth) >= odds
    holds = np.concatenate([at_contact, log_odds(log_after, truth) >= odds], -1)  # after t moves
    read = np.where(seen, np.arange(1, seen.shape[-1] + 1), 0)  # where nothing was seen: as before
    read = np.concatenate([np.zeros_like(read[..., :1]), np.maximum.accumulate(read, -1)], -1)
    holds = np.take_along_axis(holds, read, -1)
    for_good = np.logical_and.accumulate(holds[..., ::-1], -1)[..., ::-1]
    censored = ~for_good[..., -1]
    first = for_good.argmax(-1)[..., None]
    count = np.concatenate([np.zeros_like(seen[..., :1], int), np.cumsum(seen, -1)], -1)
    if episode is None:
        episode = np.zeros_like(moves)
    begun = np.concatenate([episode[..., :1], episode], -1) + 1
    pick = lambda x: np.where(censored, np.nan, np.take_along_axis(x, first, -1)[..., 0])
    return Identified(pick(count), pick(begun), censored)


def identified_by(steps: Float[np.ndarray, "*b"], most: int) -> Float[np.ndarray, " R"]:
    """Share of all rows known for good by 0, 1, ..., ``most`` moves or episodes; NaN never counts.

    The distribution function of ``Identified.moves``, right up to the shortest match.
    """
    flat = np.sort(steps.ravel())  # NaN comes last
    return np.searchsorted(flat, np.arange(most + 1), "right") / flat.size
