"""More rules for snowdrift: whose turn it is to clear, and for how long somebody waits.

As in ``snowdrift`` those who clear go to the nearest drift and clear it when on it, and the others
stay where they are. Counts are of one episode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.envs.snowdrift import CLEARED, Snowdrift
from counterplay.opponents.rule import Rule
from counterplay.opponents.snowdrift import goal, work
from counterplay.opponents.walking import distances
from counterplay.types import Memory, View


class Early(eqx.Module):
    """Clears before slot ``t1`` of the episode, then stays. Ours: ``late`` the other way round."""

    size: int = eqx.field(static=True)
    t1: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return work(view.time < self.t1, view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return goal(view.time < self.t1)


class Homebody(eqx.Module):
    """Clears drifts that are within so many steps of it. Ours: who clears their own doorstep."""

    size: int = eqx.field(static=True)
    within: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return work(self.willing(view), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return goal(self.willing(view))

    def willing(self, view: View) -> Bool[Array, ""]:
        planes = view.obs[:-1].reshape(-1, self.size * self.size) > 0
        return (planes[-1] & (distances(planes[0], self.size) <= self.within)).any()


class Volunteer(eqx.Module):
    """Clears the drift nearest to it unless another player is nearer to that drift.

    Ours: Diekmann's (1985) volunteer's dilemma, in which the one whom it costs least goes.
    """

    size: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return work(self.willing(view), view, self.size)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return goal(self.willing(view))

    def willing(self, view: View) -> Bool[Array, ""]:
        planes = view.obs[:-1].reshape(-1, self.size * self.size) > 0
        away = jax.vmap(lambda place: distances(place, self.size))(planes[:-1])
        mine = jnp.where(planes[-1], away[0], 2 * self.size)
        target = jnp.arange(len(mine)) == jnp.argmin(mine)
        return planes[-1].any() & (mine.min() <= jnp.where(target[None], away[1:], 0).sum(1).min())


class Conditional(eqx.Module):
    """Clears until it is ``lead`` drifts ahead of the other who has had a part in the most.

    Ours: conditional cooperation, Fischbacher, Gaechter & Fehr (2001). Memory is everyone's count,
    mine first; a view shows events one slot later, and the first of an episode shows older ones.
    """

    size: int = eqx.field(static=True)
    num_seats: int = eqx.field(static=True)
    lead: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.zeros(self.num_seats, jnp.int32)

    def remember(self, memory: Int[Array, " N"], view: View) -> Int[Array, " N"]:
        return memory + ((view.event == CLEARED) & ~view.first)

    def log_probs(self, memory: Int[Array, " N"], view: View) -> Float[Array, " A"]:
        return work(self.willing(memory), view, self.size)

    def intent(self, memory: Int[Array, " N"], view: View) -> Int[Array, ""]:
        return goal(self.willing(memory))

    def willing(self, memory: Int[Array, " N"]) -> Bool[Array, ""]:
        return memory[0] - memory[1:].max() < self.lead


class Impatient(eqx.Module):
    """Clears when nobody has cleared anything for ``idle`` slots, until somebody does.

    Ours: a bystander (Darley & Latane 1968) who acts in the end. Memory is how many slots it has
    been, no more than ``idle``.
    """

    size: int = eqx.field(static=True)
    idle: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return jnp.int32(0)

    def remember(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        longer = jnp.minimum(memory + 1, self.idle)
        return jnp.where((view.event == CLEARED).any() | view.first, 0, longer)

    def log_probs(self, memory: Int[Array, ""], view: View) -> Float[Array, " A"]:
        return work(memory >= self.idle, view, self.size)

    def intent(self, memory: Int[Array, ""], view: View) -> Int[Array, ""]:
        return goal(memory >= self.idle)


def early(env: Snowdrift, tremble: float = 0.0, t1: int = 5) -> Rule:
    return Rule(Early(env.size, _least("early", "t1", t1, 1)), tremble)


def homebody(env: Snowdrift, tremble: float = 0.0, within: int = 2) -> Rule:
    return Rule(Homebody(env.size, _least("homebody", "within", within, 0)), tremble)


def volunteer(env: Snowdrift, tremble: float = 0.0) -> Rule:
    return Rule(Volunteer(env.size), tremble)


def conditional(env: Snowdrift, tremble: float = 0.0, lead: int = 1) -> Rule:
    lead = _least("conditional", "lead", lead, 1)
    return Rule(Conditional(env.size, env.num_seats, lead), tremble)


def impatient(env: Snowdrift, tremble: float = 0.0, idle: int = 3) -> Rule:
    return Rule(Impatient(env.size, _least("impatient", "idle", idle, 1)), tremble)


def _least(name: str, setting: str, found: int, least: int) -> int:
    if found < least:
        raise ValueError(f"{name}: {setting} must be {least} or more, found {found}")
    return found
