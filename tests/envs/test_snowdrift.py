"""Snowdrifts small enough to work out by hand. Boards are 4x4, cells numbered row by row."""

from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.board import GONE, UNSEEN
from counterplay.envs.snowdrift import (
    CLEAR,
    CLEARED,
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
    Snowdrift,
    State,
)
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.pools import roster_of
from counterplay.types import NO_EVENT

SMALL: Any = envs.make("snowdrift:4x4")
STEP = jax.jit(SMALL.step)


def at(players, drifts=(2, 5, 15), time=0):
    return State(*(jnp.asarray(field, jnp.int32) for field in (players, drifts, time)))


def step(state, *moves):
    return STEP(state, jnp.array(moves))


PAID = {
    "one clears, all profit": ([5, 0, 0, 0], [CLEAR, STAY, STAY, STAY], [2, 6, 6, 6]),
    "two share the cost": ([5, 5, 0, 0], [CLEAR, CLEAR, STAY, STAY], [4, 4, 6, 6]),
    "four share it": ([5, 5, 5, 5], [CLEAR] * 4, [5, 5, 5, 5]),
    "two drifts in one step": ([5, 2, 0, 0], [CLEAR, CLEAR, STAY, STAY], [8, 8, 12, 12]),
    "two on one drift, one on another": ([5, 5, 0, 2], [CLEAR, CLEAR, UP, CLEAR], [10, 10, 12, 8]),
    "who only stands there pays nothing": ([5, 5, 0, 0], [CLEAR, STAY, STAY, STAY], [2, 6, 6, 6]),
    "nothing to clear": ([0, 1, 3, 4], [CLEAR] * 4, [0, 0, 0, 0]),
    "nobody clears": ([5, 2, 15, 0], [STAY, UP, DOWN, LEFT], [0, 0, 0, 0]),
}


@pytest.mark.parametrize(("players", "moves", "reward"), PAID.values(), ids=PAID)
def test_pay_offs(players, moves, reward):
    after, shown = step(at(players), *moves)
    assert shown.reward.tolist() == reward
    drifts = (2, 5, 15)
    worked = [m == CLEAR and p in drifts for p, m in zip(players, moves, strict=True)]
    assert shown.event.tolist() == [CLEARED if did else NO_EVENT for did in worked]
    gone = {p for p, did in zip(players, worked, strict=True) if did}
    assert after.drifts.tolist() == [GONE if d in gone else d for d in drifts]
    assert shown.alive.all()


def test_three_share_the_cost():
    _, shown = step(at([5, 0, 5, 5]), CLEAR, STAY, CLEAR, CLEAR)
    np.testing.assert_allclose(shown.reward, [6 - 4 / 3, 6, 6 - 4 / 3, 6 - 4 / 3], rtol=1e-6)


def test_a_drift_is_cleared_once():
    state, _ = step(at([5, 5, 0, 0]), CLEAR, STAY, STAY, STAY)
    _, shown = step(state, STAY, CLEAR, STAY, STAY)
    assert shown.reward.tolist() == [0, 0, 0, 0]
    assert shown.event.tolist() == [NO_EVENT] * 4
    assert not shown.legal[:, CLEAR].any()


def test_clearing_is_no_move_and_the_others_walk_meanwhile():
    after, _ = step(at([5, 5, 4, 11]), CLEAR, RIGHT, DOWN, UP)
    assert after.players.tolist() == [5, 6, 8, 7]


