"""Races worked out by hand. Cells are row * 11 + column: L 45, C 5, R 53, the start 115."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_corridors import CELLS, beside, marked

from counterplay import envs
from counterplay.envs.corridors import (
    DOWN,
    GONE,
    LEFT,
    RIGHT,
    STAY,
    TARGETS,
    UP,
    C,
    L,
    R,
    State,
)
from counterplay.envs.race import Race
from counterplay.types import NO_EVENT, NO_MOVE

WAYS = {
    L: [LEFT] * 4 + [UP] * 6,
    C: [UP] * 10,
    R: [RIGHT] * 4 + [UP] * 6,
}
ENV = Race()
STEP = jax.jit(ENV.step)


def at(players, targets=TARGETS, time=5):
    return State(*(jnp.asarray(field, jnp.int32) for field in (players, targets, time)))


def step(state, *moves):
    return STEP(state, jnp.array(moves))


def test_first_alone_on_a_target_takes_it_and_leaves():
    after, shown = step(at([56, 67, 115]), UP, UP, STAY)
    assert shown.reward.tolist() == [1, 0, 0]
    assert shown.event.tolist() == [L, NO_EVENT, NO_EVENT]
    assert shown.alive.tolist() == [False, True, True]
    assert after.players.tolist() == [GONE, 56, 115]
    assert after.targets.tolist() == [GONE, 5, 53]
    assert not shown.legal[0].any() and not shown.terminated


def test_each_target_is_an_event_of_its_own():
    after, shown = step(at([4, 64, 44]), RIGHT, UP, RIGHT)
    assert shown.reward.tolist() == [1, 1, 1]
    assert shown.event.tolist() == [C, R, L]
    assert after.players.tolist() == [GONE] * 3
    assert shown.terminated, "nobody is left"


def test_of_several_in_one_step_nobody_gets_it_and_they_play_on():
    after, shown = step(at([56, 44, 52]), UP, RIGHT, RIGHT)
    assert shown.reward.tolist() == [0, 0, 1]
    assert shown.event.tolist() == [NO_EVENT, NO_EVENT, R]
    assert shown.alive.tolist() == [True, True, False]
    assert after.players.tolist() == [45, 45, GONE]
    assert after.targets.tolist() == [GONE, 5, GONE], "it is gone all the same"
    assert shown.legal[0].tolist() == [True, True, True, True, True] and not shown.terminated
    after, _ = step(after, RIGHT, UP, NO_MOVE)
    assert after.players.tolist() == [46, 34, GONE]


def test_three_in_one_step_get_nothing_either():
    after, shown = step(at([56, 44, 46]), UP, RIGHT, LEFT)
    assert shown.reward.tolist() == [0, 0, 0]
    assert after.targets.tolist() == [GONE, 5, 53]


def test_who_comes_after_finds_nothing():
    _, shown = step(at([56, 45, 115], targets=(GONE, 5, 53)), UP, STAY, STAY)
    assert shown.reward.tolist() == [0, 0, 0]
    assert shown.event.tolist() == [NO_EVENT] * 3
    assert shown.alive.all()


def test_who_has_left_is_nowhere():
    """Neither an absent player nor a target that is gone meets the other."""
    after, shown = step(at([GONE, 56, 115], targets=(45, GONE, GONE)), UP, UP, STAY)
    assert shown.reward.tolist() == [0, 1, 0]
    assert after.players.tolist() == [GONE, GONE, 115]
    assert shown.terminated, "no target is left"


def test_walls_and_edges_stop_whoever_walks_into_them():
    after, shown = step(at([57, 113, 110]), RIGHT, UP, DOWN)
    assert after.players.tolist() == [57, 113, 110]
    _, shown = step(at([57, 113, 115]), STAY, STAY, STAY)
    assert shown.legal[0].tolist() == [True, True, True, False, True]  # beside a wall
    assert shown.legal[1].tolist() == [False, False, True, True, True]  # below one
    assert shown.legal[2].tolist() == [True, False, True, True, True]  # at the start


@pytest.mark.parametrize("slack", [0, 2])
def test_ends_ten_slots_and_the_slack_after_the_start(slack):
    env = Race(slack=slack)
    assert env.horizon == 10 + slack
    state, shown = env.reset(jax.random.key(0))
    assert state.players.tolist() == [115] * 3 and state.targets.tolist() == list(TARGETS)
    move, ended = jax.jit(env.step), [bool(shown.terminated)]
    while not ended[-1]:
        state, shown = move(state, jnp.full(3, STAY))
        ended.append(bool(shown.terminated))
    assert len(ended) == 11 + slack and not shown.truncated


def test_presets():
    assert [envs.make(f"race:slack{slack}") for slack in (0, 2, 4)] == [
        Race(slack=slack) for slack in (0, 2, 4)
    ]
    assert envs.make("race") == Race(players=3, slack=0)
    assert ENV.public_legal and ENV.public_events


def test_everybody_sees_every_move_of_the_last_slot():
    assert step(at([56, 67, GONE]), UP, UP, NO_MOVE)[1].visible.all()


def play(corridor: list[int]) -> list[float]:
    """What everybody earns whose way leads straight to these corridors."""
    (state, _), earned = ENV.reset(jax.random.key(0)), np.zeros(3)
    for moves in zip(*(WAYS[c] for c in corridor), strict=True):
        state, shown = step(state, *moves)
        earned += np.asarray(shown.reward)
    assert shown.terminated
    return earned.tolist()


def test_fixed_types_leave_blind_players_four_ninths_and_others_everything():
    """Enumerated: two others, each at L, C or R with equal chances."""
    pairs = list(product((L, C, R), repeat=2))
    pays = np.array([[play([mine, *pair])[0] for mine in (L, C, R)] for pair in pairs])
    np.testing.assert_allclose(pays.mean(0), [4 / 9] * 3)
    assert (pays.max(1) == 1).all(), "of three corridors two players leave one free"
    expected = [[float(mine not in pair) for mine in (L, C, R)] for pair in pairs]
    np.testing.assert_array_equal(pays, expected)


def test_random_walks_all_but_never_arrive():
    """The chance to be on a target after ten uniform legal moves, by adding up walks."""
    chance = {marked("s"): 1.0}
    for _ in range(10):
        spread = dict.fromkeys(CELLS, 0.0)
        for cell, share in chance.items():
            ends = [cell, *beside(cell).values()]
            for end in ends:
                spread[end] += share / len(ends)
        chance = spread
    assert sum(chance.values()) == pytest.approx(1)
    assert 0 < sum(chance[marked(mark)] for mark in "LCR") < 1e-4
