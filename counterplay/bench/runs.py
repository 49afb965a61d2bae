"""What a run folder costs: the share of a training's wall time that logs and checkpoints take."""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from counterplay.console import read, table, use_all_cores
from counterplay.verbs import Train, run_training

GAME = "stag_hunt:4x4"


@dataclass(frozen=True)
class Runs:
    """Train in self-play, stop in the middle and go on; measure what saving and telling take."""

    seed: int = 0
    """Seed of the training."""
    steps: int = 4_000_000
    """Environment steps of the training."""
    seconds: float = 20.0
    """Wall time after which it is stopped, compilation included, to be resumed."""
    save_seconds: float = 5.0
    """Seconds between checkpoints."""
    json: bool = False
    """Print one JSON object instead of text."""


def main(args: list[str]) -> int:
    """``counterplay bench runs``"""
    began = time.perf_counter()
    chosen = read(Runs, args, "bench runs")
    use_all_cores()
    from counterplay.algos import ppo

    config = ppo.Config(seed=chosen.seed, steps=chosen.steps)
    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/run"
        asked = Train(config, env=GAME, out=folder, save_seconds=chosen.save_seconds)
        first = run_training("ppo", asked, True, chosen.seconds, began)
        again = Train(config, env=GAME, resume=folder, save_seconds=chosen.save_seconds)
        parts = {"begun": first, "resumed": run_training("ppo", again, True)}
        size = sum(file.stat().st_size for file in last_of(Path(folder)).iterdir())
    rows = {
        name: {
            "seconds": round(part.seconds, 2),
            "compile_seconds": round(part.compile_seconds, 2),
            "steps": part.steps,
            "saves": part.saves,
            "saving_share": round(part.saving_share, 5),
            "logging_share": round(part.logging_share, 5),
        }
        for name, part in parts.items()
    }
    found = {"seed": chosen.seed, "save_seconds": chosen.save_seconds, "bytes": size, "rows": rows}
    if chosen.json:
        print(json.dumps(found))
        return 0
    body = [
        (n, r["seconds"], r["saves"], f"{r['saving_share']:.2%}", f"{r['logging_share']:.2%}")
        for n, r in rows.items()
    ]
    title = f"PPO self-play on {GAME}, a checkpoint of {size / 1e3:,.0f} kB every "
    columns = ("training", "seconds", "checkpoints", "saving and reading", "logs")
    table(f"{title}{chosen.save_seconds:g} s", columns, body)
    return 0


def last_of(folder: Path) -> Path:
    """The folder of the latest checkpoint."""
    return max((folder / "checkpoints").iterdir())
