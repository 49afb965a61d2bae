"""Games so small that what a model of them must say is known: it learns to say it."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import SIZES, Written, learnt, window

from counterplay.models.windows import Window
from counterplay.models.world_loss import posterior


def test_two_who_hunt_are_not_one_who_hunts():
    """One move, after which all is over: rewards are learnt where nothing is ever shown."""
    env = Written(num_seats=3)
    rows = 4

    def play(key) -> Window:
        there_key, move_key = jr.split(key)
        alive = jr.bernoulli(there_key, 0.7, (rows, 3)).at[:, 0].set(True)
        joint = jnp.where(alive, jr.randint(move_key, (rows, 3), 0, 2), -1)
        base = window(env, 0, rows, contact=np.ones(rows), time=np.zeros(rows))
        caught = (joint == 1).sum(1) >= 2
        return base._replace(
            alive=alive,
            joint=joint,
            reward=caught.astype(jnp.float32),
            event=jnp.where(caught[:, None] & (joint == 1), 0, -1),
            continues=jnp.zeros((rows, 3), bool),
        )

    world = learnt(env, play, 300, groups=2, classes=3)
    w = play(jr.key(7))
    e = posterior(world, w, w.obs, None, None)[0][0]
    table = world.table(e)
    joints = jnp.stack(jnp.meshgrid(*[jnp.array([-1, 0, 1])] * 3), -1).reshape(-1, 3)
    joints = joints[joints[:, 0] >= 0]
    told = jax.vmap(lambda joint: world.read(world.arrive(None, *world.step(e, table, joint))))
    said = told(joints)
    hunts = joints == 1
    want = hunts.sum(1) >= 2
    np.testing.assert_allclose(world.earned(said), want, atol=0.1)
    assert (said.alive[joints >= 0] < 0).all()
    events = jnp.where(want[:, None] & hunts, 0, 1)
    assert (said.events.argmax(-1) == events)[joints >= 0].all()


def coin(env: Written):
    def play(key) -> Window:
        heads = jr.bernoulli(key)
        side = jnp.where(heads, jnp.array([0.0, 1.0, 0.0]), jnp.array([0.0, 0.0, 1.0]))
        w = window(env, 0, 2, contact=[1, 0], continues=[[1], [0]])
        paid = w.seen.reward.at[1].set(heads)
        return w._replace(
            obs=jnp.stack([jnp.array([1.0, 0.0, 0.0]), side]),
            reward=w.reward.at[0].set(heads),
            seen=w.seen._replace(reward=paid),
        )

    return play


@pytest.mark.xfail(
    strict=True,
    reason="a divergence below one nat is free and a coin has .69: its prior is not drawn to it, "
    "and three draws in ten lie between the sides",
)
def test_a_coin_falls_on_either_side_and_never_on_both():
    env = Written(num_seats=1, obs_shape=(3,), obs_dtype=np.dtype(np.uint8))
    world = learnt(env, coin(env), 400, groups=1, classes=4)  # two would be drawn apart
    w = coin(env)(jr.key(3))
    e = posterior(world, w, w.obs, None, None)[0][0]
    h, prior = world.step(e, world.table(e), jnp.array([0]))
    drawn = jax.vmap(lambda k: world.read(world.arrive(k, h, prior)))(jr.split(jr.key(4), 400))
    sides = jax.nn.sigmoid(drawn.obs)
    heads = sides[:, 1] > 0.5
    assert abs(heads.mean() - 0.5) < 0.17, "a divergence below a nat leaves it so much play"
    sharp = (abs(sides[:, 1] + sides[:, 2] - 1) < 0.2) & (abs(sides[:, 1] - 0.5) > 0.3)
    assert sharp.mean() > 0.9, "no draw lies between"
    earned = world.earned(drawn)
    assert earned[heads].mean() > 0.8 and earned[~heads].mean() < 0.2


def test_without_draws_what_always_comes_is_foreseen():
    """Three places in a ring: move 1 goes on by one. Two moves ahead, from nothing but h."""
    env = Written(num_seats=1, obs_shape=(3,), obs_dtype=np.dtype(np.uint8))
    rows = 4

    def play(key) -> Window:
        start, moves = jr.split(key)
        joint = jr.randint(moves, (rows, 1), 0, 2)
        went = jnp.append(jnp.zeros(1, jnp.int32), jnp.cumsum(joint[:, 0])[:-1])
        place = (jr.randint(start, (), 0, 3) + went) % 3
        w = window(env, 0, rows, contact=[1, 0, 0, 0])
        moved = jnp.append(jnp.array([[-1]]), joint[:-1], axis=0)
        return w._replace(
            obs=jax.nn.one_hot(place, 3), joint=joint, seen=w.seen._replace(moved=moved)
        )

    world = learnt(env, play, 300, groups=0)
    assert world.size == SIZES["hidden"]
    windows = jax.vmap(play)(jr.split(jr.key(5), 64))
    e = jax.vmap(lambda w: posterior(world, w, w.obs, None, None)[0][0])(windows)
    for ahead in (1, 2):
        go = lambda e, a: world.arrive(None, *world.step(e, world.table(e), a))
        e = jax.vmap(go)(e, windows.joint[:, ahead - 1])
        places = jax.vmap(world.read)(e).obs.argmax(-1)
        assert (places == windows.obs[:, ahead].argmax(-1)).all()
