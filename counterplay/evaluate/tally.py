"""Sums over whole episodes and matches, and the means and standard errors made of them.

Episodes of one match share opponents and memory, so matches, not episodes, are independent: the
error is that of a mean over matches.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

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

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% of the focal mean, by Student's t over matches; None without a second match."""
        if self.focal_mean is None or self.focal_error is None or self.matches < 2:
            return None
        from counterplay.evaluate.statistics import student_interval  # SciPy takes its time

        found = student_interval(self.focal_mean, self.focal_error, self.matches)
        return float(found.low), float(found.high)


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


def counted(tally: Tally, slots: dict[str, Array], quota: Any) -> Int[Array, "L T"]:
    """Which episode of its lane, from 1, ended in each slot; 0 where none did or it is too many."""
    over = slots["terminated"] | slots["truncated"]
    number = tally.episodes[:, None] + jnp.cumsum(over, axis=1)
    return jnp.where(over & (number <= jnp.reshape(quota, (-1, 1))), number, 0)


@jax.jit
def tally_up(tally: Tally, slots: dict[str, Array], quota: Any, match: Any) -> Tally:
    """Adds the episodes that ended in a chunk, up to ``quota`` a lane, ``match`` to a match."""
    number = counted(tally, slots, quota)
    counts = number > 0
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
    tables = len(roster.tables)
    each = np.repeat(np.arange(tables), len(tally.episodes) // tables)
    labels = roster.labels or ("",) * tables
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    number = np.array([numbers[label] for label in labels])[each]
    seats = np.array(roster.focal)[each] if roster.focal else each
    rows = []
    for label, i in numbers.items():
        here = np.flatnonzero(number == i)
        episodes = int(np.asarray(tally.episodes)[here].sum())
        total = np.asarray(tally.total)[here].astype(np.float64)
        square = np.asarray(tally.square)[here].astype(np.float64)
        matches = episodes // match
        mean, error = _mean(total.sum(0), square.sum(0), matches, match)
        focal_mean = focal_error = None
        if roster.focal:
            mine = lambda x, seat=seats[here]: np.take_along_axis(x, seat[:, None], 1).sum()
            focal_mean, focal_error = map(float, _mean(mine(total), mine(square), matches, match))
        length = float(np.asarray(tally.length)[here].sum() / episodes)
        rows.append(Row(label, episodes, matches, mean, error, length, focal_mean, focal_error))
    return rows


def _mean(total: Any, square: Any, matches: int, match: int) -> tuple[Any, Any]:
    """Mean return of an episode, and its error, from the returns of matches and their squares."""
    mean = total / matches
    variance = np.maximum(square / matches - mean**2, 0) * matches / max(matches - 1, 1)
    return mean / match, np.sqrt(variance / matches) / match
