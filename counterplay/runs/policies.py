"""Finished and unfinished runs as policies: for seats, and for ordinary Python."""

import os
from dataclasses import fields
from functools import cache
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay import envs
from counterplay.algos import module_of
from counterplay.errors import GameError
from counterplay.runs.checkpoints import POLICY, arrays_of, at_step, filled, latest, named, save
from counterplay.runs.folder import read_config
from counterplay.terminal import say
from counterplay.types import Env, View


def config_of(folder: Path, row: dict[str, Any]) -> Any:
    """The settings in a config.json as the algorithm's own; ValueError where they do not fit."""
    module = import_module(module_of(row["algorithm"]))
    known = {f.name for f in fields(module.Config)}
    if unknown := set(row["config"]) - known:
        raise ValueError(f"{folder}: config.json has unknown settings {sorted(unknown)}")
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in row["config"].items()}
    try:
        return module.Config(**settings)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: config.json has settings of the wrong kind: {error}"
        ) from error


def load_nets(folder: Path, row: dict[str, Any], env: Env, step: int | None = None) -> Any:
    """The networks of a checkpoint, the latest by default, checked name by name."""
    module, config = import_module(module_of(row["algorithm"])), config_of(folder, row)

    def skeleton(key):
        one = lambda k: tuple(
            module.init_learner(config, env, m["members"], k).net for m in row["learners"]
        )
        return jax.vmap(one)(jr.split(key, config.seeds))

    shapes = jax.eval_shape(skeleton, jr.key(0))
    if step is None:
        checkpoint = latest(folder, row["run_id"], (POLICY,), _warn)
        if checkpoint is None:
            raise ValueError(f"{folder} has no checkpoint yet: nothing of it can play")
    else:
        checkpoint = at_step(folder, row["run_id"], step, (POLICY,))
    try:
        nets = filled(shapes, arrays_of(checkpoint, POLICY), str(checkpoint.path / POLICY))
    except ValueError:
        _check_game(folder, row["env"], env)
        raise
    return jax.tree.map(jnp.asarray, nets)


@cache
def _warn(text: str) -> None:
    """Says a thing once, for however many seats."""
    say(text)


def save_policy(folder: Path, nets: Any, steps: int = 0) -> Path:
    """Saves networks alone, leaves [seeds, members, ...]: they can play, not be trained on."""
    about = {"run_id": read_config(folder)["run_id"], "steps": steps}
    return save(folder, named(nets), {}, about).path


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


class Which(NamedTuple):
    """``FOLDER@STEP#SEED`` taken apart."""

    folder: Path
    seed: int
    step: int | None


def split_run(text: str) -> Which:
    """``PATH@4005888#2`` -> the third seed at that step; by default the first, as trained last."""
    if not text.strip():
        raise ValueError(
            "run: wants a run folder, as run:FOLDER, run:FOLDER@STEP or run:FOLDER#SEED"
        )
    head, mark, number = text.rpartition("#")
    seed = 0
    if mark:
        if not number.isdigit():
            raise ValueError(f"run:{text}: after # goes the index of a seed, found {number!r}")
        text, seed = head, int(number)
    path, mark, number = text.rpartition("@")
    if mark and not Path(text).exists():
        if not number.isdigit():
            raise ValueError(f"run:{text}: after @ goes a step, found {number!r}")
        return Which(Path(path), seed, int(number))
    return Which(Path(text), seed, None)


def differs_by_seat(text: str) -> bool:
    """Whether a run has several networks, one for each of its seats."""
    learners = read_config(split_run(text).folder)["learners"]
    return len(learners) > 1 or learners[0]["members"] > 1


def load_policy(text: str, env: Env, seat: int) -> Any:
    """A run as a policy for one seat: the network trained there, else the only one."""
    folder, seed, step = split_run(text)
    row = read_config(folder)
    nets = load_nets(folder, row, env, step)
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
            module = import_module(module_of(row["algorithm"]))
            return getattr(module, "agent_of", module.Agent)(net)
    raise ValueError(f"run:{text}: no learner of this run sat at seat {seat}")


class Player:
    """A finished run that plays in ordinary Python, with its own memory and random numbers."""

    def __init__(self, text: str, seat: int = 0, seed: int = 0):
        row = read_config(split_run(text).folder)
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

    ``PATH#2`` opens the third seed of a run with several, ``PATH@STEP`` an earlier checkpoint.
    """
    return Player(os.fspath(path), seat, seed)
