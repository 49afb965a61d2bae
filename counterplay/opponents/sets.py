"""Which rules of a game are there to train with, to choose by, and to be tested on.

``train`` is for everything fitted and ``validation`` for everything chosen; ``held-out`` is for
reporting only. The three are split by generator: no family of rules is in two of them. ``near``
holds other settings of families of ``train``. Listing them does not import JAX.
"""

SetName = str

NAMES: tuple[SetName, ...] = ("train", "validation", "near", "held-out")

SETS: dict[str, dict[SetName, tuple[str, ...]]] = {
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
    "pursuit": {
        "train": ("north", "east", "south", "west", "detour", "cycle", "least_used"),
        "validation": ("most_used",),
        "near": (
            "north:tremble=.15",
            "east:tremble=.15",
            "south:tremble=.15",
            "west:tremble=.15",
            "detour:tremble=.15",
            "cycle:tremble=.15",
            "least_used:tremble=.15",
        ),
        "held-out": ("stubborn", "opposite"),
    },
    "scissors": {
        "train": ("rock", "paper", "scissors", "mixed", "beat_last", "cycle", "copy_last"),
        "validation": ("lose_to_last",),
        "near": (
            "rock:tremble=.15",
            "paper:tremble=.15",
            "scissors:tremble=.15",
            "mixed:tremble=.15",
            "beat_last:tremble=.15",
            "cycle:tremble=.15",
            "copy_last:tremble=.15",
        ),
        "held-out": ("beat_itself", "shift"),
    },
}
"""Game -> set -> rules as a seat names them, all equally likely."""
