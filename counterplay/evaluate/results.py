"""What an evaluation leaves behind: a folder with result.json and the rows it was made of."""

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from counterplay.episodes.files import write_rows
from counterplay.evaluate.rows import EpisodeRows
from counterplay.runs import split_run
from counterplay.runs.disk import write_whole
from counterplay.runs.folder import here

RESULT, ROWS = "result.json", "rows.parquet"


def described(
    kind: str, command: Sequence[str], opponents: dict[int, str], **more: Any
) -> dict[str, Any]:
    """What has to be known of a result beside its numbers: who, how, when and with what."""
    names = [name.removeprefix("run:") for name in opponents.values() if name.startswith("run:")]
    folders = dict.fromkeys(str(split_run(name).folder.resolve()) for name in names)
    row = {"kind": kind, "command": list(command), "runs": list(folders)} | more | here()
    return row | {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z")}


def save_result(folder: Path, result: dict[str, Any], rows: EpisodeRows) -> None:
    """Writes the rows and then the result: where that is, all is. OSError where it cannot be."""
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / ROWS, rows.columns())
        write_whole(folder / RESULT, json.dumps(result, indent=1) + "\n")
    except BaseException:
        if new:
            (folder / ROWS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
