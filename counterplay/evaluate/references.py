"""Learning the references of a scenario, and measuring them: random, blind, filter, oracle.

One network learns all three modes of ``Solo`` on the training pool, several seeds of it; for each
mode and set the seed and the way to play (sampled or greedy) that earn most in some matches are
reported with what they earn in others. In repeated matrix games tables stand beside the networks.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial
from importlib import import_module
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay import envs, opponents
from counterplay.algos import Options, Update, loops, ppo
from counterplay.envs.matrix import Matrix
from counterplay.evaluate import tabular
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.scenarios import Scenario
from counterplay.evaluate.solo import BLIND, FILTER, MODES, ORACLE, Solo, flags
from counterplay.maths import masked_log_softmax, sample_action
from counterplay.opponents.rule import Mixture
from counterplay.opponents.sets import members
from counterplay.seats import Chair, Kind, Roster
from counterplay.spread import first_shard, over_cores, seed_numbers, spread_over, start
from counterplay.types import Act, View

RANDOM = "random"
SEED = 1_000_003
"""Of the matches by which references are chosen and reported."""
PLAYS = ("sampled", "greedy")
BLOCKS = 10
"""Parts of the reported matches whose means are published, for bootstraps."""


class Reference(eqx.Module):
    """Plays a ``Solo`` game without modes as one of them.

    Who the first other is, of so many types, is remembered, and told as which member of a mixture
    this policy is: rows then say who was met.
    """

    net: Any
    told: int = eqx.field(static=True)
    types: int = eqx.field(static=True)
    plays: Int[Array, ""]
    """The mode."""
    greedy: Bool[Array, ""]
    random: Bool[Array, ""]

    def begin(self, key: PRNGKeyArray, memory: Any) -> Int[Array, ""]:
        return jnp.int32(0)

    def member(self, memory: Any) -> Int[Array, ""]:
        return memory

    def log_probs(self, memory: Any, view: View) -> Float[Array, " A"]:
        size = view.obs.shape[0]
        seen, known, true = jnp.split(view.obs, [size - 2 * self.told, size - self.told])
        told = jnp.where(self.plays == ORACLE, true, jnp.where(self.plays == FILTER, known, 0.0))
        obs = jnp.concatenate([seen, told, flags(self.plays)])
        logits = self.net(obs, jnp.zeros(0))[0]
        return masked_log_softmax(jnp.where(self.random, 0.0, logits), view.legal)

    def act(self, key: PRNGKeyArray, memory: Any, view: View, greedy: bool) -> Act:
        log_pi = self.log_probs(memory, view)
        best = jnp.argmax(log_pi).astype(jnp.int32)
        first = view.obs[view.obs.shape[0] - self.told :][: self.types]
        met = jnp.argmax(first).astype(jnp.int32)
        return Act(jnp.where(self.greedy, best, sample_action(key, log_pi)), met, {})


@cache
def game_of(scenario: Scenario, pool: str, modes: tuple[int, ...], width: int | None) -> Solo:
    """The scenario's match against one of its sets; what is known is its training pool."""
    env = envs.make(scenario.game)
    mixture = lambda name: Mixture(
        tuple(opponents.make(m, env) for m in members(envs.game_of(env), name))
    )
    module, _, function = scenario.reader.partition(":")
    reader = getattr(import_module(module), function)(env, mixture("train"), scenario.seat)
    how = {"match": scenario.match, "seat": scenario.seat, "modes": modes, "width": width}
    return Solo(env, mixture(pool), reader, **how)


def learn(
    scenario: Scenario,
    pool: str,
    seed: int,
    seeds: int,
    steps: int,
    modes: tuple[int, ...] | None = None,
) -> list[Any]:
    """Networks of so many seeds at once, trained on a set; by default on the held-out one as
    oracles only, else in all modes.

    Trainings that differ in the seed alone share one compiled program.
    """
    usual = (BLIND, FILTER, ORACLE) if pool == "train" else (ORACLE,)
    trained = _training(scenario, pool, usual if modes is None else modes, seeds, steps)
    nets = trained(seed)
    return [jax.tree.map(lambda x, i=i: np.asarray(x)[i, 0], nets) for i in range(seeds)]


def together(seeds: int) -> int:
    """How many of so many seeds are best trained at once: one a core, or on a GPU all."""
    if jax.default_backend() == "gpu":
        return seeds
    return spread_over(seeds, learning=True).mesh.size


