"""What is told of plans and of imagined play: worked by hand, and against the world itself."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from fresh_planner import ENV, agent, opposite_tit_for_tat

from counterplay.envs import matrix
from counterplay.evaluate import planned as p
from counterplay.evaluate.planned import Telling, advantage, begins, best_begin, open_loop
from counterplay.models.twohot import symexp
from counterplay.models.world import World
from counterplay.types import NO_MOVE


@cache
def match() -> p.Match:
    return p.play(ENV, opposite_tit_for_tat(), 1, match=2, most=40)


def test_an_advantage_is_over_the_mean_of_the_policy():
    """.25 x 1 + .75 x 3 = 2.5; what is illegal has no part in it, and who is gone has none."""
    worth = np.array([[1.0, 3.0, 900.0], [1.0, 3.0, 4.0], [5.0, 1.0, 2.0]])
    with np.errstate(divide="ignore"):
        log_pi = np.log([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    legal = np.array([[True, True, False], [True, True, True], [True, True, True]])
    found = advantage(worth, log_pi, legal, np.array([True, False, True]))
    nan = np.nan
    np.testing.assert_allclose(found, [[-1.5, 0.5, nan], [nan] * 3, [0, -4, -3]])


def test_moves_are_imagined_from_slots_with_enough_to_come():
    episode = np.array([0] * 4 + [1] * 6 + [2] * 5)
    acting = np.ones(15, bool)
    acting[[3, 9]] = False  # stays of 3, 5 and 5 slots
    assert begins(acting, episode, 3).tolist() == [4, 5, 6, 10, 11, 12]
    assert begins(acting, episode, 5).size == 0, "five moves take an episode of six slots"
    assert begins(acting, episode, 4).tolist() == [4, 5, 10, 11]


def test_the_slot_is_the_first_after_which_most_is_earned_or_lost():
    told = match().planned._replace(acting=np.ones(8, bool), episode=np.zeros(8, int))
    earns = told._replace(reward=np.array([0, 0, 1.0, 0, 0, 0, -3.0, 0]))
    assert best_begin(earns, 5) == 2, "1 and 3, and at 3 only 3"
    assert best_begin(earns._replace(reward=np.zeros(8)), 5) == 0
    assert best_begin(earns, 8) is None


@pytest.mark.parametrize("binary", [True, False])
def test_what_is_imagined_is_the_worlds_own_open_loop(binary):
    sizes: dict[str, Any] = {"hidden": 6, "groups": 2, "classes": 3, "width": 8, "token": 4}
    world = World(5, 3, 4, 2, public=True, binary=binary, key=jr.key(0), **sizes)
    e = jr.normal(jr.key(1), (world.size,))
    joint = jnp.array([[0, 1, 2], [3, NO_MOVE, 0], [1, NO_MOVE, NO_MOVE]])
    shown, earned, alive = open_loop(world, e, joint)

    @jax.jit
    def on(e, moves):
        return world.arrive(None, *world.step(e, world.table(e), moves))

    rates = jax.nn.sigmoid if binary else symexp
    for k in range(4):
        told = world.read(e)
        np.testing.assert_allclose(shown[k], rates(told.obs), atol=1e-5)
        if k:
            np.testing.assert_allclose(earned[k - 1], world.earned(told), atol=1e-5)
            np.testing.assert_allclose(alive[k - 1], jax.nn.sigmoid(told.alive[0]), atol=1e-5)
        e = on(e, joint[min(k, 2)])


def test_a_match_is_told_as_it_was_played():
    """Two episodes of seven rounds; what a round led to is seen in the next one."""
    told = match().planned
    assert told.episode.tolist() == [0] * 7 + [1] * 7 and told.acting.all() and told.legal.all()
    pays = np.array(matrix.PRISONERS_DILEMMA)
    np.testing.assert_array_equal(told.reward, pays[told.joint[:, 0], told.joint[:, 1]])
    assert told.continues.tolist() == ([True] * 6 + [False]) * 2
    for t in range(14):
        if told.continues[t]:
            np.testing.assert_array_equal(told.after[t], told.obs[t + 1])
            mine, other = told.after[t][:3], told.after[t][3:6]
            assert (np.argmax(mine) - 1, np.argmax(other) - 1) == tuple(told.joint[t])
        else:
            assert np.isnan(told.after[t]).all()
    assert match().trust == 0.5
    assert (told.joint[1:7, 1] == told.joint[:6, 0]).mean() > 0.6, "the other is tit for tat"


def test_a_rollout_is_imagined_from_what_was_seen():
    told, world = match().planned, match().world
    found = p.rollout(world, told, 2)
    shown, earned, alive = open_loop(world, told.latent[2], told.joint[2:7])
    np.testing.assert_array_equal(found.imagined, shown)
    np.testing.assert_array_equal(found.reward, [told.reward[2:7], earned])
    np.testing.assert_array_equal(found.continues, [[1, 1, 1, 1, 0], alive])
    np.testing.assert_array_equal(found.seen[:5], told.obs[2:7])
    assert np.isnan(found.seen[5]).all(), "the game is over"


def test_to_tell_changes_nothing_and_tells_what_the_agent_planned():
    """The agent records itself by how much the move it made was better than the mean."""
    from counterplay.views import Last, cut_views

    @jax.jit
    def both(key):
        _, shown = ENV.reset(key)
        views = cut_views(ENV, shown, Last.nothing(2), jnp.int32(0), jnp.array(True))
        view = jax.tree.map(lambda x: x[0], views)
        view = p.eqx.tree_at(lambda v: v.obs, view, ENV.encode(shown.obs[0]))
        memory = agent().begin(key, None)
        acts = [who.act(key, memory, view, False) for who in (agent(), Telling(agent()))]
        return acts, view.legal

    for seed in range(8):
        (plain, told), legal = both(jr.key(seed))
        assert int(plain.action) == int(told.action)
        for name, x in plain.record.items():
            np.testing.assert_array_equal(x, told.record[name], err_msg=name)
        rows = [np.asarray(told.record[name])[None] for name in ("worth_of_moves", "alone")]
        found = advantage(rows[0], rows[1], np.asarray(legal)[None], np.array([True]))
        assert abs(found).min() > 1e-3, "each move is worth something else"
        assert found[0, int(told.action)] == pytest.approx(float(plain.record["gain"]), abs=1e-5)
