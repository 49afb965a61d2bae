"""The scenarios in which opponent models are measured: a game, a match, and versions that stay.

What a version says is frozen: results of different versions are never compared.
"""

from dataclasses import dataclass, field
from typing import Any

from counterplay.names import unknown


@dataclass(frozen=True)
class Scenario:
    """A game against its sets of opponents, with the learner in seat ``seat``."""

    name: str
    """GAME[:PRESET][-once]-vK; ``once`` are matches of one episode."""
    game: str
    """As ``--env`` takes it."""
    match: int
    """Episodes that a match has."""
    seat: int = 0
    budget: int = 500_000
    """Environment steps of an agent; references may take three times as many."""
    matches: int = 1000
    """Matches by which each reference is reported."""
    training: dict[str, Any] = field(default_factory=dict, hash=False)
    """Settings of PPO for the references."""
    reader: str = "counterplay.evaluate.reading:public"
    """What makes the exact inference over the others: ``module:function(env, rules, seat)``."""
    tables: bool = False
    """Tables stand beside networks among its references, as the repeated matrix games have them."""
    weak: bool = False
    """Its published blind player is known to be too weak: no adaptation score is told."""
    beside: bool = False
    """Published for comparison with another of the same game: benchmarks leave it out."""

    @property
    def balanced(self) -> bool:
        """As many matches with each opponent are measured: one that always cooperates is worth
        several times one that never does, and who is met how often would decide what is found."""
        return self.tables

    def alike(self, kinds: int) -> int | None:
        """So many opponents where as many matches count with each, None where all matches do."""
        return kinds if self.balanced else None

    @property
    def measured(self) -> dict[str, str]:
        """What a job has to say of it: results that were measured in another way are others."""
        return {"balanced": "turns"} if self.balanced else {}

    @property
    def file(self) -> str:
        return self.name.replace(":", "-")


_SMALL = {"slots": 32, "widths": (64, 64), "learning_rate": 1e-3}
_LONG = _SMALL | {"gamma": 0.95, "lanes": 256, "epochs": 4}
"""Repeated games that a whole episode decides."""
_REPEATED: dict[str, Any] = {"budget": 1_000_000, "matches": 4000, "training": _LONG}
_MATCH = _SMALL | {"gamma": 0.97}
_UNSEEN: dict[str, Any] = {"budget": 1_500_000, "matches": 200}
_UNSEEN |= {"training": _MATCH | {"lanes": 128, "epochs": 4}}
"""Walks to be learnt with many small updates, and inference that takes its time."""
_SHORT: dict[str, Any] = _UNSEEN | {"budget": 500_000}
"""The same in less than half the slots."""
_HIDDEN = "counterplay.evaluate.reading_hidden:"
_SLACK: dict[str, Any] = {"training": _MATCH, "beside": True}
"""Time to see where the others go before it is too late."""
_ONCE: dict[str, Any] = {"match": 1, "matches": 4000, "beside": True}
"""Nothing can be learnt of the others but within the episode."""
_BRIEF: dict[str, Any] = _ONCE | {"matches": 2000}
"""The same where inference takes its time."""
_RARE: dict[str, Any] = _ONCE | {"matches": 1000}
"""And where a match tells more."""

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("matrix:pd-v1", "matrix:pd", 1, **_REPEATED, weak=True),
        Scenario("matrix:chicken-v1", "matrix:chicken", 1, **_REPEATED, weak=True),
        Scenario("matrix:stag-v1", "matrix:stag", 1, **_REPEATED, weak=True),
        # many short episodes: whoever forgets between them has to start anew
        Scenario("matrix:pd-v2", "matrix:pd,horizon=5", 20, **_REPEATED, tables=True),
        Scenario("matrix:stag-v2", "matrix:stag,horizon=2", 50, **_REPEATED, tables=True),
        Scenario("race:slack2-v1", "race:slack2", 20, **_SLACK),
        Scenario("race:slack4-v1", "race:slack4", 20, **_SLACK),
        Scenario("race-once-v1", "race:narrow", **_ONCE, training=_MATCH),
        Scenario("coordination-once-v1", "coordination:narrow", **_ONCE, training=_MATCH),
        Scenario("pursuit-once-v1", "pursuit", **_SHORT | _BRIEF, reader=f"{_HIDDEN}pursuit"),
        Scenario(
            "scissors-once-v1", "scissors:short", **_SHORT | _RARE, reader=f"{_HIDDEN}scissors"
        ),
        Scenario("race-v1", "race", 20, training=_MATCH),
        Scenario("coordination-v1", "coordination", 20, budget=300_000, training=_MATCH),
        Scenario("race-v2", "race:narrow", 20, training=_MATCH),
        Scenario("coordination-v2", "coordination:narrow", 20, budget=300_000, training=_MATCH),
        Scenario("pursuit-v1", "pursuit", 20, **_UNSEEN, reader=f"{_HIDDEN}pursuit"),
        # the first had twice the slots, and too little headroom to be published
        Scenario("scissors-v2", "scissors:short", 20, **_SHORT, reader=f"{_HIDDEN}scissors"),
        Scenario("stag_hunt:4x4-v1", "stag_hunt:4x4", 20, training=_MATCH),
        Scenario("snowdrift:4x4-v1", "snowdrift:4x4", 20, training=_MATCH),
    )
}


def scenario_of(text: str) -> Scenario:
    """The scenario of that name; without a version, the latest of that game."""
    if text in SCENARIOS:
        return SCENARIOS[text]
    found = [s for name, s in SCENARIOS.items() if name.rpartition("-v")[0] == text]
    if found:
        return found[-1]
    if played := [name for name, s in SCENARIOS.items() if s.game == text]:
        raise ValueError(f"{text} is the game of {' and '.join(played)}: name the scenario")
    raise unknown("scenario", text, SCENARIOS)


def newest(name: str | None) -> Scenario | None:
    """The latest version of that scenario; None where it is the latest itself, or is none."""
    if name is None or name not in SCENARIOS:
        return None
    last = scenario_of(name.rpartition("-v")[0])
    return None if last.name == name else last
