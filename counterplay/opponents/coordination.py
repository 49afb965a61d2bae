"""Rules for coordination: which of three corridors, given what the others took so far.

``corridors.py`` says how they walk, hunt and slip. Ties go to the first of left, centre, right;
where there are several others, they are counted together.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from counterplay.envs.coordination import Coordination
from counterplay.envs.corridors import C, L, R
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
    onward,
    two_of,
    walker,
)
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT


class LastSuccess(eqx.Module):
    """Takes the corridor where a stag fell last in this match. Ours: Lewis (1969) on precedent."""

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return jnp.where(past.event[0] == NO_EVENT, past.plan, past.event[0]), ()


class AfterOther(eqx.Module):
    """Takes the corridor so many after the one the other took last time; 0 copies it. Ours."""

    step: int = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return onward(most(load(past.taken[1:])), self.step), ()


class CopyFirst(eqx.Module):
    """Takes, for the rest of the match, the first corridor that it saw the other take. Ours."""

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        other = most(load(past.taken[1:]))
        return jnp.where(past.plan == UNDECIDED, other, past.plan), ()


class ByFrequency(eqx.Module):
    """Takes the corridor that the other took most often in the match so far, or least often.

    Most often is fictitious play, Brown (1951), in this game. It keeps how often each was taken.
    """

    least: bool = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, jnp.zeros(3, jnp.int32)

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        counts = past.kept + load(past.taken[1:])
        rarest = first_of((counts == counts.min()) & counts.any())
        return rarest if self.least else most(counts), counts


def always_left(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(L), tremble)


def always_centre(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(C), tremble)


def always_right(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, Always(R), tremble)


def cycle(env: Coordination, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, Cycle(check_step("cycle", step)), tremble)


def last_success(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, LastSuccess(), tremble)


def copy_last(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, AfterOther(0), tremble)


def anti_copy(env: Coordination, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, AfterOther(check_step("anti_copy", step)), tremble)


def copy_first(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, CopyFirst(), tremble)


def most_frequent(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, ByFrequency(False), tremble)


def least_frequent(env: Coordination, tremble: float = TREMBLE) -> Rule:
    return walker(env, ByFrequency(True), tremble)


def win_stay_lose_next(env: Coordination, tremble: float = TREMBLE, step: int = 1) -> Rule:
    return walker(env, Shift(0, check_step("win_stay_lose_next", step), False), tremble)


def alternate(
    env: Coordination, tremble: float = TREMBLE, first: str = "left", second: str = "right"
) -> Rule:
    return walker(env, two_of(first, second), tremble)
