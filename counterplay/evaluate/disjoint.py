"""Proof that sets of opponents are disjoint, and games of evaluation none of a training.

An opponent is told by a digest of what it plays: all settings of a rule, the networks of a run, the
text of a file. Start states come from keys that are told as they are.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import jax.random as jr
import numpy as np

from counterplay import opponents
from counterplay.evaluate.returns import EVALUATION
from counterplay.names import listed
from counterplay.runs import split_run
from counterplay.runs.checkpoints import POLICY, at_step, latest
from counterplay.runs.folder import read_config
from counterplay.terminal import say

TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held-out"


class Marks(NamedTuple):
    """What a set of opponents and the games against it are known by."""

    opponents: dict[str, str]
    """Text -> digest, 12 hexadecimal digits."""
    starts: dict[int, str]
    """Seed -> the key that all its start states and moves come from."""


def marks(
    sets: Mapping[str, Sequence[str]], game: str | None, seeds: Sequence[int] = (0,)
) -> dict[str, Marks]:
    """Of each set, played with these seeds: ``train`` by a training, the others by evaluation."""
    return {
        name: Marks(
            {text: opponent_digest(text, game) for text in texts},
            {seed: start_key(seed, evaluation=name != TRAIN) for seed in seeds},
        )
        for name, texts in sets.items()
    }


def check(found: Mapping[str, Marks]) -> None:
    """ValueError where an opponent or a start of ``train`` is in another set as well.

    The same for opponents of ``validation`` and ``held-out``.
    """
    for one, other in combinations(found, 2):
        if TRAIN not in (one, other) and {VALIDATION, HELD_OUT} != {one, other}:
            continue
        both = _shared(found[one].opponents, found[other].opponents)
        if both:
            raise ValueError(f"{one} and {other} have opponents in common: {listed(both)}")
        if TRAIN in (one, other) and (both := _shared(found[one].starts, found[other].starts)):
            raise ValueError(f"{one} and {other} have start keys in common: {listed(both)}")


def opponent_digest(text: str, game: str | None) -> str:
    """The same for all that plays alike by its making, however it is written or where it lies."""
    return hashlib.sha256(_content(text, game)).hexdigest()[:12]


def start_key(seed: int, evaluation: bool) -> str:
    """The root of all random numbers of a training or of an evaluation, in hexadecimal."""
    key = jr.key(seed)
    whole = jr.fold_in(key, EVALUATION) if evaluation else key
    return np.asarray(jr.key_data(whole)).tobytes().hex()


def _content(text: str, game: str | None) -> bytes:
    if text.startswith("run:"):
        which = split_run(text.removeprefix("run:"))
        run_id = read_config(which.folder)["run_id"]
        if which.step is None:
            checkpoint = latest(which.folder, run_id, (POLICY,), say)
        else:
            checkpoint = at_step(which.folder, run_id, which.step, (POLICY,))
        if checkpoint is None:
            raise ValueError(f"{text} has no checkpoint yet: nothing of it can play")
        return f"{checkpoint.about['files'][POLICY]['sha256']}#{which.seed}".encode()
    if ".py:" in text:
        path, _, name = text.rpartition(":")
        return name.encode() + b"\n" + Path(path).read_bytes()
    return opponents.canonical(text, game).encode()


def _shared(one: Mapping, other: Mapping) -> list[str]:
    """The keys of one whose values are among those of the other."""
    return [str(name) for name, mark in one.items() if mark in other.values()]
