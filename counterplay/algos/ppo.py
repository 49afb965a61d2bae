"""Proximal policy optimisation (Schulman et al., 2017) for several players, shared or independent.

Absent players and illegal moves take no part in acting, loss, entropy or normalisation, and
minibatches hold live decisions only. Reads top to bottom: settings, state, one iteration.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import Options, Update, loops
from counterplay.algos.adam import fresh, optimiser
from counterplay.algos.folding import Reading, with_constants_folded
from counterplay.algos.loops import Spec
from counterplay.algos.onpolicy import Rows, last_values, rows_of, unroll
from counterplay.algos.snapshots import SnapshotSettings
from counterplay.maths import (
    chosen,
    clipped_surrogate,
    entropy,
    masked_log_softmax,
    masked_sum,
    sample_action,
)
from counterplay.models.nets import ACTIVATIONS, ActorCritic
from counterplay.names import unknown
from counterplay.rollout import Chunk, summary
from counterplay.seats import Roster
from counterplay.spread import shard_key
from counterplay.types import Act, Env, View
from counterplay.views import select

DEFAULTS = Options()
TOLD = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipped", "bad_updates")
"""Metrics of learning; ``plan_loss``, too, where the policy is drawn to plans."""


@dataclass(frozen=True)
class Config(SnapshotSettings):
    """Settings of PPO."""

    seed: int = 0
    """Seed of every random number; with several seeds, the first of them."""
    seeds: int = 1
    """Independent trainings in one program, seeded seed, seed + 1, ..."""
    steps: int = 5_000_000
    """Environment steps of each seed, rounded up to whole iterations."""
    lanes: int | None = None
    """Games side by side, rounded up so that all tables get as many; 512, or 16 outside JAX."""
    slots: int | None = None
    """Steps of every lane between two updates; 16, or 128 for games outside JAX."""
    match: int = 1
    """Episodes a match; memory is carried inside a match only."""
    epochs: int = 2
    """Passes over the decisions of an iteration."""
    minibatches: int = 8
    """Parts of a full pass; they hold live decisions only, so fewer are made when many left."""
    widths: tuple[int, ...] = (128, 64)
    """Units of the hidden layers."""
    activation: Literal["relu", "silu", "tanh"] = "relu"
    """What the units are."""
    apart: bool = False
    """The value has layers of its own; not together with a recurrent layer."""
    gru: int = 0
    """Units of a recurrent layer; 0 for none."""
    first_policy: float = 0.01
    """Scale of its last weights: near 0 all seeds begin with even chances, at 5 each elsewhere."""
    gamma: float = 0.99
    """Discount a step."""
    lam: float = 0.95
    """Mixes one-step and long returns in the advantage estimate."""
    learning_rate: float = 2e-3
    """Step size of Adam at the start; falls to 0."""
    entropy: float = 0.03
    """Weight of the entropy bonus at the start, per nat; falls to 0."""
    clip: float = 0.2
    """How far a probability ratio may move before it stops counting."""
    value_weight: float = 0.5
    """Weight of the squared value error."""
    max_grad_norm: float = 0.5
    """Longer gradients are shortened to this norm."""
    redeal: int = 50
    """Iterations after which frozen opponents change lanes."""

    JITTED: ClassVar[dict[str, int]] = {"lanes": 512, "slots": 16}
    HOSTED: ClassVar[dict[str, int]] = {"lanes": 16, "slots": 128}

    def __post_init__(self):
        self.check_snapshots()
        for n in ("seeds", "steps", "match", "epochs", "minibatches", "redeal", "lanes", "slots"):
            if getattr(self, n) is not None and getattr(self, n) < 1:
                raise ValueError(f"ppo: {n} must be at least 1, found {getattr(self, n)}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"ppo: widths must be at least 1 each, found {self.widths}")
        if self.gru < 0:
            raise ValueError(f"ppo: gru must be 0 or more units, found {self.gru}")
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)
        if self.apart and self.gru:
            raise ValueError(f"ppo: apart and gru exclude each other, found gru {self.gru}")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"ppo: {name} must be 0 to 1, found {getattr(self, name)}")
        for name in ("learning_rate", "clip", "max_grad_norm", "first_policy"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"ppo: {name} must be positive, found {getattr(self, name)}")
        for name in ("entropy", "value_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"ppo: {name} must be 0 or more, found {getattr(self, name)}")
        if not 0 <= self.seed <= 2**31 - self.seeds:
            raise ValueError(f"ppo: seed must be 0 to {2**31 - self.seeds}, found {self.seed}")


class Agent(eqx.Module):
    """The policy that PPO trains; its memory lasts for a match."""

    net: ActorCritic

    def begin(self, key: PRNGKeyArray, memory: Array | None) -> Float[Array, " H"]:
        return jnp.zeros(self.net.gru) if memory is None else memory

    def log_probs(self, memory: Float[Array, " H"], view: View) -> Float[Array, " A"]:
        return masked_log_softmax(self.net(view.obs, memory)[0], view.legal)

    def act(self, key: PRNGKeyArray, memory: Float[Array, " H"], view: View, greedy: bool) -> Act:
        logits, value, memory = self.net(view.obs, memory)
        log_pi = masked_log_softmax(logits, view.legal)
        action = jnp.argmax(log_pi).astype(jnp.int32) if greedy else sample_action(key, log_pi)
        return Act(action, memory, {"log_pi": chosen(log_pi, action), "value": value})


class Learner(NamedTuple):
    """What one kind of learner keeps, leaves [K, ...]: K = 1 shared, else one net a seat."""

    net: Any
    optimiser: Any


class State(eqx.Module):
    """What learning carries. Key, and what was played lately, differ between shards."""

    learners: tuple[Any, ...]
    """One entry a kind of learner: ``Learner``, or what agents keep that learn more."""
    steps: Float[Array, ""]
    """Environment steps so far, over all shards."""
    key: PRNGKeyArray
    spec: Spec = eqx.field(static=True)
    past: Any = None


def init_learner(config: Config, env: Env, members: int, key: PRNGKeyArray) -> Learner:
    """Fresh networks, one a member."""
    more = config.apart, config.first_policy
    return Learner(*fresh(ActorCritic, config, env, members, key, *more))


def loss(
    config: Config,
    reading: Reading,
    bonus: Float[Array, ""],
    count: Float[Array, ""],
    net: Any,
    rows: Rows,
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Sum of the PPO loss over live decisions, divided by ``count``, which spans all shards."""
    obs = jax.vmap(jax.vmap(reading.encode))(rows.obs)
    logits, value = jax.vmap(unroll, (None, 0, 0, 0, 0))(
        reading.through(net), obs, rows.contact, rows.alive, rows.memory
    )
    log_pi = masked_log_softmax(logits, rows.legal)
    change = chosen(log_pi, rows.action) - rows.log_pi
    ratio = jnp.exp(change)
    parts = {
        "policy_loss": clipped_surrogate(ratio, rows.advantage, config.clip),
        "value_loss": 0.5 * (value - rows.target) ** 2,
        "entropy": entropy(log_pi),
        "approx_kl": ratio - 1 - change,
        "clipped": (abs(ratio - 1) > config.clip).astype(jnp.float32),
    }
    if rows.plan is not None and rows.pull is not None:
        parts["plan_loss"] = rows.pull * _divergence(rows.plan, log_pi)
    parts = {name: masked_sum(x, rows.alive) / count for name, x in parts.items()}
    total = parts["policy_loss"] + config.value_weight * parts["value_loss"]
    total += parts.get("plan_loss", 0.0)
    return total - bonus * parts["entropy"], parts


