"""Which rules of a game are there to train with, to choose by, and to be tested on.

``train`` is for everything fitted and ``validation`` for everything chosen; ``held-out`` is for
reporting only. The three are split by generator: no family of rules is in two of them. ``near``
holds other settings of families of ``train``. Switchers are held out in two forms:
``switch-known`` changes between rules of ``train``, ``switch-unknown`` between those of
``held-out``. Listing them does not import JAX.
"""

from counterplay.grammar import SETS as NAMES
from counterplay.names import unknown

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
    "beat_last": "answer",
    "copy_last": "answer",
    "lose_to_last": "answer",
    "beat_itself": "reflect",
    "lose_to_itself": "reflect",
}
"""Rules that are one behaviour with different settings; any other name is its own family."""

HAND = "tremble=.05"


def families(text: str) -> set[str]:
    """The families of a rule's text: its own, or those of the two rules of a switcher."""
    name, _, settings = (part.strip() for part in text.partition(":"))
    if name != "switch":
        return {FAMILIES.get(name, name)}
    given = (piece.split("=", 1) for piece in settings.split(",") if "=" in piece)
    members = [value for setting, value in given if setting.strip() in ("first", "then")]
    return {family for member in members for family in families(member)}


def _steady(*texts: str, hand: str = HAND) -> tuple[str, ...]:
    """The same rules with that hand."""
    return tuple(f"{text}{',' if ':' in text else ':'}{hand}" for text in texts)


def _switches(*courses: tuple[str, str, str], hand: str = HAND) -> tuple[str, ...]:
    """Switchers of (when, first, then)."""
    told = lambda text: text.replace(",", "+") + (hand and ("+" if ":" in text else ":") + hand)
    return tuple(f"switch:{when},first={told(a)},then={told(b)}" for when, a, b in courses)


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

SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "matrix": {
        "train": _MATRIX,
        "validation": (
            "tit_for_two_tats",
            "tit_for_two_tats:tats=3",
            "limited_grim:rounds=3",
            "coin:cooperate=.3",
            "coin:cooperate=.7",
        ),
        "near": (*_steady(*_MATRIX, hand="tremble=.15"), "generous_tit_for_tat"),
        "held-out": (
            "majority",
            "majority:hard=true",
            "cycle:pattern=CD",
            "cycle:pattern=CCD",
            "gradual",
            "memory_one",
        ),
        "switch-known": _switches(
            ("at=50", "tit_for_tat", "always_defect"),
            ("at=50", "always_defect", "grim"),
            ("at=30", "bully", "tit_for_tat"),
            ("rate=.02", "always_cooperate", "always_defect"),
            ("rate=.02", "win_stay_lose_shift", "bully"),
        ),
        "switch-unknown": _switches(
            ("at=50", "majority", "cycle:pattern=CCD"),
            ("at=30", "cycle:pattern=CD", "gradual"),
            ("rate=.02", "gradual", "majority:hard=true"),
            ("rate=.02", "memory_one", "majority"),
        ),
    },
    "stag_hunt": {
        "train": _steady(*_STAG_HUNT),
        "validation": _steady("cautious:within=1", "cautious:within=2", "stay"),
        "near": (
            *_steady(*_STAG_HUNT, hand="tremble=.15"),
            *_steady("nearest_prey:slack=1", "gives_up:t0=5"),
        ),
        "held-out": _steady("follower", "waiter", "wavering:stag=.3", "wavering:stag=.7"),
        "switch-known": _switches(
            ("at=3", "nearest_stag", "nearest_hare"),
            ("at=3", "nearest_hare", "nearest_stag"),
            ("episode=10", "nearest_stag", "nearest_hare"),
            ("episode=10", "nearest_prey:slack=0", "nearest_stag"),
            ("rate=.1", "adaptive", "nearest_hare"),
        ),
        "switch-unknown": _switches(
            ("at=3", "waiter", "wavering:stag=.3"),
            ("episode=10", "waiter", "follower"),
            ("episode=10", "wavering:stag=.7", "wavering:stag=.3"),
            ("rate=.1", "follower", "waiter"),
        ),
    },
    "snowdrift": {
        "train": _steady(*_SNOWDRIFT),
        "validation": _steady("early:t1=3", "early:t1=8", "homebody:within=1", "homebody:within=2"),
        "near": (
            *_steady(*_SNOWDRIFT, hand="tremble=.15"),
            *_steady("k_cleaner:k=3", "late:t0=5"),
        ),
        "held-out": _steady(
            "volunteer",
            "conditional:lead=1",
            "conditional:lead=2",
            "impatient:idle=2",
            "impatient:idle=5",
        ),
        "switch-known": _switches(
            ("at=5", "cleaner", "free_rider"),
            ("at=5", "free_rider", "cleaner"),
            ("episode=10", "cleaner", "free_rider"),
            ("episode=10", "k_cleaner:k=1", "cleaner"),
            ("rate=.1", "cleaner", "late:t0=8"),
        ),
        "switch-unknown": _switches(
            ("at=5", "volunteer", "impatient:idle=5"),
            ("episode=10", "conditional:lead=1", "impatient:idle=2"),
            ("episode=10", "impatient:idle=5", "volunteer"),
            ("rate=.1", "volunteer", "conditional:lead=2"),
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
        "validation": ("lone_last", "least_taken", "least_taken:tremble=.15"),
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
        "switch-known": _switches(
            ("episode=10", "always_left", "always_right"),
            ("episode=10", "always_centre", "cycle"),
            ("episode=10", "win_stay_lose_next", "always_left"),
            ("episode=10", "free_last", "win_stay_lose_next"),
            hand="",
        ),
        "switch-unknown": _switches(
            ("episode=10", "crowded_last", "win_next_lose_stay"),
            ("episode=10", "alternate:first=left,second=centre", "crowded_last"),
            ("episode=10", "win_next_lose_stay", "alternate:first=right,second=left"),
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
        "validation": ("win_stay_lose_next", "copy_first", "copy_first:tremble=.15"),
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
        "switch-known": _switches(
            ("episode=10", "always_left", "always_right"),
            ("episode=10", "always_centre", "cycle"),
            ("episode=10", "copy_last", "always_left"),
            ("episode=10", "most_frequent", "last_success"),
            hand="",
        ),
        "switch-unknown": _switches(
            ("episode=10", "anti_copy", "least_frequent"),
            ("episode=10", "alternate:first=left,second=centre", "anti_copy"),
            ("episode=10", "least_frequent", "alternate:first=right,second=left"),
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
        "switch-known": _switches(
            ("episode=10", "north", "south"),
            ("episode=10", "east", "cycle"),
            ("episode=10", "least_used", "west"),
            hand="",
        ),
        "switch-unknown": _switches(
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
        "switch-known": _switches(
            ("episode=10", "rock", "paper"),
            ("episode=10", "beat_last", "scissors"),
            ("episode=10", "copy_last", "mixed"),
            hand="",
        ),
        "switch-unknown": _switches(
            ("episode=10", "beat_itself", "alternate"),
            ("episode=10", "alternate", "lose_to_itself"),
            ("episode=5", "lose_to_itself", "beat_itself"),
            hand="",
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
