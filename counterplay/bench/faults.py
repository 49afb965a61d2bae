"""Trainings killed at random moments, and checkpoints damaged bit by bit: what is made good again.

Processes are real and are killed by their own number; every one of them goes on where the last one
was stopped. What they leave in the end is compared with a training that nobody disturbed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from counterplay.console import cores, read, table
from counterplay.episodes.files import read_rows
from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import BUFFER, MANIFEST, POLICY, STATE
from counterplay.runs.logbook import EPISODES, METRICS

TRAINING = (
    "train ppo --env matrix:pd,horizon=4 --lanes 16 --slots 8 --widths 8 --minibatches 2 "
    "--steps 7680 --save-seconds 0 --json"
)
FILES = (POLICY, STATE, BUFFER)
LONGEST_LIFE = 0.4
"""Seconds, at most, that a process lives after it was seen to save something."""
PATIENCE = 120.0
"""Seconds in which a process must have saved something."""


@dataclass(frozen=True)
class Faults:
    """Kills, flipped bits and cut files, and how many of them are noticed or made good."""

    kills: int = 200
    """Processes killed, each at a random moment of its own."""
    flips: int = 1000
    """Bits flipped in a checkpoint, one at a time."""
    truncations: int = 100
    """Files of a checkpoint cut at a random place; its manifest is cut at every place as well."""
    seed: int = 0
    """Of the moments and places."""
    json: bool = False
    """Print one JSON object instead of text."""


class Left(NamedTuple):
    """What a finished run left, but for the time it took."""

    state: str
    metrics: list[dict[str, Any]]
    episodes: str


class Kills(NamedTuple):
    """What became of trainings that were killed."""

    killed: int = 0
    inside_saves: int = 0
    """Of these, how many left part of a checkpoint behind."""
    lost: int = 0
    """Iterations, at most, that one kill cost."""
    runs: int = 0
    """Trainings that ended, all kills apart."""
    identical: int = 0
    """Of these, how many left what an undisturbed one leaves."""
    complaints: tuple[str, ...] = ()
    """Of processes that did not go on; or what was found in the way of that."""


def left_by(run: Path) -> Left:
    """The state at the end as a hash, the metrics of every iteration, and every episode."""
    found = checkpoints.latest(run, None, FILES, print)
    if found is None:
        raise ValueError(f"{run} has no checkpoint")
    rows = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    told = [{k: v for k, v in row.items() if k not in ("seconds", "memory_mb")} for row in rows]
    arrays = checkpoints.arrays_of(found, STATE)
    if BUFFER in found.about["files"]:
        arrays |= checkpoints.arrays_of(found, BUFFER)
    return Left(checkpoints.digest(arrays), told, checkpoints.digest(read_rows(run / EPISODES)))


def environment(cache: Path) -> dict[str, str]:
    """Lets processes share compiled programs, which is most of the time that they take."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def command(run: Path, training: str = TRAINING) -> list[str]:
    """Begins the training of a folder, or goes on with it."""
    where = ["--resume", str(run)]
    if not (run / "config.json").exists():
        (run / METRICS).unlink(missing_ok=True)  # killed before it had settings
        where = ["--out", str(run)]
    return [sys.executable, "-m", "counterplay", *training.split(), *where]


def finish(run: Path, env: dict[str, str], training: str = TRAINING) -> str:
    """Trains to the end; what the process complained of, if it did not get there."""
    done = subprocess.run(  # noqa: S603
        command(run, training), env=env, capture_output=True, text=True, timeout=600
    )
    return f"exit {done.returncode}: {done.stderr}" if done.returncode else ""


def kill_once(run: Path, env: dict[str, str], chance: random.Random) -> str | None:
    """Starts or goes on with a training and kills it; None where it had ended before.

    One in five is killed at any moment since its start, the others a little after they saved.
    """
    there = set(checkpoints.steps_of(run))
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603
            command(run), env=env, stdout=subprocess.DEVNULL, stderr=said
        )
        early, limit = chance.random() < 0.2, time.perf_counter() + PATIENCE
        if early:
            limit = time.perf_counter() + 4 * chance.random()
        while process.poll() is None and time.perf_counter() < limit:
            if set(checkpoints.steps_of(run)) - there:
                break
            time.sleep(0.002)
        time.sleep(LONGEST_LIFE * chance.random())
        process.kill()
        code = process.wait()
        said.seek(0)
        if code not in (0, -signal.SIGKILL):
            return f"exit {code}: {said.read()}"
    return None if code == 0 else ""


def _lost(run: Path) -> int:
    """Iterations of which there are metrics, but no checkpoint any more."""
    if not (run / METRICS).exists():
        return 0
    told = (run / METRICS).read_bytes().count(b"\n")
    steps = checkpoints.steps_of(run)
    if not steps:
        return told
    found = checkpoints.open_checkpoint(checkpoints.folder_of(run, steps[0]), None, FILES)
    return max(told - found.about["iteration"], 0)


