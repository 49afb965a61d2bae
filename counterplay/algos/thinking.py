"""What is planned with: a learned world, moves expected in it, beliefs that follow, and a value."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.algos.goal_ppo import GoalReader
from counterplay.maths import bayes_update
from counterplay.models.ahead import Ahead
from counterplay.models.beliefs import Held, told_of
from counterplay.models.conditioned import Conditioned
from counterplay.models.twohot import symexp
from counterplay.models.values import Values
from counterplay.models.world import World
from counterplay.planning import Arrival, Functions


class Model(eqx.Module):
    """All that is imagined with; learnt together."""

    world: World
    ahead: Ahead
    values: Values


class Node(NamedTuple):
    """A situation, seen or imagined."""

    e: Float[Array, " E"]
    there: Bool[Array, " M"]
    """Who of the others is."""
    legal: Bool[Array, "M A"]
    """Their moves, as far as they can be known."""
    moves: Float[Array, "M Y G A"] | None
    """Probabilities of theirs, in a situation that was seen."""


def rows_of(log_b: Float[Array, "M Y G"], there: Bool[Array, " M"]) -> Float[Array, "M R"]:
    """What the value is told of the others: that one is there, its types and its goals."""
    b = jnp.exp(log_b)
    rows = jnp.concatenate([there[:, None], b.sum(2), b.sum(1)], 1)
    return jnp.where(there[:, None], rows, 0.0)


def root_of(e: Float[Array, " E"], held: Held, alive: Bool[Array, " N"]) -> Node:
    """The situation that is seen now."""
    return Node(e, alive[1:], held.moves.any((1, 2)), held.moves)


def functions(
    model: Model,
    slow: Values,
    reader: GoalReader,
    policy: Conditioned,
    arriving: bool = False,
    eager: bool = False,
) -> Functions:
    """``slow`` rates where one comes to; with ``arriving`` also what coming there has earned.

    The policy is told what ``reader`` would tell it, the likeliest where that is drawn, and shown
    what the model of the game says would be seen; if it is recurrent, it remembers nothing. With
    ``eager`` imagined situations hold the others' chances, too, as those that were seen do.
    """
    world, mix = model.world, reader.rates.mix

    def chances(node: Node) -> Float[Array, "M Y G A"]:
        if node.moves is not None:
            return node.moves
        even = node.legal / jnp.maximum(node.legal.sum(-1, keepdims=True), 1)
        made = (1 - mix) * jnp.exp(model.ahead(node.e, node.legal)) + mix * even[:, None, None]
        return jnp.where(node.there[:, None, None, None], made, 0.0)

    def actions(node: Node, log_b: Float[Array, "M Y G"]) -> Float[Array, "M A"]:
        return (jnp.exp(log_b)[..., None] * chances(node)).sum((1, 2))

    def update(log_b: Float[Array, "M Y G"], node: Node, others: Int[Array, " M"]) -> Array:
        made = others[:, None] == jnp.arange(node.legal.shape[-1])[None]
        told = jnp.where(made[:, None, None], chances(node), 0.0).sum(-1)
        told = jnp.where(made.any(-1)[:, None, None], jnp.log(told + 1e-9), 0.0)
        flat = lambda x: x.reshape(x.shape[0], x.shape[1] * x.shape[2])
        return bayes_update(flat(log_b), flat(told)).reshape(log_b.shape)

    def step(
        key: PRNGKeyArray, node: Node, action: Int[Array, ""], others: Int[Array, " M"]
    ) -> Arrival:
        joint = jnp.concatenate([jnp.reshape(action, (1,)), others])
        h, prior = world.step(node.e, world.table(node.e), joint)
        e = world.arrive(key, h, prior)
        told = world.read(e, shown=False)
        alive, legal = jax.nn.sigmoid(told.alive), told.legal
        there = node.there & (alive[1:] > 0.5)
        mine = (legal > 0) | (legal == legal.max())  # some move is
        public = told.public_legal > 0 if world.public else jnp.ones_like(node.legal)
        public |= ~public.any(-1, keepdims=True)
        after = Node(e, there, public, None)
        after = after._replace(moves=chances(after)) if eager else after
        return Arrival(after, world.earned(told), alive[0], mine, there)

    def value(node: Node, log_b: Float[Array, "M Y G"]) -> Float[Array, ""]:
        rate = slow.arriving if arriving else slow.mean
        return rate(node.e, rows_of(log_b, node.there))

    def prior_of(node: Node, log_b: Float[Array, "M Y G"]) -> Float[Array, " A"]:
        told = world.read(node.e)
        shown = jax.nn.sigmoid(told.obs) if world.binary else symexp(told.obs)
        held = Held(log_b, chances(node), jnp.zeros_like(log_b[:, 0]))
        none = [jnp.zeros((len(log_b), log_b[0].size)), jnp.zeros(node.legal.shape)]
        told = told_of(held, none, reader.goal_input, reader.action_input)
        told = jnp.concatenate([node.there[:, None], *told], 1)
        told = jnp.where(node.there[:, None], told, 0.0)
        return jax.nn.log_softmax(policy((shown, told), jnp.zeros(policy.gru))[0])

    return Functions(step, actions, update, value, prior_of)


def make_model(config: Any, world: World, sizes: tuple, key: PRNGKeyArray) -> Model:
    """A fresh one; ``sizes`` are those of the action model."""
    keys = jr.split(key, 2)
    others, types, goals, _ = sizes
    ahead = Ahead(world.size, sizes, config.value_width, keys[0])
    values = Values(world.size, others, 1 + types + goals, config.value_width, keys[1])
    return Model(world, ahead, values)
