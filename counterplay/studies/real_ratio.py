"""``counterplay study real-ratio``: what learning from imagined moves adds to that from real ones.

At the same number of real steps, policy and value of one agent learn from more and more moves that
were imagined in its own world, with plans and without.
"""

from dataclasses import dataclass

from counterplay.bench.agents import MANY, Players
from counterplay.console import read
from counterplay.studies.goal_choice import GoalChoice, study

RATIOS = (1.0, 0.8, 0.5, 0.2)
"""Share of the decisions learnt from that were really made."""
PLANS = ("full", "none")
VARIANTS: Players = {
    f"{ratio:g}+{plan}": ("counterplay", MANY | {"real_ratio": ratio, "plan": plan})
    for plan in PLANS
    for ratio in RATIOS
}
"""Real share + planned with."""
QUICK = ("1+full", "0.5+full", "1+none", "0.5+none")
QUICK_STEPS = 100_000


@dataclass(frozen=True)
class RealRatio(GoalChoice):
    """Train one agent that learns from real moves alone, or from imagined ones as well."""

    scenarios: tuple[str, ...] = ("race", "coordination")
    """Scenarios, with references that are published."""
    quick: bool = False
    """Two seeds, the first scenario, four variants and 100,000 steps: a part of the time."""
    seed: int = 800
    """First seed of training."""
    out: str = "runs/real-ratio"
    """Folder of the queue; a second call goes on where the first was stopped."""


def main(args: list[str]) -> int:
    """``counterplay study real-ratio``"""
    title = "study real-ratio"
    return study(read(RealRatio, args, title), VARIANTS, QUICK, title, QUICK_STEPS)
