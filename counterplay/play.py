"""``eval``: from policies to a table of what they earn."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from counterplay import envs
from counterplay.console import Meter, check_names, read, signed, table, use_all_cores
from counterplay.verbs import Seats, Train, learners_of, seats_of


@dataclass(frozen=True)
class Eval:
    """Let policies play whole episodes and print what each seat earns."""

    run: tyro.conf.Positional[str] = ""
    """A run folder: it sits in every seat, or with --against in each in turn."""
    env: str | None = None
    """The game; by default that of the run, or of the first run in a seat."""
    seat: Seats = ()
    """Who sits where, as 0=run:FOLDER or 1..3=random; may be given several times."""
    against: tuple[str, ...] = ()
    """Each of these fills every seat but the run's."""
    episodes: int = 4096
    """Episodes for each row of the table."""
    match: int | None = None
    """Episodes a match; memory is carried inside a match only. By default as the run was trained,
    1 without a run."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    greedy: bool = False
    """Learned policies play their most likely move instead of drawing one."""
    json: bool = False
    """Print one JSON object instead of text."""


def evaluate(args: list[str]) -> int:
    """``counterplay eval ...``"""
    chosen = read(Eval, args, "eval")
    run = chosen.run.removeprefix("run:")
    _check_eval(chosen, run)
    use_all_cores()
    from counterplay.evaluate.returns import evaluate as play

    trained = _first_run(run, chosen.seat)
    game = chosen.env or trained.get("env", Train.env)
    match = trained.get("config", {}).get("match", 1) if chosen.match is None else chosen.match
    roster, env = seats_of(chosen, envs.make(game), f"run:{run}")
    if learners_of(roster):
        raise ValueError("self and own learn, and eval does not train: name a rule or run:FOLDER")
    with Meter(f"eval on {game}", chosen.episodes, "episodes", quiet=chosen.json) as meter:
        rows = play(
            env,
            roster,
            chosen.episodes,
            seed=chosen.seed,
            greedy=chosen.greedy,
            match=match,
            progress=lambda done, total: meter.update(done, total=total),
        )
    if chosen.json:
        print(json.dumps({"env": game, "match": match, "rows": [as_json(row) for row in rows]}))
    else:
        matches = f" in matches of {match}" if match > 1 else ""
        style = "greedy" if chosen.greedy else "sampled"
        title = f"{rows[0].episodes:,} episodes a row{matches}, {style} play, seed {chosen.seed}"
        show_rows(f"{game}, {title}", rows, roster)
    return 0


def _check_eval(chosen: Eval, run: str) -> None:
    """Refuses what makes no sense before JAX is loaded."""
    if chosen.against and not run:
        raise ValueError("--against wants a run folder: counterplay eval RUN --against NAME ...")
    if not run and not chosen.seat:
        raise ValueError("who plays? give a run folder with --against, or a --seat for every seat")
    if run and chosen.seat:
        raise ValueError(f"{run} would not play: name it in a seat, as --seat 0=run:{run}")
    told_by_run = run or any("run:" in who or "pool:" in who for who in chosen.seat)
    if chosen.env or not told_by_run:
        check_names(chosen.env or Train.env, chosen.seat, chosen.against)


def _first_run(run: str, seats: tuple[str, ...]) -> dict[str, Any]:
    """config.json of the run under evaluation, or of the first in a seat; empty without one."""
    from counterplay import runs
    from counterplay.pools import split_list

    names = [name for seat in seats for name in split_list(seat.partition("=")[2])]
    found = [name.removeprefix("run:") for name in names if name.startswith("run:")]
    first = [run] if run else found[:1]
    return runs.read_config(runs.split_run(first[0]).folder) if first else {}


def as_json(row: Any) -> dict[str, Any]:
    """A row of an evaluation as plain numbers."""
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row._asdict().items()}
    return plain | {"seats_mean": float(row.mean.mean())}


def show_rows(title: str, rows: list[Any], roster: Any) -> None:
    """The table of an evaluation."""
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
