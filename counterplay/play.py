"""``eval``: from policies to a table of what they earn."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from counterplay import envs
from counterplay.console import (
    Meter,
    check_names,
    given,
    read,
    set_threads,
    signed,
    table,
    use_all_cores,
)
from counterplay.errors import SaveError
from counterplay.grammar import short_names, split_list
from counterplay.terminal import say
from counterplay.verbs import (
    Seats,
    Train,
    check_timeout,
    learners_of,
    seats_of,
    tell_breaks,
)

MEAN_RETURN = "mean return ± standard error"
PLANNING_LANES = 256
"""Games side by side where a run plans: a search keeps a tree in each, and gains little by more."""


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
    protocol: tuple[str, ...] = ()
    """Play by these named protocols instead, whose settings eval --protocol seen-v1 --help shows:
    selfplay-v1, seen-v1, unseen-v1, fewshot-v1, switch-v1."""
    episodes: int = 4096
    """Episodes for each row of the table."""
    match: int | None = None
    """Episodes a match; memory is carried inside a match only. By default as the run was trained,
    1 without a run."""
    planner: str | None = None
    """How the run plans before it moves, if not as it was trained: none, or
    PLANNER:setting=value,... such as latent:depth=2 in the world that it learnt, mcts:sims=50 the
    same with a tree, or mcts:sims=50,world=true in the true simulator."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    greedy: bool = False
    """Learned policies play their most likely move instead of drawing one."""
    out: str | None = None
    """Folder of the result and its episodes; by default a new one in the run under evaluation,
    and without a run none."""
    on_env_error: Literal["stop", "restart"] = "stop"
    """Where a game in ordinary Python raises, hangs or shows what it did not declare: end the
    evaluation, or drop the episode, count it and go on with a fresh copy of the game."""
    env_timeout: float = 60.0
    """Seconds that one move or reset of such a game may take; 0 for as long as it likes."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_timeout(self.env_timeout)


def evaluate(args: list[str]) -> int:
    """``counterplay eval ...``"""
    if given(args, "--protocol"):
        from counterplay.protocol import main as by_protocol

        return by_protocol(args)
    chosen = read(Eval, args, "eval")
    run = chosen.run.removeprefix("run:")
    _check_eval(chosen, run)
    seated = [seat.partition("=")[2].strip() for seat in chosen.seat]
    named = list(dict.fromkeys([f"run:{run}", *chosen.against] if run else seated))
    members = [name for text in named for name in split_list(text)]
    game, match = set_up(chosen, members)
    from counterplay.evaluate.results import digests, opening
    from counterplay.evaluate.returns import evaluate as play
    from counterplay.evaluate.rows import EpisodeRows
    from counterplay.evaluate.spent import Spent
    from counterplay.planning.naming import read_planner, with_planner
    from counterplay.runs import split_run
    from counterplay.runs.folder import stamp

    plans, spent = chosen.planner is not None, Spent()
    read_planner(chosen.planner or "none")  # before anything is loaded
    with opening(members) as checkpoints:
        focal = with_planner(chosen.planner, f"run:{run}")
        roster, env = seats_of(chosen, envs.make(game), focal)
    if learners_of(roster):
        raise ValueError("self and own learn, and eval does not train: name a rule or run:FOLDER")
    who = {"opponents": roster.ids, "opponent_digests": digests(roster.ids, game, checkpoints)}
    folder = split_run(run).folder / "evaluations" / stamp() if run else None
    folder = folder if chosen.out is None else Path(chosen.out)
    rows = None if folder is None else EpisodeRows()
    how, breaks = {"seed": chosen.seed, "greedy": chosen.greedy}, breaks_of(chosen)
    with Meter(f"eval on {game}", chosen.episodes, "episodes", quiet=chosen.json) as meter:
        told = lambda done, total: meter.update(done, total=total)
        size = {"match": match, "progress": told, "rows": rows, "breaks": breaks}
        size |= {"spent": spent, "most_lanes": PLANNING_LANES if plans else None}
        table = play(env, roster, chosen.episodes, **how, **size)
    found = {"env": game, "match": match, "policies": short_names(named), "given": named}
    found |= {"rows": rows_as_json(table, roster), "env_errors": breaks.count} | marks_found(roster)
    found |= {"planner": chosen.planner, "planning": spent.told()} if plans else {}
    more = found | how | who | {"checkpoints": checkpoints}
    saved = None if folder is None else keep(folder, "eval", args, roster.ids, more, rows)
    if chosen.json:
        print(json.dumps(found | {"saved": saved}))
    else:
        title = title_of(chosen, game, table[0].episodes, match)
        show_rows(f"{title}, {chosen.planner}" if plans else title, table, roster)
        tell_rest(found, saved)
    return 0


def breaks_of(chosen: Any) -> Any:
    """What to do where a game breaks, as the settings of a command that plays say."""
    from counterplay.envs.running import RESTART, Breaks

    return Breaks(chosen.on_env_error == RESTART, chosen.env_timeout)


def title_of(chosen: Any, game: str, episodes: int, match: int) -> str:
    """What a table holds, and how it was played."""
    matches = f" in matches of {match}" if match > 1 else ""
    style = "greedy" if chosen.greedy else "sampled"
    what = "row" if isinstance(chosen, Eval) else "cell"
    return f"{game}, {episodes:,} episodes a {what}{matches}, {style} play, seed {chosen.seed}"


def set_up(chosen: Any, names: Iterable[str]) -> tuple[str, int]:
    """Chooses devices, and tells game and match: as asked, else as the first run was trained."""
    set_threads()
    trained: dict[str, Any] = {}
    if any("run:" in name for name in names):
        from counterplay import runs
        from counterplay.planning.naming import run_of

        first = next((run for run in map(run_of, names) if run is not None), None)
        trained = {} if first is None else runs.read_config(runs.split_run(first).folder)
    game = chosen.env or trained.get("env", Train.env)
    use_all_cores(game)
    match = trained.get("config", {}).get("match", 1) if chosen.match is None else chosen.match
    return game, match


def check_out(out: str | None) -> None:
    """Refuses a folder for results that is none, or has one already, before anything is played."""
    if out is None:
        return
    if Path(out).is_file():
        raise ValueError(f"--out wants the name of a folder, and {out} is a file")
    if Path(out, "result.json").exists():
        raise ValueError(f"--out {out}: a result is there already; choose another folder")


def keep(
    folder: Path, kind: str, args: list[str], opponents: dict[int, str], found: Any, rows: Any
) -> str | None:
    """Saves a result; what was found is worth printing also where that fails, which is told."""
    from counterplay.evaluate.results import described, save_result

    about = described(kind, ["counterplay", kind, *args], opponents)
    try:
        save_result(folder, about | found, rows)
    except (OSError, SaveError) as error:
        said = getattr(error, "strerror", None) or error
        say(f"the result was not saved: cannot write {folder}: {said}; --out names another folder")
        return None
    return str(folder)


def _check_eval(chosen: Eval, run: str) -> None:
    """Refuses what makes no sense before JAX is loaded."""
    check_out(chosen.out)
    if chosen.against and not run:
        raise ValueError("--against wants a run folder: counterplay eval RUN --against NAME ...")
    if not run and not chosen.seat:
        raise ValueError("who plays? give a run folder with --against, or a --seat for every seat")
    if chosen.planner is not None and not run:
        raise ValueError(
            f"--planner {chosen.planner} wants a run folder that is to plan: counterplay eval RUN "
            "--planner ...; in a seat it is named as --seat 0=PLANNER+run:FOLDER"
        )
    if run and chosen.seat:
        who = f"run:{run}" if Path(run).is_dir() else run
        raise ValueError(f"{run} would not play: name it in a seat, as --seat 0={who}")
    told_by_run = run or any("run:" in who or "pool:" in who for who in chosen.seat)
    if chosen.env or not told_by_run:
        check_names(chosen.env or Train.env, chosen.seat, chosen.against)


def as_json(row: Any) -> dict[str, Any]:
    """A row of an evaluation as plain numbers."""
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row._asdict().items()}
    low, high = row.interval or (None, None)
    return plain | {"seats_mean": float(row.mean.mean()), "low": low, "high": high}


def marks_found(roster: Any) -> dict[str, Any]:
    """``marks`` of those who have a privilege at play; nothing where nobody does."""
    from counterplay.evaluate.marks import marks_of

    marks = marks_of(roster)
    return {"marks": marks} if marks else {}


def rows_as_json(rows: list[Any], roster: Any) -> list[dict[str, Any]]:
    """The same of all rows, with ``marks`` where somebody has one."""
    from counterplay.evaluate.marks import by_label

    marks = by_label(roster)
    told = [{"marks": marks[row.label]} if marks[row.label] else {} for row in rows]
    return [as_json(row) | mark for row, mark in zip(rows, told, strict=True)]


def show_rows(title: str, rows: list[Any], roster: Any) -> None:
    """The table of an evaluation."""
    from counterplay.evaluate.marks import by_label, told_at

    if roster.focal:
        body = [
            (row.label, signed(row.focal_mean, row.focal_error), f"{row.length:.2f}")
            for row in rows
        ]
        marks = [by_label(roster)[row.label] for row in rows]
        show_marked(title, ("against", MEAN_RETURN, "length"), body, marks)
        return
    names = [
        " / ".join(dict.fromkeys(n)) for n in zip(*map(_names(roster), roster.tables), strict=True)
    ]
    row = rows[0]
    body = [
        (f"{seat} {name}", signed(row.mean[seat], row.error[seat]), f"{row.length:.2f}")
        for seat, name in enumerate(names)
    ]
    seats = list(zip(*roster.tables, strict=True))
    show_marked(title, ("seat", MEAN_RETURN, "length"), body, told_at(roster, seats))


def show_marked(title: str, columns: tuple[str, ...], body: list, marks: list[str]) -> None:
    """A table with a column of marks where anybody has one."""
    if any(marks):
        columns = (*columns, "marks")
        body = [(*row, mark) for row, mark in zip(body, marks, strict=True)]
    table(title, columns, body)


def tell_rest(found: dict[str, Any], saved: str | None) -> None:
    """What marks mean, what planning took, what broke, and where the result is."""
    from counterplay.evaluate.marks import meanings

    for line in meanings(found.get("marks", {}).values()):
        print(line)
    if (cost := found.get("planning")) is not None:
        speed = cost["decisions_a_second"]
        a_second = "too few to time" if speed is None else f"{speed:,.0f} decisions/s"
        print(
            f"{found['planner']}: {cost['calls_a_decision']:.0f} simulator calls a decision, "
            f"{cost['simulator_calls']:,} in all; {a_second}"
        )
    tell_breaks(found["env_errors"])
    if saved:
        print(f"saved in {saved}")


def _names(roster: Any) -> Any:
    return lambda table: [roster.kinds[chair.kind].name for chair in table]
