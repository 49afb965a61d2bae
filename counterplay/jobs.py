"""A study as a queue of small jobs that can stop anywhere and go on later.

Every job leaves one result file, written whole, ``NAME-DIGEST-SEED.json`` in the folder of its
study; what is there already is read and not done again. So a study that was killed loses the job
it was at, and one whose settings changed does only what they concern.
"""

import hashlib
import json
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from counterplay.console import Stop
from counterplay.errors import JobError
from counterplay.terminal import say

Result = dict[str, Any]
BETWEEN = 1.0  # seconds, at least, between two lines of progress


@dataclass(frozen=True)
class Job:
    """One cell of a study; the same name, config and seed are the same job."""

    name: str
    """Of its file: letters, digits and ``. _ + -``."""
    config: dict[str, Any]
    """All that the result depends on besides the seed, as JSON has it."""
    seed: int


class Together:
    """Work that does several seeds of a job at once, always the same ones: what a seed yields does
    not depend on where a queue was stopped.
    """

    def __init__(self, work: Callable[[Job, int], Sequence[Result]], count: int, first: int = 0):
        """``work(job, seed)`` gives the results of ``count`` seeds from that one on; groups of
        seeds begin with ``first``.
        """
        self.work, self.count, self.first = work, count, first
        self.ready: dict[tuple[str, int], Result] = {}

    def __call__(self, job: Job) -> Result:
        kind = digest(job)
        if (kind, job.seed) not in self.ready:
            begin = job.seed - (job.seed - self.first) % self.count
            results = self.work(job, begin)
            self.ready |= {(kind, begin + i): result for i, result in enumerate(results)}
        return self.ready.pop((kind, job.seed))


@dataclass
class _Progress:
    """What is told while the queue is worked off."""

    title: str
    total: int
    quiet: bool
    seconds: list[float]
    """Of each job done, by this call or an earlier one."""
    spoke: float = float("-inf")
    together: int = 1
    """Jobs that are worked out at once: one of them takes the time of all."""

    def tell(self, last: bool = False) -> None:
        """A line, unless one was told just now."""
        now, left = time.perf_counter(), self.total - len(self.seconds)
        if self.quiet or (now - self.spoke < BETWEEN and not last):
            return
        self.spoke = now
        more = f", {left} left" if left else ""
        if left and self.seconds:
            asked = -(-len(self.seconds) // self.together)
            worked = statistics.median(sorted(self.seconds)[-asked:]) / self.together
            more += f", about {_spoken(left * worked)}"
        say(f"{self.title}: {len(self.seconds)} of {self.total} jobs done{more}")


def digest(job: Job) -> str:
    """12 hexadecimal digits of the SHA-256 of name and config as canonical JSON."""
    return hashlib.sha256(_canonical(job).encode()).hexdigest()[:12]


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    folder: Path,
    *,
    title: str,
    quiet: bool = False,
    seconds: float = float("inf"),
    together: int = 1,
) -> list[Result | None]:
    """The result of every job in order, from its file or from ``work``; None where it has not run.

    SIGINT, or ``seconds`` gone by, ends the queue after the present job; so does ``work`` that
    raises KeyboardInterrupt, whose job then counts as not run. A job that fails is told, unless one
    did for the same reason, and the others go on; JobError at the end. ValueError for jobs that
    share a file, or a folder in use. Where ``work`` does several jobs when asked for one,
    ``together`` of them, it has the others ready; that is only for telling how long the rest takes.
    """
    from counterplay.runs.disk import remove_parts
    from counterplay.runs.lock import Lock

    paths, until = _paths(jobs, folder), time.perf_counter() + seconds
    folder.mkdir(parents=True, exist_ok=True)
    failed: dict[str, Exception] = {}
    with Lock(folder), Stop() as stop:
        remove_parts(folder)
        rows = [_found(job, path) for job, path in zip(jobs, paths, strict=True)]
        done = [row["seconds"] for row in rows if row]
        progress = _Progress(title, len(jobs), quiet, done, together=together)
        for i in (i for i, row in enumerate(rows) if row is None):
            if stop.signal or time.perf_counter() > until:
                break
            progress.tell()
            try:
                rows[i] = row = _done(jobs[i], work, paths[i])
                progress.seconds.append(row["seconds"])
            except KeyboardInterrupt:
                break
            except Exception as error:
                if _reason(error) not in map(_reason, failed.values()):  # once is enough
                    say(f"{title}: job {paths[i].stem} failed: {_reason(error)}")
                failed[paths[i].stem] = error
        progress.tell(last=True)
    left = rows.count(None) - len(failed)
    if left:
        say(f"{title}: {left} jobs not run; the same command goes on with {folder}")
    if failed:
        _refuse(title, failed, len(jobs))
    return [None if row is None else row["result"] for row in rows]


