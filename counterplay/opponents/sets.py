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
    told = lambda text: text + ("+" if ":" in text else ":") + hand
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


def members(game: str | None, name: str) -> tuple[str, ...]:
    """The rules in a set of a game; ValueError where the game has no such set."""
    if name not in NAMES:
        raise unknown("set of opponents", name, NAMES)
    own = SETS.get(game or "", {})
    if name not in own:
        has = f"has the sets {', '.join(own)}" if own else "has no sets of opponents"
        raise ValueError(f"pool:{name}: {game or 'this game'} {has}; name rules or a file instead")
    return own[name]
