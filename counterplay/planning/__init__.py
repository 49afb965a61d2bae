"""What a player does who thinks ahead: planning in a learned world, or in the true one.

A planner is given functions, each for one item, and makes a ``Plan``:

- ``step(key, e, action, others) -> Arrival``: my move and those of the others (NO_MOVE of who is
  absent), from one latent or state to the next
- ``actions(e, belief) -> Float[M, A]``: probabilities of each other's next move; or ``Joint``
- ``update(belief, e, others) -> belief``: after others were seen to make these moves at e
- ``value(e, belief) -> Float[]``: what playing on from there is worth
"""

from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float


class Plan(NamedTuple):
    """What a planner makes of my moves."""

    q: Float[Array, " A"]
    """What each is worth, -inf where illegal."""
    weights: Float[Array, " A"]
    """How often each should be made; they sum to one, or to zero where none is legal."""


class Arrival(NamedTuple):
    """Where a joint move leads."""

    e: Any
    """The next latent, or state."""
    reward: Float[Array, ""]
    """What I earn on the way."""
    alive: Float[Array, ""]
    """Chance that I play on."""
    legal: Bool[Array, " A"]
    """My moves there, if I do."""
    others: Bool[Array, " M"]
    """Who of the others plays on."""


class Joint(NamedTuple):
    """Moves of others who do not act independently of each other, but do under each hypothesis."""

    weight: Float[Array, " H"]
    """Of the hypotheses; sums to one."""
    chances: Float[Array, "H M A"]
    """Of each other's moves under each of them."""
