"""``population make``: from a grid of small trainings to pools of opponents split by generator.

A generator is a learning algorithm with those it learnt among. Members of one generator, whatever
their seed or checkpoint, are all in one of train, validation and held-out.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from counterplay import algos, jobs
from counterplay.console import check_names, read, use_all_cores
from counterplay.jobs import Job
from counterplay.names import listed, run_named, unknown
from counterplay.settings import from_json, typed
from counterplay.verbs import Train, run_training

COMMANDS = {"make": ("counterplay.population:make", "train a population and split it into pools")}
MANIFEST = "manifest.json"
POOLS = ("train", "validation", "near", "held-out")
PARTS = 1000
"""Shares of a training are told to one part in so many."""
INTERRUPTED = 130


@dataclass(frozen=True)
class Make:
    """Train opponents of every algorithm among all partners, and split them by generator."""

    env: str = Train.env
    """The game, as for train."""
    algorithm: tuple[str, ...] = ("ppo", "dqn")
    """Learning algorithms."""
    partners: tuple[str, ...] = ("self", "random")
    """Who fills the other seats while one learns, each in trainings of its own: self, a rule, a
    comma list of rules, run:FOLDER or pool:FILE."""
    seeds: int = 4
    """Trainings of each generator."""
    seed: int = 0
    """Of the first of them."""
    at: tuple[float, ...] = (0.1, 0.5, 1.0)
    """The shares of its steps after which a training leaves a member: the first checkpoint at or
    after each."""
    steps: int = 1_000_000
    """Environment steps of a training."""
    set: tuple[str, ...] = ()
    """Settings of the algorithms that have them, as lanes=64 or widths=32,16."""
    validation: tuple[str, ...] = ()
    """Generators of validation, as ALGORITHM/PARTNERS; by default the last but one."""
    held_out: tuple[str, ...] = ()
    """Generators that are held out, as ALGORITHM/PARTNERS; by default the last one."""
    near: int = 0
    """Of the seeds of the generators of train, so many, the last, go into a pool of their own."""
    out: str | None = None
    """Folder of the population, to go on with as well; by default one by the name of the game
    under runs/."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("algorithm", "partners", "at"):
            found = getattr(self, name)
            if not found or len(set(found)) < len(found):
                told = listed(map(str, found))
                raise ValueError(f"--{name} wants one or more, each once, found {told}")
        if not all(1 / PARTS <= share <= 1 for share in self.at):
            raise ValueError(f"--at wants shares of a training, {1 / PARTS} to 1, found {self.at}")
        if self.seeds < 1 or self.steps < 1:
            raise ValueError(
                f"--seeds and --steps must be 1 or more, found {self.seeds} and {self.steps}"
            )
        if not 0 <= self.near < self.seeds:
            raise ValueError(
                f"--near must be 0 to {self.seeds - 1} of the seeds, found {self.near}"
            )


def main(args: list[str]) -> int:
    """``counterplay population ...``"""
    return run_named("population", "command of population", COMMANDS, args)


def make(args: list[str]) -> int:
    """``counterplay population make ...``"""
    chosen = read(Make, args, "population make")
    splits = split(chosen)
    check_names(chosen.env, (), [who for who in chosen.partners if who != "self"])
    use_all_cores(chosen.env)
    folder = Path(chosen.out or f"runs/population-{_plain(chosen.env)}")
    grid = list(jobs_of(chosen))
    title, work = f"population in {chosen.env}", partial(train, folder=folder / "runs")
    rows = jobs.run(grid, work, folder / "jobs", title=title, quiet=chosen.json)
    if None in rows:
        return INTERRUPTED
    members = [m for row in rows if row for m in row["members"]]
    last = chosen.seed + chosen.seeds - chosen.near
    pools: dict[str, list[str]] = {name: [] for name in POOLS if chosen.near or name != "near"}
    for member in members:
        name = splits[member["generator"]]
        name = "near" if name == "train" and member["seed"] >= last else name
        member["pool"] = name
        pools[name].append(member["policy"])
    _write(folder, chosen, members, pools)
    if chosen.json:
        print(json.dumps({"folder": str(folder), "pools": pools}))
        return 0
    for name, texts in pools.items():
        print(f"pool:{folder / name}.txt  {len(texts)} policies")
    return 0


def split(chosen: Make) -> dict[str, str]:
    """Generator -> the pool that it is of; ValueError unless there is one for each pool."""
    every = [f"{name}/{who}" for name, who in product(chosen.algorithm, chosen.partners)]
    if len(every) < 3:
        raise ValueError(
            f"train, validation and held-out want a generator each, found {listed(every)}: name "
            "more algorithms or partners"
        )
    found = dict.fromkeys(every, "train")
    asked = {"held-out": chosen.held_out, "validation": chosen.validation}
    for name, texts in asked.items():
        for text in texts:
            if text not in found:
                raise unknown(f"generator of {name}", text, every)
            if found[text] != "train":
                raise ValueError(f"generator {text} cannot be in validation and in held-out")
            found[text] = name
    for name, texts in asked.items():
        free = [generator for generator in every if found[generator] == "train"]
        if not texts and free:
            found[free[-1]] = name
    if {*found.values()} != {*asked, "train"}:
        raise ValueError("no generator is left for train: name fewer for the other pools")
    return found


