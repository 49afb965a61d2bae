"""Marks of privileges: what a player had at play that the rules of a game give nobody."""

from collections.abc import Iterable
from typing import Any

from counterplay.seats import Chair, Roster, needs_state

TRUE_SIMULATOR = "S"
MEANING: dict[str, str] = {TRUE_SIMULATOR: "true simulator at play"}


def mark_of(policy: Any) -> str:
    """ "S" for a policy that reads the true simulator, else nothing."""
    return TRUE_SIMULATOR if needs_state(policy) else ""


def marks_of(roster: Roster) -> dict[str, str]:
    """Name -> mark, of everyone who has one; a policy that sits elsewhere without is meant, too."""
    marks = [(kind, mark_of(kind.policy)) for kind in roster.kinds]
    return {name: mark for kind, mark in marks if mark for name in kind.ids.values()}


def told_at(roster: Roster, seats: Iterable[Iterable[Chair]]) -> list[str]:
    """The marks of whoever sits on these chairs, one entry for each group of them."""
    of_kind = [mark_of(kind.policy) for kind in roster.kinds]
    return ["".join(sorted({of_kind[chair.kind] for chair in chairs})) for chairs in seats]


def marks_of_tables(roster: Roster) -> list[str]:
    """Of the seat under evaluation at each table; of anybody there where none is singled out."""
    focal = roster.focal or (None,) * len(roster.tables)
    pairs = zip(roster.tables, focal, strict=True)
    return told_at(roster, [table if seat is None else [table[seat]] for table, seat in pairs])


def by_label(roster: Roster) -> dict[str, str]:
    """Label -> the marks of its tables."""
    labels = roster.labels or ("",) * len(roster.tables)
    found: dict[str, set[str]] = {}
    for label, mark in zip(labels, marks_of_tables(roster), strict=True):
        found.setdefault(label, set()).update(mark)
    return {label: "".join(sorted(marks)) for label, marks in found.items()}


def meanings(marks: Iterable[str]) -> list[str]:
    """A line for every mark that occurs in these."""
    return [f"{mark}: {MEANING[mark]}" for mark in sorted(set("".join(marks)))]
