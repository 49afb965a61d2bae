"""Planners: functions in, a plan out. They know neither networks nor games.

Every planner takes the same functions of one item, which ``Functions`` names, so that planners can
be compared with the same model of the others and the same belief in all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float


class Plan(NamedTuple):
    """What a planner makes of one decision."""

    q: Float[Array, " A"]
    """Expected return of each of my moves; finite, but without meaning where one is illegal."""
    weights: Float[Array, " A"]
    """Probabilities over my legal moves, which sum to one; all 0 where none is legal."""


class Arrival(NamedTuple):
    """Where one joint move leads."""

    e: Any
    """The next latent, or the next state of a simulator: a pytree of arrays."""
    reward: Float[Array, ""]
    """What I expect to earn by the move."""
    alive: Float[Array, ""]
    """Probability that I play on."""
    legal: Bool[Array, " A"]
    """My legal moves there."""
    others: Bool[Array, " M"]
    """Which of the others are there."""


class Joint(NamedTuple):
    """Moves of others who do not act independently of each other, but do under each hypothesis."""

    weight: Float[Array, " H"]
    """Of the hypotheses; sums to one."""
    chances: Float[Array, "H M A"]
    """Of each other's moves under each of them."""


class Functions(NamedTuple):
    """What planners are given, each for one item; ``belief`` and ``e`` are pytrees of arrays."""

    step: Callable[..., Arrival]
    """(key, e, action, others: Int[M]) -> Arrival; NO_MOVE for an absent other."""
    actions: Callable[..., Array | Joint]
    """(e, belief) -> Float[M, A], probabilities of each other's move; rows of 0 for the absent.
    Or ``Joint``, of others who do not act independently."""
    update: Callable[..., Any]
    """(belief, e, others: Int[M]) -> belief, after these moves were made at ``e``."""
    value: Callable[..., Array]
    """(e, belief) -> Float[], my expected return from there on."""
    prior_of: Callable[..., Array]
    """(e, belief) -> Float[A], log-probabilities of my moves."""
