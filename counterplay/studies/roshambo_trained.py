"""``counterplay study roshambo-trained``: what learners earn of RoShamBo bots they never met.

The 43 bots are dealt in folds that keep clones together. A learner trains against the bots of all
folds but one and then plays those of that one, frozen, so that every bot is a stranger once; beside
it a player that learns nothing beforehand meets the same bots.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from counterplay.bench import study_tables
from counterplay.bench.agents import config_class
from counterplay.console import read, run_where_called
from counterplay.jobs import Job, digest
from counterplay.names import unknown
from counterplay.opponents.roshambo import NAMES, THROWS, check_installed
from counterplay.queues import Form, tabled
from counterplay.settings import as_json, check_least, from_json
from counterplay.studies.population import folds
from counterplay.studies.roshambo import AGENT_MATCHES, listed
from counterplay.studies.roshambo_matches import GAME, TOLD, digest_of, met

SETTINGS: dict[str, Any] = {
    "lanes": 68, "slots": 50, "match": 1, "gamma": 0.9, "lam": 0.9, "goals": "none",
    "reader_minibatches": 4, "reader_epochs": 4,
}  # fmt: skip
"""Of all learners, chosen before any bot was met: games are slow, so each chunk is learnt from more
often; a throw pays at once, and what it gives away is used within a few."""
PLAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "goal_ppo": ("goal_ppo", SETTINGS),
    "counterplay": ("counterplay", SETTINGS | {"samples": 0}),
}
"""Name in the table -> algorithm and settings."""
ONLINE = "context_mixture"
"""Who learns nothing beforehand."""
STEPS, QUICK_STEPS = 1_000_000, 34_000
QUICK_BOTS = ("rockbot", "copybot", "rotatebot", "freqbot2", "switchbot", "randbot")


@dataclass(frozen=True)
class RoShamBoTrained:
    """Train against the RoShamBo bots of all folds but one, and play those of that one."""

    players: tuple[str, ...] = (*PLAYERS, ONLINE)
    """Learners of the study, goal_ppo and counterplay, and rules that learn nothing beforehand:
    context_mixture, random."""
    bots: str = ""
    """The population, as a comma list; by default all 43."""
    folds: int = 0
    """Folds, clones never in two; 0 is 5, or as many as there are."""
    quick: bool = False
    """One seed, six bots in two folds, 34,000 throws a training and 4 matches: minutes instead of
    hours."""
    seed: int = 900
    """First seed of training."""
    seeds: int = 5
    """Trainings of each learner for each fold."""
    steps: int = STEPS
    """Throws of each training."""
    matches: int = AGENT_MATCHES
    """Matches against each bot."""
    throws: int = THROWS
    """Throws a match, 2 to 1000."""
    out: str = "runs/roshambo-trained"
    """Folder of the queue and of the trainings, which are run folders; a second call goes on where
    the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, steps=1, matches=1)
        if not 2 <= self.throws <= THROWS:
            raise ValueError(f"--throws must be 2 to {THROWS}, found {self.throws}")
        if not 0 <= self.seed <= 2**31 - self.seeds:
            raise ValueError(f"--seed must be 0 to {2**31 - self.seeds}, found {self.seed}")
        known = *PLAYERS, ONLINE, "random"
        for player in self.players:
            if player not in known:
                raise unknown("player", player, known)
        if len(self.dealt) < 2:
            raise ValueError("--folds must be 2 or more: somebody must be left to train against")

    @property
    def dealt(self) -> list[list[str]]:
        """The bots of every fold."""
        names = listed("--bots", self.bots, NAMES) or list(NAMES)
        return folds(names, self.folds)


def main(args: list[str]) -> int:
    """``counterplay study roshambo-trained``"""
    title = "study roshambo-trained"
    chosen = short(read(RoShamBoTrained, args, title))
    check_installed(title)
    run_where_called()  # games in ordinary Python; before JAX is used
    jobs, out = jobs_of(chosen), Path(chosen.out)
    rows = partial(scored, len(chosen.dealt))
    form = Form(title, rows, study_tables.roshambo_trained, named_by)
    about = {"seed": chosen.seed, "seeds": chosen.seeds, "throws": chosen.throws}
    about |= {"matches": chosen.matches, "folds": chosen.dealt}
    work = lambda job: measured(job, out)
    return tabled(jobs, work, out, form, about, title=title, as_json=chosen.json)


def short(chosen: RoShamBoTrained) -> RoShamBoTrained:
    """The same, with less of everything where it is to be quick."""
    if not chosen.quick:
        return chosen
    less = {"steps": min(chosen.steps, QUICK_STEPS), "matches": min(chosen.matches, 4)}
    few = {"bots": chosen.bots or ",".join(QUICK_BOTS), "folds": chosen.folds or 2}
    return replace(chosen, seeds=1, **few, **less)


