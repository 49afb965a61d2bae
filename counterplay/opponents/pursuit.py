"""Rules for pursuit: which of the four exits the evader makes for, and by which way.

All walk by a shortest path, by a step drawn from those that bring them nearer, and pay no heed to
the pursuer. What they aim at follows from what both players saw of the episodes before, and from
one draw out of four when an episode begins; ``following`` says how, so that a filter can
enumerate it. Ours. Exits count north, east, south, west.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.pursuit import EAST, NORTH, SOUTH, WEST, Pursuit
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import steps_towards
from counterplay.types import View

TREMBLE = 0.05


class Plan(NamedTuple):
    """What an evader keeps; nothing of it is drawn after an episode has begun."""

    exit: Int[Array, ""]
    """The exit aimed at."""
    drawn: Int[Array, ""]
    """This episode's draw, 0 to 3."""
    way: Int[Array, ""]
    """The cell to pass first."""
    passed: Bool[Array, ""]
    used: Int[Array, " G"]
    """How often each exit has been used in this match."""
    later: Bool[Array, ""]
    """Not the first episode of the match."""


class Evader(eqx.Module):
    """Aims at one exit an episode. Its kinds say which."""

    size: int = eqx.field(static=True)
    ways: tuple[int, ...] = eqx.field(static=True, default=())
    """Cells of which it passes one, drawn for each episode, before it makes for the exit."""

    @abstractmethod
    def first(self, drawn: Int[Array, ""]) -> Int[Array, ""]:
        """The exit of a match's first episode."""

    @abstractmethod
    def following(
        self,
        exit: Int[Array, ""],
        event: Int[Array, ""],
        used: Int[Array, " G"],
        drawn: Int[Array, ""],
    ) -> Int[Array, ""]:
        """The exit of a later episode, given the last aim, the exit by which the evader escaped
        (or NO_EVENT) and how often each has been used, that time included.
        """

    def begin(self, key: PRNGKeyArray, memory: Plan | None) -> Plan:
        exit_key, way_key = jr.split(key)
        drawn = jr.randint(exit_key, (), 0, 4)
        way = jnp.int32(0)
        if self.ways:
            way = jr.choice(way_key, jnp.array(self.ways, jnp.int32))
        passed = jnp.array(not self.ways)
        if memory is None:
            nothing = jnp.zeros(4, jnp.int32)
            return Plan(self.first(drawn), drawn, way, passed, nothing, jnp.array(False))
        return memory._replace(drawn=drawn, way=way, passed=passed, later=jnp.array(True))

    def remember(self, memory: Plan, view: View) -> Plan:
        anew, event = memory.later & view.first, view.event[0]
        used = memory.used + ((jnp.arange(4) == event) & anew)
        chosen = self.following(memory.exit, event, used, memory.drawn)
        return memory._replace(
            exit=jnp.where(anew, chosen, memory.exit),
            passed=memory.passed | (place(view, self.size) == memory.way),
            used=used,
        )

    def log_probs(self, memory: Plan, view: View) -> Float[Array, " A"]:
        exits = jnp.array(Pursuit(self.size).exits, jnp.int32)
        exit = jnp.where(jnp.arange(4) == memory.exit, exits, 0).sum()
        target = jnp.where(memory.passed, exit, memory.way)
        return any_of(steps_towards(place(view, self.size), target, view.legal, self.size))

    def intent(self, memory: Plan, view: View) -> Int[Array, ""]:
        return memory.exit


class Always(Evader):
    """Makes for the same exit in every episode."""

    aim: int = eqx.field(static=True, default=NORTH)

    def first(self, drawn):
        return jnp.int32(self.aim)

    def following(self, exit, event, used, drawn):
        return jnp.int32(self.aim)


class Anew(Evader):
    """Draws an exit for every episode, each equally likely."""

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return drawn


class Cycle(Evader):
    """Starts anywhere and goes on by ``by`` exits every episode."""

    by: int = eqx.field(static=True, default=1)

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return (exit + self.by) % 4


class LeastUsed(Evader):
    """The exit least used so far in the match, ties to the first; anywhere at first."""

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return jnp.argmin(used).astype(jnp.int32)


class MostUsed(Evader):
    """The exit most used so far in the match, ties to the first; anywhere at first."""

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return jnp.argmax(used).astype(jnp.int32)


class Stubborn(Evader):
    """Keeps to its exit after an escape, else tries the next one; starts anywhere.

    Win-stay, lose-shift of Nowak & Sigmund (1993), put on a board.
    """

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return jnp.where(event >= 0, exit, (exit + 1) % 4)


class Restless(Evader):
    """Moves on by ``by`` exits after an escape, else tries the same one again; starts anywhere."""

    by: int = eqx.field(static=True, default=1)

    def first(self, drawn):
        return drawn

    def following(self, exit, event, used, drawn):
        return jnp.where(event >= 0, (exit + self.by) % 4, exit)


def place(view: View, size: int) -> Int[Array, ""]:
    """The cell I am on."""
    return jnp.argmax(view.obs[: size * size]).astype(jnp.int32)


def way_points(size: int) -> tuple[int, ...]:
    """The four cells of which ``detour`` passes one: a quarter of the way in from both sides."""
    near, far = size // 4, size - 1 - size // 4
    return tuple(int(row * size + col) for row in (near, far) for col in (near, far))


def north(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(env.size, aim=NORTH), tremble)


def east(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(env.size, aim=EAST), tremble)


def south(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(env.size, aim=SOUTH), tremble)


def west(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Always(env.size, aim=WEST), tremble)


def detour(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Anew(env.size, way_points(env.size)), tremble)


def cycle(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Cycle(env.size), tremble)


def least_used(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(LeastUsed(env.size), tremble)


def most_used(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(MostUsed(env.size), tremble)


def stubborn(env: Pursuit, tremble: float = TREMBLE) -> Rule:
    return Rule(Stubborn(env.size), tremble)


def restless(env: Pursuit, tremble: float = TREMBLE, by: int = 1) -> Rule:
    return Rule(Restless(env.size, by=by), tremble)
