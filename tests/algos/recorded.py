"""A recorded chunk of play by fresh networks, for tests of what an update makes of it."""

from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from probes import Leavers

from counterplay.algos import ppo
from counterplay.algos.folding import plain
from counterplay.algos.loops import Spec
from counterplay.algos.onpolicy import last_values, rows_of
from counterplay.models.nets import ActorCritic
from counterplay.pools import roster_of
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Seating

LANES, SLOTS, SEATS = 6, 10, 3


def alone(x: jax.Array) -> jax.Array:
    """The sum over all shards, of which there is one."""
    return x


class Played(NamedTuple):
    """A recorded chunk, and everything that learning from it takes."""

    config: ppo.Config
    env: Leavers
    seating: Seating
    learners: tuple[ppo.Learner, ...]
    before: Chunk
    chunk: Chunk
    """The one after ``before``."""

    @property
    def net(self) -> ActorCritic:
        return self.learners[0].net

    def rows(self, chunk: Chunk | None = None, seating: Seating | None = None) -> Any:
        chunk, seating = chunk or self.chunk, seating or self.seating
        rates = self.config.gamma, self.config.lam

        @jax.jit
        def cut(net, chunk):
            last = last_values(net, 0, chunk)
            return rows_of(last, seating, 0, chunk, *rates, alone, net.gru)

        return cut(self.net, chunk)

    def with_config(self, **settings: Any) -> "Played":
        return self._replace(config=replace(self.config, **settings))

    def gradients(self, rows: Any) -> Any:
        """Of the loss over all rows, one a member, with an entropy bonus of .1."""
        count = jnp.full(rows.alive.shape[0], rows.alive.sum() / rows.alive.shape[0])
        count = count.astype(rows.target.dtype)
        bonus = jnp.asarray(0.1, rows.target.dtype)
        judge = partial(ppo.loss, self.config, plain(self.env), bonus)
        grad = jax.grad(lambda net, count, rows: judge(count, net, rows)[0])
        return jax.jit(jax.vmap(grad))(self.net, count, rows)

    def improved(self, chunk: Chunk) -> Any:
        return _improve(self.config, self.env, self.seating)(
            self.learners, chunk, jnp.float32(0.25 * self.config.steps), jr.key(5)
        )


@cache
def _improve(config: ppo.Config, env: Leavers, seating: Seating) -> Any:
    def improve(learners, chunk, steps, key):
        state = ppo.State(learners, steps, key, Spec(env, seating, None))
        after, metrics = ppo.learn(config, state, chunk)
        return after.learners, metrics

    return jax.jit(improve)


@cache
def played(who: str, over: bool = True, gru: int = 0) -> Played:
    """Two chunks of play, the second of which is under study."""
    config = ppo.Config(lanes=LANES, slots=SLOTS, widths=(16,), gru=gru, match=2)
    env = Leavers(over=over)
    roster = roster_of(env, dict.fromkeys(range(SEATS), who))
    seating = roster.seating(LANES)
    net_key, lane_key, *keys = jr.split(jr.key(1), 4)

    @jax.jit
    def begin():
        learner = ppo.init_learner(config, env, roster.kinds[0].members, net_key)
        agents = (ppo.Agent(learner.net),)
        return learner, agents, open_lanes(env, seating, agents, lane_key)

    @jax.jit
    def play(agents, lanes, key):
        return collect(env, seating, agents, lanes, key, slots=SLOTS, match=2)

    learner, agents, lanes = begin()
    lanes, before = play(agents, lanes, keys[0])
    _, chunk = play(agents, lanes, keys[1])
    absent = ~chunk.slots["alive"]
    assert absent.any(1).any(1).all() and not absent.all(1).any(), "somebody left, nobody for good"
    return Played(config, env, seating, (learner,), before, chunk)


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)
