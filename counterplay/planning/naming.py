"""Planners by name, as they are typed: ``latent:depth=2``, ``mcts:sims=50``; ``none`` is a policy
alone, whatever it was trained to plan.

A planner is a frozen dataclass of settings whose ``seated(agent, env, about)`` gives the policy
that plans with a frozen agent; ``about`` is what the agent's run says of itself. To add one takes
its file and one line here. ``PLANNER+run:FOLDER`` names such a policy wherever one sits down.
"""

from dataclasses import fields
from importlib import import_module
from typing import Any, NamedTuple

from counterplay.names import read_settings, unknown

PLANNERS: dict[str, str] = {
    "latent": "counterplay.algos.looking:Latent",
    "mcts": "counterplay.algos.searching:Mcts",
    "none": "counterplay.algos.looking:Alone",
}
"""Name -> "module:settings"."""
JOINT = "+run:"


class Named(NamedTuple):
    """``mcts:sims=50+run:FOLDER`` taken apart."""

    planner: str
    run: str
    """With the ``run:`` in front."""


def read_planner(text: str) -> Any:
    """The settings that a text names. ValueError where it names none."""
    name, _, rest = text.strip().partition(":")
    if name not in PLANNERS:
        raise unknown("planner", name, PLANNERS)
    module, settings = PLANNERS[name].split(":")
    kind = getattr(import_module(module), settings)
    # what has no default of its own takes that of the training, which is a number
    wanted = {f.name: float if f.default is None else type(f.default) for f in fields(kind)}
    return kind(**read_settings(rest.split(",") if rest else (), wanted, f"planner {name}"))


def with_planner(planner: str | None, run: str) -> str:
    """The name of a run that plans so; that of the run as it was trained without a planner."""
    return run if planner is None else f"{planner.strip()}{JOINT}{run[len('run:') :]}"


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
