"""``counterplay bench cartpole``: whether PPO or DQN solves CartPole through the hosted loop.

500 is the most there is; 475 is where the game counts as solved. Its limit of 500 steps truncates.
Each seed is a training of its own; the cores share the seeds, a process each. What PPO earns is
that of its last networks; DQN's go up and down to the end, so of it the best of its last five
checkpoints counts, and that one is played anew, on fresh games.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NoReturn

from counterplay import envs
from counterplay.console import cores, read, run_where_called, table
from counterplay.settings import MOST
from counterplay.verbs import Train, run_training

GAME = "gymnasium:CartPole-v1"
SOLVED = 475.0
GRACE = 15.0
"""Seconds in which a process that is told to end may leave nothing behind; compiling takes some."""
LAST = 5
"""Checkpoints of DQN among which the best counts."""


@dataclass(frozen=True)
class CartPole:
    """PPO or DQN on CartPole, which a game outside JAX steps; a training for each seed."""

    algorithm: Literal["ppo", "dqn"] = "ppo"
    """Who learns."""
    seed: int = 0
    """First seed of training; evaluation derives its own."""
    seeds: int = 10
    """Trainings."""
    at_once: int | None = None
    """Processes that share them; by default one a core."""
    steps: int | None = None
    """Environment steps of each training; 300,000 for PPO, 200,000 for DQN."""
    episodes: int = 100
    """Episodes of each evaluation, at least."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for name in ("seeds", "at_once", "steps", "episodes"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, found {number}")
        if not 0 <= self.seed <= MOST - self.seeds:
            raise ValueError(f"--seed must be 0 to {MOST - self.seeds}, found {self.seed}")


def steps_of(chosen: CartPole) -> int:
    """Of each training."""
    return chosen.steps or {"ppo": 300_000, "dqn": 200_000}[chosen.algorithm]


def main(args: list[str]) -> int:
    """``counterplay bench cartpole``"""
    began = time.perf_counter()
    chosen = read(CartPole, args, "bench cartpole")
    at_once = min(chosen.at_once or cores(), chosen.seeds)
    with leaving_in_order():
        if at_once > 1:
            rows = share(chosen, at_once)
        else:
            run_where_called()
            rows = [train(chosen, chosen.seed + i) for i in range(chosen.seeds)]
    solved = sum(row["greedy"] >= SOLVED for row in rows)
    seconds = round(time.perf_counter() - began, 1)
    found = {"env": GAME, "seconds": seconds, "solved": solved, "solved_from": SOLVED}
    found |= {
        "algorithm": chosen.algorithm,
        "steps": steps_of(chosen),
        "episodes": chosen.episodes,
        "rows": rows,
    }
    if chosen.json:
        print(json.dumps(found))
        return 0
    who = chosen.algorithm.upper()
    title = f"{who} on {GAME}: {solved} of {chosen.seeds} seeds at {SOLVED:g} or more, greedy play"
    table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
    return 0


def share(chosen: CartPole, at_once: int) -> list[dict[str, Any]]:
    """The rows of so many processes, each with the next few of the seeds."""
    command = [sys.executable, "-m", "counterplay", "bench", "cartpole", "--json", "--at-once=1"]
    command += [f"--steps={steps_of(chosen)}", f"--episodes={chosen.episodes}"]
    command += [f"--algorithm={chosen.algorithm}"]
    ends = [chosen.seed + i * chosen.seeds // at_once for i in range(at_once + 1)]
    working: list[subprocess.Popen[str]] = []
    try:
        for first, end in pairwise(ends):
            part = [*command, f"--seed={first}", f"--seeds={end - first}"]
            working.append(subprocess.Popen(part, stdout=subprocess.PIPE, text=True))  # noqa: S603
        told = [process.communicate()[0] for process in working]
    except BaseException:
        end_all(working)
        raise
    if any(process.returncode for process in working):
        raise ValueError("bench cartpole: a training failed, see above")
    return [row for text in told for row in json.loads(text)["rows"]]


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """SIGTERM ends this as an interrupt does: processes that were begun end, and folders go."""

    def leave(number: int, frame: Any) -> NoReturn:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # it is not ours to handle
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_all(working: list[subprocess.Popen[str]]) -> None:
    """Ends processes that take an interrupt for a wish to save, after which they would go on."""
    try:
        for process in working:
            process.terminate()
        until = time.monotonic() + GRACE
        for process in working:
            process.wait(max(until - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for process in working:
            process.kill()
            process.wait()


def config_of(chosen: CartPole, seed: int) -> Any:
    """Settings of the training of one seed: some are for this game."""
    from counterplay.algos import dqn, ppo

    steps = steps_of(chosen)
    if chosen.algorithm == "dqn":
        small = {"widths": (256, 256), "target_every": 128, "epsilon": 0.04, "explore": 0.16}
        return dqn.Config(seed=seed, steps=steps, passes=128, learning_rate=2.3e-3, **small)
    small = {"lanes": 8, "slots": 128, "widths": (64, 64), "epochs": 8}
    return ppo.Config(seed=seed, steps=steps, learning_rate=1e-3, entropy=0.0, **small)


def train(chosen: CartPole, seed: int) -> dict[str, Any]:
    """What one seed earns after its training, and how long that took."""
    with tempfile.TemporaryDirectory() as scratch:
        every: dict[str, Any] = {"save_seconds": 0.0, "keep": 1, "keep_every": apart(chosen)}
        every = every if chosen.algorithm == "dqn" else {}
        asked = Train(config_of(chosen, seed), GAME, out=f"{scratch}/run", **every)
        done = run_training(chosen.algorithm, asked, quiet=True)
        if done.stopped:
            raise SystemExit(128 + done.stopped)
        best = done.steps
        if chosen.algorithm == "dqn":
            best = max(
                steps_of_checkpoints(done.folder),
                key=lambda step: earned(chosen, f"{done.folder}@{step}", seed + 1, True),
            )
        means = {
            name: earned(chosen, f"{done.folder}@{best}", seed, greedy)
            for name, greedy in (("greedy", True), ("sampled", False))
        }
    row = {"seed": seed} | {name: round(mean, 1) for name, mean in means.items()}
    return row | {"step": best, "seconds": round(done.seconds, 1)}


def apart(chosen: CartPole) -> int:
    """Steps between the checkpoints of DQN that stay: twenty of a training."""
    return max(steps_of(chosen) // 20, 1)


def steps_of_checkpoints(folder: Any) -> list[int]:
    """Of a run, the latest first."""
    from counterplay.runs.checkpoints import steps_of

    return sorted(steps_of(folder), reverse=True)[:LAST]


def earned(chosen: CartPole, run: str, seed: int, greedy: bool) -> float:
    """Mean return of a checkpoint."""
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_of

    env = envs.make(GAME)
    roster = roster_of(env, {0: f"run:{run}"})
    (row,) = evaluate(env, roster, chosen.episodes, seed=seed, greedy=greedy)
    return float(row.mean[0])
