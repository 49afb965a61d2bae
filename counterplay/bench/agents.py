"""What learners earn of knowing the others: adaptation scores of every algorithm on the scenarios.

Every agent trains as many steps against the training set, in the scenario's seat, and is then met
with the training set and with opponents of families it never met. It plays sampled or greedy,
whichever earned more in other matches than those reported.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from counterplay import algos, envs
from counterplay.bench import study_tables
from counterplay.bench.adaptation import SEED, Way
from counterplay.bench.controlled import controlled
from counterplay.bench.reached import LETTER, usual
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import marks, published, references
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.jobs import Job, Together
from counterplay.names import unknown
from counterplay.opponents.sets import members
from counterplay.pools import named, read_seats, roster_of
from counterplay.queues import Form, tabled
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.settings import as_json, check_least, from_json

Players = dict[str, tuple[str, dict[str, Any]]]
"""Name in a table -> an algorithm, and settings that are not those it has anyway."""
MANY: dict[str, Any] = {"lanes": 128}
"""Many small iterations: a scenario's steps are few."""
PLAYERS: Players = {
    "counterplay": ("counterplay", MANY),
    "goal_ppo": ("goal_ppo", MANY),
    "moa": ("moa", MANY | {"gru": 64}),
    "liam": ("liam", MANY),
    "naive_om": ("naive_om", MANY),
    "ppo": ("ppo", MANY),
    "ppo-gru": ("ppo", MANY | {"gru": 64}),
    "dqn": ("dqn", {}),
    "goal_dqn": ("goal_dqn", {}),
}
POOLS = ("train", "held-out")
FORESEEN = ("others_nll", "others_top1")
"""Of those who predict moves, how well in the last tenth of the training."""


@dataclass(frozen=True)
class Agents:
    """Adaptation scores of learners on the scenarios, against opponents known and unknown."""

    scenarios: tuple[str, ...] = ()
    """Scenarios; by default the latest of each game whose published references tell a score."""
    players: tuple[str, ...] = ()
    """Learners; by default all."""
    seed: int = 200
    """First seed of training."""
    seeds: int = 10
    """Trainings of each."""
    together: int | None = None
    """How many of them are one program, which has to be compiled once for each: by default one a
    core; best a number that divides the trainings, and that cores can share. What is stopped
    halfway is lost."""
    steps: int | None = None
    """Environment steps of each training; by default the scenario's budget."""
    matches: int | None = None
    """Matches by which each is reported, against either set, by default the scenario's; half as
    many choose between sampled and greedy play."""
    out: str = "runs/agents"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, together=1, steps=1, matches=40)
        for player in self.players:
            if player not in PLAYERS:
                raise unknown("player", player, PLAYERS)


def main(args: list[str]) -> int:
    """``counterplay bench agents``"""
    bench = read(Agents, args, "bench agents")
    players = {name: PLAYERS[name] for name in bench.players or PLAYERS}
    return met(bench, players, "bench agents", "adaptation scores", bench.together)


