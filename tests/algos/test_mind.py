"""What the agent plans with, its own functions, in a world it learnt whose right answers are known.

A bet of one move against one other. Moves 0 and 1 bet on its next move, for 1 or -1, move 3 is
safe and pays .5; each of them is the end. Move 2 costs .3 and asks: the other is seen to move, and
a second bet may be made, or the safe move. Where nobody sits opposite, every bet is lost.
The world is learnt from play; what the other is expected to do is set by hand: what its type says.
"""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import Written, learnt, slots_of

from counterplay.algos import counterplay
from counterplay.algos.counterplay import Config
from counterplay.algos.thinking import Mind, Node
from counterplay.models.windows import Window, window_of
from counterplay.models.world_loss import posterior
from counterplay.planning import Functions
from counterplay.planning.latent import likeliest, plan
from counterplay.types import NO_MOVE

ENV = Written(num_actions=4, num_goals=1, obs_shape=(2,), obs_dtype=np.dtype(np.uint8))
ASK, SAFE, PRICE = 2, 3, -0.3
SIZES: dict[str, Any] = {"hidden": 24, "width": 48, "token": 12}
EVEN, SURE = (0.5, 0.5), (0.0, 1.0)


def played(key: Any) -> Window:
    """Two slots: a question and what follows, or two matches of one bet each."""
    asks_key, mine_key, his_key, there_key = jr.split(key, 4)
    asks, there = jr.bernoulli(asks_key), jr.bernoulli(there_key, 0.7)
    bets = jnp.array([0, 1, SAFE])[jr.randint(mine_key, (2,), 0, 3)]
    mine = bets.at[0].set(jnp.where(asks, ASK, bets[0]))
    his = jnp.where(there, jr.randint(his_key, (2,), 0, 2), NO_MOVE)
    right = jnp.where(mine == his, 1.0, -1.0)
    reward = jnp.where(mine == ASK, PRICE, jnp.where(mine == SAFE, 0.5, right))
    on = asks & jnp.array([True, False])
    second = asks & jnp.array([False, True])
    alive = jnp.stack([jnp.ones(2, bool), jnp.broadcast_to(there, 2)], 1)
    may = jnp.array([[True] * 4, [True, True, False, False]])
    legal = jnp.where(second[:, None, None], may.at[0, ASK].set(False)[None], may[None])
    place = jnp.stack([~second, second], 1)
    slots = slots_of(ENV, 2) | {
        "obs": jnp.broadcast_to(place[:, None], (2, 2, 2)).astype(jnp.uint8),
        "actions": jnp.stack([mine, his], 1).astype(jnp.int32),
        "avail_actions": legal & alive[..., None],
        "reward": jnp.stack([reward, 0 * reward], 1),
        "alive": alive,
        "continues": alive & on[:, None],
        "contact": ~second,
        "time": second.astype(jnp.int32),
    }
    return window_of(ENV, jax.tree.map(jnp.asarray, slots), 0)


@cache
def known() -> tuple[Mind, Any]:
    """A mind that expects type k to make move k, thinks nothing of what it cannot see, and the
    latents of a first slot with and without somebody opposite."""
    world = learnt(ENV, played, 500, **SIZES, groups=0)
    sizes = {"latent": SIZES["hidden"], "world_width": 48, "world_token": 12, "groups": 0}
    config = Config(types=2, widths=(4,), told_width=4, reader_widths=(4,), reader_gru=3, **sizes)
    net = jax.tree.map(lambda x: x[0], counterplay.init_learner(config, ENV, 1, jr.key(0)).net)
    ahead = net.model.ahead
    ways = jnp.zeros(ahead.bias.shape).at[jnp.arange(2), :, jnp.arange(2)].set(9.0)
    model = eqx.tree_at(
        lambda m: (m.world, m.ahead.bias, m.ahead.move),
        net.model,
        (world, ways, jnp.zeros_like(ahead.move)),
    )
    heads = net.slow.heads
    nothing = jax.tree.map(jnp.zeros_like, (heads.weight, heads.bias))
    slow = eqx.tree_at(lambda v: (v.heads.weight, v.heads.bias), net.slow, nothing)
    windows = jax.vmap(played)(jr.split(jr.key(7), 64))
    e = jax.vmap(lambda w: posterior(world, w, w.obs.astype(float), None, None)[0][0])(windows)
    there = windows.alive[:, 0, 1]
    return Mind(model, slow, net.reader, net.policy), (e[jnp.argmax(there)], e[jnp.argmin(there)])