def kill_loop(scratch: Path, env: dict[str, str], reference: Left, kills: int, seed: int) -> Kills:
    """Kills so many processes; runs that end are compared, and others begun in their place."""
    chance, tally, run = random.Random(seed), Kills(), scratch / f"run-{seed}-0"  # noqa: S311
    while tally.killed < kills or run.exists():
        last = tally.killed >= kills
        said = (finish(run, env) or None) if last else kill_once(run, env, chance)
        if said:  # it should have gone on
            return tally._replace(complaints=(*tally.complaints, said))
        if said is None:
            found = left_by(run)
            same = tally.identical + (found == reference)
            tally = tally._replace(runs=tally.runs + 1, identical=same)
            run = scratch / f"run-{seed}-{tally.runs}"
            continue
        parts = any((run / checkpoints.FOLDER).glob(".*.part"))
        tally = tally._replace(
            killed=tally.killed + 1,
            inside_saves=tally.inside_saves + parts,
            lost=max(tally.lost, _lost(run)),
        )
    return tally


def killed(scratch: Path, kills: int, seed: int, reference: Left, env: dict[str, str]) -> Kills:
    """As many chains of kills as there are cores, at once."""
    workers = max(1, min(cores(), kills // 10))
    shares = [len(range(i, kills, workers)) for i in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        one = partial(kill_loop, scratch, env, reference)
        parts = list(pool.map(one, shares, range(seed, seed + workers)))
    return Kills(
        killed=sum(part.killed for part in parts),
        inside_saves=sum(part.inside_saves for part in parts),
        lost=max(part.lost for part in parts),
        runs=sum(part.runs for part in parts),
        identical=sum(part.identical for part in parts),
        complaints=tuple(said for part in parts for said in part.complaints),
    )


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    """A file with other contents for a while."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def noticed(checkpoint: Path, run_id: str) -> bool:
    """Whether a checkpoint is refused."""
    try:
        checkpoints.open_checkpoint(checkpoint, run_id, FILES)
    except ValueError:
        return True
    return False


def _files(checkpoint: Path) -> list[str]:
    """Names of all files of a checkpoint."""
    return sorted(path.name for path in checkpoint.iterdir())


def flipped(checkpoint: Path, run_id: str, count: int, seed: int) -> int:
    """How many of so many single flipped bits, all over its files, are noticed."""
    chance, found = random.Random(seed), 0  # noqa: S311
    names = _files(checkpoint)
    for _ in range(count):
        path = checkpoint / chance.choice(names)
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with changed(path, bytes(data)):
            found += noticed(checkpoint, run_id)
    return found


def cut(checkpoint: Path, run_id: str, count: int, seed: int) -> tuple[int, int]:
    """How many files were cut, the manifest at every place, and how many of them were noticed."""
    chance = random.Random(seed)  # noqa: S311
    whole = {name: (checkpoint / name).read_bytes() for name in _files(checkpoint)}
    places = [(MANIFEST, size) for size in range(len(whole[MANIFEST]))]
    for _ in range(count):
        name = chance.choice([name for name in whole if name != MANIFEST])
        places.append((name, chance.randrange(len(whole[name]))))
    found = 0
    for name, size in places:
        with changed(checkpoint / name, whole[name][:size]):
            found += noticed(checkpoint, run_id)
    return len(places), found


def main(args: list[str]) -> int:
    """``counterplay bench faults``; 1 where something went unnoticed or did not go on."""
    bench = read(Faults, args, "bench faults")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        env, run = environment(scratch / "cache"), scratch / "undisturbed"
        if said := finish(run, env):
            raise RuntimeError(f"the training that nobody disturbs did not end: {said}")
        reference = left_by(run)
        kills = killed(scratch, bench.kills, bench.seed, reference, env)
        last = checkpoints.folder_of(run, checkpoints.steps_of(run)[0])
        run_id = json.loads((run / "config.json").read_text())["run_id"]
        flips = flipped(last, run_id, bench.flips, bench.seed)
        cuts, seen = cut(last, run_id, bench.truncations, bench.seed)
    rows = [
        {"fault": "kill -9", "made": kills.killed, "good": kills.killed - len(kills.complaints)},
        {"fault": "runs killed and resumed", "made": kills.runs, "good": kills.identical},
        {"fault": "flipped bits", "made": bench.flips, "good": flips},
        {"fault": "cut files", "made": cuts, "good": seen},
    ]
    for said in kills.complaints:
        print(f"counterplay: {said}", file=sys.stderr)
    if bench.json:
        more = {"inside_saves": kills.inside_saves, "iterations_lost": kills.lost}
        print(json.dumps({"bench": "faults", "rows": rows} | more))
    else:
        title = (
            f"seed {bench.seed}; {kills.inside_saves} kills inside a save, at most "
            f"{kills.lost} iterations lost by one; good: noticed, gone on, or the same to the bit"
        )
        table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
    return 0 if all(row["good"] == row["made"] for row in rows) else 1
