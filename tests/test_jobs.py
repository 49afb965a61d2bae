"""Studies that stop anywhere and go on: nothing is done twice, nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterplay import jobs
from counterplay.errors import JobError
from counterplay.jobs import Job, digest, path_of, run
from counterplay.runs.lock import Lock

GRID = [Job("square", {"x": x}, seed) for x in (3, 1, 2) for seed in (0, 1)]
EXPECTED = [{"y": job.config["x"] ** 2 + job.seed} for job in GRID]


class Work:
    """Squares, and remembers whom for."""

    def __init__(self, fails: Any = lambda job: None):
        self.asked: list[Job] = []
        self.fails = fails

    def __call__(self, job: Job) -> dict[str, Any]:
        self.asked.append(job)
        self.fails(job)
        return {"y": job.config["x"] ** 2 + job.seed}


def test_results_come_in_the_order_of_the_jobs_and_are_not_worked_out_again(tmp_path, capsys):
    work, again = Work(), Work()
    assert run(GRID, work, tmp_path, title="squares") == EXPECTED
    assert work.asked == GRID
    assert run(GRID[::-1], again, tmp_path, title="squares") == EXPECTED[::-1]
    assert not again.asked
    assert "squares: 6 of 6 jobs done" in capsys.readouterr().err


def test_a_file_says_all_about_its_job(tmp_path):
    run(GRID[:1], Work(), tmp_path, title="squares", quiet=True)
    (path,) = tmp_path.iterdir()
    assert path.name == f"square-{digest(GRID[0])}-0.json"
    row = json.loads(path.read_text())
    assert row["job"] == {"name": "square", "config": {"x": 3}, "seed": 0}
    assert row["result"] == {"y": 9} and row["seconds"] >= 0
    assert {"counterplay", "jax"} <= set(row["versions"])
    assert time.strptime(row["date"], "%Y-%m-%dT%H:%M:%S%z")


def test_a_digest_is_of_name_and_config_and_of_nothing_else():
    # printf '{"config":{"a":[1,2],"b":0.5},"name":"n"}' | sha256sum
    assert digest(Job("n", {"b": 0.5, "a": (1, 2)}, 0)) == "00958f688895"
    assert digest(Job("n", {"a": [1, 2], "b": 0.5}, 9)) == "00958f688895"
    assert digest(Job("n", {"a": [1, 3], "b": 0.5}, 0)) != "00958f688895"
    assert digest(Job("m", {"a": [1, 2], "b": 0.5}, 0)) != "00958f688895"


def test_other_settings_are_other_jobs(tmp_path):
    run(GRID[:2], Work(), tmp_path, title="squares", quiet=True)
    work, changed = Work(), Job("square", {"x": 4}, 0)
    assert run([GRID[0], changed], work, tmp_path, title="squares") == [{"y": 9}, {"y": 16}]
    assert work.asked == [changed]


DAMAGES = {
    "cut": lambda text: text[:40],
    "empty": lambda text: "",
    "of another job": lambda text: text.replace('"x": 3', '"x": 7'),
    "without a result": lambda text: text.replace('"result"', '"outcome"'),
    "a list": lambda text: "[1, 2]",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_kept_and_done_anew(tmp_path, capsys, damage):
    run(GRID[:2], Work(), tmp_path, title="squares", quiet=True)
    path = path_of(GRID[0], tmp_path)
    path.write_text(damage(path.read_text()))
    spoilt, work = path.read_text(), Work()
    assert run(GRID[:2], work, tmp_path, title="squares", quiet=True) == EXPECTED[:2]
    assert work.asked == GRID[:1]
    assert f"{path} is damaged: " in capsys.readouterr().err
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.name.startswith(path.name) and aside.read_text() == spoilt


def test_a_job_that_fails_is_named_and_the_others_are_done(tmp_path, capsys):
    def fails(job):
        if job == GRID[2]:
            raise ZeroDivisionError("no such square")

    name = path_of(GRID[2], tmp_path).stem
    told = f"1 of 6 jobs failed: {name}: ZeroDivisionError: no such square"
    with pytest.raises(JobError, match=f"squares: {told}") as caught:
        run(GRID, Work(fails), tmp_path, title="squares")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert f"job {name} failed" in capsys.readouterr().err
    work = Work()
    assert run(GRID, work, tmp_path, title="squares") == EXPECTED
    assert work.asked == [GRID[2]]


def test_jobs_that_fail_alike_are_told_once(tmp_path, capsys):
    def fails(job):
        raise ValueError("no such bot" if job in GRID[:4] else f"no such square as {job.name}")

    with pytest.raises(JobError) as caught:
        run(GRID[:5], Work(fails), tmp_path, title="squares")
    last = f"{path_of(GRID[4], tmp_path).stem}: ValueError: no such square as {GRID[4].name}"
    alike = "4 jobs: ValueError: no such bot"
    assert str(caught.value) == f"squares: 5 of 5 jobs failed: {alike}; {last}"
    said = [line for line in capsys.readouterr().err.splitlines() if " failed: " in line]
    assert len(said) == 2 and path_of(GRID[0], tmp_path).stem in said[0] and last[:9] in said[1]


def test_an_interrupt_ends_after_the_present_job_and_the_rest_stays_empty(tmp_path, capfd):
    def fails(job):
        if job == GRID[1]:
            os.kill(os.getpid(), signal.SIGINT)

    assert run(GRID, Work(fails), tmp_path, title="squares") == EXPECTED[:2] + [None] * 4
    assert (
        f"squares: 4 jobs not run; the same command goes on with {tmp_path}"
        in capfd.readouterr().err
    )
    work = Work()
    assert run(GRID, work, tmp_path, title="squares") == EXPECTED
    assert work.asked == GRID[2:]


def test_a_job_that_was_interrupted_itself_has_not_run(tmp_path):
    def fails(job):
        if job == GRID[1]:
            raise KeyboardInterrupt

    found = run(GRID, Work(fails), tmp_path, title="squares", quiet=True)
    assert found == EXPECTED[:1] + [None] * 5


def test_time_that_is_over_starts_no_other_job(tmp_path):
    found = run(GRID, Work(lambda job: time.sleep(0.05)), tmp_path, title="squares", seconds=0.01)
    assert found == EXPECTED[:1] + [None] * 5


def test_how_long_is_left_comes_from_the_median(monkeypatch, capsys):
    monkeypatch.setattr(jobs, "BETWEEN", 0.0)
    progress = jobs._Progress("squares", 10, False, [100.0, 2.0, 90.0])
    progress.tell()
    assert capsys.readouterr().err.strip().endswith("3 of 10 jobs done, 7 left, about 10.5 min")


def test_seeds_are_worked_out_in_the_same_groups_wherever_a_queue_begins(tmp_path):
    """In twos from seed 100 on; jobs of another config are others."""
    asked = []

    def work(job: Job, seed: int) -> list[dict[str, Any]]:
        asked.append((job.config["x"], seed))
        return [{"y": job.config["x"] * s} for s in (seed, seed + 1)]

    grid = [Job("times", {"x": x}, seed) for x in (1, 2) for seed in (100, 101, 102, 103)]
    expected = [{"y": job.config["x"] * job.seed} for job in grid]
    together = jobs.Together(work, 2, first=100)
    assert run(grid, together, tmp_path / "whole", title="twos", quiet=True) == expected
    assert asked == [(1, 100), (1, 102), (2, 100), (2, 102)]
    asked.clear()
    path_of(grid[0], tmp_path / "whole").rename(tmp_path / "kept.json")
    (tmp_path / "part").mkdir()
    (tmp_path / "kept.json").rename(path_of(grid[0], tmp_path / "part"))  # and then it was killed
    again = jobs.Together(work, 2, first=100)
    assert run(grid[:3], again, tmp_path / "part", title="twos", quiet=True) == expected[:3]
    assert asked == [(1, 100), (1, 102)], "the second of a group whose first is there"


def test_jobs_that_are_worked_out_together_share_their_time(monkeypatch, capsys):
    """Two at once: 60 s, 80 s and 100 s were each for two, the third of which is still to come."""
    monkeypatch.setattr(jobs, "BETWEEN", 0.0)
    seconds = [60.0, 0.0, 80.0, 0.0, 100.0]
    jobs._Progress("squares", 8, False, seconds, together=2).tell()
    assert capsys.readouterr().err.strip().endswith("5 of 8 jobs done, 3 left, about 2.0 min")


KILLED = """
import sys, time
from pathlib import Path
from counterplay.jobs import Job, run

