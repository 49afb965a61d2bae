"""Episodes in NumPy's own files, in the shape that PyMARL gives them: rows padded with zeros."""

import zipfile
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from counterplay.episodes.batch import EpisodeBatch
from counterplay.episodes.export import Export, batch_of, check, exported, left_in
from counterplay.episodes.scheme import Field, Scheme
from counterplay.episodes.scheme_text import scheme_of, text_of
from counterplay.episodes.whole_file import whole_file
from counterplay.names import listed

FLAGS = ("terminated", "truncated", "closing")
"""Truths by name, also where others store them as numbers with an axis of one."""
OF_EACH = ("alive", "left")
"""Truths of every agent."""
OF_AGENTS = ("obs", "actions", "avail_actions", "actions_onehot", "probs", "alive", "left")
AGENTS = "agents"


def write_npz(path: str | PathLike, batch: EpisodeBatch) -> None:
    """Fields [B, T, ...], ``filled`` [B, T, 1] as PyMARL has it, constants [B, ...], the scheme.

    OSError where the file cannot be written, ValueError where the episodes are not as their
    scheme says.
    """
    path, export = Path(path), exported(batch)
    if taken := [name for name in ("scheme", "left_at") if name in export.scheme.fields]:
        raise ValueError(f"{path}: field {taken[0]!r}: the file has an array of that name itself")
    arrays = {**export.data, **export.constants, "left_at": export.left_at}
    arrays["filled"] = export.filled.astype(np.int64)[:, :, None]
    arrays["scheme"] = np.array(text_of(export.scheme))
    with (
        whole_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as whole,
    ):
        for name, array in arrays.items():  # not savez: it keeps the name "file" to itself
            with whole.open(f"{name}.npy", "w", force_zip64=True) as part:
                npy.write_array(part, np.asarray(array, order="C"))


def read_npz(path: str | PathLike) -> EpisodeBatch:
    """The episodes of such a file, or of arrays [B, T, ...] and ``filled`` of anybody's.

    Without a scheme one is inferred: arrays [B, T, ...] are fields, other arrays [B, ...] are
    constants; numbers of 64 bits become those of 32. Where there is ``terminated`` and no
    ``closing``, a last slot after ``terminated`` is left out, and the last slot is ``closing``
    where nothing terminated: so a store can hold them. ValueError names file, field, what was
    expected and found.
    """
    path = Path(path)
    arrays = _arrays(path)
    scheme_text = arrays.pop("scheme", None)
    if "filled" not in arrays:
        raise ValueError(
            f"{path}: expected an array 'filled' [B, T, 1] that tells which slots happened, found "
            f"{listed(arrays)}"
        )
    length, slots = _length(path, arrays.pop("filled"))
    lead = (len(length), slots)
    if scheme_text is None:
        scheme, data, constants = _inferred(path, arrays, lead, length)
        scheme, length = _ended(scheme, data, length)
        left_at = None
    else:
        if scheme_text.dtype.kind != "U" or scheme_text.ndim:
            raise ValueError(f"{path}: 'scheme' should be text, found {_told(scheme_text)}")
        scheme = scheme_of(str(scheme_text), str(path))
        left_at = arrays.pop("left_at", np.zeros((0, 0), np.int32))
        if left_at.ndim != 2 or len(left_at) != lead[0] or left_at.dtype != np.int32:
            wanted = f"int32[{lead[0]}, N]"
            raise ValueError(f"{path}: 'left_at' should be {wanted}, found {_told(left_at)}")
        data = {name: x for name, x in arrays.items() if name not in scheme.constants}
        constants = {name: x for name, x in arrays.items() if name in scheme.constants}
    check(data, constants, scheme, lead, str(path))
    some = length > 0
    empty = np.arange(slots)[None] >= length[:, None]
    for name, array in data.items():
        array[empty] = 0
        data[name] = array[some]
    constants = {name: x[some] for name, x in constants.items()}
    left_at = left_in(data, scheme) if left_at is None else left_at[some]
    return batch_of(Export(data, constants, length[some], left_at, scheme))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, of which none may be able to run anything."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                found = file.read(8)
                raise ValueError(f"expected a zip file, found {found!r}; was it cut short?")
            file.seek(0)
            whole = np.load(file)
            return {name: whole[name] for name in whole.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError) as error:  # fmt: skip
        said = getattr(error, "strerror", None) or f"{error}"
        raise ValueError(f"cannot read {path}: {said}") from error


