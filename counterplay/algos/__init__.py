"""Learning algorithms by name; each is one file: settings, state, learn, policy, train."""

from typing import Any, NamedTuple

from counterplay.names import unknown

ALGORITHMS: dict[str, str] = {
    "ppo": "counterplay.algos.ppo",
}
"""Name -> module with ``Config``, ``train`` and ``policy``. Listing them imports nothing."""


class Update(NamedTuple):
    """What ``train`` yields once an iteration; arrays have a leading axis of seeds."""

    steps: int
    """Environment steps of each seed so far."""
    nets: Any
    """Parameters of the learners as they are now; read them before asking for the next update."""
    metrics: dict[str, Any]
    compile_seconds: float
    """Spent on compilation in all, apart from playing and learning."""


def module_of(name: str) -> str:
    """The module of an algorithm; ValueError with a suggestion for an unknown name."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
