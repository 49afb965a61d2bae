"""The whole agent, two seeds at once, in a game where what counts is earned by leaving, beside one
who does not matter: what it is worth is worked by hand."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Parting

from counterplay.algos import Update, counterplay
from counterplay.algos.counterplay import Agent, Config
from counterplay.algos.looking import Latent
from counterplay.planning.latent import plan
from counterplay.pools import roster_of
from counterplay.views import Last, cut_views

ENV, GAMMA, SEEDS = Parting(), 0.9, 2
LATER = 0.1 + GAMMA * 0.1
"""Of the two slots that follow when nobody has left."""
STAYS, LEAVES = 0.1 + GAMMA * LATER, 1.0
WORTH = {"full": (STAYS, LEAVES), "arriving": (STAYS, LEAVES), "letter": (LATER, 0.0)}


@cache
def trained() -> Update:
    """It hardly learns to act, so that all that can be done is done, and so learnt, to the end."""
    lanes, slots = 32, 6
    config = Config(
        steps=60 * lanes * slots, lanes=lanes, slots=slots, seeds=SEEDS, gamma=GAMMA, plan="none",
        learning_rate=3e-4, widths=(16,), told_width=5, reader_widths=(6,), reader_gru=4,
        reader_minibatches=1, minibatches=2, epochs=1, latent=16, world_width=32, world_token=8,
        value_width=16, world_minibatches=4, world_steps=2, world_rate=1e-2, slow=0.9,
    )  # fmt: skip
    *_, last = counterplay.train(config, ENV, roster_of(ENV, {0: "self", 1: "random"}))
    return last._replace(going=None)


def agent(seed: int, form: str) -> Agent:
    net = jax.tree.map(lambda x: jnp.asarray(x[seed, 0]), trained().nets[0])
    planner = Latent(form=form, trust=1.0, temperature=0.01, samples=0)
    return planner.seated(Agent(net), ENV, {})


def first_view() -> Any:
    _, shown = ENV.reset(jr.key(0))
    views = cut_views(ENV, shown, Last.nothing(2), jnp.int32(0), jnp.bool_(True))
    return jax.tree.map(lambda x: x[0], views)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("form", WORTH)
def test_to_the_letter_nobody_leaves_for_what_it_earns(form, seed):
    """With a value that knows of arriving, and with the reward of the move, everybody does."""
    plays, view = agent(seed, form), first_view()

    @jax.jit
    def think(plays):
        slot = plays.see(jr.key(0), plays.begin(jr.key(0), None), view)
        return plays.planned(jr.key(1), slot, view)

    found = think(plays)
    np.testing.assert_allclose(found.q, WORTH[form], atol=0.05)
    assert found.weights[int(form != "letter")] > 0.999


@pytest.mark.parametrize("seed", range(SEEDS))
def test_beside_one_who_does_not_matter_plans_are_what_ppo_learns(seed):
    """Whatever is expected of it."""
    plays, view = agent(seed, "full"), first_view()

    @jax.jit
    def think(plays):
        slot = plays.see(jr.key(0), plays.begin(jr.key(0), None), view)
        f, (root, log_b) = plays.functions(), plays.root(slot, view)

        def q(expected):
            four = f.step, lambda e, b: expected[None], f.update, f.value
            at = root, log_b, slot.log_pi, view.legal, view.alive, jr.key(1)
            return plan(*four, *at, gamma=GAMMA).q

        return slot.log_pi, jax.vmap(q)(jnp.eye(2))

    log_pi, q = think(plays)
    np.testing.assert_allclose(q[0], q[1], atol=0.03)
    assert jnp.argmax(log_pi) == 1 and (q.argmax(1) == 1).all()


def test_seeds_that_are_trained_at_once_learn_each_for_itself():
    last = trained()
    assert last.metrics["later_loss"].shape == (SEEDS,) and not last.metrics["bad_updates"].any()
    for x in jax.tree.leaves(last.nets[0].model):
        assert np.isfinite(x).all()
    weights = last.nets[0].model.world.heads.weight
    assert not np.allclose(weights[0], weights[1], atol=1e-2)
