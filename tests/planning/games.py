"""Games of a few moves as planners see them, small enough to solve on paper."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from counterplay.maths import masked_log_softmax
from counterplay.planning import Arrival, Functions
from counterplay.types import NO_MOVE


def functions(
    pays: Any,
    chances: Any,
    leads: Any,
    legal: Any = None,
    ends: Any = None,
    gone: Any = None,
) -> Functions:
    """States are numbers; one other, or none, and the belief counts his moves.

    ``pays`` [X, A, B] is what my and his move earn in each state and ``leads`` [X, A, B] where they
    go; ``chances`` [X, B] is how he moves, a row of zeros where he is not there, and then he is
    taken to make move 0 in the tables. I leave on arriving in a state that ``ends`` [X] names.
    Value and prior know nothing.
    """
    pays, leads, chances = jnp.asarray(pays), jnp.asarray(leads), jnp.asarray(chances)
    states, moves, _ = pays.shape
    can = jnp.ones((states, moves), bool) if legal is None else jnp.asarray(legal)
    over = jnp.zeros(states, bool) if ends is None else jnp.asarray(ends)
    away = jnp.zeros(states, bool) if gone is None else jnp.asarray(gone)

    def step(key, e, action, others) -> Arrival:
        at = (e, action, jnp.maximum(others[0], 0))
        after = leads[at]
        fair = can[e, action] & ((others[0] == NO_MOVE) == away[e])
        reward = jnp.where(fair, pays[at], 1e6)  # whoever moves against the rules is found out
        alive = 1.0 - over[after].astype(jnp.float32)
        return Arrival(after, reward, alive, can[after], ~away[after][None])

    def prior_of(e, belief) -> Float[Array, " A"]:
        return masked_log_softmax(jnp.zeros(moves), can[e])

    return Functions(
        step=step,
        actions=lambda e, belief: chances[e][None],
        update=lambda belief, e, others: belief + (others[0] != NO_MOVE),
        value=lambda e, belief: jnp.zeros(()),
        prior_of=prior_of,
    )


def legal_of(moves: int, *without: int) -> Bool[Array, " A"]:
    return ~jnp.isin(jnp.arange(moves), jnp.array(without, int))
