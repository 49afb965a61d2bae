"""Which rules of a game are there to train with, to choose by, and to be tested on.

``train`` is for everything fitted and ``validation`` for everything chosen; ``held-out`` is for
reporting only. The three are split by generator: no family of rules is in two of them. ``near``
holds other settings of families of ``train``. Switchers are held out in two forms:
``switch-known`` changes between rules of ``train``, ``switch-unknown`` between those of
``held-out``. Listing them does not import JAX.
"""

from counterplay.grammar import SETS as NAMES
from counterplay.names import unknown
from counterplay.opponents.committing import COMMITTING
from counterplay.opponents.writing import steady, switches

FAMILIES = {
    "always_cooperate": "always",
    "always_defect": "always",
    "generous_tit_for_tat": "tit_for_tat",
    "nearest_hare": "nearest_of_a_kind",
    "nearest_stag": "nearest_of_a_kind",
    "always_left": "always",
    "always_centre": "always",
    "always_right": "always",
    "north": "always",
    "east": "always",
    "south": "always",
    "west": "always",
    "rock": "always",
    "paper": "always",
    "scissors": "always",
    "mixed": "always",
    "free_last": "fewest_last",
    "lone_last": "fewest_last",
    "win_stay_lose_next": "shift_corridor",
    "win_next_lose_stay": "shift_corridor",
    "anti_copy": "answer",
    "most_frequent": "by_frequency",
    "least_frequent": "by_frequency",
    "coin": "memory_one",
    "beat_last": "answer",
    "copy_last": "answer",
    "lose_to_last": "answer",
    "beat_itself": "reflect",
    "lose_to_itself": "reflect",
}
"""Rules that are one behaviour with different settings; any other name is its own family."""


def families(text: str) -> set[str]:
    """The families of a rule's text: its own, or those of the two rules of a switcher."""
    name, _, settings = (part.strip() for part in text.partition(":"))
    if name != "switch":
        return {FAMILIES.get(name, name)}
    given = (piece.split("=", 1) for piece in settings.split(",") if "=" in piece)
    members = [value for setting, value in given if setting.strip() in ("first", "then")]
    return {family for member in members for family in families(member)}


_STAG_HUNT = (
    "nearest_stag",
    "nearest_hare",
    "adaptive",
    "nearest_prey:slack=0",
    "nearest_prey:slack=2",
    "gives_up:t0=3",
    "gives_up:t0=8",
)
_SNOWDRIFT = (
    "cleaner",
    "free_rider",
    "k_cleaner:k=1",
    "k_cleaner:k=2",
    "late:t0=3",
    "late:t0=8",
)
_MATRIX = (
    "always_cooperate",
    "always_defect",
    "tit_for_tat",
    "grim",
    "win_stay_lose_shift",
    "bully",
)

SETS: dict[str, dict[str, tuple[str, ...]]] = COMMITTING | {
    "matrix": {
        "train": _MATRIX,
        "validation": (
            "tit_for_two_tats",
            "tit_for_two_tats:tats=3",
            "limited_grim:rounds=3",
            "limited_grim:rounds=6",
        ),
        "near": (*steady(*_MATRIX, hand="tremble=.15"), "generous_tit_for_tat"),
        "held-out": (
            "majority",
            "majority:hard=true",
            "cycle:pattern=CD",
            "cycle:pattern=CCD",
            "gradual",
            "memory_one",
        ),
        "switch-known": switches(
            ("at=50", "tit_for_tat", "always_defect"),
            ("at=50", "always_defect", "grim"),
            ("at=30", "bully", "tit_for_tat"),
            ("rate=.02", "always_cooperate", "always_defect"),
            ("rate=.02", "win_stay_lose_shift", "bully"),
        ),
        "switch-unknown": switches(
            ("at=50", "majority", "cycle:pattern=CCD"),
            ("at=30", "cycle:pattern=CD", "gradual"),
            ("rate=.02", "gradual", "majority:hard=true"),
            ("rate=.02", "memory_one", "majority"),
        ),
    },
    "stag_hunt": {
        "train": steady(*_STAG_HUNT),
        "validation": steady("cautious:within=1", "cautious:within=2", "stay"),
        "near": (
            *steady(*_STAG_HUNT, hand="tremble=.15"),
            *steady("nearest_prey:slack=1", "gives_up:t0=5"),
        ),
        "held-out": steady("follower", "waiter", "wavering:stag=.3", "wavering:stag=.7"),
        "switch-known": switches(
            ("at=3", "nearest_stag", "nearest_hare"),
            ("at=3", "nearest_hare", "nearest_stag"),
            ("episode=10", "nearest_stag", "nearest_hare"),
            ("episode=10", "nearest_prey:slack=0", "nearest_stag"),
            ("rate=.1", "adaptive", "nearest_hare"),
        ),
        "switch-unknown": switches(
            ("at=3", "waiter", "wavering:stag=.3"),
            ("episode=10", "waiter", "follower"),
            ("episode=10", "wavering:stag=.7", "wavering:stag=.3"),
            ("rate=.1", "follower", "waiter"),
        ),
    },
    "snowdrift": {
        "train": steady(*_SNOWDRIFT),
        "validation": steady("early:t1=3", "early:t1=8", "homebody:within=1", "homebody:within=2"),
        "near": (
            *steady(*_SNOWDRIFT, hand="tremble=.15"),
            *steady("k_cleaner:k=3", "late:t0=5"),
        ),
        "held-out": steady(
            "volunteer",
            "conditional:lead=1",
            "conditional:lead=2",
            "impatient:idle=2",
            "impatient:idle=5",
        ),
        "switch-known": switches(
            ("at=5", "cleaner", "free_rider"),
            ("at=5", "free_rider", "cleaner"),
            ("episode=10", "cleaner", "free_rider"),
            ("episode=10", "k_cleaner:k=1", "cleaner"),
            ("rate=.1", "cleaner", "late:t0=8"),
        ),
        "switch-unknown": switches(
            ("at=5", "volunteer", "impatient:idle=5"),
            ("episode=10", "conditional:lead=1", "impatient:idle=2"),
            ("episode=10", "impatient:idle=5", "volunteer"),
            ("rate=.1", "volunteer", "conditional:lead=2"),
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
