"""Stag hunts small enough to work out by hand. Boards are 4x4, cells numbered row by row."""

import jax.numpy as jnp
import numpy as np
import pytest

from counterplay.envs.stag_hunt import (
    CAUGHT_HARE,
    CAUGHT_STAG,
    DOWN,
    GONE,
    HUNT_HARE,
    HUNT_STAG,
    LEFT,
    RIGHT,
    STAY,
    UNSEEN,
    UP,
    StagHunt,
    State,
)
from counterplay.types import NO_EVENT, NO_MOVE


def at(players, stags=(5,), hares=(2, 8, 10, 15), obstacles=(), time=0):
    fields = (players, stags, hares, obstacles, time)
    return State(*(jnp.asarray(field, jnp.int32) for field in fields))


def step(state, *moves, env=None):
    return (env or StagHunt()).step(state, jnp.array(moves))


def test_two_hunters_share_the_stag_and_leave():
    after, shown = step(at([5, 5, 0, 0]), HUNT_STAG, HUNT_STAG, STAY, STAY)
    assert shown.reward.tolist() == [5, 5, 0, 0]
    assert shown.event.tolist() == [CAUGHT_STAG, CAUGHT_STAG, NO_EVENT, NO_EVENT]
    assert shown.alive.tolist() == [False, False, True, True]
    assert after.players.tolist() == [GONE, GONE, 0, 0]
    assert after.stags.tolist() == [GONE]


def test_a_lone_stag_hunter_gets_nothing_and_stays():
    after, shown = step(at([5, 5, 0, 0]), HUNT_STAG, STAY, STAY, STAY)
    assert shown.reward.tolist() == [0, 0, 0, 0]
    assert after.players.tolist() == [5, 5, 0, 0]
    assert after.stags.tolist() == [5]


def test_two_on_one_hare_share_it():
    after, shown = step(at([8, 8, 0, 5]), HUNT_HARE, HUNT_HARE, STAY, STAY)
    assert shown.reward.tolist() == [0.5, 0.5, 0, 0]
    assert shown.event.tolist() == [CAUGHT_HARE, CAUGHT_HARE, NO_EVENT, NO_EVENT]
    assert after.hares.tolist() == [2, GONE, 10, 15]


def test_two_on_different_hares_get_one_each():
    _, shown = step(at([8, 2, 0, 5]), HUNT_HARE, HUNT_HARE, STAY, STAY)
    assert shown.reward.tolist() == [1, 1, 0, 0]


def test_three_share_the_stag():
    _, shown = step(at([5, 0, 5, 5]), HUNT_STAG, STAY, HUNT_STAG, HUNT_STAG)
    np.testing.assert_allclose(shown.reward, [10 / 3, 0, 10 / 3, 10 / 3], rtol=1e-6)


def test_two_hunters_on_two_stags_get_nothing():
    env = StagHunt(stags=2)
    _, shown = step(at([5, 6, 0, 0], stags=(5, 6)), HUNT_STAG, HUNT_STAG, STAY, STAY, env=env)
    assert shown.reward.tolist() == [0, 0, 0, 0]


def test_a_hunt_is_not_a_move_and_the_others_walk_meanwhile():
    after, _ = step(at([5, 5, 4, 11]), HUNT_STAG, RIGHT, DOWN, UP)
    assert after.players.tolist() == [5, 6, 8, 7]


def test_steps_off_the_board_and_hunts_for_nothing_change_nothing():
    _, shown = step(at([0, 15, 3, 12]), STAY, STAY, STAY, STAY)
    assert shown.legal[0].tolist() == [False, True, False, True, True, False, False]
    assert shown.legal[1].tolist() == [True, False, True, False, True, False, True]
    after, shown = step(at([0, 3, 12, 4]), LEFT, RIGHT, DOWN, HUNT_STAG)
    assert after.players.tolist() == [0, 3, 12, 4]
    assert shown.reward.tolist() == [0, 0, 0, 0]


def test_nobody_enters_an_obstacle():
    env, state = StagHunt(obstacles=2), at([0, 5, 9, 14], obstacles=(1, 13))
    after, shown = step(state, RIGHT, UP, DOWN, LEFT, env=env)
    assert after.players.tolist() == [0, 5, 9, 14]
    assert shown.legal[0].tolist() == [False, True, False, False, True, False, False]


