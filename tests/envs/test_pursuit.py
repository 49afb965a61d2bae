"""Pursuits worked out by hand, on 5x5 boards with view 1. Cells are numbered row by row:

  0  1 [2] 3  4
  5  6  7  8  9
[10] 11 12 13 [14]      exits: north 2, east 14, south 22, west 10; centre 12
 15 16 17 18 19
 20 21 [22] 23 24
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.board import UNSEEN
from counterplay.envs.pursuit import DOWN, EAST, LEFT, NORTH, RIGHT, SOUTH, STAY, UP, WEST, State
from counterplay.types import NO_EVENT

BIG: Any = envs.make("pursuit")
SMALL: Any = envs.make("pursuit:11x11,size=5,view=1,horizon=6")
STEP = jax.jit(SMALL.step)


def at(pursuer, evader, seen=UNSEEN, age=UNSEEN, time=0):
    return State(jnp.array([pursuer, evader]), *(jnp.int32(x) for x in (seen, age, time)))


def step(state, *moves):
    return STEP(state, jnp.array(moves))


ENDS = {
    "sharing a cell": ((12, 6), (UP, RIGHT), 1, (NORTH, NO_EVENT)),
    "swapping cells": ((12, 7), (UP, DOWN), 1, (NORTH, NO_EVENT)),
    "one stands still": ((11, 6), (STAY, DOWN), 1, (WEST, NO_EVENT)),
    "capture before escape": ((7, 3), (UP, LEFT), 1, (NORTH, NO_EVENT)),
    "swap on an exit": ((2, 3), (RIGHT, LEFT), 1, (NORTH, NO_EVENT)),
    "guard of the exit": ((22, 23), (STAY, LEFT), 1, (SOUTH, NO_EVENT)),
    "the nearest exit is a tie": ((12, 12), (STAY, STAY), 1, (NORTH, NO_EVENT)),
    "escape north": ((12, 1), (UP, RIGHT), -1, (NO_EVENT, NORTH)),
    "escape east": ((12, 9), (LEFT, DOWN), -1, (NO_EVENT, EAST)),
    "escape south": ((16, 23), (DOWN, LEFT), -1, (NO_EVENT, SOUTH)),
    "escape west": ((12, 15), (UP, UP), -1, (NO_EVENT, WEST)),
    "one behind the other": ((1, 6), (DOWN, DOWN), 0, (NO_EVENT, NO_EVENT)),
    "the pursuer may stand on exits": ((7, 24), (UP, STAY), 0, (NO_EVENT, NO_EVENT)),
    "past each other": ((6, 12), (RIGHT, LEFT), 0, (NO_EVENT, NO_EVENT)),
}


@pytest.mark.parametrize(("cells", "moves", "gain", "event"), ENDS.values(), ids=ENDS)
def test_capture_and_escape(cells, moves, gain, event):
    _, shown = step(at(*cells), *moves)
    assert shown.reward.tolist() == [gain, -gain]
    assert tuple(shown.event.tolist()) == event
    assert bool(shown.terminated) == (gain != 0)
    assert not shown.truncated


def test_time_out_pays_nobody():
    _, shown = step(at(12, 0, time=4), STAY, STAY)
    assert not shown.terminated
    _, shown = step(at(12, 0, time=5), STAY, STAY)
    assert shown.terminated and not shown.truncated
    assert shown.reward.tolist() == [0, 0] and shown.event.tolist() == [NO_EVENT] * 2
    _, shown = step(at(12, 1, time=5), STAY, RIGHT)
    assert shown.reward.tolist() == [-1, 1], "the last move counts"


def test_legal_moves_stay_on_the_board_and_nobody_knows_those_of_the_other():
    after, shown = step(at(0, 24), LEFT, DOWN)
    assert after.players.tolist() == [0, 24], "steps off the board change nothing"
    assert shown.legal.astype(int).tolist() == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    assert not SMALL.public_legal and SMALL.public_events


@pytest.mark.parametrize("evader", range(25))
def test_sight_is_a_square(evader):
    after, shown = step(at(12, evader), STAY, STAY)
    near = {6, 7, 8, 11, 12, 13, 16, 17, 18}
    seen = evader if evader in near else UNSEEN
    age = 0 if evader in near else UNSEEN
    assert shown.obs[0].tolist() == [12, seen, seen, age, 0, 1]
    assert shown.obs[1].tolist() == [evader, 12, seen, age, 1, 1], "the evader sees everything"
    assert int(after.seen) == seen
    assert shown.visible.tolist() == [[True, evader in near], [True, True]]


def test_radius_two_in_the_full_game():
    for cell, sees in ((36, True), (84, True), (60 + 3, False), (60 - 3, False), (60 + 33, False)):
        assert bool(BIG.sees(jnp.int32(60), jnp.int32(cell))) == sees


def test_moves_are_seen_from_where_they_began():
    _, shown = step(at(12, 18), STAY, DOWN)
    assert shown.visible[0, 1] and shown.obs[0, 1] == UNSEEN, "it is seen to leave"
    _, shown = step(at(12, 23), STAY, UP)
    assert not shown.visible[0, 1] and shown.obs[0, 1] == 18


def test_the_map_keeps_where_the_evader_was_last_seen_and_how_long_ago():
    state, told = at(12, 18, seen=18, age=0), []
    for move in (DOWN, STAY, UP, STAY):
        state, shown = step(state, STAY, move)
        told.append(shown.obs[0, 1:4].tolist())
    assert told == [[UNSEEN, 18, 1], [UNSEEN, 18, 2], [18, 18, 0], [18, 18, 0]]


def test_starts_in_the_centre_and_in_a_corner():
    states, shown = jax.jit(jax.vmap(BIG.reset))(jr.split(jr.key(0), 2048))
    assert (states.players[:, 0] == 60).all()
    corners, counts = np.unique(np.asarray(states.players[:, 1]), return_counts=True)
    assert corners.tolist() == [0, 10, 110, 120] == list(BIG.corners)
    np.testing.assert_allclose(counts / 2048, 0.25, atol=0.04)
    assert (shown.obs[:, 0, 1:4] == UNSEEN).all()


def test_exits_are_five_steps_from_the_centre():
    rows, cols = np.divmod(np.array(BIG.exits), 11)
    assert list(zip(rows, cols, strict=True)) == [(0, 5), (5, 10), (10, 5), (5, 0)]
    assert (abs(rows - 5) + abs(cols - 5) == 5).all()
    assert (BIG.horizon, BIG.view) == (30, 2)


def test_planes_clock_and_role():
    _, shown = step(at(12, 23, seen=18, age=1, time=2), STAY, STAY)
    for seat, (planes, role) in enumerate([([[12], [], [18]], 0), ([[23], [12], [18]], 1)]):
        encoded = SMALL.encode(shown.obs[seat])
        assert encoded.shape == (78,)
        assert [np.flatnonzero(p).tolist() for p in encoded[:75].reshape(3, 25)] == planes
        np.testing.assert_allclose(encoded[75:], [2 / 6, 3 / 6, role])
    _, shown = step(at(12, 23), STAY, STAY)
    assert float(SMALL.encode(shown.obs[0])[75]) == 1, "never seen"


def test_words_of_the_picture():
    words = SMALL.render(at(12, 23, seen=18, age=1, time=2)).text.splitlines()
    assert words[0] == "slot 2 of 6"
    assert words[3].split() == ["X", ".", ".0", ".", "X"]
    assert words[5].split() == [".", ".", "X", ".1", "."]
    assert words[-1] == "0 sees 1 in row 3, column 3: 1 slots ago"
    assert SMALL.render(at(12, 23)).text.endswith("0 has not seen 1")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("size=10", r"size must be odd and at least 5, found 10: the pursuer starts in the middle"),
        ("size=3", r"size must be odd and at least 5, found 3"),
        ("size=17", r"size must be 2 to 15, found 17"),
        ("view=-1", r"pursuit: view must be at least 0, found -1"),
        ("horizon=0", r"pursuit: horizon must be 1 to 254, found 0"),
    ],
)
def test_what_cannot_be_played_is_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        envs.make(f"pursuit:11x11,{setting}")
