"""Square boards: sizes, steps, and what is stored and read of who and what stands where.

Cells count row by row from the upper left. The first four actions of every game on a board are
up, down, left, right.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

GONE = -1
"""In place of a cell: who or what has left the board."""
UNSEEN = 255
"""In place of a cell in an observation: gone, or out of sight."""


def check_sizes(game: str, size: int, horizon: int) -> None:
    """ValueError where cells or slots would not fit into the bytes of an observation."""
    if not 2 <= size <= 15:
        raise ValueError(f"{game}: size must be 2 to 15, found {size}")
    if not 1 <= horizon <= 254:
        raise ValueError(f"{game}: horizon must be 1 to 254, found {horizon}")


def steps_inside(places: Int[Array, " N"], size: int) -> Bool[Array, "N 4"]:
    """Which of up, down, left, right stay on the board."""
    col = places % size
    inside = [places >= size, places < size * size - size, col != 0, col != size - 1]
    return jnp.stack(inside, axis=1)


def walk(
    places: Int[Array, " N"], actions: Int[Array, " N"], steps: Bool[Array, "N 4"], size: int
) -> Int[Array, " N"]:
    """Where everybody is after a step; who does not take one of the legal steps stays."""
    shift = jnp.zeros_like(places)
    for action, delta in enumerate((-size, size, -1, 1)):
        shift = jnp.where((actions == action) & steps[:, action], delta, shift)
    return places + shift


def observe(shown: Int[Array, "N X"], time: Int[Array, ""]) -> UInt8[Array, "N D"]:
    """Ego first: my cell, the others' in seat order, then what is no player; then the time.

    Row i of ``shown`` is what seat i sees, cells or UNSEEN: of the N players in order, and of
    everything else.
    """
    n = shown.shape[0]
    seats = (np.arange(n)[:, None] + np.arange(n)) % n
    players = jnp.stack([shown[i, row] for i, row in enumerate(seats)])
    times = jnp.broadcast_to(time, (n, 1))
    return jnp.concatenate([players, shown[:, n:], times], axis=1).astype(jnp.uint8)


def encode(
    obs: UInt8[Array, " D"], counts: Sequence[int], size: int, horizon: int
) -> Float[Array, " F"]:
    """Planes of zeros and ones, [len(counts), size, size] flat; then time / horizon.

    The first ``counts[0]`` cells of an observation are marked on plane 0, and so on.
    """
    plane = np.repeat(np.arange(len(counts)), counts)
    feature = np.arange(len(counts) * size * size + 1)
    # everything shown has one feature, plane * cells + cell: a comparison, not a scatter
    seen = jnp.where(obs[:-1] == UNSEEN, -1, obs[:-1].astype(jnp.int32) + plane * size * size)
    here = (seen[:, None] == feature[None]).any(0).astype(jnp.float32)
    return jnp.where(feature == feature[-1], obs[-1].astype(jnp.float32) / horizon, here)


def around(planes: Float[Array, "X cells"], players: int, size: int) -> Float[Array, "{players} R"]:
    """What lies around each player: for every cell by its rows and columns from there, whether
    another player is on it, and what the planes after those of the players say of it.

    R is (1 + X - players) (2 size - 1)². Beyond the board all is 0, and for who has no cell.
    """
    cells, wide = size * size, 2 * size - 1
    here, row, col = np.ogrid[:cells, :wide, :wide]
    rows, cols = here // size + row - (size - 1), here % size + col - (size - 1)
    inside = (rows >= 0) & (rows < size) & (cols >= 0) & (cols < size)
    place = jnp.asarray(np.where(inside, rows * size + cols, cells).reshape(cells, -1))
    me, rest = planes[:players], planes[players:]

    def of_one(mine: Float[Array, " cells"]) -> Float[Array, " R"]:
        seen = jnp.concatenate([(me.sum(0) - mine)[None], rest])
        seen = jnp.pad(seen, ((0, 0), (0, 1)))[:, place[jnp.argmax(mine)]]
        return jnp.where(mine.any(), seen, 0.0).ravel()

    return jax.vmap(of_one)(me)
