"""``report``: from run folders to a page for people."""

import json
import math
import secrets
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from counterplay.console import Meter, read, set_threads, table, use_all_cores
from counterplay.play import breaks_of
from counterplay.verbs import check_timeout, tell_breaks

EPISODES, HOSTED_EPISODES = 4096, 256


@dataclass(frozen=True)
class Report:
    """Write a report on runs: one HTML file that needs no network, Markdown, and figures.

    What the run folders do not hold is measured: returns per opponent, cross-play, an episode.
    """

    run: tyro.conf.Positional[tuple[str, ...]] = ()
    """Run folders. Give them before --against, which takes all names that follow it."""
    out: str | None = None
    """Folder of the report; by default report/ in the run folder, for several runs a new one
    under runs/."""
    against: tuple[str, ...] = ()
    """Opponents, each of which fills every seat but the run's. Default: rules of the game, seven
    at most, and random."""
    episodes: int | None = None
    """Episodes of each seed against each opponent, 4096 by default; 256 in games outside JAX,
    which are slow."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    on_env_error: Literal["stop", "restart"] = "stop"
    """Where a game in ordinary Python raises, hangs or shows what it did not declare: end the
    report, or drop the episode, count it and go on with a fresh copy of the game."""
    env_timeout: float = 60.0
    """Seconds that one move or reset of such a game may take; 0 for as long as it likes."""
    marl_eval: str | None = None
    """File for the returns in the JSON layout that marl-eval reads, besides the report."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_timeout(self.env_timeout)


def report(args: list[str]) -> int:
    """``counterplay report RUN...``"""
    chosen = read(Report, args, "report")
    began = time.perf_counter()
    _check(chosen)
    folders = [Path(run.removeprefix("run:")) for run in chosen.run]
    use_all_cores(_game(folders))
    from counterplay.report import build, contents, exporting

    runs = build.read_all(folders)
    if chosen.marl_eval is not None:
        exporting.check_export(chosen.marl_eval, runs)
    games = build.open_games(runs, chosen.against)
    out = _place(chosen, folders)
    build.prepare(out)
    breaks = breaks_of(chosen)
    play = _player(chosen, breaks)
    pictures = out / build.FIGURES
    found = build.measure_all(runs, games, chosen.against, play, pictures, chosen.seed)
    command = shlex.join(["counterplay", "report", *args])
    date = time.strftime("%Y-%m-%d %H:%M")
    document = build.build(runs, found, chosen.seed, command, date)
    pages = build.write(document, out)
    if chosen.marl_eval is not None:
        exporting.export(Path(chosen.marl_eval), runs, found)
    seconds = time.perf_counter() - began
    row = summary(runs, found, contents.labels(runs)) | {"seconds": round(seconds, 2)}
    row["env_errors"] = breaks.count
    row = {name: str(path) for name, path in pages.items()} | row
    if chosen.marl_eval is not None:
        row["marl_eval"] = chosen.marl_eval
    if chosen.json:
        print(json.dumps(row))
    else:
        _show(row)
        tell_breaks(breaks.count)
    return 0


def _check(chosen: Report) -> None:
    """Refuses what makes no sense before JAX is loaded."""
    if not chosen.run:
        raise ValueError("report on what? give one run folder or several: counterplay report RUN")
    for text in chosen.run:
        folder = Path(text.removeprefix("run:"))
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder} is no run folder: expected {folder / 'config.json'}")
    if chosen.episodes is not None and chosen.episodes < 1:
        raise ValueError(f"episodes must be at least 1, found {chosen.episodes}")
    if not 0 <= chosen.seed < 2**31:
        raise ValueError(f"seed must be 0 to {2**31 - 1}, found {chosen.seed}")
    if chosen.out is not None and not chosen.out.strip():
        raise ValueError("--out wants the name of a folder, found nothing")


def _game(folders: list[Path]) -> str:
    """The game of all runs; empty where they have several."""
    set_threads()
    from counterplay.runs import read_config

    games = {read_config(folder)["env"] for folder in folders}
    return games.pop() if len(games) == 1 else ""


def _place(chosen: Report, folders: list[Path]) -> Path:
    if chosen.out is not None:
        return Path(chosen.out)
    if len(folders) == 1:
        return folders[0] / "report"
    return Path("runs") / f"report-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}"


def _player(chosen: Report, breaks: Any) -> Any:
    """Evaluation with progress, as the report asks for it."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import stage

    def play(title: str, env: Any, roster: Any, match: int, rows: Any = None) -> list[Any]:
        staged = stage(env, roster)
        usual = HOSTED_EPISODES if hasattr(staged, "open") else EPISODES
        episodes = usual if chosen.episodes is None else chosen.episodes
        how = {"seed": chosen.seed, "match": match, "rows": rows, "breaks": breaks}
        with Meter(title, episodes, "episodes", quiet=chosen.json) as meter:
            update = lambda done, total: meter.update(done, total=total)
            return evaluate(staged, roster, episodes, progress=update, **how)

    return play


def summary(runs: Any, measured: Any, labels: tuple[str, ...]) -> dict[str, Any]:
    """The numbers of the report, for programs."""
    from counterplay.report.comparing import middle
    from counterplay.report.playing import earned

    told = [
        {"label": label, "name": run.name, "folder": str(run.folder), "game": run.game}
        | {"seeds": run.seeds, "steps": run.done, "finished": run.finished}
        for label, run in zip(labels, runs, strict=True)
    ]
    rows = []
    for found in measured:
        for i, cells in found.returns.items():
            result, robust = earned(cells), middle(cells).intervals
            for k, name in enumerate(found.opponents or ("alone",)):
                mean, low, high = (_finite(part[k]) for part in result.interval)
                row = {"run": labels[i], "game": found.game, "against": name, "mean": mean}
                row |= {"low": low, "high": high, "over": result.over}
                parts = robust[k][:3] if robust else (None,) * 3
                rows.append(row | dict(zip(("iqm", "iqm_low", "iqm_high"), parts, strict=True)))
    notes = [note for found in measured for note in found.notes]
    return {"runs": told, "returns": rows, "notes": notes}


def _finite(value: Any) -> float | None:
    """None for what JSON cannot hold."""
    return float(value) if math.isfinite(value) else None


def _show(row: dict[str, Any]) -> None:
    said = lambda value: "-" if value is None else f"{value:.3f}"
    body = [
        (r["run"], r["against"], said(r["mean"]), f"{said(r['low'])} to {said(r['high'])}")
        for r in row["returns"]
    ]
    if body:
        columns = ("run", "against", "mean return", "95% interval")
        table(", ".join(dict.fromkeys(r["game"] for r in row["returns"])), columns, body)
    for note in row["notes"]:
        print(f"note: {note}")
    print(f"{row['seconds']:.0f} s; open {row['report']}, or read {row['markdown']}")
