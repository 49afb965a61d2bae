"""Marks of privileges: what a player had at play, or its training, that the rules of a game give
nobody."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from counterplay.algos import module_of
from counterplay.seats import Chair, Roster, needs_state

TRUE_SIMULATOR = "S"
MEANING: dict[str, str] = {
    TRUE_SIMULATOR: "true simulator at play",
    "s": "true simulator at training",
    "G": "given, at training, which goals the others completed or declared",
    "O": "others' observations, or what they earned, at training",
    "P": "a library of policies of its own",
    "T": "told, at training, which opponent sat where",
}
NONE = "-"
"""In tables, of whoever has no privilege."""


def mark_of(policy: Any) -> str:
    """ "S" for a policy that reads the true simulator, else nothing."""
    return TRUE_SIMULATOR if needs_state(policy) else ""


def in_training(algorithm: str, settings: Mapping[str, Any], num_goals: int) -> str:
    """What a training gives a learner beyond its own views, by what its ``Config`` says of such
    settings; ``num_goals`` are those of the game. ValueError for an unknown algorithm."""
    told = getattr(import_module(module_of(algorithm)).Config, "privileges", None)
    return told(settings, num_goals) if told else ""


def marks_of(roster: Roster) -> dict[str, str]:
    """Name -> mark, of everyone who has one; who plans has the planner in the name."""
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
