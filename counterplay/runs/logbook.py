"""What a training tells: a line an iteration, a row an episode, and scalars for TensorBoard.

Nothing is told twice. A checkpoint notes how long the lines are; who goes on from it cuts what
came after, since the same iterations are played again.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from counterplay.episodes.files import write_rows
from counterplay.errors import SaveError
from counterplay.runs.disk import MARGIN, free, fsync_folder, told
from counterplay.terminal import say

METRICS, EPISODES, TENSORBOARD = "metrics.jsonl", "episodes.parquet", "tensorboard"
MOST_ROWS = 500_000
"""Rows of episodes kept in memory before they are written."""
ITERATIONS_A_SCALAR = 10
"""TensorBoard gets the mean of as many iterations."""


class Logbook:
    """The logs of one run, open for writing."""

    def __init__(self, folder: Path, seeds: list[int], kept: dict[str, Any] | None = None):
        """``kept`` is what a checkpoint noted of them; without it they begin anew."""
        self.folder, self.seeds = folder, seeds
        self.seconds = 0.0
        """Spent here in all."""
        note = kept or {"metrics_bytes": 0, "iteration": 0, "steps": 0}
        self._cut(note)
        self._file = (folder / METRICS).open("ab")
        self._rows: list[dict[str, np.ndarray]] = []
        self._waiting: list[dict[str, Any]] = []
        self._iteration = note["iteration"]
        self._from, self._writer = note["steps"], None
        self._parts = note.get("episode_parts", 0)

    def _cut(self, note: dict[str, Any]) -> None:
        path = self.folder / METRICS
        if path.exists():
            if path.stat().st_size < note["metrics_bytes"]:
                raise ValueError(
                    f"{path} is shorter than when the checkpoint of step {note['steps']:,} was "
                    f"saved ({note['metrics_bytes']} bytes): put the whole file back"
                )
            os.truncate(path, note["metrics_bytes"])
        there = 0
        for part in (self.folder / EPISODES).glob("*"):
            number = part.stem.removeprefix("part-")
            if not number.isdigit() or int(number) > note["iteration"]:
                part.unlink()
            else:
                there += 1
        if there < note.get("episode_parts", 0):
            say(f"{self.folder / EPISODES} lacks {note['episode_parts'] - there} of "
                f"{note['episode_parts']} files: rows of episodes were removed")  # fmt: skip
        if not note["iteration"]:
            shutil.rmtree(self.folder / TENSORBOARD, ignore_errors=True)

    def write(self, row: dict[str, Any], episodes: dict[str, np.ndarray] | None = None) -> None:
        """One iteration: its line of metrics and, leaves [seeds, ...], the episodes it ended.

        SaveError where the disk will not take it.
        """
        began = time.perf_counter()
        self._iteration = row["iteration"]
        with self._saving():
            self._file.write((json.dumps(row) + "\n").encode())
            self._file.flush()  # for whoever watches; made to last with the next checkpoint
            if episodes is not None:
                self._rows.append(_ended(row, episodes, self.seeds))
                if sum(len(rows["length"]) for rows in self._rows) > MOST_ROWS:
                    self._save_rows()
            self._waiting.append(row)
            if row["iteration"] % ITERATIONS_A_SCALAR == 0:
                self._scalars()
        self.seconds += time.perf_counter() - began

    def settle(self) -> dict[str, Any]:
        """Makes all that was told last, and says how much that is."""
        began = time.perf_counter()
        with self._saving():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._save_rows()
            self._scalars()
            size = self._file.tell()
        self.seconds += time.perf_counter() - began
        return {"metrics_bytes": size, "episode_parts": self._parts}

    def close(self) -> None:
        """Ends the logs; what was told since they were last settled is written out if it can be."""
        for end in (self._scalars, self._end_scalars, self._file.close):
            with suppress(OSError):  # it would hide why the training ended
                end()

    def _end_scalars(self) -> None:
        if self._writer is not None:
            self._writer.close()

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            waiting = sum(column.nbytes for rows in self._rows for column in rows.values())
            raise SaveError(
                f"the logs were not saved: cannot write to {self.folder}: "
                f"{error.strerror or error}; they take up to {told(waiting + MARGIN)}, "
                f"{told(free(self.folder))} are free"
            ) from error

    def _save_rows(self) -> None:
        if not any(len(rows["length"]) for rows in self._rows):
            self._rows = []
            return
        folder = self.folder / EPISODES
        if not folder.exists():
            folder.mkdir()
            fsync_folder(self.folder)
        whole = {k: np.concatenate([rows[k] for rows in self._rows]) for k in self._rows[0]}
        write_rows(folder / f"part-{self._iteration:09d}.parquet", whole)
        fsync_folder(folder)
        self._rows, self._parts = [], self._parts + 1

    def _scalars(self) -> None:
        """The means of the iterations since the last time, one a seed."""
        if not self._waiting:
            return
        if self._writer is None:
            from counterplay.runs.scalars import Scalars  # with its 30 ms, only where it is needed

            self._writer = Scalars(self.folder / TENSORBOARD, self._from)
        values: dict[str, float] = {}
        last = self._waiting[-1]
        for name in (name for name in last if isinstance(last[name], list)):
            found = np.array([row[name] for row in self._waiting], float)  # None becomes NaN
            for seed, column in zip(self.seeds, found.T, strict=True):
                if (known := column[~np.isnan(column)]).size:
                    tag = f"{name}/seed_{seed}" if len(self.seeds) > 1 else name
                    values[tag] = float(known.mean())
        self._writer.add(values, last["steps"])
        self._waiting = []


def _ended(
    row: dict[str, Any], episodes: dict[str, np.ndarray], seeds: list[int]
) -> dict[str, np.ndarray]:
    """A row for every episode that ended in an iteration.

    ``episodes`` holds ended [seeds, ..., L, T], length likewise, and returns and opponent_id
    [seeds, ..., L, T, N].
    """
    ended = np.asarray(episodes["ended"])
    at = np.flatnonzero(ended)
    n = episodes["returns"].shape[-1]
    count = np.full(len(at), row["iteration"], np.int32)
    rows = {
        "seed": np.asarray(seeds, np.int32)[at // (ended.size // len(seeds))],
        "iteration": count,
        "steps": np.full(len(at), row["steps"], np.int64),
        "length": np.asarray(episodes["length"]).reshape(-1)[at].astype(np.int32),
    }
    for name, kind in (("returns", np.float32), ("opponent_id", np.int16)):
        found = np.asarray(episodes[name]).reshape(-1, n)[at].astype(kind)
        rows |= {f"{name.removesuffix('s')}_{seat}": found[:, seat] for seat in range(n)}
    return rows
