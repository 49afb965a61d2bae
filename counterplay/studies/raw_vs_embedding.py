"""``counterplay study raw-vs-embedding``: should a model tell what will be seen, or a latent of it?

Where little is shown, an observation is nearly all zeros, and a loss on it may be low though what
matters is missing. On boards from crowded to nearly empty the same play teaches a model of raw
observations, by squared error or by a chance for every number, and a latent world. Each is asked
how often it knows the next board exactly, and what is earned by planning one move in it.

With ``--quick`` 8 jobs, about nine minutes of one core; else 128 jobs of some 7 minutes each, 15
hours of one core.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.bench import study_tables
from counterplay.bench.adaptation import SEED
from counterplay.bench.agents import seated
from counterplay.console import read, run_where_called
from counterplay.evaluate.returns import evaluate
from counterplay.grammar import LEARNERS
from counterplay.jobs import Job
from counterplay.names import unknown
from counterplay.pools import roster_of
from counterplay.queues import Form, tabled
from counterplay.seats import Roster
from counterplay.settings import check_least
from counterplay.studies import one_step_play
from counterplay.studies.one_step import SEAT, Lesson, learnt
from counterplay.studies.one_step_models import MODELS
from counterplay.studies.one_step_play import OneStep

_LARGEST = "stag_hunt:8x8,size=15,horizon=50"
PLACES = (
    "stag_hunt:4x4,hares=10,obstacles=2",
    "stag_hunt:4x4",
    "stag_hunt:8x8",
    "stag_hunt:8x8,view=2",
    "stag_hunt:8x8,view=1",
    _LARGEST,
    f"{_LARGEST},view=2",
    f"{_LARGEST},view=1",
)
"""From boards on which much is shown to those on which next to nothing is; none is larger."""
QUICK = ("stag_hunt:4x4", "stag_hunt:8x8")
UPDATES, EPISODES = 8192, 4096
QUICK_UPDATES, QUICK_EPISODES = 1024, 512


@dataclass(frozen=True)
class RawVsEmbedding:
    """Learn a model of observations and one of latents from the same play, and plan in each."""

    places: tuple[str, ...] = PLACES
    """Games."""
    models: tuple[str, ...] = tuple(MODELS)
    """What is learnt: raw-squared, raw-bernoulli, latent."""
    behaviour: str = "random"
    """Whose play it is that is learnt from, and that plans are to improve on."""
    against: str = "pool:train"
    """Who sits in the other seats."""
    quick: bool = False
    """One seed, two of the games and a part of the updates: minutes instead of hours."""
    seed: int = 800
    """First seed of play and learning."""
    seeds: int = 5
    """Learners of each kind."""
    updates: int | None = None
    """Steps of Adam, each on 64 windows of 8 slots never seen before; by default 8,192."""
    episodes: int | None = None
    """Episodes by which a plan is judged, by default 4,096."""
    out: str = "runs/raw-vs-embedding"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, updates=1, episodes=2)
        for model in self.models:
            if model not in MODELS:
                raise unknown("model", model, MODELS)
        for name in ("behaviour", "against"):
            if (found := getattr(self, name)) in LEARNERS:
                raise ValueError(f"--{name} is somebody who knows how to play, found {found!r}")


def main(args: list[str]) -> int:
    """``counterplay study raw-vs-embedding``"""
    title = "study raw-vs-embedding"
    chosen = short(read(RawVsEmbedding, args, title))
    jobs = jobs_of(chosen)
    run_where_called()
    form = Form(title, scored, study_tables.raw_vs_embedding, named_by)
    about = {"seed": chosen.seed, "seeds": chosen.seeds, "behaviour": chosen.behaviour}
    how = {"title": title, "as_json": chosen.json}
    return tabled(jobs, measured, Path(chosen.out), form, about, **how)


def short(chosen: RawVsEmbedding) -> RawVsEmbedding:
    """The same, with less of everything where it is to be quick, and all that was left open."""
    quick = chosen.quick
    return replace(
        chosen,
        places=QUICK if quick and chosen.places == PLACES else chosen.places,
        seeds=1 if quick else chosen.seeds,
        updates=chosen.updates or (QUICK_UPDATES if quick else UPDATES),
        episodes=chosen.episodes or (QUICK_EPISODES if quick else EPISODES),
    )


def jobs_of(chosen: RawVsEmbedding) -> list[Job]:
    """Of each game: who is learnt from and a random player, then one a model and seed.

    What is wrong with a game or a player is told before anything is learnt.
    """
    jobs = []
    for place in chosen.places:
        env = envs.make(place)
        check(env, place, chosen.against, chosen.behaviour)
        about = {"place": place, "against": chosen.against, "episodes": chosen.episodes}
        for name in dict.fromkeys((chosen.behaviour, "random")):
            jobs.append(Job(f"{file_of(place)}-plays", about | {"player": name}, chosen.seed))
        for model in chosen.models:
            lesson = Lesson(model, chosen.updates or UPDATES, chosen.behaviour, chosen.against)
            name = f"{file_of(place)}-{model}"
            for seed in range(chosen.seed, chosen.seed + chosen.seeds):
                jobs.append(Job(name, about | {"lesson": asdict(lesson)}, seed))
    return jobs


def check(env: Any, place: str, against: str, behaviour: str) -> None:
    """ValueError for a game or players that this study cannot do with."""
    if hasattr(env, "open"):
        raise ValueError(f"{place} is played outside JAX: this study learns from games in JAX")
    if np.dtype(env.obs_dtype) != np.uint8:
        raise ValueError(
            f"{place} shows {np.dtype(env.obs_dtype)}: chances and marks are of numbers in 0..1, "
            "as games on boards show them"
        )
    tables = len(seats(env, against, behaviour).tables)
    if tables > 1:
        raise ValueError(
            f"--against {against}, --behaviour {behaviour}: all must fit at one table, found "
            f"{tables}: several runs in a list take turns at tables of their own"
        )


def seats(env: Any, against: str, mine: str) -> Roster:
    """Everybody in their places."""
    return roster_of(env, dict.fromkeys(range(env.num_seats), against) | {SEAT: mine}, "it")


def measured(job: Job) -> dict[str, Any]:
    """How right one model is and what is earned by planning in it, or what a player earns."""
    about, env = job.config, envs.make(job.config["place"])
    found: dict[str, Any] = {}
    roster = seats(env, about["against"], about.get("player", "random"))
    roster = replace(roster, focal=(SEAT,))
    if "lesson" in about:
        lesson = Lesson(**about["lesson"])
        nets = learnt(env, lesson, job.seed)
        found = one_step_play.measured(env, lesson, nets, job.seed)
        agent = OneStep(nets, lesson.model, lesson.gamma, lesson.samples)
        roster = seated(roster, SEAT, [agent], ("it",))
    (row,) = evaluate(env, roster, about["episodes"], seed=SEED)
    return found | {"return": row.focal_mean, "return_error": row.focal_error}


def scored(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a game and player or model, over all its seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for job, result in zip(jobs, results, strict=True):
        about = job.config
        who = about["lesson"]["model"] if "lesson" in about else about["player"]
        groups.setdefault((about["place"], who), []).append(result)
    return [{"place": place, "who": who} | _means(rows) for (place, who), rows in groups.items()]


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the line of a job from others."""
    about = job.config
    who = about["lesson"]["model"] if "lesson" in about else f"- ({about['player']})"
    return [{"game": about["place"], "plans in": who}]


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of several seeds; the error of a return is that over seeds, of one seed that over games."""
    returns = [row["return"] for row in rows]
    several, found = len(rows) > 1, {}
    for name in (name for name in rows[0] if not name.startswith("return")):
        told = [row[name] for row in rows]
        found[name] = None if None in told else float(np.mean(told))
    error = np.std(returns, ddof=1) / len(rows) ** 0.5 if several else rows[0]["return_error"]
    told = {"return": float(np.mean(returns)), "return_error": float(error)}
    return found | told | {"per_seed": returns}


def file_of(text: str) -> str:
    """Of a game, as a file may be called."""
    return text.translate(str.maketrans(dict.fromkeys(":=, ", "-"))).replace("--", "-")