def _divergence(plan: Float[Array, "R W A"], log_pi: Float[Array, "R W A"]) -> Float[Array, "R W"]:
    """KL(plan || pi), of plans that make no illegal move."""
    made = plan > 0
    log_ratio = jnp.log(jnp.where(made, plan, 1.0)) - jnp.where(made, log_pi, 0.0)
    return (plan * log_ratio).sum(-1)


def fit(
    config: Config,
    reading: Reading,
    rows: Rows,
    learner: Learner,
    progress: Float[Array, ""],
    key: PRNGKeyArray,
    axis: str | None,
) -> tuple[Learner, dict[str, Float[Array, " K"]]]:
    """Several passes over the rows; without a live one nothing moves. ``axis`` names the shards."""
    total = (lambda x: lax.psum(x, axis)) if axis else (lambda x: x)
    least = (lambda x: lax.pmin(x, axis)) if axis else (lambda x: x)
    some = rows.alive.any(2)
    size, live = -(-some.shape[1] // config.minibatches), total(some.sum(1)) > 0
    parts = least(jnp.maximum(some.sum(1).min() // size, 1))  # whole minibatches of live rows
    bonus, rate = config.entropy * (1 - progress), config.learning_rate * (1 - progress)

    def member(net, opt, batch: Rows, count, any_live):
        found = eqx.filter_value_and_grad(
            lambda n: loss(config, reading, bonus, count, n, batch), has_aux=True
        )(net)
        flat, back = ravel_pytree(found)  # shards wait for each other once, not for every array
        (value, info), grad = back(total(flat))
        good = jnp.isfinite(optax.tree.norm(grad)) & jnp.isfinite(value)
        step, after = optimiser(config).update(grad, opt)
        moved = jax.tree.map(lambda w, s: w - rate * s, net, step)
        info |= {"bad_updates": 1.0 - good}
        return *select(good & any_live, (moved, after), (net, opt)), info

    def minibatch(order, counts, i, carry):
        net, opt, info = carry
        here = lax.dynamic_slice_in_dim(order, i * size, size, axis=1)
        batch = jax.tree.map(lambda x: jax.vmap(lambda y, at: y[at])(x, here), rows)
        net, opt, new = jax.vmap(member)(net, opt, batch, counts[:, i], live)
        return net, opt, jax.tree.map(jnp.add, info, new)

    def epoch(carry, key):
        lots = jnp.where(some, jr.uniform(key, some.shape), 2.0)  # live rows first, in random order
        order = jnp.argsort(lots, axis=1)
        ordered = jnp.take_along_axis(rows.alive.sum(2), order, axis=1)
        rest = size * config.minibatches - order.shape[1]  # the last minibatches may lack rows
        whole = jnp.pad(ordered, ((0, 0), (0, rest))).reshape(len(order), -1, size)
        counts = jnp.maximum(total(whole.sum(2).astype(jnp.float32)), 1.0)
        return lax.fori_loop(0, parts, lambda i, c: minibatch(order, counts, i, c), carry), None

    names = [*TOLD, *([] if rows.plan is None else ["plan_loss"])]
    nothing = {name: jnp.zeros(some.shape[0]) for name in names}
    carry, _ = lax.scan(epoch, (*learner, nothing), jr.split(key, config.epochs))
    net, opt, info = carry
    return Learner(net, opt), jax.tree.map(lambda x: x / (config.epochs * parts), info)


def init(config: Config, spec: Spec, key: PRNGKeyArray) -> State:
    """Fresh networks, the same on every shard."""
    net_key, key = jr.split(key)
    learning = [kind for kind in spec.seating.kinds if kind.learner]
    each = zip(learning, jr.split(net_key, len(learning)), strict=True)
    learners = tuple(init_learner(config, spec.env, kind.members, k) for kind, k in each)
    return State(learners, jnp.float32(0), shard_key(key, spec.axis), spec)


def policy(config: Config, state: State) -> tuple[Agent, ...]:
    """What plays while learning: one policy a kind of learner, leaves [K, ...]."""
    return tuple(Agent(learner.net) for learner in state.learners)


def learn(config: Config, state: State, chunk: Chunk) -> tuple[State, dict[str, Array]]:
    """Every kind of learner learns from its own places of a chunk."""
    spec, (key, learn_key) = state.spec, jr.split(state.key)
    seating, axis = spec.seating, spec.axis
    total = (lambda x: lax.psum(x, axis)) if axis else (lambda x: x)
    progress = jnp.minimum(state.steps / float(config.steps), 1.0)
    learning = [i for i, kind in enumerate(seating.kinds) if kind.learner]
    after, infos, bad = [], [], []
    for i, learner, k in zip(
        learning, state.learners, jr.split(learn_key, len(learning)), strict=True
    ):
        net, rates = learner.net, (config.gamma, config.lam)
        rows = rows_of(last_values(net, i, chunk), seating, i, chunk, *rates, total, net.gru)
        fitted = partial(fit, config, learner=learner, progress=progress, key=k, axis=axis)
        learner, info = with_constants_folded(spec.env, rows, axis is not None, fitted)
        after.append(learner)
        bad.append(info.pop("bad_updates"))
        infos.append(jax.tree.map(jnp.mean, info))
    metrics = jax.tree.map(lambda *x: sum(x) / len(x), *infos)
    metrics |= jax.tree.map(total, summary(seating, chunk))
    metrics["bad_updates"] = jnp.concatenate(bad)
    return State(tuple(after), state.steps + metrics["slots"], key, spec), metrics


def train(
    config: Config, env: Env, roster: Roster, options: Options = DEFAULTS
) -> Iterator[Update]:
    """Trains every seed; yields once an iteration."""
    return loops.train(config, env, roster, sys.modules[__name__], options)
