"""Cross-play of eight untrained networks of two architectures, timed as anyone would time it."""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterplay import envs
from counterplay.console import read, table

WIDTHS = ((128, 64), (64, 64))
"""Hidden layers of the two architectures, which take turns."""


@dataclass(frozen=True)
class CrossPlay:
    """Time ``counterplay xplay`` of untrained networks, all of it: Python, JAX, compiling, play."""

    policies: int = 8
    """Networks, of two architectures in turn, no two alike."""
    episodes: int = 4096
    """Episodes for each cell of the matrix."""
    env: str = "stag_hunt:4x4"
    """The game."""
    seed: int = 0
    """Seed of the networks, and of the games."""
    json: bool = False
    """Print one JSON object instead of text."""


def main(args: list[str]) -> int:
    """``counterplay bench xplay``"""
    chosen = read(CrossPlay, args, "bench xplay")
    if chosen.policies < 1:
        raise ValueError(f"policies must be at least 1, found {chosen.policies}")
    with tempfile.TemporaryDirectory() as scratch:
        names = [f"run:{folder}" for folder in _untrained(chosen, Path(scratch))]
        command = ["xplay", *names, "--env", chosen.env, "--episodes", str(chosen.episodes)]
        command += ["--seed", str(chosen.seed), "--out", f"{scratch}/found", "--json"]
        seconds, found = _timed(command)
    row = {
        "bench": "xplay",
        "env": chosen.env,
        "policies": chosen.policies,
        "architectures": min(len(WIDTHS), chosen.policies),
        "episodes": chosen.episodes,
        "seed": chosen.seed,
        "seconds": round(seconds, 2),
        "compile_seconds": found["compile_seconds"],
        "steps": found["steps"],
        "steps_per_second": round(found["steps"] / seconds),
    }
    if chosen.json:
        print(json.dumps(row))
        return 0
    title = (
        f"xplay on {chosen.env}: {chosen.policies} policies, {chosen.episodes:,} episodes a cell"
    )
    shown = {
        "seconds": f"{seconds:.1f}",
        "of which compiling": f"{found['compile_seconds']:.1f}",
        "env-steps": f"{found['steps']:,}",
        "env-steps/s": f"{row['steps_per_second']:,}",
    }
    table(title, tuple(shown), [tuple(shown.values())])
    return 0


def _timed(command: list[str]) -> tuple[float, dict[str, Any]]:
    """Wall time of a command in a process of its own, and what it printed."""
    program = [sys.executable, "-m", "counterplay", *command]
    began = time.perf_counter()
    done = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = time.perf_counter() - began
    if done.returncode:
        raise ValueError(f"counterplay xplay failed: {done.stderr.strip()[-400:]}")
    return seconds, json.loads(done.stdout)


def _untrained(chosen: CrossPlay, scratch: Path) -> list[Path]:
    """Run folders of fresh networks, as if each had just begun to learn."""
    import jax
    import jax.random as jr

    from counterplay import runs
    from counterplay.algos import ppo

    env, folders = envs.make(chosen.env), []
    kinds = [{"name": "self", "members": 1, "seats": list(range(env.num_seats))}]
    for i, key in enumerate(jr.split(jr.key(chosen.seed), chosen.policies)):
        config = ppo.Config(widths=WIDTHS[i % len(WIDTHS)])
        net = ppo.init_learner(config, env, 1, key).net
        folder = runs.new_folder(str(scratch / f"net{i}"), "ppo")
        runs.save_config(folder, "ppo", chosen.env, kinds, config)
        runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
        folders.append(folder)
    return folders
