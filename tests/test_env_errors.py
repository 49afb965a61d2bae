"""Commands on games that break: they end in words, or go on and say how often that was."""

import json
import shlex
import signal
import time
from pathlib import Path

import pytest

from counterplay import cli, envs, play, reporting, verbs
from counterplay.console import Stop
from counterplay.envs.running import Running
from counterplay.envs.watching import FOREVER, Hung, Watch

PLACE = f"{Path(__file__).parent / 'envs' / 'faulty.py'}:Pair"
GAME = shlex.quote(PLACE)  # folders may hold spaces
TINY = "--lanes 2 --slots 16 --widths 4 --minibatches 1 --epochs 1 --steps 32"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """The devices of this process were chosen before, and the game breaks in two episodes."""
    for module in (verbs, play, reporting):
        monkeypatch.setattr(module, "use_all_cores", lambda game="": None)
    envs.make(PLACE).build.ask_for("raises")  # type: ignore[attr-defined]


def test_a_training_ends_or_goes_on_without_such_episodes(tmp_path, capsys):
    command = f"train ppo --env {GAME} {TINY} --out {tmp_path}/run"
    assert cli.main(shlex.split(command)) == 1
    said = capsys.readouterr().err
    assert "Pair broke in lane 0 after move 2: ZeroDivisionError: no luck; in iteration 1" in said
    assert "Traceback" not in said
    envs.make(PLACE).build.ask_for("raises")  # type: ignore[attr-defined]
    more = ["--on-env-error", "restart", "--env-timeout", "9"]
    assert cli.main([*shlex.split(command.replace("/run", "/next")), *more]) == 0
    out, said = capsys.readouterr()
    assert "games that broke and were restarted, their episodes dropped: 2" in out
    assert said.count("its episode is dropped and a fresh copy takes its place") == 2
    row = json.loads((tmp_path / "next" / "metrics.jsonl").read_text())
    assert row["env_errors"] == [2] and row["return"] == [3.0]
    assert row["dropped_episodes"] == [0], "these are those of --on-nonfinite"
    assert row["episodes"] == [8] and row["live_share"] == [28 / 32]
    kept = json.loads((tmp_path / "next" / "config.json").read_text())
    assert (kept["on_env_error"], kept["env_timeout"]) == ("restart", 9.0)


def test_what_breaks_at_the_opening_is_counted_too(tmp_path, capsys):
    envs.make(PLACE).build.ask_for("reset raises")  # type: ignore[attr-defined]
    sizes = TINY.replace("--lanes 2", "--lanes 4")  # the third of four first episodes breaks
    command = f"train ppo --env {GAME} {sizes} --out {tmp_path}/run --on-env-error restart --json"
    assert cli.main(shlex.split(command)) == 0
    assert json.loads(capsys.readouterr().out)["env_errors"] == 2


def test_games_are_closed_where_those_of_another_seed_cannot_be_opened(tmp_path, monkeypatch):
    envs.make(PLACE).build.ask_for("reset raises")  # type: ignore[attr-defined]
    closed, close = [], Running.close
    monkeypatch.setattr(Running, "close", lambda self: (closed.append(self), close(self)))
    command = f"train ppo --env {GAME} {TINY} --seeds 2 --out {tmp_path}/run"
    assert cli.main(shlex.split(command)) == 1
    assert len({*map(id, closed)}) == 2


