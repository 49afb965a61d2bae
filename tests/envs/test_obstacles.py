"""Obstacles are one clump, and never cut the board in two."""

from functools import cache

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterplay.envs import obstacles
from counterplay.envs.obstacles import TRIAL, check, connected, grow, whole_clumps
from counterplay.envs.stag_hunt import StagHunt

SIZES = {2: (1, 3), 4: (0, 5, 11, 15), 6: (9, 20)}


@cache
def drawn(size: int, count: int):
    return jax.jit(lambda key: grow(key, size, count))


def pieces(cells: np.ndarray) -> int:
    """How many pieces the True cells fall into, by an ordinary walk."""
    left, found = {*zip(*np.nonzero(cells), strict=True)}, 0
    while left:
        found, edge = found + 1, [left.pop()]
        while edge:
            row, col = edge.pop()
            beside = {(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)} & left
            left -= beside
            edge += beside
    return found


@given(
    seed=st.integers(0, 2**31 - 1),
    board=st.sampled_from([(size, count) for size, counts in SIZES.items() for count in counts]),
)
def test_one_clump_and_one_free_piece(seed, board):
    size, count = board
    blocked = np.asarray(drawn(size, count)(jr.key(seed))).reshape(size, size)
    assert blocked.sum() == count
    assert pieces(~blocked) == 1
    assert pieces(blocked) == min(count, 1)


@given(bits=st.integers(0, 2**16 - 1))
def test_connected_agrees_with_an_ordinary_walk(bits):
    cells = np.array([bits >> i & 1 for i in range(16)], bool).reshape(4, 4)
    assert bool(jax.jit(connected)(jnp.asarray(cells))) == (pieces(cells) <= 1)


def test_every_cell_is_as_likely_as_its_mirror_image():
    keys = jr.split(jr.key(0), 4000)
    share = np.asarray(jax.jit(jax.vmap(lambda key: grow(key, 3, 2)))(keys)).mean(0).reshape(3, 3)
    np.testing.assert_allclose(share, share[::-1, ::-1], atol=0.04)
    assert share.sum() == pytest.approx(2)


def test_falls_back_on_rows_when_no_try_leaves_the_board_whole(monkeypatch):
    wall = jnp.zeros((4, 4), bool).at[1].set(True)
    monkeypatch.setattr(obstacles, "_clump", lambda key, size, count: wall)
    assert np.flatnonzero(grow(jr.key(0), 4, 4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [-1, 16, 40])
def test_what_cannot_fit_is_refused(count):
    with pytest.raises(ValueError, match=r"cells, found 16 on a 4x4 board: ask for 0 to 15"):
        check(4, count)


def test_a_game_whose_layouts_would_be_filled_by_rows_is_refused():
    assert whole_clumps(4, 5) > TRIAL / 2
    with pytest.raises(ValueError, match=r"a clump of 150 .* 15x15 .*75 cells in one piece"):
        StagHunt(size=15, obstacles=150)


def test_games_can_be_made_while_another_program_is_traced():
    made = []
    jax.jit(lambda x: made.append(StagHunt(size=5, obstacles=3)) or x)(0.0)
    assert made == [StagHunt(size=5, obstacles=3)]
