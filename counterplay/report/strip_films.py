"""A belief strip under the board of every picture of a film, growing with time."""

from collections.abc import Sequence

import numpy as np

from counterplay.envs.glyphs import FAINT, INK, MARGIN, PAPER, SEATS, TRACK, Pen, mixed, text_width
from counterplay.report.figures import shortened
from counterplay.report.strips import Strip, boundaries, fewer, stretches, switches_of
from counterplay.types import Picture

ROW, HEAD, LETTERS = 19, 30, 13
"""Pixels: the height of a row, of what stands above the rows, and of the letters."""
MOST_ROWS = 8
MOST_NAME = 170
"""Pixels at most that names take."""
TRUTH, BELIEVED = SEATS[1], SEATS[0]


def film_with_strip(frames: Sequence[Picture], whole: Strip, slots: Sequence[int]) -> list[Picture]:
    """The frames, each with the strip up to and with its slot below it.

    ``slots`` has for every frame the slot of the match that it shows. ValueError where it has not,
    or the strip does not reach so far.
    """
    if len(slots) != len(frames):
        raise ValueError(f"film_with_strip: {len(frames)} frames and the slots of {len(slots)}")
    shown = fewer(whole, MOST_ROWS)
    most = len(shown.posterior)
    if any(not 0 <= slot < most for slot in slots):
        raise ValueError(
            f"film_with_strip: frames show slots {min(slots)} to {max(slots)}, and the strip has "
            f"{most}: strip and film of different matches?"
        )
    return [_under(frame, shown, slot) for frame, slot in zip(frames, slots, strict=True)]


def _under(frame: Picture, shown: Strip, slot: int) -> Picture:
    """One picture: names on the left, a cell for every slot that has been."""
    width = frame.pixels.shape[1]
    total, types = shown.posterior.shape
    names = [shortened(name, 22) for name in shown.names]
    room = max(text_width(name, LETTERS) for name in names)
    left = MARGIN + min(room, MOST_NAME, width // 2) + 8
    wide = (width - MARGIN - left) / total
    pen = Pen(width, HEAD + ROW * types + 12)
    _head(pen, shown, f"believed of the first other, slot {slot + 1} of {total}", width)
    pen.box(left, HEAD, width - MARGIN - left, ROW * types, TRACK)
    for k, name in enumerate(names):
        middle = HEAD + ROW * (k + 0.5)
        now = shown.truth[slot] == k
        pen.text(left - 8, middle, name, LETTERS, TRUTH if now else INK, "rm")
        for t in range(slot + 1):
            colour = mixed(PAPER, BELIEVED, float(np.clip(shown.posterior[t, k], 0, 1)))
            end = left + wide * (t + 1)
            at = left + wide * t
            pen.box(at, HEAD + ROW * k + 1, max(end - at, 0.5), ROW - 2, colour)
    _marks(pen, shown, slot, left, wide)
    return Picture(
        np.concatenate([frame.pixels, pen.pixels()]), f"{frame.text}\n{_told(shown, slot)}"
    )


def _head(pen: Pen, shown: Strip, words: str, width: int) -> None:
    """What is shown, and what the frame means where there is room to say so."""
    key = "framed: the truth" if (shown.truth >= 0).any() else ""
    pen.text(MARGIN, 12, words, LETTERS, FAINT, "lm")
    if text_width(words, LETTERS) + text_width(key, LETTERS) + 3 * MARGIN <= width:
        pen.text(width - MARGIN, 12, key, LETTERS, TRUTH, "rm")


def _marks(pen: Pen, shown: Strip, slot: int, left: float, wide: float) -> None:
    """Truth, episodes and switches, as far as they have come."""
    bottom = ROW * len(shown.names)
    for first in boundaries(shown):
        if first <= slot:
            pen.box(left + wide * first - 0.5, HEAD, 1, bottom, FAINT)
    for value, first, end in stretches(shown.truth[: slot + 1]):
        if value >= 0:
            for y in (HEAD + ROW * value, HEAD + ROW * (value + 1) - 2):
                pen.box(left + wide * first, y, wide * (end - first), 2, TRUTH)
    for first in switches_of(shown):
        if first <= slot:
            x = left + wide * first
            pen.box(x - 1, HEAD - 2, 2, bottom + 2, INK)
            pen.shape([(x - 6, HEAD - 10), (x + 6, HEAD - 10), (x, HEAD - 1)], INK)


def _told(shown: Strip, slot: int) -> str:
    """The same in words."""
    pairs = zip(shown.names, shown.posterior[slot], strict=True)
    words = "believed: " + ", ".join(f"{name} {p:.2f}" for name, p in pairs)
    true = int(shown.truth[slot])
    return f"{words}; true: {shown.names[true]}" if true >= 0 else words
