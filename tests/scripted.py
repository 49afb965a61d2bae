"""A game that follows a script, a player who counts and writes down all it sees, and a stage."""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from probes import Probe, State

from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Kind, Roster, Seating
from counterplay.types import Act, View

LANES = 2


@dataclass(frozen=True)
class Script(Probe):
    """Three seats; seat i leaves after ``stays[i]`` moves, the game stops after ``length`` slots.

    Seat i earns 100 (i + 1) + 10 t + its action in slot t, and completes goal t in it. What is
    announced for seats that have left is nonsense, which nobody may pass on. Seat 0 never sees
    the moves of seat 2, nor may seat 1 ever choose action 3. The lot and the time are seen.
    """

    length: int = 3
    stays: tuple[int, int, int] = (9, 1, 9)
    over: bool = True
    """The game ends, rather than being interrupted."""
    public_legal: bool = True
    public_events: bool = True

    num_seats = 3
    num_actions = 4
    num_goals = 8
    obs_shape = (2,)

    def earns(self, state: State, actions: Int[Array, " N"]) -> Float[Array, " N"]:
        return 100.0 * jnp.arange(1, 4) + 10 * state.time + actions

    def shows(self, state: State) -> dict[str, Any]:
        seen = jnp.stack([state.lot, state.time.astype(jnp.float32)])
        alive = state.time < jnp.array(self.stays)
        end = "terminated" if self.over else "truncated"
        return {
            "obs": jnp.stack([seen, seen, seen]),
            "alive": alive,
            "legal": jnp.ones((3, 4), bool).at[1, 3].set(False) & alive[:, None],
            "event": jnp.full(3, state.time - 1),
            "visible": jnp.ones((3, 3), bool).at[0, 2].set(False),
            end: state.time >= self.length,
        }


class Count(NamedTuple):
    """What ``Counting`` remembers."""

    begins: Int[Array, ""]
    """How often an episode began after first contact."""
    moves: Int[Array, ""]
    """Own moves since first contact."""


class Counting(eqx.Module):
    """Plays the number of its own moves so far, modulo 3, and writes down all that it sees."""

    def begin(self, key: PRNGKeyArray, memory: Count | None) -> Count:
        if memory is None:
            return Count(jnp.int32(0), jnp.int32(0))
        return memory._replace(begins=memory.begins + 1)

    def act(self, key: PRNGKeyArray, memory: Count, view: View, greedy: bool) -> Act:
        fields = (
            "obs",
            "legal",
            "alive",
            "moved",
            "public_legal",
            "reward",
            "event",
            "time",
            "first",
        )
        seen = {name: getattr(view, name) for name in fields}
        return Act(
            memory.moves % 3, memory._replace(moves=memory.moves + 1), seen | memory._asdict()
        )


def seated(env: Any, policy: Any, lanes: int = LANES) -> tuple[Seating, tuple]:
    """One policy at every seat."""
    kind = Kind("everyone", policy=policy)
    table = (Chair(0, 0),) * env.num_seats
    return Roster((kind,), (table,)).seating(lanes), (policy,)


opened = jax.jit(open_lanes, static_argnums=(0, 1))
collected = jax.jit(collect, static_argnums=(0, 1), static_argnames=("slots", "match", "starts"))


@cache
def played(env: Probe, slots: int, *cuts: bool, match: int = 1) -> tuple[Chunk, ...]:
    """One chunk after another, one a cut, with ``Counting`` at every seat."""
    seating, policies = seated(env, Counting())
    lanes, out = opened(env, seating, policies, jr.key(0)), []
    for i, cut in enumerate(cuts):
        key, size = jr.key(i + 1), {"slots": slots, "match": match}
        lanes, chunk = collected(env, seating, policies, lanes, key, **size, cut=jnp.array(cut))
        out.append(chunk)
    return tuple(out)


def field(chunk: Chunk, name: str) -> list:
    """A field of the stream in lane 1, slot by slot."""
    return np.asarray(chunk.slots[name])[1].tolist()


def recorded(chunk: Chunk, name: str) -> np.ndarray:
    """What the seats of lane 1 wrote down, [T, N, ...]."""
    x = np.asarray(chunk.records[0][name])[0]
    return x.reshape(LANES, -1, *x.shape[1:])[1].swapaxes(0, 1)
