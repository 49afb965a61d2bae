"""The true simulator as a model to plan with: a game's own ``step``, seen from one seat.

Nothing here is learnt but what the agent that plans makes of what it would see: every imagined
move is made in the game itself, the next view is cut as a rollout cuts it, and the agent looks at
it as it does when it plays. So its belief takes in imagined moves and events by its own rule.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.maths import finite
from counterplay.planning import Arrival, Functions, Joint
from counterplay.types import NO_EVENT, NO_MOVE, Env, Memory, Simulator, TimeStep, View
from counterplay.views import Last, cut_views


class Thought(NamedTuple):
    """What an agent makes of one view before it moves."""

    log_pi: Float[Array, " A"]
    """Of its own moves."""
    value: Float[Array, ""]
    moves: Float[Array, "M A"] | Joint
    """Probabilities of the others' moves, rows of 0 for the absent."""
    memory: Memory
    """After this slot."""


Think = Callable[[PRNGKeyArray, Memory, View], Thought]


class Place(NamedTuple):
    """A state of the game, where I sit in it, and what I think there: what planners call ``e``."""

    simulator: Simulator
    alive: Bool[Array, " N"]
    """By absolute seat."""
    time: Int[Array, ""]
    thought: Thought


def place(key: PRNGKeyArray, think: Think, memory: Memory, view: View) -> Place:
    """Where a search begins. ValueError where the view does not hold the simulator."""
    if view.state is None:
        raise ValueError(
            "a search in the true simulator wants its state in the view, found None: this policy "
            "plays where no rollout gives it one"
        )
    simulator: Simulator = view.state
    alive = jnp.roll(view.alive, simulator.seat)
    return Place(simulator, alive, view.time, think(key, memory, view))


def simulator(env: Env, think: Think) -> Functions:
    """The game as planners take it, one decision of one seat; ``e`` is a ``Place``.

    Seats are part of ``e``, so one program serves all. The belief is part of the agent's memory:
    ``update`` leaves what planners carry beside it as it is. A game that draws lots in ``step``
    says with ``rekeyed(state, key)`` how to draw others: the state at hand holds those that will
    fall, and who searched with them would see the dice.
    """
    rekeyed = getattr(env, "rekeyed", lambda state, key: state)

    def step(
        key: PRNGKeyArray, e: Place, action: Int[Array, ""], others: Int[Array, " M"]
    ) -> Arrival:
        seat = e.simulator.seat
        joint = jnp.roll(jnp.concatenate([action[None], others]), seat)
        moves = jnp.where(e.alive, joint, NO_MOVE).astype(jnp.int32)
        game, shown = env.step(rekeyed(e.simulator.game, jr.fold_in(key, 1)), moves)
        view = next_view(env, seat, moves, e.alive, shown, e.time + 1)
        thought = think(key, e.thought.memory, view)
        after = Place(Simulator(game, seat), shown.alive, e.time + 1, thought)
        goes_on = (view.alive[0] & ~shown.terminated).astype(jnp.float32)
        return Arrival(after, view.reward, goes_on, view.legal, view.alive[1:])

    return Functions(
        step=step,
        actions=lambda e, belief: e.thought.moves,
        update=lambda belief, e, others: belief,
        value=lambda e, belief: e.thought.value,
        prior_of=lambda e, belief: e.thought.log_pi,
    )


def next_view(
    env: Env,
    seat: Int[Array, ""],
    moves: Int[Array, " N"],
    acting: Bool[Array, " N"],
    shown: TimeStep,
    time: Int[Array, ""],
) -> View:
    """What a seat sees after a joint move, as the rollout cuts it; not in a first slot."""
    reward = jnp.where(acting, shown.reward, 0.0)
    last = Last(moves, reward, jnp.where(acting, shown.event, NO_EVENT), shown.visible)
    views = cut_views(env, shown, last, time, jnp.bool_(False))
    view = jax.tree.map(lambda x: x[seat], views)
    # only my own observation is encoded: XLA leaves away those of the others, which nobody reads
    return eqx.tree_at(lambda v: v.obs, view, env.encode(finite(shown.obs[seat])))
