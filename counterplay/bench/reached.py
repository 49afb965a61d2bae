"""What our agent reaches on 4x4 stag hunt, with and without its plans, and how soon."""

import json
import tempfile
import time
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from counterplay import envs
from counterplay.algos import module_of
from counterplay.algos.looking import Latent
from counterplay.bench import planning_tables
from counterplay.bench.learning import Bench, trained
from counterplay.console import read, use_all_cores
from counterplay.jobs import Job
from counterplay.planning.naming import read_planner, with_planner
from counterplay.queues import Form, tabled
from counterplay.runs.logbook import METRICS
from counterplay.settings import as_json, check_least

ARGMAX = "trust=1,temperature=0.01"
PLANNERS = ("none", *(f"latent:form={form},{ARGMAX}" for form in ("full", "arriving", "letter")))
SIZES = ("seed", "seeds", "steps", "match")
"""Settings that a job tells by itself."""
LETTER = "no value where I left"
"""How plans to the letter are understood: with other jobs they were, once, in another way."""
SHARE, SMOOTH = 0.95, 5
"""Of its final return; means over so many iterations."""


@dataclass(frozen=True)
class Reached(Bench):
    """A training in self-play and in every seat in turn against three of a kind, each played on
    afterwards as it was trained, greedily, by its policy alone, and wholly by its plans."""

    algorithm: Literal["counterplay", "goal_ppo"] = "counterplay"
    """Who is trained."""
    against: tuple[str, ...] = ("self", "nearest_stag", "nearest_hare", "random")
    """Who fills the other seats, one training each."""
    steps: int | None = 1_500_000
    """Environment steps of a training in self-play."""
    focal_steps: int = 4_000_000
    """And of one against others: one seat in four learns."""
    queue: str = "runs/reached"
    """Folder of the rows that are done; a second call goes on where the first was stopped."""
    planned_episodes: int = 8192
    """Episodes of each evaluation with a planner, which take longer."""
    planners: tuple[str, ...] = ()
    """How else each plays afterwards, as ``eval --planner`` takes it: by default its policy alone,
    and the best of all moves by each form of plan; ``goal_ppo`` has learnt no world to plan in."""

    def __post_init__(self):
        super().__post_init__()
        check_least(self, focal_steps=1, planned_episodes=1)
        for planner in self.planners:
            needs_world = isinstance(read_planner(planner), Latent)
            if needs_world and self.algorithm == "goal_ppo":
                raise ValueError(f"--planners {planner}: goal_ppo learns no world to plan in")

    @property
    def ways(self) -> tuple[str, ...]:
        """The planners that are asked for."""
        return self.planners or PLANNERS[: len(PLANNERS) if self.algorithm == "counterplay" else 1]


def main(args: list[str]) -> int:
    """``counterplay bench reached``"""
    title = "bench reached"
    bench = read(Reached, args, title)
    use_all_cores()
    jobs = [
        Job(f"{bench.algorithm}-{other}", _about(bench, other), seed)
        for other in bench.against
        for seed in range(bench.seed, bench.seed + bench.seeds)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        work = partial(_row, bench, scratch)
        heading = f"{bench.algorithm} on {bench.env}, {bench.episodes:,} episodes, ± is 1.96 se"
        form = Form(heading, lambda jobs, rows: list(rows), planning_tables.reached, _named_by)
        about = {"algorithm": bench.algorithm, "episodes": bench.episodes, "seeds": bench.seeds}
        about |= {"planned_episodes": bench.planned_episodes}
        queue, how = Path(bench.queue), {"title": title, "as_json": bench.json}
        return tabled(jobs, work, queue, form, about, **how)


def _named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the line of a job from others."""
    return [planning_tables.who_was_met(job.config["against"], job.seed)]


def _about(bench: Reached, other: str) -> dict[str, Any]:
    """All that a row depends on besides the seed."""
    steps = bench.steps if other == "self" else bench.focal_steps
    about = {"algorithm": bench.algorithm, "env": bench.env, "against": other, "steps": steps}
    return about | {
        "episodes": bench.episodes,
        "planners": list(bench.ways),
        "planned_episodes": bench.planned_episodes,
        "settings": as_json(usual(bench.algorithm)),
        "letter": LETTER,
    }


def usual(algorithm: str) -> dict[str, Any]:
    """The settings that a training has anyway, but for its size."""
    config = import_module(module_of(algorithm)).Config()
    return {f.name: getattr(config, f.name) for f in fields(config) if f.name not in SIZES}


def _row(bench: Reached, scratch: str, job: Job) -> dict[str, Any]:
    other, began = job.config["against"], time.perf_counter()
    alone = other == "self"
    bench = replace(bench, seed=job.seed, seeds=1, steps=job.config["steps"])
    folder = f"{bench.out or scratch}/{job.name}-{job.seed}"
    done = trained(bench, folder, began, () if alone else (other,), bench.algorithm)
    row: dict[str, Any] = {"against": other, "seed": bench.seed, "steps": done.steps}
    run = f"run:{done.folder}"
    play = lambda bench, planner, greedy: _played(
        bench, with_planner(planner, run), () if alone else (other,), greedy
    )
    row |= {"sampled": play(bench, None, False), "greedy": play(bench, None, True)}
    few = replace(bench, episodes=min(bench.episodes, bench.planned_episodes))
    row["planners"] = {planner: play(few, planner, False) for planner in job.config["planners"]}
    times = {"seconds": done.seconds, "compile_seconds": done.compile_seconds}
    steps, trust = _learning(Path(done.folder) / METRICS)
    learning = done.seconds - done.compile_seconds
    soon = steps and done.compile_seconds + learning * steps / done.steps
    return row | times | {"near_steps": steps, "near_seconds": soon, "trust": trust}


def _played(bench: Reached, who: str, others: tuple[str, ...], greedy: bool) -> tuple[float, float]:
    """What it earns on average, in all seats in turn, and 1.96 standard errors."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_against, roster_alone

    env = envs.make(bench.env)
    roster = roster_against(env, who, others) if others else roster_alone(env, (who,))
    (found,) = evaluate(env, roster, bench.episodes, seed=bench.seed, greedy=greedy)
    if found.focal_mean is not None and found.focal_error is not None:
        return float(found.focal_mean), 1.96 * float(found.focal_error)
    error = float(np.sqrt((found.error**2).sum()) / len(found.error))
    return float(found.mean.mean()), 1.96 * error


def _learning(metrics: Path) -> tuple[int | None, float | None]:
    """Steps after which training first comes near what it earns in the end, and the trust in plans
    over the last tenth of it."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    known = [(row["steps"], row["return"][0]) for row in rows if row["return"][0] is not None]
    steps, returns = np.array([s for s, _ in known]), np.array([r for _, r in known])
    trust = [row["trust"][0] for row in rows[-(len(rows) // 10 + 1) :] if "trust" in row]
    return near(steps, returns), float(np.mean(trust)) if trust else None


def near(steps: np.ndarray, returns: np.ndarray) -> int | None:
    """The first of so many steps at which the mean of the last few returns is ``SHARE`` of what it
    is in the end; None where that is not above 0, or nothing is known."""
    size = min(SMOOTH, len(returns))
    means = np.convolve(returns, np.ones(size) / size, "valid") if size else np.zeros(1)
    if means[-1] <= 0:
        return None
    return int(steps[size - 1 :][np.argmax(means >= SHARE * means[-1])])
