"""What counts in the loss of a model of the game: slots that were shown, moves that led there."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import Written, window

from counterplay.models.windows import Window
from counterplay.models.world import World, world_of
from counterplay.models.world_loss import Weights, world_loss

GAME = Written(obs_shape=(2,))
SIZES = {"hidden": 5, "width": 7, "token": 3, "bins": 5, "groups": 2, "classes": 3}
OVER = {
    "alive": [[1, 1], [1, 1], [1, 0], [1, 1]],
    "continues": [[1, 1], [1, 0], [0, 0], [1, 1]],
    "actions": [[0, 1], [1, 1], [1, -1], [0, 0]],
    "reward": [[0, 0], [0, 4], [1, 0], [0, 0]],
    "time": [0, 1, 2, 0],
    "obs": np.arange(16).reshape(4, 2, 2) / 4,
}
"""Seat 1 leaves in slot 1, seat 0 ends the episode in slot 2, slot 3 is of the next."""


@cache
def model() -> World:
    return world_of(GAME, jr.key(0), **SIZES)


@cache
def program(weights: Weights):
    def loss(world, w, key):
        sums, counts = world_loss(GAME, world, w, None, key, weights)
        return sum(sums.values()), (sums, counts)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def parts(w: Window, steps: int = 3, every: int = 1):
    weights = Weights(steps=steps, every=every)
    return program(weights)(model(), w, jr.key(1))


def test_parts_count_the_slots_they_are_of():
    (_, (sums, counts)), _ = parts(window(GAME, 0, 4, **OVER))
    found = {name: int(x) for name, x in counts.items()}
    shown = dict.fromkeys(("reconstruction", "legal", "public_legal"), 4)
    came = dict.fromkeys(("reward", "alive", "events", "dynamics", "representation"), 2)
    # one move on from slots 0, 1, 2 and 3; two from 0 and 1; three from 0. What three of them
    # led to is shown: one move from 0 and 1, two from 0
    dreamt = dict.fromkeys(("imagined_reward", "imagined_alive", "imagined_events"), 7)
    dreamt |= {f"imagined_{name}": 3 for name in shown}
    left = dict.fromkeys(("last_reward", "last_alive", "last_events"), 1)
    assert found == shown | came | dreamt | left
    assert set(sums) == set(counts) and all(np.isfinite(x) for x in sums.values())
    (_, (_, counts)), _ = parts(window(GAME, 1, 4, **OVER))
    found = {name: int(x) for name, x in counts.items()}
    assert found["legal"] == 3 and found["reward"] == found["dynamics"] == 1
    assert found["imagined_reward"] == 4, "from 0 and 1 and 3, and two moves from 0"
    assert found["imagined_legal"] == 1


def test_longer_dreams_start_from_each_so_manieth_slot():
    play = {"time": [0, 1, 2, 3], "obs": OVER["obs"]}
    w = window(GAME, 0, 4, **play)
    found = [int(parts(w, every=n)[0][1][1]["imagined_reward"]) for n in (1, 2, 4)]
    assert found == [4 + 3 + 2, 4 + 2 + 1, 4 + 1 + 1]


def test_what_absent_players_slots_hold_changes_nothing():
    holes: dict = {"actions": np.array(OVER["actions"])}
    holes["actions"][2, 1] = 1
    for name in ("obs", "reward"):
        holes[name] = np.array(OVER[name], np.float32)
        holes[name][2, 1] = np.nan
    for seat in (0, 1):
        (a, _), slope = parts(window(GAME, seat, 4, **OVER))
        (b, _), other = parts(window(GAME, seat, 4, **OVER | holes))
        assert np.isfinite(a) and a == b
        for x, y in zip(jax.tree.leaves(slope), jax.tree.leaves(other), strict=True):
            assert np.isfinite(x).all() and np.array_equal(x, y)


def test_nor_does_a_nan_in_a_window_of_another_maker():
    w = window(GAME, 1, 4, **OVER)
    holes = w._replace(
        obs=w.obs.at[2].set(jnp.nan),
        reward=w.reward.at[2].set(jnp.nan),
        seen=w.seen._replace(reward=w.seen.reward.at[2].set(jnp.nan)),
    )
    (a, _), slope = parts(w)
    (b, _), other = parts(holes)
    assert a == b
    for x, y in zip(jax.tree.leaves(slope), jax.tree.leaves(other), strict=True):
        assert np.array_equal(x, y)


def test_nothing_leads_from_one_episode_into_the_next():
    before = window(GAME, 0, 4, **OVER)
    other = np.array(OVER["obs"])
    other[3] += 1
    free = np.ones((4, 2, 2), bool)
    free[3] = [True, False]
    after = window(GAME, 0, 4, **OVER | {"obs": other, "avail_actions": free})
    a, b = (parts(w)[0][1][0] for w in (before, after))
    for name in a:
        alone = name in ("reconstruction", "legal", "public_legal")
        # the last slot's own moves are imagined on from what it shows
        alone |= name in ("imagined_reward", "imagined_alive", "imagined_events")
        assert (a[name] != b[name]) if alone else (a[name] == b[name]), name


def test_a_latent_is_kept_between_episodes_of_a_match_and_not_between_matches():
    kept = window(GAME, 0, 4, **OVER)
    fresh = window(GAME, 0, 4, **OVER | {"contact": [0, 0, 0, 1]})
    loss = jax.jit(partial(world_loss, GAME, model()))
    other = jnp.ones(model().size)
    told = lambda w, start: loss(w, start, jr.key(1))[0]["reconstruction"]
    a, b = (told(kept, e) for e in (model().begin(), other))
    assert a != b, "the start is carried through the window"
    begun = window(GAME, 0, 4, **OVER | {"contact": [1, 0, 0, 0]})
    assert told(begun, other) == told(begun, model().begin())
    assert told(kept, other) != told(fresh, other)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"every": 0}])
def test_weights_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        Weights(**wrong)
