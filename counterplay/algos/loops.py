"""The loops around learning: one jitted program an iteration, or an ordinary loop for other games.

``algorithm`` is the module of one, with

- ``init(config, spec, key) -> State``: what learning carries, a pytree
- ``policy(config, State)``: one policy a kind of learner, leaves [K, ...]
- ``learn(config, State, chunk) -> (State, metrics)``
"""

import math
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

from counterplay.algos import Options, Update, guards, snapshots
from counterplay.envs.running import RESTART, Breaks, close_all
from counterplay.episodes.replay import Replay, in_stores
from counterplay.errors import GameError
from counterplay.rollout import blame, collect, ended, open_lanes
from counterplay.rollout_host import HostSeat, collect_host, open_host
from counterplay.seats import Roster, Seating, shuffle
from counterplay.spread import (
    first_shard,
    over_cores,
    placed,
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
    frozen: Any = ()
    """Snapshots of what was learnt, where they play."""


def resolved(config: Any, env: Any, roster: Roster | None = None) -> Any:
    """The configuration with what suits the game filled in, and by its ``among`` who plays."""
    usual = config.HOSTED if hasattr(env, "open") else config.JITTED
    config = replace(config, **{n: x for n, x in usual.items() if getattr(config, n) is None})
    getattr(config, "check_game", lambda env: None)(env)
    return config.among(roster) if roster and hasattr(config, "among") else config


def state_shapes(config: Any, env: Any, roster: Roster, algorithm: Any) -> Any:
    """Shapes of what learning carries, of one seed with all its lanes."""
    spec = Spec(env, roster.seating(roster.lanes_for(config.lanes)), None)
    return jax.eval_shape(partial(algorithm.init, config, spec), jr.key(0))


def rounds_of(config: Any, lanes: int) -> int:
    """Iterations for the steps asked for; the last may go beyond them."""
    return -(-config.steps // (lanes * config.slots))


def seated(seating: Seating, learning: tuple, others: tuple, frozen: Any = ()) -> tuple:
    """One policy a kind: learners and others in the order of their kinds, snapshots last."""
    mine, fixed = iter(learning), iter((*others, *snapshots.seated(frozen)))
    return tuple(next(mine) if kind.learner else next(fixed) for kind in seating.kinds)


def train(
    config: Any, env: Any, roster: Roster, algorithm: Any, options: Options
) -> Iterator[Update]:
    """Trains every seed, inside jit where game and seats allow it; yields once an iteration."""
    loop = train_hosted if hasattr(env, "open") else train_jitted
    roster = snapshots.joined(config, roster)
    before, config = None, resolved(config, env, roster)
    for update in loop(config, env, roster, algorithm, options):
        check(env, roster, options, before)  # this one may still be running
        before = update
        yield update
    check(env, roster, options, before)


def begin(algorithm: Any, config: Any, spec: Spec, others: tuple, seed: Int[Array, ""]) -> Training:
    """A fresh training of one seed on one shard."""
    learn_key, lane_key, key = jr.split(jr.key(seed), 3)
    state = algorithm.init(config, spec, learn_key)
    learning = algorithm.policy(config, state)
    frozen = snapshots.begun(spec.seating, learning)
    policies = seated(spec.seating, learning, others, frozen)
    lanes = open_lanes(spec.env, spec.seating, policies, shard_key(lane_key, spec.axis))
    return Training(state, lanes, shard_key(key, spec.axis), frozen)


def iteration(
    algorithm: Any,
    config: Any,
    spec: Spec,
    on_nonfinite: str,
    training: Training,
    others: tuple,
    cut: Bool[Array, ""],
) -> tuple[Training, tuple[dict[str, Array], dict[str, Array]]]:
    """Plays a chunk of slots and learns from it; tells metrics and the episodes that ended."""
    (key, play_key), frozen = jr.split(training.key), training.frozen
    policies = seated(spec.seating, algorithm.policy(config, training.state), others, frozen)
    cut = snapshots.cut(config, frozen, cut)
    size = {"slots": config.slots, "match": config.match, "cut": cut}
    lanes, chunk = collect(spec.env, spec.seating, policies, training.lanes, play_key, **size)
    learn = partial(algorithm.learn, config)
    after = guards.bad_after(lanes.shown)
    state, metrics = guards.learn(learn, training.state, chunk, on_nonfinite, spec.axis, after)
    told = guards.heeded(chunk, on_nonfinite, after).slots
    frozen = snapshots.renewed(config, frozen, algorithm, state)
    return Training(state, lanes, key, frozen), (metrics, ended(told))


def train_jitted(
    config: Any, env: Any, roster: Roster, algorithm: Any, options: Options
) -> Iterator[Update]:
    """One program plays and learns; Python only asks for the next iteration and deals anew."""
    spread = spread_over(config.seeds, learning=True)
    lanes = roster.lanes_for(config.lanes, spread.shards)
    spec = Spec(env, roster.seating(lanes // spread.shards), spread.axis)
    others, parts = roster.others, (algorithm, config, spec)
    began = time.perf_counter()
    seeds = seed_numbers(config.seed, config.seeds)
    fresh = lambda: start(spread, partial(begin, *parts, others), seeds)
    if options.resume:
        training, others = options.resume.fill((jax.eval_shape(fresh), others))
        training, others = placed(spread, training), jax.tree.map(jnp.asarray, others)
    else:
        training = fresh()
        if options.lend:
            training = placed(spread, options.lend(training))
    run = over_cores(spread, partial(iteration, *parts, options.on_nonfinite))
    run = run.lower(training, others, jnp.bool_(False)).compile()
    compile_seconds = time.perf_counter() - began
    banks, key = _banks(others), jr.key(config.seed)
    for i in range(first_of(options), rounds_of(config, lanes)):
        cut = banks and (i + 1) % config.redeal == 0
        training, (metrics, episodes) = run(training, others, jnp.bool_(cut))
        if cut:
            others = shuffle(others, jr.fold_in(key, i))
        nets = tuple(agent.net for agent in algorithm.policy(config, training.state))
        nets, metrics = first_shard((nets, metrics))
        told = (i + 1) * lanes * config.slots, nets, metrics, compile_seconds
        yield Update(*told, i + 1, (training, others), episodes)


def first_of(options: Options) -> int:
    """Index of the iteration to begin with."""
    return options.resume.iteration if options.resume else 0


def train_hosted(
    config: Any, env: Any, roster: Roster, algorithm: Any, options: Options
) -> Iterator[Update]:
    """Games or bots in ordinary Python: seeds take turns at playing and learning.

    A game in ordinary Python cannot be saved: who goes on begins with fresh episodes.
    """
    lanes = roster.lanes_for(config.lanes)
    spec, others = Spec(env, roster.seating(lanes), None), roster.others
    learn, compile_seconds, first = None, 0.0, first_of(options)
    banks, deal_key = _banks(others), jr.key(config.seed)
    trainings: list[Training] = []
    try:
        for seed in range(config.seed, config.seed + config.seeds):
            begun = _begin_hosted(algorithm, config, spec, others, options, seed, first)
            if options.lend and not options.resume:
                begun = begun._replace(state=options.lend(begun.state, seed - config.seed))
            trainings.append(begun)
        if options.resume:
            saved, kept = options.resume.fill(_going(trainings, others))
            saved = in_stores(Replay.cut, saved)  # the games begin anew
            trainings = [t._replace(**s) for t, s in zip(trainings, saved, strict=True)]
            others = tuple(p if a is None else a for p, a in zip(others, kept, strict=True))
        for i in range(first, rounds_of(config, lanes)):
            cut, told = banks and (i + 1) % config.redeal == 0, []
            for j, training in enumerate(trainings):
                parts = algorithm, config, spec, training, others, cut, options
                breaks = training.lanes.games.breaks
                before = breaks.count if i > first else 0  # what broke at the opening counts too
                training, chunk = _play_hosted(*parts, i)
                if learn is None:
                    began = time.perf_counter()
                    own = partial(algorithm.learn, config)
                    safe = partial(guards.learn, own, policy=options.on_nonfinite, axis=None)
                    learn = jax.jit(safe, donate_argnums=0).lower(training.state, chunk).compile()
                    compile_seconds = time.perf_counter() - began
                state, learned = learn(training.state, chunk)
                frozen = snapshots.renewed(config, training.frozen, algorithm, state)
                trainings[j] = training._replace(state=state, frozen=frozen)
                learned |= {"env_errors": jnp.int32(breaks.count - before)}
                told.append((learned, ended(guards.heeded(chunk, options.on_nonfinite).slots)))
            others = shuffle(others, jr.fold_in(deal_key, i)) if cut else others
            policies = [algorithm.policy(config, training.state) for training in trainings]
            nets = [tuple(agent.net for agent in agents) for agents in policies]
            nets, (metrics, episodes) = _stacked(nets), _stacked(told)
            going = _going(trainings, others)
            steps = (i + 1) * lanes * config.slots
            yield Update(steps, nets, metrics, compile_seconds, i + 1, going, episodes)
    finally:
        close_all(training.lanes.games for training in trainings)


@jax.jit  # one program: many small arrays, each stacked by itself, take milliseconds
def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def _going(trainings: list[Training], others: tuple) -> tuple:
    """What can be saved: what is learnt, the keys, and the policies that are arrays."""
    arrays = tuple(None if isinstance(policy, HostSeat) else policy for policy in others)
    return [{"state": t.state, "key": t.key, "frozen": t.frozen} for t in trainings], arrays


def _begin_hosted(
    algorithm: Any,
    config: Any,
    spec: Spec,
    others: tuple,
    options: Options,
    seed: int,
    first: int,
) -> Training:
    learn_key, lane_key, key = jr.split(jr.key(seed), 3)
    lane_key = jr.fold_in(lane_key, first) if first else lane_key  # other episodes than before
    state = algorithm.init(config, spec, learn_key)
    learning = algorithm.policy(config, state)
    frozen = snapshots.begun(spec.seating, learning)
    policies = seated(spec.seating, learning, others, frozen)
    draw = int(jr.randint(lane_key, (), 0, 2**31 - 1))
    finite = options.on_nonfinite == guards.STOP
    breaks = Breaks(options.on_env_error == RESTART, options.env_timeout, finite)
    lanes = open_host(spec.env, spec.seating, policies, draw, breaks=breaks)
    return Training(state, lanes, key, frozen)


def _play_hosted(
    algorithm: Any,
    config: Any,
    spec: Spec,
    training: Any,
    others: tuple,
    cut: bool,
    options: Options,
    i: int,
) -> tuple[Training, Any]:
    (key, play_key), frozen = jr.split(training.key), training.frozen
    policies = seated(spec.seating, algorithm.policy(config, training.state), others, frozen)
    cut = bool(snapshots.cut(config, frozen, cut))
    size = {"slots": config.slots, "match": config.match, "cut": cut}
    size["finite"] = options.on_nonfinite == guards.STOP
    fixed = spec.env, spec.seating, policies
    try:
        lanes, chunk = collect_host(*fixed, training.lanes, play_key, **size)
    except GameError as error:
        steps = (i + 1) * spec.seating.lanes * config.slots
        place = f"in iteration {i + 1} of the training, before step {steps:,}"
        raise GameError(f"{error}; {place}") from error
    return training._replace(lanes=lanes, key=key), chunk


def _banks(others: tuple) -> bool:
    """Whether there are frozen members to be dealt anew."""
    sizes = [x.shape[0] for p in others if not isinstance(p, HostSeat) for x in jax.tree.leaves(p)]
    return max(sizes, default=1) > 1


def check(env: Any, roster: Roster, options: Options, update: Update | None) -> None:
    """Stops a training that cannot go on, saying why."""
    if update is None:
        return
    metrics = update.metrics
    faults = {name: np.sum(metrics[name], 0) for name in ("stuck", "unfair") if name in metrics}
    if any(x.any() for x in faults.values()):
        blame(env, roster.seating(len(roster.tables)), faults)
    if update.episodes is None:
        return
    _, *lanes, slots, seats = update.episodes["returns"].shape  # a part of the lanes each shard
    place = f"iteration {update.iteration}, before step {update.steps:,}"
    guards.blame(
        env, roster, metrics, options.on_nonfinite, place, (math.prod(lanes), slots, seats)
    )
