"""Evaluation in the ordinary loop: games outside JAX, and policies in ordinary Python."""

from typing import Any

import numpy as np

from counterplay.envs.running import Breaks
from counterplay.evaluate.returns import EVALUATION, Progress, alike
from counterplay.evaluate.rows import EpisodeRows, ended
from counterplay.evaluate.tally import Tally, no_tally, tally_up
from counterplay.rollout_host import collect_host, open_host
from counterplay.seats import Roster

COPIES = 16
LONGEST_CHUNK = 32


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
    tally, turn = no_tally(seating), 0
    if rows is not None:
        rows.open(roster, lanes, match)
    size = {"slots": min(env.horizon, LONGEST_CHUNK), "match": match, "greedy": greedy}
    try:
        while np.min(tally.episodes) < quota:
            key = int(seeds[0]) + turn
            games, chunk = collect_host(env, seating, roster.others, games, key, **size)
            if rows is not None:
                rows.add(ended(tally, chunk.slots, quota))
            tally, turn = tally_up(tally, chunk.slots, quota, match), turn + 1
            progress(int(np.sum(tally.episodes)), lanes * quota)
    finally:
        games.close()
    return tally
