"""Follows a training: writes down what it tells, saves it now and then, shows how far it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterplay.algos import Update
from counterplay.console import Meter


@dataclass
class Trained:
    """What a finished training leaves in memory."""

    folder: Path
    seconds: float
    """Wall time from the start of the command, importing JAX and compiling included."""
    compile_seconds: float
    steps: int
    """Environment steps of each seed."""
    returns: list[float | None]
    """Mean return of the learners in the last iterations, one a seed; None if no episode ended."""
    busy_share: float
    """Of the computed lane-slots, those in an unfinished episode with somebody present."""
    live_share: float
    """Of the computed seat-slots, those of present players; only they are learnt from."""
    stopped: int = 0
    """The signal that ended it early, saved and to be resumed; 0 where none did."""
    logging_share: float = 0.0
    """Of the wall time, what logs took; checkpoints apart."""
    saving_share: float = 0.0
    """Of the wall time, what checkpoints took, reading one to go on with included."""
    saves: int = 0
    """Checkpoints saved."""
    before: int = 0
    """Of the steps, those of earlier sittings, where a run went on."""
    env_errors: int = 0
    """How often a game in ordinary Python broke and was restarted, over all seeds."""


class Keeper:
    """Stands between a training and its run folder; ``session`` is a ``runs.session.Session``."""

    def __init__(self, session: Any, meter: Meter, config: Any, check: Callable[[Update], None]):
        self.session, self.meter, self.config, self.check = session, meter, config, check
        self.recent: list[dict[str, Any]] = []
        self.shares: list[tuple[float, float]] = []
        self.last: Update | None = None
        self.saved, self.env_errors = 0, 0

    def follow(self, updates: Iterator[Update], over: Callable[[], Any]) -> None:
        """Reads each iteration's metrics while the next one runs, and all of it before a save.

        A checkpoint holds nothing that was not written down, and nothing that did not pass
        ``check``. When it is ``over``, and at the end, one is saved.
        """
        waiting: Update | None = None
        for update in updates:
            if waiting is not None:
                self._record(waiting)
            if self.last is None and not self.meter.quiet:
                self.session.announce(update)
            waiting = self.last = update
            stop = over()
            if stop or self.session.due():
                self._record(update)
                self._save(update)
                waiting = None
            if stop:
                break
        if waiting is not None:
            self._record(waiting)
        if self.last is not None and self.saved != self.last.iteration:
            self._save(self.last)

    def _save(self, update: Update) -> None:
        self.session.save(update)
        self.saved = update.iteration

    def _record(self, update: Update) -> None:
        self.check(update)
        row = self.session.record(update)
        self.recent = [*self.recent[-19:], row]
        self.env_errors += sum(row.get("env_errors", ()))
        self.shares.append((np.mean(row["busy_share"]), np.mean(row["live_share"])))
        known = [r for r in returns_of(self.recent) if r is not None]
        note = f"return {np.mean(known):.3f}" if known else ""
        seeds, each = self.config.seeds, update.steps // max(update.iteration, 1)
        whole = -(-self.config.steps // each) * each  # iterations are played whole, the last too
        self.meter.update(update.steps * seeds, note, whole * seeds)

    def trained(self, stopped: int, seconds: float) -> Trained:
        """What there is to tell when it is over."""
        session, last = self.session, self.last
        busy, live = np.mean(self.shares or [(0.0, 0.0)], axis=0).tolist()
        steps = last.steps if last else session.found.steps
        nothing: list[float | None] = [None] * len(session.seeds)
        returns = returns_of(self.recent) if self.recent else nothing
        shares = (session.logs.seconds / seconds, session.save_seconds / seconds)
        compiling = last.compile_seconds if last else 0.0
        told = session.folder, seconds, compiling, steps, returns, busy, live, stopped
        return Trained(*told, *shares, session.saves, session.before, self.env_errors)


def returns_of(rows: list[dict[str, Any]]) -> list[float | None]:
    """Mean return over several lines, one a seed; None where no episode ended."""
    seen = np.array([row["return"] for row in rows], float)
    ended = (~np.isnan(seen)).sum(0)
    pairs = zip(np.nansum(seen, axis=0).tolist(), ended.tolist(), strict=True)
    return [total / count if count else None for total, count in pairs]
