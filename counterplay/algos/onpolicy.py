"""What policy-gradient learners share: decisions cut out of a chunk, rated, and nets unrolled."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from counterplay.maths import lambda_returns
from counterplay.models.conditioned import Conditioned
from counterplay.models.nets import ActorCritic
from counterplay.rollout import Chunk
from counterplay.seats import Seating
from counterplay.views import select

Sum = Callable[[Array], Array]


class Rows(NamedTuple):
    """Decisions to learn from: R rows of W slots, W = T for recurrent nets and 1 for others."""

    obs: Any
    """As it is stored; with what else the net is told, a pair."""
    legal: Bool[Array, "*k R W A"]
    action: Int[Array, "*k R W"]
    log_pi: Float[Array, "*k R W"]
    advantage: Float[Array, "*k R W"]
    target: Float[Array, "*k R W"]
    alive: Bool[Array, "*k R W"]
    contact: Bool[Array, "*k R W"]
    memory: Float[Array, "*k R H"] | None = None
    """Before the first slot of a row; None for nets without memory."""
    plan: Float[Array, "*k R W A"] | None = None
    """Chances of moves that the policy is drawn to."""
    pull: Float[Array, "*k R W"] | None = None
    """How strongly, for each decision."""


def unroll(
    net: ActorCritic | Conditioned,
    obs: Any,
    contact: Bool[Array, " W"],
    alive: Bool[Array, " W"],
    memory: Float[Array, " H"] | None,
) -> tuple[Float[Array, "W A"], Float[Array, " W"]]:
    """Logits and values along a row: the memory is fresh at first contact, frozen while absent."""
    memory = jnp.zeros(0) if memory is None else memory
    return jax.vmap(net.judge)(obs, net.along(obs, contact, alive, memory))


def normalised(
    advantage: Float[Array, "K P T"], alive: Bool[Array, "K P T"], total: Sum
) -> Float[Array, "K P T"]:
    """Mean 0 and deviation 1 over the live decisions of each member, on all shards together."""
    mean_over = lambda x: total(jnp.where(alive, x, 0.0).sum((1, 2), keepdims=True)) / count
    count = jnp.maximum(total(alive.sum((1, 2), keepdims=True)), 1)
    centred = advantage - mean_over(advantage)
    return centred / (jnp.sqrt(mean_over(centred**2)) + 1e-8)


def last_values(net: ActorCritic, index: int, chunk: Chunk) -> Float[Array, "K P"]:
    """What nets [K] say that the slot after a chunk is worth."""

    def value_after(net, memory, view):
        return net(view.obs, memory)[1]

    each = jax.vmap(jax.vmap(value_after, (None, 0, 0)))
    return each(net, chunk.next_memories[index], chunk.next_views[index])


def rows_of(
    last_value: Float[Array, "K P"],
    seating: Seating,
    index: int,
    chunk: Chunk,
    gamma: float,
    lam: float,
    total: Sum,
    gru: int,
    told: Float[Array, "K P T R C"] | None = None,
    plan: Float[Array, "K P T A"] | None = None,
    pull: Float[Array, "K P T"] | None = None,
) -> Rows:
    """Cuts the decisions of one kind of learner out of a chunk and rates them.

    ``last_value`` is what the slot after it is worth, ``told`` what the nets read beside the
    observation, ``gru`` the width of their memory, ``plan`` and ``pull`` what draws them to other
    moves. ``total`` sums over shards; advantages are normalised over live decisions of a member.
    """
    slots, record = chunk.slots, chunk.records[index]

    def at_places(x: Array) -> Array:  # [L, T] or [L, T, N, ...] -> [K, P, T, ...]
        if x.ndim == 2:
            x = jnp.broadcast_to(x[:, :, None], (*x.shape, seating.num_seats))
        return seating.take(jnp.moveaxis(x, 2, 1), index)

    alive, value = at_places(slots["alive"]), record["value"]
    discount = gamma * at_places(slots["continues"])
    each_place = jax.vmap(jax.vmap(partial(lambda_returns, lam=lam)))
    target = each_place(
        at_places(slots["reward"]), discount, value, last_value, at_places(slots["closing"])
    )
    rows = Rows(
        obs=at_places(slots["obs"]) if told is None else (at_places(slots["obs"]), told),
        legal=at_places(slots["avail_actions"]),
        action=at_places(slots["actions"]),
        log_pi=record["log_pi"],
        advantage=normalised(target - value, alive, total),
        target=target,
        alive=alive,
        contact=alive,
        **{"plan": plan, "pull": pull},
    )
    # what an absent player's slots hold is never read: not even a NaN there can spread
    rows = select(alive, rows, jax.tree.map(jnp.zeros_like, rows))
    rows = rows._replace(contact=at_places(slots["contact"]))
    if gru:
        return rows._replace(memory=chunk.memories[index])
    many = alive.shape[1] * alive.shape[2]  # -1 cannot be told of what holds nothing
    return jax.tree.map(lambda x: x.reshape(x.shape[0], many, 1, *x.shape[3:]), rows)
