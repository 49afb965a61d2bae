"""Planners by name, as they are typed: ``mcts:sims=50,world=true``; ``none`` is the agent alone.

A planner is a frozen dataclass of settings whose ``seated(agent, env, about)`` gives the policy
that plans with a frozen agent; ``about`` is what the agent's run says of itself. To add one takes
its file and one line here. ``PLANNER+run:FOLDER`` names such a policy wherever one sits down.
"""

from dataclasses import fields
from importlib import import_module
from typing import Any, NamedTuple

from counterplay.names import read_settings, unknown

PLANNERS: dict[str, str] = {
    "mcts": "counterplay.algos.searching:Mcts",
}
"""Name -> "module:settings"."""
NONE = "none"
JOINT = "+run:"


class Named(NamedTuple):
    """``mcts:sims=50+run:FOLDER`` taken apart."""

    planner: str
    run: str
    """With the ``run:`` in front."""


def read_planner(text: str) -> Any:
    """The settings that a text names; None for ``none``. ValueError where it names none."""
    name, _, rest = text.strip().partition(":")
    if text.strip() == NONE:
        return None
    if name not in PLANNERS:
        raise unknown("planner", name, (*PLANNERS, NONE))
    module, settings = PLANNERS[name].split(":")
    kind = getattr(import_module(module), settings)
    # what has no default of its own takes that of the training, which is a number
    wanted = {f.name: float if f.default is None else type(f.default) for f in fields(kind)}
    return kind(**read_settings(rest.split(",") if rest else (), wanted, f"planner {name}"))


def with_planner(planner: str, run: str) -> str:
    """The name of a run that plans; that of the run alone where the planner is ``none``."""
    return run if planner.strip() == NONE else f"{planner.strip()}{JOINT}{run[len('run:') :]}"


def planned(text: str) -> Named | None:
    """Takes the name of a run that plans apart; None for any other policy."""
    planner, joint, run = text.partition(JOINT)
    if not joint or planner.partition(":")[0].strip() not in PLANNERS:
        return None
    return Named(planner, f"run:{run}")


def run_of(text: str) -> str | None:
    """The run that a policy is of, planning or not, without the ``run:``; None for others."""
    found = planned(text)
    text = found.run if found else text
    return text.removeprefix("run:") if text.startswith("run:") else None