def jobs_of(chosen: RoShamBoTrained) -> list[Job]:
    """One a player, fold and seed."""
    jobs = []
    for player in chosen.players:
        for i, fold in enumerate(chosen.dealt):
            about = {"player": player, "fold": i, "bots": fold, "throws": chosen.throws}
            about |= {"matches": chosen.matches, "told": TOLD}
            if player in PLAYERS:
                rest = [bot for other in chosen.dealt for bot in other if bot not in fold]
                about |= {"training": training_of(player, sorted(rest), chosen)}
            else:
                about |= {"is": digest_of(player)}
            seeds = range(chosen.seed, chosen.seed + chosen.seeds)
            jobs += [Job(f"{player}-fold-{i}", about, seed) for seed in seeds]
    return jobs


def training_of(player: str, bots: list[str], chosen: RoShamBoTrained) -> dict[str, Any]:
    """All that a training depends on besides its seed, also what it has anyway."""
    algorithm, given = PLAYERS[player]
    settings = as_json(asdict(config_class(algorithm)(**given)))
    settings = {k: v for k, v in settings.items() if k not in ("seed", "seeds", "steps")}
    about = {"algorithm": algorithm, "settings": settings, "against": bots}
    return about | {"steps": chosen.steps, "throws": chosen.throws}


def measured(job: Job, out: Path) -> dict[str, Any]:
    """What the player earned of every bot of the fold in each match, and how it foresaw it."""
    from counterplay import envs

    about, agent = job.config, job.config["player"]
    if "training" in about:
        agent = f"run:{trained(about['training'], agent, job.seed, out)}"
    env = envs.make(f"{GAME},horizon={about['throws']}")
    size = about["matches"], job.seed, False
    return {bot: met(env, agent, bot, *size) for bot in about["bots"]}


def trained(about: dict[str, Any], player: str, seed: int, out: Path) -> Path:
    """The run folder of a training, which is begun, gone on with, or there already.
    KeyboardInterrupt where it was stopped."""
    from counterplay import verbs

    folder = out / "trained" / f"{player}-{digest(Job('training', about, 0))}-{seed}"
    settings = {"seed": seed, "steps": about["steps"]} | from_json(about["settings"])
    config = config_class(about["algorithm"])(**settings)
    game = f"{GAME},horizon={about['throws']}"
    them = ",".join(f"roshambo:{bot}" for bot in about["against"])
    chosen = verbs.Train(config, env=game, seat=("0=self", f"1={them}"), keep=1)
    there = {"resume": str(folder)} if (folder / "config.json").is_file() else {"out": str(folder)}
    if "out" in there and folder.is_dir():  # was killed before it had settings
        shutil.rmtree(folder)
    done = verbs.run_training(about["algorithm"], replace(chosen, **there), quiet=True)
    if done.stopped:
        raise KeyboardInterrupt
    return folder


def named_by(job: Job) -> list[dict[str, str]]:
    """The cells that tell the line of a job from others."""
    return [{"player": job.config["player"]}]


def scored(count: int, jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a player, of the seeds of which every one of so many folds was played."""
    players: dict[str, dict[int, dict[int, Any]]] = {}
    steps = {}
    for job, result in zip(jobs, results, strict=True):
        about = job.config
        steps[about["player"]] = about.get("training", {}).get("steps")
        seeds = players.setdefault(about["player"], {})
        seeds.setdefault(job.seed, {})[about["fold"]] = result
    rows = []
    for player, seeds in players.items():
        whole = [[each[i] for i in range(count)] for each in seeds.values() if len(each) == count]
        if whole:
            rows.append({"player": player, "steps": steps[player]} | standing_of(whole))
    return rows


def standing_of(seeds: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Means over bots, each of which met the agents that had not trained against it; ``seeds`` have
    a result a fold, by bot."""
    folds = [[*fold] for fold in seeds[0]]
    met = [{bot: one for fold in seed for bot, one in fold.items()} for seed in seeds]
    earned = {bot: [float(np.mean(one[bot]["returns"])) for one in met] for bot in met[0]}
    means = {bot: float(np.mean(each)) for bot, each in earned.items()}
    nats = [x for one in met for each in one.values() for x in each["nll"]]
    worst = min(means, key=lambda bot: means[bot])
    per_seed = np.mean([*earned.values()], 0).tolist()
    return {
        "per_seed": per_seed,
        "population_return": float(np.mean(per_seed)),
        "worst": worst,
        "exploitability": -means[worst],
        "nll": None if None in nats else float(np.mean(nats)),
        "folds": [float(np.mean([means[bot] for bot in fold])) for fold in folds],
        "bots": earned,
    }