def test_an_evaluation_ends_or_counts_whole_episodes_only(capsys):
    command = shlex.split(f"eval --env {GAME} --seat 0..1=random --episodes 8 --json")
    assert cli.main(command) == 1
    assert "broke in lane 2 after move 2: ZeroDivisionError" in capsys.readouterr().err
    envs.make(PLACE).build.ask_for("raises")  # type: ignore[attr-defined]
    assert cli.main([*command, "--on-env-error", "restart"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert found["env_errors"] == 2 and row["episodes"] == 8
    assert row["mean"] == [3.0, 3.0] and row["error"] == [0.0, 0.0] and row["length"] == 3.0


def test_so_does_cross_play(tmp_path, capsys):
    command = shlex.split(f"xplay random --env {GAME} --episodes 8 --out {tmp_path}/found --json")
    assert cli.main(command) == 1
    assert "broke in lane 2 after move 2: ZeroDivisionError" in capsys.readouterr().err
    envs.make(PLACE).build.ask_for("hangs")  # type: ignore[attr-defined]
    assert cli.main([*command, "--on-env-error", "restart", "--env-timeout", "0.2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env_errors"] == 2 and found["cells"][0][0]["mean"] == 3.0
    assert json.loads((tmp_path / "found" / "result.json").read_text())["env_errors"] == 2


def test_a_report_leaves_out_what_broke_or_plays_on(tmp_path, capsys):
    envs.make(PLACE).build.ask_for("")  # type: ignore[attr-defined]
    assert cli.main(shlex.split(f"train ppo --env {GAME} {TINY} --out {tmp_path}/run")) == 0
    command = shlex.split(f"report {tmp_path}/run --against random --episodes 8 --json")
    envs.make(PLACE).build.ask_for("raises")  # type: ignore[attr-defined]
    capsys.readouterr()
    assert cli.main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["returns"] == [] and "returns left out" in found["notes"][0]
    assert "after move 2: ZeroDivisionError: no luck" in found["notes"][0]
    envs.make(PLACE).build.ask_for("hangs")  # type: ignore[attr-defined]
    assert cli.main([*command, "--on-env-error", "restart", "--env-timeout", "0.2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env_errors"] == 2 and {row["mean"] for row in found["returns"]} == {3.0}


@pytest.mark.parametrize("command", ["eval", "xplay random", "report runs"])
def test_a_time_that_no_game_can_be_given_is_refused(command, capsys):
    assert cli.main([*command.split(), "--env-timeout", "-1"]) == 2
    assert "--env-timeout must be 0 to 1,000,000 s, found -1" in capsys.readouterr().err


def test_a_watch_takes_nobodys_signals():
    with Stop() as stop, Watch(30.0):
        assert signal.getsignal(signal.SIGINT) == stop._asked
        assert signal.getsignal(signal.SIGALRM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_watch_leaves_the_timer_of_others_alone():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with Watch(0.01) as watch:
        watch.began = time.monotonic()
        time.sleep(0.2)
    signal.signal(signal.SIGALRM, before)
    assert rung == [1]


def test_a_watch_interrupts_a_call_that_is_late_and_no_other():
    with Watch(0.1) as watch:
        for _ in range(5):
            watch.began = time.monotonic()
            time.sleep(0.05)
        watch.began = FOREVER
        time.sleep(0.3)
        watch.began = time.monotonic()
        with pytest.raises(Hung, match=r"within 0\.1 s"):
            time.sleep(5)
    with Watch(0) as watch:
        watch.began = 0.0
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


EARLY = '''
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

class Early(gymnasium.Env):
    """Three moves an episode; the very first shows what is no number."""
    observation_space, action_space, max_steps = Box(-9, 9, (1,), np.float32), Discrete(2), 5
    begun = 0

    def reset(self, seed=None, options=None):
        self.time = 0
        Early.begun += 1
        return np.full(1, np.nan if Early.begun == 1 else 0, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.full(1, self.time, np.float32), 1.0, self.time == 3, False, {}
'''


def test_the_first_episode_may_be_dropped_as_any_other(tmp_path, capsys):
    (tmp_path / "early.py").write_text(EARLY)
    command = f"train ppo --env {tmp_path}/early.py:Early {TINY} --out {tmp_path}/run"
    assert cli.main([*shlex.split(command), "--on-nonfinite", "drop-episode"]) == 0, (
        capsys.readouterr()
    )
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert row["dropped_episodes"] == [1] and row["episodes"] == [9] and row["return"] == [3.0]
