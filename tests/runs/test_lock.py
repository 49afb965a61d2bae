"""One process a run folder: of two one wins, what a dead one left is taken over."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from counterplay.runs import folder, lock
from counterplay.runs.lock import Lock

HOLD = """
import sys
from pathlib import Path
from counterplay.runs.lock import Lock
try:
    held = Lock(Path(sys.argv[1]))
except ValueError as error:
    print(error, flush=True)
    sys.exit(2)
print("mine", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def hold():
    """Starts processes that hold a folder or say why they may not; none outlives its test."""
    started: list[subprocess.Popen] = []

    def start(folder: Path) -> subprocess.Popen:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        started.append(subprocess.Popen([sys.executable, "-c", HOLD, folder], text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_two_processes_one_wins_and_the_next_takes_over_from_the_dead(hold, tmp_path):
    both = [hold(tmp_path), hold(tmp_path)]
    said = [first_line(process) for process in both]
    winner = both[said.index("mine")]
    (refusal,) = (text for text in said if text != "mine")
    assert f"{tmp_path} is in use by process {winner.pid} on " in refusal
    assert "wait for it, or choose another folder" in refusal and "remove" not in refusal
    with pytest.raises(ValueError, match=f"in use by process {winner.pid} "):
        Lock(tmp_path)
    winner.kill()
    winner.wait()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == winner.pid
    with Lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock").exists()


def test_a_second_one_in_the_same_process_is_refused(tmp_path):
    first = Lock(tmp_path)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} "):
        Lock(tmp_path)
    first.release()
    first.release()
    with Lock(tmp_path):
        pass
    assert not (tmp_path / "lock").exists()


def gone() -> int:
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    return int(process.stdout)


STALE = {
    "dead": lambda: json.dumps(lock._me() | {"pid": gone(), "began": "1"}),
    "number used again": lambda: json.dumps(lock._me() | {"began": "1"}),
    "machine started again": lambda: json.dumps(lock._me() | {"boot": "another"}),
    "empty": lambda: "",
    "cut": lambda: json.dumps(lock._me())[:20],
    "garbage": lambda: "\x00\x01 not JSON",
    "list": lambda: "[1, 2]",
    "no process": lambda: json.dumps({"host": "elsewhere"}),
    "odd number": lambda: json.dumps(lock._me() | {"pid": "none"}),
}


@pytest.mark.parametrize("left", STALE)
def test_what_a_crash_left_is_taken_over(left, tmp_path):
    (tmp_path / "lock").write_text(STALE[left]())
    with Lock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text()) == lock._me()
    assert not (tmp_path / "lock").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_is_dead_but_not_buried_holds_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    stat = Path(f"/proc/{process.pid}/stat")
    for _ in range(500):
        if stat.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    began = stat.read_text().rpartition(")")[2].split()[19]
    (tmp_path / "lock").write_text(json.dumps(lock._me() | {"pid": process.pid, "began": began}))
    with Lock(tmp_path):
        pass
    process.wait()


def test_of_another_machine_nobody_can_tell(tmp_path):
    text = json.dumps(lock._me() | {"pid": 1, "host": "elsewhere", "boot": "another"})
    (tmp_path / "lock").write_text(text)
    hint = rf"in use by process 1 on elsewhere: .*; if it is gone, remove {tmp_path / 'lock'}"
    with pytest.raises(ValueError, match=hint):
        Lock(tmp_path)
    assert (tmp_path / "lock").read_text() == text
    (tmp_path / "lock").unlink()
    with Lock(tmp_path):
        pass


def test_without_locks_of_the_system_the_text_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with Lock(tmp_path), pytest.raises(ValueError, match=f"in use by process {os.getpid()} "):
        Lock(tmp_path)
    (tmp_path / "lock").write_text(STALE["dead"]())
    with Lock(tmp_path):
        pass


def test_a_living_owner_keeps_it_even_before_it_has_signed(hold, tmp_path):
    process = hold(tmp_path)
    assert first_line(process) == "mine"
    os.truncate(tmp_path / "lock", 0)
    with pytest.raises(ValueError, match="in use by process unknown on this machine"):
        Lock(tmp_path)


@pytest.mark.parametrize("left", ["empty", "dead"])
@pytest.mark.skipif(lock.fcntl is None, reason="needs locks of the system")
def test_an_owner_that_signs_late_is_named(left, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "SIGNS_WITHIN", 30.0)
    path = tmp_path / "lock"
    path.write_text(STALE[left]())
    with path.open() as handle:
        lock.fcntl.flock(handle, lock.fcntl.LOCK_EX)
        signing = threading.Timer(0.3, path.write_text, [json.dumps(lock._me())])
        signing.start()
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
            Lock(tmp_path)
        signing.join()


def _take_turns(path: Path, rounds: int, queue) -> None:
    got = 0
    while got < rounds:
        try:
            held = Lock(path)
        except ValueError:
            continue
        mine = path / "mine"
        mine.touch(exist_ok=False)  # FileExistsError where two hold it
        mine.unlink()
        held.release()
        got += 1
    queue.put(got)


def test_two_that_take_turns_never_hold_it_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    both = [context.Process(target=_take_turns, args=(tmp_path, 200, queue)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]


def test_ten_thousand_names_of_one_second_differ(monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20261124-120000")
    assert len({folder.stamp() for _ in range(10_000)}) == 10_000
