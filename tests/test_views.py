"""What each seat may see: itself first, what is visible or public, and nothing else."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scripted import Script, played, recorded

from counterplay.types import NO_EVENT
from counterplay.views import Last, cut_views

Y, n = True, False  # yes and no, in tables


# Counting at every seat: moves (0 0 0) (1 - 1), then in the second episode (2 1 2) (0 - 0)
VIEWED = Script(length=2, stays=(9, 1, 9))


def test_moves_seen_are_mine_first_and_only_what_was_visible():
    (chunk,) = played(VIEWED, 6, False, match=2)
    assert recorded(chunk, "moved").tolist() == [
        [[-1, -1, -1], [-1, -1, -1], [-1, -1, -1]],
        [[0, 0, -1], [0, 0, 0], [0, 0, 0]],
        [[1, -1, -1], [-1, 1, 1], [1, 1, -1]],  # a later first slot: the last joint move before
        [[2, 1, -1], [1, 2, 2], [2, 2, 1]],
        [[-1, -1, -1], [-1, -1, -1], [-1, -1, -1]],  # first contact
        [[0, 0, -1], [0, 0, 0], [0, 0, 0]],
    ]


def test_reward_and_events_seen_are_those_of_the_slot_before():
    (chunk,) = played(VIEWED, 6, False, match=2)
    assert recorded(chunk, "reward").tolist()[:5] == [
        [0, 0, 0],
        [100, 200, 300],
        [111, 0, 311],
        [102, 201, 302],
        [0, 0, 0],
    ]
    event = recorded(chunk, "event")
    assert event[0].tolist() == event[4].tolist() == [[NO_EVENT] * 3] * 3
    assert event[1].tolist() == [[0, 0, 0]] * 3
    assert event[2].tolist() == [[1, -1, 1], [-1, 1, 1], [1, 1, -1]], "of those that were there"
    assert recorded(chunk, "time").tolist() == [[0] * 3, [1] * 3] * 3
    assert recorded(chunk, "alive")[1].tolist() == [[Y, n, Y], [n, Y, Y], [Y, Y, n]]
    assert recorded(chunk, "public_legal")[0, :, :, 3].tolist() == [[Y, n, Y], [n, Y, Y], [Y, Y, n]]
    assert recorded(chunk, "legal")[0, :, 3].tolist() == [Y, n, Y]


def test_secret_games_show_the_others_goals_and_legal_moves_to_nobody():
    secret = Script(length=2, stays=(9, 1, 9), public_legal=False, public_events=False)
    (chunk,) = played(secret, 6, False, match=2)
    assert recorded(chunk, "event")[1].tolist() == [[0, -1, -1]] * 3
    assert recorded(chunk, "event")[2].tolist() == [[1, -1, -1], [-1, -1, -1], [1, -1, -1]]
    assert recorded(chunk, "public_legal")[0, :, :, 3].tolist() == [[Y, Y, Y], [n, Y, Y], [Y, Y, Y]]


def test_turning_the_seats_changes_labels_and_nothing_else():
    """What seat i sees in one world seat i + 1 sees in the world turned by one seat."""
    env = Script(public_legal=False)
    keys = jr.split(jr.key(0), 6)
    shown = env.reset(keys[0])[1]
    shown = eqx.tree_at(
        lambda s: (s.obs, s.legal, s.alive),
        shown,
        (jr.normal(keys[1], (3, 2)), jr.bernoulli(keys[2], 0.5, (3, 4)), jnp.array([Y, n, Y])),
    )
    last = Last(
        jnp.array([2, 0, 3]),
        jr.normal(keys[3], (3,)),
        jnp.array([5, -1, 1]),
        jr.bernoulli(keys[4], 0.5, (3, 3)) | jnp.eye(3, dtype=bool),
    )

    def turn(tree):
        turned = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0) if x.ndim else x, tree)
        across = lambda t: t.visible
        return eqx.tree_at(across, turned, jnp.roll(turned.visible, 1, axis=1))

    time = (jnp.int32(4), jnp.array(False))
    views = cut_views(env, shown, last, *time)
    turned = cut_views(env, turn(shown), turn(last), *time)
    for before, after in zip(jax.tree.leaves(views), jax.tree.leaves(turned), strict=True):
        assert np.array_equal(np.roll(before, 1, axis=0), after)
    assert views.moved.tolist() != turned.moved.tolist(), "the test sees a difference"
