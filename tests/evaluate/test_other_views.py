"""What others see, worked out from one view, against what the rollout shows them."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.evaluate.other_views import all_views, others_view
from counterplay.types import NO_EVENT, NO_MOVE
from counterplay.views import Last, cut_views, select

LANES, SLOTS = 16, 40
EXACT = ("obs", "legal", "alive", "moved", "public_legal", "event", "time")


def shown_and_told(env: Any, me: int) -> Any:
    """Random play: the views of all seats from ``me`` on, as cut and as worked out, [T, L, N]."""
    n = env.num_seats

    def one(key):
        start_key, key = jr.split(key)
        state, shown = env.reset(start_key)

        def slot(carried, key):
            state, shown, last, time = carried
            views = cut_views(env, shown, last, time, time == 0)
            mine = jax.tree.map(lambda x: x[me], views)
            seen = jax.tree.map(lambda x: jnp.roll(x, -me, axis=0), views), all_views(env, mine)
            legal = jnp.where(shown.legal, 0.0, -jnp.inf)
            drawn = jr.categorical(key, jnp.where(shown.alive[:, None], legal, 0.0))
            moves = jnp.where(shown.alive, drawn, NO_MOVE).astype(jnp.int32)
            state, after = env.step(state, moves)
            event = jnp.where(shown.alive, after.event, NO_EVENT)
            last = Last(moves, jnp.where(shown.alive, after.reward, 0.0), event, after.visible)
            over = after.terminated
            state, after = select(over, env.reset(key), (state, after))
            return (state, after, last, jnp.where(over, 0, time + 1)), seen

        start = state, shown, Last.nothing(n), jnp.int32(0)
        return jax.lax.scan(slot, start, jr.split(key, SLOTS))[1]

    return jax.jit(jax.vmap(one, out_axes=1))(jr.split(jr.key(5), LANES))


@pytest.mark.parametrize(
    ("game", "me"),
    [("matrix:pd,horizon=7", 1), ("race", 0), ("race", 2), ("coordination:slack0,players=3", 1)],
)
def test_equals_what_the_others_are_shown(game, me):
    cut, told = shown_and_told(envs.make(game), me)
    for name in (
        "obs",
        "legal",
        "alive",
        "moved",
        "public_legal",
        "event",
        "time",
        "first",
        "told",
    ):
        np.testing.assert_array_equal(getattr(cut, name), getattr(told, name), err_msg=name)
    np.testing.assert_array_equal(cut.reward[:, :, 0], told.reward[:, :, 0])
    assert not told.reward[:, :, 1:].any()
    if game.startswith(("race", "matrix")):
        # rows differ, so that a view left as it is would have been found out
        assert (cut.obs[:, :, 0] != cut.obs[:, :, 1]).any()


def test_absent_players_are_seen_as_absent():
    env: Any = envs.make("coordination:slack0,players=2")
    state, _ = env.reset(jr.key(0))
    gone = state._replace(players=jnp.array([-1, 5]))
    _, shown = env.step(gone, jnp.array([NO_MOVE, 4]))
    last = Last(jnp.array([NO_MOVE, 4]), shown.reward, shown.event, shown.visible)
    views = cut_views(env, shown, last, jnp.int32(1), jnp.array(False))
    other = others_view(env, jax.tree.map(lambda x: x[1], views), 1)
    assert other.alive.tolist() == [False, True] and not other.legal.any()
    assert other.moved.tolist() == [NO_MOVE, 4]


@pytest.mark.parametrize(
    ("game", "k", "said"),
    [
        ("pursuit", 1, r"others_view: expected a game of which everybody sees all.*found Pursuit"),
        ("race", 3, r"others_view: k must be 0 to 2, found 3"),
        ("race", -1, r"others_view: k must be 0 to 2, found -1"),
    ],
)
def test_what_cannot_be_told_is_refused(game, k, said):
    env: Any = envs.make(game)
    _, shown = env.reset(jr.key(0))
    views = cut_views(env, shown, Last.nothing(env.num_seats), jnp.int32(0), jnp.array(True))
    with pytest.raises(ValueError, match=said):
        others_view(env, jax.tree.map(lambda x: x[0], views), k)