def test_legal_moves_stay_on_the_board_and_clear_what_is_there():
    after, shown = step(at([0, 15, 3, 5]), LEFT, DOWN, UP, STAY)
    assert after.players.tolist() == [0, 15, 3, 5], "steps off the board change nothing"
    assert shown.legal.astype(int).tolist() == [
        [0, 1, 0, 1, 1, 0],
        [1, 0, 1, 0, 1, 1],
        [0, 1, 1, 0, 1, 0],
        [1, 1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize(
    ("state", "moves"),
    [
        (at([0, 0, 0, 0], time=14), [STAY] * 4),
        (at([5, 0, 0, 0], (GONE, 5, GONE)), [CLEAR, STAY, STAY, STAY]),
        (at([5, 2, 15, 0]), [CLEAR, CLEAR, CLEAR, STAY]),
    ],
    ids=["horizon", "the last drift", "all at once"],
)
def test_ends_at_the_horizon_and_when_no_drift_is_left(state, moves):
    _, shown = step(state, *moves)
    assert shown.terminated
    assert not shown.truncated


def test_plays_on_before_the_horizon_while_a_drift_is_left():
    assert not step(at([5, 0, 0, 0], (GONE, 5, 15), time=13), CLEAR, STAY, STAY, STAY)[1].terminated


def test_each_sees_itself_first_then_the_seats_after_it():
    _, shown = step(at([0, 1, 3, 4], (2, GONE, 15), time=6), *[STAY] * 4)
    assert shown.obs[0].tolist() == [0, 1, 3, 4, 2, UNSEEN, 15, 7]
    assert shown.obs[2].tolist() == [3, 4, 0, 1, 2, UNSEEN, 15, 7]
    assert shown.visible.all() and SMALL.public_legal and SMALL.public_events


def test_planes_mark_cells_in_order():
    _, shown = step(at([0, 1, 3, 4], (2, GONE, 15), time=2), *[STAY] * 4)
    encoded = SMALL.encode(shown.obs[1])
    marked = [np.flatnonzero(plane).tolist() for plane in encoded[:-1].reshape(5, 16)]
    assert marked == [[1], [3], [4], [0], [2, 15]]
    assert float(encoded[-1]) == pytest.approx(3 / 15)


def test_seats_are_labels():
    """Players in other seats are paid and may do the same, whatever the order."""
    players, moves = np.array([5, 2, 5, 0]), np.array([CLEAR, CLEAR, CLEAR, RIGHT])
    _, shown = step(at(players), *moves)
    for order in map(np.array, permutations(range(4))):
        after, swapped = step(at(players[order]), *moves[order])
        for name in ("reward", "event", "legal"):
            np.testing.assert_array_equal(getattr(swapped, name), getattr(shown, name)[order])
        assert after.drifts.tolist() == [GONE, GONE, 15]


def test_starts_are_drawn_from_the_whole_board():
    states, _ = jax.jit(jax.vmap(SMALL.reset))(jr.split(jr.key(0), 4096))
    drifts, players = np.asarray(states.drifts), np.asarray(states.players)
    assert (np.diff(drifts, axis=1) > 0).all(), "distinct, and numbered row by row"
    for cells in (drifts, players):
        share = np.bincount(cells.ravel(), minlength=16) / cells.size
        np.testing.assert_allclose(share, 1 / 16, atol=0.01)
    assert (players[:, 0] == players[:, 1]).mean() == pytest.approx(1 / 16, abs=0.02)


def test_a_lone_cleaner_earns_a_third_of_what_it_gives_each_free_rider():
    """In every single episode: 6 - 4 a drift, against 6."""
    rows = EpisodeRows()
    seats: dict[int, str] = {0: "free_rider", 1: "cleaner", 2: "free_rider", 3: "free_rider"}
    evaluate(SMALL, roster_of(SMALL, seats), 64, rows=rows)
    columns = rows.columns()
    earned = np.stack([columns[f"return_{seat}"] for seat in range(4)], axis=1)
    assert len(earned) >= 64
    assert {*earned[:, 1].tolist()} <= {0, 2, 4, 6} and earned[:, 1].max() == 6
    np.testing.assert_array_equal(earned[:, [0, 2, 3]], 3 * earned[:, [1, 1, 1]])


def test_presets_are_those_of_the_page():
    assert envs.make("snowdrift") == envs.make("snowdrift:8x8") == Snowdrift(4, 6, 8, 50)
    assert Snowdrift(players=4, drifts=3, size=4, horizon=15) == SMALL


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("drifts=17", r"drifts must be 1 to 16, a cell each on a 4x4 board, found 17"),
        ("drifts=0", r"drifts must be 1 to 16, a cell each on a 4x4 board, found 0"),
        ("players=1", r"players must be at least 2, found 1"),
        ("size=1", r"snowdrift: size must be 2 to 15, found 1"),
        ("horizon=255", r"snowdrift: horizon must be 1 to 254, found 255"),
        ("drift=2", r"setting of snowdrift 'drift' \(did you mean 'drifts'\?\)"),
        ("view=2", r"setting of snowdrift 'view'.* players, drifts, size, horizon"),
    ],
)
def test_what_cannot_be_played_is_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        envs.make(f"snowdrift:4x4,{setting}")
