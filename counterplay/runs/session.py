"""A training at work in its run folder: what it tells is written down, what it is is saved."""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from counterplay.algos import Resume, Update
from counterplay.algos.metrics import numpy_of, row_of
from counterplay.runs import buffers, checkpoints
from counterplay.runs.checkpoints import BUFFER, POLICY, STATE, Arrays, Checkpoint, named
from counterplay.runs.cost import parameters, peak_memory
from counterplay.runs.disk import need_space, remove_folder, remove_parts
from counterplay.runs.folder import here, read_config
from counterplay.runs.lock import Lock
from counterplay.runs.logbook import Logbook
from counterplay.terminal import say


class Saving(NamedTuple):
    """How often checkpoints are saved, and how many stay."""

    seconds: float = 60.0
    keep: int = 3
    every: int | None = None
    buffer: str = buffers.FULL
    """What is kept of stores of episodes: full, none or last:K."""


class Session:
    """Holds the folder's lock, its logs and its checkpoints; close it when the training is over."""

    def __init__(self, folder: Path, lock: Lock, saving: Saving, began: float):
        """The folder goes on from its latest whole checkpoint, where it has one.

        ``began`` is when the command did, as ``time.perf_counter`` has it.
        """
        opened = time.perf_counter()
        self.folder, self.lock, self.saving = folder, lock, saving
        self.row = read_config(folder)
        config = self.row["config"]
        self.seeds = list(range(config["seed"], config["seed"] + config["seeds"]))
        for inside in (folder, folder / checkpoints.FOLDER):
            remove_parts(inside)
        need_space(folder, 0, f"the run {folder}")
        files = (POLICY, STATE, BUFFER)
        self.found = checkpoints.latest(folder, self.row["run_id"], files, say)
        about = self.found.about if self.found else None
        self.before = about["steps"] if about else 0
        self.damaged = [s for s in checkpoints.steps_of(folder) if about and s > about["steps"]]
        if about is not None:
            self._check(about)  # before logs are cut
        self.logs = Logbook(folder, self.seeds, about)
        self.began = began - (about["seconds"] if about else 0.0)
        self.saved_at = time.perf_counter()
        self.save_seconds, self.saves = self.saved_at - opened, 0
        self._sized = False

    def _check(self, about: dict[str, Any]) -> None:
        """ValueError where this is nothing to go on from, or not here."""
        if "iteration" not in about:
            raise ValueError(
                f"--resume {self.folder}: it holds networks alone, which can play but not be "
                "trained on"
            )
        now = here()
        for name, what in (("devices", "devices"), ("platform", "platform")):
            if about[name] != now[name]:
                raise ValueError(
                    f"--resume {self.folder}: {what} were {about[name]} when step "
                    f"{about['steps']:,} was saved, here are {now[name]}; a run goes on where as "
                    "many of the same kind work for it (on Linux, taskset chooses cores)"
                )
        changed = [k for k in ("versions", "device") if about[k] != now[k]]
        if changed:
            say(
                f"{' and '.join(changed)} changed since step {about['steps']:,} was saved: what "
                "follows is a sound training, but not the same to the bit"
            )

    def resume(self) -> Resume | None:
        """Where the training goes on; None where it begins."""
        if self.found is None:
            return None
        kept = self.found.about.get("buffers", {})
        if lacking := buffers.kept_in_words(kept):
            say(f"{self.found.path}: {lacking}")
        return Resume(self.found.about["iteration"], partial(self._fill, self.found))

    def _fill(self, found: Checkpoint, shapes: Any) -> Any:
        """Reads what a training goes on with; nothing of it stays here."""
        began = time.perf_counter()
        about, state = found.about, checkpoints.arrays_of(found, STATE)
        there = BUFFER in about["files"]
        buffer: Arrays = checkpoints.arrays_of(found, BUFFER) if there else {}
        tree = buffers.put_back(shapes, state, buffer, about.get("buffers", {}), str(found.path))
        self.save_seconds += time.perf_counter() - began
        return tree

    def announce(self, update: Update) -> None:
        """Says how much of the buffers checkpoints will hold, where there are any."""
        said = buffers.described(update.going, buffers.slots_of(self.saving.buffer))
        if said:
            say(f"{said} (--checkpoint-buffer {self.saving.buffer})")

    def record(self, update: Update) -> dict[str, Any]:
        """Writes down what an iteration told; waits until it has ended."""
        metrics = numpy_of(update.metrics)
        row = row_of(update, metrics) | {"seconds": round(time.perf_counter() - self.began, 3)}
        row |= {"memory_mb": peak_memory(), "parameters": parameters(update, len(self.seeds))}
        episodes = update.episodes
        told = None if episodes is None else {k: np.asarray(v) for k, v in episodes.items()}
        self.logs.write(row, told)
        return row

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.perf_counter() - self.saved_at >= self.saving.seconds

    def save(self, update: Update) -> Checkpoint:
        """Saves all that the next iteration starts from, after what was told so far."""
        began = time.perf_counter()
        about = {"run_id": self.row["run_id"], "format": 1, "seeds": len(self.seeds)} | here()
        about |= {"iteration": update.iteration, "steps": update.steps}
        about |= {"seconds": round(began - self.began, 3)} | self.logs.settle()
        policy = named(update.nets)
        state, buffer, kept = buffers.parted(update.going, buffers.slots_of(self.saving.buffer))
        about |= {"buffers": kept} if kept else {}
        if not self._sized:
            parts = (*policy.values(), *state.values(), *buffer.values())
            size = sum(x.nbytes for x in parts)
            need_space(self.folder, size, f"the checkpoint of step {update.steps:,}")
            self._sized = True
        self.found = checkpoints.save(self.folder, policy, state, about, buffer if kept else None)
        for steps in self.damaged:  # passed over, and no longer the latest there are
            if steps != update.steps:
                remove_folder(checkpoints.folder_of(self.folder, steps))
        self.damaged = []
        checkpoints.prune(self.folder, self.saving.keep, self.saving.every, update.steps)
        self.saved_at = time.perf_counter()
        self.save_seconds += self.saved_at - began
        self.saves += 1
        return self.found

    def close(self) -> None:
        """Ends logs and lock."""
        try:
            self.logs.close()
        finally:
            self.lock.release()
