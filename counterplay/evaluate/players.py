"""Who is met by protocols, by numbers that hold for all sets: rows of several are in one file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterplay.evaluate.disjoint import opponent_digest
from counterplay.evaluate.protocols import SELF
from counterplay.evaluate.watching import Watching
from counterplay.seats import Roster
from counterplay.types import NO_TYPE

Player = tuple[str, str]
"""The set in which somebody is met, SELF for whoever is under evaluation; and the name."""


def renumbered(
    numbers: dict[Player, int], roster: Roster, w: Watching, seat: int, name: str
) -> Watching:
    """The same with these numbers for opponent_id, which every roster counts from 0 on.

    ``name`` is that of the set at all seats but ``seat``. Whoever has no number gets the next one.
    """
    others = [i for i in range(roster.num_seats) if i != seat]
    parts = []
    for of, seats, ids in (
        (SELF, [seat], w.opponent_id[..., :1]),
        (name, others, w.opponent_id[..., 1:]),
    ):
        own = np.full(max(roster.ids) + 1, NO_TYPE)
        for i in _seated(roster, seats):
            own[i] = numbers.setdefault((of, roster.ids[i]), len(numbers))
        parts.append(own[ids])
    return w._replace(opponent_id=np.concatenate(parts, -1))


def _seated(roster: Roster, seats: Sequence[int]) -> list[int]:
    """opponent_id of everybody who may sit there."""
    kinds = {table[seat].kind for table in roster.tables for seat in seats}
    return sorted({i for kind in kinds for i in roster.kinds[kind].ids})


def named(numbers: Mapping[Player, int], sets: Sequence[str], game: str | None) -> dict[str, Any]:
    """Of each number in rows of these sets who it is, from which set, and what it is known by.

    Whoever is under evaluation has no digest: a run is known by its checkpoint.
    """
    here = {i: player for player, i in numbers.items() if player[0] in (SELF, *sets)}
    return {
        "opponents": {i: text for i, (_, text) in here.items()},
        "opponent_sets": {i: of for i, (of, _) in here.items()},
        "opponent_digests": {
            i: opponent_digest(text, game) for i, (of, text) in here.items() if of != SELF
        },
    }
