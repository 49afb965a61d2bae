"""One process a run folder: a lock that a crash leaves behind is taken over, a living one never."""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows; there the file's text alone decides
    fcntl = None

NAME = "lock"
SIGNS_WITHIN = 1.0  # seconds between an owner's lock and its name in the file, at the most


class Lock:
    """Held from construction until ``release``; ValueError where another process has the folder."""

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.handle = self._take()

    def _take(self) -> int:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                owner = _claim(handle)
                if owner is not None:
                    raise ValueError(_refusal(self.path, owner))
                if not _same(handle, self.path):  # its last owner removed it meanwhile
                    os.close(handle)
                    continue
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_me()).encode())
                os.fsync(handle)
                return handle
            except BaseException:
                with suppress(OSError):
                    os.close(handle)
                raise

    def release(self) -> None:
        """Gives the folder back."""
        if self.handle >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self.handle)
            self.handle = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _claim(handle: int) -> dict[str, Any] | None:
    """None where the file is ours to take, else what its living owner wrote into it."""
    held = False
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held = True
    owner = _read(handle)
    signs_by = time.monotonic() + SIGNS_WITHIN
    while held and not _alive(owner) and time.monotonic() < signs_by:  # it has yet to sign
        time.sleep(0.01)
        owner = _read(handle)
    return owner if held or _alive(owner) else None


def _read(handle: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(handle, 4096, 0) or b"{}")
    except ValueError:  # a crash while it was written
        return {}
    return found if isinstance(found, dict) else {}


def _alive(owner: dict[str, Any]) -> bool:
    """Whether the process that wrote this may still run; on another machine nobody can tell."""
    if "pid" not in owner:
        return False
    me = _me()
    if owner.get("host") != me["host"]:
        return True
    if owner.get("boot") != me["boot"]:
        return False
    return _began(owner["pid"]) == owner.get("began")


def _refusal(path: Path, owner: dict[str, Any]) -> str:
    who = f"process {owner.get('pid', 'unknown')} on {owner.get('host', 'this machine')}"
    elsewhere = owner.get("host", socket.gethostname()) != socket.gethostname()
    hint = f"; if it is gone, remove {path}" if elsewhere else ""
    return f"{path.parent} is in use by {who}: wait for it, or choose another folder{hint}"


def _me() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "began": _began(pid), "boot": _boot(), "host": socket.gethostname()}


def _boot() -> str:
    """Changes whenever the machine starts; process numbers mean nothing across that."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _began(pid: Any) -> str | None:
    """When a process began, None where there is none: numbers of processes are used again."""
    try:
        state, *rest = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else rest[18]  # the dead may wait there to be buried
    except (OSError, ValueError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return None
    return "unknown"


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
