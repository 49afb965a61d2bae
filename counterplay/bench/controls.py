"""The controls: agents that are kept from knowing the others earn nothing of knowing them.

Each is an agent trained anew, with one thing taken from it. ``prior`` and ``permuted`` are as
``bench.controlled`` says; they score about 0, as who plays blind, or something else than inference
pays in the scenario. With the pool of one, ``alone``, there is nothing to infer and all is paid
that PPO is paid. ``a_a`` is the agent as it is, twice, with other seeds.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from counterplay import envs
from counterplay.algos import ppo
from counterplay.bench import study_tables
from counterplay.bench.adaptation_table import held
from counterplay.bench.agents import MANY, PLAYERS, job_of, learnt, play, reported, row_of, settings
from counterplay.bench.controlled import SETTINGS
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import published, references
from counterplay.evaluate.a_a import LEAST_SEEDS, a_a, halves
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.evaluate.statistics import mean, paired_permutation, resampled
from counterplay.jobs import Job, Together
from counterplay.names import unknown
from counterplay.queues import Form, tabled
from counterplay.settings import check_least

CONTROLS = ("prior", "permuted", "alone", "a_a")
READERS = ("goal_ppo", "counterplay")
BESIDE = "ppo"
"""Whom the pool of one pays as much."""
MOST = 0.1
"""Adaptation score that nobody reaches who knows nothing."""
CLOSE = 0.02
"""Share by which equals may differ."""
LEVEL = 0.05
LEAST_PAIRS = LEAST_SEEDS // 2


@dataclass(frozen=True)
class Controls:
    """Agents that read the others, retrained without what there is to read."""

    scenarios: tuple[str, ...] = ("race", "coordination")
    """Scenarios whose published references tell a score."""
    players: tuple[str, ...] = READERS
    """Agents; the settings are those of ``bench agents`` but for what a control asks for."""
    controls: tuple[str, ...] = CONTROLS
    """Any of prior, permuted, alone and a_a."""
    seed: int = 300
    """First seed of training."""
    seeds: int = 10
    """Trainings of each; ``a_a`` compares so many with as many others."""
    steps: int | None = None
    """Environment steps of each training; by default the scenario's budget."""
    matches: int | None = None
    """Matches by which each is reported, by default the scenario's; half as many choose between
    sampled and greedy play."""
    out: str = "runs/controls"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, steps=1, matches=40)
        for name, known in (("players", READERS), ("controls", CONTROLS)):
            for found in getattr(self, name):
                if found not in known:
                    raise unknown(name[:-1], found, known)


def main(args: list[str]) -> int:
    """``counterplay bench controls``"""
    bench = read(Controls, args, "bench controls")
    jobs = jobs_of(bench)
    set_threads()
    use_all_cores()
    count = references.together(bench.seeds)
    work = Together(lambda job, seed: measured(job, seed, count), count, bench.seed)
    gathered = lambda done, results: rows_of(done, results, bench.seeds)
    form = Form("controls", gathered, study_tables.controls, named_by)
    about = {"seed": bench.seed, "seeds": bench.seeds}
    how = {"title": "bench controls", "as_json": bench.json, "together": count}
    return tabled(jobs, work, Path(bench.out), form, about, **how)


def jobs_of(bench: Controls) -> list[Job]:
    """One a training. ValueError for scenarios that tell no score."""
    scenarios = [scenario_of(name) for name in bench.scenarios]
    for scenario in scenarios:
        if not published.references(scenario).tells:
            raise ValueError(
                f"--scenarios: expected some whose references tell a score, found {scenario.name}"
            )
    found = {
        (job.name, job.seed): job
        for scenario in scenarios
        for control in bench.controls
        for player in bench.players
        for i in range(bench.seeds * (2 if control == "a_a" else 1))
        for job in _jobs(scenario, control, player, bench.seed + i, bench)
    }
    return list(found.values())


def _jobs(scenario: Scenario, control: str, name: str, seed: int, bench: Controls) -> list[Job]:
    """The training of a player, and with the pool of one that of PPO with the same settings."""
    algorithm, more = PLAYERS[name]
    if control != "alone":
        job = job_of(scenario, name, (algorithm, more | SETTINGS.get(control, {})), seed, bench)
        about = {"control": control} if control in SETTINGS else {}
        return [replace(job, name=f"{job.name}-{control}", config=job.config | about)]
    own = settings(scenario, algorithm, more)
    same = {f.name: own[f.name] for f in fields(ppo.Config) if f.name in own}
    both = (name, (algorithm, more)), (f"{BESIDE}-as-{name}", (BESIDE, same | MANY))
    jobs = [job_of(scenario, who, player, seed, bench) for who, player in both]
    them = {"against": jobs[0].config["train"][0]}
    return [replace(job, name=f"{job.name}-alone", config=job.config | them) for job in jobs]


