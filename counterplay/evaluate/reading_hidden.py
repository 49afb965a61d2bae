"""Exact inference over the other where it is out of sight: the filters of games of hidden
information as readers of a ``Solo`` match.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from counterplay.envs.pursuit import PURSUER, Pursuit
from counterplay.envs.scissors import HOLDINGS, Scissors
from counterplay.evaluate.hidden_pursuit import pursuit_filter
from counterplay.evaluate.hidden_scissors import scissors_filter
from counterplay.evaluate.reading import SLACK
from counterplay.opponents.rule import Mixture
from counterplay.opponents.scissors import AIMS
from counterplay.types import NO_MOVE, Env, View
from counterplay.views import select, view_shapes


class Watched(NamedTuple):
    """The filter's carry, and the slot that it has not yet seen the outcome of."""

    carry: Any
    view: View
    move: Int[Array, ""]
    pending: Bool[Array, ""]
    """Whether a move waits for the view after it; False at first contact."""


@dataclass(frozen=True, eq=False)  # a filter holds arrays: it is itself and no other
class Hidden:
    """Lets a filter watch from one seat of a game for two, whose views alone it is shown."""

    exact: Any
    """With begin, update and told, as ``PursuitFilter`` has them."""
    env: Env
    types: int
    goals: tuple[int, ...]
    """What the other may aim at, as intents name it, in the order in which the filter tells."""
    seat: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, self.types, len(self.goals)

    def begin(self, carry: Watched | None) -> Watched:
        """A later episode begins when its first view is looked at: that tells the last end."""
        return first_contact(self.exact, self.env) if carry is None else carry

    def look(self, carry: Watched, views: View) -> Watched:
        view = jax.tree.map(lambda x: x[self.seat], views)
        return watch(self.exact, carry, view)

    def told(self, carry: Watched) -> tuple[Float[Array, "1 Y"], Float[Array, "1 G"]]:
        told = self.exact.told(carry.carry)
        return told[None, : self.types], told[None, self.types :]

    def truth(
        self,
        carry: Watched,
        member: Int[Array, " M"],
        log_probs: Float[Array, "M A"],
        goal: Int[Array, " M"],
    ) -> Float[Array, "1 G"]:
        return (goal[:, None] == jnp.array(self.goals)[None]).astype(jnp.float32)

    def moved(self, carry: Watched, moves: Int[Array, " N"]) -> Watched:
        move = moves[self.seat]
        return carry._replace(move=move, pending=move != NO_MOVE)


def first_contact(exact: Any, env: Env) -> Watched:
    """Before anything has been seen."""
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), view_shapes(env))
    return Watched(exact.begin(None), nothing, jnp.int32(0), jnp.array(False))


def watch(exact: Any, watched: Watched, view: View) -> Watched:
    """Takes in what the last move led to, and begins anew where this is a first view."""
    after = exact.update(watched.carry, watched.view, watched.move, view)
    after = select(view.first, exact.begin(after), after)
    return Watched(
        select(watched.pending, after, watched.carry), view, watched.move, jnp.array(False)
    )


def pursuit(env: Pursuit, rules: Mixture, seat: int, drift: float = 0.0) -> Hidden:
    """Of the pursuer over the exit aimed at; ValueError for the evader, who sees everything.

    ``drift`` is the chance of a change between two slots.
    """
    if seat != PURSUER:
        raise ValueError(
            f"pursuit: the reader sits in the pursuer's seat {PURSUER}, found seat {seat}: the "
            "evader sees the whole board, and no rule of this game pursues"
        )
    exact = pursuit_filter(env, rules.rules, mix=SLACK, drift=drift)
    return Hidden(exact, env, len(rules.rules), tuple(range(env.num_goals)), seat)


def scissors(env: Scissors, rules: Mixture, seat: int, drift: float = 0.0) -> Hidden:
    """Of either player over the collection aimed at, in the order of ``AIMS``.

    ``drift`` is the chance of a change between two slots.
    """
    exact = scissors_filter(env, rules.rules, seat, mix=SLACK, drift=drift)
    aims = tuple(HOLDINGS.index(aim) for aim in AIMS)
    return Hidden(exact, env, len(rules.rules), aims, seat)
