"""The loops around learning: one jitted program an iteration, or an ordinary loop for other games.

``algorithm`` is the module of one: its init, iteration, init_learner, improve and seated.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.algos import Update
from counterplay.errors import GameError
from counterplay.rollout_host import HostSeat, collect_host, open_host
from counterplay.seats import Roster, shuffle
from counterplay.spread import first_shard, over_cores, seed_numbers, spread_over, start


def train(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """Trains every seed, inside jit where game and seats allow it; yields once an iteration."""
    hosted = hasattr(env, "open")
    loop = train_hosted if hosted else train_jitted
    lanes, slots = (16, 128) if hosted else (512, 16)
    config = replace(config, lanes=config.lanes or lanes, slots=config.slots or slots)
    before = None
    for update in loop(config, env, roster, algorithm):
        check(env, before)  # of the iteration before: this one may still be running
        before = update.metrics
        yield update
    check(env, before)


def train_jitted(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """One program plays and learns; Python only asks for the next iteration and deals anew."""
    spread = spread_over(config.seeds)
    lanes = roster.lanes_for(config.lanes, spread.shards)
    seating = roster.seating(lanes // spread.shards)
    others, rest = roster.others, (env, seating, spread.axis)
    began = time.perf_counter()
    init = partial(algorithm.init, config, *rest, others)
    state = start(spread, init, seed_numbers(config.seed, config.seeds))
    run = over_cores(spread, partial(algorithm.iteration, config, *rest))
    run = run.lower(state, others, jnp.float32(0), jnp.bool_(False)).compile()
    compile_seconds = time.perf_counter() - began
    chunk, banks = lanes * config.slots, _banks(roster)
    rounds, key = -(-config.steps // chunk), jr.key(config.seed)
    for i in range(rounds):
        cut = banks and (i + 1) % config.redeal == 0
        state, metrics = run(state, others, jnp.float32(i / rounds), jnp.bool_(cut))
        if cut:
            others = shuffle(others, jr.fold_in(key, i))
        nets = tuple(learner.net for learner in first_shard(state.learners))
        yield Update((i + 1) * chunk, nets, first_shard(metrics), compile_seconds)


def train_hosted(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """Games or bots in ordinary Python: seeds take turns at playing and learning."""
    seating = roster.seating(roster.lanes_for(config.lanes))
    members = [kind.members for kind in roster.kinds if kind.learner]
    improve = jax.jit(partial(algorithm.improve, config, env, seating, None))

    def first(seed: int):
        net_key, key = jr.split(jr.key(seed))
        make = partial(algorithm.init_learner, config, env)
        keys = jr.split(net_key, len(members))
        learners = tuple(make(m, k) for m, k in zip(members, keys, strict=True))
        policies = algorithm.seated(seating, learners, roster.others)
        return learners, open_host(env, seating, policies, seed), key

    began = time.perf_counter()
    states = [first(seed) for seed in range(config.seed, config.seed + config.seeds)]
    chunk, compile_seconds = seating.lanes * config.slots, time.perf_counter() - began
    rounds, compiled = -(-config.steps // chunk), None
    others, banks, deal_key = roster.others, _banks(roster), jr.key(config.seed)
    for i in range(rounds):
        learned, cut = [], banks and (i + 1) % config.redeal == 0
        for j, (learners, lanes, key) in enumerate(states):
            key, play_key, learn_key = jr.split(key, 3)
            policies = algorithm.seated(seating, learners, others)
            size = {"slots": config.slots, "match": config.match, "cut": cut}
            lanes, played = collect_host(env, seating, policies, lanes, play_key, **size)
            lesson = (learners, played, jnp.float32(i / rounds), learn_key)
            if compiled is None:
                began = time.perf_counter()
                compiled = improve.lower(*lesson).compile()
                compile_seconds += time.perf_counter() - began
            learners, metrics = compiled(*lesson)
            states[j] = (learners, lanes, key)
            learned.append(metrics)
        if cut:
            others = shuffle(others, jr.fold_in(deal_key, i))
        metrics = jax.tree.map(lambda *x: jnp.stack(x), *learned)
        nets = [tuple(learner.net for learner in state[0]) for state in states]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *nets)
        yield Update((i + 1) * chunk, stacked, metrics, compile_seconds)


def _banks(roster: Roster) -> bool:
    """Whether there are frozen members to deal anew; rules hold no arrays."""
    policies = [p for p in roster.others if not isinstance(p, HostSeat)]
    return bool(jax.tree.leaves(policies))


def check(env: Any, metrics: dict[str, Any] | None) -> None:
    """Stops a training that cannot go on, saying why."""
    if metrics is None:
        return
    if np.asarray(metrics["stuck"]).any():
        raise GameError(f"{env}: a present player had no legal action, a fault of the game")
    for name in ("policy_loss", "value_loss"):
        if name in metrics and not np.isfinite(np.asarray(metrics[name])).all():
            raise ValueError(f"{env}: {name} is {metrics[name]}: NaN, or rewards far too large")
