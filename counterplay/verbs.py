"""``train`` and ``eval``: from settings to a run folder, and from policies to a table."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import tyro

from counterplay import algos, envs
from counterplay.algos import Update
from counterplay.console import (
    Meter,
    check_names,
    given,
    read,
    signed,
    table,
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
    """Who sits where, as 0=self or 1..3=random; may be given several times. Default: all self."""
    against: tuple[str, ...] = ()
    """The learner takes every seat in turn, each of these fills the others in turn."""
    out: str | None = None
    """Folder of the run; by default a new one under runs/."""
    json: bool = False
    """Print one JSON object instead of text."""


@dataclass(frozen=True)
class Eval:
    """Let policies play whole episodes and print what each seat earns."""

    run: tyro.conf.Positional[str] = ""
    """A run folder to put in every seat in turn; goes with --against."""
    env: str | None = None
    """The game; by default that of the run."""
    seat: Seats = ()
    """Who sits where, as 0=run:FOLDER or 1..3=random; may be given several times."""
    against: tuple[str, ...] = ()
    """Each of these fills every seat but the run's."""
    episodes: int = 4096
    """Episodes for each row of the table."""
    match: int = 1
    """Episodes a match; memory is carried inside a match only."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    greedy: bool = False
    """Learned policies play their most likely move instead of drawing one."""
    json: bool = False
    """Print one JSON object instead of text."""


@dataclass
class Trained:
    """What a finished training leaves in memory."""

    folder: Path
    seconds: float
    """Wall time from the first line of the verb, compilation included."""
    compile_seconds: float
    steps: int
    """Environment steps of each seed."""
    returns: list[float]
    """Mean return of the learners in the last iterations, one a seed."""
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
    name, *rest = args
    module_name = algos.module_of(name)
    game = [Train.env, *given(rest, "--env")][-1]
    check_names(game, given(rest, "--seat"), given(rest, "--against"))
    use_all_cores()
    module = import_module(module_name)
    chosen = read(Train[module.Config], rest, f"train {name}")
    done = run_training(name, chosen)
    row = {
        "run": str(done.folder),
        "steps": done.steps,
        "seconds": round(done.seconds, 2),
        "compile_seconds": round(done.compile_seconds, 2),
        "steps_per_second": round(done.steps * len(done.returns) / done.seconds),
        "returns": [round(r, 4) for r in done.returns],
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
    print("mean return while training: " + ", ".join(f"{r:.3f}" for r in done.returns))
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
    name: str, chosen: Train, quiet: bool = False, seconds: float = float("inf")
) -> Trained:
    """Trains, shows progress and writes the run folder; stops early when ``seconds`` are over."""
    from counterplay import runs

    began = time.perf_counter()
    module: Any = import_module(algos.module_of(name))
    roster, env = seats_of(chosen, envs.make(chosen.env), "self")
    kinds = learners_of(roster)
    if not kinds:
        raise ValueError("nobody learns: put self or own in a seat")
    folder = runs.new_folder(chosen.out, f"{name}-{chosen.env.split(',')[0].replace(':', '-')}")
    runs.save_config(folder, name, chosen.env, kinds, chosen.config)
    config: Any = chosen.config
    title = f"{name} on {chosen.env}"
    recent: list[np.ndarray] = []
    shares: list[tuple[float, float]] = []
    with Meter(title, config.steps * config.seeds, quiet=quiet or chosen.json) as meter:
        last = None
        for update, metrics in lagging(module.train(config, env, roster)):
            row = row_of(update, metrics)
            runs.append_metrics(folder, row)
            recent = [*recent[-19:], np.array(row["return"], float)]
            shares.append((np.mean(row["busy_share"]), np.mean(row["live_share"])))
            known = not np.isnan(recent).all()
            note = f"return {np.nanmean(recent):.3f}" if known else ""
            meter.update(update.steps * config.seeds, note)
            last = update
            if time.perf_counter() - began > seconds:
                break
        assert last is not None  # noqa: S101  (at least one iteration is played)
        runs.save_nets(folder, last.nets)
    took = time.perf_counter() - began
    ended = ~np.isnan(recent)
    returns = (np.nansum(recent, axis=0) / np.maximum(ended.sum(0), 1)).tolist()
    busy, live = np.mean(shares, axis=0).tolist()
    return Trained(folder, took, last.compile_seconds, last.steps, returns, busy, live)


def lagging(updates: Iterator[Update]) -> Iterator[tuple[Update, dict[str, np.ndarray]]]:
    """Reads an iteration's metrics while the next one runs; the last update keeps its networks."""
    before = None
    for update in updates:
        if before is not None:
            yield before, _numpy(before.metrics)
        before = update
    if before is not None:
        yield before, _numpy(before.metrics)


