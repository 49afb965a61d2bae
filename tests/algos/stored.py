"""Play of fresh Q-networks that has been stored, for tests of what is learnt from it."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from probes import Leavers

from counterplay.algos import dqn
from counterplay.algos.loops import Spec
from counterplay.algos.offpolicy import Drawn, Rows, draw, rows_of
from counterplay.pools import roster_of
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Seating

LANES, SLOTS, SEATS, CHUNKS = 6, 10, 3, 3


class Stored(NamedTuple):
    """Chunks of play and the state that learns from them."""

    config: dqn.Config
    env: Leavers
    seating: Seating
    state: dqn.State
    """Before any chunk."""
    chunks: tuple[Chunk, ...]

    def learned(self, chunks: tuple[Chunk, ...] | None = None, seating: Any = None) -> dqn.State:
        """The state after all chunks."""
        state = self.state
        if seating is not None:
            state = replace(state, spec=Spec(self.env, seating, None))
        step = jax.jit(lambda state, chunk: dqn.learn(self.config, state, chunk)[0])
        for chunk in chunks or self.chunks:
            state = step(state, chunk)
        return state

    def rows(self, state: dqn.State, key: int = 0, n: int = 24) -> Rows:
        drawn = draw(state.replay, jr.key(key), n, dqn.window_of(self.config))
        return self.cut(drawn)

    def cut(self, drawn: Drawn) -> Rows:
        """The rows of every member, when all draw the same."""
        members = self.seating.kinds[0].members
        drawn = jax.tree.map(lambda x: jnp.broadcast_to(x[None], (members, *x.shape)), drawn)
        config, one = self.config, jnp.float32(1)
        more = (config.gamma, config.n_step, one, config.gru > 0, config.burn_in)
        return rows_of(drawn, self.seating, 0, *more)

    def gradient(self, state: dqn.State, rows: Rows) -> Any:
        """Of the loss of every member."""

        def judge(net, target, rows):
            count = jnp.float32(rows.valid.sum())
            return dqn.loss(self.config, self.env, count, net, target, rows)[0]

        learner = state.learners[0]
        return jax.jit(jax.vmap(jax.grad(judge)))(learner.net, learner.target, rows)


@cache
def stored(who: str, over: bool = True, **settings: Any) -> Stored:
    """Chunks of play of learners at all seats of a game that they leave one by one.

    ``who`` sits at every seat, or has a word for each.
    """
    usual: dict[str, Any] = {"widths": (16,), "match": 2, "replay": 600, "start": 60, "passes": 3}
    usual |= {"batch": 24, "target_every": 2, "learning_rate": 0.01, "n_step": 2}
    usual |= {"window": 12, "burn_in": 4}
    config = dqn.Config(lanes=LANES, slots=SLOTS, **usual | settings)
    env = Leavers(over=over)
    words = who.split()
    seats = dict(zip(range(SEATS), words * (SEATS // len(words)), strict=True))
    seating = roster_of(env, seats).seating(LANES)
    spec = Spec(env, seating, None)
    state_key, lane_key, *keys = jr.split(jr.key(1), 2 + CHUNKS)

    @jax.jit
    def begin():
        state = dqn.init(config, spec, state_key)
        return state, open_lanes(env, seating, dqn.policy(config, state), lane_key)

    @jax.jit
    def play(state, lanes, key):
        agents = dqn.policy(config, state)
        return collect(env, seating, agents, lanes, key, slots=SLOTS, match=2)

    state, lanes = begin()
    chunks = []
    for key in keys:
        lanes, chunk = play(state, lanes, key)
        chunks.append(chunk)
    return Stored(config, env, seating, state, tuple(chunks))
