"""Shapes for pictures of games: a pen with smooth edges, players, prey, rock, snow, time bar."""

from collections.abc import Iterable
from math import cos, pi, sin
from unicodedata import combining, normalize

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FINE = 4
"""Everything is drawn this many times as large, then averaged: edges come out smooth."""

MARGIN = 24
"""Pixels around a board."""

PAPER, INK, FAINT = "#fbf8f1", "#2f3437", "#8b8f8a"
TRACK, ELAPSED = "#e4dfd1", "#d08a2e"
SEATS = (
    "#2a6fbb", "#d1495b", "#1d8a6b", "#8e5bb5", "#c9711f", "#3a3f45", "#b8458f", "#617a12",
)  # fmt: skip

PLAIN = str.maketrans(
    {"→": "->", "←": "<-", "–": "-", "—": "-", "−": "-", "×": "x", "≥": ">=", "≤": "<=", "•": "·"}  # noqa: RUF001
)
"""What Pillow's own font lacks, in signs that it has. No other font is sure to be installed."""

Number = int | float
"""Run-time checks of annotations do not take 1 for a float."""
Point = tuple[Number, Number]


class Pen:
    """Draws on a sheet of ``width`` by ``height`` pixels; coordinates may be fractions."""

    def __init__(self, width: int, height: int, ground: str = PAPER):
        self.image = Image.new("RGB", (width * FINE, height * FINE), ground)
        self.draw = ImageDraw.Draw(self.image)

    def oval(self, x: Number, y: Number, rx: Number, ry: Number, fill: str):
        box = [(x - rx) * FINE, (y - ry) * FINE, (x + rx) * FINE, (y + ry) * FINE]
        self.draw.ellipse(box, fill=fill)

    def box(
        self, x: Number, y: Number, width: Number, height: Number, fill: str, radius: Number = 0
    ):
        corners = [x * FINE, y * FINE, (x + width) * FINE - 1, (y + height) * FINE - 1]
        self.draw.rounded_rectangle(corners, radius * FINE, fill=fill)

    def shape(self, points: Iterable[Point], fill: str):
        self.draw.polygon([(x * FINE, y * FINE) for x, y in points], fill=fill)

    def text(self, x: Number, y: Number, words: str, size: Number, fill: str = INK, anchor="mm"):
        font = ImageFont.load_default(size * FINE)
        self.draw.text((x * FINE, y * FINE), plain(words), fill=fill, font=font, anchor=anchor)

    def pixels(self) -> np.ndarray:
        return np.asarray(self.image.reduce(FINE))


def mixed(ground: str, colour: str, share: Number) -> str:
    """A colour laid over another: ``share`` 0 leaves the ground, 1 hides it."""
    under, over = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (ground, colour))
    return "#" + "".join(f"{int(x):02x}" for x in under + (over - under) * share)


def plain(words: str) -> str:
    """The words in signs that the font has; accents fall away, the rest becomes a question mark."""
    kept = normalize("NFKD", words.translate(PLAIN))
    ours = "".join(c for c in kept if not combining(c))
    return "".join(c if c.isascii() or c in "·±°…’“”" else "?" for c in ours)  # noqa: RUF001


def text_width(words: str, size: Number) -> Number:
    return ImageFont.load_default(size).getlength(plain(words))


class _Figure:
    """Unit coordinates around a centre, y downwards; ``grow`` thickens every part (outlines)."""

    def __init__(self, pen: Pen, x: Number, y: Number, size: Number):
        self.pen, self.x, self.y, self.size = pen, x, y, size
        self.grow = 0.0
        self.ink: str | None = None

    def oval(self, u: Number, v: Number, ru: Number, rv: Number, fill: str):
        self.petal(u, v, ru, rv, 0.0, fill)

    def petal(self, u: Number, v: Number, ru: Number, rv: Number, degrees: Number, fill: str):
        """An ellipse, turned clockwise."""
        turn, ru, rv = degrees * pi / 180, ru + self.grow, rv + self.grow
        ring = [(ru * cos(a), rv * sin(a)) for a in np.linspace(0, 2 * pi, 60)]
        self._polygon(
            [
                (u + p * cos(turn) - q * sin(turn), v + p * sin(turn) + q * cos(turn))
                for p, q in ring
            ],
            fill,
        )

    def horn(self, start: Point, bend: Point, end: Point, thick: Point, fill: str):
        """A curve that tapers from ``thick[0]`` to ``thick[1]``."""
        for t in np.linspace(0, 1, 60):
            u, v = _curve(start, bend, end, t)
            half = (thick[0] * (1 - t) + thick[1] * t) / 2
            r = (half + self.grow) * self.size
            x, y = self.x + u * self.size, self.y + v * self.size
            self.pen.oval(x, y, r, r, self.ink or fill)

    def _polygon(self, points: Iterable[Point], fill: str):
        at = [(self.x + u * self.size, self.y + v * self.size) for u, v in points]
        self.pen.shape(at, self.ink or fill)