def belief(chances: Any) -> Any:
    """Over types, goals alike: [M, Y, G]."""
    goals = known()[0].reader.model.sizes[2]
    return jnp.log(
        jnp.broadcast_to(jnp.array(chances)[None, :, None], (1, 2, goals)) / goals + 1e-9
    )


def planned(log_b: Any, there: bool = True, f: Functions | None = None, depth: int = 1) -> Any:
    mind, latents = known()
    f = mind.functions if f is None else f
    may = jnp.array([[True, True, False, False]]) & there
    node = Node(latents[0] if there else latents[1], jnp.array([there]), may, None)
    legal, alive = jnp.ones(4, bool), jnp.array([True, there])
    how = {"depth": depth, "gamma": 1.0, "temperature": 0}

    @jax.jit
    def think(log_b):
        prior = jnp.zeros(4)
        return plan(*f[:4], node, log_b, prior, legal, alive, jr.key(0), **how)

    return think(log_b)


def test_the_world_is_known():
    """What the rest builds on."""
    mind, latents = known()
    for there, e in zip((True, False), latents, strict=True):
        node = Node(e, jnp.array([there]), jnp.array([[True, True, False, False]]), None)
        for his in (0, 1) if there else (NO_MOVE,):
            came = jax.vmap(
                lambda a, his=his, node=node: mind.step(jr.key(0), node, a, jnp.array([his]))
            )
            told = came(jnp.arange(4))
            want = [1.0 if his == 0 else -1.0, 1.0 if his == 1 else -1.0, PRICE, 0.5]
            np.testing.assert_allclose(told.reward, want, atol=0.1)
            assert (np.asarray(told.alive > 0.5) == [False, False, True, False]).all()
            assert told.legal[ASK].tolist() == [True, True, False, True]
            assert told.others[ASK].tolist() == [there]


@pytest.mark.parametrize("goal", [0, 1])
def test_of_one_whose_move_follows_from_what_it_wants_the_best_is_known_at_once(goal):
    """Seen to make one move it is expected to make it again, and one step ahead suffices."""
    mind, (e, _) = known()
    node = Node(e, jnp.ones(1, bool), jnp.array([[True, True, False, False]]), None)
    seen = jax.jit(lambda log_b: mind.update(log_b, node, jnp.array([goal])))(belief(EVEN))
    assert planned(belief(EVEN)).weights[SAFE] == 1
    found = planned(seen)
    assert found.weights[goal] == 1
    want = np.where(np.arange(2) == goal, 1.0, -1.0)
    np.testing.assert_allclose(found.q[:2], want, atol=0.15)


def test_a_costly_question_is_asked_by_who_learns_from_the_answer_and_plans_on():
    mind, _ = known()
    asks = planned(belief(EVEN), depth=2)
    np.testing.assert_allclose(asks.q, [0.0, 0.0, PRICE + 1, 0.5], atol=0.15)
    assert asks.weights[ASK] == 1
    frozen = mind.functions._replace(update=lambda log_b, node, others: log_b)
    for depth, f in ((1, mind.functions), (2, frozen)):
        found = planned(belief(EVEN), depth=depth, f=f)
        want = PRICE if depth == 1 else PRICE + 0.5
        np.testing.assert_allclose(found.q, [0.0, 0.0, want, 0.5], atol=0.15)
        assert found.weights[SAFE] == 1


def test_one_of_70_to_30_is_planned_for_as_both():
    """The safe move; the bet that is likelier to be right is made by who sees no more than that."""
    found = planned(belief((0.7, 0.3)))
    np.testing.assert_allclose(found.q, [0.4, -0.4, PRICE, 0.5], atol=0.15)
    assert found.weights[SAFE] == 1
    mind = known()[0]
    point = mind.functions._replace(actions=likeliest(mind.actions))
    surely = planned(belief((0.7, 0.3)), f=point)
    assert surely.weights[0] == 1 and surely.q[0] > 0.85


def test_whoever_is_absent_is_not_bet_on():
    """It is believed to make move 1, and there is nobody."""
    sure = planned(belief(SURE))
    assert sure.weights[1] == 1
    alone = [planned(belief(b), there=False) for b in (SURE, EVEN)]
    np.testing.assert_allclose(alone[0].q, [-1.0, -1.0, PRICE, 0.5], atol=0.15)
    assert alone[0].weights[SAFE] == 1
    assert np.array_equal(alone[0].q, alone[1].q), "what is believed of nobody changes nothing"
