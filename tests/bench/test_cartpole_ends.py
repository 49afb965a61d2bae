"""``bench cartpole`` that is interrupted leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from counterplay.bench import cartpole

WORKER = """#!/bin/sh
trap '' INT {deaf}
echo $$ >> workers
while :; do sleep 0.05; done
"""
"""A training, as far as signals go: an interrupt it takes for a wish to save."""

COMMAND = """
import signal, sys
from counterplay import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may start tests without it
from counterplay.bench import cartpole
cartpole.GRACE = 0.5
sys.executable = "./worker"
sys.exit(cli.main(["bench", "cartpole", "--seeds", "2", "--at-once", "2"]))
"""


def is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="signals and shells of Unix")
@pytest.mark.parametrize("deaf", ["", "TERM"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_its_processes_end_with_it(number, code, deaf, tmp_path):
    worker, told = tmp_path / "worker", tmp_path / "workers"
    worker.write_text(WORKER.format(deaf=deaf))
    worker.chmod(0o755)
    work = subprocess.Popen([sys.executable, "-c", COMMAND], cwd=tmp_path)
    until, workers = time.monotonic() + 60, []
    while len(workers) < 2 and time.monotonic() < until:
        time.sleep(0.05)
        workers = [int(line) for line in told.read_text().split()] if told.exists() else []
    try:
        assert len(workers) == 2 and all(map(is_there, workers))
        work.send_signal(number)
        assert work.wait(30) == code
        assert not any(map(is_there, workers))
    finally:
        for left in filter(is_there, workers):
            os.kill(left, signal.SIGKILL)
        work.kill()
        work.wait()


def test_a_training_that_was_stopped_is_not_followed_by_another(monkeypatch):
    begun = []
    stopped = lambda *args, **settings: (begun.append(args), SimpleNamespace(stopped=2))[1]
    monkeypatch.setattr(cartpole, "run_training", stopped)
    monkeypatch.setattr(cartpole, "run_where_called", lambda: None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        cartpole.main(["--seeds", "3", "--at-once", "1"])
    assert end.value.code == 130 and len(begun) == 1
    assert signal.getsignal(signal.SIGTERM) == before