def _curve(start: Point, bend: Point, end: Point, t: Number) -> Point:
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return (
        a * start[0] + b * bend[0] + c * end[0],
        a * start[1] + b * bend[1] + c * end[1],
    )


def draw_stag(pen: Pen, x: Number, y: Number, size: Number):
    """A stag's head from the front, antlers up, in a square of side ``size``."""
    figure = _Figure(pen, x, y, size)
    for figure.ink, figure.grow in (("#4a2f1b", 0.022), (None, 0.0)):
        for side in (-1, 1):
            bone = "#e0c79a"
            beam = (side * 0.06, -0.06), (side * 0.46, -0.10), (side * 0.30, -0.45)
            figure.horn(*beam, (0.075, 0.035), bone)
            for t, bend, tip in (
                (0.30, (0.15, -0.22), (0.13, -0.36)),
                (0.62, (0.40, -0.24), (0.45, -0.36)),
            ):
                root = _curve(*beam, t)
                figure.horn(
                    root, (side * bend[0], bend[1]), (side * tip[0], tip[1]), (0.055, 0.03), bone
                )
            figure.petal(side * 0.225, 0.03, 0.115, 0.052, side * -14, "#8a5a34")
        figure.oval(0, 0.09, 0.15, 0.17, "#9c673c")
        for step in np.linspace(0, 1, 8):  # the face narrows towards the muzzle
            figure.oval(0, 0.12 + 0.2 * step, 0.135 - 0.04 * step, 0.13, "#9c673c")
    for side in (-1, 1):
        figure.petal(side * 0.225, 0.032, 0.07, 0.025, side * -14, "#d9ab8a")
        figure.oval(side * 0.078, 0.10, 0.028, 0.032, "#2b1a10")
        figure.oval(side * 0.078 + 0.009, 0.09, 0.009, 0.009, "#ffffff")
    figure.oval(0, 0.355, 0.085, 0.085, "#e3c39b")
    figure.oval(0, 0.325, 0.05, 0.034, "#2b1a10")


def draw_hare(pen: Pen, x: Number, y: Number, size: Number):
    """A hare's head from the front, ears up, in a square of side ``size``."""
    figure = _Figure(pen, x, y, size)
    for figure.ink, figure.grow in (("#6e5c49", 0.022), (None, 0.0)):
        for side in (-1, 1):
            figure.petal(side * 0.115, -0.22, 0.072, 0.235, side * 9, "#cdbba2")
        figure.oval(0, 0.2, 0.215, 0.19, "#cdbba2")
        for side in (-1, 1):
            figure.oval(side * 0.1, 0.27, 0.125, 0.105, "#cdbba2")
    for side in (-1, 1):
        figure.petal(side * 0.115, -0.21, 0.034, 0.175, side * 9, "#eab9ac")
        figure.oval(side * 0.058, 0.295, 0.068, 0.055, "#f4ecdf")
        figure.oval(side * 0.098, 0.145, 0.03, 0.036, "#33261b")
        figure.oval(side * 0.098 + 0.01, 0.133, 0.01, 0.01, "#ffffff")
    figure.oval(0, 0.245, 0.034, 0.024, "#c9665f")


def draw_rock(pen: Pen, x: Number, y: Number, size: Number):
    """A boulder that fills most of a square of side ``size``."""
    figure = _Figure(pen, x, y, size)
    outline = [
        (-0.43, 0.36), (-0.46, 0.06), (-0.30, -0.24), (-0.05, -0.40),
        (0.22, -0.33), (0.42, -0.06), (0.46, 0.28), (0.38, 0.38),
    ]  # fmt: skip
    figure._polygon(outline, "#6f7672")
    figure._polygon(
        [(-0.05, -0.40), (0.22, -0.33), (0.10, -0.05), (-0.20, 0.0), (-0.30, -0.24)], "#a4aaa5"
    )
    figure._polygon(
        [(-0.46, 0.06), (-0.30, -0.24), (-0.20, 0.0), (-0.26, 0.37), (-0.43, 0.36)], "#8b928d"
    )
    figure._polygon([(-0.20, 0.0), (0.10, -0.05), (0.20, 0.38), (-0.26, 0.37)], "#7d8480")


