"""Replies in race and coordination: the corridor with the best chances, and straight on."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from counterplay.envs.coordination import HUNT, Coordination
from counterplay.envs.corridors import LEFT, RIGHT, SIZE, STAY, STEPS, UP
from counterplay.evaluate.other_views import all_views
from counterplay.opponents.corridors import Always, at_start, heading, read, walker
from counterplay.opponents.general import any_of
from counterplay.types import View

FIRST_STEPS = (LEFT, UP, RIGHT)
"""Towards L, C and R."""


class Corridors(eqx.Module):
    """In a race takes the corridor most likely left to it alone, in coordination the one where all
    others are most likely to be. While there is a step to spare it waits until everybody is off.
    """

    env: Any = eqx.field(static=True)

    def log_probs(self, mind: Any, carry: Any, view: View) -> Float[Array, " A"]:
        seen, moves = read(view, self.env.players), jnp.arange(view.legal.shape[0])
        chosen = jnp.argmax(self.worth(mind.moves(carry, view), view))
        first = moves == jnp.array(FIRST_STEPS)[chosen]
        spare = view.time < self.env.horizon - STEPS - isinstance(self.env, Coordination)
        undecided = (seen.row[1:] == SIZE - 1) & (seen.col[1:] == SIZE // 2)
        first = jnp.where(spare & undecided.any(), moves == STAY, first)
        return any_of(jnp.where(at_start(seen), first, self._onward(view)))

    def worth(self, moves: Float[Array, "M A"], view: View) -> Float[Array, " 3"]:
        """The chance of each corridor to be what I want, from what the others are about to do."""
        others = jax.tree.map(lambda x: x[1:], all_views(self.env, view))
        where = jax.vmap(lambda v: read(v, self.env.players))(others)
        bound = jax.vmap(heading)(where)[:, None] == jnp.arange(3)[None]
        takes = jnp.where(
            jax.vmap(at_start)(where)[:, None], moves[:, jnp.array(FIRST_STEPS)], bound
        )
        if isinstance(self.env, Coordination):
            return jnp.where(view.alive[1:, None], takes, 0.0).prod(0)
        return jnp.where(view.alive[1:, None], 1 - takes, 1.0).prod(0)

    def _onward(self, view: View) -> Any:
        """As a rule walks, but it hunts with all others or not at all."""
        rule = walker(self.env, Always(0), 0.0)
        steady = rule.behaviour.log_probs(rule.begin(jax.random.key(0), None), view) > -jnp.inf
        if not isinstance(self.env, Coordination):
            return steady
        seen, moves = read(view, self.env.players), jnp.arange(view.legal.shape[0])
        together = ((seen.row == seen.row[0]) & (seen.col == seen.col[0])).all()
        return jnp.where(steady[HUNT] & ~together, moves == STAY, steady)
