"""Coordination worked out by hand. Cells are row * 11 + column: L 45, C 5, R 53, start 115."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_race import WAYS

from counterplay import envs
from counterplay.envs.coordination import HUNT, Coordination
from counterplay.envs.corridors import GONE, STAY, TARGETS, UP, C, L, R, State
from counterplay.types import NO_EVENT, NO_MOVE

TWO, THREE = Coordination(), Coordination(players=3)
STEPS = {2: jax.jit(TWO.step), 3: jax.jit(THREE.step)}


def at(players, targets=TARGETS, time=5):
    return State(*(jnp.asarray(field, jnp.int32) for field in (players, targets, time)))


def step(state, *moves):
    return STEPS[len(moves)](state, jnp.array(moves))


@pytest.mark.parametrize(("cell", "stag"), [(45, L), (5, C), (53, R)])
def test_two_who_hunt_one_stag_share_ten_and_leave(cell, stag):
    after, shown = step(at([cell, cell]), HUNT, HUNT)
    assert shown.reward.tolist() == [5, 5]
    assert shown.event.tolist() == [stag, stag]
    assert after.players.tolist() == [GONE, GONE]
    assert [c == GONE for c in after.targets.tolist()] == [s == stag for s in (L, C, R)]
    assert shown.terminated


def test_three_share_it_only_together():
    _, shown = step(at([5, 5, 5]), HUNT, HUNT, HUNT)
    np.testing.assert_allclose(shown.reward, [10 / 3] * 3, rtol=1e-6)
    after, shown = step(at([5, 5, 5]), HUNT, HUNT, STAY)
    assert shown.reward.tolist() == [-1, -1, 0]
    assert shown.event.tolist() == [NO_EVENT] * 3
    assert after.players.tolist() == [GONE, GONE, 5]
    assert after.targets.tolist() == list(TARGETS)
    assert not shown.terminated


def test_who_hunts_without_success_loses_one_and_leaves():
    after, shown = step(at([45, 56]), HUNT, UP)
    assert shown.reward.tolist() == [-1, 0]
    assert shown.event.tolist() == [NO_EVENT, NO_EVENT]
    assert shown.alive.tolist() == [False, True]
    assert after.players.tolist() == [GONE, 45]
    assert not shown.legal[0].any() and not shown.terminated
    # the other plays on, but no stag can fall to it any more
    after, shown = step(after, NO_MOVE, HUNT)
    assert shown.reward.tolist() == [0, -1]
    assert after.players.tolist() == [GONE, GONE] and after.targets.tolist() == list(TARGETS)
    assert shown.terminated


def test_of_three_the_two_who_stay_cannot_succeed_either():
    _, shown = step(at([GONE, 5, 5]), NO_MOVE, HUNT, HUNT)
    assert shown.reward.tolist() == [0, -1, -1]


def test_hunts_of_different_stags_fail_both():
    after, shown = step(at([45, 53]), HUNT, HUNT)
    assert shown.reward.tolist() == [-1, -1]
    assert after.targets.tolist() == list(TARGETS)
    assert shown.terminated


def test_a_hunt_is_legal_on_a_living_stag_only_and_is_no_move():
    _, shown = step(at([46, 53]), STAY, STAY)
    assert shown.legal[0].tolist() == [True, True, True, False, True, False]
    assert shown.legal[1].tolist() == [True, True, True, True, True, True]
    after, shown = step(at([46, 115]), HUNT, HUNT)
    assert after.players.tolist() == [46, 115]
    assert shown.reward.tolist() == [0, 0] and shown.alive.all()
    gone = at([45, 45], targets=(GONE, 5, 53))
    assert not step(gone, STAY, STAY)[1].legal[:, HUNT].any()
    after, shown = step(gone, HUNT, HUNT)
    assert shown.reward.tolist() == [0, 0] and shown.alive.all()


def test_standing_on_a_stag_takes_nothing():
    after, shown = step(at([56, 56]), UP, UP)
    assert shown.reward.tolist() == [0, 0]
    assert after.players.tolist() == [45, 45] and after.targets.tolist() == list(TARGETS)


@pytest.mark.parametrize("slack", [0, 4])
def test_ends_eleven_slots_and_the_slack_after_the_start(slack):
    env = Coordination(slack=slack)
    assert env.horizon == 11 + slack
    last = at([115, 115], time=10 + slack)
    assert env.step(last, jnp.array([STAY, STAY]))[1].terminated
    before = at([115, 115], time=9 + slack)
    assert not env.step(before, jnp.array([STAY, STAY]))[1].terminated


def test_presets():
    names = envs.PRESETS_OF["coordination"]
    assert [envs.make(f"coordination:{name}").horizon for name in names] == [11, 13, 15, 11]
    assert envs.make("coordination") == TWO
    assert TWO.public_legal and TWO.public_events


def play(mine: int, other: int) -> float:
    (state, _), earned = TWO.reset(jax.random.key(0)), 0.0
    for moves in zip([*WAYS[mine], HUNT], [*WAYS[other], HUNT], strict=True):
        state, shown = step(state, *moves)
        earned += float(shown.reward[0])
    assert shown.terminated
    return earned


def test_blind_players_succeed_one_time_in_three_and_others_always():
    """Enumerated: the partner is at L, C or R with equal chances."""
    pays = {(mine, other): play(mine, other) for mine, other in product((L, C, R), repeat=2)}
    assert pays == {(i, j): 5.0 if i == j else -1.0 for i, j in pays}
