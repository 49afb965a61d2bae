"""Deep Q-learning (Mnih et al., 2015) for several players, shared or independent.

Double (van Hasselt et al., 2016), duelling, n-step, prioritised, recurrent, each as asked for.
Absent players and illegal moves take no part in acting, targets or loss. Reads top to bottom:
settings, state, one iteration.
"""

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from counterplay.algos import Options, Update, loops
from counterplay.algos.adam import fresh, optimiser
from counterplay.algos.dqn_settings import Config
from counterplay.algos.loops import Spec
from counterplay.algos.offpolicy import (
    Rows,
    draw,
    encoded,
    reprioritised,
    rows_of,
    store,
    window_of,
)
from counterplay.episodes import Replay, from_rollout, memory
from counterplay.maths import chosen, epsilon_soft, huber, masked_sum, sample_action
from counterplay.models.q import QNetwork, Rater, unroll
from counterplay.rollout import Chunk, summary
from counterplay.seats import Kind, Roster, Seating
from counterplay.spread import shard_key
from counterplay.types import Act, Env, View
from counterplay.views import select

DEFAULTS = Options()
Told = tuple[int, int] | None


class Agent(eqx.Module):
    """The policy that DQN trains; its memory lasts for a match."""

    net: QNetwork
    epsilon: Float[Array, "*k"] = eqx.field(default_factory=lambda: jnp.float32(0.05))
    """Chance of a random legal move; none in greedy play."""

    def begin(self, key: PRNGKeyArray, memory: Array | None) -> Float[Array, " H"]:
        return jnp.zeros(self.net.gru) if memory is None else memory

    def log_probs(self, memory: Float[Array, " H"], view: View) -> Float[Array, " A"]:
        return epsilon_soft(self.net(view.obs, memory)[0], view.legal, self.epsilon)

    def act(self, key: PRNGKeyArray, memory: Float[Array, " H"], view: View, greedy: bool) -> Act:
        q, memory = self.net(view.obs, memory)
        epsilon = jnp.zeros_like(self.epsilon) if greedy else self.epsilon
        return Act(sample_action(key, epsilon_soft(q, view.legal, epsilon)), memory, {})


class Learner(NamedTuple):
    """What one kind of learner keeps, leaves [K, ...]: K = 1 shared, else one net a seat."""

    net: Rater
    target: Rater
    optimiser: Any


class State(eqx.Module):
    """What learning carries. Replay and key differ between shards that learn together."""

    learners: tuple[Any, ...]
    """One entry a kind of learner: ``Learner``, or what agents keep that learn more."""
    replay: Replay
    steps: Float[Array, "*seeds"]
    """Environment steps so far, over all shards."""
    updates: Int[Array, "*seeds"]
    """Learning steps so far."""
    key: PRNGKeyArray
    spec: Spec = eqx.field(static=True)


def init_learner(config: Config, env: Env, members: int, key: PRNGKeyArray) -> Learner:
    """Fresh networks, one a member."""
    net, opt = fresh(QNetwork, config, env, members, key, config.duelling)
    return Learner(net, jax.tree.map(jnp.copy, net), opt)


def values(
    config: Config, env: Env, net: Rater, target: Rater, rows: Rows
) -> tuple[Float[Array, "R V A"], Float[Array, "R U"]]:
    """What the net says of decisions, and of the slots after them what playing on is worth.

    U is W, or 1 for nets without memory: the slot of the bootstrap.
    """
    obs = jax.vmap(jax.vmap(partial(encoded, env)))(rows.obs)
    if config.gru:
        along = jax.vmap(partial(unroll, burn_in=config.burn_in), (None, 0, 0, 0))
        q, later = (along(n, obs, rows.contact, rows.alive) for n in (net, target))
        picks, legal = lax.stop_gradient(q), rows.legal
    else:
        rate = jax.vmap(jax.vmap(lambda net, o: net(o, jnp.zeros(0))[0], (None, 0)), (None, 0))
        now, then = (jax.tree.map(lambda x, at=at: x[:, at], obs) for at in (slice(1), slice(1, 2)))
        q, later = rate(net, now), rate(target, then)
        picks, legal = rate(lax.stop_gradient(net), then), rows.legal[:, 1:]
    best = jnp.argmax(jnp.where(legal, picks if config.double else later, -jnp.inf), axis=-1)
    return q, chosen(later, best)


