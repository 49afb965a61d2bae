"""How rules walk on a board: straight to the nearest of the cells they aim at."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def distances(place: Bool[Array, " cells"], size: int) -> Int[Array, " cells"]:
    """Manhattan distance from the one marked cell to every cell."""
    rows, cols = jnp.divmod(jnp.arange(size * size), size)
    return abs(rows - jnp.where(place, rows, 0).sum()) + abs(cols - jnp.where(place, cols, 0).sum())


def steps_to(
    aim: Bool[Array, " cells"], me: Bool[Array, " cells"], legal: Bool[Array, " A"], size: int
) -> Bool[Array, " A"]:
    """The legal steps that bring me nearer to the nearest cell aimed at, ties to the first cell.

    Every legal step when none does, or when there is no such cell.
    """
    target = jnp.argmin(jnp.where(aim, distances(me, size), 2 * size))
    here = jnp.where(aim.any(), jnp.argmax(me), target)
    return steps_towards(here, target, legal, size)


def steps_towards(
    here: Int[Array, ""], target: Int[Array, ""], legal: Bool[Array, " A"], size: int
) -> Bool[Array, " A"]:
    """The legal steps that bring me nearer to a cell; every legal step when none does."""
    down, right = target // size - here // size, target % size - here % size
    steps = legal[:4]
    nearer = steps & jnp.stack([down < 0, down > 0, right < 0, right > 0])
    chosen = jnp.where(nearer.any(), nearer, steps)
    return jnp.concatenate([chosen, jnp.zeros(legal.shape[0] - 4, bool)])
