"""``counterplay study goal-timing``: when goals should be inferred.

Where little happens, every event may be a goal. Where every step pays, only events that paid enough
may be worth one: by an amount or a quantile, of the other's reward or of mine.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.bench import study_tables
from counterplay.bench.adaptation import SEED
from counterplay.bench.agents import MANY, POOLS, Players, learnt, seated, settings
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import published, references
from counterplay.evaluate.goals import goal_scores
from counterplay.evaluate.others import Known, others
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.evaluate.watching import Watching, watch
from counterplay.jobs import Job, Together
from counterplay.opponents.sets import members
from counterplay.pools import roster_of
from counterplay.queues import Form, tabled
from counterplay.studies.dense import PAY, Dense
from counterplay.studies.goal_choice import GoalChoice, short
from counterplay.types import NO_EVENT, NO_MOVE

LIKE: dict[str, Any] = MANY | {"types": 1}
"""Types are left out, so that goals are all that is told of the others."""
ENOUGH, UPPER = 0.2, 0.95
"""More than any step pays, and less than any event of the games as they are; and a quantile."""
VARIANTS: Players = {
    "none": ("goal_ppo", LIKE | {"goals": "none"}),
    "all events": ("goal_ppo", LIKE),
    **{
        f"{name}, {whose}": ("goal_ppo", LIKE | bound | {"reward_of": whose})
        for name, bound in {
            f"paid {ENOUGH}": {"goal_reward": ENOUGH},
            f"upper {1 - UPPER:.0%}": {"goal_quantile": UPPER},
        }.items()
        for whose in ("other", "mine")
    },
}
"""Which events are goals."""
EVENTS = "ties apart, of all cores, heard where they paid me"
"""How thresholds of events are understood: with other jobs they were, once, in another way."""
QUICK = ("none", "all events", f"paid {ENOUGH}, other")
VERSIONS = ("sparse", "dense")
QUICK_STEPS, MATCHES, QUICK_MATCHES = 400_000, 400, 100


@dataclass(frozen=True)
class GoalTiming(GoalChoice):
    """Train the same agent with goals that are all events, those that paid enough, or nothing, in
    games as they are and in games that also pay for every step towards a goal."""

    scenarios: tuple[str, ...] = ("race", "stag_hunt:4x4")
    """Scenarios of games of which there is a dense version."""
    quick: bool = False
    """Two seeds, the first scenario, three of the variants, 400,000 steps and the training set
    alone: minutes instead of hours."""
    seed: int = 500
    """First seed of training."""
    matches: int | None = None
    """Matches by which each is reported, against either set, by default 400; play is sampled."""
    out: str = "runs/goal-timing"
    """Folder of the queue; a second call goes on where the first was stopped."""


def main(args: list[str]) -> int:
    """``counterplay study goal-timing``"""
    chosen, title = read(GoalTiming, args, "study goal-timing"), "study goal-timing"
    jobs = jobs_of(chosen)
    set_threads()
    use_all_cores()
    seeds = short(chosen, QUICK_STEPS, QUICK_MATCHES).seeds
    count = references.together(seeds)
    work = Together(lambda job, seed: measured(job, seed, count), count, chosen.seed)
    form = Form(title, scored, study_tables.goal_timing, named_by)
    how = {"title": title, "as_json": chosen.json, "together": count}
    return tabled(jobs, work, Path(chosen.out), form, {"seed": chosen.seed, "seeds": seeds}, **how)


def jobs_of(chosen: GoalTiming) -> list[Job]:
    """One a scenario, version, variant and seed. ValueError where a game has no dense version."""
    chosen, jobs = short(chosen, QUICK_STEPS, QUICK_MATCHES), []
    for scenario in map(scenario_of, chosen.scenarios):
        Dense(envs.make(scenario.game))  # refuses before anything is trained
        for version in VERSIONS:
            for name in QUICK if chosen.quick else VARIANTS:
                about = _about(scenario, name, version, chosen)
                jobs += [Job(about.pop("name"), about, chosen.seed)]
                more = range(chosen.seed + 1, chosen.seed + chosen.seeds)
                jobs += [replace(jobs[-1], seed=seed) for seed in more]
    return jobs


def _about(scenario: Scenario, name: str, version: str, chosen: GoalTiming) -> dict[str, Any]:
    game = scenario.game.partition(":")[0]
    file = name.replace(", ", "-").replace(" ", "-").replace("%", "")
    pools = POOLS[:1] if chosen.quick else POOLS
    about: dict[str, Any] = {"name": f"{scenario.file}-{version}-{file}", "goals": name}
    about |= {"scenario": scenario.name, "game": scenario.game, "match": scenario.match}
    about |= {"seat": scenario.seat, "version": version, "algorithm": VARIANTS[name][0]}
    about |= {"pay": PAY} if version == "dense" else {}
    about |= {"settings": settings(scenario, *VARIANTS[name]), "events": EVENTS}
    about |= {"sets": {pool: list(members(game, pool)) for pool in pools}}
    about |= {"steps": chosen.steps or scenario.budget}
    return about | {"matches": chosen.matches or MATCHES}


def measured(job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """What so many seeds from one on earn, expect and believe, against every set."""
    about = job.config
    scenario, env = scenario_of(about["scenario"]), envs.make(about["game"])
    pay = about.get("pay", 0.0)
    inside: Any = Dense(env, pay) if about["version"] == "dense" else env
    agents, _ = learnt(about, env, seed, seeds, inside)
    found: list[dict[str, Any]] = [{} for _ in agents]
    for pool in about["sets"]:
        seats = dict.fromkeys(range(env.num_seats), f"pool:{pool}") | {scenario.seat: "random"}
        labels = tuple(str(i) for i in range(len(agents)))
        roster = seated(roster_of(env, seats), scenario.seat, agents, labels)
        w = watch(inside, roster, about["matches"] * seeds, scenario.match, SEED)
        for one, told in zip(found, told_of(w, seeds, scenario.match, pay), strict=True):
            one[pool] = told
    return found


def told_of(w: Watching, seeds: int, match: int, pay: float) -> list[dict[str, Any]]:
    """Of watched matches, as many of each seed in turn: what the game itself paid an episode, NLL
    of the others' moves in nats, NLL and top-1 of their goals where they are inferred.

    What a step towards a goal pays, ``pay``, is left out of returns.
    """
    mine = w.reward[..., 0].astype(np.float64)
    earned = np.where(w.valid & (abs(mine) > 1.01 * pay), mine, 0.0).sum(1) / match
    rows = others(w, Known((), {}))
    counts = rows.asked & (rows.moves != NO_MOVE)
    each: dict[str, np.ndarray] = {}
    if rows.predict is not None:
        made = np.maximum(rows.moves, 0)[..., None]
        log_p = np.take_along_axis(rows.predict, made, -1)[..., 0]
        each["others_nll"] = np.where(counts, -log_p, np.nan)
    goal = np.where(rows.asked, rows.goal, NO_EVENT)
    if rows.belief is not None and (goal != NO_EVENT).any():
        scores = goal_scores(rows.belief, goal)
        each |= {"goal_nll": scores.nll, "goal_top1": scores.top1}
    by_seed = {name: x.reshape(seeds, -1) for name, x in each.items()}
    return [
        {"report": references.blocks(earned.reshape(seeds, -1)[i])}
        | {name: float(np.nanmean(x[i])) for name, x in by_seed.items()}
        for i in range(seeds)
    ]


def scored(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a scenario, version, variant and set, over all its seeds."""
    groups: dict[str, list[Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, [job]).append(result)
    return [_row(job, pool, rows) for job, *rows in groups.values() for pool in job.config["sets"]]


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the lines of a job from others."""
    about = job.config
    row = {"scenario": about["scenario"], "rewards": about["version"], "goals": about["goals"]}
    return [row | {"set": pool} for pool in about["sets"]]


def _row(job: Job, pool: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    about, scenario = job.config, scenario_of(job.config["scenario"])
    returns = np.array([row[pool]["report"] for row in rows])
    row = {name: about[name] for name in ("scenario", "version", "goals", "steps", "matches")}
    row |= {"set": pool, "score": None}
    if published.path_of(scenario).is_file():
        between = published.references(scenario, pool)
        score = between.score(returns).score
        row |= {"score": score and [float(x) for x in score[:3]], "references": between.digest}
    for name in ("others_nll", "goal_nll", "goal_top1"):
        told = [one[pool][name] for one in rows if name in one[pool]]
        row |= {name: float(np.mean(told))} if told else {}
    return row | {"mean": float(returns.mean()), "per_seed": [float(x) for x in returns.mean(1)]}
