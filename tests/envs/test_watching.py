"""Calls that hang end the process where nothing else helps, and only those."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from counterplay.envs import watching

LOCKED = "import ctypes; kept = bytes(64); lock = ctypes.CDLL(None).pthread_mutex_lock"
LOCKED += "; lock(kept); lock(kept)"
STUCK = """
from time import monotonic
from counterplay.envs import watching
watching.GRACE = 0.3
watch = watching.Watch(0.2, "faulty")
def a_game_in_compiled_code():
    {code}
with watch:
    watch.put_off()
    watch.began = monotonic()
    a_game_in_compiled_code()
"""


@pytest.mark.parametrize(("code", "named"), [("sum(range(10**12))", False), (LOCKED, True)])
def test_a_call_that_never_comes_back_to_python_ends_the_process_and_is_told(code, named):
    """Which game it is only where compiled code lets other threads run."""
    words = [sys.executable, "-c", STUCK.format(code=code)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Timeout" in done.stderr and "in a_game_in_compiled_code" in done.stderr
    said = (
        "counterplay: faulty did not return within 0.2 s (--env-timeout): it is stuck in compiled"
    )
    assert done.stderr.startswith(said) is named


PATIENT = """
import time
from counterplay.envs import watching
watching.GRACE = 0.5
watch = watching.Watch(1.5, "faulty")
with watch:
    for move in range(12):
        watch.put_off()
        watch.began = time.monotonic()
        print(move, flush=True)
        time.sleep(0.3)
print("played", flush=True)
"""


@pytest.mark.parametrize("where", ["a move", "between"])
def test_time_in_which_ctrl_z_stopped_everything_is_not_the_games(where):
    program = PATIENT if where == "a move" else PATIENT.replace(
        "time.sleep(0.3)", "watch.began = watching.FOREVER\n        time.sleep(0.3)"
    )  # fmt: skip
    words = [sys.executable, "-c", program]
    child = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    try:
        assert child.stdout and child.stderr
        for _ in range(2):
            child.stdout.readline()
            child.send_signal(signal.SIGTSTP)
            assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
            time.sleep(3)  # longer than any deadline
            child.send_signal(signal.SIGCONT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, err) == (0, "") and out.endswith("played\n")


def test_nothing_is_said_of_games_that_go_on_or_of_none(monkeypatch, capfd):
    monkeypatch.setattr(watching, "GRACE", 0.2)
    for _ in range(3):
        with watching.Watch(0.2, "faulty") as watch:
            for _ in range(8):
                watch.put_off()
                watch.began = time.monotonic()
                time.sleep(0.1)
            watch.began = watching.FOREVER
            watch.rest()
            time.sleep(0.6)
    assert capfd.readouterr().err == ""
    left = [thread for thread in threading.enumerate() if "_tell" in thread.name]
    time.sleep(0.1)
    assert not any(thread.is_alive() for thread in left)
