"""The sets of the games in which the first steps commit: race, coordination, pursuit, scissors."""

from counterplay.opponents.writing import switches

Sets = dict[str, dict[str, tuple[str, ...]]]

COMMITTING: Sets = {
    "race": {
        "train": (
            "always_left",
            "always_centre",
            "always_right",
            "cycle",
            "free_last",
            "win_stay_lose_next",
        ),
        "validation": ("least_taken", "least_taken:tremble=.1", "least_taken:tremble=.15"),
        "near": (
            "always_left:tremble=.15",
            "always_centre:tremble=.15",
            "always_right:tremble=.15",
            "cycle:step=2",
            "free_last:tremble=.15",
            "lone_last",
            "win_stay_lose_next:step=2",
            "win_next_lose_stay",
        ),
        "held-out": (
            "crowded_last",
            "crowded_last:tremble=.15",
            "alternate:first=left,second=centre",
            "alternate:first=centre,second=right",
            "alternate:first=right,second=left",
        ),
        "switch-known": switches(
            ("episode=10", "always_left", "always_right"),
            ("episode=10", "always_centre", "cycle"),
            ("episode=10", "win_stay_lose_next", "always_left"),
            ("episode=10", "free_last", "win_stay_lose_next"),
            hand="",
        ),
        "switch-unknown": switches(
            ("episode=10", "crowded_last", "alternate:first=left,second=centre"),
            ("episode=10", "alternate:first=centre,second=right", "crowded_last"),
            ("episode=5", "crowded_last", "alternate:first=right,second=left"),
            hand="",
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
        "validation": (
            "win_stay_lose_next",
            "win_stay_lose_next:step=2",
            "win_stay_lose_next:tremble=.15",
        ),
        "near": (
            "always_left:tremble=.15",
            "always_centre:tremble=.15",
            "always_right:tremble=.15",
            "cycle:step=2",
            "last_success:tremble=.15",
            "copy_last:tremble=.15",
            "anti_copy",
            "most_frequent:tremble=.15",
            "least_frequent",
        ),
        "held-out": (
            "copy_first",
            "copy_first:tremble=.15",
            "alternate:first=left,second=centre",
            "alternate:first=centre,second=right",
            "alternate:first=right,second=left",
        ),
        "switch-known": switches(
            ("episode=10", "always_left", "always_right"),
            ("episode=10", "always_centre", "cycle"),
            ("episode=10", "copy_last", "always_left"),
            ("episode=10", "most_frequent", "last_success"),
            hand="",
        ),
        "switch-unknown": switches(
            ("episode=10", "copy_first", "alternate:first=left,second=centre"),
            ("episode=10", "alternate:first=centre,second=right", "copy_first"),
            ("episode=5", "copy_first", "alternate:first=right,second=left"),
            hand="",
        ),
    },
    "pursuit": {
        "train": ("north", "east", "south", "west", "detour", "cycle", "least_used"),
        "validation": ("most_used", "most_used:tremble=.1", "most_used:tremble=.15"),
        "near": (
            "north:tremble=.15",
            "east:tremble=.15",
            "south:tremble=.15",
            "west:tremble=.15",
            "detour:tremble=.15",
            "cycle:tremble=.15",
            "least_used:tremble=.15",
        ),
        "held-out": ("stubborn", "stubborn:tremble=.1", "restless", "restless:by=2"),
        "switch-known": switches(
            ("episode=10", "north", "south"),
            ("episode=10", "east", "cycle"),
            ("episode=10", "least_used", "west"),
            hand="",
        ),
        "switch-unknown": switches(
            ("episode=10", "stubborn", "restless"),
            ("episode=10", "restless:by=2", "stubborn"),
            ("episode=10", "restless", "restless:by=2"),
            hand="",
        ),
    },
    "scissors": {
        "train": ("rock", "paper", "scissors", "mixed", "beat_last", "cycle", "copy_last"),
        "validation": ("shift", "shift:tremble=.1", "shift:tremble=.15"),
        "near": (
            "rock:tremble=.15",
            "paper:tremble=.15",
            "scissors:tremble=.15",
            "mixed:tremble=.15",
            "beat_last:tremble=.15",
            "cycle:tremble=.15",
            "copy_last:tremble=.15",
            "lose_to_last",
        ),
        "held-out": ("beat_itself", "lose_to_itself", "alternate", "alternate:one=1,other=2"),
        "switch-known": switches(
            ("episode=10", "rock", "paper"),
            ("episode=10", "beat_last", "scissors"),
            ("episode=10", "copy_last", "mixed"),
            hand="",
        ),
        "switch-unknown": switches(
            ("episode=10", "beat_itself", "alternate"),
            ("episode=10", "alternate", "lose_to_itself"),
            ("episode=5", "lose_to_itself", "beat_itself"),
            hand="",
        ),
    },
}
