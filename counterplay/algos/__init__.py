"""Learning algorithms by name; each is one file: settings, state, learn, policy, train."""

from collections.abc import Callable
from typing import Any, NamedTuple

from counterplay.names import unknown

ALGORITHMS: dict[str, str] = {
    "ppo": "counterplay.algos.ppo",
    "dqn": "counterplay.algos.dqn",
    "naive_om": "counterplay.algos.naive_om",
    "liam": "counterplay.algos.liam",
    "moa": "counterplay.algos.moa",
    "goal_ppo": "counterplay.algos.goal_ppo",
    "goal_dqn": "counterplay.algos.goal_dqn",
    "counterplay": "counterplay.algos.counterplay",
}
"""Name -> module with ``Config``, ``init``, ``learn``, ``policy`` and ``train``."""


class Update(NamedTuple):
    """What ``train`` yields once an iteration; arrays have a leading axis of seeds."""

    steps: int
    """Environment steps of each seed so far."""
    nets: Any
    """Parameters of the learners as they are now, one entry a kind, leaves [seeds, K, ...]."""
    metrics: dict[str, Any]
    compile_seconds: float
    """Spent on compilation in all, apart from playing and learning."""
    iteration: int = 0
    """Counted from 1, over all that a resumed training did before, too."""
    going: Any = None
    """All that the next iteration starts from, as arrays: what a checkpoint holds. It is given
    away with the next update; everything else stays."""
    episodes: dict[str, Any] | None = None
    """Which slots ended an episode, leaves [seeds, ..., L, T, ...]: ended, length, returns of
    every seat and who sat there."""


class Resume(NamedTuple):
    """Where a training goes on: after ``iteration``, from what ``fill`` reads."""

    iteration: int
    fill: Callable[[Any], Any]
    """Puts saved arrays into a tree of shapes like ``Update.going``."""


class Options(NamedTuple):
    """What a training is asked beside the settings of its algorithm."""

    on_nonfinite: str = "stop"
    resume: Resume | None = None
    on_env_error: str = "stop"
    """Where a game in ordinary Python breaks: stop, or restart that game."""
    env_timeout: float = 0.0
    """Seconds that one call of such a game may take; 0 for as long as it likes."""
    lend: Callable[..., Any] | None = None
    """Fills the stores of episodes in a fresh training: ``lend(trees [seeds, shards, ...])``, or
    ``lend(tree, seed)`` for that of the seed-th alone."""


def module_of(name: str) -> str:
    """The module of an algorithm; ValueError with a suggestion for an unknown name."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
