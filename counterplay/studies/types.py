"""``counterplay study types``: are diverse opponents grouped, and are they told apart?

The opponents of a training are the rules of its set and learned ones, which are frozen. Afterwards
the agent meets them in fresh matches: what it says of each is one code of it, codes are merged by
what they are taken to do, and the groups are compared with who it was. Beside it stands what exact
inference says, which knows every opponent's own chances.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from counterplay import envs, opponents
from counterplay.bench import agents, reading_table
from counterplay.bench.agents import MANY, POOLS, Players, learnt, seated, settings
from counterplay.bench.reading import SEED, told
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import published, references
from counterplay.evaluate.opponent_model import FILTER, MODEL, measures
from counterplay.evaluate.others import Known
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.evaluate.watching import watch
from counterplay.jobs import Job, Together
from counterplay.opponents.frozen import Frozen
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.sets import members
from counterplay.pools import find
from counterplay.queues import Form, tabled
from counterplay.seats import Chair, Kind, Roster
from counterplay.studies.goal_choice import GoalChoice, short
from counterplay.studies.planning_frontier import trained
from counterplay.studies.roshambo_matches import digest_of

VARIANTS: Players = {
    "none": ("goal_ppo", MANY | {"types": 1}),
    "opponents": ("goal_ppo", MANY),
    **{
        f"moves-{k}": ("goal_ppo", MANY | {"types_from": "moves", "types": k})
        for k in (2, 4, 8, 16)
    },
    "amortised": ("goal_ppo", MANY | {"belief": "amortised"}),
}
"""Types by who sits there, or whatever tells moves apart; by Bayes' rule, or by the network."""
QUICK = ("none", "opponents", "moves-8")
QUICK_STEPS, QUICK_MATCHES = 400_000, 200
GROUPED, QUICK_GROUPED = 600, 100
"""Matches in which an agent is watched."""
LEARNED = {"self": "self", "rules": "pool:train"}
"""Opponents that are trained first: by PPO, in self-play and against the rules."""
LEARNED_STEPS = 50_000


@dataclass(frozen=True)
class Types(GoalChoice):
    """Train the same agent with types that are its opponents, codes of their moves, or none."""

    scenarios: tuple[str, ...] = ("race", "coordination", "matrix:pd")
    """Scenarios, with references that are published."""
    learned: tuple[str, ...] = ()
    """Frozen runs among the opponents, as run:A run:B; by default two of PPO that are trained
    first, in self-play and against the rules, for 50,000 steps each."""
    quick: bool = False
    """Two seeds, the first scenario, three of the variants, 400,000 steps and fewer matches:
    minutes instead of hours."""
    seed: int = 400
    """First seed of training."""
    out: str = "runs/types"
    """Folder of the queue; a second call goes on where the first was stopped."""

    def __post_init__(self):
        super().__post_init__()
        for text in self.learned:
            if not text.startswith("run:"):
                raise ValueError(f"learned: expected frozen runs, as run:FOLDER, found {text!r}")


def main(args: list[str]) -> int:
    """``counterplay study types``"""
    title = "study types"
    chosen = read(Types, args, title)
    jobs = jobs_of(chosen)
    set_threads()
    use_all_cores()
    seeds = short(chosen, QUICK_STEPS, QUICK_MATCHES).seeds
    count = references.together(seeds)
    out = Path(chosen.out)
    work = Together(lambda job, seed: measured(job, seed, count, out), count, chosen.seed)
    form = Form(title, scored, reading_table.types, agents.named_by)
    how = {"title": title, "as_json": chosen.json, "together": count}
    return tabled(jobs, work, out, form, {"seed": chosen.seed, "seeds": seeds}, **how)


