"""What config.json says of a roster: who learns, and whom they meet."""

from pathlib import Path
from typing import Any


def same_opponents(folder: Path, roster: Any) -> None:
    """ValueError where a pool file or a list names others than when the run began."""
    from counterplay.runs import read_config

    old, new = read_config(folder).get("opponents"), opponents_of(roster)
    if old is not None and old != new:
        raise ValueError(
            f"--resume {folder}: opponents were {', '.join(filter(None, old))} in that run, found "
            f"{', '.join(filter(None, new))}: did a pool file change? Put it back as it was"
        )


def learners_of(roster: Any) -> list[dict[str, Any]]:
    """What config.json says of each kind of learner: its name, members and seats."""
    kinds = []
    for i, kind in enumerate(roster.kinds):
        if kind.learner:
            seats = {seat for table in roster.tables for seat, c in enumerate(table) if c.kind == i}
            kinds.append({"name": kind.name, "members": kind.members, "seats": sorted(seats)})
    return kinds


def opponents_of(roster: Any) -> list[str]:
    """Names by opponent_id."""
    names = roster.ids
    return [names.get(i, "") for i in range(max(names) + 1)]
