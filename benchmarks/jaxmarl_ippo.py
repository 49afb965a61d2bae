"""Runs JaxMARL's own IPPO from a copy of its repository, and saves the networks it ends with.

python benchmarks/jaxmarl_ippo.py --peer PATH --task overcooked --steps 1000000 --out nets.npz

PATH is a checkout of JaxMARL; the Python that runs this needs what its baselines need. Settings are
those of its configuration files, but for the number of steps and, in overcooked, the layout and
rewards for steps on the way, which keep their full weight. Prints one JSON object.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxmarl.environments.overcooked import overcooked_layouts
from jaxmarl.wrappers.baselines import LogWrapper
from omegaconf import OmegaConf

TASKS = {
    "overcooked": ("ippo_ff_overcooked", {}),
    "spread": ("ippo_ff_mpe", {"ENV_NAME": "MPE_simple_spread_v3"}),
    "tag": ("ippo_ff_mpe", {"ENV_NAME": "MPE_simple_tag_v3"}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    module, config = peer(asked.peer, asked.task)
    config |= {"TOTAL_TIMESTEPS": asked.steps}
    train = jax.jit(module.make_train(config))
    began = time.perf_counter()
    keys = jax.random.split(jax.random.PRNGKey(asked.seed), asked.seeds)
    compiled = train.lower(keys[0]).compile()
    compiling, seconds, curves, nets = time.perf_counter() - began, [], [], []
    for key in keys:
        began = time.perf_counter()
        out = jax.block_until_ready(compiled(key))
        seconds.append(time.perf_counter() - began)
        curves.append(np.asarray(out["metrics"]["returned_episode_returns"]))
        nets.append(out["runner_state"][0].params["params"])
    arrays = {
        f"{layer}/{name}": np.stack([np.asarray(net[layer][name]) for net in nets])
        for layer in nets[0]
        for name in nets[0][layer]
    }
    np.savez(asked.out, **arrays)
    steps = config["NUM_UPDATES"] * config["NUM_STEPS"] * config["NUM_ENVS"]
    late = [float(curve[-max(len(curve) // 10, 1) :].mean()) for curve in curves]
    row = {"steps": int(steps), "seconds": seconds, "compile_seconds": compiling}
    print(json.dumps(row | {"returns_while_training": late}))


def peer(path: str, task: str):
    """The module of a baseline, and its settings."""
    name, more = TASKS[task]
    folder = Path(path) / "baselines" / "IPPO"
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec and spec.loader, f"{folder} holds no {name}.py"  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    module.wandb.log = lambda metric: None
    config = OmegaConf.to_container(OmegaConf.load(folder / "config" / f"{name}.yaml")) | more
    if task == "overcooked":
        config["ENV_KWARGS"] = {"layout": overcooked_layouts["cramped_room"]}
        config["REW_SHAPING_HORIZON"] = 1e12
        module.print = lambda *words: None
    else:
        module.LogWrapper = LogWrapper  # its own multiplies returns by the number of players
        module.batchify = padded  # its own fails where observations differ in width
        config["ENV_KWARGS"] = {}
    return module, config


def padded(x: dict, agents: list, rows: int):
    """Everyone's arrays under each other, narrow ones filled up with zeros."""
    flat = [x[a].reshape((*x[a].shape[:1], -1)) for a in agents]
    wide = max(part.shape[-1] for part in flat)
    return jnp.stack(
        [jnp.pad(part, ((0, 0), (0, wide - part.shape[-1]))) for part in flat]
    ).reshape((rows, -1))


if __name__ == "__main__":
    main()