def test_absent_players_catch_nothing():
    _, shown = step(at([GONE, 5, 0, 0], stags=(5,)), HUNT_STAG, HUNT_STAG, STAY, STAY)
    assert shown.reward.tolist() == [0, 0, 0, 0]
    assert not shown.legal[0].any()


@pytest.mark.parametrize(
    ("state", "moves"),
    [
        (at([0, 0, 0, 0], time=14), [STAY] * 4),
        (at([5, 5, GONE, GONE]), [HUNT_STAG, HUNT_STAG, NO_MOVE, NO_MOVE]),
        (at([8, 0, 0, 0], stags=(GONE,), hares=(8, GONE, GONE, GONE)), [HUNT_HARE] + [STAY] * 3),
    ],
    ids=["horizon", "no player left", "no prey left"],
)
def test_ends_at_the_horizon_and_without_players_or_prey(state, moves):
    _, shown = step(state, *moves)
    assert shown.terminated
    assert not shown.truncated


def test_plays_on_before_the_horizon():
    assert not step(at([0, 0, 0, 0], time=13), *[STAY] * 4)[1].terminated


def test_each_sees_itself_first_then_the_seats_after_it():
    _, shown = step(at([0, 1, 3, 4], time=6), *[STAY] * 4)
    assert shown.obs[0].tolist() == [0, 1, 3, 4, 5, 2, 8, 10, 15, 7]
    assert shown.obs[2].tolist() == [3, 4, 0, 1, 5, 2, 8, 10, 15, 7]


def test_a_limited_view_hides_what_is_far():
    env = StagHunt(view=2)
    _, shown = step(at([0, 1, 15, GONE]), STAY, STAY, STAY, NO_MOVE, env=env)
    assert shown.obs[0].tolist() == [0, 1, UNSEEN, UNSEEN, 5, 2, 8, UNSEEN, UNSEEN, 1]
    assert shown.visible[0].tolist() == [True, True, False, False]


def test_moves_are_public_where_the_whole_board_is_in_view():
    assert StagHunt().public_legal and StagHunt().public_events
    assert not StagHunt(view=2).public_legal and not StagHunt(view=2).public_events


def test_planes_mark_cells_in_order():
    env = StagHunt(obstacles=1)
    _, shown = step(at([0, 1, 3, 4], obstacles=(12,), time=2), *[STAY] * 4, env=env)
    encoded = env.encode(shown.obs[1])
    planes = np.asarray(encoded[:-1]).reshape(env.players + 3, 16)
    marked = [np.flatnonzero(plane).tolist() for plane in planes]
    assert marked == [[1], [3], [4], [0], [5], [2, 8, 10, 15], [12]]
    assert float(encoded[-1]) == pytest.approx(3 / 15)


def test_what_lies_around_each_player_is_told_by_the_way_there():
    """By rows and columns from each: me at 0, others at 1 and 15; who has left sees nothing."""
    env = StagHunt()
    _, shown = step(at([0, 1, 15, GONE]), STAY, STAY, STAY, NO_MOVE, env=env)
    around = np.asarray(env.around(env.encode(shown.obs[0]))).reshape(4, 3, 7, 7)
    ways = lambda seat: [(np.argwhere(plane) - 3).tolist() for plane in around[seat]]
    assert ways(0) == [[[0, 1], [3, 3]], [[1, 1]], [[0, 2], [2, 0], [2, 2], [3, 3]]]
    assert ways(1) == [[[0, -1], [3, 2]], [[1, 0]], [[0, 1], [2, -1], [2, 1], [3, 2]]]
    assert ways(2) == [[[-3, -3], [-3, -2]], [[-2, -2]], [[-3, -1], [-1, -3], [-1, -1], [0, 0]]]
    assert not around[3].any()
    blocked = StagHunt(obstacles=1)
    _, shown = step(at([0, 1, 15, 3], obstacles=(12,)), *[STAY] * 4, env=blocked)
    around = np.asarray(blocked.around(blocked.encode(shown.obs[0]))).reshape(4, 4, 7, 7)
    assert (np.argwhere(around[0, 3]) - 3).tolist() == [[3, 0]]
