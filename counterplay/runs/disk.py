"""Files that are whole or not there, also after a crash, a full disk or a pulled plug."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from counterplay.errors import SaveError

MARGIN = 1 << 20
"""Bytes that a save leaves free beside its own."""


def write_whole(path: Path, data: str | bytes) -> None:
    """Writes a file so that a reader finds the old one or the new one, never a part."""
    part = _beside(path)
    try:
        _write(part, data.encode() if isinstance(data, str) else data)
        part.replace(path)
        fsync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_folder(path: Path, files: Mapping[str, Callable[[], bytes]], what: str) -> None:
    """Writes a folder of files so that it is there with all of them or not at all.

    Each file is made when its turn comes. SaveError where the disk will not take it; then nothing
    of it is left.
    """
    part, size = _beside(path), 0
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            fsync_folder(path.parent.parent)
        part.mkdir()
        for name, make in files.items():
            data = make()
            size += len(data)
            need_space(part, len(data), what)
            _write(part / name, data)
        fsync_folder(part)
        part.rename(path)
        fsync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise SaveError(
                f"{what} was not saved: cannot write {path}: {error.strerror or error}; it takes "
                f"{told(size)}, {told(free(path))} are free"
            ) from error
        raise


def need_space(folder: Path, size: int, what: str) -> None:
    """SaveError, before anything is written, where the disk has no room for it."""
    if (there := free(folder)) < size + MARGIN:
        raise SaveError(
            f"{what} was not saved: {folder} needs {told(size + MARGIN)}, {told(there)} are free"
        )


def free(path: Path) -> int:
    """Bytes that may still be written at a path, or where its nearest folder is."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def remove_folder(path: Path) -> None:
    """Removes a folder at once, as far as anyone who looks for its name can tell."""
    doomed = _beside(path)
    path.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_parts(folder: Path) -> None:
    """Removes what writes that were cut short left in a folder."""
    for part in folder.glob(".*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    """Makes the names in a folder last; not every system can, and none fails for it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def told(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:,.1f} MB"


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
