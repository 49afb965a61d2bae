"""The opponent map: matches as points, near each other where the agent believed alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay.report import diagrams, strips
from counterplay.report.blocks import Block
from counterplay.report.contents import image
from counterplay.report.protocols import Part


class Projected(NamedTuple):
    """Points in the plane."""

    place: np.ndarray
    """[R, 2]."""
    share: float
    """Of the variance, that the plane shows; 1 where there is none to show."""


def project(x: Float[np.ndarray, "R K"]) -> Projected:
    """First two principal components; the largest loading of each is positive. Pearson (1901)."""
    centred = x - x.mean(0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * (size[:2, None] > 1e-9 * max(size[0], 1e-300))  # no direction where none is
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    axes = axes * np.where(largest < 0, -1.0, 1.0)
    place = np.zeros((len(x), 2))
    place[:, : len(axes)] = centred @ axes.T
    whole = float((size**2).sum())
    return Projected(place, float((size[:2] ** 2).sum()) / whole if whole > 0 else 1.0)


def shown_map(part: Part, tag: str) -> list[Block]:
    """The map of one part; none where it tells of no match."""
    found = part.found.get("map")
    return drawn_map(found, part.called, f"map{tag}.png") if found else []


def drawn_map(part: Mapping[str, Any], called: str, file: str) -> list[Block]:
    """``part`` has names [K] and for every match its mean posterior, its truth and ``who`` it was.

    Who is none of the known types, or several in turn, goes by its own name.
    """
    names = [str(name) for name in part["names"]]
    posterior, truth = np.array(part["posterior"], np.float64), np.array(part["truth"], np.int64)
    if posterior.shape != (len(truth), len(names)) or not len(truth):
        raise ValueError(
            f"an opponent map wants posteriors [{len(truth)}, {len(names)}], found shape "
            f"{posterior.shape}"
        )
    found, right = project(posterior), (posterior.argmax(1) == truth)[truth >= 0]
    who = [str(name) for name in part.get("who") or []]
    if len(who) == len(truth):
        strangers = list(dict.fromkeys(name for name, k in zip(who, truth, strict=True) if k < 0))
        place = {name: len(names) + k for k, name in enumerate(strangers)}
        pairs = zip(who, truth.tolist(), strict=True)
        truth = np.array([k if k >= 0 else place[name] for name, k in pairs])
        names = [*names, *strangers]
    draw = lambda theme: diagrams.opponent_map(found.place, truth, names, theme)
    source = strips.SOURCES.get(str(part.get("source")), "a posterior")
    kinds = len(np.unique(truth))
    alt = f"Opponent map of {called}: {len(truth)} matches; kinds of opponent: {kinds}."
    if len(right):
        share = f"{100 * right.mean():.0f}% of the {len(right)} matches of one known type"
        alt += f" In {share} that is believed most."
    caption = (
        f"{called}: a point is one other in one match, placed by the mean of {source} over the "
        f"match, in its first two principal components ({100 * found.share:.0f}% of the variance). "
        "Colour, mark and name are the true type; who is none of those known has its own name."
    )
    return [image(file, draw, alt, caption)]
