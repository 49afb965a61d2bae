"""Learners that read one store in one iteration do not disturb each other."""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from streams import AGENTS, SCHEME, Stream

from counterplay.episodes import Replay
from counterplay.maths import masked_mean


def rewards(weight, replay, key, passes):
    """Regresses rewards on actions, by transitions."""

    def one(weight, key):
        pairs = replay.transitions(key, 8)
        onehot = jax.nn.one_hot(pairs.now["actions"], 5)
        ok = jnp.broadcast_to(pairs.ok[:, None], (8, AGENTS))
        loss = lambda w: masked_mean((onehot @ w - pairs.now["reward"]) ** 2, ok)
        return weight - 0.1 * jax.grad(loss)(weight), pairs.where.slot

    return jax.lax.scan(one, weight, jr.split(key, passes))


def lengths(weight, replay, key, passes):
    """Regresses the lengths of episodes, by whole episodes."""

    def one(weight, key):
        batch = replay.episodes(key, 4)
        loss = lambda w: ((batch.length.astype(jnp.float32) - w) ** 2).mean()
        return weight - 0.1 * jax.grad(loss)(weight), batch.where.slot

    return jax.lax.scan(one, weight, jr.split(key, passes))


@partial(jax.jit, static_argnums=(4, 5), donate_argnums=0)
def iteration(replay, chunk, weights, keys, first_passes, second_passes):
    replay = replay.write(chunk)
    first, slots = rewards(weights[0], replay, keys[0], first_passes)
    second, starts = lengths(weights[1], replay, keys[1], second_passes)
    return replay, (first, second), (slots, starts)


def play(first_passes: int, second_passes: int, first_seed: int = 0):
    stream = Stream(0, 3, 40, 6)
    replay = Replay.empty(SCHEME, lanes=3, slots=24, chunk=4, horizon=6)
    weights = jnp.zeros(5), jnp.zeros(())
    for i in range(4):
        replay = replay.write(stream.chunk(i, 4))
    for i in range(4, 10):
        keys = jr.fold_in(jr.key(first_seed), i), jr.fold_in(jr.key(1), i)
        chunk = stream.chunk(i, 4)
        chunk["actions"] = chunk["actions"].astype(np.int8)  # nobody casts inside jit
        replay, weights, drawn = iteration(
            replay, chunk, weights, keys, first_passes, second_passes
        )
    return replay, weights, drawn


def test_each_learner_has_its_own_key_and_number_of_passes():
    replay, (_, length), (_, starts) = play(1, 3)
    other, (_, same), (_, again) = play(5, 3, first_seed=9)
    assert np.array_equal(length, same) and np.array_equal(starts, again)
    assert starts.shape == (3, 4)
    for name, x in replay.slots.items():
        assert np.array_equal(x, other.slots[name]), name
    _, (_, length), _ = play(1, 4)
    assert not np.array_equal(length, same)