def met(
    bench: Any, players: Players, title: str, heading: str = "", together: int | None = None
) -> int:
    """Prints what players earn in scenarios; exit status 1 where the queue was stopped. ``bench``
    has the settings of ``Agents`` but for ``together``, how many trainings are one program; the
    table is called as the queue is, or has a ``heading``."""
    scenarios = [scenario_of(name) for name in bench.scenarios] or latest()
    for scenario, pool in ((s, p) for s in scenarios for p in POOLS):
        published.references(scenario, pool)  # without which nothing could be told at the end
    set_threads()
    use_all_cores()
    count = min(together or references.together(bench.seeds), bench.seeds)
    jobs = [
        job_of(scenario, name, player, seed, bench)
        for scenario in scenarios
        for name, player in players.items()
        for seed in range(bench.seed, bench.seed + bench.seeds)
    ]
    work = Together(lambda job, seed: measured(job, seed, count), count, bench.seed)
    about = {"seed": bench.seed, "seeds": bench.seeds}
    form = Form(heading or title, scored, study_tables.agents, named_by)
    how = {"title": title, "as_json": bench.json, "together": count}
    return tabled(jobs, work, Path(bench.out), form, about, **how)


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the lines of a job from others."""
    about = {name: job.config[name] for name in ("scenario", "player")}
    return [about | {"set": pool} for pool in POOLS]


def latest() -> list[Scenario]:
    """Of every game the scenario of the highest version whose published references tell a score."""
    return list({s.name.rpartition("-v")[0]: s for s in published.telling()}.values())


def job_of(
    scenario: Scenario, name: str, player: tuple[str, dict[str, Any]], seed: int, bench: Any
) -> Job:
    """One training of a player; ``bench`` has the settings of ``Agents``."""
    game = scenario.game.partition(":")[0]
    about = {"scenario": scenario.name, "game": scenario.game, "match": scenario.match}
    about |= {"seat": scenario.seat, "player": name, "algorithm": player[0]}
    about |= {"settings": settings(scenario, *player)}
    if about["settings"].get("plan") == "letter":  # once, left places had a value there
        about |= {"letter": LETTER}
    about |= {"loss": "legal moves"} if player[0] == "moa" else {}  # once, over all of them
    about |= {pool: list(members(game, pool)) for pool in POOLS}
    about |= {"steps": bench.steps or scenario.budget}
    about |= {"matches": bench.matches or scenario.matches} | scenario.measured
    return Job(f"{scenario.file}-{name}", about, seed)


def settings(scenario: Scenario, algorithm: str, more: dict[str, Any]) -> dict[str, Any]:
    """All that an algorithm has, but for its size: its own, those of the scenario, and what a
    player adds. A result depends on them all, also where it has them anyway."""
    known = usual(algorithm)
    given = {k: v for k, v in scenario.training.items() if k in known}
    return as_json(known | given | more)


def config_class(algorithm: str) -> Any:
    """The settings of an algorithm."""
    return import_module(algos.module_of(algorithm)).Config


def measured(job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """What so many seeds from one on earn in each way to play, against either set."""
    about = job.config
    scenario, env = scenario_of(about["scenario"]), envs.make(about["game"])
    agents, foreseen = learnt(about, env, seed, seeds)
    found = [play(scenario, env, pool, agents, about["matches"]) for pool in POOLS]
    told = [{"foreseen": each} for each in foreseen]
    sets = [dict(zip(POOLS, each, strict=True)) for each in zip(*found, strict=True)]
    return [one | more for one, more in zip(sets, told, strict=True)]


def training(about: dict[str, Any], env: Any, seed: int, seeds: int) -> tuple[Any, Any, Roster]:
    """Module, settings and seats of a training; all but the learner are ``against``, by default
    the training set. ``env`` is the game of the scenario."""
    module: Any = import_module(algos.module_of(about["algorithm"]))
    module = controlled(module, about.get("control"))
    chosen = from_json(about["settings"])
    sizes = {"seed": seed, "seeds": seeds, "steps": about["steps"], "match": about["match"]}
    them = about.get("against", "pool:train")
    entries = [f"{i}={'self' if i == about['seat'] else them}" for i in range(env.num_seats)]
    roster = roster_of(env, read_seats(tuple(entries), env.num_seats))
    return module, module.Config(**sizes, **chosen), roster


def learnt(
    about: dict[str, Any], env: Any, seed: int, seeds: int, inside: Any = None
) -> tuple[list[Any], list[list[float]]]:
    """Agents of so many seeds from one on, and FORESEEN of each; ``inside`` a game that is shown
    and pays in another way, where there is one."""
    module, config, roster = training(about, env, seed, seeds)
    foreseen, nets = [], None
    for update in module.train(config, env if inside is None else inside, roster):
        told, nets = update.metrics, update.nets[0]
        foreseen.append([np.asarray(told[n]) for n in FORESEEN if n in told])
    nets = jax.tree.map(np.asarray, nets)
    late = np.mean(foreseen[-max(len(foreseen) // 10, 1) :], axis=0)  # [FORESEEN or none, seeds]
    of = lambda i: [float(x) for x in late[..., i]] if late.size else []
    agents = [module.Agent(jax.tree.map(itemgetter((i, 0)), nets)) for i in range(seeds)]
    return agents, [of(i) for i in range(seeds)]


def play(
    scenario: Scenario, env: Any, pool: str, agents: list[Any], matches: int, them: str = ""
) -> list[dict[str, Any]]:
    """What each agent earns an episode, sampled and greedy, in the form of
    ``references.measure``; ``them`` are opponents that are no set."""
    them = them or f"pool:{pool}"
    seats = dict.fromkeys(range(env.num_seats), them)
    seats |= {scenario.seat: "random"}
    ways = [Way(agent, jnp.asarray(greedy)) for agent in agents for greedy in (False, True)]
    labels = tuple(f"{i}, {way}" for i in range(len(agents)) for way in references.PLAYS)
    roster = seated(roster_of(env, seats), scenario.seat, ways, labels)
    rows = EpisodeRows()
    episodes = (matches // 2 + matches) * scenario.match
    evaluate(env, roster, episodes, seed=SEED, match=scenario.match, rows=rows)
    found = rows.match_returns(scenario.alike(len(named(them, env))))
    return [
        {way: references.parted(found[f"{i}, {way}"]) for way in references.PLAYS}
        for i in range(len(agents))
    ]


def seated(roster: Roster, seat: int, policies: list[Any], labels: tuple[str, ...]) -> Roster:
    """The one table of a roster for every policy in that seat; all are of one kind."""
    (chairs,) = roster.tables
    at = chairs[seat].kind
    count = len(policies)
    kind = Kind("agents", count, policy=bank(policies), first_id=max(roster.ids) + 1)
    kinds = tuple(kind if i == at else k for i, k in enumerate(roster.kinds))
    tables = tuple(tuple(Chair(at, w) if c.kind == at else c for c in chairs) for w in range(count))
    return replace(roster, kinds=kinds, tables=tables, labels=labels, focal=(seat,) * count)


def marks_of(scenario: Scenario, player: str) -> str | None:
    """The privileges of one of PLAYERS; None of others, of whom their rows tell."""
    if player not in PLAYERS:
        return None
    return _marks(scenario, PLAYERS[player][0], settings(scenario, *PLAYERS[player]))


def _marks(scenario: Scenario, algorithm: str, settings: dict[str, Any]) -> str:
    return marks.in_training(algorithm, settings, envs.make(scenario.game).num_goals)


def scored(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a scenario, player and set, over all its seeds."""
    groups: dict[str, list[Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, [job]).append(result)
    return [row_of(job, pool, rows) for job, *rows in groups.values() for pool in POOLS]


def reported(rows: list[dict[str, Any]], pool: str) -> tuple[list[str], np.ndarray]:
    """How every seed plays, as its choice on the training set says, against either set, and what
    it earns, [seeds, blocks]."""
    ways = [max(row["train"], key=lambda w, r=row: r["train"][w]["choice"]) for row in rows]
    played = [row[pool][way]["report"] for row, way in zip(rows, ways, strict=True)]
    return ways, np.array(played)


def row_of(job: Job, pool: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Where a player lies between the references of one set; ``rows`` are one a seed."""
    scenario = scenario_of(job.config["scenario"])
    ways, returns = reported(rows, pool)
    between = published.references(scenario, pool)
    told = between.score(returns)
    scores = {"score": told.score, "share": told.share}
    row = {"scenario": scenario.name, "player": job.config["player"], "set": pool}
    row |= {"references": between.digest}
    if {"algorithm", "settings"} <= set(job.config):
        row["marks"] = _marks(scenario, job.config["algorithm"], job.config["settings"])
    row |= {"steps": job.config["steps"], "matches": job.config["matches"], "plays": ways}
    row |= {name: x and [float(part) for part in x[:3]] for name, x in scores.items()}
    foreseen = np.array([one["foreseen"] for one in rows]).mean(0)
    row |= dict(zip(FORESEEN, foreseen.tolist(), strict=False)) if pool == "train" else {}
    return row | {"mean": float(returns.mean()), "per_seed": [float(x) for x in returns.mean(1)]}
