"""A disk that fills up, and a machine that stops, at every moment of a save."""

import contextlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from saved import RUN_ID, save

from counterplay.errors import SaveError
from counterplay.runs import checkpoints, disk
from counterplay.runs.checkpoints import BUFFER, POLICY, STATE


class PulledError(BaseException):
    """Stands for the end of the process."""


class Trouble:
    """Counts the calls that touch the disk, and fails in one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, fails_at: int, error: BaseException):
        self.calls: list[str] = []
        self.fails_at, self.error, self.patch = fails_at, error, patch
        for name, home in (("mkdir", Path), ("open", Path), ("rename", Path)):
            self._watch(home, name)
        self._watch(os, "fsync")
        self._watch(disk, "_write")
        self._watch(shutil, "rmtree")

    def _watch(self, home: Any, name: str) -> None:
        real = getattr(home, name)

        def watched(*args: Any, **settings: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) != self.fails_at:
                return real(*args, **settings)
            if name == "open":  # the file is there, and empty
                real(*args, **settings).close()
            if name == "_write":
                real(args[0], args[1][: len(args[1]) // 2])
            raise self.error

        self.patch.setattr(home, name, watched)


def parts(run: Path) -> list[Path]:
    return list(run.rglob(".*"))


def latest(run: Path) -> Any:
    return checkpoints.latest(run, RUN_ID, (POLICY, STATE, BUFFER), lambda text: None)


FULL = OSError(28, "No space left on device")


def calls_of_a_save(run: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        trouble = Trouble(patch, 0, FULL)
        save(run, 999)
    shutil.rmtree(checkpoints.folder_of(run, 999))
    return len(trouble.calls)


def test_a_disk_that_is_full_at_any_write_leaves_the_one_before(tmp_path):
    save(tmp_path, 128)
    last, refused = calls_of_a_save(tmp_path), 0
    assert last >= 12, "three files are opened, written and made to last, and a folder renamed"
    for k in range(1, last + 1):
        with pytest.MonkeyPatch.context() as patch:
            Trouble(patch, k, FULL)
            try:
                path = save(tmp_path, 256)
            except SaveError as error:
                refused += 1
                said = str(error)
                assert "the checkpoint of step 256 was not saved: cannot write" in said
                assert str(checkpoints.folder_of(tmp_path, 256)) in said
                assert "No space left on device" in said
                assert "it takes " in said and said.endswith(" MB are free")
                assert latest(tmp_path).steps == 128 and checkpoints.steps_of(tmp_path) == [128]
            else:  # only the name in its folder may not last; it is there
                assert latest(tmp_path).steps == 256
                shutil.rmtree(path)
        assert parts(tmp_path) == [], k
    assert refused >= last - 2


def test_room_is_asked_for_before_a_file_is_written(tmp_path, monkeypatch):
    save(tmp_path, 128)
    for room in (0, 1000, disk.MARGIN):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda path, room=room: SimpleNamespace(free=room)
        )
        with pytest.raises(SaveError, match=r"step 256 was not saved: .* needs .* MB, .* are free"):
            save(tmp_path, 256)
        assert latest(tmp_path).steps == 128 and parts(tmp_path) == []
    with pytest.raises(SaveError, match=r"a run was not saved: .* needs 3.0 MB, 1.0 MB are free"):
        disk.need_space(tmp_path, 2_000_000 - disk.MARGIN + 1_000_000, "a run")


def test_room_may_end_between_two_files(tmp_path, monkeypatch):
    save(tmp_path, 128)
    rooms = iter([10**9, 10**9, 0])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(rooms)))
    with pytest.raises(SaveError, match="was not saved"):
        save(tmp_path, 256)
    assert latest(tmp_path).steps == 128 and parts(tmp_path) == []


@pytest.mark.parametrize("damaged", [False, True], ids=["new step", "damaged step"])
def test_a_process_that_ends_at_any_moment_leaves_the_old_or_the_new(damaged, tmp_path):
    """What it leaves besides is cleared away by the next."""
    save(tmp_path, 128)
    seen = set()
    for k in range(1, calls_of_a_save(tmp_path) + 3):
        if damaged:
            (save(tmp_path, 256) / STATE).write_bytes(b"")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda *args, **settings: None)  # no time for that
            patch.setattr(Path, "unlink", lambda *args, **settings: None)
            Trouble(patch, k, PulledError())
            with contextlib.suppress(PulledError):
                save(tmp_path, 256)
        seen.add(latest(tmp_path).steps)
        if not damaged:
            assert checkpoints.steps_of(tmp_path)[0] == latest(tmp_path).steps, "all are whole"
        disk.remove_parts(tmp_path / "checkpoints")
        assert parts(tmp_path) == []
        shutil.rmtree(checkpoints.folder_of(tmp_path, 256), ignore_errors=True)
    assert seen == {128, 256}


def test_a_file_is_the_old_or_the_new_one(tmp_path):
    path = tmp_path / "config.json"
    for k in range(1, 9):
        disk.write_whole(path, "old")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", lambda *args, **settings: None)
            Trouble(patch, k, PulledError())
            with contextlib.suppress(PulledError):
                disk.write_whole(path, "new")
        assert path.read_text() in ("old", "new")
        disk.remove_parts(tmp_path)
        assert parts(tmp_path) == []
    assert path.read_text() == "new"


def test_what_is_half_removed_is_not_there(tmp_path, monkeypatch):
    path = save(tmp_path, 128)
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **settings: None)
    disk.remove_folder(path)
    assert checkpoints.steps_of(tmp_path) == [] and len(parts(tmp_path)) == 1
