"""Games of a few moves as planners see them, small enough to solve on paper."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from counterplay.maths import masked_log_softmax
from counterplay.planning import Arrival, Functions
from counterplay.types import NO_MOVE

STATES, MINE, HIS = 4, 3, 2
FOUND_OUT = 1e6
"""What a move against the rules pays, so that one imagined anywhere is seen in Q."""


class Game(NamedTuple):
    """States are numbers, 0 the first; the belief counts moves seen. All tables are arrays."""

    pays: Any
    """[X, A, B]: what my and his move earn in each state."""
    leads: Any
    """[X, A, B]: where they go."""
    chances: Any
    """[X, B]: how he is expected to move."""
    legal: Any
    """[X, A]: my moves."""
    ends: Any
    """[X]: arriving there I leave."""
    away: Any
    """[X]: he is not there, makes no move, and tables are read at his move 0."""
    prior: Any
    """[A]: logits of my moves, everywhere."""


def game(
    pays: dict[int, Any],
    chances: Any = (0.0, 1.0),
    leads: dict[int, Any] | None = None,
    legal: dict[int, Any] | None = None,
    ends: tuple[int, ...] = (3,),
    away: tuple[int, ...] = (),
    prior: Any = (0.0, 0.0, 0.0),
) -> Game:
    """By default every state but the first pays nothing, all lead to 3, and 3 ends it."""
    all_pay, all_lead = np.zeros((STATES, MINE, HIS)), np.full((STATES, MINE, HIS), 3)
    can, number = np.ones((STATES, MINE), bool), np.arange(STATES)
    for table, given in ((all_pay, pays), (all_lead, leads or {}), (can, legal or {})):
        for state, row in given.items():
            table[state] = row
    each = np.broadcast_to(np.array(chances, np.float32), (STATES, HIS))
    return Game(
        jnp.array(all_pay, jnp.float32),
        jnp.array(all_lead, jnp.int32),
        jnp.array(each),
        jnp.array(can),
        jnp.array(np.isin(number, ends)),
        jnp.array(np.isin(number, away)),
        jnp.array(prior, jnp.float32),
    )


def functions(game: Game) -> Functions:
    """As planners take it; value and prior know nothing of the game."""

    def step(key, e, action, others) -> Arrival:
        at = (e, action, jnp.maximum(others[0], 0))
        after = game.leads[at]
        fair = game.legal[e, action] & ((others[0] == NO_MOVE) == game.away[e])
        reward = jnp.where(fair, game.pays[at], FOUND_OUT)
        alive = 1.0 - game.ends[after].astype(jnp.float32)
        return Arrival(after, reward, alive, game.legal[after], ~game.away[after][None])

    return Functions(
        step=step,
        actions=lambda e, belief: game.chances[e][None],
        update=lambda belief, e, others: belief + (others[0] != NO_MOVE),
        value=lambda e, belief: jnp.zeros(()),
        prior_of=lambda e, belief: masked_log_softmax(game.prior, game.legal[e]),
    )
