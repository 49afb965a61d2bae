"""Planning a few moves ahead without a tree: all of my moves, few draws of the others'.

    Q(a_i) = sum over a_-i of p(a_-i) sum over e' of P(e' | e, a_i, a_-i)
             [reward_weight * r + gamma * alive' * V(e', b')]

where p(a_-i) is what the belief b over the others expects, and b' the belief after such moves. With
more depth V(e', b') is the largest Q of a legal move there. Sums over others' moves are exact, or
over samples that all of my moves share; the next latent is drawn once for each of them. What does
not depend on a move is computed once: ``vmap`` leaves it outside.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.planning import Arrival, Joint, Plan
from counterplay.planning.draws import as_joint, drawn_of
from counterplay.types import NO_MOVE

MOST_JOINT = 4096
"""Joint moves of others that are enumerated."""


def plan(
    step: Callable[..., Arrival],
    actions: Callable[..., Any],
    update: Callable[..., Any],
    value: Callable[..., Float[Array, ""]],
    e: Any,
    belief: Any,
    prior: Float[Array, " A"],
    legal: Bool[Array, " A"],
    alive: Bool[Array, " N"],
    key: PRNGKeyArray,
    *,
    depth: int = 1,
    gamma: float = 0.99,
    reward_weight: float = 1.0,
    samples: int = 0,
    temperature: float | Float[Array, ""] = 0.25,
) -> Plan:
    """What each of my moves is worth, and weights prior * exp(Q / temperature) over legal ones.

    ``prior`` holds log-probabilities. ``samples`` 0 enumerates the others' joint moves, of which
    there may be 4,096. A ``temperature`` of 0 puts all weight on the best. At each node a maximum
    is taken over values that are averaged over the draws made at that node: nobody sees the dice.
    """
    if depth < 1:
        raise ValueError(f"plan: depth must be at least 1, found {depth}")
    if samples < 0:
        raise ValueError(f"plan: samples must be 1 or more, or 0 for all, found {samples}")
    functions = step, actions, update, value
    rates = gamma, reward_weight, samples
    q = _rated(functions, rates, e, belief, alive[1:], len(legal), depth, key)
    if isinstance(temperature, float | int) and temperature == 0:
        top = jnp.where(legal, q, -jnp.inf)
        best = jnp.where(legal & (q == top.max()), jnp.maximum(prior, -1e9), -jnp.inf)
        hot = (jnp.arange(len(legal)) == jnp.argmax(best)) & legal
        return Plan(q, hot.astype(jnp.float32))
    logits = jnp.where(legal, prior + q / temperature, -jnp.inf)
    shift = jnp.where(legal.any(), logits.max(), 0.0)
    weights = jnp.where(legal, jnp.exp(logits - shift), 0.0)
    return Plan(q, weights / jnp.where(legal.any(), weights.sum(), 1.0))


def likeliest(actions: Callable[..., Any]) -> Callable[..., Float[Array, "M A"]]:
    """The same function for one who plans for the move a_j that is likeliest of each other.

    With ``gamma`` 1, ``reward_weight`` 0 and ``depth`` 1 a move is then worth the plain sum of
    P(e' | e, a_j, a_i) V(e') over e', to the letter, where the value of where I have left is 0.
    """

    def point(e: Any, belief: Any) -> Float[Array, "M A"]:
        joint = as_joint(actions(e, belief))
        mixed = (joint.weight[:, None, None] * joint.chances).sum(0)
        return jax.nn.one_hot(jnp.argmax(mixed, -1), mixed.shape[-1])

    return point


def staying(step: Callable[..., Arrival]) -> Callable[..., Arrival]:
    """The same function had I never left, for a value of arriving, which knows of leaving."""

    def stays(*args: Any) -> Arrival:
        there = step(*args)
        return there._replace(alive=jnp.ones_like(there.alive))

    return stays


def ignoring(
    actions: Callable[..., Any], update: Callable[..., Any]
) -> tuple[Callable[..., Float[Array, "M A"]], Callable[..., Any]]:
    """The same functions for one who ignores the others: whatever may be expected of them at all
    is as likely as anything else, and what they do tells nothing."""

    def alike(e: Any, belief: Any) -> Float[Array, "M A"]:
        joint = as_joint(actions(e, belief))
        some = ((joint.chances > 0) & (joint.weight > 0)[:, None, None]).any(0)
        return some / jnp.maximum(some.sum(-1, keepdims=True), 1)

    return alike, lambda belief, e, others: belief


def _rated(
    functions: tuple,
    rates: tuple[float, float, int],
    e: Any,
    belief: Any,
    there: Bool[Array, " M"],
    moves: int,
    depth: int,
    key: PRNGKeyArray,
) -> Float[Array, " A"]:
    """What each of so many moves is worth at one node; ``there`` tells who of the others is."""
    step, actions, update, value = functions
    gamma, reward_weight, samples = rates
    draw_key, step_key, later_key = jr.split(key, 3)
    others, weight = _others_moves(actions(e, belief), there, samples, draw_key)
    beliefs = jax.vmap(lambda made: update(belief, e, made))(others)
    number, mine = len(others), jnp.arange(moves)
    over_draws = jax.vmap(lambda k, a, made: step(k, e, a, made), (0, None, 0))
    reached = jax.vmap(over_draws, (None, 0, None))(jr.split(step_key, number), mine, others)
    if depth == 1:
        worth = jax.vmap(jax.vmap(value), (0, None))(reached.e, beliefs)
    else:
        # one child after the other, or memory would grow with their number

        def best(child: tuple) -> Float[Array, ""]:
            arrival, after, k = child
            parts = arrival.e, after, arrival.others, moves, depth - 1, k
            q = jnp.where(arrival.legal, _rated(functions, rates, *parts), -jnp.inf)
            return jnp.where(arrival.legal.any(), q.max(), 0.0)

        alike = lambda x: jnp.broadcast_to(x[None], (moves, *x.shape))
        children = reached, *jax.tree.map(alike, (beliefs, jr.split(later_key, number)))
        flat = lambda x: x.reshape(moves * number, *x.shape[2:])
        worth = lax.map(best, jax.tree.map(flat, children)).reshape(moves, number)
    later = jnp.where(reached.alive > 0, gamma * reached.alive * worth, 0.0)
    return (weight[None] * (reward_weight * reached.reward + later)).sum(1)


def _others_moves(
    expected: Joint | Float[Array, "M A"],
    there: Bool[Array, " M"],
    samples: int,
    key: PRNGKeyArray,
) -> tuple[Int[Array, "S M"], Float[Array, " S"]]:
    """Joint moves, NO_MOVE of the absent, and how much each counts: all of them, or draws."""
    joint = as_joint(expected)
    _, others, moves = joint.chances.shape
    if samples:
        made = drawn_of(key, joint, samples)
        weight = jnp.full(samples, 1.0 / samples)
    else:
        if moves**others > MOST_JOINT:
            raise ValueError(
                f"plan: {others} others with {moves} moves each make {moves**others:,} joint "
                f"moves, and {MOST_JOINT:,} are enumerated at most: ask for samples"
            )
        made = jnp.asarray(np.array(list(product(range(moves), repeat=others))).reshape(-1, others))
        sits = jnp.where(there[None, :, None], joint.chances, jnp.eye(1, moves)[None])
        each = sits[:, jnp.arange(others)[None], made]  # [H, S, M]
        weight = (joint.weight[:, None] * each.prod(-1)).sum(0)
    return jnp.where(there[None], made, NO_MOVE), weight
