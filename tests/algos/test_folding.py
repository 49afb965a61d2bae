"""Constant inputs folded into the bias: the same update up to rounding, whatever a game shows."""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Leavers
from recorded import LANES, SEATS, SLOTS

from counterplay import envs
from counterplay.algos import folding, ppo
from counterplay.algos.onpolicy import last_values, rows_of
from counterplay.models.nets import ActorCritic
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes

WIDTH = 288
PLACES = 96


@dataclass(frozen=True)
class Planes(Leavers):
    """Shows what its players see among walls, ``more`` of which move from slot ``since`` on."""

    over: bool = False
    more: int = 0
    since: int = 0

    obs_shape = (WIDTH,)

    def shows(self, state: Any) -> dict[str, Any]:
        shown = super().shows(state)
        walls = jnp.broadcast_to(jnp.sin(1.0 + jnp.arange(WIDTH)), (self.num_seats, WIDTH))
        moving = jnp.arange(WIDTH) >= WIDTH - self.more
        far = jnp.where(moving & (state.time >= self.since), state.lot, 0.0)
        obs = (walls + far[None]).at[:, 7:11].set(shown["obs"])
        # what the absent are shown is not read, so it does not vary
        return shown | {"obs": jnp.where(shown["alive"][:, None], obs, jnp.nan)}


def played(env: Planes, who: str = "self", **settings: Any) -> tuple[Any, ...]:
    """A configuration, a learner, and the rows of a chunk of its play."""
    config = ppo.Config(lanes=LANES, slots=SLOTS, widths=(16,), activation="tanh", **settings)
    roster = roster_of(env, dict.fromkeys(range(SEATS), who))
    seating = roster.seating(LANES)

    @jax.jit
    def play():
        net_key, lane_key, key = jr.split(jr.key(1), 3)
        learner = ppo.init_learner(config, env, roster.kinds[0].members, net_key)
        agents = (ppo.Agent(learner.net),)
        lanes = open_lanes(env, seating, agents, lane_key)
        chunk = collect(env, seating, agents, lanes, key, slots=SLOTS)[1]
        last = last_values(learner.net, 0, chunk)
        return learner, rows_of(last, seating, 0, chunk, 0.99, 0.95, lambda x: x, config.gru)

    learner, rows = play()
    assert not rows.alive.all(), "somebody left"
    return config, learner, rows


def fitted(env: Planes, config: ppo.Config, learner: Any, rows: Any, fold: bool) -> Any:
    """One iteration's passes, and whether constants were folded."""
    fit = partial(ppo.fit, config, progress=jnp.float32(0.1), key=jr.key(3), axis=None)
    seen: list[int] = []

    def learn(reading, rows):
        jax.debug.callback(lambda: seen.append(rows.obs.shape[-1]))
        return fit(reading, rows, learner)

    run = partial(folding.with_constants_folded, env, rows, False, learn)
    after = jax.jit(run if fold else lambda: learn(folding.plain(env), rows))()
    jax.block_until_ready(after)
    jax.effects_barrier()
    return after, seen


def assert_close(a: Any, b: Any, within: float = 1e-5) -> None:
    """Every array is as far from the other's as ``within`` of its largest entry, at most."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=within * max(float(abs(x).max()), 1e-3))


KINDS = ({}, {"apart": True}, {"gru": 8}, {"who": "own"}, {"who": "own", "gru": 8})


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_update_with_constants_folded_is_the_update_without(kind):
    env = Planes()
    config, learner, rows = played(env, **kind)
    whole, seen = fitted(env, config, learner, rows, fold=False)
    assert seen == [WIDTH]
    few, seen = fitted(env, config, learner, rows, fold=True)
    assert seen == [PLACES]
    assert_close(whole, few)
    moved = abs(few[0].net.trunk.layers[0].weight - learner.net.trunk.layers[0].weight)
    assert moved.max(-1).min() > 0, "constant inputs are learnt from as well"


@pytest.mark.parametrize("more", [PLACES - 3, PLACES - 4, PLACES + 40])
def test_where_too_many_inputs_vary_none_is_folded(more):
    env = Planes(more=more)  # three of a player's own inputs vary
    config, learner, rows = played(env)
    whole, _ = fitted(env, config, learner, rows, fold=False)
    found, seen = fitted(env, config, learner, rows, fold=True)
    assert seen == [PLACES if more + 3 <= PLACES else WIDTH]
    assert_close(whole, found)


@pytest.mark.parametrize("gru", [0, 8])
def test_a_folded_network_is_the_same_function_with_the_same_gradient(gru):
    net = ActorCritic(12, 3, (8,), gru, jr.key(0), "tanh", apart=not gru)
    obs, kept = jr.normal(jr.key(1), (12,)), jnp.array([7, 2, 11])
    folded = folding.Folded(kept, obs.at[kept].set(0.0))
    memory = jnp.ones(gru)
    told = lambda net: sum(x.sum() for x in net(obs, memory))
    few = lambda net: sum(x.sum() for x in folded.net(net)(obs[kept], memory))
    assert_close(jax.value_and_grad(told)(net), jax.value_and_grad(few)(net))


def test_only_wide_games_that_store_what_a_network_reads_are_looked_at(monkeypatch):
    assert folding.places(Planes()) == PLACES
    assert folding.places(Leavers()) == 0, "too narrow"
    assert folding.places(envs.make("stag_hunt:8x8")) == 0, "stored in ten bytes"
    assert folding.places(envs.make("snowdrift:8x8")) == 0
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert folding.places(Planes()) == 0


def test_what_varies_may_change_from_iteration_to_iteration_without_compiling(caplog):
    env = Planes(more=200, since=3)  # seen in some iterations only
    roster = roster_of(env, {0: "self", 1: "self", 2: "self"})
    config = ppo.Config(lanes=1, slots=2, steps=24, minibatches=1, widths=(8,))
    told = []
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for update in ppo.train(config, env, roster):
            told.append(update)
            if len(told) == 2:
                caplog.clear()
    assert not [r for r in caplog.records if "ompil" in r.getMessage()]
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(told[-1].nets))


def test_shards_that_sum_their_gradients_fold_nothing():
    env = Planes()
    _, _, rows = played(env)
    learn = lambda reading, rows: rows.obs.shape[-1]
    assert folding.with_constants_folded(env, rows, True, learn) == WIDTH
