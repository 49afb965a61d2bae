"""Sums over whole episodes and matches, and the means and standard errors made of them.

Episodes of one match share opponents and memory, so matches, not episodes, are independent: the
error is that of a mean over matches.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from counterplay.seats import Roster, Seating


class Row(NamedTuple):
    """What one label of a roster earned."""

    label: str
    episodes: int
    matches: int
    mean: np.ndarray
    """Mean undiscounted return of an episode, one a seat."""
    error: np.ndarray
    """Standard error of the mean over matches, one a seat."""
    length: float
    """Mean slots an episode."""
    focal_mean: float | None
    """Of the seat under evaluation, over all seats it took; None where none is singled out."""
    focal_error: float | None


class Tally(NamedTuple):
    """Sums over the first episodes of every lane, leaves [L, ...]."""

    episodes: Array
    total: Array
    square: Array
    """Of the return of every match that is over."""
    running: Array
    """Return of the match under way."""
    length: Array


def no_tally(seating: Seating) -> Tally:
    """Nothing counted yet."""
    seats = jnp.zeros((seating.lanes, seating.num_seats))
    count = jnp.zeros(seating.lanes, jnp.int32)
    return Tally(count, seats, seats, seats, count)


@jax.jit
def tally_up(tally: Tally, slots: dict[str, Array], quota: Any, match: Any) -> Tally:
    """Adds the episodes that ended in a chunk, up to ``quota`` a lane, ``match`` to a match."""
    ended = slots["terminated"] | slots["truncated"]
    number = tally.episodes[:, None] + jnp.cumsum(ended, axis=1)
    counts = ended & (number <= jnp.reshape(quota, (-1, 1)))
    whole = counts & (number % match == 0)
    returns = jnp.where(counts[:, :, None], slots["returns"], 0.0)

    def add(carry, slot):
        running, square = carry
        earned, over = slot[0], slot[1][:, None]
        running = running + earned
        square = square + jnp.where(over, running**2, 0.0)
        return (jnp.where(over, 0.0, running), square), None

    by_slot = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (returns, whole))
    (running, square), _ = jax.lax.scan(add, (tally.running, tally.square), by_slot)
    return Tally(
        tally.episodes + counts.sum(1),
        tally.total + returns.sum(1),
        square,
        running,
        tally.length + jnp.where(counts, slots["time"] + 1, 0).sum(1),
    )


def rows_of(roster: Roster, tally: Tally, match: int) -> list[Row]:
    """Means and standard errors from sums over whole matches; lanes come table by table."""
    lanes = len(tally.episodes)
    labels = roster.labels or ("",) * len(roster.tables)
    table = np.repeat(np.arange(len(roster.tables)), lanes // len(roster.tables))
    rows = []
    for label in dict.fromkeys(labels):
        here = np.array([labels[t] == label for t in table])
        episodes = int(np.asarray(tally.episodes)[here].sum())
        total = np.asarray(tally.total)[here].astype(np.float64)
        square = np.asarray(tally.square)[here].astype(np.float64)
        matches = episodes // match
        mean, error = _mean(total.sum(0), square.sum(0), matches, match)
        focal_mean = focal_error = None
        if roster.focal:
            seat = np.array([roster.focal[t] for t in table[here]])
            mine = lambda x, seat=seat: np.take_along_axis(x, seat[:, None], 1).sum()
            focal_mean, focal_error = map(float, _mean(mine(total), mine(square), matches, match))
        length = float(np.asarray(tally.length)[here].sum() / episodes)
        rows.append(Row(label, episodes, matches, mean, error, length, focal_mean, focal_error))
    return rows


def _mean(total: Any, square: Any, matches: int, match: int) -> tuple[Any, Any]:
    """Mean return of an episode, and its error, from the returns of matches and their squares."""
    mean = total / matches
    variance = np.maximum(square / matches - mean**2, 0) * matches / max(matches - 1, 1)
    return mean / match, np.sqrt(variance / matches) / match
