"""Episodes in Parquet files: one row a slot, for pandas, DuckDB and the like."""

import math
from os import PathLike
from pathlib import Path

import numpy as np

from counterplay.episodes.batch import EpisodeBatch
from counterplay.episodes.export import Export, batch_of, check, exported
from counterplay.episodes.files import read_noted, write_rows
from counterplay.episodes.scheme import Scheme
from counterplay.episodes.scheme_text import scheme_of, text_of

OWN = ("episode", "time", "left_at")
SCHEME, SLOTS, AGENTS = "counterplay_scheme", "counterplay_slots", "counterplay_agents"
"""Notes of the file: the scheme, slots of a row of the batch, and agents that may leave."""


def write_parquet(path: str | PathLike, batch: EpisodeBatch) -> None:
    """One row a slot: ``episode``, ``time``, a column a field; constants once in every row.

    Fields of more than one number are lists of one length, in the order of C. OSError where the
    file cannot be written, ValueError where the episodes are not as their scheme says.
    """
    path, export = Path(path), exported(batch)
    if taken := [name for name in ("episode", "left_at") if name in export.scheme.fields]:
        raise ValueError(f"{path}: field {taken[0]!r}: the file has a column of that name itself")
    episode, slot = np.nonzero(export.filled)
    columns = {"episode": episode.astype(np.int32)}
    columns |= {name: x[episode, slot] for name, x in export.data.items()}
    columns |= {name: x[episode] for name, x in export.constants.items()}
    columns["left_at"] = export.left_at[episode]
    notes = {SCHEME: text_of(export.scheme), SLOTS: str(export.slots)}
    notes[AGENTS] = str(export.left_at.shape[1])
    columns = {name: _flat(x) for name, x in columns.items()}
    # a list of no numbers has nothing to be stored, and not every reader takes one
    write_rows(path, {name: x for name, x in columns.items() if 0 not in x.shape[1:]}, notes)


def _flat(column: np.ndarray) -> np.ndarray:
    """At most one axis beside that of the rows."""
    width = math.prod(column.shape[1:])
    return column if column.ndim == 1 else column.reshape(len(column), width)


def read_parquet(path: str | PathLike) -> EpisodeBatch:
    """The episodes of such a file; ValueError names file, field, what was expected and found."""
    path = Path(path)
    columns, notes = read_noted(path)
    if SCHEME not in notes:
        raise ValueError(
            f"{path}: expected a note {SCHEME!r}, found {', '.join(notes) or 'none'}; was it "
            "written by another program? Episodes of others are read from .npz"
        )
    scheme = scheme_of(notes[SCHEME], str(path))
    slots, agents = _number(path, notes, SLOTS), _number(path, notes, AGENTS)
    rows = len(columns["episode"]) if "episode" in columns else 0
    shapes = {"episode": ((), "int32"), "left_at": ((agents,), "int32"), "time": ((), "int32")}
    shapes |= {n: (scheme.shape(n), np.dtype(f.dtype).name) for n, f in scheme.fields.items()}
    arrays = {}
    for name, (shape, dtype) in shapes.items():
        width = math.prod(shape)
        found = columns.pop(name, None if width else np.zeros((rows, 0), dtype))
        wanted = (dtype, [rows, width] if shape else [rows])
        had = None if found is None else (found.dtype.name, list(found.shape))
        if found is None or had != wanted:
            told = "nothing" if had is None else "{}{}".format(*had)
            raise ValueError(
                f"{path}: column {name!r} should be {'{}{}'.format(*wanted)}, found {told}; was "
                "the file changed by another program?"
            )
        arrays[name] = found.reshape(rows, *shape)
    if columns:
        raise ValueError(f"{path}: expected the columns of its scheme, found {[*columns]} besides")
    return _rows_of(path, arrays, scheme, slots)


def _number(path: Path, notes: dict[str, str], name: str) -> int:
    if not notes.get(name, "").isdigit():
        raise ValueError(f"{path}: note {name!r} should be a number, found {notes.get(name)!r}")
    return int(notes[name])


def _rows_of(path: Path, arrays: dict[str, np.ndarray], scheme: Scheme, slots: int) -> EpisodeBatch:
    """Slots, one after another, as rows of episodes."""
    episode = arrays.pop("episode")
    begins = np.flatnonzero(np.diff(episode, prepend=-1))
    numbers = episode[begins]
    if not np.array_equal(numbers, np.arange(len(begins))):
        at = int(np.argmax(numbers != np.arange(len(begins))))
        raise ValueError(
            f"{path}: column 'episode' should count 0, 1, 2 and so on, all slots of one together; "
            f"found {numbers[at]} where {at} begins. Was the file sorted or cut?"
        )
    length = np.diff(begins, append=len(episode)).astype(np.int32)
    if length.max(initial=0) > slots:
        raise ValueError(f"{path}: expected at most {slots} slots an episode, found {length.max()}")
    slot = np.arange(len(episode)) - np.repeat(begins, length)
    time, first = arrays["time"], arrays["time"][begins]
    if not np.array_equal(time - np.repeat(first, length), slot):
        at = int(np.argmax(time - np.repeat(first, length) != slot))
        raise ValueError(
            f"{path}: column 'time' should go up by one in every slot of an episode; found "
            f"{time[at]} in row {at}. Was the file sorted?"
        )
    data = {}
    for name in (*scheme.slotwise, "time"):
        data[name] = np.zeros((len(length), slots, *arrays[name].shape[1:]), arrays[name].dtype)
        data[name][episode, slot] = arrays[name]
    constants = {name: arrays[name][begins] for name in scheme.constants}
    check(data, constants, scheme, (len(length), slots), str(path))
    return batch_of(Export(data, constants, length, arrays["left_at"][begins], scheme))
