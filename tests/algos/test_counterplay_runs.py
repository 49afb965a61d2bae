"""Trainings of the agent that plans: several seeds, stopped and gone on with, outside JAX, and on
two devices."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import pytest

from counterplay import envs, keeper, verbs
from counterplay.algos import counterplay
from counterplay.algos.counterplay import Config
from counterplay.bench.faults import left_by
from counterplay.envs.hosting import host_native
from counterplay.pools import roster_of

PD = "matrix:pd,horizon=4"
SEEDS, LANES, SLOTS = 2, 4, 6
SMALL: dict[str, Any] = {
    "lanes": LANES, "slots": SLOTS, "seeds": SEEDS, "widths": (4,), "minibatches": 2, "epochs": 1,
    "told_width": 5, "reader_widths": (4,), "reader_gru": 3, "reader_minibatches": 1,
    "latent": 5, "world_width": 6, "world_token": 3, "world_minibatches": 2, "world_steps": 2,
    "value_width": 4,
}  # fmt: skip
PARTS = "policy", "reader", "model", "slow"
TOLD = "value_loss", "later_loss", "replanned_loss", "dreamt_return"


def config(iterations: int, **more: Any) -> Config:
    return Config(**{**SMALL, "steps": iterations * LANES * SLOTS, **more})


def train(chosen: verbs.Train, until: int = 10**9) -> Path:
    """Trains, up to an iteration."""
    follow = keeper.Keeper.follow

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper.Keeper, "follow", short)
        return verbs.run_training("counterplay", chosen, quiet=True).folder


def test_several_seeds_go_on_to_the_last_bit(tmp_path, compiled_once):
    """Against two rules, in matches of two episodes, with plans, with what they imagine, and with
    what was played before."""
    asked = config(2, match=2, real_ratio=0.5, warm=0.0, replay=1)
    chosen = verbs.Train(asked, env=PD, against=("grim", "random"), out=str(tmp_path / "whole"))
    whole = left_by(train(chosen))
    chosen = replace(chosen, out=str(tmp_path / "halves"))
    half = left_by(train(chosen, until=1))
    assert len(half.metrics) == 1 and half.metrics == whole.metrics[:1]
    assert half.state != whole.state
    train(replace(chosen, out=None, resume=chosen.out))
    assert left_by(tmp_path / "halves") == whole
    assert all(len(row[name]) == SEEDS for row in whole.metrics for name in TOLD)
    assert len(set(whole.metrics[-1]["value_loss"])) == SEEDS, "each learns for itself"


def test_a_game_in_ordinary_python_is_learnt_and_planned_in():
    """Seeds apart, and all that is planned with is learnt, from earlier play, too."""
    game = cast(Any, host_native(envs.make(PD)))
    roster = roster_of(game, {0: "self", 1: "self"})
    updates = counterplay.train(config(3, warm=0.0, replay=1), game, roster)
    first, _, last = [jax.tree.map(np.asarray, u._replace(going=None)) for u in updates]
    assert last.steps == 3 * LANES * SLOTS
    for name in (
        "value_loss",
        "later_loss",
        "ahead_loss",
        "imagined_reward",
        "legal_right",
        "plan_rank",
    ):
        assert last.metrics[name].shape == (SEEDS,) and np.isfinite(last.metrics[name]).all(), name
    assert not last.metrics["bad_updates"].any()
    for part in PARTS:
        old, new = (jax.tree.leaves(getattr(u.nets[0], part)) for u in (first, last))
        assert all(np.isfinite(x).all() for x in new), part
        assert any(not np.array_equal(a, b) for a, b in zip(old, new, strict=True)), part
        assert any(not np.array_equal(x[0], x[1]) for x in new), part


def test_lanes_on_two_devices_learn_as_on_one():
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, here / "two_devices.py", "counterplay"],
        env=os.environ | {"PYTHONPATH": paths, "NPROC": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
