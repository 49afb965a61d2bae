"""Texts of rules with the same hand, and of switchers, for lists of opponents."""

HAND = "tremble=.05"


def steady(*texts: str, hand: str = HAND) -> tuple[str, ...]:
    """The same rules with that hand."""
    return tuple(f"{text}{',' if ':' in text else ':'}{hand}" for text in texts)


def switches(*courses: tuple[str, str, str], hand: str = HAND) -> tuple[str, ...]:
    """Switchers of (when, first, then)."""
    told = lambda text: text.replace(",", "+") + (hand and ("+" if ":" in text else ":") + hand)
    return tuple(f"switch:{when},first={told(a)},then={told(b)}" for when, a, b in courses)
