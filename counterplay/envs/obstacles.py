"""Obstacles: one random clump of cells that leaves the rest of a square board in one piece."""

from functools import cache

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, PRNGKeyArray

TRIES = 100
TRIAL = 500
"""Clumps drawn to see whether a game can be made."""


def check(size: int, count: int) -> None:
    """Raises when a board cannot hold that many obstacles. Any smaller number fits."""
    cells = size * size
    if not 0 <= count < cells:
        raise ValueError(
            f"{count} obstacles and one free cell need {max(count, 0) + 1} cells, found {cells} "
            f"on a {size}x{size} board: ask for 0 to {cells - 1}"
        )


def check_layouts(size: int, count: int) -> None:
    """Raises when most layouts would be filled by rows, because clumps cut the board in two.

    A game is made outside jit, where this can be tried; ``grow`` inside jit cannot refuse.
    """
    whole = whole_clumps(size, count)
    if whole * TRIES < TRIAL:
        raise ValueError(
            f"a clump of {count} obstacles on a {size}x{size} board needs the other "
            f"{size * size - count} cells in one piece, found so in {whole} of {TRIAL} clumps: "
            "ask for fewer"
        )


@cache
def whole_clumps(size: int, count: int) -> int:
    """How many of TRIAL clumps leave the board whole."""
    if count in (0, 1, size * size - 1):
        return TRIAL
    with jax.ensure_compile_time_eval():
        whole = jax.jit(jax.vmap(lambda key: connected(~_clump(key, size, count))))
        return int(whole(jr.split(jr.key(0), TRIAL)).sum())


def grow(key: PRNGKeyArray, size: int, count: int) -> Bool[Array, " cells"]:
    """Draws a clump of ``count`` cells, redrawn until the free cells are connected.

    A clump starts at a uniform cell and gains uniform 4-neighbours one at a time. After TRIES
    clumps that each cut the board in two, cells are filled row by row from the upper left.
    """
    check(size, count)
    if count == 0:
        return jnp.zeros(size * size, bool)

    def unsettled(carry):
        tries, _, blocked = carry
        return (tries < TRIES) & ~connected(~blocked)

    def redraw(carry):
        tries, key, _ = carry
        next_key, clump_key = jr.split(key)
        return tries + 1, next_key, _clump(clump_key, size, count)

    first_key, clump_key = jr.split(key)
    start = jnp.int32(1), first_key, _clump(clump_key, size, count)
    _, _, blocked = lax.while_loop(unsettled, redraw, start)
    by_rows = jnp.arange(size * size) < count
    return jnp.where(connected(~blocked), blocked.ravel(), by_rows)


def connected(free: Bool[Array, "size size"]) -> Bool[Array, ""]:
    """Whether every free cell can be walked to from every other."""

    def spread(carry):
        reached, _ = carry
        wider = reached | (_beside(reached) & free)
        return wider, (wider != reached).any()

    first = (jnp.arange(free.size) == jnp.argmax(free.ravel())).reshape(free.shape) & free
    reached, _ = lax.while_loop(lambda carry: carry[1], spread, (first, jnp.array(True)))
    return (reached == free).all()


def _clump(key: PRNGKeyArray, size: int, count: int) -> Bool[Array, "size size"]:
    start_key, grow_key = jr.split(key)
    start = jr.randint(start_key, (), 0, size * size)
    cells = jnp.arange(size * size).reshape(size, size)

    def add(_, carry):
        blocked, key = carry
        next_key, draw_key = jr.split(key)
        rim = _beside(blocked) & ~blocked
        draw = jnp.where(rim, jr.uniform(draw_key, (size, size)), -1.0)
        return blocked | (cells == jnp.argmax(draw)), next_key

    return lax.fori_loop(1, count, add, (cells == start, grow_key))[0]


def _beside(cells: Bool[Array, "size size"]) -> Bool[Array, "size size"]:
    """Cells with a neighbour above, below, left or right among the given ones."""
    wide = jnp.pad(cells, 1)
    return wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
