"""Rules for repeated matrix games that count what the other did.

Memory is those counts, of the whole match, taken from the moves as they were seen, mistakes of the
hand included.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.envs.matrix import COOPERATE, DEFECT, Matrix
from counterplay.opponents.matrix import OTHER, TREMBLE, only, rule_of
from counterplay.opponents.rule import Rule
from counterplay.types import Memory, View

CALM = 2  # rounds of peace that end a punishment of Gradual


class TitForTats(eqx.Module):
    """Defects after that many defections in a row. For two: Axelrod (1984), ch. 2."""

    tats: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.int32(0) if memory is None else memory

    def remember(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        row = jnp.minimum(memory + 1, self.tats)
        return jnp.where(view.moved[OTHER] == DEFECT, row, 0)

    def log_probs(self, memory: Int[Array, ""], view: View) -> Float[Array, " A"]:
        return only(jnp.where(memory == self.tats, DEFECT, COOPERATE))


class LimitedGrim(eqx.Module):
    """Answers a defection by so many rounds of its own, then forgives. Green & Porter (1984).

    What the other does meanwhile is not held against it. Memory is the rounds that are left.
    """

    rounds: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.int32(0) if memory is None else memory

    def remember(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        provoked = (memory == 0) & (view.moved[OTHER] == DEFECT)
        return jnp.where(provoked, self.rounds, jnp.maximum(memory - 1, 0))

    def log_probs(self, memory: Int[Array, ""], view: View) -> Float[Array, " A"]:
        return only(jnp.where(memory > 0, DEFECT, COOPERATE))


class Offences(NamedTuple):
    """How often the other provoked it, and the rounds of punishment and calm still to play."""

    met: Int[Array, ""]
    left: Int[Array, ""]


class Gradual(eqx.Module):
    """Answers the n-th defection by n of its own and two rounds of calm.

    Beaufils, Delahaye & Mathieu (1996). What the other does meanwhile is not counted.
    """

    def begin(self, key: PRNGKeyArray, memory: Offences | None) -> Offences:
        return Offences(jnp.int32(0), jnp.int32(0)) if memory is None else memory

    def remember(self, memory: Offences, view: View) -> Offences:
        provoked = (memory.left == 0) & (view.moved[OTHER] == DEFECT)
        met = memory.met + provoked
        left = jnp.where(provoked, met + CALM, jnp.maximum(memory.left - 1, 0))
        return Offences(met, left)

    def log_probs(self, memory: Offences, view: View) -> Float[Array, " A"]:
        return only(jnp.where(memory.left > CALM, DEFECT, COOPERATE))


class Majority(eqx.Module):
    """Does what the other has done more often; cooperates when both are even, unless it is hard.

    soft_majo of Beaufils, Delahaye & Mathieu (1996). Memory is cooperations less defections.
    """

    hard: bool = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.int32(0) if memory is None else memory

    def remember(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        move = view.moved[OTHER]
        return memory + (move == COOPERATE).astype(jnp.int32) - (move == DEFECT)

    def log_probs(self, memory: Int[Array, ""], view: View) -> Float[Array, " A"]:
        return only(jnp.where(memory >= int(self.hard), COOPERATE, DEFECT))


def tit_for_two_tats(env: Matrix, tremble: float = TREMBLE, tats: int = 2) -> Rule:
    if tats < 2:
        raise ValueError(f"tit_for_two_tats: tats must be 2 or more, found {tats}; see tit_for_tat")
    return rule_of("tit_for_two_tats", env, TitForTats(tats), tremble)


def limited_grim(env: Matrix, tremble: float = TREMBLE, rounds: int = 3) -> Rule:
    if rounds < 2:
        raise ValueError(f"limited_grim: rounds must be 2 or more, found {rounds}; see tit_for_tat")
    return rule_of("limited_grim", env, LimitedGrim(rounds), tremble)


def gradual(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("gradual", env, Gradual(), tremble)


def majority(env: Matrix, tremble: float = TREMBLE, hard: bool = False) -> Rule:
    return rule_of("majority", env, Majority(hard), tremble)
