"""``counterplay study planning-frontier``: what planning earns, and what it costs.

One training a seed, frozen: every planner has its policy, value, belief and action model, so what
differs is how far it looks and in what.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from counterplay import envs, opponents, runs
from counterplay.algos import loops
from counterplay.algos.looking import Latent
from counterplay.algos.searching import Mcts
from counterplay.bench import study_tables
from counterplay.bench.adaptation import SEED
from counterplay.bench.agents import MANY, learnt, settings, training
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import published, references
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.scenarios import scenario_of
from counterplay.evaluate.spent import Spent
from counterplay.evaluate.statistics import t_interval
from counterplay.jobs import Job, digest
from counterplay.opponents.sets import members
from counterplay.planning.naming import read_planner, with_planner
from counterplay.pools import named, roster_of
from counterplay.queues import Form, tabled
from counterplay.rosters import opponents_of
from counterplay.settings import check_least

_TRUE = ",world=true"
_LATENT = tuple(
    f"latent:depth={depth},samples={samples},temperature=0.01"
    for depth, samples in ((1, 8), (2, 4), (3, 2))
)
PLANNERS = (
    "none",
    *_LATENT,
    *(f"mcts:sims={sims}{world}" for world in ("", _TRUE) for sims in (10, 50, 200)),
)
"""The temperature of training would leave half of the moves that are drawn to the policy."""
QUICK = ("none", *_LATENT[:2], "mcts:sims=10", "mcts:sims=50", f"mcts:sims=10{_TRUE}")
SCENARIOS = ("race", "coordination", "matrix:pd", "matrix:stag", "pursuit", "scissors")
PLACES = ("stag_hunt:4x4=nearest_stag", *SCENARIOS)
LANES = 64
"""Games side by side, the same for every planner, of which decisions/s are told."""
QUICK_STEPS, MATCHES, QUICK_MATCHES = 100_000, 320, 64


@dataclass(frozen=True)
class PlanningFrontier:
    """Return, decisions/s and simulator calls of one frozen agent a seed, planning in many ways."""

    places: tuple[str, ...] = PLACES
    """Scenarios, against their training sets; or SCENARIO=RULE, against that one."""
    planners: tuple[str, ...] = ()
    """As eval --planner takes them; by default none, latent and mcts, in either world."""
    quick: bool = False
    """One seed, the first place, six planners and 100,000 steps: a part of the time."""
    seed: int = 600
    """First seed of training."""
    seeds: int = 10
    """Trainings of each place."""
    together: int | None = None
    """How many of them are one program, by default one a core, as in bench agents. What is stopped
    halfway is lost."""
    steps: int | None = None
    """Environment steps of each training; by default the scenario's budget."""
    matches: int | None = None
    """Matches of each planner, 320 by default."""
    beside: str = f"mcts:sims=50{_TRUE}"
    """Planner with which the others are compared, seed by seed, where it is one of them."""
    greedy: bool = True
    """The best of all moves that are planned, or the likeliest of a policy; else a drawn one."""
    out: str = "runs/planning-frontier"
    """Folder of the queue and of the trainings, which are run folders; a second call goes on where
    the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, together=1, steps=1, matches=20)
        for planner in (*self.planners, self.beside):
            world_steps(planner, 1)  # refuses what no planner is, and what cannot be counted


def main(args: list[str]) -> int:
    """``counterplay study planning-frontier``"""
    title = "study planning-frontier"
    chosen = short(read(PlanningFrontier, args, title))
    jobs = jobs_of(chosen)
    set_threads()
    use_all_cores()
    out = Path(chosen.out)
    count = min(chosen.together or references.together(chosen.seeds), chosen.seeds)
    work = lambda job: measured(job, out, count, chosen.seed)
    heading = f"{title}, {'greedy' if chosen.greedy else 'sampled'} play"
    gathered = partial(scored, beside=chosen.beside)
    form = Form(heading, gathered, study_tables.planning_frontier, named_by)
    about = {"seed": chosen.seed, "seeds": chosen.seeds, "greedy": chosen.greedy}
    about |= {"beside": chosen.beside}
    return tabled(jobs, work, out, form, about, title=title, as_json=chosen.json)


def short(chosen: PlanningFrontier) -> PlanningFrontier:
    """The same, with less of everything where it is to be quick."""
    if not chosen.quick:
        return replace(chosen, planners=chosen.planners or PLANNERS)
    return replace(
        chosen,
        places=chosen.places[:1],
        planners=chosen.planners or QUICK,
        seeds=1,
        steps=chosen.steps or QUICK_STEPS,
        matches=chosen.matches or QUICK_MATCHES,
    )


def jobs_of(chosen: PlanningFrontier) -> list[Job]:
    """One a place, seed and planner; what is wrong with a place is told before any is done."""
    seeds, jobs = range(chosen.seed, chosen.seed + chosen.seeds), []
    for place in chosen.places:
        about = place_of(place, chosen.steps)
        more = {"matches": chosen.matches or MATCHES, "lanes": LANES, "greedy": chosen.greedy}
        more |= scenario_of(about["scenario"]).measured
        for planner in chosen.planners:
            for seed in seeds:
                config = {"training": about, "planner": planner} | more
                jobs.append(Job(f"{file_of(place)}-{file_of(planner)}", config, seed))
    return jobs


def file_of(text: str) -> str:
    """Of a place or a planner, as a file may be called."""
    for mark in ":=,":
        text = text.replace(mark, "-")
    return text.strip()


def place_of(text: str, steps: int | None) -> dict[str, Any]:
    """All that a training depends on besides the seed. ValueError for a rule that is not there."""
    name, mark, rule = text.partition("=")
    scenario = scenario_of(name)
    env, game = envs.make(scenario.game), scenario.game.partition(":")[0]
    if mark:
        opponents.make(rule, env)
    about: dict[str, Any] = {"place": text, "scenario": scenario.name, "game": scenario.game}
    about |= {"match": scenario.match, "seat": scenario.seat, "algorithm": "counterplay"}
    about |= {"against": rule if mark else "pool:train"}
    about |= {"train": [rule] if mark else list(members(game, "train"))}
    about |= {"settings": settings(scenario, "counterplay", MANY)}
    return about | {"steps": steps or scenario.budget}


def measured(job: Job, out: Path, count: int, first: int) -> dict[str, Any]:
    """What the frozen agent of a seed earns with a planner, and what it spends."""
    about, config = job.config["training"], job.config
    folder = trained(about, job.seed, out, count, first)
    scenario, env = scenario_of(about["scenario"]), envs.make(about["game"])
    mine = with_planner(config["planner"], f"run:{folder}")
    them: str = about["against"]
    seats = dict.fromkeys(range(env.num_seats), them) | {scenario.seat: mine}
    roster = roster_of(env, seats, "it")
    roster = replace(roster, focal=(scenario.seat,) * len(roster.tables))
    rows, spent = EpisodeRows(), Spent()
    evaluate(
        env, roster, config["matches"] * scenario.match, seed=SEED, greedy=config["greedy"],
        match=scenario.match, rows=rows, spent=spent, most_lanes=config["lanes"],
    )  # fmt: skip
    (earned,) = rows.match_returns(scenario.alike(len(named(them, env)))).values()
    told = {"report": references.blocks(earned), "marks": rows.marks}
    return told | spent.told() | {"world_steps": world_steps(config["planner"], env.num_actions)}


def trained(about: dict[str, Any], seed: int, out: Path, count: int, first: int) -> Path:
    """The run folder of a seed, trained with those beside it if it is not there yet."""
    name = f"{file_of(about['place'])}-{digest(Job('training', about, 0))}"
    folder_of = lambda seed: out / "trained" / f"{name}-{seed}"
    if (folder_of(seed) / DONE).is_file():
        return folder_of(seed)
    begin, env = seed - (seed - first) % count, envs.make(about["game"])
    agents, _ = learnt(about, env, begin, count)
    for i, agent in enumerate(agents):
        folder = folder_of(begin + i)
        folder.mkdir(parents=True, exist_ok=True)
        _, config, roster = training(about, env, begin + i, 1)
        config = loops.resolved(config, env, roster)
        kinds = [{"name": "self", "members": 1, "seats": [about["seat"]]}]
        met = {"opponents": opponents_of(roster)}
        runs.save_config(folder, about["algorithm"], about["game"], kinds, config, **met)
        nets = (jax.tree.map(lambda x: x[None, None], agent.net),)
        runs.save_policy(folder, nets, about["steps"])
        (folder / DONE).touch()  # last: a folder without it was cut short
    return folder_of(seed)


DONE = "trained"
"""A file in the folder of a training that is whole."""


def world_steps(planner: str, moves: int) -> int:
    """Steps of the learned world that one decision takes, among so many moves."""
    how = read_planner(planner)
    if isinstance(how, Latent):
        if not how.samples:
            raise ValueError(f"planner {planner}: with samples=0 steps depend on who is there")
        return sum((moves * how.samples) ** depth for depth in range(1, how.depth + 1))
    return how.sims if isinstance(how, Mcts) and not how.world else 0


def scored(jobs: list[Job], results: list[Any], beside: str) -> list[dict[str, Any]]:
    """One row a place and planner, over all its seeds; each beside the same seeds that play by the
    planner ``beside`` there."""
    groups: dict[str, dict[int, Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, {})[job.seed] = result
    named = {job.name: job for job in jobs}
    rows = {name: _row(job, list(groups[name].values())) for name, job in named.items()}
    for name, job in named.items():
        place = job.config["training"]["place"]
        other = f"{file_of(place)}-{file_of(beside)}"
        if other != name and groups[name].keys() == groups.get(other, {}).keys():
            rows[name]["ahead"] = ahead(job.config["training"], rows[name], rows[other])
    return list(rows.values())


def ahead(about: dict[str, Any], row: dict[str, Any], other: dict[str, Any]) -> Any:
    """How much more a planner earns than another with the same seeds, as a share of what an oracle
    earns more than random moves: Student's 95% interval of the mean over two seeds or more. None
    where nobody has measured these two."""
    scenario = scenario_of(about["scenario"])
    known = about["against"] == "pool:train" and published.path_of(scenario).is_file()
    if not known or len(row["per_seed"]) < 2:
        return None
    of = published.references(scenario)
    more = np.subtract(row["per_seed"], other["per_seed"]) / (of.oracle.mean() - of.random.mean())
    return [float(x) for x in t_interval(more)[:3]]


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the line of a job from others."""
    return [{"scenario": job.config["training"]["place"], "planner": job.config["planner"]}]


def _row(job: Job, rows: list[dict[str, Any]]) -> dict[str, Any]:
    about, returns = job.config["training"], np.array([row["report"] for row in rows])
    scenario, each = scenario_of(about["scenario"]), returns.mean(1)
    row = {"place": about["place"], "planner": job.config["planner"], "steps": about["steps"]}
    row |= {"matches": job.config["matches"], "score": None, "error": None}
    if about["against"] == "pool:train" and published.path_of(scenario).is_file():
        between = published.references(scenario)
        score = between.score(returns).score
        row |= {"score": score and [float(x) for x in score[:3]], "references": between.digest}
    if len(rows) > 1:
        row["error"] = float(each.std(ddof=1) / np.sqrt(len(rows)))
    speeds = [row["decisions_a_second"] for row in rows]
    row["speed"] = None if None in speeds else float(np.median(speeds))
    row["simulator_calls"] = float(np.mean([one["calls_a_decision"] for one in rows]))
    row["world_steps"] = rows[0]["world_steps"]
    return row | {"mean": float(each.mean()), "per_seed": each.tolist()}
