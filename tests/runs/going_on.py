"""Trainings that stop where a test wants them to, and what they leave to compare."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from counterplay import keeper, verbs
from counterplay.algos import ppo
from counterplay.bench.faults import Left, left_by

PD = "matrix:pd,horizon=4"
TINY = {"lanes": 4, "slots": 8, "widths": (4,), "minibatches": 2, "epochs": 1}


def settings(out: Path, iterations: int = 6, env: str = PD, **more: Any) -> verbs.Train:
    """A small training; ``more`` are settings of PPO, or of the verb."""
    own = {k: more.pop(k) for k in list(more) if k in ppo.Config.__dataclass_fields__}
    steps = iterations * {**TINY, **own}["lanes"] * 8
    config = ppo.Config(**{**TINY, "steps": steps, **own})
    return verbs.Train(config, env=env, out=str(out), **more)


@contextmanager
def ends_after(iteration: int):
    """Every training stops there, as if asked to by a signal."""
    follow = keeper.Keeper.follow

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= iteration)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper.Keeper, "follow", short)
        yield


def train(chosen: verbs.Train, until: int | None = None) -> Path:
    """Trains, up to an iteration."""
    with ends_after(until or 10**9):
        return verbs.run_training("ppo", chosen, quiet=True).folder


def go_on(chosen: verbs.Train, until: int | None = None) -> Path:
    """Goes on with the folder of an earlier training."""
    return train(replace(chosen, out=None, resume=chosen.out), until)


def files(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


__all__ = ["PD", "Left", "ends_after", "files", "go_on", "left_by", "settings", "train"]