def _refuse(title: str, failed: dict[str, Exception], jobs: int) -> NoReturn:
    """JobError, each reason told once with the job that failed for it, or how many did."""
    by_reason: dict[str, list[str]] = {}
    for name, error in failed.items():
        by_reason.setdefault(_reason(error), []).append(name)
    who = lambda names: names[0] if len(names) == 1 else f"{len(names)} jobs"
    told = "; ".join(f"{who(names)}: {reason}" for reason, names in by_reason.items())
    first = next(iter(failed.values()))
    raise JobError(f"{title}: {len(failed)} of {jobs} jobs failed: {told}") from first


def kept(jobs: Sequence[Job], folder: Path) -> list[dict[str, Any] | None]:
    """What is kept of every job: its ``result``, and ``date``, ``commit`` and the like of when it
    was done; None where it has not been."""
    return [_found(job, path) for job, path in zip(jobs, _paths(jobs, folder), strict=True)]


def path_of(job: Job, folder: Path) -> Path:
    """Where the result of a job is kept."""
    if not re.fullmatch(r"[\w.+-]+", job.name, re.ASCII) or job.name.startswith("."):
        raise ValueError(
            f"job {job.name!r}: a name becomes a file's, so it has letters, digits, . _ + or - "
            "and does not begin with a dot"
        )
    return folder / f"{job.name}-{digest(job)}-{job.seed}.json"


def _paths(jobs: Sequence[Job], folder: Path) -> list[Path]:
    paths = [path_of(job, folder) for job in jobs]
    twice = sorted({path.stem for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(f"jobs must differ in name, config or seed, found twice: {twice}")
    return paths


def _canonical(job: Job) -> str:
    try:
        body = {"name": job.name, "config": job.config}
        return json.dumps(body, sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(
            f"job {job.name!r}: config must be of what JSON has (text, numbers, lists, "
            f"dictionaries): {error}"
        ) from error


def _found(job: Job, path: Path) -> Result | None:
    """What an earlier call left of this job; a damaged file is put aside and told."""
    if not path.exists():
        return None
    try:
        row = json.loads(path.read_bytes())
        if row["job"] != _as_json(job):
            raise ValueError("it is of another job")
        if not isinstance(row["result"], dict) or not isinstance(row["seconds"], int | float):
            raise ValueError("it holds no result")
        return row
    except (ValueError, KeyError, TypeError) as error:
        from counterplay.runs.folder import stamp

        aside = path.with_name(f"{path.name}.damaged-{stamp()}")
        path.rename(aside)
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        say(f"{path} is damaged: {said}; it is kept as {aside.name} and the job is done anew")
        return None


def _done(job: Job, work: Callable[[Job], Result], path: Path) -> Result:
    """Does a job and writes its file; the row is as a later call will read it."""
    from counterplay.runs.disk import write_whole
    from counterplay.runs.folder import here

    began = time.perf_counter()
    result = work(job)
    if not isinstance(result, dict):
        raise TypeError(f"a job gives a dictionary, found {type(result).__name__}")
    row = {"job": _as_json(job), "result": result, "seconds": time.perf_counter() - began}
    row |= {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z")} | here()
    text = json.dumps(row, indent=1, default=_plain)
    write_whole(path, text + "\n")
    return json.loads(text)


def _as_json(job: Job) -> dict[str, Any]:
    return json.loads(_canonical(job)) | {"seed": job.seed}


def _plain(value: Any) -> Any:
    """Arrays and their numbers as lists and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a result is of what JSON has, found {type(value).__name__}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _spoken(seconds: float) -> str:
    """A duration as a person says it."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
