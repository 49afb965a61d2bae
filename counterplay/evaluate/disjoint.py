"""Proof that sets of opponents are disjoint, and games of evaluation none of a training.

An opponent is told by a digest of what it plays: all settings of a rule, the networks of a run, the
text of a file; its family by what made it. Start states come from keys that are told as they are.
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
from counterplay.names import listed, unknown
from counterplay.opponents.sets import families
from counterplay.planning.naming import planned, read_planner
from counterplay.runs import split_run
from counterplay.runs.checkpoints import POLICY, at_step, latest
from counterplay.runs.folder import read_config
from counterplay.runs.policies import Which
from counterplay.terminal import say

TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held-out"
OF = {TRAIN: TRAIN, "near": TRAIN, "switch-known": TRAIN, VALIDATION: VALIDATION}
OF |= {HELD_OUT: HELD_OUT, "switch-unknown": HELD_OUT}
"""Set -> the one of the three split by family that its rules come from."""


class Marks(NamedTuple):
    """What a set of opponents and the games against it are known by."""

    opponents: dict[str, str]
    """Text -> digest, 12 hexadecimal digits."""
    starts: dict[int, str]
    """Seed -> the key that all its start states and moves come from."""
    families: dict[str, frozenset[str]]
    """Text -> what made it; see ``family``."""


def marks(
    sets: Mapping[str, Sequence[str]], game: str | None, seeds: Sequence[int] = (0,)
) -> dict[str, Marks]:
    """Of each set, played with these seeds: ``train`` by a training, the others by evaluation."""
    return {
        name: Marks(
            {text: opponent_digest(text, game) for text in texts},
            {seed: start_key(seed, evaluation=name != TRAIN) for seed in seeds},
            {text: family(text, game) for text in texts},
        )
        for name, texts in sets.items()
    }


def check(found: Mapping[str, Marks]) -> None:
    """ValueError where an opponent is in two sets, or its family in two that are split by it.

    Sets of other settings of ``train``, and of its rules switching, may share its families; so may
    unknown rules switching those of ``held-out``. The same for a start of ``train`` in another
    set, and for what proves nothing: a name that is none of a set, no ``train``, an empty set.
    """
    for name in found:
        if name not in OF:
            raise unknown("set of opponents", name, OF)
    wanted = [TRAIN, *(name for name in found if name != TRAIN)]
    empty = [name for name in wanted if name not in found or not all(found[name])]
    if empty:
        raise ValueError(
            f"{listed(empty)}: expected opponents and starts to compare, found none, which would "
            "pass whatever the other sets hold"
        )
    pairs = [*combinations(found, 2)]
    for one, other in pairs:
        if both := _shared(found[one].opponents, found[other].opponents):
            raise ValueError(f"{one} and {other} have opponents in common: {listed(both)}")
    for one, other in pairs:
        if TRAIN in (one, other) and (both := _shared(found[one].starts, found[other].starts)):
            raise ValueError(f"{one} and {other} have start keys in common: {listed(both)}")
        mine, theirs = (frozenset().union(*found[n].families.values()) for n in (one, other))
        if OF[one] != OF[other] and (both := sorted(mine & theirs)):
            raise ValueError(f"{one} and {other} have families in common: {listed(both)}")


def family(text: str, game: str | None) -> frozenset[str]:
    """What makes an opponent: of a rule its families, of a run its algorithm, game and partners."""
    if text.startswith("run:"):
        row = read_config(split_run(text.removeprefix("run:")).folder)
        partners = row.get("against") or row.get("seat") or ["self"]
        return frozenset({f"{row['algorithm']} in {row['env']} with {', '.join(partners)}"})
    if ".py:" in text:
        return frozenset({opponent_digest(text, game)})
    return frozenset(families(text))


def opponent_digest(text: str, game: str | None, policy: str | None = None) -> str:
    """The same for all that plays alike by its making, however it is written or where it lies.

    ``policy`` is the SHA-256 of a run's file of networks; by default that of its checkpoint now.
    """
    return hashlib.sha256(_content(text, game, policy)).hexdigest()[:12]


def start_key(seed: int, evaluation: bool) -> str:
    """The root of all random numbers of a training or of an evaluation, in hexadecimal."""
    key = jr.key(seed)
    whole = jr.fold_in(key, EVALUATION) if evaluation else key
    return np.asarray(jr.key_data(whole)).tobytes().hex()


def _content(text: str, game: str | None, policy: str | None) -> bytes:
    if plans := planned(text):
        return f"{read_planner(plans.planner)!r}+".encode() + _content(plans.run, game, policy)
    if text.startswith("run:"):
        which = split_run(text.removeprefix("run:"))
        return f"{policy or _policy(text, which)}#{which.seed}".encode()
    if ".py:" in text:
        path, _, name = text.rpartition(":")
        return name.encode() + b"\n" + Path(path).read_bytes()
    return opponents.canonical(text, game).encode()


def _policy(text: str, which: Which) -> str:
    """SHA-256 of the file of networks with which a run would sit down now."""
    run_id = read_config(which.folder)["run_id"]
    if which.step is None:
        checkpoint = latest(which.folder, run_id, (POLICY,), say)
    else:
        checkpoint = at_step(which.folder, run_id, which.step, (POLICY,))
    if checkpoint is None:
        raise ValueError(f"{text} has no checkpoint yet: nothing of it can play")
    return checkpoint.about["files"][POLICY]["sha256"]


def _shared(one: Mapping, other: Mapping) -> list[str]:
    """The keys of one whose values are among those of the other."""
    return [str(name) for name, mark in one.items() if mark in other.values()]
