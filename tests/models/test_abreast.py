"""What is computed abreast is what is computed one by one."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay.models.abreast import abreast
from counterplay.models.actions import Heads, read
from counterplay.models.beliefs import Held, told_of

OTHERS, TYPES, GOALS, ACTIONS = 3, 2, 4, 5
SEEN: list[tuple[int, ...]] = []


def odd(x, y):
    """Of [M, A, *b] and [M, *b]: which axis is which matters, and so do all sizes."""
    SEEN.append(x.shape)
    part = jnp.cumsum(x, 1) * y[:, None]
    return {"sum": part.sum(1), "turned": part[::-1]}


def plain(x, y):
    part = np.cumsum(x, 1) * y[:, None]
    return {"sum": part.sum(1), "turned": part[::-1]}


def test_two_maps_one_inside_the_other_give_what_a_loop_gives():
    x, y = jr.normal(jr.key(0), (2, 4, 3, 5)), jr.normal(jr.key(1), (2, 3))
    found = jax.jit(jax.vmap(jax.vmap(abreast(odd), (0, None))))(x, y)
    assert SEEN[-1] == (3, 5, 2, 4), "batch axes come last, the outermost of them first"
    assert found["sum"].shape == (2, 4, 3) and found["turned"].shape == (2, 4, 3, 5)
    for k, p in np.ndindex(2, 4):
        wanted = plain(np.asarray(x[k, p]), np.asarray(y[k]))
        for name in wanted:
            np.testing.assert_allclose(found[name][k, p], wanted[name], rtol=1e-5, atol=1e-6)


def test_one_alone_is_itself():
    x, y = jr.normal(jr.key(0), (3, 5)), jr.normal(jr.key(1), (3,))
    found = abreast(odd)(x, y)
    assert SEEN[-1] == (3, 5)
    np.testing.assert_allclose(found["sum"], plain(np.asarray(x), np.asarray(y))["sum"], rtol=1e-5)


def test_log_probabilities_are_those_of_each_seat():
    sizes = (OTHERS, TYPES, GOALS, ACTIONS), (OTHERS, TYPES, GOALS), (OTHERS, TYPES)
    heads = Heads(*(3 * jr.normal(jr.key(i), (6, *size)) for i, size in enumerate(sizes)))
    legal = jr.bernoulli(jr.key(3), 0.6, (6, OTHERS, ACTIONS)).at[0, 0].set(False)
    found = jax.jit(jax.vmap(abreast(read)))(heads, legal)
    for i in range(6):
        for a, b in zip(
            found, read(jax.tree.map(lambda x, i=i: x[i], heads), legal[i]), strict=True
        ):
            np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6)


def test_draws_are_those_of_categorical():
    """So that a training goes on as it did."""
    goal_key, move_key = jr.split(jr.key(5))
    belief = jax.nn.log_softmax(jr.normal(jr.key(0), (OTHERS, TYPES * GOALS)))
    moves = jax.nn.softmax(jr.normal(jr.key(1), (OTHERS, TYPES, GOALS, ACTIONS)))
    shaped = belief.reshape(OTHERS, TYPES, GOALS)
    held = Held(shaped, moves, jnp.zeros((OTHERS, GOALS)))
    noise = [jr.gumbel(goal_key, belief.shape), jr.gumbel(move_key, (OTHERS, ACTIONS))]
    types, goals, move = told_of(held, noise, "sample", "sample")
    drawn = jr.categorical(goal_key, belief)
    assert np.array_equal(jnp.argmax(types, 1) * GOALS + jnp.argmax(goals, 1), drawn)
    chances = jnp.stack([moves[j, drawn[j] // GOALS, drawn[j] % GOALS] for j in range(OTHERS)])
    assert np.array_equal(jnp.argmax(move, 1), jr.categorical(move_key, jnp.log(chances)))
    assert (types.sum(1) == 1).all() and (goals.sum(1) == 1).all() and (move.sum(1) == 1).all()
