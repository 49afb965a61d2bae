"""Level-based foraging worked out by hand. Boards are 5x5, cells numbered row by row."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs import glyphs
from counterplay.envs.board import GONE, UNSEEN
from counterplay.envs.foraging import DOWN, LEFT, LOAD, RIGHT, STAY, UP, Foraging, State
from counterplay.types import NO_EVENT

SMALL: Any = Foraging(players=3, foods=2, size=5, penalty=0.25)
STEP = jax.jit(SMALL.step)


def at(players, levels=(1, 2, 1), foods=(6, 18), food_levels=(3, 2), time=0):
    fields = (players, levels, foods, food_levels, time)
    return State(*(jnp.asarray(field, jnp.int32) for field in fields))


def step(state, *moves):
    return STEP(state, jnp.array(moves))


# a food of level 3 on cell 6 and one of level 2 on cell 18; the levels of players are 1, 2, 1
PAID = {
    "two are strong enough": ([1, 5, 24], [LOAD, LOAD, STAY], [0.2, 0.4, 0], [0, 0, -1]),
    "three share by level": ([1, 5, 7], [LOAD] * 3, [3 / 20, 6 / 20, 3 / 20], [0, 0, 0]),
    "one is too weak": ([1, 24, 0], [LOAD, STAY, STAY], [-0.25, 0, 0], [-1, -1, -1]),
    "two are too weak": ([1, 24, 11], [LOAD, STAY, LOAD], [-0.25, 0, -0.25], [-1, -1, -1]),
    "strong alone": ([0, 13, 4], [STAY, LOAD, STAY], [0, 2 / 5, 0], [-1, 1, -1]),
    "who stands by gets nothing": ([1, 5, 7], [LOAD, LOAD, STAY], [0.2, 0.4, 0], [0, 0, -1]),
    "nothing beside them": ([0, 4, 12], [LOAD] * 3, [0, 0, 0], [-1, -1, -1]),
    "one food falls, one does not": ([1, 13, 7], [LOAD] * 3, [-0.25, 0.4, -0.25], [-1, 1, -1]),
}


@pytest.mark.parametrize(("players", "moves", "reward", "event"), PAID.values(), ids=PAID)
def test_pay_offs(players, moves, reward, event):
    after, shown = step(at(players), *moves)
    np.testing.assert_allclose(shown.reward, reward, rtol=1e-6)
    assert shown.event.tolist() == event
    foods = (6, 18)
    assert after.foods.tolist() == [GONE if i in event else cell for i, cell in enumerate(foods)]
    assert after.players.tolist() == players, "loading is no move"
    assert shown.alive.all() and not shown.terminated


def test_all_foods_together_are_worth_one():
    state = at([1, 5, 24])
    state, first = step(state, LOAD, LOAD, STAY)
    state, _ = step(state._replace(players=jnp.array([13, 17, 19])), STAY, STAY, STAY)
    _, last = step(state, LOAD, LOAD, LOAD)
    assert float(first.reward.sum() + last.reward.sum()) == pytest.approx(1, abs=1e-6)
    assert last.terminated and not last.truncated
    assert last.event.tolist() == [1, 1, 1]


WALKS = {
    "on to free cells": ([0, 12, 24], [RIGHT, LEFT, UP], [1, 11, 19]),
    "two to one cell: neither": ([1, 3, 24], [RIGHT, LEFT, UP], [1, 3, 19]),
    "to one who stays: stays": ([1, 2, 24], [RIGHT, STAY, UP], [1, 2, 19]),
    "to one who loads: stays": ([0, 1, 24], [RIGHT, LOAD, UP], [0, 1, 19]),
    "two change places": ([1, 2, 24], [RIGHT, LEFT, UP], [2, 1, 19]),
    "after one who leaves": ([1, 2, 24], [RIGHT, RIGHT, UP], [2, 3, 19]),
    "three in a row": ([1, 2, 3], [RIGHT, RIGHT, RIGHT], [2, 3, 4]),
    "to one whose move fails: shared": ([1, 3, 4], [RIGHT, LEFT, LEFT], [1, 3, 3]),
    "shared cells are left": ([3, 3, 24], [LEFT, STAY, UP], [2, 3, 19]),
    "not on to a food": ([1, 11, 19], [DOWN, UP, LEFT], [1, 11, 19]),
    "not off the board": ([0, 4, 24], [UP, RIGHT, DOWN], [0, 4, 24]),
}


@pytest.mark.parametrize(("players", "moves", "ends"), WALKS.values(), ids=WALKS)
def test_who_may_go_where(players, moves, ends):
    assert step(at(players), *moves)[0].players.tolist() == ends


def test_legal_moves_stay_on_the_board_and_off_the_foods():
    _, shown = step(at([1, 24, 13]), STAY, STAY, STAY)
    assert shown.legal.astype(int).tolist() == [
        [0, 0, 1, 1, 1, 1],  # above a food
        [1, 0, 1, 0, 1, 0],  # in a corner
        [1, 0, 1, 1, 1, 1],
    ]


def test_a_food_that_is_gone_neither_blocks_nor_can_be_loaded():
    state, shown = step(at([1, 5, 24]), LOAD, LOAD, STAY)
    assert not shown.legal[0, LOAD] and shown.legal[0, DOWN]
    after, shown = step(state, DOWN, LOAD, STAY)
    assert after.players.tolist() == [6, 5, 24]
    assert shown.reward.tolist() == [0, 0, 0], "and no penalty: it was not legal"


@pytest.mark.parametrize(("time", "over"), [(48, False), (49, True)])
def test_ends_at_the_horizon(time, over):
    _, shown = step(at([0, 2, 4], time=time), STAY, STAY, STAY)
    assert bool(shown.terminated) == over and not shown.truncated


def test_each_sees_itself_first_then_the_seats_after_it():
    _, shown = step(at([1, 24, 13], foods=(6, GONE), time=6), STAY, STAY, STAY)
    assert shown.obs[0].tolist() == [1, 24, 13, 6, UNSEEN, 1, 2, 1, 3, 0, 7]
    assert shown.obs[1].tolist() == [24, 13, 1, 6, UNSEEN, 2, 1, 1, 3, 0, 7]
    assert shown.visible.all() and SMALL.public_legal and SMALL.public_events


def test_a_limited_view_is_a_window_that_begins_at_the_edge():
    near: Any = Foraging(players=3, foods=2, size=5, view=1)
    _, shown = near.step(at([1, 24, 13]), jnp.full(3, STAY))
    # the first is in row 0, column 1: its window begins at (0, 0) and has three rows and columns
    assert shown.obs[0].tolist() == [1, UNSEEN, UNSEEN, 4, UNSEEN, 1, 0, 0, 3, 0, 1]
    # the second in row 4, column 4: from (3, 3)
    assert shown.obs[1].tolist() == [4, UNSEEN, UNSEEN, UNSEEN, 0, 2, 0, 0, 0, 2, 1]
    # the third in row 2, column 3: from (1, 2)
    assert shown.obs[2].tolist() == [4, UNSEEN, UNSEEN, UNSEEN, 7, 1, 0, 0, 0, 2, 1]
    assert (np.asarray(shown.visible) == np.eye(3, dtype=bool)).all()
    assert not near.public_legal and not near.public_events
    # from the corner one sees a player two rows down, but no food
    _, shown = near.step(at([0, 12, 24], foods=(GONE, 11)), jnp.full(3, STAY))
    assert shown.obs[0].tolist() == [0, 8, UNSEEN, UNSEEN, UNSEEN, 1, 2, 0, 0, 0, 1]
    assert shown.visible[0].tolist() == [True, True, False]
    assert shown.visible[1].tolist() == [False, True, False], "nor is it seen from there"


def test_planes_mark_cells_and_levels_follow():
    _, shown = step(at([1, 24, 13], foods=(6, 18), time=9), STAY, STAY, STAY)
    encoded = np.asarray(SMALL.encode(shown.obs[1]))
    planes = encoded[: 4 * 25].reshape(4, 25)
    marked = [np.flatnonzero(plane).tolist() for plane in planes]
    assert marked == [[24], [13], [1], [6, 18]]
    assert set(planes[:3].ravel()) == {0, 1}
    highest = 6  # three players of level 2
    np.testing.assert_allclose(planes[3, [6, 18]], [3 / highest, 2 / highest], rtol=1e-6)
    wanted = [2 / 2, 1 / 2, 1 / 2, 3 / highest, 2 / highest, 10 / 50]
    np.testing.assert_allclose(encoded[100:], wanted, rtol=1e-6)


def test_presets_are_those_of_the_page():
    assert envs.make("foraging") == envs.make("foraging:8x8-2p-3f") == Foraging(2, 3, 8)
    assert envs.make("foraging:8x8-2p-3f-coop") == Foraging(2, 3, 8, True)
    assert envs.make("foraging:5x5-2p-1f-coop") == Foraging(2, 1, 5, True)
    assert envs.make("foraging:2s-8x8-2p-2f-coop") == Foraging(2, 2, 8, True, 2)
    assert envs.make("foraging:10x10-3p-3f") == Foraging(3, 3, 10)


def test_a_board_in_words():
    state = at([1, 24, 13], foods=(6, GONE), time=7)
    assert SMALL.render(state).text.splitlines() == [
        "slot 7 of 50",
        ".  .0 .  .  .",
        ".  F3 .  .  .",
        ".  .  .  .2 .",
        ".  .  .  .  .",
        ".  .  .  .  .1",
        "levels: 0 has 1, 1 has 2, 2 has 1; loaded: 1 of 2",
    ]


def test_a_limited_view_is_told_and_drawn():
    far, near = (Foraging(players=3, foods=2, size=5, view=view) for view in (0, 1))
    one, other = (env.render(at([1, 24, 19])) for env in (far, near))
    *same, told = other.text.splitlines()
    assert same == one.text.splitlines()
    assert told == ("view 1: 0 sees nobody, things: 1; 1 sees 2, things: 1; 2 sees 1, things: 1")
    assert one.pixels.shape == other.pixels.shape and (one.pixels != other.pixels).any()


@pytest.mark.parametrize("preset", envs.PRESETS_OF["foraging"])
def test_foods_and_players_are_drawn_until_they_are_gone(preset):
    env: Any = envs.make(f"foraging:{preset}")
    state, _ = env.reset(jr.key(1))
    full, empty = (
        env.render(s).pixels for s in (state, state._replace(foods=jnp.full(env.foods, GONE)))
    )
    assert full.shape == empty.shape
    size = min(112, max(44, 560 // env.size))
    for place in state.foods.tolist():
        row, col = (glyphs.MARGIN + size * i for i in divmod(place, env.size))
        cell = (slice(row, row + size), slice(col, col + size))
        assert (full[cell] != empty[cell]).any(2).mean() > 0.2, place
    for seat in range(env.players):
        colour = np.array([*bytes.fromhex(glyphs.SEATS[seat][1:])])
        assert (full == colour).all(2).sum() > 50, seat


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("size=4", r"size must be 5 to 15, so that foods have room inside the edge, found 4"),
        ("size=16", r"foraging: size must be 2 to 15, found 16"),
        ("size=5,players=9", r"players must be 2 to 8, so that there is always room for a food"),
        ("players=1", r"foraging: players must be 2 to 35, .*, found 1"),
        ("foods=0", r"foods must be 1 to 36, a cell each inside the edge, found 0"),
        ("max_level=86", r"max_level must be 1 to 85, as observations hold bytes, found 86"),
        ("view=-1", r"view must be 0 to 15, where 0 is the whole board, found -1"),
        ("penalty=-.1", r"penalty must be a number from 0 up, found -0.1"),
        ("penalty=nan", r"penalty must be a number from 0 up, found nan"),
        ("sight=2", r"setting of foraging 'sight'.* players, foods, size"),
    ],
)
def test_what_cannot_be_played_is_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        envs.make(f"foraging,{setting}")


def test_who_loads_in_vain_gets_no_event():
    _, shown = step(at([1, 24, 0]), LOAD, STAY, STAY)
    assert shown.event.tolist() == [NO_EVENT] * 3
