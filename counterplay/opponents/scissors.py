"""Rules for scissors: what is collected, before they walk to the centre and challenge.

Each fetches the things of its collection from the nearest pile, ties to the first cell, by a step
drawn from those that bring it nearer; with four things in hand it walks to the centre, stays
there, and challenges as soon as that is legal. Where the other is does not matter to it before.
What it collects follows from what both players saw of the episodes before, and from one draw out
of three when an episode begins; ``following`` says how, so that a filter can enumerate it. Ours.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.scissors import (
    CARRIED,
    CHALLENGE,
    HOLDINGS,
    PAPER,
    ROCK,
    SCISSORS,
    SIZE,
    STAY,
    Scissors,
    pile_cells,
)
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import steps_to, steps_towards
from counterplay.types import View

TREMBLE = 0.05
CELLS = SIZE * SIZE
CENTRE = CELLS // 2
AIMS = ((4, 0, 0), (0, 4, 0), (0, 0, 4), (2, 1, 1))
"""Collections that somebody aims at: of rock, paper or scissors alone, and mixed."""
MIXED = 3


class Plan(NamedTuple):
    """What a collector keeps; nothing of it is drawn after an episode has begun."""

    aim: Int[Array, ""]
    """The collection aimed at, a place in AIMS."""
    drawn: Int[Array, ""]
    """This episode's draw, 0 to 2."""
    later: Bool[Array, ""]
    """Not the first episode of the match."""


class Collector(eqx.Module):
    """Aims at one collection an episode. Its kinds say which."""

    @abstractmethod
    def first(self, drawn: Int[Array, ""]) -> Int[Array, ""]:
        """The aim of a match's first episode."""

    @abstractmethod
    def following(
        self, aim: Int[Array, ""], mine: Int[Array, ""], other: Int[Array, ""]
    ) -> Int[Array, ""]:
        """The aim of a later episode, given the last one and the codes of what both then held."""

    def begin(self, key: PRNGKeyArray, memory: Plan | None) -> Plan:
        drawn = jr.randint(key, (), 0, 3)
        if memory is None:
            return Plan(self.first(drawn), drawn, jnp.array(False))
        return memory._replace(drawn=drawn, later=jnp.array(True))

    def remember(self, memory: Plan, view: View) -> Plan:
        aim = self.following(memory.aim, view.event[0], view.event[1])
        return memory._replace(aim=jnp.where(memory.later & view.first, aim, memory.aim))

    def log_probs(self, memory: Plan, view: View) -> Float[Array, " A"]:
        here = jnp.argmax(view.obs[:CELLS]).astype(jnp.int32)
        held = jnp.round(view.obs[3 * CELLS : 3 * CELLS + 3] * CARRIED).astype(jnp.int32)
        return any_of(wanted(memory.aim, here, held, view.legal))

    def intent(self, memory: Plan, view: View) -> Int[Array, ""]:
        """The code of the collection aimed at: 0 to 2 for one kind alone."""
        coded = jnp.array([HOLDINGS.index(aim) for aim in AIMS], jnp.int32)
        return jnp.where(jnp.arange(len(AIMS)) == memory.aim, coded, 0).sum()


class Always(Collector):
    """Collects the same in every episode."""

    aim: int = eqx.field(static=True)

    def first(self, drawn):
        return jnp.int32(self.aim)

    def following(self, aim, mine, other):
        return jnp.int32(self.aim)


class Cycle(Collector):
    """Starts with any kind and takes the next one, which beats it, every episode."""

    def first(self, drawn):
        return drawn

    def following(self, aim, mine, other):
        return (aim + 1) % 3


class Answer(Collector):
    """Collects the kind that is ``by`` after the most frequent one of what the other held last.

    Ties go to the first kind; any kind in the first episode. By 0 it copies, by 1 it beats.
    """

    by: int = eqx.field(static=True)

    def first(self, drawn):
        return drawn

    def following(self, aim, mine, other):
        return (majority(other) + self.by) % 3


class Reflect(Collector):
    """The same as ``Answer``, but looks at what it held itself."""

    by: int = eqx.field(static=True)

    def first(self, drawn):
        return drawn

    def following(self, aim, mine, other):
        return (majority(mine) + self.by) % 3


