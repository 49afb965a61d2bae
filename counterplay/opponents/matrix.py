"""Rules for repeated matrix games with two actions, the first of which is to cooperate.

Each goes by the moves both players made in the round before, mistakes of the hand included.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.matrix import COOPERATE, DEFECT, Matrix
from counterplay.opponents.rule import Behaviour, Rule
from counterplay.types import Memory, View

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


def only(move: Int[Array, ""]) -> Float[Array, " A"]:
    """Log-probabilities of one move for certain, of two."""
    return jnp.where(jnp.arange(2) == move, 0.0, -jnp.inf)


def always_cooperate(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("always_cooperate", env, Always(COOPERATE), tremble)


def always_defect(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("always_defect", env, Always(DEFECT), tremble)


def tit_for_tat(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("tit_for_tat", env, TitForTat(), tremble)


def generous_tit_for_tat(env: Matrix, tremble: float = TREMBLE, forgive: float = 1 / 3) -> Rule:
    if not 0 <= forgive <= 1:
        raise ValueError(f"generous_tit_for_tat: forgive is a probability, found {forgive}")
    return _rule("generous_tit_for_tat", env, TitForTat(forgive), tremble)


def grim(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("grim", env, Grim(), tremble)


def win_stay_lose_shift(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("win_stay_lose_shift", env, WinStayLoseShift(), tremble)


def bully(env: Matrix, tremble: float = TREMBLE) -> Rule:
    return _rule("bully", env, Bully(), tremble)


def _rule(name: str, env: Matrix, behaviour: Behaviour, tremble: float) -> Rule:
    if env.num_actions != 2:
        raise ValueError(
            f"{name} cooperates or defects, so it plays games of two actions, and this one has "
            f"{env.num_actions}: use 'random', or a preset such as matrix:pd"
        )
    return Rule(behaviour, tremble)
