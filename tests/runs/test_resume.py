"""Half a training and the other half are the whole, to the last bit."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from going_on import PD, files, go_on, left_by, settings, train

from counterplay import runs, verbs
from counterplay.algos import ppo
from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import POLICY, STATE

HOSTED = f"{Path(__file__).parents[1] / 'envs' / 'test_hosting.py'}:Leavers"
BOTS = """
class Random:
    def begin(self, seed, new_match):
        self.lot = seed

    def act(self, view):
        self.lot = (self.lot * 69069 + 1) % 2**32
        legal = view["legal"].nonzero()[0]
        return int(legal[self.lot // 2**16 % len(legal)])
"""


@pytest.fixture(scope="module")
def frozen(tmp_path_factory) -> list[str]:
    """Two runs of one shape, which are dealt anew every other iteration."""
    folder = tmp_path_factory.mktemp("frozen")
    return [f"run:{train(settings(folder / str(i), 1, seed=i))}" for i in (1, 2)]


WAYS: dict[str, dict[str, Any]] = {
    "self-play with memory": {"gru": 3},
    "matches of two episodes": {"gru": 3, "match": 2, "seat": ("0=self", "1=tit_for_tat,random")},
    "three seeds": {"seeds": 3, "seed": 4},
    "independent learners": {"seat": ("0..1=own",)},
    "every seat in turn against rules": {"against": ("grim", "random"), "lanes": 8},
    "frozen runs dealt anew": {"seat": ("0=own", "1=frozen"), "redeal": 2},
}


def chosen_for(way: str, out: Path, frozen: list[str]) -> verbs.Train:
    more = dict(WAYS[way])
    if "redeal" in more:
        more["seat"] = ("0=own", f"1={','.join(frozen)}")
    return settings(out, **more)


@pytest.mark.parametrize("way", WAYS)
def test_half_and_half_are_the_whole(way, tmp_path, frozen):
    whole = left_by(train(chosen_for(way, tmp_path / "whole", frozen)))
    chosen = chosen_for(way, tmp_path / "halves", frozen)
    half = left_by(train(chosen, until=3))
    assert len(half.metrics) == 3 and half.metrics == whole.metrics[:3]
    assert half.state != whole.state
    there = left_by(go_on(chosen))
    assert [row["iteration"] for row in there.metrics] == [1, 2, 3, 4, 5, 6]
    assert there == whole


def test_an_earlier_checkpoint_gets_there_too(tmp_path, capsys):
    """Where the latest is damaged, the one before is used, and the same played again."""
    chosen = replace(settings(tmp_path / "run"), save_seconds=0)
    whole = left_by(train(chosen))
    for steps in (192, 160):
        (checkpoints.folder_of(tmp_path / "run", steps) / STATE).write_bytes(b"")
    capsys.readouterr()
    go_on(replace(chosen, keep=1))
    said = capsys.readouterr().err
    assert said.count("using the checkpoint of step 128 instead") == 1
    assert "000000000192/state.safetensors is damaged: " in said
    assert left_by(tmp_path / "run") == whole
    assert checkpoints.steps_of(tmp_path / "run") == [192]


def test_without_a_whole_checkpoint_nothing_goes_on(tmp_path):
    chosen = replace(settings(tmp_path / "run", 2), save_seconds=0)
    train(chosen)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        (path / STATE).write_bytes(b"")
    before = files(tmp_path / "run")
    with pytest.raises(ValueError, match=r"has no whole checkpoint: .*64.*; .*32"):
        go_on(chosen)
    assert files(tmp_path / "run") == before


def test_without_any_checkpoint_a_training_begins_anew(tmp_path, capsys):
    chosen = settings(tmp_path / "run", 3)
    whole = left_by(train(chosen))
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    go_on(chosen)
    assert "has no checkpoint yet: the training begins anew" in capsys.readouterr().err
    assert left_by(tmp_path / "run") == whole


def test_stops_at_every_iteration_leave_no_mark(tmp_path, capsys):
    whole = left_by(train(settings(tmp_path / "whole", 4)))
    chosen = settings(tmp_path / "parts", 4)
    train(chosen, until=1)
    for i in (2, 3, 4):
        go_on(chosen, until=i)
    assert left_by(tmp_path / "parts") == whole
    before = files(tmp_path / "parts")
    go_on(chosen)
    assert files(tmp_path / "parts") == before, "it was over"
    assert "was trained to its end already" in capsys.readouterr().err


def test_networks_alone_play_and_are_not_trained_on(tmp_path):
    chosen = settings(tmp_path / "run", 1)
    folder = train(chosen)
    row = runs.read_config(folder)
    nets = runs.load_nets(folder, row, verbs.envs.make(PD))
    shutil.rmtree(folder / "checkpoints")
    runs.save_policy(folder, nets)
    with pytest.raises(ValueError, match="networks alone, which can play but not be trained on"):
        go_on(chosen)


def hosted(tmp_path: Path, name: str) -> verbs.Train:
    (tmp_path / "bots.py").write_text(BOTS)
    seats = ("0=self", "1=self", f"2={tmp_path}/bots.py:Random")
    return settings(tmp_path / name, env=HOSTED, seat=seats, seeds=2)


def test_games_in_ordinary_python_go_on_with_what_was_learnt(tmp_path, monkeypatch):
    """Episodes begin afresh: everything else is that of the last iteration before."""
    chosen = hosted(tmp_path, "run")
    folder = train(chosen, until=3)
    half = left_by(folder)
    found = checkpoints.latest(folder, None, (POLICY, STATE), pytest.fail)
    assert found is not None and found.about["iteration"] == 3
    saved, seen = checkpoints.arrays_of(found, STATE), []
    learn = ppo.learn

    def watched(config, state, chunk):
        seen.append(state)
        return learn(config, state, chunk)

    monkeypatch.setattr(ppo, "learn", watched)
    began = ppo.policy
    first = []

    def policy(config, state):
        first.append(checkpoints.named(state)) if "jit" not in str(state.steps) else None
        return began(config, state)

    monkeypatch.setattr(ppo, "policy", policy)
    go_on(chosen)
    at_start = list(first[2:4])  # the first two were fresh, and thrown away
    for seed, state in enumerate(at_start):
        for name, array in state.items():
            assert np.array_equal(array, saved[f"0/{seed}/state/{name}"]), name
    whole = left_by(folder)
    assert whole.metrics[:3] == half.metrics
    assert [row["steps"] for row in whole.metrics] == [32, 64, 96, 128, 160, 192]
    assert whole.state != half.state


def test_two_devices_go_on_as_well(tmp_path):
    """Through the command line, one seed dealt to both."""
    cores = ["taskset", "-c", "0,1"] if shutil.which("taskset") else []
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    program = (
        "import sys, going_on; from counterplay import cli; stop = int(sys.argv.pop(1))\n"
        "with going_on.ends_after(stop): sys.exit(cli.main(sys.argv[1:]))"
    )
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    cache |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    base = f"train ppo --env {PD} --lanes 4 --slots 8 --widths 4 --minibatches 2 --steps 192"

    def run(stop: int, more: str) -> None:
        command = [*cores, sys.executable, "-c", program, str(stop), *f"{base} {more}".split()]
        env = os.environ | cache | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr

    run(99, f"--out {tmp_path}/whole")
    run(3, f"--out {tmp_path}/halves")
    run(99, f"--resume {tmp_path}/halves")
    about = json.loads((tmp_path / "halves" / "config.json").read_text())
    assert about["devices"] == 2
    there = left_by(tmp_path / "halves")
    assert len(there.metrics) == 6 and there == left_by(tmp_path / "whole")
