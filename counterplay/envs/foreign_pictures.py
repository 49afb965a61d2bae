"""Pictures of foreign games: as they draw themselves, else what their players see."""

from inspect import signature
from typing import Any

import numpy as np

from counterplay.envs.foreign import Hosted
from counterplay.envs.hosting import HostStep
from counterplay.envs.observed import observed_picture
from counterplay.types import Picture


def picture(about: Hosted, game: Any, moves_made: int, shown: HostStep) -> Picture:
    """The game as it draws itself; as what everyone sees, where it does not or cannot here."""
    inner = getattr(game, "unwrapped", game)
    try:
        by_mode = "mode" in signature(inner.render).parameters
        pixels = inner.render(mode="rgb_array") if by_mode else game.render()
    except Exception:  # no screen, no window, not written
        pixels = None
    pixels = _as_colours(pixels)
    if pixels is None:
        rows = [row[: seat.width] for row, seat in zip(shown.obs, about.seats, strict=True)]
        return observed_picture(about.name, rows, shown.alive, moves_made, about.horizon)
    here = ", ".join(str(i) for i in np.flatnonzero(shown.alive)) or "none"
    words = f"{about.name}: {moves_made} moves made, seats present: {here}"
    return Picture(pixels, words)


def _as_colours(found: Any) -> np.ndarray | None:
    """Red, green and blue as uint8; None for what is no picture, or says not what its numbers mean.

    Fractions are brightness; how much shines through is left out.
    """
    if not isinstance(found, np.ndarray) or found.ndim != 3 or found.shape[2] not in (3, 4):
        return None
    if found.dtype.kind == "f" and ((found >= 0) & (found <= 1)).all():
        found = np.rint(found * 255).astype(np.uint8)
    return found[:, :, :3] if found.dtype == np.uint8 and found.size else None