def _told(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _length(path: Path, filled: np.ndarray) -> tuple[np.ndarray, int]:
    """Slots of every row, and of all of them with what is not filled."""
    if (
        filled.ndim not in (2, 3)
        or filled.shape[2:] not in ((), (1,))
        or filled.dtype.kind not in "biuf"
    ):
        raise ValueError(f"{path}: 'filled' should be numbers [B, T, 1], found {_told(filled)}")
    here = filled.reshape(filled.shape[:2]) != 0
    length = here.sum(1).astype(np.int32)
    wrong = (here != (np.arange(here.shape[1])[None] < length[:, None])).any(1)
    if wrong.any():
        raise ValueError(
            f"{path}: 'filled' should be 1 from the first slot of a row to its last, found a gap "
            f"in row {int(np.argmax(wrong))}"
        )
    return length, here.shape[1]


def _inferred(
    path: Path, arrays: dict[str, np.ndarray], lead: tuple[int, int], length: np.ndarray
) -> tuple[Scheme, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The scheme of arrays that came without, and the arrays as it has them."""
    arrays = {name: _narrow(path, name, array) for name, array in arrays.items()}
    agents = next((arrays[n].shape[2] for n in OF_AGENTS if n in arrays and arrays[n].ndim > 2), 0)
    fields, data, constants = {}, {}, {}
    for name, array in arrays.items():
        if name in FLAGS and array.shape in (lead, (*lead, 1)):
            array = array.reshape(lead) != 0
        if name in OF_EACH and array.shape in ((*lead, agents), (*lead, agents, 1)):
            array = array.reshape(*lead, agents) != 0
        axes: Any = 2 if array.shape[:2] == lead else 1
        if array.shape[:axes] != lead[:axes]:
            raise ValueError(
                f"{path}: field {name!r} should be {[*lead, '...']} as 'filled' is, or "
                f"{[lead[0], '...']}, found {_told(array)}"
            )
        (data if axes == 2 else constants)[name] = array
        if name == "time":
            continue
        shape, dtype = array.shape[axes:], array.dtype.type
        ours = bool(agents) and name in OF_AGENTS and shape[:1] == (agents,)
        group = AGENTS if ours else None
        fields[name] = Field(shape[1:] if ours else shape, dtype, group, constant=axes == 1)
    groups = {AGENTS: agents} if agents else {}
    slot = np.arange(lead[1], dtype=np.int32)[None]
    data.setdefault("time", np.where(slot < length[:, None], slot, 0))
    data["time"] = data["time"].reshape(lead).astype(np.int32)
    return Scheme(fields, groups), data, constants


def _ended(
    scheme: Scheme, data: dict[str, np.ndarray], length: np.ndarray
) -> tuple[Scheme, np.ndarray]:
    """Ends as a store wants them, where PyMARL wrote a slot more after all of its moves.

    That slot shows what a value is bootstrapped from. After ``terminated`` there is none to come,
    so it is dropped; else it is what ``closing`` marks, which is put beside ``data``.
    """
    ends, lead = data.get("terminated"), data["time"].shape
    if ends is None or ends.shape != lead or ends.dtype != bool or "closing" in scheme.fields:
        return scheme, length
    row = np.arange(lead[0])
    ends = ends & (np.arange(lead[1])[None] < length[:, None])
    shown = (ends.sum(1) == 1) & (length > 1) & ends[row, np.maximum(length - 2, 0)]
    length = (length - shown).astype(np.int32)
    data["closing"] = np.zeros(lead, bool)
    data["closing"][row, length - 1] = ~ends.any(1) & (length > 0)
    return scheme.with_field("closing", Field((), np.bool_)), length


def _narrow(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array in a type that can be stored: 64 bits as 32 where the numbers allow it."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in "biuf" or (kind == "f" and size > 8):
        raise ValueError(
            f"{path}: field {name!r} should be numbers or truths, found {_told(array)}"
        )
    narrow = np.dtype(f"{kind}4") if size == 8 else array.dtype.newbyteorder("=")
    if kind in "iu" and size == 8 and array.size:
        low, high = array.min(), array.max()
        if low < np.iinfo(narrow).min or high > np.iinfo(narrow).max:
            raise ValueError(
                f"{path}: field {name!r} should fit into {narrow}, found {low} to {high}"
            )
    return array.astype(narrow)