def work(job):
    if job.seed == 2:
        print("at the third", flush=True)
        time.sleep(60)
    return {"seed": job.seed}

run([Job("slow", {}, seed) for seed in range(4)], work, Path(sys.argv[1]), title="slow")
"""


def test_what_was_done_before_a_kill_is_not_done_again(tmp_path):
    line = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "at the third"
        with pytest.raises(ValueError, match=f"{tmp_path} is in use by process {process.pid}"):
            run([Job("slow", {}, 3)], lambda job: {}, tmp_path, title="slow")
        process.kill()
    asked = []

    def work(job: Job) -> dict[str, Any]:
        asked.append(job.seed)
        return {"seed": job.seed}

    grid = [Job("slow", {}, seed) for seed in range(4)]
    assert run(grid, work, tmp_path, title="slow") == [{"seed": seed} for seed in range(4)]
    assert asked == [2, 3]


def test_the_folder_is_given_back(tmp_path):
    run(GRID[:1], Work(), tmp_path, title="squares")
    with Lock(tmp_path):
        pass


def test_results_are_as_json_gives_them_back_at_once(tmp_path):
    work = lambda job: {"mean": np.float32(0.5), "row": np.arange(2), "pair": (1, 2)}
    first = run([Job("arrays", {}, 0)], work, tmp_path, title="arrays")
    assert first == [{"mean": 0.5, "row": [0, 1], "pair": [1, 2]}]
    assert run([Job("arrays", {}, 0)], work, tmp_path, title="arrays") == first


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (Job("a/b", {}, 0), r"job 'a/b': a name becomes a file's"),
        (Job("", {}, 0), r"job '': a name becomes a file's"),
        (Job("a", {"x": Path("b")}, 0), r"job 'a': config must be of what JSON has .*PosixPath"),
    ],
)
def test_jobs_that_cannot_be_kept_are_refused(tmp_path, job, said):
    with pytest.raises(ValueError, match=said):
        run([job], Work(), tmp_path, title="squares")


def test_one_job_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must differ in name, config or seed, found twice"):
        run([GRID[0], GRID[0]], Work(), tmp_path, title="squares")


def test_what_is_no_result_is_told(tmp_path):
    with pytest.raises(JobError, match=r"TypeError: a job gives a dictionary, found int"):
        run(GRID[:1], lambda job: 3, tmp_path, title="squares")  # type: ignore[arg-type]
    with pytest.raises(JobError, match=r"a result is of what JSON has, found object"):
        run(GRID[:1], lambda job: {"y": object()}, tmp_path, title="squares")
