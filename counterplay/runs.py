"""Run folders: config.json, metrics.jsonl and a checkpoint; and finished runs as policies."""

import json
import os
import secrets
import time
from dataclasses import asdict, fields
from importlib import import_module, metadata
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from counterplay import __version__, envs
from counterplay.algos import module_of
from counterplay.errors import GameError
from counterplay.types import Env, View

CHECKPOINT = "checkpoint.safetensors"


def new_folder(out: str | None, name: str) -> Path:
    """Makes the folder of a run; without ``out`` a fresh one, never used before, under runs/."""
    if out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path = Path("runs") / f"{name}-{stamp}-{secrets.token_hex(6)}"
    else:
        path = Path(out)
        if not out.strip():
            raise ValueError("--out wants the name of a folder, found nothing")
    try:
        path.mkdir(parents=True, exist_ok=out is not None)
        taken = (path / "config.json").exists()
        if not taken:
            (path / "metrics.jsonl").touch(exist_ok=False)  # of two at once, one gets the folder
    except OSError as error:
        taken = path.is_dir() and isinstance(error, FileExistsError)
        if not taken:
            raise ValueError(f"cannot make the run folder {path}: {error.strerror}") from error
    if taken:
        raise ValueError(f"--out {path}: a run is there already; choose another folder")
    return path


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader finds the old one or the new one, never a part."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def save_config(
    folder: Path, algorithm: str, env: str, kinds: list[dict], config: Any, **more: Any
) -> None:
    """Everything needed to build the networks of a checkpoint again, and what it was made with."""
    row = {"algorithm": algorithm, "env": env, "learners": kinds, "config": asdict(config)}
    made = {
        "versions": {"counterplay": __version__}
        | {name: metadata.version(name) for name in ("jax", "jaxlib")},
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
    }
    write_whole(folder / "config.json", json.dumps(row | more | made, indent=2) + "\n")


def append_metrics(folder: Path, row: dict[str, Any]) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def save_nets(folder: Path, nets: Any) -> None:
    """Parameters as [seeds, members, ...] arrays named by their place in the tree."""
    part = folder / (CHECKPOINT + ".part")
    save_file(_named(jax.tree.map(np.asarray, nets)), part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(folder / CHECKPOINT)


def _named(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run; ValueError where there is none or it is damaged."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: expected {path}")
    try:
        row = json.loads(path.read_text())
        if "seeds" not in row["config"] or not row["learners"]:
            raise ValueError("it says nothing of seeds or learners")
        for text in (row["algorithm"], row["env"], *(kind["name"] for kind in row["learners"])):
            if not isinstance(text, str):
                raise ValueError(f"expected a name, found {text!r}")
        for number in (n for k in row["learners"] for n in (k["members"], *k["seats"])):
            if type(number) is not int:
                raise ValueError(f"expected a whole number, found {number!r}")
    except (ValueError, KeyError, TypeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is damaged: {said}") from error
    return row


def load_nets(folder: Path, row: dict[str, Any], env: Env) -> Any:
    """The networks of a checkpoint, checked name by name and shape by shape."""
    module = import_module(module_of(row["algorithm"]))
    known = {f.name for f in fields(module.Config)}
    if unknown := set(row["config"]) - known:
        raise ValueError(f"{folder}: config.json has unknown settings {sorted(unknown)}")
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in row["config"].items()}
    try:
        config = module.Config(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: config.json has settings of the wrong kind: {error}"
        ) from error

    def skeleton(key):
        one = lambda k: tuple(
            module.init_learner(config, env, m["members"], k).net for m in row["learners"]
        )
        return jax.vmap(one)(jr.split(key, config.seeds))

    shapes = jax.eval_shape(skeleton, jr.key(0))
    path = folder / CHECKPOINT
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error}") from error
    for name, leaf in _named(shapes).items():
        had = (found[name].shape, str(found[name].dtype)) if name in found else "nothing"
        if had != (leaf.shape, str(leaf.dtype)):
            _check_game(folder, row["env"], env)
            raise ValueError(
                f"{path}: {name} should be {leaf.dtype}{list(leaf.shape)} for the game "
                f"{row['env']}, found {had}; is it the checkpoint of another run?"
            )
    names = list(_named(shapes))
    return jax.tree.unflatten(jax.tree.structure(shapes), [jnp.asarray(found[n]) for n in names])


def _check_game(folder: Path, trained: str, env: Any) -> None:
    """Refuses a game whose observations or actions are not those of the training."""
    try:
        there, here = (_sizes(game) for game in (envs.make(trained), env))
    except (ValueError, GameError, ImportError):  # that game is not to be had here
        return
    if there != here:
        raise ValueError(
            f"{folder}: trained on {trained} ({_told(there)}), asked to play "
            f"{getattr(env, 'name', env)} ({_told(here)})"
        )


def _told(sizes: tuple[int, int]) -> str:
    return "observations of {} numbers, {} actions".format(*sizes)


