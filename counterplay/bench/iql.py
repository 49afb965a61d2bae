"""DQN in level-based foraging beside EPyMARL's independent Q-learning, one core each.

``counterplay bench iql --peer PATH --peer-python PY`` trains EPyMARL's on one core while ours has
another: first with its settings, for speed alone, then with our own.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterplay import envs
from counterplay.bench.step import here, keep_to
from counterplay.bench.tables import TABLES
from counterplay.console import read, run_where_called, table
from counterplay.verbs import Train, run_training

SCRIPT = Path("benchmarks") / "epymarl_iql.py"
THEIRS, LIKE_THEIRS = "EPyMARL IQL", "counterplay DQN, EPyMARL's settings"
ELSEWHERE = "451, on another machine"
"""Environment steps a second of EPyMARL, where it is not measured beside us."""


@dataclass(frozen=True)
class Iql:
    """DQN in level-based foraging, beside EPyMARL's IQL where a copy of its repository is given."""

    env: str = "lbforaging:Foraging-8x8-2p-1f-coop-v3"
    """The game; the players share what they earn, 1 at most."""
    seed: int = 0
    """Of training; evaluation derives its own."""
    steps: int = 2_400_000
    """Environment steps of our training with our defaults."""
    equal_steps: int = 80_000
    """Of each with EPyMARL's settings, for its speed."""
    every: tuple[int, ...] = (24, 50)
    """Steps from one gradient step to the next in these; EPyMARL's own depend on its episodes,
    which last 50 until the players collect anything."""
    minutes: float = 10.0
    """Of EPyMARL's training."""
    episodes: int = 500
    """Of each evaluation, greedy play."""
    peer: str | None = None
    """A checkout of EPyMARL; its IQL is then trained as well, at the same time."""
    peer_python: str = sys.executable
    """The Python that runs it, with torch and lbforaging."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("steps", "equal_steps", "minutes", "episodes"):
            if (number := getattr(self, name)) <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be more than 0, found {number}")
        if any(steps < 1 for steps in self.every):
            raise ValueError(f"--every must be at least 1 each, found {self.every}")
        if self.peer and not SCRIPT.is_file():
            raise ValueError(f"--peer is run by {SCRIPT}: start this in the repository's folder")


def main(args: list[str]) -> int:
    """``counterplay bench iql``"""
    chosen = read(Iql, args, "bench iql")
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(chosen, scratch)
    told = {
        "bench": "iql",
        "env": chosen.env,
        "seed": chosen.seed,
        "episodes": chosen.episodes,
        "elsewhere": None if chosen.peer else ELSEWHERE,
        "rows": rows,
    }
    if chosen.json:
        print(json.dumps(told))
        return 0
    shown = TABLES["iql"](told)
    table(f"{chosen.env}, one core each", tuple(shown[0]), [tuple(r.values()) for r in shown])
    return 0


def measure(chosen: Iql, scratch: str) -> list[dict[str, Any]]:
    """One row a training; the peer's goes on while ours are trained in turn."""
    cores = here()
    peer, out, said = None, Path(scratch, "peer.json"), Path(scratch, "peer.txt")
    try:
        if chosen.peer:
            keep_to(cores[-1:])
            with said.open("w") as log:
                peer = subprocess.Popen(peer_command(chosen, out), stdout=log, stderr=log)  # noqa: S603
        keep_to(cores[:1])
        run_where_called()
        found = [train(chosen, every, f"{scratch}/{every}") for every in (*chosen.every, None)]
        if peer and peer.wait():
            raise ValueError(f"EPyMARL's IQL failed: {said.read_text().strip()[-2000:]}")
        return found + ([theirs(json.loads(out.read_text()))] if peer else [])
    finally:
        if peer and peer.poll() is None:
            peer.kill()
            peer.wait()


def settings(chosen: Iql, every: int | None) -> Any:
    """Of our training: our defaults, or what EPyMARL's files for IQL say, ``every`` so many steps.

    With these a window is an episode's 50 steps and the observation after them.
    """
    from counterplay.algos import dqn

    if every is None:
        return dqn.Config(seed=chosen.seed, steps=chosen.steps)
    return dqn.Config(
        seed=chosen.seed, steps=chosen.equal_steps, lanes=8, slots=every, passes=8, batch=32,
        widths=(128,), gru=128, window=51, burn_in=0, n_step=1, replay=250_000, start=1_600,
        target_every=200, learning_rate=3e-4, anneal=False,
    )  # fmt: skip


def train(chosen: Iql, every: int | None, folder: str) -> dict[str, Any]:
    """How fast ours trains, and with our defaults what it earns then."""
    from counterplay.algos import loops

    env = envs.make(chosen.env)
    config = loops.resolved(settings(chosen, every), env)
    began = time.process_time()
    done = run_training("dqn", Train(config, env=chosen.env, out=folder), quiet=True)
    if done.stopped:
        raise SystemExit(128 + done.stopped)
    busy = time.process_time() - began - done.compile_seconds
    row = {
        "who": "counterplay DQN, its defaults" if every is None else LIKE_THEIRS,
        "network": f"GRU {config.gru}" if config.gru else " x ".join(map(str, config.widths)),
        "batch": f"{config.batch} {'windows' if config.gru else 'decisions'}",
        "steps_per_gradient_step": config.lanes * config.slots / config.passes,
        "steps": done.steps,
        "seconds": round(done.seconds, 1),
        "steps_per_s": round(done.steps / (done.seconds - done.compile_seconds), 1),
        "steps_per_cpu_s": round(done.steps / busy, 1),
    }
    return row | {"return": None if every else earned(chosen, env, f"run:{done.folder}")}


def earned(chosen: Iql, env: Any, run: str) -> float:
    """What the players earn together, greedy play."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_alone

    alone = roster_alone(env, (run,))
    (row,) = evaluate(env, alone, chosen.episodes, seed=chosen.seed, greedy=True)
    return round(float(row.mean.sum()), 4)


def peer_command(chosen: Iql, out: Path) -> list[str]:
    words = ["--peer", chosen.peer, "--game", chosen.env, "--minutes", chosen.minutes]
    words += ["--seed", chosen.seed, "--out", out]
    return [chosen.peer_python, str(SCRIPT), *map(str, words)]


def theirs(found: dict[str, Any]) -> dict[str, Any]:
    """The peer's row in our words."""
    names = ("steps_per_gradient_step", "steps", "seconds", "steps_per_s", "steps_per_cpu_s")
    row = {"who": THEIRS, "network": "GRU 128", "batch": "32 episodes"}
    return row | {name: found[name] for name in names} | {"return": found["test_return"]}
