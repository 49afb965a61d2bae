"""The store beside PyMARL's replay buffer and flashbax: episodes a second in and out, one core.

``counterplay bench buffer --peer PATH --peer-python PY --flashbax-python PY`` measures all three in
turns, each in a process of its own on the same core: 5,000 episodes are held, 32 are inserted or
sampled at once, the one-hot of the moves included where a buffer makes one. Two things make a
factor of four or more each, so both ways are measured: whether freed memory serves again or the
system gives it anew, and whether a program that learns draws for itself or is called for each draw.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from counterplay.bench.step import take_one_core
from counterplay.bench.tables import TABLES
from counterplay.console import read, table
from counterplay.names import unknown

SCRIPTS = {"PyMARL": "pymarl_buffer.py", "flashbax": "flashbax_buffer.py"}
OURS = "counterplay"
MEMORY = {
    "kept": {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "4294967296"},
    "fresh": {"MALLOC_MMAP_THRESHOLD_": "131072"},
}
"""Settings of the GNU C library: what is freed is kept, or large pieces go back to the system."""
RATES = ("sample", "insert", "sample_inside", "insert_inside")


@dataclass(frozen=True)
class Buffer:
    """Measure insertion and samples of whole episodes, beside other buffers where given."""

    tasks: tuple[str, ...] = ("50", "100", "stag_hunt")
    """Steps of an episode (4 players, observations of 64 numbers, a state of 256), or stag_hunt for
    episodes that rules played on 4x4 stag hunt."""
    episodes: int = 5000
    """Episodes held."""
    rows: int = 32
    """Episodes of one sample or insertion."""
    rounds: int = 2
    """Times that each buffer is measured, in turns; medians count."""
    repeats: int = 5
    """Timings of each round; the median counts."""
    seconds: float = 0.3
    """Of each timing, about."""
    seed: int = 0
    """Seed of the numbers, the games and the draws."""
    peer: str | None = None
    """A checkout of PyMARL."""
    peer_python: str = sys.executable
    """The Python that runs it, with torch."""
    flashbax_python: str | None = None
    """A Python with flashbax."""
    memory: tuple[str, ...] = ("kept", "fresh")
    """Freed memory is kept for the next sample, or fresh from the system."""
    alone: str | None = None
    """Measure ours only, of one task, in this process."""
    lengths: str | None = None
    """With alone: a file to leave the lengths of the episodes in."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for task in (*self.tasks, *([self.alone] if self.alone else ())):
            if task != "stag_hunt" and not (task.isdigit() and int(task) >= 1):
                raise ValueError(f"a task is stag_hunt or a number of steps, found {task!r}")
        for name in self.memory:
            if name not in MEMORY:
                raise unknown("memory", name, MEMORY)
        for name in ("episodes", "rows", "rounds", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        folder = Path("benchmarks")
        if (self.peer or self.flashbax_python) and not folder.is_dir():
            raise ValueError(f"peers are run by {folder}/: start this in the repository's folder")


def main(args: list[str]) -> int:
    """``counterplay bench buffer``"""
    chosen = read(Buffer, args, "bench buffer")
    take_one_core()
    if chosen.alone:
        from counterplay.bench.stored import measure

        print(json.dumps(measure(chosen, chosen.alone)))
        return 0
    each = [(task, memory) for task in chosen.tasks for memory in chosen.memory]
    rows = [row for task, memory in each for row in _compared(chosen, task, memory)]
    told = {
        "bench": "buffer",
        "seed": chosen.seed,
        "held": chosen.episodes,
        "at_once": chosen.rows,
        "rows": rows,
    }
    if chosen.json:
        print(json.dumps(told))
        return 0
    title = f"{chosen.episodes:,} episodes held, {chosen.rows} at once, one core"
    shown = TABLES["buffer"](told)
    table(title, tuple(shown[0]), [tuple(row.values()) for row in shown])
    return 0


def _compared(chosen: Buffer, task: str, memory: str) -> list[dict[str, Any]]:
    """Every buffer in every round, by turns; medians over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        lengths = f"{scratch}/lengths.npz"
        for _ in range(chosen.rounds):
            ours = _run(memory, _own_command(chosen, task, lengths))
            found.setdefault(OURS, []).append(ours)
            for who, python in _peers(chosen).items():
                command = [python, f"benchmarks/{SCRIPTS[who]}"]
                command += _peer_words(chosen, who, task, lengths, ours)
                found.setdefault(who, []).append(_read(_run(memory, command)))
    about = {"task": task, "memory": memory}
    return [about | {"who": who} | _middle(rounds) for who, rounds in found.items()]


def _peers(chosen: Buffer) -> dict[str, str]:
    """Who is measured beside us, and by which Python."""
    pymarl = {"PyMARL": chosen.peer_python} if chosen.peer else {}
    flashbax = {"flashbax": chosen.flashbax_python} if chosen.flashbax_python else {}
    return pymarl | flashbax


def _own_command(chosen: Buffer, task: str, lengths: str) -> list[str]:
    words = ["--alone", task, "--lengths", lengths, "--episodes", chosen.episodes]
    words += ["--rows", chosen.rows, "--repeats", chosen.repeats, "--seconds", chosen.seconds]
    words += ["--seed", chosen.seed]
    return [sys.executable, "-m", "counterplay", "bench", "buffer", *map(str, words)]


def _peer_words(chosen: Buffer, who: str, task: str, lengths: str, ours: Any) -> list[str]:
    words: list[Any] = ["--episodes", chosen.episodes, "--rows", chosen.rows]
    words += ["--repeats", chosen.repeats, "--seconds", chosen.seconds]
    words += ["--peer", chosen.peer] if who == "PyMARL" else []
    if task == "stag_hunt":
        words += ["--scheme", "stag_hunt", "--lengths", lengths, "--state", 0]
        words += ["--length", ours["horizon"], "--obs", ours["obs"]]
    else:
        words += ["--length", task]
    return [str(word) for word in words]


def _run(memory: str, command: list[str]) -> dict[str, Any]:
    """What a program prints last, as JSON."""
    environment = {**os.environ, **MEMORY[memory], "NPROC": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        raise ValueError(f"{' '.join(command[:5])} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _read(row: dict[str, Any]) -> dict[str, Any]:
    """A peer's row in our words; what has no programs is called for each draw there too."""
    found = {}
    for name in RATES:
        there = name if f"{name}_episodes_per_s" in row else name.removesuffix("_inside")
        found[name] = row[f"{there}_episodes_per_s"]
        found[f"{name}_busy"] = row[f"{there}_episodes_per_cpu_s"]
    payload = row["bytes_per_episode"]
    return found | {"bytes": row["bytes_held"], "payload": payload, "payload_read": payload}


def _middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: round(median(row[name] for row in rounds), 2) for name in rounds[0]}