def draw_drift(pen: Pen, x: Number, y: Number, size: Number):
    """A heap of snow that fills most of a square of side ``size``."""
    figure = _Figure(pen, x, y, size)
    for figure.ink, figure.grow in (("#7d97b3", 0.022), (None, 0.0)):
        figure.oval(0, 0.22, 0.44, 0.18, "#ffffff")
        figure.oval(-0.2, 0.1, 0.22, 0.2, "#ffffff")
        figure.oval(0.08, -0.03, 0.26, 0.28, "#ffffff")
        figure.oval(0.26, 0.14, 0.17, 0.17, "#ffffff")
    figure.petal(0.19, 0.05, 0.07, 0.17, -22, "#dce8f4")
    figure.petal(-0.13, 0.17, 0.12, 0.06, 18, "#dce8f4")
    figure.oval(0.02, 0.3, 0.3, 0.05, "#dce8f4")


def draw_flag(pen: Pen, x: Number, y: Number, size: Number):
    """A flag on a pole, in a square of side ``size``."""
    figure = _Figure(pen, x, y, size)
    figure.oval(0.0, 0.42, 0.22, 0.06, "#b39b6a")
    figure._polygon([(-0.14, -0.44), (-0.08, -0.44), (-0.08, 0.42), (-0.14, 0.42)], "#5b4a33")
    figure._polygon([(-0.08, -0.42), (0.40, -0.22), (-0.08, -0.02)], "#7c1f2c")
    figure._polygon([(-0.08, -0.38), (0.31, -0.22), (-0.08, -0.06)], "#d1495b")


def draw_wall(pen: Pen, x: Number, y: Number, size: Number):
    """Three courses of bricks that fill a cell of which ``size`` is four fifths."""
    side, bricks = size / 0.8, (((0.02, 0.3), (0.36, 0.62)), ((0.02, 0.54), (0.6, 0.38)))
    pen.box(x - side / 2, y - side / 2, side, side, "#6d675f")
    for course in range(3):
        top = y - side / 2 + side * (course / 3 + 0.02)
        for left, wide in bricks[course % 2]:
            pen.box(x - side / 2 + side * left, top, side * wide, side * 0.29, "#a19a8f", 2)


def draw_player(pen: Pen, x: Number, y: Number, radius: Number, seat: int):
    """A disc in the seat's colour with its number."""
    pen.oval(x, y + radius * 0.1, radius * 1.03, radius * 1.03, "#5d6b50")
    pen.oval(x, y, radius, radius, "#ffffff")
    pen.oval(x, y, radius * 0.86, radius * 0.86, SEATS[seat % len(SEATS)])
    digits = radius * (1.05 if seat < 10 else 0.8)
    pen.text(x, y, str(seat), digits, "#ffffff")


def draw_time(pen: Pen, x: Number, y: Number, width: Number, time: int, horizon: int, unit: str):
    """A bar that fills up, with the count after it; 22 pixels high."""
    words = f"{unit} {time} of {horizon}"
    bar = width - text_width(f"{unit} {horizon} of {horizon}", 17) - 14
    pen.box(x, y + 6, bar, 10, TRACK, 5)
    done = bar * min(time / horizon, 1.0)
    if done > 0:
        pen.box(x, y + 6, max(done, 10), 10, ELAPSED, 5)
    pen.text(x + width, y + 11, words, 17, anchor="rm")


def nest(
    count: int, width: Number, height: Number, largest: Number, overlap: Number = 0.0
) -> tuple[list[Point], Number]:
    """Centres for ``count`` equal discs in a box around (0, 0), as large as they fit; radius.

    ``overlap`` is the share of a diameter that neighbours may cover of each other.
    """
    pitch = 2 * (1 - overlap)  # in radii

    def fit(columns: int) -> Number:
        rows = -(-count // columns)
        return min(width / (2 + pitch * (columns - 1)), height / (2 + pitch * (rows - 1)))

    columns = max(range(1, count + 1), key=fit)
    rows, radius = -(-count // columns), min(fit(columns), largest)
    centres = []
    for i in range(count):
        row, col = divmod(i, columns)
        inside = min(columns, count - row * columns)
        across, down = col - (inside - 1) / 2, row - (rows - 1) / 2
        centres.append((across * pitch * radius, down * pitch * radius))
    return centres, radius
