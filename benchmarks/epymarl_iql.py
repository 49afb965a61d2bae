"""Trains EPyMARL's independent Q-learning in level-based foraging, for some minutes on one core.

taskset -c 1 python benchmarks/epymarl_iql.py --peer PATH --minutes 10 --out row.json

PATH is a checkout of EPyMARL; the Python that runs this needs torch, NumPy, PyYAML, gymnasium and
lbforaging. Its own loop runs, on the settings of its files for IQL in gymnasium games and the time
limit of 50 that its documentation gives for foraging: one episode, then one gradient step on 32 of
the last 5,000 episodes; a GRU of 128 that the players share; a target network copied every 200
gradient steps; exploration from 1 down to 0.05 over 200,000 steps of the game; 100 greedy episodes
every 50,000. The minutes are those of training, tests not counted; with --processor, those the
processor worked on it, for a machine that runs other programs too. Prints one JSON object; --out
holds it too, and after every test what there is so far.
"""

import argparse
import json
import logging
import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml

FILES = ("default", "envs/gymma", "algs/iql")
ABSENT = {"smaclite": (), "torch_scatter": (), "einops": ("rearrange", "repeat")}
"""What it imports for other games and learners, and names from there; empty if not installed."""


class OverError(Exception):
    """The minutes have passed."""


class Watch:
    """What training has done and how long it took, without tests; and what the tests found."""

    def __init__(self, asked: argparse.Namespace):
        self.asked, self.tests = asked, []
        self.began, self.tested = np.zeros(2), np.zeros(2)
        self.episodes = 0
        self.runner: Any = None

    def seconds(self) -> np.ndarray:
        """Of training so far: by the clock, and of the processor."""
        return now() - self.began - self.tested

    def episode(self, runner: Any) -> None:
        """Before every episode of training."""
        if self.runner is None:
            self.runner, self.began = runner, now()
        if self.seconds()[int(self.asked.processor)] > 60 * self.asked.minutes:
            raise OverError
        self.episodes += 1

    def test(self, seconds: np.ndarray) -> None:
        """After every episode of a test; its runner forgets the returns once it has logged them."""
        self.tested = self.tested + seconds
        if not self.runner.test_returns:
            found = self.runner.logger.stats
            last = {
                name: round(float(found[f"test_{name}_mean"][-1][1]), 4)
                for name in ("return", "ep_length")
            }
            wall, busy = (round(float(x), 1) for x in self.seconds())
            told = {"steps": self.runner.t_env, "seconds": wall, "cpu_seconds": busy}
            self.tests.append(told | last)
            self.keep(done=False)

    def keep(self, done: bool) -> str:
        wall, busy = (float(x) for x in self.seconds())
        steps, gradients = (
            self.runner.t_env,
            max(self.episodes - self.runner.args.batch_size + 1, 0),
        )
        text = json.dumps(
            {
                "peer": "EPyMARL",
                "game": self.asked.game,
                "seed": self.asked.seed,
                "done": done,
                "steps": steps,
                "episodes": self.episodes,
                "gradient_steps": gradients,
                "steps_per_gradient_step": round(steps / max(gradients, 1), 2),
                "seconds": round(wall, 1),
                "cpu_seconds": round(busy, 1),
                "steps_per_s": round(steps / wall, 1),
                "steps_per_cpu_s": round(steps / busy, 1),
                "epsilon": round(float(self.runner.mac.action_selector.schedule.eval(steps)), 3),
                "test_return": self.tests[-1]["return"],
                "tests": self.tests,
                "torch": torch.__version__,
                "lbforaging": version("lbforaging"),
            }
        )
        if self.asked.out:
            Path(self.asked.out).write_text(text + "\n", encoding="utf-8")
        return text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--game", default="lbforaging:Foraging-8x8-2p-1f-coop-v3")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--processor", action="store_true", help="minutes of the processor")
    parser.add_argument("--test_every", type=int, help="steps of the game; 50,000 as it is set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    np.random.seed(asked.seed)  # noqa: NPY002 - it draws from the global generator
    warnings.simplefilter("ignore")
    loop, settings = peer(asked)
    watch, runners = Watch(asked), import_module("runners").REGISTRY
    runners["episode"] = watched(runners["episode"], watch)
    console = logging.getLogger("epymarl")
    console.setLevel(logging.WARNING)
    with suppress(OverError):
        loop.run_sequential(settings, import_module("utils.logging").Logger(console))
    for _ in range(settings.test_nepisode):
        watch.runner.run(test_mode=True)
    print(watch.keep(done=True))


def now() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def peer(asked: argparse.Namespace) -> tuple[Any, SimpleNamespace]:
    """Its training loop, and its settings."""
    for name, words in ABSENT.items():
        if not find_spec(name):
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(dict.fromkeys(words))
    source = Path(asked.peer) / "src"
    sys.path.insert(0, str(source))
    settings: dict[str, Any] = {}
    for name in FILES:
        settings |= yaml.safe_load((source / "config" / f"{name}.yaml").read_text())
    settings["env_args"] |= {"key": asked.game, "time_limit": 50, "seed": asked.seed}
    settings |= {"use_cuda": False, "device": "cpu", "seed": asked.seed, "t_max": 10**12}
    settings["test_interval"] = asked.test_every or settings["test_interval"]
    return import_module("run"), SimpleNamespace(**settings)


def watched(runner: Any, watch: Watch) -> Any:
    """Its runner, under watch."""

    class Watched(runner):
        def run(self, test_mode: bool = False) -> Any:
            if not test_mode:
                watch.episode(self)
                return super().run()
            began = now()
            batch = super().run(test_mode=True)
            watch.test(now() - began)
            return batch

    return Watched


if __name__ == "__main__":
    main()
