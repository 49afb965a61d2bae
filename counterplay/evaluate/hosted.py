"""Evaluation in the ordinary loop: games outside JAX, and policies in ordinary Python."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from counterplay.envs.running import Breaks
from counterplay.evaluate.returns import EVALUATION, Progress, alike
from counterplay.evaluate.rows import EpisodeRows, ended
from counterplay.evaluate.tally import Tally, counted, no_tally, tally_up
from counterplay.rollout_host import collect_host, open_host
from counterplay.seats import Roster

COPIES = 16
LONGEST_CHUNK = 32
ENDS = ("terminated", "truncated")


def tally_hosted(
    env: Any,
    roster: Roster,
    matches: int,
    seed: int,
    greedy: bool,
    match: int,
    progress: Progress,
    rows: EpisodeRows | None,
    breaks: Breaks | None = None,
) -> Tally:
    """Plays until every lane has its share of the matches of all labels."""
    lanes = roster.lanes_for(min(COPIES, matches))
    seating = alike(roster.seating(lanes))
    quota = match * -(-matches // lanes)
    first, *seeds = np.random.default_rng([seed, EVALUATION]).integers(2**31, size=2)
    games = open_host(env, seating, roster.others, int(first), breaks=breaks)
    found, turn = Counted(no_tally(seating), np.zeros(lanes, np.int32)), 0
    if rows is not None:
        rows.open(roster, lanes, match)
    size = {"slots": min(env.horizon, LONGEST_CHUNK), "match": match, "greedy": greedy}
    try:
        while np.min(found.tally.episodes) < quota:
            key = int(seeds[0]) + turn
            games, chunk = collect_host(env, seating, roster.others, games, key, **size)
            found, turn = count(found, chunk.slots, quota, match, rows), turn + 1
            progress(int(np.sum(found.tally.episodes)), lanes * quota)
    finally:
        games.close()
    return found.tally


class Counted(NamedTuple):
    """A tally, and what it takes to take back the match under way."""

    tally: Tally
    length: np.ndarray
    """Slots of its episodes so far, [L]."""


def count(
    found: Counted, slots: dict[str, Any], quota: int, match: int, rows: EpisodeRows | None
) -> Counted:
    """Adds a chunk, without the episodes of a match that was not played to its end.

    It ends early where the game breaks: the next slot begins another match.
    """
    at, ends = 0, {name: np.asarray(slots[name]) for name in ENDS}
    over, contact = ends["terminated"] | ends["truncated"], np.asarray(slots["contact"])
    slot = np.arange(over.shape[1])
    while True:
        ended_before = np.cumsum(over & (slot >= at), axis=1) - over
        so_far = np.minimum(np.asarray(found.tally.episodes)[:, None] + ended_before, quota)
        broke_off = contact & (slot >= at) & (so_far % match != 0)
        until = int(np.argmax(broke_off.any(0))) if broke_off.any() else len(slot)
        here = (slot >= at) & (slot < until)
        part = slots | {name: jnp.asarray(x & here) for name, x in ends.items()}
        found = _add(found, part, quota, match, rows)
        if until == len(slot):
            return found
        found, at = _take_back(found, broke_off[:, until], match), until


def _add(
    found: Counted, slots: dict[str, Any], quota: int, match: int, rows: EpisodeRows | None
) -> Counted:
    if rows is not None:
        rows.add(ended(found.tally, slots, quota))
    number = np.asarray(counted(found.tally, slots, quota))
    tally = tally_up(found.tally, slots, quota, match)
    before, whole = (np.asarray(t.episodes) // match * match for t in (found.tally, tally))
    under_way = np.where(number > whole[:, None], np.asarray(slots["time"]) + 1, 0).sum(
        1, dtype=np.int32
    )
    return Counted(tally, np.where(whole > before, 0, found.length) + under_way)


def _take_back(found: Counted, lanes: np.ndarray, match: int) -> Counted:
    """Without the episodes of the match under way in these lanes, [L]."""
    tally = jax.tree.map(np.asarray, found.tally)
    taken = Tally(
        tally.episodes - tally.episodes % match,
        tally.total - tally.running,
        tally.square,
        np.zeros_like(tally.running),
        tally.length - found.length,
    )
    keep = lambda old, new: jnp.where(lanes.reshape(-1, *[1] * (old.ndim - 1)), new, old)
    return Counted(jax.tree.map(keep, tally, taken), np.where(lanes, 0, found.length))