class Alternate(Collector):
    """Goes back and forth between two kinds."""

    one: int = eqx.field(static=True)
    other: int = eqx.field(static=True)

    def first(self, drawn):
        return jnp.int32(self.one)

    def following(self, aim, mine, other):
        return jnp.where(aim == self.one, self.other, self.one).astype(jnp.int32)


class Shift(Collector):
    """Keeps its kind unless it would lose against what the other held last, then takes the next.

    Win-stay, lose-shift of Nowak & Sigmund (1993) for three moves; starts with any kind.
    """

    def first(self, drawn):
        return drawn

    def following(self, aim, mine, other):
        return jnp.where((majority(other) - majority(mine)) % 3 == 1, (aim + 1) % 3, aim)


def majority(code: Int[Array, ""]) -> Int[Array, ""]:
    """The most frequent kind of a collection, ties to the first."""
    kinds = jnp.array(np.argmax(np.array(HOLDINGS), axis=1).astype(np.int32))
    return jnp.where(jnp.arange(len(HOLDINGS)) == code, kinds, 0).sum()


def wanted(
    aim: Int[Array, ""], here: Int[Array, ""], held: Int[Array, " 3"], legal: Bool[Array, " A"]
) -> Bool[Array, " A"]:
    """The moves of who stands ``here`` with ``held`` in hand and aims at a collection."""
    move, full = jnp.arange(legal.shape[0]), held.sum() >= CARRIED
    piles = jnp.array(_pile_planes())[_kind(aim, held)]
    me = jnp.arange(CELLS) == here
    fetch = jnp.where((piles & me).any(), move == STAY, steps_to(piles, me, legal, SIZE))
    meet = jnp.where(
        here == CENTRE, move == STAY, steps_towards(here, jnp.int32(CENTRE), legal, SIZE)
    )
    challenge = legal[CHALLENGE] & (move == CHALLENGE)
    return jnp.where(full, jnp.where(legal[CHALLENGE], challenge, meet), fetch)


def _kind(aim: Int[Array, ""], held: Int[Array, " 3"]) -> Int[Array, ""]:
    """What to fetch next; in a mixed collection rock comes first, then paper."""
    rest = jnp.where(held[PAPER] < AIMS[MIXED][PAPER], PAPER, SCISSORS)
    return jnp.where(aim != MIXED, aim, jnp.where(held[ROCK] < AIMS[MIXED][ROCK], ROCK, rest))


def _pile_planes() -> np.ndarray:
    """Which cells have a pile of each kind, [3, cells]."""
    return np.array([np.isin(np.arange(CELLS), pile_cells(kind)) for kind in range(3)])


def rock(env: Scissors, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(ROCK), tremble)


def paper(env: Scissors, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(PAPER), tremble)


def scissors(env: Scissors, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(SCISSORS), tremble)


def mixed(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Two rocks, a paper and scissors."""
    return Rule(Always(MIXED), tremble)


def cycle(env: Scissors, tremble: float = TREMBLE) -> Rule:
    return Rule(Cycle(), tremble)


def beat_last(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Collects what beats the kind of which the other held most last time."""
    return Rule(Answer(by=1), tremble)


def copy_last(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Collects the kind of which the other held most last time."""
    return Rule(Answer(by=0), tremble)


def lose_to_last(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Collects what the kind of which the other held most last time would beat."""
    return Rule(Answer(by=2), tremble)


def beat_itself(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Collects what beats the kind of which it held most itself last time."""
    return Rule(Reflect(by=1), tremble)


def lose_to_itself(env: Scissors, tremble: float = TREMBLE) -> Rule:
    """Collects what the kind of which it held most itself last time would beat."""
    return Rule(Reflect(by=2), tremble)


def alternate(env: Scissors, tremble: float = TREMBLE, one: int = ROCK, other: int = PAPER) -> Rule:
    """Kinds count rock, paper, scissors from 0."""
    if not {one, other} < {ROCK, PAPER, SCISSORS}:
        raise ValueError(f"alternate: kinds are 0, 1 and 2, found one={one}, other={other}")
    return Rule(Alternate(one, other), tremble)


def shift(env: Scissors, tremble: float = TREMBLE) -> Rule:
    return Rule(Shift(), tremble)
