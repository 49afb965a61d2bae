"""Rules for repeated matrix games with two actions, the first of which is to cooperate.

Each goes by the moves both players made in the round before, mistakes of the hand included.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.matrix import COOPERATE, DEFECT, Matrix
from counterplay.opponents.rule import Behaviour, Rule
from counterplay.types import NO_MOVE, Memory, View

ME, OTHER = range(2)
TREMBLE = 0.05


class Always(eqx.Module):
    """Makes the same move in every round. Axelrod (1984), ch. 1."""

    move: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return only(jnp.int32(self.move))


class TitForTat(eqx.Module):
    """Cooperates first, then does what the other did. Axelrod (1984), ch. 2.

    With ``forgive`` it lets a defection pass that often: generous tit-for-tat, Nowak & Sigmund
    (1992), who find 1/3 best against mistakes in this prisoner's dilemma.
    """

    forgive: float = eqx.field(static=True, default=0.0)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        strikes_back = jnp.where(view.moved[OTHER] == DEFECT, 1 - self.forgive, 0.0)
        return jnp.log(jnp.stack([1 - strikes_back, strikes_back]))


class Grim(eqx.Module):
    """Cooperates until the other defects once, then defects for the rest of the match.

    Friedman (1971). Memory is whether the other has defected.
    """

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.array(False) if memory is None else memory

    def remember(self, memory: Bool[Array, ""], view: View) -> Bool[Array, ""]:
        return memory | (view.moved[OTHER] == DEFECT)

    def log_probs(self, memory: Bool[Array, ""], view: View) -> Float[Array, " A"]:
        return only(jnp.where(memory, DEFECT, COOPERATE))


class WinStayLoseShift(eqx.Module):
    """Cooperates first; repeats its move after the other's cooperation, else changes it.

    Nowak & Sigmund (1993): one wins when the other cooperates.
    """

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        same = view.moved[ME] == view.moved[OTHER]
        return only(jnp.where(same, COOPERATE, DEFECT))


class Bully(eqx.Module):
    """Defects first and after the other's cooperation, gives in after its defection.

    Tit-for-tat reversed; Nachbar (1992).
    """

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return only(jnp.where(view.moved[OTHER] == DEFECT, COOPERATE, DEFECT))


class Cycle(eqx.Module):
    """Repeats a row of moves by the clock of the episode, whatever the other does.

    per_ddc and per_ccd of Beaufils, Delahaye & Mathieu (1996).
    """

    moves: tuple[int, ...] = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return only(jnp.array(self.moves)[view.time % len(self.moves)])


class MemoryOne(eqx.Module):
    """Cooperates by chance, how likely being up to the last moves: mine and the other's CC to DD.

    Press & Dyson (2012). As made by default it extorts: over what both defecting would pay, it
    gains twice what the other does (Extort-2 of Stewart & Plotkin 2012, for the pay-offs of pd).
    """

    chances: tuple[float, float, float, float] = eqx.field(static=True)
    first: float = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        last = 2 * view.moved[ME] + view.moved[OTHER]
        after = jnp.where(jnp.arange(4) == last, jnp.array(self.chances), 0.0).sum()
        cooperates = jnp.where(view.moved[OTHER] == NO_MOVE, self.first, after)
        return jnp.log(jnp.stack([cooperates, 1 - cooperates]))


def only(move: Int[Array, ""]) -> Float[Array, " A"]:
    """Log-probabilities of one move for certain, of two."""
    return jnp.where(jnp.arange(2) == move, 0.0, -jnp.inf)


def always_cooperate(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("always_cooperate", env, Always(COOPERATE), tremble)


def always_defect(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("always_defect", env, Always(DEFECT), tremble)


def tit_for_tat(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("tit_for_tat", env, TitForTat(), tremble)


def generous_tit_for_tat(env: Matrix, tremble: float = TREMBLE, forgive: float = 1 / 3) -> Rule:
    if not 0 <= forgive <= 1:
        raise ValueError(f"generous_tit_for_tat: forgive is a probability, found {forgive}")
    return rule_of("generous_tit_for_tat", env, TitForTat(forgive), tremble)


def grim(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("grim", env, Grim(), tremble)


def win_stay_lose_shift(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("win_stay_lose_shift", env, WinStayLoseShift(), tremble)


def bully(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return rule_of("bully", env, Bully(), tremble)


def cycle(env: Matrix, tremble: float = TREMBLE, pattern: str = "CD") -> Rule:
    if not pattern or set(pattern) - set("CD"):
        raise ValueError(f"cycle: pattern is of C and D, such as CCD, found {pattern!r}")
    moves = tuple(COOPERATE if letter == "C" else DEFECT for letter in pattern)
    return rule_of("cycle", env, Cycle(moves), tremble)


def coin(env: Matrix, tremble: float = 0.0, cooperate: float = 0.5) -> Rule:
    _check_chances("coin", cooperate=cooperate)
    return rule_of(
        "coin", env, MemoryOne((cooperate, cooperate, cooperate, cooperate), cooperate), tremble
    )


def memory_one(
    env: Matrix,
    tremble: float = TREMBLE,
    cc: float = 8 / 9,
    cd: float = 1 / 2,
    dc: float = 1 / 3,
    dd: float = 0.0,
    first: float = 1.0,
) -> Rule:
    _check_chances("memory_one", cc=cc, cd=cd, dc=dc, dd=dd, first=first)
    return rule_of("memory_one", env, MemoryOne((cc, cd, dc, dd), first), tremble)


def _check_chances(name: str, **chances: float) -> None:
    for setting, chance in chances.items():
        if not 0 <= chance <= 1:
            raise ValueError(f"{name}: {setting} is a probability, found {chance}")


def rule_of(name: str, env: Matrix, behaviour: Behaviour, tremble: float) -> Rule:
    """The rule of a behaviour; ValueError for a game with other than two actions."""
    if env.num_actions != 2:
        raise ValueError(
            f"{name} cooperates or defects, so it plays games of two actions, and this one has "
            f"{env.num_actions}: use 'random', or a preset such as matrix:pd"
        )
    return Rule(behaviour, tremble)
