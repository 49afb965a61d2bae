"""Plans made anew for earlier play are those of the time, while nothing else was learnt."""

from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from meadow import spoilt
from meadow_play import ENV, KINDS, ROSTER, SEATING, SLOTS, SMALL, SPEC, varied

from counterplay.algos import counterplay, ppo
from counterplay.algos.counterplay import Agent, Config
from counterplay.algos.folding import Reading
from counterplay.algos.imagining import stretches
from counterplay.algos.labels import prepared
from counterplay.algos.past import Again
from counterplay.algos.replanning import optimiser_of, replanned, rows_from
from counterplay.algos.study import studies
from counterplay.rollout import Chunk, collect, open_lanes

TINY: dict[str, Any] = SMALL | {
    "latent": 6, "world_width": 12, "world_token": 4, "value_width": 8, "samples": 0,
    "replay": 1, "replanned": 10**6, "gru": 3,
}  # fmt: skip
CONFIG = Config(**TINY).among(ROSTER)
"""Plans are exact sums, so that no lots are drawn."""


class Played(NamedTuple):
    learner: Any
    chunk: Chunk
    again: Again
    before: Any


@cache
def played() -> Played:
    """A chunk that begins inside matches, by an agent with a half trust in its plans."""

    @jax.jit
    def play():
        state = counterplay.init(CONFIG, SPEC, jr.key(3))
        net = trusting(jax.tree.map(varied, state.learners[0].net), 0.5)
        learner = state.learners[0]._replace(net=net)
        policies = (Agent(net, learning=True), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        step = partial(collect, ENV, SEATING, policies, slots=SLOTS, match=2)
        lanes, _ = step(lanes, jr.key(1))
        chunk = step(lanes, jr.key(14))[1]
        return Played(learner, chunk, *read_back(chunk))

    return play()


def read_back(chunk: Chunk) -> tuple[Again, Any]:
    study = prepared(CONFIG, studies(SEATING, 0, chunk)._replace(record={}))
    return Again(chunk, study), stretches(ENV, SEATING, 0, chunk, study, jr.key(0))


def trusting(net: Any, trust: float) -> Any:
    return eqx.tree_at(lambda n: n.trust, net, jnp.full_like(net.trust, trust))


def test_they_are_what_was_planned_and_told_when_it_was_played():
    """Through departures, matches that begin and episodes that are cut short."""
    learner, chunk, again, before = played()
    windows = before.window
    make = jax.jit(partial(rows_from, ENV, index=0, slots=10**6))
    key, pull = jr.key(7), jnp.array([0.25])
    rows = make(Agent(learner.net), pull, again, windows, key=key)
    order = jr.permutation(jr.split(jr.split(key)[0], 1)[0], windows.contact.shape[1])
    record = jax.tree.map(lambda x: np.asarray(x[0][order]), chunk.records[0])
    acting = np.asarray(windows.acting[0][order])
    rows = jax.tree.map(lambda x: np.asarray(x[0]), rows)
    assert acting.any() and not acting.all() and np.array_equal(rows.alive, acting)
    for mine, then in ((rows.plan, record["plan"]), (rows.obs[1], record["told"])):
        np.testing.assert_allclose(mine[acting], then[acting], atol=2e-5)
    assert (rows.plan[~rows.legal] == 0).all() and (rows.pull == 0.25).all()
    assert len(np.unique(np.round(rows.plan[acting], 4), axis=0)) > 5, "plans differ"


@jax.jit
def once(learner: Any, key: Any, chunk: Chunk) -> Any:
    again, before = read_back(chunk)
    return replanned(CONFIG, SPEC, 0, Agent, learner, before, again, jnp.float32(0), key)


@jax.jit
def apart(policy: Any, rows: Any) -> Any:
    """How far a policy is from plans."""
    reading, alone = Reading(lambda x: x, lambda n: n), jax.tree.map(lambda x: x[0], (policy, rows))
    count = alone[1].alive.sum().astype(jnp.float32)
    return ppo.loss(CONFIG, reading, jnp.float32(0), count, *alone)[1]["plan_loss"]


def test_the_policy_comes_nearer_to_them_and_nothing_else_changes():
    """To those that there were at first: plans lean on the policy, and go on with it."""
    start, chunk, again, before = played()
    pull = jnp.array([0.5])
    rows = rows_from(ENV, Agent(start.net), pull, again, before.window, 0, 10**6, jr.key(0))
    after, told = once(start, jr.key(0), chunk)
    first = float(told["replanned_loss"][0])
    assert abs(first - float(apart(start.net.policy, rows))) < 1e-6
    for i in range(1, 20):
        after, told = once(after, jr.key(i), chunk)
    assert float(apart(after.net.policy, rows)) < 0.9 * first
    assert not told["bad_updates"].any() and np.isfinite(told["replanned_loss"]).all()
    for part in ("reader", "model", "slow", "trust"):
        old, new = (jax.tree.leaves(getattr(x.net, part)) for x in (start, after))
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True)), part


def test_without_trust_nothing_is_learnt_from_them():
    learner, chunk, *_ = played()
    learner = learner._replace(net=trusting(learner.net, 0.0))
    after, told = once(learner, jr.key(0), chunk)
    assert not told["replanned_loss"].any()
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(learner), strict=True):
        assert np.array_equal(a, b)


def test_what_the_absent_hold_has_no_part_in_it():
    """Not in the last bit."""
    learner, chunk, *_ = played()
    odd = spoilt(SEATING, jax.tree.map(np.asarray, chunk))
    clean, odd = once(learner, jr.key(0), chunk), once(learner, jr.key(0), odd)
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(odd), strict=True):
        assert np.array_equal(a, b) and np.isfinite(a).all()


def test_none_are_made_unless_earlier_play_is_kept():
    learner, _, again, before = played()
    parts = jnp.float32(0), jr.key(0)
    for config, old in ((CONFIG, None), (replace(CONFIG, distil=0.0), again)):
        found, told = replanned(config, SPEC, 0, Agent, learner, before, old, *parts)
        assert found is learner and told == {}
    for off in ({"replay": 0}, {"replanned": 0}):
        assert optimiser_of(replace(CONFIG, **off), learner.net.policy) is None
