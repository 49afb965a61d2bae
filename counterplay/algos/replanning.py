"""Plans made anew for what was played earlier, which the policy is drawn to as to the latest.

Beliefs and latents are those that present models make of the moves, from what was held before the
first slot of each stretch; so is the trust in plans.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from counterplay.algos import informed, ppo
from counterplay.algos.fitting import share
from counterplay.algos.folding import Reading
from counterplay.algos.loops import Spec
from counterplay.algos.onpolicy import Rows
from counterplay.algos.past import Again
from counterplay.models.windows import Window
from counterplay.types import Env, Memory, View
from counterplay.views import select


def view_of(env: Env, window: Window, time: Array) -> View:
    """What one place saw in one slot of a window."""
    seen, wide = window.seen, lambda x: x.astype(jnp.int32)
    return View(
        obs=env.encode(window.obs),
        legal=window.legal,
        alive=seen.alive,
        moved=wide(seen.moved),
        public_legal=jnp.concatenate([window.legal[None], seen.legal]),
        reward=seen.reward,
        event=wide(seen.event),
        time=time,
        first=seen.first,
        told=jnp.zeros(0),
    )


def relived(
    agent: Any, memory: Memory, views: View, window: Window, key: PRNGKeyArray
) -> tuple[Array, Array]:
    """What the agent makes of a stretch that one place lived: what its policy is told in each slot,
    [T, ...], and how often each move is made by its plan, [T, A]."""

    def slot(memory, x):
        view, contact, acting, key = x
        see_key, plan_key = jr.split(key)
        fresh, again = agent.begin(key, None), agent.begin(key, memory)
        begun = select(contact, fresh, select(view.first, again, memory))
        seen = agent.see(see_key, begun, view)
        planned = agent.planned(plan_key, seen, view)
        return select(acting, seen.memory, begun), (seen.sight.told, planned.weights)

    keys = jr.split(key, len(window.contact))
    return lax.scan(slot, memory, (views, window.contact, window.acting, keys))[1]


def rows_from(
    env: Env, agents: Any, pull: Array, old: Again, windows: Window, index: int, slots: int,
    key: PRNGKeyArray,
) -> Rows:  # fmt: skip
    """About so many slots of earlier play, in whole stretches of places drawn anew, with plans.

    ``agents`` have leaves [K, ...], and so have the windows of all their places, [K, P, T, ...].
    Nothing is said of what the moves were worth.
    """
    members, places, length = windows.contact.shape
    number = min(max(slots // length, 1), places)
    draw_key, key = jr.split(key)
    lots = jr.split(draw_key, members)
    at = jax.vmap(lambda k: jr.permutation(k, places)[:number])(lots)
    parts = old.chunk.memories[index], windows, old.study.time
    memory, window, time = jax.tree.map(lambda x: jax.vmap(lambda y, i: y[i])(x, at), parts)
    views = jax.vmap(jax.vmap(jax.vmap(partial(view_of, env))))(window, time)
    keys = jr.split(key, (members, number))
    each = jax.vmap(jax.vmap(relived, (None, 0, 0, 0, 0)))
    told, plan = lax.stop_gradient(each(agents, memory, views, window, keys))
    nothing = jnp.zeros_like(plan[..., 0])
    return Rows(
        obs=(views.obs, told), legal=window.legal, action=jnp.argmax(plan, -1).astype(jnp.int32),
        log_pi=nothing, advantage=nothing, target=nothing, alive=window.acting,
        contact=window.contact, memory=memory[0], plan=plan,
        pull=jnp.broadcast_to(pull[:, None, None], nothing.shape),
    )  # fmt: skip


def optimiser_of(config: Any, policy: Any) -> Any:
    """One of its own: steps of PPO's would go on by what moves were worth. None where no plans are
    made anew."""
    return informed.fresh_optimiser(config, policy) if config.replay and config.replanned else None


def replanned(
    config: Any, spec: Spec, index: int, agent: Callable[[Any], Any], learner: Any,
    before: Any, old: Again | None, progress: Array, key: PRNGKeyArray,
) -> tuple[Any, dict[str, Array]]:  # fmt: skip
    """The learner, its policy one step nearer to plans for earlier play, and how far it was, times
    the weight of that.

    ``agent`` makes what plays of its networks, ``before`` are the stretches of ``old``. What moves
    turned out to be worth has no part in this. Nothing is planned, nor changed, where plans are not
    trusted.
    """
    if old is None or learner.planning is None or not config.distil or config.plan == "none":
        return learner, {}
    how = replace(config, value_weight=0.0, entropy=0.0, epochs=1, minibatches=1)
    reading = Reading(lambda x: x, lambda n: n)

    def anew(learner):
        pull = config.distil * learner.net.trust
        parts = agent(learner.net), pull, old, before.window, index, share(config.replanned, spec)
        rows_key, fit_key = jr.split(key)
        rows = rows_from(spec.env, *parts, rows_key)
        mine = ppo.Learner(learner.net.policy, learner.planning)
        fitted, info = ppo.fit(how, reading, rows, mine, progress, fit_key, spec.axis)
        fitted = select(learner.net.trust > 0, fitted, mine)
        net = eqx.tree_at(lambda n: n.policy, learner.net, fitted.net)
        told = {"replanned_loss": info["plan_loss"], "bad_updates": info["bad_updates"]}
        return learner._replace(net=net, planning=fitted.optimiser), told

    nothing = jnp.zeros_like(learner.net.trust)
    same = lambda learner: (learner, {"replanned_loss": nothing, "bad_updates": nothing})
    return lax.cond((learner.net.trust > 0).any(), anew, same, learner)