def _numpy(metrics: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in metrics.items()}


def row_of(update: Update, metrics: dict[str, np.ndarray]) -> dict[str, Any]:
    """One line of metrics.jsonl: means over an iteration, one entry a seed."""

    def mean(total: str, count: str) -> list[float | None]:
        pairs = zip(metrics[total].tolist(), metrics[count].tolist(), strict=True)
        return [t / c if c else None for t, c in pairs]

    row: dict[str, Any] = {
        "steps": update.steps,
        "episodes": metrics["episodes"].tolist(),
        "return": mean("learner_return_sum", "learner_episodes"),
        "length": mean("length_sum", "episodes"),
        "busy_share": mean("busy_slots", "slots"),
        "live_share": (metrics["live_seats"] / metrics["seats"]).tolist(),
    }
    learned = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipped")
    return row | {name: metrics[name].tolist() for name in learned if name in metrics}


def learners_of(roster: Any) -> list[dict[str, Any]]:
    """What config.json says of each kind of learner: its name, members and seats."""
    kinds = []
    for i, kind in enumerate(roster.kinds):
        if kind.learner:
            seats = {seat for table in roster.tables for seat, c in enumerate(table) if c.kind == i}
            kinds.append({"name": kind.name, "members": kind.members, "seats": sorted(seats)})
    return kinds


def evaluate(args: list[str]) -> int:
    """``counterplay eval ...``"""
    chosen = read(Eval, args, "eval")
    if chosen.env or not chosen.run:
        check_names(chosen.env or Train.env, chosen.seat, chosen.against)
    use_all_cores()
    from counterplay import runs
    from counterplay.evaluate.returns import evaluate as play

    if chosen.against and not chosen.run:
        raise ValueError("--against wants a run folder: counterplay eval RUN --against NAME ...")
    if not chosen.run and not chosen.seat:
        raise ValueError("who plays? give a run folder with --against, or a --seat for every seat")
    game = chosen.env or (
        runs.read_config(runs.split_seed(chosen.run)[0])["env"] if chosen.run else "stag_hunt:4x4"
    )
    roster, env = seats_of(chosen, envs.make(game), f"run:{chosen.run}")
    if learners_of(roster):
        raise ValueError("self and own learn, and eval does not train: name a rule or run:FOLDER")
    wanted = chosen.episodes * max(len(set(roster.labels)), 1)
    with Meter(f"eval on {game}", wanted, "episodes", quiet=chosen.json) as meter:
        rows = play(
            env,
            roster,
            chosen.episodes,
            seed=chosen.seed,
            greedy=chosen.greedy,
            match=chosen.match,
            progress=meter.update,
        )
    if chosen.json:
        print(json.dumps({"env": game, "rows": [as_json(row) for row in rows]}))
    else:
        show_rows(game, rows, roster, chosen)
    return 0


def as_json(row: Any) -> dict[str, Any]:
    """A row of an evaluation as plain numbers."""
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row._asdict().items()}
    return plain | {"seats_mean": float(row.mean.mean())}


def show_rows(game: str, rows: list[Any], roster: Any, chosen: Eval) -> None:
    """The table of an evaluation."""
    style = "greedy" if chosen.greedy else "sampled"
    title = f"{game}, {rows[0].episodes:,} episodes a row, {style} play, seed {chosen.seed}"
    if roster.focal:
        body = [
            (row.label, signed(row.focal_mean, row.focal_error), f"{row.length:.2f}")
            for row in rows
        ]
        table(title, ("against", "mean return", "length"), body)
        return
    names = [
        " / ".join(dict.fromkeys(n)) for n in zip(*map(_names(roster), roster.tables), strict=True)
    ]
    row = rows[0]
    body = [
        (f"{seat} {name}", signed(row.mean[seat], row.error[seat]), f"{row.length:.2f}")
        for seat, name in enumerate(names)
    ]
    table(title, ("seat", "mean return", "length"), body)


def _names(roster: Any) -> Any:
    return lambda table: [roster.kinds[chair.kind].name for chair in table]
