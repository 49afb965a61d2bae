"""Rules for race: which of three corridors, given who took which in the episode before.

``corridors.py`` says how they walk and slip. Ties go to the first of left, centre, right.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from counterplay.envs.corridors import C, L, R
from counterplay.envs.race import Race
from counterplay.opponents.corridors import (
    TREMBLE,
    UNDECIDED,
    Always,
    Cycle,
    Past,
    Shift,
    check_step,
    first_of,
    load,
    most,
    two_of,
    walker,
)
from counterplay.opponents.rule import Rule


class FewestLast(eqx.Module):
    """Takes a corridor that exactly so many players took last time. Ours; with 0, a free one.

    Arthur (1994) has such players, who all act on what was empty last time.
    """

    count: int = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return first_of(load(past.taken) == self.count), ()


class CrowdedLast(eqx.Module):
    """Takes the corridor that most players took last time. Ours."""

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return most(load(past.taken)), ()


class LeastTaken(eqx.Module):
    """Takes the corridor that was taken least in the match so far, by anybody. Ours.

    It keeps how often each was.
    """

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, jnp.zeros(3, jnp.int32)

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        counts = past.kept + load(past.taken)
        return jnp.argmin(counts), counts


def always_left(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(L), tremble)


def always_centre(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(C), tremble)


def always_right(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(R), tremble)


def cycle(env: Race, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, Cycle(check_step("cycle", step)), tremble)


def free_last(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, FewestLast(0), tremble)


def lone_last(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, FewestLast(1), tremble)


def crowded_last(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, CrowdedLast(), tremble)


def least_taken(env: Race, tremble: float = TREMBLE) -> Rule:
    return walker(env, LeastTaken(), tremble)


def win_stay_lose_next(env: Race, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, Shift(0, check_step("win_stay_lose_next", step), True), tremble)


def win_next_lose_stay(env: Race, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, Shift(check_step("win_next_lose_stay", step), 0, True), tremble)


def alternate(
    env: Race, tremble: float = TREMBLE, first: str = "left", second: str = "right"
) -> Rule:
    return walker(env, two_of(first, second), tremble)
