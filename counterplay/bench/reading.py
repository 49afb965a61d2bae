"""How well the others are read: next moves, beliefs over types and groups, beside exact inference.

An agent trains against rules that it cannot tell apart at first sight and then meets them in fresh
matches, and rules of families that it never met. What it predicted and believed there is measured
as ``counterplay eval`` measures it, and told beside what the exact filter could know.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.algos.goal_settings import opponent_ids
from counterplay.bench import lone_hunter
from counterplay.bench.agents import POOLS, learnt, seated, settings, training
from counterplay.bench.reading_table import reading
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import references
from counterplay.evaluate.beside import informed
from counterplay.evaluate.by_protocol import known_to
from counterplay.evaluate.opponent_model import MODEL, measures
from counterplay.evaluate.others import Known
from counterplay.evaluate.own_types import Own, of_training
from counterplay.evaluate.predicted import FILTER
from counterplay.evaluate.protocols import scenario_for
from counterplay.evaluate.scenarios import SCENARIOS, Scenario
from counterplay.evaluate.watching import unread, watch
from counterplay.jobs import Job, Together
from counterplay.names import unknown
from counterplay.opponents.sets import members
from counterplay.pools import roster_of
from counterplay.queues import Form, tabled
from counterplay.settings import check_least

SEED = 90_000
"""Of the matches that are watched, in which nobody was trained."""
AT = (0, 1, 3, 10, 30, 100)
"""Moves seen after which beliefs are told."""


@dataclass(frozen=True)
class Case:
    """An agent and where it is watched."""

    scenario: str
    """A scenario, or a game as one of its kind would be played."""
    steps: int
    """Environment steps of a training."""
    matches: int
    """Watched with the training set, and a third as many with any other; on 4x4 stag hunt others
    make some 180 decisions in each."""
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    """Of goal_ppo, beside those of the scenario."""
    sets: tuple[str, ...] = POOLS[:1]
    lone: bool = False
    """A lone hunter is watched, in so many episodes, by one who never helps; see lone_hunter."""

    @property
    def place(self) -> Scenario:
        """The scenario, made on the spot for a game that is none."""
        return SCENARIOS.get(self.scenario) or scenario_for(self.scenario)


_MANY: dict[str, Any] = {"lanes": 128, "reader_epochs": 2, "reader_gru": 64, "told_width": 32}
_MANY |= {"reader_widths": (64,), "reader_rate": 5e-3, "reader_places": 512, "replay": 2**20}
"""Many small iterations, and a reader that learns much, half of it from all that was played: its
loss is a plain cross-entropy, of which more passes over the latest play alone make it too sure."""
_CODES: dict[str, Any] = _MANY | {"types_from": "moves", "types": 8, "goals": "none"}
_TYPES: dict[str, Any] = _MANY | {"temper": True}
_BOARD: dict[str, Any] = _TYPES | {"around": True, "goals": "none"}
CASES: dict[str, Case] = {
    "stag_hunt": Case("stag_hunt:4x4-v1", 3_000_000, 1200, _BOARD, POOLS),
    "race": Case("race-v2", 1_000_000, 600, _TYPES, POOLS),
    "pd-codes": Case("matrix:pd-v2", 1_000_000, 600, _CODES),
    "race-codes": Case("race-v2", 1_000_000, 600, _CODES),
    "stag_hunt-6x6-codes": Case("stag_hunt:6x6", 1_000_000, 300, _CODES | {"around": True}),
    "pursuit": Case("pursuit-v1", 1_500_000, 300, _TYPES),
    "lone_hunter": Case("stag_hunt:4x4,players=2", 3_000_000, 256, lone_hunter.SETTINGS, lone=True),
}
"""What is measured: types are the opponents of the training, but for codes of moves."""


@dataclass(frozen=True)
class Reading:
    """Train agents that read the others; measure their predictions and beliefs beside the exact
    filter's."""

    cases: tuple[str, ...] = ()
    """What is measured; by default all."""
    seed: int = 600
    """First seed of training."""
    seeds: int = 10
    """Trainings of each."""
    together: int | None = None
    """How many of them are one program, which has to be compiled once for each: by default one a
    core. What is stopped halfway is lost."""
    steps: int | None = None
    """Environment steps of each training, in place of the case's own."""
    matches: int | None = None
    """Matches that are watched, in place of the case's own."""
    out: str = "runs/reading"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, together=1, steps=1, matches=2)
        for case in self.cases:
            if case not in CASES:
                raise unknown("case", case, CASES)


def main(args: list[str]) -> int:
    """``counterplay bench reading``"""
    bench = read(Reading, args, "bench reading")
    set_threads()
    use_all_cores()
    jobs = jobs_of(bench)
    about = {"seed": bench.seed, "seeds": bench.seeds}
    form = Form("reading the others", gathered, reading, named_by)
    count = min(bench.together or references.together(bench.seeds), bench.seeds)
    work = Together(lambda job, seed: measured(job, seed, count), count, bench.seed)
    how = {"title": "bench reading", "as_json": bench.json, "together": count}
    return tabled(jobs, work, Path(bench.out), form, about, **how)


