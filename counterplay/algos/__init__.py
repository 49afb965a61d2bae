"""Learning algorithms by name; each is one file: settings, state, learn, policy, train."""

from typing import Any, NamedTuple

from counterplay.names import unknown

ALGORITHMS: dict[str, str] = {
    "ppo": "counterplay.algos.ppo",
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
    going: Any = None
    """All that the next iteration starts from: the training and the policies dealt. It is given
    away with the next update; ``nets`` and ``metrics`` stay."""


def module_of(name: str) -> str:
    """The module of an algorithm; ValueError with a suggestion for an unknown name."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