def loss(
    config: Config, env: Env, count: Float[Array, ""], net: Rater, target: Rater, rows: Rows
) -> tuple[Float[Array, ""], tuple[dict[str, Array], Float[Array, "R V"]]]:
    """Sum of the Huber loss over valid decisions, divided by ``count``, which spans all shards.

    Beside it metrics, and the size of the error of every decision.
    """
    q, later = values(config, env, net, target, rows)
    rest = jnp.take_along_axis(later, rows.at, axis=1)
    wanted = rows.paid + jnp.where(rows.weight > 0, rows.weight * rest, 0.0)
    told = chosen(q, rows.action)
    error = jnp.where(rows.valid, told - lax.stop_gradient(wanted), 0.0)
    total = masked_sum(huber(error) * rows.importance[:, None], rows.valid) / count
    parts = {"td_loss": masked_sum(huber(error), rows.valid), "q": masked_sum(told, rows.valid)}
    return total, (jax.tree.map(lambda x: x / count, parts), abs(error))


def improve(
    config: Config, spec: Spec, learner: Learner, rows: Rows, rate: Array, renew: Array
) -> tuple[Learner, dict[str, Float[Array, " K"]], tuple[Array, Array]]:
    """One learning step of every member; ``renew`` tells whether the target network moves too.

    Beside it metrics, and the size of errors and which of them count.
    """
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)

    def member(learner: Learner, rows: Rows, count):
        net, target, opt = learner
        judge = lambda n: loss(config, spec.env, count, n, target, rows)
        (value, (info, error)), grad = eqx.filter_value_and_grad(judge, has_aux=True)(net)
        flat, back = ravel_pytree((value, info, grad))  # shards wait for each other once
        value, info, grad = back(total(flat))
        norm = optax.tree.norm(grad)
        good = jnp.isfinite(norm) & jnp.isfinite(value)
        step, after = optimiser(config).update(grad, opt)
        moved = jax.tree.map(lambda w, s: w - rate * s, net, step)
        net, opt = select(good, (moved, after), (net, opt))
        near = jax.tree.map(lambda t, w: t + config.tau * (w - t), target, net)
        near = near if config.tau < 1 else net
        info |= {"grad_norm": norm, "bad_updates": 1.0 - good}
        return Learner(net, select(renew, near, target), opt), info, (error, rows.valid)

    counts = jnp.maximum(total(rows.valid.sum((1, 2)).astype(jnp.float32)), 1.0)
    return jax.vmap(member)(learner, rows, counts)


def init(
    config: Config, spec: Spec, key: PRNGKeyArray, make: Any = init_learner, told: Told = None
) -> State:
    """Fresh networks, the same on every shard, and an empty replay.

    ``make`` makes those of one kind of learner, ``told`` is what they are told; see ``scheme_of``.
    """
    net_key, key = jr.split(key)
    kinds = [kind for _, kind in learning(spec.seating)]
    make, keys = partial(make, config, spec.env), jr.split(net_key, len(kinds))
    learners = tuple(make(kind.members, k) for kind, k in zip(kinds, keys, strict=True))
    replay = store(config, spec.env, spec.seating.lanes, shards_of(spec), told).empty()
    none = jnp.float32(0), jnp.int32(0)
    return State(learners, replay, *none, shard_key(key, spec.axis), spec)


def learning(seating: Seating) -> list[tuple[int, Kind]]:
    """The kinds that learn, each with its index."""
    return [(i, kind) for i, kind in enumerate(seating.kinds) if kind.learner]


def shards_of(spec: Spec) -> int:
    """How many learn together."""
    return lax.axis_size(spec.axis) if spec.axis else 1


def progress_of(config: Config, state: State) -> Float[Array, "*seeds"]:
    """From 0 at the start of the training to 1 at its end."""
    return jnp.minimum(state.steps / float(config.steps), 1.0)


def epsilon_of(config: Config, state: State) -> Float[Array, "*seeds"]:
    """Falls in a line from 1 over the share of the training that is for exploration."""
    gone = progress_of(config, state) / max(config.explore, 1e-9)
    return jnp.maximum(1 - (1 - config.epsilon) * gone, config.epsilon)


def policy(config: Config, state: State, agent: Any = Agent) -> tuple[Any, ...]:
    """What plays while learning: one policy a kind of learner, leaves [K, ...]."""
    epsilon = epsilon_of(config, state)[..., None]
    each = zip(state.learners, learning(state.spec.seating), strict=True)
    alike = lambda kind: jnp.broadcast_to(epsilon, (*epsilon.shape[:-1], kind.members))
    return tuple(agent(learner.net, alike(kind)) for learner, (_, kind) in each)