def jobs_of(bench: Reading) -> list[Job]:
    """One a case and seed."""
    jobs = []
    for name in bench.cases or CASES:
        case = CASES[name]
        place, game = case.place, case.place.game.partition(":")[0]
        chosen = settings(place, "goal_ppo", case.settings)
        chosen = lone_hunter.settings(case.settings) if case.lone else chosen
        about = {"case": name, "scenario": case.scenario, "game": place.game, "match": place.match}
        about |= {"seat": place.seat, "algorithm": "goal_ppo", "settings": chosen}
        met = lone_hunter.RULES if case.lone else None
        about |= {"sets": {pool: list(met or members(game, pool)) for pool in case.sets}}
        about |= {"of": lone_hunter.OF} if case.lone else {}  # once, of all that were watched
        about |= {"steps": bench.steps or case.steps, "matches": bench.matches or case.matches}
        first = Job(name, about, bench.seed)
        jobs += [replace(first, seed=bench.seed + i) for i in range(bench.seeds)]
    return jobs


def measured(job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """What each agent of so many seeds from one on predicts and believes of every set of
    opponents."""
    about, case = job.config, CASES[job.config["case"]]
    if case.lone:
        size = about["settings"], about["steps"], about["matches"]
        each = (lone_hunter.recognised(seed + i, *size) for i in range(seeds))
        return [{"train": {"lone": found}} for found in each]
    place = case.place
    env = envs.make(place.game)
    agents, _ = learnt(about, env, seed, seeds)
    most = int(about["matches"])
    number = dict.fromkeys(about["sets"], max(most // 3, 2)) | {"train": most}
    of = lambda agent, pool, n: told(watched(about, place, env, agent, pool, n))
    return [{pool: of(agent, pool, n) for pool, n in number.items()} for agent in agents]


def watched(
    about: dict[str, Any], place: Scenario, env: Any, agent: Any, pool: str, matches: int
) -> dict[str, Any]:
    """Measures of an agent, of so many matches with a set of opponents; play is sampled.
    ``about`` is the training that it comes from."""
    seats = dict.fromkeys(range(env.num_seats), f"pool:{pool}") | {place.seat: "random"}
    roster = seated(roster_of(env, seats), place.seat, [agent], (pool,))
    rules, known = known_to(env, place, roster)
    roster, rules = informed(env, place, roster, place.seat, rules)
    w = watch(env, roster, matches, place.match, SEED, known=rules)
    w = unread(w) if rules is None else w
    return measures(w, known, roster.ids, meant=meant(about, env, known))


def meant(about: dict[str, Any], env: Any, known: Known) -> Own | None:
    """Which of the known rules the types of an agent are, by the training that it comes from."""
    kinds = training(about, env, 0, 1)[-1].kinds
    names = {i: name for kind in kinds for i, name in kind.ids.items()}
    return of_training(about["settings"], [names[i] for i in opponent_ids(kinds)], env, known)


def told(found: dict[str, Any]) -> dict[str, Any]:
    """The figures among measures, None where there are none."""
    lines = found["next_move"]["lines"] if found["next_move"] else []
    moves = {
        line["predictor"]: {
            "nll": line["nll"]["estimate"],
            "excess": line["excess"]["estimate"],
            "top1": line["accuracy"] and line["accuracy"]["estimate"],
            "moves": line["moves"],
        }
        for line in lines
        if line["opponent"] is None
    }
    types, bands = found["types"] or {}, found["calibration"]
    beliefs = {who: _belief(types[who]) for who in (MODEL, FILTER) if types.get(who)}
    for who, kind in ((MODEL, "types"), (FILTER, FILTER)):
        if who in beliefs and bands[kind]:
            names = ("ece", "ece_high", "p_value", "predictions", "inside")
            beliefs[who] |= {name: bands[kind][name] for name in names}
    groups = found["grouping"] or {}
    return {"moves": moves, "types": beliefs, "groups": {k: v for k, v in groups.items() if v}}


def _belief(scores: dict[str, Any]) -> dict[str, Any]:
    """Of one posterior: its Brier score by moves seen, and when the type was known for good."""
    points = {point["x"]: point["brier"] for point in scores["by_moves"]}
    row: dict[str, Any] = {"brier": {str(x): points[x] for x in AT if x in points}}
    if soon := scores["identified"]:
        half = np.flatnonzero(np.array(soon["by_episodes"]) >= 0.5)
        row |= {"known": soon["share"], "median_moves": soon["median_moves"]}
        row |= {"median_episodes": int(half[0]) if len(half) else None}
        row |= {"known_by_episode": soon["by_episodes"]}
    return row


def gathered(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a case and set, with what every seed found."""
    groups: dict[str, list[Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.config["case"], [job]).append(result)
    return [
        {name: job.config[name] for name in ("case", "scenario", "steps", "matches")}
        | {"set": pool, "per_seed": [row[pool] for row in rows]}
        for job, *rows in groups.values()
        for pool in job.config["sets"]
    ]


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the lines of a job from others."""
    return [{"reader of": job.config["case"], "set": pool} for pool in job.config["sets"]]
