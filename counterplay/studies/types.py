"""``counterplay study types``: are diverse opponents grouped, and are they told apart?"""

from dataclasses import dataclass

from counterplay.bench.agents import Players
from counterplay.console import read
from counterplay.studies.goal_choice import GoalChoice, study

VARIANTS: Players = {
    "none": ("goal_ppo", {"types": 1}),
    "opponents": ("goal_ppo", {}),
    **{f"moves-{k}": ("goal_ppo", {"types_from": "moves", "types": k}) for k in (2, 4, 8, 16)},
    "amortised": ("goal_ppo", {"belief": "amortised"}),
}
"""Types by who sits there, or whatever tells moves apart; by Bayes' rule, or by the network."""
QUICK = ("none", "opponents", "moves-8")


@dataclass(frozen=True)
class Types(GoalChoice):
    """Train the same agent with types that are its opponents, codes of their moves, or none."""

    scenarios: tuple[str, ...] = ("race", "coordination", "matrix:pd")
    """Scenarios."""
    seed: int = 400
    """First seed of training."""
    out: str = "runs/types"
    """Folder of the queue; a second call goes on where the first was stopped."""


def main(args: list[str]) -> int:
    """``counterplay study types``"""
    return study(read(Types, args, "study types"), VARIANTS, QUICK, "study types")
