"""JaxMARL beside us: its IPPO against our PPO, and its games bare against wrapped.

``counterplay bench ippo --peer PATH`` trains both with the same network, lanes, epochs and
minibatches and has our evaluation play what each ends with. Without a peer only ours is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from counterplay import envs
from counterplay.bench.step import here, keep_to
from counterplay.bench.tables import TABLES
from counterplay.console import read, table, use_all_cores
from counterplay.names import unknown
from counterplay.verbs import Train, run_training

SCRIPT = Path("benchmarks") / "jaxmarl_ippo.py"
OURS, THEIRS = "counterplay PPO", "JaxMARL IPPO"
ELSEWHERE = {"overcooked": "24,000 on one core, 32,000 on two threads"}
"""JaxMARL's IPPO on another machine, where it is not measured beside us."""
KITCHEN = "jaxmarl:overcooked,layout=cramped_room"
TASKS = {
    "overcooked": (KITCHEN + ",shaped=1", KITCHEN),
    "spread": ("jaxmarl:MPE_simple_spread_v3",) * 2,
    "tag": ("jaxmarl:MPE_simple_tag_v3",) * 2,
}
"""Name -> the game of training, and that of evaluation, without rewards for steps on the way."""


@dataclass(frozen=True)
class Ippo:
    """PPO in JaxMARL's games, beside JaxMARL's IPPO where a copy of its repository is given."""

    tasks: tuple[str, ...] = ("overcooked", "spread", "tag")
    """Which games: overcooked (cramped room), spread, tag."""
    steps: int = 1_000_000
    """Environment steps of each training."""
    seeds: int = 6
    """Trainings of each system in each game; of a multiple of the cores, ours train one a core."""
    seed: int = 0
    """The first seed."""
    episodes: int = 1024
    """Episodes of each evaluation, sampled play."""
    peer: str | None = None
    """A checkout of JaxMARL; its IPPO is then trained as well."""
    peer_python: str = sys.executable
    """The Python that runs it, with what its baselines need."""
    apart: tuple[str, ...] = ("overcooked",)
    """Games in which two more things are timed: a single training of ours, with all cores, and
    trainings of the peer's, one a core."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        for task in self.tasks:
            if task not in TASKS:
                raise unknown("task", task, TASKS)
        for name in ("steps", "seeds", "episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, found {getattr(self, name)}")
        if self.peer and not SCRIPT.is_file():
            raise ValueError(f"--peer is run by {SCRIPT}: start this in the repository's folder")


def main(args: list[str]) -> int:
    """``counterplay bench ippo``"""
    chosen = read(Ippo, args, "bench ippo")
    use_all_cores()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for task in chosen.tasks:
            rows.append({"task": task, "who": OURS} | _ours(chosen, task, scratch))
            if chosen.peer:
                rows.append({"task": task, "who": THEIRS} | _theirs(chosen, task, scratch))
            if task in chosen.apart:
                rows += [{"task": task} | row for row in _apart(chosen, task, scratch)]
    told = {"rows": rows, "elsewhere": {} if chosen.peer else ELSEWHERE}
    if chosen.json:
        about = {
            "seed": chosen.seed,
            "seeds": chosen.seeds,
            "steps": chosen.steps,
            "episodes": chosen.episodes,
        }
        print(json.dumps({"bench": "ippo"} | about | told))
        return 0
    title = f"{chosen.steps:,} steps, {chosen.seeds} seeds, {chosen.episodes:,} episodes sampled"
    words = [(*row.values(),) for row in TABLES["ippo"](told)]
    table(title, ("game", "who", "return a player", "env-steps/s"), words)
    return 0


def _settings(chosen: Ippo) -> Any:
    """What JaxMARL's configuration files say, in our words."""
    from counterplay.algos import ppo

    return ppo.Config(
        seed=chosen.seed, seeds=chosen.seeds, steps=chosen.steps, lanes=16, slots=128,
        epochs=4, minibatches=4, widths=(64, 64), activation="tanh", apart=True,
        learning_rate=2.5e-4, entropy=0.01,
    )  # fmt: skip


def _ours(chosen: Ippo, task: str, scratch: str) -> dict[str, Any]:
    from counterplay.evaluate.returns import evaluate
    from counterplay.pools import roster_alone

    training, scoring = TASKS[task]
    env = envs.make(scoring)  # imports JaxMARL, which is no part of either's speed
    done = run_training("ppo", Train(_settings(chosen), env=training, out=f"{scratch}/{task}"))
    runs = tuple(f"run:{done.folder}#{seed}" for seed in range(chosen.seeds))
    found = evaluate(env, roster_alone(env, runs), chosen.episodes, seed=chosen.seed)
    speed = done.steps * chosen.seeds / (done.seconds - done.compile_seconds)
    return _row([float(score.mean.mean()) for score in found], speed, done.compile_seconds)


