"""Pay-off tables for people, in pixels and in words; captions, and files made of pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from counterplay.envs.glyphs import (
    ELAPSED,
    MARGIN,
    PAPER,
    SEATS,
    Number,
    Pen,
    draw_player,
    draw_time,
    text_width,
)
from counterplay.envs.matrix import PRESETS, Matrix
from counterplay.envs.matrix import State as MatrixState
from counterplay.types import Picture

LINE = 26
"""Pixels from one caption line to the next."""


def matrix_picture(env: Matrix, state: MatrixState) -> Picture:
    """The pay-off table, the last joint move in a frame, what each has earned, and the clock."""
    names, count = move_names(env), env.num_actions
    wide, high = min(150, max(64, 600 // count)), min(88, max(44, 480 // count))
    left, top = MARGIN + 112, MARGIN + 56
    width = max(112 + wide * count, 330)
    pen = Pen(width + 2 * MARGIN, top + high * count + MARGIN + 88)
    draw_player(pen, MARGIN + 18, top + high * count / 2, 16, 0)
    draw_player(pen, left + wide * count / 2, MARGIN + 14, 16, 1)
    for i, name in enumerate(names):
        pen.text(left - 10, top + high * (i + 0.5), name, 15, SEATS[0], "rm")
        pen.text(left + wide * (i + 0.5), top - 12, name, 15, SEATS[1])
    for (i, j), pay in _pay_table(env).items():
        x, y = left + wide * j, top + high * i
        if [i, j] == _ints(state.moves):
            pen.box(x, y, wide, high, ELAPSED, 9)
            pen.box(x + 3, y + 3, wide - 6, high - 6, "#fdeecb", 6)
        else:
            pen.box(x + 3, y + 3, wide - 6, high - 6, "#ffffff", 6)
        size = min(24, wide / 5)
        pen.text(x + wide * 0.28, y + high * 0.64, f"{pay[0]:g}", size, SEATS[0])
        pen.text(x + wide * 0.72, y + high * 0.36, f"{pay[1]:g}", size, SEATS[1])
    below = top + high * count + 22
    draw_time(pen, MARGIN, below, width, int(state.time), env.horizon, "round")
    pen.text(MARGIN, below + 48, "earned", 17, anchor="lm")
    for seat, total in enumerate(np.asarray(state.totals).tolist()):
        x = MARGIN + 88 + 110 * seat
        draw_player(pen, x, below + 48, 13, seat)
        pen.text(x + 22, below + 48, f"{total:g}", 17, SEATS[seat], "lm")
    return Picture(pen.pixels(), _matrix_text(env, state))


def move_names(env: Matrix) -> tuple[str, ...]:
    """Of the moves, by their numbers."""
    tables = {"payoffs": env.payoffs}
    if env.other_payoffs is not None:
        tables["other_payoffs"] = env.other_payoffs
    preset = next((name for name, tables_of in PRESETS.items() if tables_of == tables), "")
    social = ("cooperate", "defect")
    known = dict.fromkeys(("pd", "chicken", "stag"), social) | {
        "pennies": ("heads", "tails"),
        "rps": ("rock", "paper", "scissors"),
    }
    return known.get(preset, tuple(f"move {i}" for i in range(env.num_actions)))


def _pay_table(env: Matrix) -> dict[tuple[int, int], tuple[Number, Number]]:
    """What seats 0 and 1 are paid, by their joint move."""
    moves, other = range(env.num_actions), env.other_payoffs or env.payoffs
    return {(i, j): (env.payoffs[i][j], other[j][i]) for i in moves for j in moves}


def _matrix_text(env: Matrix, state: MatrixState) -> str:
    """Seat 0 chooses the row, seat 1 the column; the last joint move stands in brackets."""
    names, last = move_names(env), _ints(state.moves)
    rows = [["", *names]]
    for i, name in enumerate(names):
        pays = [f"{p:g}, {q:g}" for p, q in (_pay_table(env)[i, j] for j in range(len(names)))]
        rows.append([name, *(f"[{p}]" if [i, j] == last else p for j, p in enumerate(pays))])
    wide = max(len(entry) for row in rows for entry in row) + 2
    lines = ["".join(entry.ljust(wide) for entry in row).rstrip() for row in rows]
    earned = ", ".join(f"{s}: {t:g}" for s, t in enumerate(np.asarray(state.totals).tolist()))
    return "\n".join([f"round {int(state.time)} of {env.horizon}", *lines, f"earned by {earned}"])


def _ints(array) -> list[int]:
    return np.asarray(array).tolist()


def with_caption(picture: Picture, caption: str, lines: int | None = None) -> Picture:
    """Adds words below, wrapped to the width; ``lines`` keeps room for that many lines."""
    width = picture.pixels.shape[1]
    wrapped = wrap(caption, width - 2 * MARGIN)
    pen = Pen(width, LINE * max(lines or 0, len(wrapped)) + MARGIN // 2)
    for i, words in enumerate(wrapped):
        pen.text(MARGIN, LINE * i + LINE / 2, words, 18, anchor="lm")
    return Picture(np.concatenate([picture.pixels, pen.pixels()]), f"{picture.text}\n{caption}")


def wrap(words: str, width: Number) -> list[str]:
    """Splits into lines of at most ``width`` pixels, at spaces; keeps line breaks."""
    lines = []
    for paragraph in words.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and text_width(longer, 18) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def save_png(picture: Picture, path: str | Path) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.pixels).save(path, format="PNG", optimize=True)


def save_gif(
    pictures: Sequence[Picture],
    path: str | Path,
    seconds_per_frame: Number = 0.8,
    captions: Sequence[str] | None = None,
) -> None:
    """An endless film. The last frame stays three times as long; equal neighbours become one."""
    if not pictures:
        raise ValueError("save_gif: needs at least one picture, found none")
    if captions is not None:
        pictures = _captioned(pictures, captions)
    sizes = {picture.pixels.shape for picture in pictures}
    if len(sizes) > 1:
        raise ValueError(f"save_gif: pictures must have one size, found {sorted(sizes)}")
    frames = [Image.fromarray(picture.pixels) for picture in pictures]
    palette = _palette(frames)
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    milliseconds = max(round(seconds_per_frame * 1000), 20)
    durations = [milliseconds] * len(rest) + [3 * milliseconds]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    first.save(
        path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0
    )  # fmt: skip


def _captioned(pictures: Sequence[Picture], captions: Sequence[str]) -> list[Picture]:
    if len(captions) != len(pictures):
        raise ValueError(
            f"save_gif: needs one caption a picture, found {len(captions)} captions "
            f"for {len(pictures)} pictures"
        )
    pairs = list(zip(pictures, captions, strict=True))
    lines = max(len(wrap(words, p.pixels.shape[1] - 2 * MARGIN)) for p, words in pairs)
    return [with_caption(p, words, lines) for p, words in pairs]


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """One palette for all frames, so that nothing flickers: from up to nine of them."""
    picked = frames[:: max(1, len(frames) // 8)]
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, height * len(picked)), PAPER)
    for i, frame in enumerate(picked):
        sheet.paste(frame, (0, height * i))
    return sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
