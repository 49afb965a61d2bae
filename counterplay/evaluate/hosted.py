"""Evaluation in the ordinary loop: games outside JAX, and policies in ordinary Python."""

from collections.abc import Callable
from typing import Any

import numpy as np

from counterplay.evaluate.returns import EVALUATION, Tally, no_tally, tally_up
from counterplay.rollout_host import collect_host, open_host
from counterplay.seats import Roster, Seating

COPIES = 16
LONGEST_CHUNK = 32


def tally_hosted(
    env: Any,
    roster: Roster,
    episodes: int,
    labels: int,
    seed: int,
    greedy: bool,
    match: int,
    progress: Callable[[int], None],
) -> tuple[Tally, Seating]:
    """Plays until every lane has its share of the episodes of all labels."""
    matches = -(-episodes * labels // match)
    lanes = roster.lanes_for(min(COPIES, matches))
    seating = roster.seating(lanes)
    quota = match * -(-matches // lanes)
    first, *seeds = np.random.default_rng([seed, EVALUATION]).integers(2**31, size=2)
    games = open_host(env, seating, roster.others, int(first))
    tally, turn = no_tally(seating), 0
    try:
        while np.min(tally.count) < quota:
            games, chunk = collect_host(
                env,
                seating,
                roster.others,
                games,
                int(seeds[0]) + turn,
                slots=min(env.horizon, LONGEST_CHUNK),
                match=match,
                greedy=greedy,
            )
            tally, turn = tally_up(tally, chunk.slots, quota), turn + 1
            progress(int(np.sum(tally.count)))
    finally:
        games.close()
    return tally, seating
