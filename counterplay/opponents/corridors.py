"""How rules play race and coordination: a corridor chosen in the first step, then straight on.

A rule says which corridor it is for, given the episodes of the match so far. Where it cannot tell,
as in a first episode, all three are equally likely. Its hand trembles in the first step only, into
one of the two other corridors. From then on it goes by where it stands: along row 10, up to the
height of the target, across to it. Nothing that was drawn is remembered, so what a rule will do is
a function of what it has seen.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.coordination import HUNT, Coordination
from counterplay.envs.corridors import (
    DOWN,
    LEFT,
    PLAYER,
    RIGHT,
    SIZE,
    STAY,
    TARGETS,
    UP,
    C,
    L,
    R,
)
from counterplay.envs.race import Race
from counterplay.names import unknown
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT, NO_MOVE, Memory, View

TREMBLE = 0.05
UNDECIDED = NO_EVENT
"""In place of a corridor: any, all equally likely; of a player: in none so far."""
NAMES = {"left": L, "centre": C, "right": R}


class Past(NamedTuple):
    """What a rule may go by when a later episode of the match begins."""

    taken: Int[Array, " N"]
    """The corridor in which each was last seen in the episode before, me first, or UNDECIDED."""
    plan: Int[Array, ""]
    """The corridor this rule was for in it, or UNDECIDED."""
    event: Int[Array, " N"]
    """Of its last joint move."""
    moved: Int[Array, " N"]
    """The last joint move, NO_MOVE for who had left before."""
    kept: Any
    """What the rule keeps from episode to episode."""


class Course(NamedTuple):
    """What a rule remembers, a function of its views alone."""

    plan: Int[Array, ""]
    taken: Int[Array, " N"]
    """The corridor in which each was last seen in this episode, me first, or UNDECIDED."""
    kept: Any


@runtime_checkable
class Precedent(Protocol):
    """Which corridor a rule is for, and what it keeps: at first contact, and one episode later."""

    def begin(self) -> tuple[int, Any]: ...

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]: ...


class Seen(NamedTuple):
    """An encoded observation in numbers: rows and columns, me first; -1 for who has left."""

    row: Int[Array, " N"]
    col: Int[Array, " N"]
    there: Bool[Array, " 3"]


class Walker(eqx.Module):
    """Takes the corridor that a precedent is for, or another one by a slip of its first step.

    On a stag it waits for everybody, and hunts with them or else in the last slot; on a target of a
    race, where it can only be late, it stays.
    """

    precedent: Any
    players: int = eqx.field(static=True)
    tremble: float = eqx.field(static=True)
    last: int | None = eqx.field(static=True)
    """The last slot of an episode, None where there is nothing to hunt."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        if memory is not None:
            return memory
        plan, kept = self.precedent.begin()
        return Course(jnp.int32(plan), jnp.full(self.players, UNDECIDED, jnp.int32), kept)

    def remember(self, memory: Course, view: View) -> Course:
        past = Past(memory.taken, memory.plan, view.event, view.moved, memory.kept)
        ended = view.first & (memory.taken != UNDECIDED).any()
        turned = self.precedent.follow(past)
        before = memory.plan, memory.kept
        plan, kept = jax.tree.map(lambda new, old: jnp.where(ended, new, old), turned, before)
        inside = corridors_of(read(view, self.players))
        taken = jnp.where(view.first, UNDECIDED, memory.taken)
        return Course(plan, jnp.where(inside == UNDECIDED, taken, inside), kept)

    def log_probs(self, memory: Course, view: View) -> Float[Array, " A"]:
        seen, moves = read(view, self.players), jnp.arange(view.legal.shape[0])
        slip = jnp.where(jnp.arange(3) == memory.plan, 1 - self.tremble, self.tremble / 2)
        choice = jnp.where(memory.plan == UNDECIDED, 1 / 3, slip)
        first = jnp.zeros(moves.shape[0])
        for corridor, move in ((L, LEFT), (C, UP), (R, RIGHT)):
            first = jnp.where(moves == move, choice[corridor], first)
        on = (moves == self._step(seen, view.time)).astype(jnp.float32)
        chances = jnp.where(at_start(seen), first, on)
        return jnp.where(chances > 0, jnp.log(jnp.where(chances > 0, chances, 1.0)), -jnp.inf)

    def intent(self, memory: Course, view: View) -> Int[Array, ""]:
        """The target it is for while that is there; NO_EVENT before an even choice is made."""
        seen = read(view, self.players)
        aim = jnp.where(at_start(seen), memory.plan, heading(seen))
        there = (seen.there & (jnp.arange(3) == aim)).any()
        return jnp.where(view.alive[0] & there, aim, NO_EVENT)

    def _step(self, seen: Seen, time: Int[Array, ""]) -> Int[Array, ""]:
        """The way on to the target of the corridor it is bound for, and what to do there."""
        aim, row, col = heading(seen), seen.row[0], seen.col[0]
        to_row = jnp.where(aim == C, TARGETS[C] // SIZE, TARGETS[L] // SIZE)
        to_col = TARGETS[L] % SIZE + 4 * aim
        level = (row == SIZE - 1) | (row == to_row)
        along = jnp.where(row > to_row, UP, jnp.where(row < to_row, DOWN, self._done(seen, time)))
        back = jnp.where(level & (col < to_col), RIGHT, along)
        return jnp.where(level & (col > to_col), LEFT, back)

    def _done(self, seen: Seen, time: Int[Array, ""]) -> Int[Array, ""]:
        if self.last is None:
            return jnp.int32(STAY)
        together = ((seen.row == seen.row[0]) & (seen.col == seen.col[0])).all()
        return jnp.where(together | (time >= self.last), HUNT, STAY)


class Always(eqx.Module):
    """Takes the same corridor in every episode. Ours: a pure strategy."""

    corridor: int = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return self.corridor, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return past.plan, ()


class Cycle(eqx.Module):
    """Goes ``step`` corridors on in every episode, from the one it took first. Ours.

    A slip of its hand does not put it out of step, unless it slipped in the first episode, where
    any corridor is as good.
    """

    step: int = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return onward(jnp.where(past.plan == UNDECIDED, past.taken[0], past.plan), self.step), ()


class Alternate(eqx.Module):
    """Takes two corridors by turns, the first one first. Ours."""

    first: int = eqx.field(static=True)
    second: int = eqx.field(static=True)

    def begin(self) -> tuple[int, Any]:
        return self.first, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        return jnp.where(past.plan == self.first, self.second, self.first), ()


class Shift(eqx.Module):
    """Goes so many corridors on from the one it took last, after a success and after none.

    Win-stay lose-shift (Nowak & Sigmund, 1993) for three choices is 0 and 1.
    """

    won: int = eqx.field(static=True)
    lost: int = eqx.field(static=True)
    leavers_won: bool = eqx.field(static=True)
    """Whether nobody leaves an episode early but by winning."""

    def begin(self) -> tuple[int, Any]:
        return UNDECIDED, ()

    def follow(self, past: Past) -> tuple[Int[Array, ""], Any]:
        won = past.event[0] != NO_EVENT
        if self.leavers_won:
            won |= past.moved[0] == NO_MOVE
        return onward(past.taken[0], jnp.where(won, self.won, self.lost)), ()


def read(view: View, players: int) -> Seen:
    marks = view.obs[: players * PLAYER].reshape(players, 2, SIZE) > 0
    place = jnp.where(marks, jnp.arange(SIZE)[None, None], 0).sum(2)
    place = jnp.where(marks.any(2), place, -1)
    return Seen(place[:, 0], place[:, 1], view.obs[-4:-1] > 0)


def corridors_of(seen: Seen) -> Int[Array, " N"]:
    """The corridor in which each is, UNDECIDED on row 10 and for who has left."""
    inside = (seen.row >= 0) & (seen.row < SIZE - 1)
    return jnp.where(inside, seen.col // 4, UNDECIDED)


def heading(seen: Seen) -> Int[Array, ""]:
    """The corridor that is mine from where I stand; on row 10 the one on my side of the start."""
    side = jnp.sign(seen.col[0] - SIZE // 2) + 1
    return jnp.where(seen.row[0] == SIZE - 1, side, seen.col[0] // 4)


def at_start(seen: Seen) -> Bool[Array, ""]:
    return (seen.row[0] == SIZE - 1) & (seen.col[0] == SIZE // 2)


def onward(corridor: Int[Array, ""], steps: int | Int[Array, ""]) -> Int[Array, ""]:
    """So many corridors to the right, the left one after the right one."""
    return jnp.where(corridor == UNDECIDED, UNDECIDED, (corridor + steps) % 3)


def load(taken: Int[Array, " X"]) -> Int[Array, " 3"]:
    """How many players took each corridor."""
    return (taken[:, None] == jnp.arange(3)[None]).sum(0)


def first_of(corridors: Bool[Array, " 3"]) -> Int[Array, ""]:
    """The first corridor marked, UNDECIDED where none is."""
    return jnp.where(corridors.any(), jnp.argmax(corridors), UNDECIDED)


def most(counts: Int[Array, " 3"]) -> Int[Array, ""]:
    """The corridor with the highest count, ties to the first; UNDECIDED where all are 0."""
    return jnp.where(counts.any(), jnp.argmax(counts), UNDECIDED)


def walker(env: Race | Coordination, precedent: Precedent, tremble: float) -> Rule:
    if not 0 <= tremble <= 1:
        raise ValueError(f"tremble is a probability, 0 to 1, found {tremble}")
    last = env.horizon - 1 if isinstance(env, Coordination) else None
    return Rule(Walker(precedent, env.players, tremble, last))


def check_step(rule: str, step: int) -> int:
    if step not in (1, 2):
        raise ValueError(f"{rule}: step must be 1 or 2 corridors, found {step}; see always_left")
    return step


def two_of(first: str, second: str) -> Alternate:
    """The corridors by name; ValueError for a name that is none, and for the same twice."""
    for name in (first, second):
        if name not in NAMES:
            raise unknown("corridor of alternate", name, NAMES)
    if first == second:
        raise ValueError(f"alternate: first and second must differ, both are {first}")
    return Alternate(NAMES[first], NAMES[second])
