"""The map of race and coordination, against one drawn by hand and walked by an ordinary search."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs import corridors
from counterplay.envs.corridors import DOWN, GONE, LEFT, RIGHT, START, STEPS, TARGETS, UP, WALLS

DRAWN = """
...#.C.#...
...#...#...
...#...#...
...#...#...
.L.#...#.R.
...#...#...
...#...#...
...#...#...
...#...#...
...#...#...
.....s.....
""".strip().splitlines()
CELLS = {
    (row, col): mark
    for row, line in enumerate(DRAWN)
    for col, mark in enumerate(line)
    if mark != "#"
}
MOVES = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}


def beside(cell: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """Move -> where it leads, on the map as drawn."""
    row, col = cell
    ends = {move: (row + down, col + right) for move, (down, right) in MOVES.items()}
    return {move: end for move, end in ends.items() if end in CELLS}


def distances(start: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Steps from a cell to every other, breadth first."""
    far, rim = {start: 0}, [start]
    for cell in rim:
        for end in beside(cell).values():
            if end not in far:
                far[end] = far[cell] + 1
                rim.append(end)
    return far


def marked(mark: str) -> tuple[int, int]:
    (cell,) = [cell for cell, found in CELLS.items() if found == mark]
    return cell


def test_cells_are_those_of_the_map():
    number = lambda cell: cell[0] * 11 + cell[1]
    assert number(marked("s")) == START
    assert tuple(number(marked(mark)) for mark in "LCR") == TARGETS
    assert {*WALLS} == {*range(121)} - {number(cell) for cell in CELLS}


def test_legal_steps_are_those_of_the_map():
    cells = [row * 11 + col for row, col in CELLS]
    legal = np.asarray(corridors.legal_steps(jnp.array(cells)))
    for cell, found in zip(CELLS, legal, strict=True):
        assert np.flatnonzero(found).tolist() == sorted(beside(cell)), cell
    assert not corridors.legal_steps(jnp.array([GONE])).any()


def test_only_the_first_step_matters_without_slack():
    """Ten steps lead to each target; nine lead there only after its own first move."""
    start, targets = marked("s"), [marked(mark) for mark in "LCR"]
    assert [distances(start)[target] for target in targets] == [STEPS] * 3
    near = {
        move: [mark for mark in "LCR" if distances(end)[marked(mark)] <= STEPS - 1]
        for move, end in beside(start).items()
    }
    assert near == {LEFT: ["L"], UP: ["C"], RIGHT: ["R"]}
    # two steps of slack pay for one step back, or for a look before the first
    assert all(distances(marked(a))[marked(b)] >= 20 for a in "LCR" for b in "LCR" if a != b)


@pytest.mark.parametrize("game", ["race", "coordination"])
def test_an_ordinary_game_on_the_drawn_map_walks_alike(game):
    """Random moves, illegal ones among them: everybody is where the drawing says."""
    env: Any = envs.make(f"{game},players=2,slack=40")
    draw, step = np.random.default_rng(0), jax.jit(env.step)
    (state, _), places = env.reset(jax.random.key(0)), [marked("s")] * 2
    for time in range(40):
        moves = draw.integers(5, size=2)
        state, shown = step(state, jnp.array(moves))
        ends = [beside(place) for place in places]
        places = [e.get(move, p) for e, move, p in zip(ends, moves.tolist(), places, strict=True)]
        cells = [row * 11 + col for row, col in places]
        assert state.players.tolist() == cells
        assert shown.obs.tolist() == [
            [*cells, *TARGETS, time + 1],
            [*cells[::-1], *TARGETS, time + 1],
        ]


def test_encoding_marks_rows_columns_and_what_is_there():
    obs = jnp.array([112, 255, 4, 45, 255, 53, 4], jnp.uint8)
    encoded = np.asarray(corridors.encode(obs, 16))
    assert encoded.shape == (3 * 22 + 4,)
    assert np.flatnonzero(encoded[:66]).tolist() == [10, 11 + 2, 44 + 0, 44 + 11 + 4]
    assert encoded[66:].tolist() == [1, 0, 1, 0.25]
