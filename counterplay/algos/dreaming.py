"""Learning from what is only imagined: moves of mine and of the others in a world that is learnt.

From situations that were met my moves are the policy's, the others' are drawn from what the belief
over them expects, and the belief follows imagined moves by Bayes' rule, without events and drift.
Policy, critic and the value that plans learn from where that leads, as from play, once the model
knows the rules; the world and what is expected in it do not (the imagination of Hafner et al.,
2023, with others in it).
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.algos import ppo
from counterplay.algos.folding import Reading
from counterplay.algos.loops import Spec
from counterplay.algos.onpolicy import Rows, normalised
from counterplay.algos.thinking import Belief, Mind, Node, Together, rows_of
from counterplay.maths import (
    chosen,
    lambda_returns,
    masked_log_softmax,
    masked_sum,
    sample_action,
)
from counterplay.models.beliefs import Held
from counterplay.planning.draws import drawn_of
from counterplay.views import select


class Dream(NamedTuple):
    """Moves imagined from one situation, arrays [H, ...]."""

    e: Float[Array, "*b H E"]
    shown: Float[Array, "*b H F"]
    """What the world says would be seen."""
    told: Float[Array, "*b H R C"]
    """What the policy would be told of the others."""
    rows: Float[Array, "*b H M R1"]
    """What the value is told of them."""
    legal: Bool[Array, "*b H A"]
    action: Int[Array, "*b H"]
    log_pi: Float[Array, "*b H"]
    target: Float[Array, "*b H"]
    """What playing on turned out to be worth."""
    worth: Float[Array, "*b H"]
    """What it was thought to be worth."""
    there: Bool[Array, "*b H"]
    """I still play."""


def dream(
    mind: Mind,
    node: Node,
    belief: Belief,
    legal: Bool[Array, " A"],
    key: PRNGKeyArray,
    rates: tuple[int, float, float],
) -> Dream:
    """``rates`` are how many moves are imagined, the discount, and lambda of the targets. The
    value beyond is the smaller of what its heads say; who leaves is drawn."""
    steps, gamma, lam = rates
    least = lambda node, belief: mind.slow.least(node.e, rows_of(belief, node.there))

    def move(carry, key):
        node, belief, legal, there = carry
        my_key, their_key, step_key, stay_key = jr.split(key, 4)
        shown, told = mind.told(node, belief)
        log_pi = masked_log_softmax(mind.policy((shown, told), jnp.zeros(0))[0], legal)
        action = sample_action(my_key, log_pi)
        others = drawn_of(their_key, mind.actions(node, belief), 1)[0]
        came = mind.step(step_key, node, action, others)
        stays = jr.uniform(stay_key) < came.alive
        rows = rows_of(belief, node.there)
        slot = Dream(
            node.e, shown, told, rows, legal, action, chosen(log_pi, action), came.reward,
            least(node, belief), there,
        )  # fmt: skip
        carry = came.e, mind.update(belief, node, others), came.legal, there & stays
        return carry, (slot, gamma * stays)

    begin = node, belief, legal, legal.any()
    (node, belief, _, _), (slots, discount) = lax.scan(move, begin, jr.split(key, steps))
    never = jnp.zeros(steps, bool)
    target = lambda_returns(slots.target, discount, slots.worth, least(node, belief), never, lam)
    return slots._replace(target=target)


def dreamt_from(e: Float[Array, " E"], held: Held) -> dict[str, Array]:
    """What is recorded of a slot for ``dreams``."""
    told = {"latent": e, "belief": held.log_belief}
    return told if held.joint is None else told | {"joint": held.joint}


def dreams(
    config: Any, net: Any, spec: Spec, record: dict[str, Array], stretch: Any, key: PRNGKeyArray
) -> Dream:
    """From some slots of every place, leaves [K, P, S, H, ...]; where I was not there, or the model
    is not ``sound``, nobody is.

    There are as many imagined decisions for each real one as ``real_ratio`` leaves room for.
    """
    slots, starts = stretch.acting.shape[2], starts_of(config, stretch.acting.shape[2])
    rates = config.world_steps, config.gamma, config.lam
    belief = record["belief"]
    belief = Together(belief, record["joint"]) if "joint" in record else belief
    met: Any = record["latent"], belief
    met = select(stretch.acting, met, jax.tree.map(jnp.zeros_like, met))

    def place(mind, latent, belief, window, key):
        at_key, key = jr.split(key)
        at = jr.permutation(at_key, slots)[:starts]
        latent, belief, window = jax.tree.map(lambda x: x[at], (latent, belief, window))

        def one(e, belief, w, key):
            node = Node(e, w.seen.alive[1:], w.seen.legal, None)
            return dream(mind, node, belief, w.legal & w.alive[0], key, rates)

        return jax.vmap(one)(latent, belief, window, jr.split(key, starts))

    def member(net, *x):
        mind = Mind(net.model, net.slow, net.reader, net.policy)
        found = jax.vmap(partial(place, mind))(*x)
        return found._replace(there=found.there & (net.sound > 0))

    keys = jr.split(key, stretch.acting.shape[:2])
    return lax.stop_gradient(jax.vmap(member)(net, *met, stretch.window, keys))


def starts_of(config: Any, slots: int) -> int:
    """Situations of each place that are dreamt on from."""
    return min(max(round(slots * _more(config) / config.world_steps), 1), slots)


def _more(config: Any) -> float:
    """Imagined decisions for each real one."""
    return (1 - config.real_ratio) / config.real_ratio


def fit_policy(
    config: Any, spec: Spec, learner: Any, dreamt: Dream, progress: Array, key: PRNGKeyArray
) -> tuple[Any, dict[str, Array]]:
    """The policy and its critic learn from dreams as from play, in as many passes."""
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    members = dreamt.there.shape[0]
    flat = jax.tree.map(lambda x: x.reshape(members, -1, 1, *x.shape[4:]), dreamt)
    rows = Rows(
        obs=(flat.shown, flat.told), legal=flat.legal, action=flat.action, log_pi=flat.log_pi,
        advantage=normalised(flat.target - flat.worth, flat.there, total), target=flat.target,
        alive=flat.there, contact=flat.there,
    )  # fmt: skip
    parts = max(round(config.minibatches * _more(config)), 1)
    how = replace(config, minibatches=parts)
    reading = Reading(lambda x: x, lambda n: n)
    mine = ppo.Learner(learner.net.policy, learner.optimiser)
    fitted, info = ppo.fit(how, reading, rows, mine, progress, key, spec.axis)
    there = total(dreamt.there.sum((1, 2, 3)))
    worth = total(jax.vmap(masked_sum)(dreamt.target, dreamt.there)) / jnp.maximum(there, 1)
    told = {"bad_updates": info["bad_updates"], "dreamt_return": worth}
    told |= {
        "dreamt_kl": info["approx_kl"],
        "dreamt_there": there / total(jnp.float32(dreamt.there[0].size)),
    }
    return fitted, told