def jobs_of(chosen: Make) -> Iterator[Job]:
    """One training a generator and seed."""
    settings = {name: _settings(chosen, name) for name in chosen.algorithm}
    used = {piece for _, taken in settings.values() for piece in taken}
    for piece in chosen.set:
        if piece not in used:
            options = {f.name for name in chosen.algorithm for f in fields(settings[name][0])}
            raise unknown("setting of --set", piece.partition("=")[0], sorted(options))
    for algorithm, partners in product(chosen.algorithm, chosen.partners):
        config = {"env": chosen.env, "algorithm": algorithm, "partners": partners}
        config |= {"at": list(chosen.at), "settings": asdict(settings[algorithm][0])}
        for i in range(chosen.seeds):
            yield Job(f"{algorithm}-{_plain(partners)}", config, chosen.seed + i)


def _settings(chosen: Make, algorithm: str) -> tuple[Any, list[str]]:
    """An algorithm's settings, and which of --set it took."""
    kind = import_module(algos.module_of(algorithm)).Config
    known = {field.name for field in fields(kind)} - {"seed", "seeds", "steps"}
    taken = [piece for piece in chosen.set if piece.partition("=")[0].strip() in known]
    args = ["--steps", str(chosen.steps), *typed(taken)]
    return read(kind, args, f"population make, --set of {algorithm}"), taken


def train(job: Job, folder: Path) -> dict[str, Any]:
    """Trains anew and names the members that this leaves; KeyboardInterrupt where it was ended."""
    from counterplay.runs.checkpoints import POLICY, folder_of, open_checkpoint, steps_of
    from counterplay.runs.disk import remove_folder

    asked = _asked(job, folder / jobs.path_of(job, folder).stem)
    run = Path(asked.out or "")
    if run.exists():  # it was ended before its result was written, and its buffers were not kept
        remove_folder(run)
    done = run_training(job.config["algorithm"], asked, quiet=True)
    if done.stopped:
        raise KeyboardInterrupt
    there, shares = sorted(steps_of(run)), job.config["at"]
    chosen = {share: next(s for s in there if s >= share * asked.config.steps) for share in shares}
    if len({*chosen.values()}) < len(shares):
        raise ValueError(
            f"{run} has checkpoints of steps {listed(map(str, there))}, too few to tell the shares "
            f"{listed(map(str, shares))} apart: train for longer, or on fewer lanes"
        )
    for steps in {*there} - {*chosen.values()}:
        remove_folder(folder_of(run, steps))
    generator = f"{job.config['algorithm']}/{job.config['partners']}"
    members = []
    for share, steps in chosen.items():
        files = open_checkpoint(folder_of(run, steps), None, (POLICY,)).about["files"]
        told = {"policy": f"run:{run}@{steps}", "generator": generator, "seed": job.seed}
        told |= {"share": share, "steps": steps, "sha256": files[POLICY]["sha256"]}
        members.append(told)
    return {"members": members, "return": done.returns[0]}


def _asked(job: Job, run: Path) -> Train:
    """The settings of one training; it saves whenever a share of it may be over."""
    known = job.config["settings"]
    kind = import_module(algos.module_of(job.config["algorithm"])).Config
    config = kind(**from_json(known) | {"seed": job.seed, "seeds": 1})
    parts = math.gcd(*(round(share * PARTS) for share in job.config["at"]))
    partners = job.config["partners"]
    return Train(
        config,
        job.config["env"],
        against=() if partners == "self" else (partners,),
        out=str(run),
        save_seconds=0.0,
        keep=1,
        keep_every=max(parts * config.steps // PARTS, 1),
        checkpoint_buffer="none",
    )


def _write(
    folder: Path, chosen: Make, members: list[dict[str, Any]], pools: dict[str, list[str]]
) -> None:
    """The pools, and the manifest that tells their members from damage and from each other."""
    from counterplay.evaluate.disjoint import check, marks
    from counterplay.runs.disk import write_whole
    from counterplay.runs.folder import here

    found = marks(pools, None)
    check(found)
    for member in members:
        member["digest"] = found[member["pool"]].opponents[member["policy"]]
    row = {"env": chosen.env, "settings": asdict(chosen), "members": members} | here()
    for name, texts in pools.items():
        lines = [f"# {name}: {len(texts)} policies trained in {chosen.env}", *texts]
        write_whole(folder / f"{name}.txt", "\n".join(lines) + "\n")
    write_whole(folder / MANIFEST, json.dumps(row, indent=1) + "\n")


def _plain(text: str) -> str:
    """A text as part of a file's name."""
    return re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).strip("._") or "partners"
