"""Mean returns over whole episodes, without favouring the short ones.

Every lane plays the same number of episodes and only those count, so an episode's length does not
decide whether it is seen. Lanes are dealt to all cores; start states and random numbers are those
of evaluation and never those of a training with the same seed.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from counterplay.rollout import Lanes, blame, collect, faults, open_lanes
from counterplay.seats import Roster, Seating
from counterplay.spread import over_cores, seed_numbers, spread_over, start
from counterplay.types import Env

EVALUATION = 0x5EED
"""Folded into the seed, so that evaluation never repeats a training's games."""
MOST_LANES = 4096
LONGEST_CHUNK = 64


class Row(NamedTuple):
    """What one label of a roster earned."""

    label: str
    episodes: int
    mean: np.ndarray
    """Mean undiscounted return, one a seat."""
    error: np.ndarray
    """Standard error of the mean, one a seat."""
    length: float
    """Mean slots an episode."""
    focal_mean: float | None
    """Of the seat under evaluation, over all seats it took; None where none is singled out."""
    focal_error: float | None


class Tally(NamedTuple):
    """Sums over the first episodes of every lane, leaves [L, ...]."""

    count: Array
    total: Array
    square: Array
    length: Array


class _State(NamedTuple):
    lanes: Lanes
    tally: Tally
    key: Array


def tally_up(tally: Tally, slots: dict[str, Array], quota: int) -> Tally:
    """Adds the episodes that ended in a chunk, up to ``quota`` a lane."""
    ended = slots["terminated"] | slots["truncated"]
    before = tally.count[:, None] + jnp.cumsum(ended, axis=1) - ended
    counts = ended & (before < quota)
    returns = jnp.where(counts[:, :, None], slots["returns"], 0.0)
    return Tally(
        tally.count + counts.sum(1),
        tally.total + returns.sum(1),
        tally.square + (returns**2).sum(1),
        tally.length + jnp.where(counts, slots["time"] + 1, 0).sum(1),
    )


def no_tally(seating: Seating) -> Tally:
    """Nothing counted yet."""
    seats = jnp.zeros((seating.lanes, seating.num_seats))
    count = jnp.zeros(seating.lanes, jnp.int32)
    return Tally(count, seats, seats, count)


def evaluate(
    env: Env,
    roster: Roster,
    episodes: int,
    *,
    seed: int = 0,
    greedy: bool = False,
    match: int = 1,
    progress: Callable[[int], None] = lambda episodes: None,
) -> list[Row]:
    """At least ``episodes`` episodes of every label of the roster, one row a label."""
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, found {episodes}")
    if match < 1:
        raise ValueError(f"match must be at least 1 episode, found {match}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must be 0 to {2**31 - 1}, found {seed}")
    labels = len(set(roster.labels)) or 1
    if hasattr(env, "open"):
        from counterplay.evaluate.hosted import tally_hosted

        tally, seating = tally_hosted(env, roster, episodes, labels, seed, greedy, match, progress)
        return rows_of(roster, seating, tally)
    spread = spread_over(1)
    matches = -(-episodes * labels // match)  # played whole: later episodes build on earlier ones
    lanes = roster.lanes_for(min(matches, MOST_LANES), spread.shards)
    seating = roster.seating(lanes // spread.shards)
    quota = match * -(-matches // lanes)
    step = over_cores(spread, partial(_chunk, env, seating, greedy, match, quota))
    init = partial(_init, env, seating, spread.axis, roster.others)
    state = start(spread, init, seed_numbers(seed, 1))
    while True:
        state, (least, done, found) = step(state, roster.others)
        blame(env, seating, jax.tree.map(lambda x: np.sum(x, (0, 1)), found))
        progress(int(np.sum(done)))
        if np.min(least) >= quota:
            break
    # [1, shards, L, ...] -> one entry a lane, shard by shard; every shard holds every table
    tally = jax.tree.map(lambda x: np.asarray(x)[0].reshape(-1, *x.shape[3:]), state.tally)
    whole = Seating(lanes, seating.num_seats, seating.kinds, roster.seating(lanes).places)
    order = np.arange(lanes).reshape(spread.shards, len(roster.tables), -1)
    order = order.swapaxes(0, 1).ravel()
    return rows_of(roster, whole, jax.tree.map(lambda x: x[order], tally))


def _init(env: Env, seating: Seating, axis: str | None, others: tuple, seed: Array) -> _State:
    key = jr.fold_in(jr.key(seed), EVALUATION)
    if axis:
        key = jr.fold_in(key, jax.lax.axis_index(axis))
    lane_key, key = jr.split(key)
    return _State(open_lanes(env, seating, others, lane_key), no_tally(seating), key)


def _chunk(
    env: Env, seating: Seating, greedy: bool, match: int, quota: int, state: _State, others: tuple
) -> tuple[_State, tuple[Array, Array, dict[str, Array]]]:
    key, play_key = jr.split(state.key)
    slots = min(env.horizon, LONGEST_CHUNK)
    lanes, chunk = collect(
        env,
        seating,
        others,
        state.lanes,
        play_key,
        slots=slots,
        match=match,
        greedy=greedy,
        starts=slots,
    )
    tally = tally_up(state.tally, chunk.slots, quota)
    return _State(lanes, tally, key), (
        tally.count.min(),
        tally.count.sum(),
        faults(chunk.slots),
    )


def rows_of(roster: Roster, seating: Seating, tally: Tally) -> list[Row]:
    """Means and standard errors from sums; lanes come table by table."""
    each = seating.lanes // len(roster.tables)
    labels = roster.labels or ("",) * len(roster.tables)
    table = np.repeat(np.arange(len(roster.tables)), each)
    rows = []
    for label in dict.fromkeys(labels):
        here = np.array([labels[t] == label for t in table])
        count = int(np.asarray(tally.count)[here].sum())
        total = np.asarray(tally.total)[here].astype(np.float64)
        square = np.asarray(tally.square)[here].astype(np.float64)
        mean, error = _mean(total.sum(0), square.sum(0), count)
        focal_mean = focal_error = None
        if roster.focal:
            seat = np.array([roster.focal[t] for t in table[here]])
            mine = lambda x, seat=seat: np.take_along_axis(x, seat[:, None], 1).sum()
            focal_mean, focal_error = map(float, _mean(mine(total), mine(square), count))
        length = float(np.asarray(tally.length)[here].sum() / count)
        rows.append(Row(label, count, mean, error, length, focal_mean, focal_error))
    return rows


def _mean(total: Any, square: Any, count: int) -> tuple[Any, Any]:
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0) * count / max(count - 1, 1)
    return mean, np.sqrt(variance / count)
