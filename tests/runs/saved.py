"""A small checkpoint of every type of array there is, for tests of what damage does to it."""

import json
from pathlib import Path

import jax.random as jr
import numpy as np

from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import Arrays

RUN_ID = "a" * 32


def state_of(seed: int = 0) -> Arrays:
    """Keys, truths, small whole numbers, odd floats, nothing at all and a single number."""
    draw = np.random.default_rng(seed)
    odd = np.array([-0.0, 1e-45, np.nan, np.inf, 1 / 3], np.float32)
    return {
        "key": np.asarray(jr.key_data(jr.key(seed))),
        "alive": draw.random((2, 3)) < 0.5,
        "obs": draw.integers(0, 255, (2, 3, 4)).astype(np.uint8),
        "action": draw.integers(-1, 7, 5).astype(np.int8),
        "ids": draw.integers(-1, 999, 5).astype(np.int16),
        "odd": odd,
        "turned": np.asfortranarray(draw.random((3, 4)).astype(np.float32)),
        "nothing": np.zeros((0, 4), np.float32),
        "steps": np.array(float(seed), np.float32),
        "count": np.array(seed, np.int32),
    }


def save(run: Path, steps: int, run_id: str = RUN_ID) -> Path:
    policy = {"0/weight": np.arange(6, dtype=np.float32).reshape(2, 3) + steps}
    about = {"run_id": run_id, "steps": steps, "iteration": steps // 128}
    return checkpoints.save(run, policy, state_of(steps), about, state_of(steps + 1)).path


def reseal(path: Path, body: dict) -> None:
    """Writes a manifest as if the library had."""
    (path / "manifest.json").write_bytes(checkpoints._sealed(body))


def body_of(path: Path) -> dict:
    return json.loads((path / "manifest.json").read_text())["manifest"]
