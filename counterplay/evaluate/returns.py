"""Mean returns over whole episodes, without favouring the short ones.

Every lane plays the same number of episodes and only those count, so an episode's length does not
decide whether it is seen. Lanes are dealt to all cores; start states and random numbers are those
of evaluation and never those of a training with the same seed.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array

from counterplay.envs.running import Breaks
from counterplay.errors import GameError
from counterplay.evaluate.rows import Ended, EpisodeRows, ended
from counterplay.evaluate.spent import CALLS, Spent, spent_in
from counterplay.evaluate.tally import Row, Tally, no_tally, rows_of, tally_up
from counterplay.rollout import Lanes, blame, collect, faults, open_lanes
from counterplay.seats import Kind, Roster, Seating
from counterplay.spread import Spread, over_cores, seed_numbers, shard_key, spread_over, start
from counterplay.types import Env

EVALUATION = 0x5EED
"""Folded into the seed, so that evaluation never repeats a training's games."""
MOST_LANES = 4096
LONGEST_CHUNK = 64

Progress = Callable[[int, int], None]
"""Told how many episodes are done, and of how many."""


class _State(NamedTuple):
    lanes: Lanes
    tally: Tally
    key: Array


def evaluate(
    env: Env,
    roster: Roster,
    episodes: int,
    *,
    seed: int = 0,
    greedy: bool = False,
    match: int = 1,
    progress: Progress = lambda done, total: None,
    rows: EpisodeRows | None = None,
    breaks: Breaks | None = None,
    spent: Spent | None = None,
    most_lanes: int | None = None,
) -> list[Row]:
    """At least ``episodes`` episodes of every label of the roster, one row a label.

    ``rows`` takes down every episode that counts. ``breaks`` says what to do where a game in
    ordinary Python breaks, and counts; by default that is an error. ``spent`` counts what those
    who plan need for it. At most ``most_lanes`` games are played side
    by side, MOST_LANES by default.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, found {episodes}")
    if match < 1:
        raise ValueError(f"match must be at least 1 episode, found {match}")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must be 0 to {2**31 - 1}, found {seed}")
    labels = len(set(roster.labels)) or 1
    matches = -(-episodes * labels // match)  # played whole: later episodes build on earlier ones
    if hasattr(env, "open"):
        from counterplay.evaluate.hosted import tally_hosted

        play = partial(tally_hosted, breaks=breaks)
    else:
        play = partial(tally_jitted, spent=spent, most_lanes=most_lanes)
    tally = play(env, roster, matches, seed, greedy, match, progress, rows)
    _check_finite(env, tally)
    return rows_of(roster, tally, match)


def _check_finite(env: Env, tally: Tally) -> None:
    """GameError where somebody's return is not a number to take a mean of."""
    bad = ~np.isfinite(np.asarray(tally.total))
    if bad.any():
        lane, seat = np.argwhere(bad)[0].tolist()
        raise GameError(
            f"{env}: the return of seat {seat} is not finite (lane {lane}): the game paid or "
            "showed somebody a NaN or an infinity, as a division by 0 or a logarithm in it would"
        )


def tally_jitted(
    env: Env,
    roster: Roster,
    matches: int,
    seed: int,
    greedy: bool,
    match: int,
    progress: Progress,
    rows: EpisodeRows | None,
    spent: Spent | None = None,
    most_lanes: int | None = None,
) -> Tally:
    """Plays until every lane has its share of the matches of all labels."""
    spread = spread_over(1)
    lanes = roster.lanes_for(min(matches, most_lanes or MOST_LANES), spread.shards)
    seating = roster.seating(lanes // spread.shards)
    quota = match * -(-matches // lanes)
    programs = _programs if isinstance(env, Hashable) else _programs.__wrapped__
    begin, step = programs(env, alike(seating), spread, greedy, match, rows is not None)
    # [1, shards, L, ...] -> one entry a lane, shard by shard; every shard holds every table
    order = np.arange(lanes).reshape(spread.shards, len(roster.tables), -1)
    order = order.swapaxes(0, 1).ravel()
    if rows is not None:
        rows.open(roster, lanes, match)
    state = begin(seed_numbers(seed, 1), roster.others)
    while True:
        state, (least, done, found, chunk) = step(state, roster.others, np.int32(quota))
        found = jax.tree.map(lambda x: np.sum(x, (0, 1)), found)
        blame(env, seating, found)
        if spent is not None and CALLS in found:
            spent.add(int(found["decisions"]), int(found[CALLS]))
        if rows is not None:
            rows.add(chunk, np.argsort(order))
        progress(int(np.sum(done)), lanes * quota)
        if np.min(least) >= quota:
            break
    tally = jax.tree.map(lambda x: np.asarray(x)[0].reshape(-1, *x.shape[3:]), state.tally)
    return jax.tree.map(lambda x: x[order], tally)


def alike(seating: Seating) -> Seating:
    """One and the same object for all seatings of one layout, without names and policies.

    So what was compiled for one roster serves every other of its kind.
    """
    kinds = tuple((kind.members, kind.learner, kind.first_id) for kind in seating.kinds)
    places = tuple((p.shape, p.astype(np.int64).tobytes()) for p in seating.places)
    return _seating(seating.lanes, seating.num_seats, kinds, places)


@lru_cache(maxsize=32)
def _seating(lanes: int, num_seats: int, kinds: tuple, places: tuple) -> Seating:
    bare = tuple(Kind("", members, learner, None, first) for members, learner, first in kinds)
    arrays = tuple(np.frombuffer(data, np.int64).reshape(shape) for shape, data in places)
    return Seating(lanes, num_seats, bare, arrays)


@lru_cache(maxsize=32)
def _programs(
    env: Env, seating: Seating, spread: Spread, greedy: bool, match: int, detailed: bool
) -> tuple[Callable, Callable]:
    """``begin(seeds, others)`` and ``step(state, others, quota)``, compiled when first called."""

    def begin(seeds, others):
        return start(spread, partial(_init, env, seating, spread.axis, others), seeds)

    return jax.jit(begin), over_cores(
        spread, partial(_chunk, env, seating, greedy, match, detailed)
    )


def _init(env: Env, seating: Seating, axis: str | None, others: tuple, seed: Array) -> _State:
    lane_key, key = jr.split(shard_key(jr.fold_in(jr.key(seed), EVALUATION), axis))
    return _State(open_lanes(env, seating, others, lane_key), no_tally(seating), key)


def _chunk(
    env: Env,
    seating: Seating,
    greedy: bool,
    match: int,
    detailed: bool,
    state: _State,
    others: tuple,
    quota: Array,
) -> tuple[_State, tuple[Array, Array, dict[str, Array], Ended | None]]:
    key, play_key = jr.split(state.key)
    slots = min(env.horizon, LONGEST_CHUNK)
    size = {"slots": slots, "starts": slots, "match": match, "greedy": greedy}
    lanes, chunk = collect(env, seating, others, state.lanes, play_key, **size)
    episodes = ended(state.tally, chunk.slots, quota) if detailed else None
    tally = tally_up(state.tally, chunk.slots, quota, match)
    counts = faults(chunk.slots) | spent_in(seating, chunk)
    told = tally.episodes.min(), tally.episodes.sum(), counts, episodes
    return _State(lanes, tally, key), told
