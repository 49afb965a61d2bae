"""``counterplay study goal-choice``: what a goal should be."""

from dataclasses import dataclass, replace
from typing import Any

from counterplay.bench.agents import MANY, Players, met
from counterplay.console import read
from counterplay.settings import check_least

LIKE: dict[str, Any] = MANY | {"types": 1}
"""Types are left out, so that goals are all that is told of the others."""
VARIANTS: Players = {
    "none": ("goal_ppo", LIKE | {"goals": "none"}),
    "events": ("goal_ppo", LIKE | {"goals": "events"}),
    "events+habit": ("goal_ppo", LIKE | {"goals": "events", "habit": 0.02}),
    "declared": ("goal_ppo", LIKE | {"goals": "declared"}),
    **{f"codes-{k}": ("goal_ppo", LIKE | {"goals": "codes", "codes": k}) for k in (2, 4, 8, 16)},
}
"""Declared intents are told to no learner elsewhere: here they show what such labels would add.
With a habit what somebody reached in earlier episodes of a match counts when goals begin anew."""
QUICK = ("none", "events", "events+habit", "declared", "codes-4")
QUICK_STEPS = 400_000


@dataclass(frozen=True)
class GoalChoice:
    """Train the same agent with goals that are events, declared intents, codes, or nothing."""

    scenarios: tuple[str, ...] = ("race", "coordination", "pursuit")
    """Scenarios of games that have goals, with references that are published."""
    quick: bool = False
    """Two seeds, the first scenario, five of the variants and 400,000 steps: minutes instead of
    hours."""
    seed: int = 300
    """First seed of training."""
    seeds: int = 10
    """Trainings of each."""
    steps: int | None = None
    """Environment steps of each training; by default the scenario's budget."""
    matches: int | None = None
    """Matches by which each is reported, against either set; by default the scenario's."""
    out: str = "runs/goal-choice"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, steps=1, matches=40)


def main(args: list[str]) -> int:
    """``counterplay study goal-choice``"""
    title = "study goal-choice"
    return study(read(GoalChoice, args, title), VARIANTS, QUICK, title, QUICK_STEPS)


def study(chosen: Any, variants: Players, quick: tuple[str, ...], title: str, steps: int) -> int:
    """Every variant in every scenario, or few of them, as a queue that goes on; prints a table.

    ``steps`` are those of a training where it is to be quick, in place of the scenario's budget.
    """
    if chosen.quick:
        variants = {name: variants[name] for name in quick}
    return met(short(chosen, steps), variants, title)


def short(chosen: Any, steps: int, matches: int | None = None) -> Any:
    """The same settings, with less of everything where it is to be quick: two seeds, the first
    scenario, and so many steps a training and matches, unless others are asked for."""
    if not chosen.quick:
        return chosen
    return replace(
        chosen,
        scenarios=chosen.scenarios[:1],
        seeds=min(chosen.seeds, 2),
        steps=chosen.steps or steps,
        matches=chosen.matches or matches,
    )
