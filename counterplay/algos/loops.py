"""The loops around learning: one jitted program an iteration, or an ordinary loop for other games.

``algorithm`` is the module of one, with

- ``init(config, spec, key) -> State``: what learning carries, a pytree
- ``policy(config, State)``: one policy a kind of learner, leaves [K, ...]
- ``learn(config, State, chunk) -> (State, metrics)``
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from counterplay.algos import Update
from counterplay.errors import GameError
from counterplay.rollout import blame, collect, open_lanes
from counterplay.rollout_host import HostSeat, collect_host, open_host
from counterplay.seats import Roster, Seating, shuffle
from counterplay.spread import (
    first_shard,
    over_cores,
    seed_numbers,
    shard_key,
    spread_over,
    start,
)


class Spec(NamedTuple):
    """What is fixed while learning: game, seats, and the name of shards that learn together."""

    env: Any
    seating: Seating
    axis: str | None


class Training(NamedTuple):
    """All that an iteration carries: what is learnt, the games that are open, and a key."""

    state: Any
    lanes: Any
    key: PRNGKeyArray


def resolved(config: Any, env: Any) -> Any:
    """The configuration with the lanes and slots that suit the game filled in."""
    lanes, slots = (16, 128) if hasattr(env, "open") else (512, 16)
    filled = {"lanes": config.lanes or lanes, "slots": config.slots or slots}
    return replace(config, **filled)


def rounds_of(config: Any, lanes: int) -> int:
    """Iterations that make up the steps asked for; the last may go beyond them."""
    return -(-config.steps // (lanes * config.slots))


def seated(seating: Seating, learning: tuple, others: tuple) -> tuple:
    """One policy a kind: learners and others come in the order of their kinds."""
    mine, fixed = iter(learning), iter(others)
    return tuple(next(mine) if kind.learner else next(fixed) for kind in seating.kinds)


def train(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """Trains every seed, inside jit where game and seats allow it; yields once an iteration."""
    loop = train_hosted if hasattr(env, "open") else train_jitted
    before = None
    for update in loop(resolved(config, env), env, roster, algorithm):
        check(env, roster, before)  # of the iteration before: this one may still be running
        before = update.metrics
        yield update
    check(env, roster, before)


def begin(algorithm: Any, config: Any, spec: Spec, others: tuple, seed: Int[Array, ""]) -> Training:
    """A fresh training of one seed on one shard."""
    learn_key, lane_key, key = jr.split(jr.key(seed), 3)
    state = algorithm.init(config, spec, learn_key)
    policies = seated(spec.seating, algorithm.policy(config, state), others)
    lanes = open_lanes(spec.env, spec.seating, policies, shard_key(lane_key, spec.axis))
    return Training(state, lanes, shard_key(key, spec.axis))


def iteration(
    algorithm: Any,
    config: Any,
    spec: Spec,
    training: Training,
    others: tuple,
    cut: Bool[Array, ""],
) -> tuple[Training, dict[str, Array]]:
    """Plays a chunk of slots and learns from it."""
    key, play_key = jr.split(training.key)
    policies = seated(spec.seating, algorithm.policy(config, training.state), others)
    size = {"slots": config.slots, "match": config.match}
    lanes, chunk = collect(
        spec.env, spec.seating, policies, training.lanes, play_key, cut=cut, **size
    )
    state, metrics = algorithm.learn(config, training.state, chunk)
    return Training(state, lanes, key), metrics


def train_jitted(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """One program plays and learns; Python only asks for the next iteration and deals anew."""
    spread = spread_over(config.seeds)
    lanes = roster.lanes_for(config.lanes, spread.shards)
    spec = Spec(env, roster.seating(lanes // spread.shards), spread.axis)
    others, parts = roster.others, (algorithm, config, spec)
    began = time.perf_counter()
    seeds = seed_numbers(config.seed, config.seeds)
    training = start(spread, partial(begin, *parts, others), seeds)
    run = over_cores(spread, partial(iteration, *parts))
    run = run.lower(training, others, jnp.bool_(False)).compile()
    compile_seconds = time.perf_counter() - began
    banks, key = _banks(others), jr.key(config.seed)
    for i in range(rounds_of(config, lanes)):
        cut = banks and (i + 1) % config.redeal == 0
        training, metrics = run(training, others, jnp.bool_(cut))
        if cut:
            others = shuffle(others, jr.fold_in(key, i))
        nets = tuple(agent.net for agent in algorithm.policy(config, first_shard(training.state)))
        steps = (i + 1) * lanes * config.slots
        going = (training, others)
        yield Update(steps, nets, first_shard(metrics), compile_seconds, going)


def train_hosted(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """Games or bots in ordinary Python: seeds take turns at playing and learning."""
    lanes = roster.lanes_for(config.lanes)
    spec, others = Spec(env, roster.seating(lanes), None), roster.others
    learn, compile_seconds = None, 0.0
    banks, deal_key = _banks(others), jr.key(config.seed)
    trainings = [
        _begin_hosted(algorithm, config, spec, others, seed)
        for seed in range(config.seed, config.seed + config.seeds)
    ]
    try:
        for i in range(rounds_of(config, lanes)):
            cut, metrics = banks and (i + 1) % config.redeal == 0, []
            for j, training in enumerate(trainings):
                played = _play_hosted(algorithm, config, spec, training, others, cut)
                training, chunk = played
                if learn is None:
                    began = time.perf_counter()
                    jitted = jax.jit(partial(algorithm.learn, config))
                    learn = jitted.lower(training.state, chunk).compile()
                    compile_seconds = time.perf_counter() - began
                state, learned = learn(training.state, chunk)
                trainings[j] = training._replace(state=state)
                metrics.append(learned)
            if cut:
                others = shuffle(others, jr.fold_in(deal_key, i))
            stack = lambda trees: jax.tree.map(lambda *x: jnp.stack(x), *trees)
            policies = [algorithm.policy(config, training.state) for training in trainings]
            nets = stack([tuple(agent.net for agent in agents) for agents in policies])
            steps = (i + 1) * lanes * config.slots
            yield Update(steps, nets, stack(metrics), compile_seconds, (trainings, others))
    finally:
        for training in trainings:
            training.lanes.close()


def _begin_hosted(algorithm: Any, config: Any, spec: Spec, others: tuple, seed: int) -> Training:
    learn_key, lane_key, key = jr.split(jr.key(seed), 3)
    state = algorithm.init(config, spec, learn_key)
    policies = seated(spec.seating, algorithm.policy(config, state), others)
    draw = int(jr.randint(lane_key, (), 0, 2**31 - 1))
    return Training(state, open_host(spec.env, spec.seating, policies, draw), key)


def _play_hosted(
    algorithm: Any, config: Any, spec: Spec, training: Any, others: tuple, cut: bool
) -> tuple[Training, Any]:
    key, play_key = jr.split(training.key)
    policies = seated(spec.seating, algorithm.policy(config, training.state), others)
    size = {"slots": config.slots, "match": config.match, "cut": cut}
    lanes, chunk = collect_host(spec.env, spec.seating, policies, training.lanes, play_key, **size)
    return Training(training.state, lanes, key), chunk


def _banks(others: tuple) -> bool:
    """Whether there are several frozen members of a kind, to be dealt anew."""
    sizes = [x.shape[0] for p in others if not isinstance(p, HostSeat) for x in jax.tree.leaves(p)]
    return max(sizes, default=1) > 1


def check(env: Any, roster: Roster, metrics: dict[str, Any] | None) -> None:
    """Stops a training that cannot go on, saying why."""
    if metrics is None:
        return
    found = {name: np.sum(metrics[name], 0) for name in ("stuck", "unfair")}
    if any(x.any() for x in found.values()):
        blame(env, roster.seating(len(roster.tables)), found)
    for name in ("policy_loss", "value_loss"):
        if name in metrics and not np.isfinite(np.asarray(metrics[name])).all():
            raise GameError(
                f"{env}: {name} is {np.asarray(metrics[name])}: the training diverged, "
                "from a NaN or far too large rewards"
            )
