"""The section of a report on what an agent plans: how far it is trusted, in what, and how right."""

from collections.abc import Mapping

import numpy as np

from counterplay.evaluate.planned import AHEAD, LANES
from counterplay.report import figures, plan_strips, rollouts
from counterplay.report.blocks import Block, Image, Note, Section, Text
from counterplay.report.contents import image
from counterplay.report.curves import binned, interval
from counterplay.report.modelling import wide_in_pixels
from counterplay.report.read import GATE, Run
from counterplay.report.thinking import Thought, too_short

ENOUGH = 0.99
"""Of what the model says of legal moves and of who plays on, before plans are trusted."""


def what_it_plans(
    runs: Mapping[int, Run], thoughts: Mapping[int, Thought], names: Mapping[int, str]
) -> Section | None:
    """Pictures a run; None where no run has learnt to plan."""
    blocks: list[Block] = []
    for i, run in runs.items():
        name = names[i]
        if any(metric in run.metrics for metric in GATE):
            blocks.append(gate(run, name, f"plan-gate-{i + 1}.png"))
        if i in thoughts:
            blocks += shown(thoughts[i], name, i + 1)
    if not blocks:
        return None
    words = (
        "Plans are made in a model of the game that the agent has learnt. They have a say in its "
        "moves as far as they have been seen to tell good ones from bad, and none while less than "
        f"{ENOUGH:.0%} of what the model says of legal moves and of who plays on is right. The "
        "match that is shown is one of the first seed, where it learned to sit: the first of "
        f"{LANES} with an episode of {AHEAD + 1} slots, if there is one."
    )
    return Section("What it plans", (Text(words), *blocks))


def gate(run: Run, name: str, file: str) -> Image:
    """What trust follows, over the training; a metric without numbers has no point."""
    lines = []
    for metric, called in GATE.items():
        found = run.metrics.get(metric, np.full((len(run.steps), run.seeds), np.nan))
        x, y = binned(run.steps, found)
        lines.append(figures.Line(called, x, *interval(y)))
    draw = lambda theme: figures.learning_curve(lines, "share, or correlation", theme, level=ENOUGH)
    ends = [f"{line.name}: {_last(line.mean)}" for line in lines]
    alt = f"The gate of {name} over its training. At the end {'; '.join(ends)}."
    words = (
        f"{name}: how far plans are trusted, and what that follows. w is twice the rank "
        f"correlation, 0 to 1, while both shares are above the dotted line at {ENOUGH:.2f}. Lines "
        "are means over seeds"
    )
    words += ", bands 95% intervals." if run.seeds > 1 else "; there is one."
    return image(file, draw, alt, words)


def _last(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{known[-1]:.3f}" if len(known) else "not recorded"


def shown(thought: Thought, name: str, number: int) -> list[Block]:
    """The match as it was planned, and some of it as it was imagined."""
    planned, moves, belief = thought.planned, thought.moves, thought.belief
    blocks: list[Block] = []
    called = f"{name}, {thought.told}"
    if thought.plans:
        width = wide_in_pixels(plan_strips.width_of(planned))
        draw = lambda theme: plan_strips.plan_strip(planned, moves, belief, theme)
        alt = f"Plan values of {called}. {plan_strips.told(planned, moves, belief)}"
        words = f"{called}. {plan_strips.caption(planned, belief, thought.trust)}"
        blocks.append(image(f"plan-values-{number}.png", draw, alt, words, width))
    else:
        blocks.append(
            Note(f"{name} was trained to have no plans (--plan none), so none are drawn.")
        )
    if thought.rollout is None:
        return [*blocks, Note(f"{name}: {too_short(thought)}.")]
    what, board, binary = thought.rollout, thought.board, thought.binary
    width = wide_in_pixels(rollouts.width_of(what, board))
    draw = lambda theme: rollouts.rollout(what, board, theme, binary=binary)
    alt = f"What {name} imagined beside what came. {rollouts.told(what, board, binary)}"
    words = f"{name}, the same match. {rollouts.caption(what, board, binary)}"
    return [*blocks, image(f"plan-rollout-{number}.png", draw, alt, words, width)]