def pass_of(
    config: Config,
    spec: Spec,
    index: int,
    learner: Learner,
    replay: Replay,
    keys: Key[Array, " K"],
    rate: Array,
    exponent: Array,
    renew: Array,
) -> tuple[Learner, Replay, dict[str, Float[Array, " K"]]]:
    """Every member of a kind draws with its key, keys [K], and learns once."""
    number = -(-config.sized("batch") // shards_of(spec))
    own = partial(draw, replay, n=number, length=window_of(config), alpha=config.priority)
    drawn = jax.vmap(lambda key: own(key=key))(keys)
    cut = config.gamma, config.n_step, exponent, config.gru > 0, config.burn_in
    rows = rows_of(drawn, spec.seating, index, *cut)
    learner, info, errors = improve(config, spec, learner, rows, rate, renew)
    if config.priority:
        replay = reprioritised(replay, drawn, *errors)
    return learner, replay, info


def learn(
    config: Config, state: State, chunk: Chunk, **more: Array
) -> tuple[State, dict[str, Array]]:
    """Stores a chunk; every learner draws for itself, and learns from its own seats there.

    ``more`` are fields of the replay [L, T, ...] that are not among the slots.
    """
    spec, (key, draw_key) = state.spec, jr.split(state.key)
    shards, length, progress = shards_of(spec), window_of(config), progress_of(config, state)
    replay = state.replay.write(from_rollout(state.replay.scheme, chunk.slots, **more))
    ready = (replay.held * replay.lanes * shards >= config.sized("start")) & (replay.held >= length)
    passes = jnp.where(ready, config.sized("passes"), 0)
    rate = config.learning_rate * (1 - progress * config.anneal)
    exponent = config.correction + (1 - config.correction) * progress
    kinds = learning(spec.seating)
    members = sum(kind.members for _, kind in kinds)

    def once(i, carry):
        learners, replay, infos = carry
        renew = (state.updates + i + 1) % config.target_every == 0
        found, number = [], i * members
        for (index, kind), learner in zip(kinds, learners, strict=True):
            keys = jax.vmap(partial(jr.fold_in, draw_key))(number + jnp.arange(kind.members))
            parts = config, spec, index, learner, replay, keys, rate, exponent, renew
            learner, replay, info = pass_of(*parts)
            found.append((learner, info))
            number += kind.members
        learners, new = zip(*found, strict=True)
        return learners, replay, jax.tree.map(jnp.add, infos, new)

    names = ("td_loss", "q", "grad_norm", "bad_updates")
    none = tuple({n: jnp.zeros(kind.members) for n in names} for _, kind in kinds)
    learners, replay, infos = lax.fori_loop(0, passes, once, (state.learners, replay, none))
    infos = jax.tree.map(lambda x: x / jnp.maximum(passes, 1), infos)
    bad = jnp.concatenate([info.pop("bad_updates") for info in infos])
    metrics = jax.tree.map(lambda *x: sum(map(jnp.mean, x)) / len(x), *infos)
    metrics |= jax.tree.map((lambda x: lax.psum(x, spec.axis)) if spec.axis else jnp.asarray,
                            summary(spec.seating, chunk))  # fmt: skip
    metrics |= {"bad_updates": bad, "epsilon": epsilon_of(config, state), "updates": passes}
    steps = state.steps + metrics["slots"]
    return State(learners, replay, steps, state.updates + passes, key, spec), metrics


def describe(
    config: Config, env: Env, roster: Roster, lent: bool = False, told: Told = None
) -> str:
    """What a training keeps in memory, in words; ValueError where it is not to be had.

    ``lent`` says that it begins with episodes of others, so that it may learn at once.
    """
    if not lent:
        config.check_start()
    whole = store(config, env, roster.lanes_for(config.sized("lanes")), told=told)
    memory.check(whole.nbytes * config.seeds, whole.describe(config.seeds))
    return whole.describe(config.seeds)


def train(
    config: Config, env: Env, roster: Roster, options: Options = DEFAULTS
) -> Iterator[Update]:
    """Trains every seed; yields once an iteration."""
    if not (options.lend or options.resume):
        loops.resolved(config, env).check_start()
    return loops.train(config, env, roster, sys.modules[__name__], options)
