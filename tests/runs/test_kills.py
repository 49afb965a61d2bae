"""Real processes, killed at random moments or asked to stop: each goes on where it was stopped."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from counterplay.bench import faults
from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import POLICY, STATE

FULL = bool(os.environ.get("COUNTERPLAY_FULL"))
KILLS = 250 if FULL else 20
LONG = faults.TRAINING.replace("--steps 7680", "--steps 10000000")


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """That of a process: programs are compiled by the first, and threads are as in the shell."""
    found = faults.environment(tmp_path_factory.mktemp("cache"))
    found.pop("NPROC", None)  # set for the tests, which use one device
    home = Path(faults.__file__).parents[2]
    return found | {"PYTHONPATH": str(home)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, env):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert faults.finish(run, env) == ""
    return run


def test_killed_at_random_moments_they_end_as_if_undisturbed(tmp_path, env, undisturbed):
    reference = faults.left_by(undisturbed)
    assert [row["iteration"] for row in reference.metrics] == list(range(1, 61))
    found = faults.killed(tmp_path, KILLS, 3, reference, env)
    assert found.complaints == ()
    assert found.killed == KILLS and found.runs == found.identical >= 1
    assert found.lost <= 1, "iterations, with a checkpoint after every one"
    assert found.inside_saves >= (10 if FULL else 0)


def started(run: Path, env: dict[str, str], training: str) -> subprocess.Popen:
    """A training that has saved something since it was started."""
    there = set(checkpoints.steps_of(run))
    process = subprocess.Popen(
        faults.command(run, training),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.perf_counter() + faults.PATIENCE
    while not set(checkpoints.steps_of(run)) - there:
        assert process.poll() is None and time.perf_counter() < limit, process.communicate()
        time.sleep(0.005)
    return process


def is_whole(run: Path) -> bool:
    return checkpoints.latest(run, None, (POLICY, STATE), pytest.fail) is not None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_wish_to_stop_is_granted_after_a_save(number, code, tmp_path, env, undisturbed):
    """And the other half is then the same as ever."""
    seldom = LONG.replace("--save-seconds 0", "--save-seconds 1")
    process = started(tmp_path / "run", env, seldom)
    asked = time.perf_counter()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert time.perf_counter() - asked < 10
    assert f"{number.name}: saving at the next safe point; once more leaves at once" in err
    assert f'"stopped": {int(number)}' in out
    assert is_whole(tmp_path / "run") and not (tmp_path / "run" / "lock").exists()
    told = faults.left_by(tmp_path / "run").metrics
    steps = checkpoints.steps_of(tmp_path / "run")[0]
    assert told[-1]["steps"] == steps and len(told) == steps // 128
    process = started(tmp_path / "run", env, LONG)  # it goes on
    process.kill()
    process.communicate()


def test_a_second_wish_is_granted_at_once(tmp_path, env, undisturbed):
    slow = LONG.replace("--slots 8", "--slots 20000")  # the next safe point is far away
    run = tmp_path / "run"
    process = started(run, env, slow)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "once more leaves at once" not in (line := process.stderr.readline()):
        assert line, "it said nothing"
    asked = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM  # which a shell calls 143
    assert time.perf_counter() - asked < 2
    assert is_whole(run)
    process = started(run, env, slow)
    process.kill()
    process.communicate()
