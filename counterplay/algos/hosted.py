"""Training on games outside JAX: an ordinary loop of playing and learning, seed by seed."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from counterplay.algos import Update
from counterplay.rollout_host import collect_host, open_host
from counterplay.seats import Roster


def train_hosted(config: Any, env: Any, roster: Roster, algorithm: Any) -> Iterator[Update]:
    """Trains every seed side by side; ``algorithm`` is the module that learns from a chunk."""
    config = replace(config, lanes=config.lanes or 16, slots=config.slots or 128)
    seating = roster.seating(roster.lanes_for(config.lanes))
    members = [kind.members for kind in roster.kinds if kind.learner]
    seeds = range(config.seed, config.seed + config.seeds)
    improve = jax.jit(partial(algorithm.improve, config, env, seating, None))

    def first(seed: int):
        net_key, key = jr.split(jr.key(seed))
        keys = jr.split(net_key, len(members))
        make = partial(algorithm.init_learner, config, env)
        learners = tuple(make(m, k) for m, k in zip(members, keys, strict=True))
        policies = algorithm.seated(seating, learners, roster.others)
        return learners, open_host(env, seating, policies, seed), key

    began = time.perf_counter()
    states = [first(seed) for seed in seeds]
    chunk = seating.lanes * config.slots
    rounds, compile_seconds = -(-config.steps // chunk), time.perf_counter() - began
    for i in range(rounds):
        learned = []
        for j, (learners, lanes, key) in enumerate(states):
            key, play_key, learn_key = jr.split(key, 3)
            policies = algorithm.seated(seating, learners, roster.others)
            size = {"slots": config.slots, "match": config.match}
            lanes, played = collect_host(env, seating, policies, lanes, play_key, **size)
            learners, metrics = improve(learners, played, jnp.float32(i / rounds), learn_key)
            states[j] = (learners, lanes, key)
            learned.append(metrics)
        metrics = jax.tree.map(lambda *x: jnp.stack(x), *learned)
        algorithm.check(env, metrics)
        nets = [tuple(learner.net for learner in state[0]) for state in states]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *nets)
        yield Update((i + 1) * chunk, stacked, metrics, compile_seconds)