def jobs_of(chosen: Types) -> list[Job]:
    """One a scenario, variant and seed. ValueError for a scenario that has no references, or in
    which no rules can watch, and for runs that cannot sit in it."""
    chosen, jobs = short(chosen, QUICK_STEPS, QUICK_MATCHES), []
    for scenario in map(scenario_of, chosen.scenarios):
        if scenario.reader != Scenario.reader:
            raise ValueError(
                f"--scenarios: in {scenario.name} not all that others do is seen, so there are no "
                "exact groups to compare with: leave it out"
            )
        for pool in POOLS:
            published.references(scenario, pool)  # without which nothing could be told at the end
        env = envs.make(scenario.game)
        for run in chosen.learned:
            find(run, env, (scenario.seat + 1) % env.num_seats)
        more: dict[str, Any] = {"grouped": QUICK_GROUPED if chosen.quick else GROUPED}
        more |= {"are": [digest_of(run) for run in chosen.learned]} if chosen.learned else {}
        more["learned"] = list(chosen.learned) or [learned_of(scenario, m) for m in LEARNED]
        for name in QUICK if chosen.quick else VARIANTS:
            first = agents.job_of(scenario, name, VARIANTS[name], chosen.seed, chosen)
            first = replace(first, config=first.config | more)
            jobs += [replace(first, seed=chosen.seed + i) for i in range(chosen.seeds)]
    return jobs


def learned_of(scenario: Scenario, met: str) -> dict[str, Any]:
    """All that the training of an opponent depends on besides its seed."""
    about: dict[str, Any] = {"place": f"ppo-{met}", "scenario": scenario.name}
    about |= {"game": scenario.game, "match": scenario.match, "seat": scenario.seat}
    about |= {"algorithm": "ppo", "against": LEARNED[met], "steps": LEARNED_STEPS}
    about |= {"train": list(members(scenario.game.partition(":")[0], "train"))}
    return about | {"settings": settings(scenario, "ppo", {})}


def runs_of(about: dict[str, Any], out: Path) -> list[str]:
    """The frozen runs among the opponents, trained first where they are not there yet."""
    folder = lambda one: trained(one, 0, out, 1, 0)
    return [x if isinstance(x, str) else f"run:{folder(x)}" for x in about["learned"]]


def measured(job: Job, seed: int, seeds: int, out: Path) -> list[dict[str, Any]]:
    """What so many seeds from one on earn against either set, and how they group whom they met."""
    runs = runs_of(job.config, out)
    about: dict[str, Any] = job.config | {"against": ",".join(["pool:train", *runs])}
    scenario, env = scenario_of(about["scenario"]), envs.make(about["game"])
    each, foreseen = learnt(about, env, seed, seeds)
    found = [agents.play(scenario, env, pool, each, about["matches"]) for pool in POOLS]
    return [
        {pool: earned[i] for pool, earned in zip(POOLS, found, strict=True)}
        | {"foreseen": foreseen[i], "groups": groups_of(about, env, each[i], runs)}
        for i in range(len(each))
    ]


def groups_of(about: dict[str, Any], env: Any, agent: Any, runs: list[str]) -> dict[str, Any]:
    """How an agent and exact inference group all whom the agent was trained with, by who they are,
    in fresh matches; play is sampled."""
    scenario = scenario_of(about["scenario"])
    names = (*about["train"], *runs)
    other = (scenario.seat + 1) % env.num_seats
    rules = [opponents.make(text, env) for text in about["train"]]
    them = Mixture((*rules, *(Rule(Frozen(find(run, env, other))) for run in runs)))
    member = jax.tree.map(lambda x: jnp.asarray(x)[None], them)  # the only one of its kind
    kinds = Kind("me"), Kind("them", policy=member, names=names, first_id=1)
    chairs = tuple(Chair(int(i != scenario.seat), 0) for i in range(env.num_seats))
    roster = seated(Roster(kinds, (chairs,)), scenario.seat, [agent], ("it",))
    known = Known(names, {i: (i - 1,) for i in range(1, len(names) + 1)})
    w = watch(env, roster, about["grouped"], scenario.match, SEED, known=them)
    return told(measures(w, known, roster.ids))["groups"]


def scored(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a scenario, variant and set; that of the training set tells how all were grouped, of
    every seed."""
    groups: dict[str, list[Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, [job]).append(result)
    rows = []
    for job, *found in groups.values():
        each = {who: [one["groups"].get(who) for one in found] for who in (MODEL, FILTER)}
        train, held_out = (agents.row_of(job, pool, found) for pool in POOLS)
        rows += [train | {"groups": each}, held_out]
    return rows
