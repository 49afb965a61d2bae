"""The table of a queue of jobs, whole or of what has been done of it."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterplay.console import table
from counterplay.errors import JobError
from counterplay.jobs import Job, Result, kept, run
from counterplay.terminal import say

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Form:
    """How the results of jobs become the lines of a table."""

    heading: str
    gathered: Callable[[list[Job], list[Result]], Lines]
    """Rows, as JSON has them, of jobs that were done and what they gave; of one at least."""
    shown: Callable[[Any], Lines]
    """The lines of the table, of ``{"rows": rows}`` and what stands beside the rows."""
    named: Callable[[Job], Lines]
    """The cells that tell the lines of a job from all others, and are known before it is done."""


def attempted(
    jobs: Sequence[Job], work: Callable[[Job], Result], folder: Path, **how: Any
) -> tuple[list[Result | None], JobError | None]:
    """As ``jobs.run``, but a job that fails does not keep back what the others gave: the error
    comes beside their results, to be raised when these have been told."""
    try:
        return run(jobs, work, folder, **how), None
    except JobError as error:
        rows = kept(jobs, folder)
        return [None if row is None else row["result"] for row in rows], error


def tabled(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    folder: Path,
    form: Form,
    about: dict[str, Any],
    *,
    title: str,
    as_json: bool,
    together: int = 1,
) -> int:
    """Works a queue off and prints its table, or one JSON object: ``about`` and the rows.

    Exit status 1 where it was stopped; what was done is told all the same, and ``missing`` how
    many jobs were not. So it is where jobs fail, and JobError after that.
    """
    how = {"title": title, "quiet": as_json, "together": together}
    results, error = attempted(jobs, work, folder, **how)
    done = [(job, x) for job, x in zip(jobs, results, strict=True) if x is not None]
    rows = form.gathered([job for job, _ in done], [x for _, x in done]) if done else []
    missing = len(jobs) - len(done)
    found = about | {"rows": rows} | ({"missing": missing} if missing else {})
    if as_json:
        print(json.dumps(found))
    elif rows:
        lines = form.shown(found)
        lines = filled(lines, (name for job in jobs for name in form.named(job)), bool(missing))
        heading = f"{form.heading}{without(missing, len(jobs))}"
        table(heading, tuple(lines[0]), [tuple(line.values()) for line in lines])
    else:
        say(f"{title}: too little has been done for a table")
    if error is not None:
        raise error
    return int(missing > 0)


def without(missing: int, jobs: int) -> str:
    """What is said behind the heading of a table that is not whole."""
    return f", without {missing} of {jobs} jobs" if missing else ""


def filled(lines: Lines, names: Iterable[dict[str, Any]], missing: bool = True) -> Lines:
    """The lines of a table that is not whole with those between them of which nothing was done:
    all their cells are empty but for the names. ``lines`` as they are where nothing is missing."""
    if not missing:
        return lines
    blank, whole = dict.fromkeys(lines[0], ""), []
    for name in {tuple(name.items()): name for name in names}.values():
        here = [line for line in lines if name.items() <= line.items()]
        whole += here or [blank | name]
    return whole