def measured(job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """What so many seeds from one on earn in each way to play, against those of their training."""
    about = job.config
    scenario, env = scenario_of(about["scenario"]), envs.make(about["game"])
    agents, foreseen = learnt(about, env, seed, seeds)
    them = about.get("against", "")
    played = play(scenario, env, "train", agents, about["matches"], them)
    return [{"train": one, "foreseen": told} for one, told in zip(played, foreseen, strict=True)]


def rows_of(jobs: list[Job], results: list[Any], seeds: int) -> list[dict[str, Any]]:
    """One row a control, player and scenario, over all its seeds that were done.

    ``a_a`` compares each of so many seeds with the one that is so many further on. Without both
    sides of a comparison there is no row.
    """
    groups: dict[str, tuple[Job, dict[int, Any]]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, (job, {}))[1][job.seed] = result
    rows = []
    for name, (job, by_seed) in groups.items():
        about, control = job.config, job.name.rpartition("-")[2]
        player, beside = about["player"], f"{BESIDE}-as-{about['player']}"
        _, other = groups.get(name.replace(player, beside), (job, {}))
        pairs = [(s, s + seeds) for s in by_seed if s + seeds in by_seed]
        if player not in READERS or not {"alone": other, "a_a": pairs}.get(control, by_seed):
            continue
        found = [*by_seed.values()]
        row = {"control": control, "player": player, "scenario": about["scenario"]}
        row |= {"steps": about["steps"], "matches": about["matches"], "seeds": len(found)}
        if control == "alone":
            row |= {"against": about["against"]} | compared(found, [*other.values()])
        elif control == "a_a":
            halved = [by_seed[pair[half]] for half in (0, 1) for pair in pairs]
            row |= {"seeds": len(pairs)} | twice(reported(halved, "train")[1].mean(1))
        else:
            row |= scored(control, row_of(job, "train", found))
        rows.append(row)
    return rows


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the line of a job from others; of PPO, beside a reader, that one's."""
    player = job.config["player"].removeprefix(f"{BESIDE}-as-")
    row = {"control": job.name.rpartition("-")[2], "player": player}
    return [row | {"scenario": job.config["scenario"]}]


def scored(control: str, row: dict[str, Any]) -> dict[str, Any]:
    """Whether an adaptation score is that of who knows nothing."""
    low = -MOST if control == "prior" else None
    told = {"measure": "score", "found": row["score"], "asked": [low, MOST]}
    told |= {"held": held(row["score"], low, MOST) if row["score"] else None}
    return told | {name: row[name] for name in ("mean", "per_seed", "plays", "references")}


def compared(rows: list[Any], beside: list[Any]) -> dict[str, Any]:
    """Return beside PPO's: ratio of means, 95% by a bootstrap over seeds and matches of both."""
    (plays, mine), (_, theirs) = (reported(x, "train") for x in (rows, beside))
    drawn = [resampled(x, mean, seed=[0, i]) for i, x in enumerate((mine, theirs))]
    limits = np.quantile(drawn[0] / drawn[1], [0.025, 0.975])
    ratio = [float(mine.mean() / theirs.mean()), *limits.tolist()]
    bounds = 1 - CLOSE, 1 + CLOSE
    told = {"measure": "ratio", "found": ratio, "asked": list(bounds), "held": held(ratio, *bounds)}
    each = {"mean": float(mine.mean()), "per_seed": mine.mean(1).tolist(), "plays": plays}
    return told | each | {"beside": theirs.mean(1).tolist()}


def twice(returns: Float[np.ndarray, "seeds"]) -> dict[str, Any]:
    """Whether the first half of the seeds differs from the second: p-value of sign flips over
    pairs, None of a single one; and from twelve seeds on the share of random halves in which the
    comparison finds a difference. Of fewer none could be found."""
    first, second = np.split(returns, 2)
    p = paired_permutation(first, second).p_value if len(first) > 1 else None
    told = {"measure": "p", "found": p, "asked": [LEVEL, None], "held": None}
    if len(first) >= LEAST_PAIRS:
        again = a_a(halves(returns), level=LEVEL)
        told |= {"held": p is not None and p > LEVEL and again.sound, "false": again.false}
    return told | {"mean": float(returns.mean()), "per_seed": returns.tolist()}
