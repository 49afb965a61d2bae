"""Exact solutions of small decision problems and one-shot games, in float64 on the host.

A problem is a table of successors: letters ``S`` states, ``A`` actions, ``B`` branches of chance,
``T`` slots. Chances of a state and action sum to one or less; what is missing ends the episode.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

SLACK = 1e-9
"""By which chances may sum to more than one, as rounding makes them."""


class Mdp(NamedTuple):
    """A Markov decision process as successor lists; empty branches have chance 0."""

    to: Int[np.ndarray, "S A B"]
    chance: Float[np.ndarray, "S A B"]
    reward: Float[np.ndarray, "S A"]
    """Expected, of this slot."""
    legal: Bool[np.ndarray, "S A"]


class Solution(NamedTuple):
    """``values[t, s]``: the return from slot t on of the best policy, and the move it makes.

    Without a horizon there is one row for all slots; with one there is a last row of zeros more
    values than moves. Of equally good moves it is the first.
    """

    values: Float[np.ndarray, "rows S"]
    policy: Int[np.ndarray, "moves S"]


def dense(P: np.ndarray, R: np.ndarray) -> Mdp:
    """The process of transition chances ``P`` [S, A, S] and rewards ``R`` [S, A], all legal."""
    P, R = np.asarray(P, np.float64), np.asarray(R, np.float64)
    if P.ndim != 3 or P.shape[0] != P.shape[2] or R.shape != P.shape[:2]:
        raise ValueError(
            f"mdp: expected P [S, A, S] and R [S, A], found {list(P.shape)} and {list(R.shape)}"
        )
    to = np.broadcast_to(np.arange(len(P)), P.shape)
    return checked(Mdp(to, P, R, np.ones(R.shape, bool)))


def checked(mdp: Mdp) -> Mdp:
    """The same process; ValueError where it is none."""
    total, states = mdp.chance.sum(2), len(mdp.reward)
    if (mdp.chance < 0).any() or (total > 1 + SLACK).any():
        raise ValueError(
            "mdp: chances of a state and action must be 0 or more and sum to 1 or less, found "
            f"sums of {total.min():.6g} to {total.max():.6g}"
        )
    if (mdp.to < 0).any() or (mdp.to >= states).any():
        raise ValueError(f"mdp: successors must be states 0 to {states - 1}")
    if not mdp.legal.any(1).all():
        stuck = int(np.flatnonzero(~mdp.legal.any(1))[0])
        raise ValueError(f"mdp: state {stuck} has no legal action: let what leads there end")
    return mdp


def action_values(mdp: Mdp, after: np.ndarray, gamma: float) -> Float[np.ndarray, "S A"]:
    """Q[s, a] = R[s, a] + gamma sum_b P[s, a, b] V[to[s, a, b]]; -inf where a is illegal."""
    q = mdp.reward + gamma * (mdp.chance * after[mdp.to]).sum(2)
    return np.where(mdp.legal, q, -np.inf)


def finite_horizon(mdp: Mdp, horizon: int, gamma: float = 1.0) -> Solution:
    """Backward induction over ``horizon`` slots: values [T + 1, S], policy [T, S].

    Puterman (1994), section 4.5.
    """
    if horizon < 1 or not 0 <= gamma <= 1:
        raise ValueError(f"mdp: horizon >= 1 and gamma 0 to 1 wanted, found {horizon}, {gamma}")
    values = np.zeros((horizon + 1, len(mdp.reward)))
    policy = np.zeros((horizon, len(mdp.reward)), np.int64)
    for t in reversed(range(horizon)):
        q = action_values(mdp, values[t + 1], gamma)
        values[t], policy[t] = q.max(1), q.argmax(1)
    return Solution(values, policy)


def discounted(mdp: Mdp, gamma: float, tolerance: float = 1e-12) -> Solution:
    """Value iteration without a horizon: values [1, S] within ``tolerance``, policy [1, S].

    Puterman (1994), theorem 6.3.3: what is left is at most gamma / (1 - gamma) times a change.
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"mdp: without a horizon gamma is 0 or more and under 1, found {gamma}")
    values, change = np.zeros(len(mdp.reward)), np.inf
    scale = np.finfo(np.float64).eps * max(np.abs(mdp.reward).max(), 1) / (1 - gamma)
    while change * gamma > max(tolerance, scale) * (1 - gamma):
        found = action_values(mdp, values, gamma).max(1)
        change, values = np.abs(found - values).max(), found
    q = action_values(mdp, values, gamma)
    return Solution(q.max(1)[None], q.argmax(1)[None])


def best_reply(payoffs: np.ndarray, theirs: np.ndarray) -> float:
    """What the best action earns in a one-shot game against a mixed strategy.

    Rows of ``payoffs`` [A, A'] are mine, columns theirs, as in ``envs.matrix``.
    """
    return float((np.asarray(payoffs, np.float64) @ np.asarray(theirs, np.float64)).max())


def nash_conv(
    payoffs: np.ndarray, other_payoffs: np.ndarray, mine: np.ndarray, theirs: np.ndarray
) -> float:
    """What both players could gain by a best reply, added up: 0 in an equilibrium alone.

    Each matrix has its own player's actions in rows. Lanctot et al. (2017), section 2.
    """
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    for name, strategy in (("mine", mine), ("theirs", theirs)):
        if (strategy < 0).any() or abs(strategy.sum() - 1) > SLACK:
            raise ValueError(f"nash_conv: {name} must be probabilities, found {strategy}")
    gains = [
        best_reply(table, other) - float(own @ np.asarray(table, np.float64) @ other)
        for table, own, other in ((payoffs, mine, theirs), (other_payoffs, theirs, mine))
    ]
    return sum(gains)
