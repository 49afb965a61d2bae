"""``xplay``: from policies to a matrix of what each earns among the others."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console

from counterplay import envs, opponents
from counterplay.console import Meter, check_names, read, signed, table
from counterplay.grammar import LEARNERS, short_names, split_list
from counterplay.play import breaks_of, check_out, keep, set_up, title_of
from counterplay.verbs import Train, check_timeout, tell_breaks


@dataclass(frozen=True)
class CrossPlay:
    """Let every policy play with every other and print what one of each earns among the rest."""

    policies: tyro.conf.Positional[tuple[str, ...]] = ()
    """Rules, run:FOLDER, path.py:Name; pool:FILE stands for all its members, while a comma list is
    one policy that plays as each of its members equally often."""
    env: str | None = None
    """The game; by default that of the first run."""
    episodes: int = 4096
    """Episodes for each cell of the matrix."""
    match: int | None = None
    """Episodes a match; memory is carried inside a match only. By default as the first run was
    trained, 1 without a run."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    greedy: bool = False
    """Learned policies play their most likely move instead of drawing one."""
    out: str | None = None
    """Folder of the result and its episodes; by default a new one under runs/."""
    on_env_error: Literal["stop", "restart"] = "stop"
    """Where a game in ordinary Python raises, hangs or shows what it did not declare: end the
    cross-play, or drop the episode, count it and go on with a fresh copy of the game."""
    env_timeout: float = 60.0
    """Seconds that one move or reset of such a game may take; 0 for as long as it likes."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_timeout(self.env_timeout)


def main(args: list[str]) -> int:
    """``counterplay xplay ...``"""
    began = time.perf_counter()
    chosen = read(CrossPlay, args, "xplay")
    policies = _named(chosen)
    names = short_names(policies)
    game, match = set_up(chosen, [member for text in policies for member in split_list(text)])
    from counterplay.evaluate.cross import cross_play
    from counterplay.evaluate.marks import meanings
    from counterplay.evaluate.rows import EpisodeRows
    from counterplay.runs.folder import stamp

    how, rows = {"seed": chosen.seed, "greedy": chosen.greedy}, EpisodeRows()
    breaks = breaks_of(chosen)
    total = chosen.episodes * len(policies) ** 2
    meter = Meter(f"xplay on {game}", total, "episodes", quiet=chosen.json)
    with meter, _compiling() as compiled:
        told = lambda done, total: meter.update(done, total=total)
        size = {"names": names, "match": match, "progress": told, "rows": rows}
        size["breaks"] = breaks
        crossed = cross_play(envs.make(game), policies, chosen.episodes, **how, **size)
    cells = [cell for row in crossed.cells for cell in row]
    found = {
        "env": game,
        "match": match,
        "policies": names,
        "given": policies,
        "cells": [[_as_json(cell) for cell in row] for row in crossed.cells],
        "steps": sum(round(cell.length * cell.episodes) for cell in cells),
        "seconds": round(time.perf_counter() - began, 2),
        "compile_seconds": round(sum(compiled), 2),
        "env_errors": breaks.count,
    }
    if rows.marks:
        found |= {"marks": rows.marks}
    folder = Path("runs", f"xplay-{stamp()}") if chosen.out is None else Path(chosen.out)
    more = found | how | {"opponents": crossed.opponents, "opponent_digests": crossed.digests}
    more |= {"checkpoints": crossed.checkpoints}
    saved = keep(folder, "xplay", args, crossed.opponents, more, rows)
    if chosen.json:
        print(json.dumps(found | {"saved": saved}))
        return 0
    _show(title_of(chosen, game, cells[0].episodes, match), names, found["cells"])
    for line in meanings(rows.marks.values()):
        print(f"{line}, of rows {', '.join(dict.fromkeys(m.split(' | ')[0] for m in rows.marks))}")
    tell_breaks(breaks.count)
    if saved:
        print(f"saved in {saved}")
    return 0


@contextmanager
def _compiling() -> Iterator[list[float]]:
    """Collects the seconds that JAX spends on compiling meanwhile."""
    from jax import monitoring

    seconds: list[float] = []
    parts = ("jaxpr_to_mlir_module_duration", "backend_compile_duration")

    def note(event: str, duration_secs: float, **more: Any) -> None:
        if event.endswith(parts):
            seconds.append(duration_secs)

    monitoring.register_event_duration_secs_listener(note)
    try:
        yield seconds
    finally:
        monitoring.unregister_event_duration_listener(note)


def _named(chosen: CrossPlay) -> list[str]:
    """The policies, those of pools one by one; refuses before JAX is loaded what cannot play."""
    check_out(chosen.out)
    policies: list[str] = []
    for text in chosen.policies:
        alone = text.startswith("pool:") and "," not in text
        policies += split_list(text) if alone else [text]
    if not policies:
        raise ValueError(
            "who plays? name one policy or more: counterplay xplay random run:FOLDER pool:FILE"
        )
    members = [member for text in policies for member in split_list(text)]
    rules = {rule for known in (None, *envs.names()) for rule in opponents.names(known)}
    for name in members:
        if name in LEARNERS:
            raise ValueError(
                f"{name} learns, and xplay does not train: name a rule, run:FOLDER or path.py:Name"
            )
        if name and name not in rules and Path(name, "config.json").is_file():
            raise ValueError(f"{name} is a run folder: among policies it is named run:{name}")
    if chosen.env or not any("run:" in name for name in members):
        check_names(chosen.env or Train.env, (), members)
    return policies


def _as_json(cell: Any) -> dict[str, Any]:
    low, high = cell.interval or (None, None)
    found = {"mean": cell.focal_mean, "error": cell.focal_error, "low": low, "high": high}
    return found | {"episodes": cell.episodes}


def _show(title: str, names: list[str], cells: list[list[dict[str, Any]]]) -> None:
    """The matrix, in several tables one below the other where the window is too narrow for one."""
    head = "policy"
    text = [[_told(cell) for cell in row] for row in cells]
    room = Console().width - max(map(len, (head, *names))) - 4
    blocks: list[list[int]] = []
    left = 0
    for i, name in enumerate(names):
        width = max(len(name), *(len(row[i]) for row in text)) + 3
        if not blocks or width > left:
            blocks, left = [*blocks, []], room
        blocks[-1].append(i)
        left -= width
    print("mean return of one policy (rows) where another (columns) fills the other seats")
    print("± half of the 95% interval")
    for number, block in enumerate(blocks, start=1):
        part = f" ({number} of {len(blocks)})" if len(blocks) > 1 else ""
        body = [(name, *(row[i] for i in block)) for name, row in zip(names, text, strict=True)]
        table(title + part, (head, *(names[i] for i in block)), body)


def _told(cell: dict[str, Any]) -> str:
    half = None if cell["high"] is None else cell["high"] - cell["mean"]
    return f"{cell['mean']:.3f}" if half is None else signed(cell["mean"], half)
