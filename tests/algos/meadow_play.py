"""Play of fresh agents that read the others, recorded, for tests of what they make of it."""

from functools import cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import PRNGKeyArray
from meadow import Meadow

from counterplay.algos import goal_ppo, ppo
from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import prepared
from counterplay.algos.loops import Spec
from counterplay.algos.study import Study, studies
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import Act, Memory, View

LANES, SLOTS, GOALS = 4, 9, 3
ENV = Meadow()


class Leaning(eqx.Module):
    """Mostly makes one move."""

    move: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        lot, any_move = jr.split(key)
        other = jr.randint(any_move, (), 0, view.legal.shape[0])
        return Act(jnp.where(jr.uniform(lot) < 0.7, self.move, other), (), {})


KINDS = (
    Kind("self", learner=True),
    Kind("one", policy=Leaning(1), first_id=4),
    Kind("two", policy=Leaning(2), first_id=7),
)
LEARNER, ONE, TWO = (Chair(i, 0) for i in range(3))
ROSTER = Roster(KINDS, ((LEARNER, ONE, LEARNER), (TWO, LEARNER, LEARNER)))
SMALL: dict[str, Any] = {
    "lanes": LANES, "slots": SLOTS, "match": 2, "widths": (8,), "gru": 4, "epochs": 1,
    "minibatches": 2, "told_width": 6, "reader_widths": (8,), "reader_gru": 5,
    "reader_minibatches": 2,
}  # fmt: skip
CONFIG = Config(**SMALL).among(ROSTER)
SEATING = ROSTER.seating(LANES)
SPEC = Spec(ENV, SEATING, None)


class Played(NamedTuple):
    state: ppo.State
    before: Chunk
    chunk: Chunk
    """The one after ``before``."""


@cache
def played() -> Played:
    @jax.jit
    def play():
        state = goal_ppo.init(CONFIG, SPEC, jr.key(3))
        net = jax.tree.map(varied, state.learners[0].net)
        state = eqx.tree_at(lambda s: s.learners[0].net, state, net)
        policies = (*goal_ppo.policy(CONFIG, state), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        lanes, before = collect(ENV, SEATING, policies, lanes, jr.key(1), slots=SLOTS, match=2)
        return Played(
            state,
            before,
            collect(ENV, SEATING, policies, lanes, jr.key(14), slots=SLOTS, match=2)[1],
        )

    done = play()
    assert (~done.chunk.slots["alive"]).any() and done.chunk.slots["closing"].any()
    return done


def varied(x: Any) -> Any:
    """Weights that begin as zeros are made to say something."""
    if not (eqx.is_inexact_array(x) and x.ndim > 2):
        return x
    return jnp.where((x == 0).all(), jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape), x)


def model() -> Any:
    return jax.tree.map(lambda x: x[0], played().state.learners[0].net.reader)


study_of = jax.jit(lambda chunk: prepared(CONFIG, studies(SEATING, 0, chunk)))


def study(chunk: Chunk | None = None) -> Study:
    """Of the places of the learner, leaves [P, T, ...]."""
    return jax.tree.map(lambda x: x[0], study_of(chunk or played().chunk))
