"""Which rules of a game are there to train with, to choose by, and to be tested on.

``train`` is for everything fitted and ``validation`` for everything chosen; ``held-out`` is for
reporting only. The three are split by generator: no family of rules is in two of them. ``near``
holds other settings of families of ``train``. Listing them does not import JAX.
"""

from counterplay.grammar import SETS as NAMES
from counterplay.names import unknown

SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "matrix": {
        "train": (
            "always_cooperate",
            "always_defect",
            "tit_for_tat",
            "grim",
            "win_stay_lose_shift",
            "bully",
        ),
    },
}
"""Game -> set -> rules as a seat names them, all equally likely."""


def members(game: str | None, name: str) -> tuple[str, ...]:
    """The rules in a set of a game; ValueError where the game has no such set."""
    if name not in NAMES:
        raise unknown("set of opponents", name, NAMES)
    own = SETS.get(game or "", {})
    if name not in own:
        has = f"has the sets {', '.join(own)}" if own else "has no sets of opponents"
        raise ValueError(f"pool:{name}: {game or 'this game'} {has}; name rules or a file instead")
    return own[name]