def _sizes(env: Any) -> tuple[int, int]:
    """Numbers in an encoded observation, and actions."""
    shape = jax.eval_shape(env.encode, jax.ShapeDtypeStruct(env.obs_shape, env.obs_dtype)).shape
    return shape[0], env.num_actions


def split_seed(text: str) -> tuple[Path, int]:
    """``PATH#2`` -> (PATH, 2): the third seed of a run; without a number the first."""
    if not text.strip():
        raise ValueError("run: wants a run folder, as run:FOLDER or run:FOLDER#SEED")
    path, mark, number = text.rpartition("#")
    if not mark:
        return Path(text), 0
    if not number.isdigit():
        raise ValueError(f"run:{text}: after # goes the index of a seed, found {number!r}")
    return Path(path), int(number)


def differs_by_seat(text: str) -> bool:
    """Whether a finished run has several networks, one for each of its seats."""
    learners = read_config(split_seed(text)[0])["learners"]
    return len(learners) > 1 or learners[0]["members"] > 1


def load_policy(text: str, env: Env, seat: int) -> Any:
    """A finished run as a policy for one seat: the network trained there, else the only one."""
    folder, seed = split_seed(text)
    row = read_config(folder)
    nets = load_nets(folder, row, env)
    if seed >= row["config"]["seeds"]:
        raise ValueError(f"run:{text}: the run has seeds 0 to {row['config']['seeds'] - 1}")
    for i, learner in enumerate(row["learners"]):
        if seat in learner["seats"] or len(row["learners"]) == 1:
            seats = learner["seats"]
            several = learner["members"] > 1
            if several and seat not in seats:
                raise ValueError(
                    f"run:{text}: trained at seats {seats}, has nobody for seat {seat}"
                )
            member = seats.index(seat) if several else 0
            net = jax.tree.map(itemgetter((seed, member)), nets[i])
            return import_module(module_of(row["algorithm"])).Agent(net)
    raise ValueError(f"run:{text}: no learner of this run sat at seat {seat}")


class Player:
    """A finished run that plays in ordinary Python, with its own memory and random numbers."""

    def __init__(self, text: str, seat: int = 0, seed: int = 0):
        row = read_config(split_seed(text)[0])
        self.env = envs.make(row["env"])
        self.config = row
        self.policy = load_policy(text, self.env, seat)
        self.key = jr.key(seed)
        self.memory = None
        self._act = jax.jit(lambda policy, *rest: policy.act(*rest), static_argnums=4)

    def begin(self, seed: int | None = None, new_match: bool = True) -> None:
        """Starts an episode; memory is kept inside a match."""
        if seed is not None:
            self.key = jr.key(seed)
        self.memory = self.policy.begin(self.key, None if new_match else self.memory)

    def act(self, view: Any, legal: Any = None, greedy: bool = False) -> int:
        """The move for one observation of its game, as ``env.obs_shape`` or already encoded.

        ``view`` may also be a dictionary with ``obs`` and ``legal``. Without ``legal`` every
        action is.
        """
        if isinstance(view, dict):
            view, legal = view["obs"], view.get("legal", legal)
        if self.memory is None:
            self.begin()
        self.key, act_key = jr.split(self.key)
        seen = self._view(np.asarray(view), legal)
        act = self._act(self.policy, act_key, self.memory, seen, greedy)
        self.memory = act.memory
        return int(act.action)

    def _view(self, obs: np.ndarray, legal: Any) -> View:
        env, n = self.env, self.env.num_seats
        width = _sizes(env)[:1]
        if obs.shape == env.obs_shape and obs.dtype == env.obs_dtype:
            obs = np.asarray(env.encode(jnp.asarray(obs)))
        if obs.shape != width:
            raise ValueError(
                f"{self.config['env']}: an observation has shape {env.obs_shape} and type "
                f"{env.obs_dtype}, or {width} encoded; found {obs.shape} and {obs.dtype}"
            )
        can = np.ones(env.num_actions, bool) if legal is None else np.asarray(legal, bool)
        if can.shape != (env.num_actions,):
            raise ValueError(
                f"{self.config['env']}: legal holds true or false for each of {env.num_actions} "
                f"actions; found shape {can.shape}"
            )
        if not can.any():
            raise ValueError(
                f"{self.config['env']}: no action is legal, so there is none to choose"
            )
        return View(
            obs=jnp.asarray(obs, jnp.float32),
            legal=jnp.asarray(can),
            alive=jnp.ones(n, bool),
            moved=jnp.full(n, -1, jnp.int32),
            public_legal=jnp.ones((n, env.num_actions), bool),
            reward=jnp.float32(0),
            event=jnp.full(n, -1, jnp.int32),
            time=jnp.int32(0),
            first=jnp.bool_(False),
            told=jnp.zeros(0),
        )


def load(path: str | os.PathLike, seat: int = 0, seed: int = 0) -> Player:
    """Opens a finished run: ``load("runs/mine").act(obs, legal)`` is its move.

    ``PATH#2`` opens the third seed of a run with several.
    """
    return Player(os.fspath(path), seat, seed)
