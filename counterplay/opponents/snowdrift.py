"""Rules for snowdrift: who clears drifts, how many and from when on.

Those who clear go to the nearest drift, ties to the first cell row by row, by a step drawn from
those that bring them nearer, and clear it when they are on it. The others stay where they are.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.snowdrift import CLEAR, CLEARED, STAY, Snowdrift
from counterplay.opponents.general import any_of
from counterplay.opponents.rule import Rule
from counterplay.opponents.walking import steps_to
from counterplay.types import NO_EVENT, Memory, View


class Cleaner(eqx.Module):
    """Clears whatever is left. Ours: cooperation of Hauert & Doebeli (2004), put on a board."""

    size: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return work(jnp.array(True), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return goal(jnp.array(True))


class FreeRider(eqx.Module):
    """Never moves. Ours: defection of Hauert & Doebeli (2004); Hughes et al. (2018) know it too."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return any_of(jnp.arange(view.legal.shape[0]) == STAY)


class KCleaner(eqx.Module):
    """Clears until it has had a part in ``k`` drifts of this episode, then stays. Ours.

    Memory is how many those are, counted from its own events: a view shows them one slot later,
    and what the first view of an episode shows belongs to the episode before.
    """

    size: int = eqx.field(static=True)
    k: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.int32(0)

    def remember(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        return memory + ((view.event[0] == CLEARED) & ~view.first)

    def log_probs(self, memory: Int[Array, ""], view: View) -> Float[Array, " A"]:
        return work(memory < self.k, view, self.size)

    def intent(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        return goal(memory < self.k)


class Late(eqx.Module):
    """Stays before slot ``t0`` of the episode, clears from then on. Ours."""

    size: int = eqx.field(static=True)
    t0: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return work(view.time >= self.t0, view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return goal(view.time >= self.t0)


def work(willing: Bool[Array, ""], view: View, size: int) -> Float[Array, " A"]:
    """Clears the drift underfoot or walks to the nearest one; stays when not willing."""
    planes = view.obs[:-1].reshape(-1, size * size) > 0
    me, drifts = planes[0], planes[-1]
    move = jnp.arange(view.legal.shape[0])
    busy = jnp.where((me & drifts).any(), move == CLEAR, steps_to(drifts, me, view.legal, size))
    return any_of(jnp.where(willing, busy, move == STAY))


def goal(willing: Bool[Array, ""]) -> Int[Array, ""]:
    return jnp.where(willing, CLEARED, NO_EVENT)


def cleaner(env: Snowdrift, tremble: float = 0.0) -> Rule:
    return Rule(Cleaner(env.size), tremble)


def free_rider(env: Snowdrift, tremble: float = 0.0) -> Rule:
    return Rule(FreeRider(), tremble)


def k_cleaner(env: Snowdrift, tremble: float = 0.0, k: int = 1) -> Rule:
    if k < 1:
        raise ValueError(f"k_cleaner: k must be at least 1 drift, found {k}; see free_rider")
    return Rule(KCleaner(env.size, k), tremble)


def late(env: Snowdrift, tremble: float = 0.0, t0: int = 5) -> Rule:
    if t0 < 0:
        raise ValueError(f"late: t0 must be slot 0 or later, found {t0}")
    return Rule(Late(env.size, t0), tremble)
