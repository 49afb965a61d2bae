"""``train``: from settings to a run folder."""

import json
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import tyro

from counterplay import algos, envs
from counterplay.console import (
    Meter,
    check_names,
    cores,
    given,
    read,
    use_all_cores,
)

C = TypeVar("C")
Seats = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Train(Generic[C]):
    """Train agents and leave a run folder behind."""

    config: C
    """Settings of the algorithm."""
    env: str = "stag_hunt:4x4"
    """The game, as GAME[:PRESET][,setting=value...]; see counterplay list."""
    seat: Seats = ()
    """Who sits where, as 0=self or 1..3=random; may be given several times. self is one learner
    for all such seats, own an independent one for each. Default: all self."""
    against: tuple[str, ...] = ()
    """The learner takes every seat in turn, each of these fills the others in turn."""
    out: str | None = None
    """Folder of the run; by default a new one under runs/."""
    json: bool = False
    """Print one JSON object instead of text."""


@dataclass
class Trained:
    """What a finished training leaves in memory."""

    folder: Path
    seconds: float
    """Wall time from the start of the command, importing JAX and compiling included."""
    compile_seconds: float
    steps: int
    """Environment steps of each seed."""
    returns: list[float | None]
    """Mean return of the learners in the last iterations, one a seed; None if no episode ended."""
    busy_share: float
    """Of the computed lane-slots, those in an unfinished episode with somebody present."""
    live_share: float
    """Of the computed seat-slots, those of present players; only they are learnt from."""


def train(args: list[str]) -> int:
    """``counterplay train ALGORITHM ...``"""
    if not args or args[0] in ("-h", "--help"):
        known = ", ".join(algos.ALGORITHMS)
        print(f"usage: counterplay train ALGORITHM [settings]\n\nalgorithms: {known}")
        return 0 if args else 2
    began = time.perf_counter()
    name, *rest = args
    module_name = algos.module_of(name)
    game = [Train.env, *given(rest, "--env")][-1]
    check_names(game, given(rest, "--seat"), given(rest, "--against"))
    use_all_cores(game)
    module = import_module(module_name)
    chosen = read(Train[module.Config], rest, f"train {name}")
    done = run_training(name, chosen, began=began)
    row = {
        "run": str(done.folder),
        "steps": done.steps,
        "seconds": round(done.seconds, 2),
        "compile_seconds": round(done.compile_seconds, 2),
        "steps_per_second": round(done.steps * len(done.returns) / done.seconds),
        "returns": [None if r is None else round(r, 4) for r in done.returns],
        "busy_share": round(done.busy_share, 4),
        "live_share": round(done.live_share, 4),
    }
    if chosen.json:
        print(json.dumps(row))
        return 0
    print(
        f"{done.steps:,} steps in {done.seconds:.0f} s, {done.compile_seconds:.0f} s of them "
        f"compiling ({row['steps_per_second']:,} steps/s in all)"
    )
    print(f"{done.busy_share:.1%} of lane-slots busy, {done.live_share:.1%} of seat-slots live")
    returns = ["no episode ended yet" if r is None else f"{r:.3f}" for r in done.returns]
    print(f"mean return while training: {', '.join(returns)}")
    print(f"run folder: {done.folder}")
    return 0


def seats_of(chosen: Any, env: Any, focal: str) -> tuple[Any, Any]:
    """The roster that --seat or --against asks for, and the game as it can play it."""
    from counterplay.pools import read_seats, roster_against, roster_of, stage

    if chosen.seat and chosen.against:
        raise ValueError("give --seat or --against, not both")
    if chosen.against:
        roster = roster_against(env, focal, chosen.against)
    else:
        entries = chosen.seat or (f"0..{env.num_seats - 1}={focal}",)
        roster = roster_of(env, read_seats(entries, env.num_seats))
    return roster, stage(env, roster)


def run_training(
    name: str,
    chosen: Train,
    quiet: bool = False,
    seconds: float = float("inf"),
    began: float | None = None,
) -> Trained:
    """Trains, shows progress and writes the run folder; stops early when ``seconds`` are over.

    ``began`` is when the command did, as ``time.perf_counter`` has it; by default now.
    """
    began = time.perf_counter() if began is None else began
    from counterplay import runs
    from counterplay.algos import loops, metrics

    module: Any = import_module(algos.module_of(name))
    roster, env = seats_of(chosen, envs.make(chosen.env), "self")
    kinds = learners_of(roster)
    if not kinds:
        raise ValueError("nobody learns: put self or own in a seat")
    folder = runs.new_folder(chosen.out, f"{name}-{chosen.env.split(',')[0].replace(':', '-')}")
    config = loops.resolved(chosen.config, env)
    asked = {"seat": chosen.seat, "against": chosen.against, "cores": cores()}
    runs.save_config(folder, name, chosen.env, kinds, config, **asked)
    recent: list[dict[str, Any]] = []
    shares: list[tuple[float, float]] = []
    title, last, whole = f"{name} on {chosen.env}", None, 0
    with Meter(title, config.steps * config.seeds, quiet=quiet or chosen.json) as meter:
        for update, found in metrics.lagging(module.train(config, env, roster)):
            row = metrics.row_of(update, found)
            runs.append_metrics(folder, row)
            recent = [*recent[-19:], row]
            shares.append((np.mean(row["busy_share"]), np.mean(row["live_share"])))
            known = [r for r in metrics.returns_of(recent) if r is not None]
            note = f"return {np.mean(known):.3f}" if known else ""
            # iterations are played whole, the last one too
            whole = whole or -(-config.steps // update.steps) * update.steps
            meter.update(update.steps * config.seeds, note, whole * config.seeds)
            last = update
            if time.perf_counter() - began > seconds:
                break
        assert last is not None  # noqa: S101  (at least one iteration is played)
        runs.save_nets(folder, last.nets)
    took, returns = time.perf_counter() - began, metrics.returns_of(recent)
    busy, live = np.mean(shares, axis=0).tolist()
    return Trained(folder, took, last.compile_seconds, last.steps, returns, busy, live)


def learners_of(roster: Any) -> list[dict[str, Any]]:
    """What config.json says of each kind of learner: its name, members and seats."""
    kinds = []
    for i, kind in enumerate(roster.kinds):
        if kind.learner:
            seats = {seat for table in roster.tables for seat, c in enumerate(table) if c.kind == i}
            kinds.append({"name": kind.name, "members": kind.members, "seats": sorted(seats)})
    return kinds
