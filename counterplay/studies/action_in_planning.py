"""``counterplay study action-in-planning``: how predicted moves enter, once no search needs them.

What the policy is told of the others' next moves, crossed with what planning expects of them: the
belief's whole mixture, draws from it, the likeliest move of each, any legal move alike, or no
planning at all. All else of a plan is the same.
"""

from dataclasses import dataclass
from typing import Any

from counterplay.bench.agents import MANY, Players
from counterplay.console import read
from counterplay.studies.goal_choice import GoalChoice, study

INPUTS = ("distribution", "argmax", "sample", "none")
"""What the policy is told."""
PLANS: dict[str, dict[str, Any]] = {
    "mixture": {"plan": "full", "samples": 0},
    "draws": {"plan": "full", "samples": 2},
    "likeliest": {"plan": "likeliest", "samples": 1},
    "even": {"plan": "even", "samples": 0},
    "none": {"plan": "none"},
}
"""What is planned with; with ``even`` the others are ignored."""
VARIANTS: Players = {
    f"{told}+{plan}": ("counterplay", MANY | {"action_input": told} | settings)
    for told in INPUTS
    for plan, settings in PLANS.items()
}
"""Told + planned with. Types and goals are believed, and told, in all of them."""
QUICK = tuple(f"{told}+{plan}" for told in ("distribution", "none") for plan in ("mixture", "none"))
QUICK_STEPS = 100_000


@dataclass(frozen=True)
class ActionInPlanning(GoalChoice):
    """Train one agent whose predicted moves are told to its policy, planned with, or neither."""

    scenarios: tuple[str, ...] = ("race", "coordination")
    """Scenarios, with references that are published."""
    quick: bool = False
    """Two seeds, the first scenario, four variants and 100,000 steps: a part of the time."""
    seed: int = 700
    """First seed of training."""
    out: str = "runs/action-in-planning"
    """Folder of the queue; a second call goes on where the first was stopped."""


def main(args: list[str]) -> int:
    """``counterplay study action-in-planning``"""
    title = "study action-in-planning"
    return study(read(ActionInPlanning, args, title), VARIANTS, QUICK, title, QUICK_STEPS)
