"""What an evaluation leaves behind: a folder with result.json and the rows it was made of."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from counterplay.envs import look_up
from counterplay.episodes.files import write_rows
from counterplay.evaluate.disjoint import opponent_digest
from counterplay.evaluate.rows import EpisodeRows
from counterplay.planning.naming import run_of
from counterplay.runs import read_config, split_run
from counterplay.runs.checkpoints import POLICY, at_step, latest
from counterplay.runs.disk import write_whole
from counterplay.runs.folder import here

RESULT, ROWS = "result.json", "rows.parquet"
NOTED = ("kind", "command", "scenario", "env", "protocol", "seed", "opponents", "opponent_sets")
NOTED += ("opponent_digests", "checkpoints", "commit", "versions", "date")
"""Of a result, what its rows say of themselves where they lie alone; as JSON."""


def described(
    kind: str, command: Sequence[str], opponents: dict[int, str], **more: Any
) -> dict[str, Any]:
    """What has to be known of a result beside its numbers: who, how, when and with what."""
    names = [run for run in map(run_of, opponents.values()) if run is not None]
    folders = dict.fromkeys(str(split_run(name).folder.resolve()) for name in names)
    row = {"kind": kind, "command": list(command), "runs": list(folders)}
    row |= {"trained_with": _trained_with(folders)} | more | here()
    return row | {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def _trained_with(folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """Of each run that tells: the versions of packages that trained it, which may not be ours."""
    found = {}
    for folder in folders:
        with contextlib.suppress(ValueError):
            found[folder] = read_config(Path(folder)).get("versions", {})
    return found


@contextlib.contextmanager
def opening(names: Iterable[str]) -> Iterator[dict[str, dict[str, Any]]]:
    """Finds out which checkpoint each ``run:`` stands for while the policies are opened.

    What is handed out is filled at the end: name -> its steps and the SHA-256 of its policies. A
    run whose training wrote another meanwhile is left out: either may have been read.
    """
    found: dict[str, dict[str, Any]] = {}
    before = _checkpoints(names)
    yield found
    after = _checkpoints(before)
    found |= {name: one for name, one in before.items() if after.get(name) == one}


def digests(
    opponents: Mapping[int, str], game: str | None, checkpoints: Mapping[str, dict[str, Any]]
) -> dict[int, str]:
    """Of each player, by its number, the digest of what it plays; see ``opponent_digest``.

    ``game`` is any text that names the game, None one that is not listed. A run is left out whose
    checkpoint is not among those that ``opening`` found.
    """
    found, listed = {}, look_up(game) if game else None
    game = listed[0] if listed else None
    for i, text in opponents.items():
        run = run_of(text)
        if run is None:
            found[i] = opponent_digest(text, game)
        elif (one := checkpoints.get(f"run:{run}")) is not None:
            found[i] = opponent_digest(text, game, one["sha256"])
    return found


def _checkpoints(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of runs that have one; whoever opens the others tells what is wrong with them."""
    found = {}
    runs = (f"run:{run}" for run in map(run_of, names) if run is not None)
    for name in dict.fromkeys(runs):
        with contextlib.suppress(ValueError):
            folder, _, step = split_run(name.removeprefix("run:"))
            run_id = read_config(folder)["run_id"]
            if step is None:
                one = latest(folder, run_id, (POLICY,), lambda text: None)
            else:
                one = at_step(folder, run_id, step, (POLICY,))
            if one is not None:
                sha256 = one.about["files"][POLICY]["sha256"]
                found[name] = {"steps": one.steps, "sha256": sha256}
    return found


def save_result(folder: Path, result: dict[str, Any], rows: EpisodeRows) -> None:
    """Writes the rows and then the result: where that is, all is. OSError where it cannot be."""
    new = not folder.exists()
    notes = {name: json.dumps(result[name]) for name in NOTED if name in result}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / ROWS, rows.columns(), notes)
        write_whole(folder / RESULT, json.dumps(result, indent=1) + "\n")
    except BaseException:
        if new:
            (folder / ROWS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
