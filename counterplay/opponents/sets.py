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
    "race": {
        "train": (
            "always_left",
            "always_centre",
            "always_right",
            "cycle",
            "free_last",
            "win_stay_lose_next",
        ),
        "validation": ("lone_last", "least_taken"),
        "near": (
            "always_left:tremble=.15",
            "always_centre:tremble=.15",
            "always_right:tremble=.15",
            "cycle:step=2",
            "free_last:tremble=.15",
            "win_stay_lose_next:step=2",
        ),
        "held-out": (
            "crowded_last",
            "win_next_lose_stay",
            "alternate:first=left,second=centre",
            "alternate:first=centre,second=right",
            "alternate:first=right,second=left",
        ),
    },
    "coordination": {
        "train": (
            "always_left",
            "always_centre",
            "always_right",
            "cycle",
            "last_success",
            "copy_last",
            "most_frequent",
        ),
        "validation": ("win_stay_lose_next", "copy_first"),
        "near": (
            "always_left:tremble=.15",
            "always_centre:tremble=.15",
            "always_right:tremble=.15",
            "cycle:step=2",
            "last_success:tremble=.15",
            "copy_last:tremble=.15",
            "most_frequent:tremble=.15",
        ),
        "held-out": (
            "anti_copy",
            "least_frequent",
            "alternate:first=left,second=centre",
            "alternate:first=centre,second=right",
            "alternate:first=right,second=left",
        ),
    },
}
"""Game -> set -> rules as a seat names them, all equally likely."""