@lru_cache(maxsize=2)
def _training(
    scenario: Scenario, pool: str, modes: tuple[int, ...], seeds: int, steps: int
) -> Callable[[int], Any]:
    """Seed -> the networks of that seed and those after it, leaves [seeds, 1, ...].

    What ``ppo.train`` does, compiled once for all seeds.
    """
    solo = game_of(scenario, pool, modes, None)
    config = ppo.Config(seeds=seeds, steps=steps, **scenario.training)
    config, options = loops.resolved(config, solo), Options()
    roster = Roster((Kind("self", 1, True),), ((Chair(0, 0),),))
    spread = spread_over(seeds, learning=True)
    lanes = roster.lanes_for(config.lanes, spread.shards)
    spec = loops.Spec(solo, roster.seating(lanes // spread.shards), spread.axis)
    parts = (ppo, config, spec)
    begin = jax.jit(partial(start, spread, partial(loops.begin, *parts, ())))
    step = over_cores(spread, partial(loops.iteration, *parts, options.on_nonfinite))

    def train(seed: int) -> Any:
        training, before = begin(seed_numbers(seed, seeds)), None
        for i in range(loops.rounds_of(config, lanes)):
            training, (metrics, episodes) = step(training, (), jnp.bool_(False))
            loops.check(solo, roster, options, before)  # this one may still be running
            done = (i + 1) * lanes * config.slots
            before = Update(done, (), first_shard(metrics), 0.0, i + 1, None, episodes)
        loops.check(solo, roster, options, before)
        return first_shard(training.state.learners[0].net)

    return train


def measure(
    scenario: Scenario,
    pool: str,
    nets: list[Any],
    modes: tuple[int, ...],
    matches: int,
    own: bool = True,
    seed: int = SEED,
) -> list[dict[str, dict[str, Any]]]:
    """For each network what it earns an episode in each mode, sampled and greedy.

    ``own`` says that the networks were trained on this set, whose number of types they know.
    ``choice`` is the mean of a third of the matches, ``report`` the means of blocks of the others.
    """
    known = game_of(scenario, "train", (), None).types
    solo = game_of(scenario, pool, (), None if own else known)
    ways = [(i, mode, greedy) for i in range(len(nets)) for mode in modes for greedy in (0, 1)]
    made = [_reference(solo, nets[i], mode, bool(greedy)) for i, mode, greedy in ways]
    rows = _matches(solo, made, matches // 2 + matches, seed, scenario.balanced)
    found: list[dict[str, dict[str, Any]]] = [{} for _ in nets]
    for k, (i, mode, greedy) in enumerate(ways):
        name = f"{MODES[mode]}, {PLAYS[greedy]}"
        found[i][name] = parted(rows[k])
    return found


@lru_cache(maxsize=2)
def measure_tables(scenario: Scenario, matches: int) -> dict[str, dict[str, Any]]:
    """What the tables of a repeated matrix game earn, set by set as from ``measure``; else nothing.

    What they earn against the training set is no sample, but exact, and so is what a random player
    does. Held-out rules may remember more than a table follows: there is no oracle's for them.
    """
    if not scenario.tables:
        return {}
    known = known_in(scenario)
    made = tabular.table(known)
    drawn = np.asarray(made.blind, np.float64)
    certain = np.eye(drawn.shape[-1])[drawn.argmax(-1)]
    worth = lambda policy: _exactly(tabular.value(known, policy) / scenario.match)
    own = {f"blind, {way}": worth(x) for way, x in zip(PLAYS, (drawn, certain), strict=True)}
    best = _exactly(float(tabular.oracle(known)[0].mean()) / scenario.match)
    own |= {f"oracle, {PLAYS[1]}": best | {"choice": np.inf}}  # nobody can earn more
    own |= {RANDOM: worth(tabular.uniform(known))}
    (other,) = measure(scenario, "held-out", [made], (BLIND,), matches, own=False)
    return {"train": own, "held-out": other}


def known_in(scenario: Scenario) -> tabular.Known:
    """What tables of a repeated matrix game against its training set are made of."""
    env = envs.make(scenario.game)
    if not isinstance(env, Matrix):
        raise ValueError(f"{scenario.name}: tables are of repeated matrix games, found {env}")
    rules = game_of(scenario, "train", (), None).pool.rules
    return tabular.known(env, rules, scenario.match, scenario.seat)


def _exactly(worth: float) -> dict[str, Any]:
    """What a policy earns that needs no matches to tell."""
    return {"choice": worth, "report": [worth] * BLOCKS}


def measure_random(scenario: Scenario, pool: str, net: Any, matches: int) -> list[float]:
    """Block means of uniform legal moves; the network only gives its shape."""
    solo = game_of(scenario, pool, (), game_of(scenario, "train", (), None).types)
    solo = replace(solo, narrow=False)
    one = _reference(solo, net, BLIND, False, random=True)
    return blocks(_matches(solo, [one], matches, balanced=scenario.balanced)[0])


def parted(returns: np.ndarray) -> dict[str, Any]:
    """Of returns, one a match, the mean of the first third, and block means of the others."""
    choosing = len(returns) // 3
    return {"choice": float(returns[:choosing].mean()), "report": blocks(returns[choosing:])}


def blocks(x: np.ndarray) -> list[float]:
    """Means of equal parts, in order; ValueError for fewer matches than parts."""
    if len(x) < BLOCKS:
        raise ValueError(
            f"intervals need {BLOCKS} matches or more, found {len(x)}: ask for more --matches "
            "(where each opponent counts alike, those beyond the one met least are left out)"
        )
    return [float(part.mean()) for part in np.array_split(x, BLOCKS)]


def _reference(solo: Solo, net: Any, mode: int, greedy: bool, random: bool = False) -> Reference:
    flag = lambda x: jnp.asarray(x)
    return Reference(net, solo.told, solo.types, jnp.int32(mode), flag(greedy), flag(random))


def _matches(
    solo: Solo, made: list[Reference], matches: int, seed: int = SEED, balanced: bool = False
) -> list[np.ndarray]:
    """Mean return of an episode in every match of each policy, or, ``balanced``, as
    ``EpisodeRows.match_returns`` has it."""
    if balanced and not len(solo.others) == 1 <= len(solo.pool.rules) <= solo.types:
        raise ValueError(f"only one other, of {solo.types} types at most, can be met alike: {solo}")
    # not a bank, which would number the policies: their numbers are those of whom they meet
    kind = Kind("reference", len(made), policy=jax.tree.map(lambda *x: jnp.stack(x), *made))
    tables = tuple((Chair(0, i),) for i in range(len(made)))
    roster = Roster((kind,), tables, tuple(str(i) for i in range(len(made))))
    rows = EpisodeRows()
    evaluate(solo, roster, matches, seed=seed, rows=rows)
    found = rows.match_returns(len(solo.pool.rules) if balanced else None)
    return [found[str(i)] / solo.match for i in range(len(made))]
