"""``counterplay demo``: two games, two learners, a table and a picture, in under three minutes."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.console import read, signed, table, use_all_cores
from counterplay.verbs import Train, run_training

GAME = "stag_hunt:4x4"
RULES = ("nearest_stag", "nearest_hare", "adaptive", "random")
FOREIGN_GAME = "lbforaging:Foraging-5x5-2p-1f-v3"


@dataclass(frozen=True)
class Demo:
    """Train PPO on our stag hunt and on a game nobody here wrote, compare, and draw."""

    seed: int = 0
    """Seed of the trainings and evaluations."""
    steps: int = 4_000_000
    """Environment steps of the stag hunt training."""
    seconds: float = 20.0
    """Time given to training on the foreign game."""
    episodes: int = 4096
    """Episodes of each cell of the table."""
    out: str = "runs/demo"
    """Folder of what the demo leaves behind; a number is added when it exists."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name, number in (("steps", self.steps), ("episodes", self.episodes)):
            if number < 1:
                raise ValueError(f"--{name} must be at least 1, found {number}")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds must be positive, found {self.seconds}")


def main(args: list[str]) -> int:
    """``counterplay demo``"""
    chosen = read(Demo, args, "demo")
    use_all_cores()
    began = time.perf_counter()
    folder = _fresh(chosen.out)
    say = (lambda text: None) if chosen.json else print
    say(f"1. PPO learns {GAME} against {', '.join(RULES)} ...")
    hunt = _train_hunt(chosen, folder / "stag_hunt")
    say(f"   {hunt.steps:,} steps in {hunt.seconds:.0f} s, {hunt.compile_seconds:.0f} s compiling")
    say("2. It and the rules themselves play each rule, in every seat in turn ...")
    cells = _compare(chosen, hunt.folder)
    gif = folder / "stag_hunt.gif"
    _draw(chosen, hunt.folder, gif)
    say(f"3. A second, small PPO learns {FOREIGN_GAME} for {chosen.seconds:.0f} s ...")
    forage, before, after = _forage(chosen, folder / "foraging")
    seconds = time.perf_counter() - began
    if chosen.json:
        pair = {"game": FOREIGN_GAME, "before": before, "after": after}
        pair |= {"steps": forage.steps, "seconds": chosen.seconds}
        row = {"cells": cells, "foraging": pair, "gif": str(gif), "seconds": round(seconds, 1)}
        row |= {"seed": chosen.seed, "steps": hunt.steps, "episodes": chosen.episodes}
        print(json.dumps(row))
        return 0
    _show(chosen, cells, before, after, forage)
    print(f"{seconds:.0f} s in all. An episode to watch: {gif}")
    return 0


def _fresh(out: str) -> Path:
    path, number = Path(out), 1
    while path.exists():
        number += 1
        path = Path(f"{out}-{number}")
    return path


def _train_hunt(chosen: Demo, folder: Path) -> Any:
    from counterplay.algos import ppo

    config = ppo.Config(seed=chosen.seed, steps=chosen.steps)
    return run_training("ppo", Train(config, env=GAME, against=RULES, out=str(folder)), chosen.json)


def _compare(chosen: Demo, run: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean return and standard error of each focal policy against each rule."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_against

    env, me = envs.make(GAME), f"run:{run}"
    roster = roster_against(env, (me, *RULES), RULES)
    cells: dict[str, dict[str, tuple[float, float]]] = {}
    for row in evaluate(env, roster, chosen.episodes, seed=chosen.seed):
        focal, _, other = row.label.partition(" | ")
        name = "PPO" if focal == me else focal
        cells.setdefault(name, {})[other] = (row.focal_mean or 0.0, row.focal_error or 0.0)
    return cells


def _draw(chosen: Demo, run: Path, gif: Path) -> None:
    """An episode of the learner among three stag hunters."""
    from counterplay.envs.pictures import save_gif
    from counterplay.evaluate.recording import record
    from counterplay.pools import roster_of

    env = envs.make(GAME)
    seats: dict[int, str] = {0: f"run:{run}", 1: "nearest_stag", 2: "adaptive", 3: "nearest_hare"}
    names = ("PPO", "nearest stag", "adaptive", "nearest hare")
    frames = record(env, roster_of(env, seats), chosen.seed)
    captions = [
        ", ".join(
            f"{i} {name} {r:.1f}" for i, (name, r) in enumerate(zip(names, f.returns, strict=True))
        )
        for f in frames
    ]
    save_gif([frame.picture for frame in frames], gif, captions=captions)


def _forage(chosen: Demo, folder: Path) -> tuple[Any, float, float]:
    """Team return of a random pair, then of the trained one."""
    from counterplay.algos import ppo
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_of

    env = envs.make(FOREIGN_GAME)
    config = ppo.Config(seed=chosen.seed, widths=(64, 64), entropy=0.01, slots=64)
    run = Train(config, env=FOREIGN_GAME, out=str(folder))
    done = run_training("ppo", run, chosen.json, seconds=chosen.seconds)

    def score(who: str) -> float:
        roster = roster_of(env, dict.fromkeys(range(env.num_seats), who))
        return float(evaluate(env, roster, 100, seed=chosen.seed)[0].mean.sum())

    return done, score("random"), score(f"run:{done.folder}")


def _show(chosen: Demo, cells: Any, before: float, after: float, forage: Any) -> None:
    body = [
        (
            focal,
            *(signed(*row[other]) for other in RULES),
            f"{np.mean([m for m, _ in row.values()]):.3f}",
        )
        for focal, row in cells.items()
    ]
    title = f"{GAME}: mean return of one player (rows) among three of a kind (columns)"
    table(title, ("player", *RULES, "mean"), body)
    title = f"{FOREIGN_GAME}: return of the pair, {forage.steps:,} steps of training"
    table(title, ("", "return"), [("random", f"{before:.3f}"), ("PPO", f"{after:.3f}")])
