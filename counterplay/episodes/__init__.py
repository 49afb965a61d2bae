"""Episodes as data: one store, read as transitions, as windows, or as whole episodes.

from counterplay.episodes import Field, OneHot, Replay, Scheme
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterplay.episodes.batch import EpisodeBatch, align
    from counterplay.episodes.default import default_scheme, from_rollout
    from counterplay.episodes.replay import Replay
    from counterplay.episodes.scheme import Field, OneHot, Scheme

__all__ = [
    "EpisodeBatch", "Field", "OneHot", "Replay", "Scheme", "align", "default_scheme",
    "from_rollout",
]  # fmt: skip

_HOMES = {
    "EpisodeBatch": "batch", "align": "batch", "Replay": "replay", "Field": "scheme",
    "OneHot": "scheme", "Scheme": "scheme", "default_scheme": "default", "from_rollout": "default",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """These names are loaded when asked for, so that files of rows need no JAX."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