def _apart(chosen: Ippo, task: str, scratch: str) -> list[dict[str, Any]]:
    """Speeds alone: one training of ours, and as many of the peer's at once as there are cores."""
    one = replace(_settings(chosen), seeds=1)
    done = run_training("ppo", Train(one, env=TASKS[task][0], out=f"{scratch}/{task}-one"))
    speed = done.steps / (done.seconds - done.compile_seconds)
    none = {"interval": None, "returns": []}
    rows = [{"who": f"{OURS}, a single training", "steps_per_second": speed} | none]
    if not chosen.peer:
        return rows
    cores, going = here(), []
    try:
        for i, core in enumerate(cores or [0]):
            keep_to([core][: len(cores)])  # what is started stays on it
            asked = replace(chosen, seeds=1, seed=chosen.seed + i)
            going.append(_start(asked, task, f"{scratch}/{task}-{i}.npz", threads=1))
    finally:
        keep_to(cores)
    told = [_told(process) for process in going]
    speed = sum(row["steps"] / median(row["seconds"]) for row in told)
    return [*rows, {"who": f"{THEIRS}, a training a core", "steps_per_second": speed} | none]


def _start(chosen: Ippo, task: str, out: str, threads: int | None = None) -> Any:
    """The peer's program, begun."""
    words = ["--peer", chosen.peer, "--task", task, "--out", out, "--steps", chosen.steps]
    words += ["--seeds", chosen.seeds, "--seed", chosen.seed]
    few = {"NPROC": str(threads), "OMP_NUM_THREADS": str(threads)} if threads else {}
    return subprocess.Popen(  # noqa: S603
        [chosen.peer_python, str(SCRIPT), *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **few},
    )  # fmt: skip


def _told(process: Any) -> dict[str, Any]:
    """What the peer says when it is done."""
    told, said = process.communicate()
    if process.returncode:
        raise ValueError(f"JaxMARL's IPPO failed: {said.strip()[-2000:]}")
    return json.loads(told.strip().splitlines()[-1])


def _theirs(chosen: Ippo, task: str, scratch: str) -> dict[str, Any]:
    out = f"{scratch}/{task}.npz"
    told = _told(_start(chosen, task, out))
    env = envs.make(TASKS[task][1])
    with np.load(out) as arrays:
        returns = [_score(chosen, env, dict(arrays), seed) for seed in range(chosen.seeds)]
    return _row(returns, told["steps"] / median(told["seconds"]), told["compile_seconds"])


def _score(chosen: Ippo, env: Any, arrays: dict[str, Any], seed: int) -> float:
    """What JaxMARL's network of a seed earns in our evaluation."""
    import equinox as eqx
    import jax.numpy as jnp
    import jax.random as jr

    from counterplay.algos.ppo import Agent, init_learner
    from counterplay.evaluate.returns import evaluate
    from counterplay.seats import Chair, Kind, Roster

    net = init_learner(_settings(chosen), env, 1, jr.key(0)).net
    layers = lambda n: [*n.trunk.layers, n.policy, *n.critic.layers, n.value]
    where = lambda n: [x for layer in layers(n) for x in (layer.weight, layer.bias)]
    names = [f"Dense_{i}/{part}" for i in range(6) for part in ("kernel", "bias")]
    net = eqx.tree_at(where, net, [jnp.asarray(arrays[name][seed : seed + 1]) for name in names])
    table_of_one = (Chair(0, 0),) * env.num_seats
    roster = Roster((Kind(THEIRS, policy=Agent(net)),), (table_of_one,))
    return float(evaluate(env, roster, chosen.episodes, seed=chosen.seed)[0].mean.mean())


def _row(returns: list[float], speed: float, compiling: float) -> dict[str, Any]:
    from scipy.stats import t

    n, mean = len(returns), float(np.mean(returns))
    spread = float(np.std(returns, ddof=1)) if n > 1 else 0.0
    half = float(t.ppf(0.975, n - 1)) * spread / n**0.5 if n > 1 else 0.0
    return {"interval": [mean, half], "returns": returns, "steps_per_second": speed,
            "compile_seconds": compiling}  # fmt: skip
