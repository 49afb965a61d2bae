"""Scalars for TensorBoard, written on the thread that tells them.

tensorboardX has a writer with a thread of its own, which dies on a full disk; whoever writes then
waits for it for ever. Here an error comes back to the caller.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

EVENTS: Any = event_pb2  # generated code, in which no type checker finds a name
SUMMARIES: Any = summary_pb2


class Scalars:
    """One file of events; OSError where the disk will not take it."""

    def __init__(self, folder: Path, steps: int):
        """What was told of steps after ``steps``, in files before this one, is to be forgotten."""
        folder.mkdir(exist_ok=True)
        own = f".{steps}"  # else a second one in the same second would write over the first
        self._file = EventsWriter(str(folder / "events"), own)
        if steps:
            start = EVENTS.SessionLog(status=EVENTS.SessionLog.START)
            self._file.write_event(
                EVENTS.Event(wall_time=time.time(), step=steps + 1, session_log=start)
            )

    def add(self, values: Mapping[str, float], step: int) -> None:
        """The scalars of one step by name."""
        parts = [
            SUMMARIES.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()
        ]
        summary = SUMMARIES.Summary(value=parts)
        self._file.write_event(EVENTS.Event(wall_time=time.time(), step=step, summary=summary))
        self._file.flush()

    def _write(self, step: int, **what: Any) -> None:
        self._file.write_event(EVENTS.Event(wall_time=time.time(), step=step, **what))

    def close(self) -> None:
        self._file.close()
