"""The section of a report on the opponent model: next moves, types and goals, groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from counterplay.report import diagrams, strips
from counterplay.report.adapting import ends_told
from counterplay.report.blocks import Block, Image, Section, Table, Text
from counterplay.report.calibrating import reliabilities
from counterplay.report.contents import image
from counterplay.report.figures import Line
from counterplay.report.mapping import shown_map
from counterplay.report.measure import Film
from counterplay.report.protocols import (
    NONE,
    Part,
    Protocol,
    attempted,
    number,
    parts_of,
    spread,
    values,
)

MODEL, FILTER = "model", "exact filter"
BY_HEAD = "95%"
PREDICTORS = {
    "model": "the agent's model",
    "exact filter": "exact filter (attainable)",
    "true policy": "true policy (floor)",
    "marginal": "how often each move is made",
    "last move": "what followed the last move",
}
GRADES = {"nll": "NLL, nats", "brier": "Brier score", "top1": "top-1"}
AGREEMENT = {
    "homogeneity": "homogeneity",
    "completeness": "completeness",
    "nmi": "NMI",
    "adjusted_rand": "adjusted Rand",
}


def opponent_model(found: Sequence[Protocol], mark: str) -> Section | None:
    """What protocols found of predictions and beliefs; None where no protocol was run."""
    if not found:
        return None
    blocks: list[Block] = []
    for title, make in (
        ("next moves", next_moves),
        ("types and goals", inferred),
        ("calibration", lambda found: reliabilities(found, mark)),
        ("groups", grouping),
    ):
        blocks += attempted(title, lambda make=make: make(found))
    blocks += attempted("how soon types are known", lambda: identification(found, mark))
    for k, part in enumerate(parts_of(found, drawn=True)):
        tag = f"-{k + 1}{mark}"
        blocks += attempted("the opponent map", lambda part=part, tag=tag: shown_map(part, tag))
        blocks += attempted("the belief strip", lambda part=part, tag=tag: belief_strip(part, tag))
    blocks += [Text(words) for words in _missing(found)]
    if not blocks:
        return None
    return Section("The opponent model", tuple(blocks))


def _named(found: Sequence[Protocol], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """What every part has under a name, where it has something."""
    return [(part.called, part.found[name]) for part in parts_of(found) if part.found.get(name)]


def next_moves(found: Sequence[Protocol]) -> list[Block]:
    """Two tables: every predictor against all opponents, and the model against each."""
    columns = ("run, protocol, play", "predictor", "excess NLL, nats", "95%", "NLL, nats", "95%")
    columns += ("expected accuracy", "95%", "moves")
    against_all, each = [], []
    for name, part in _named(found, "next_move"):
        for line in part["lines"]:
            numbers = (*spread(line["excess"]), *spread(line["nll"]), *spread(line["accuracy"]))
            told = (*numbers, number(line["moves"]))
            called = PREDICTORS.get(line["predictor"], line["predictor"])
            if line["opponent"] is None:
                against_all.append((name, called, *told))
            elif line["predictor"] == MODEL:
                each.append((name, line["opponent"], *told))
    if not against_all:
        return []
    words = (
        "Excess NLL over the exact filter is the headline: 0 nats a move is as good as exact "
        "inference over the known rules, and below 0 is luck or knowing more. Expected accuracy "
        "is the chance, under the true policy, of the move held likeliest. The two baselines count "
        "the moves of the other half of the same matches: a model that does not beat them predicts "
        "no better than counts over all opponents of the set."
    )
    caption = "Prediction of the next move, over all opponents."
    blocks: list[Block] = [Text(words), Table(caption, columns, tuple(against_all))]
    if each:
        heads = (columns[0], "opponent", *columns[2:])
        caption = "Prediction of the next move by the agent's model, per opponent."
        blocks.append(Table(caption, heads, tuple(each)))
    return blocks


def inferred(found: Sequence[Protocol]) -> list[Block]:
    """Scores of beliefs over types and goals, and how soon the truth was known for good."""
    columns = ["run, protocol, play", "belief over", "whose"]
    for called in GRADES.values():
        columns += [called, BY_HEAD]
    columns += ["known for good", "moves till then, median", "matches and others"]
    rows = []
    for kind in ("types", "goals"):
        for name, part in _named(found, kind):
            for who in (MODEL, FILTER):
                if scores := part.get(who):
                    numbers = [cell for key in GRADES for cell in spread(scores.get(key))]
                    soon = scores.get("identified") or {}
                    median = soon.get("median_moves")
                    later = (
                        "later than any, or never" if soon and median is None else number(median, 1)
                    )
                    ends = (_share(soon.get("share")), later, number(soon.get("rows")))
                    rows.append((name, kind, PREDICTORS[who], *numbers, *ends))
    if not rows:
        return []
    words = (
        "Beliefs are scored where both act. A type is known for good once it leads the best other "
        "nine to one and never less until the match ends; who is never known counts as later than "
        "all others, so that a median may be never."
    )
    caption = "Types and goals of the others as they are inferred."
    return [Text(words), Table(caption, tuple(columns), tuple(rows))]


def _share(value: Any) -> str:
    return NONE if number(value) == NONE else f"{100 * value:.1f}%"


def identification(found: Sequence[Protocol], mark: str) -> list[Block]:
    """Share of the others whose type is known for good, by moves seen."""
    lines = []
    for part in parts_of(found, drawn=True):
        scores = part.found.get("types") or {}
        for who in (MODEL, FILTER):
            points = values(((scores.get(who) or {}).get("identified") or {}).get("by_moves") or [])
            if len(points) > 1:
                none, x = np.full(len(points), np.nan), np.arange(len(points), dtype=float)
                lines.append(Line(f"{part.name}: {PREDICTORS[who]}", x, points, none, none))
    if not lines:
        return []
    axes = "moves seen of the other", "share known for good"
    draw = lambda theme: diagrams.curves(lines, *axes, theme, unit=True)
    alt = f"Share of the others known for good by moves seen. {' '.join(map(ends_told, lines))}"
    caption = "How soon types are known for good, of all matches; who never is never counts."
    return [image(f"identified{mark}.png", draw, alt, caption)]


def grouping(found: Sequence[Protocol]) -> list[Block]:
    """How the agent's types agree with the true ones, beside the exact classifier's."""
    columns = ("run, protocol, play", "whose", *AGREEMENT.values(), "groups", "matches and others")
    whose = {MODEL: "the agent's groups", FILTER: "exact-likelihood classifier"}
    keys = (*AGREEMENT, "groups", "rows")
    rows = [
        (name, whose[who], *(number(part[who][key]) for key in keys))
        for name, part in _named(found, "grouping")
        for who in (MODEL, FILTER)
        if part.get(who)
    ]
    if not rows:
        return []
    words = (
        "What the agent takes the others for, types that move alike merged, against what they "
        "are: 1 is perfect, and an adjusted Rand of 0 is chance."
    )
    return [Text(words), Table("Grouping of the others.", columns, tuple(rows))]


def belief_strip(part: Part, tag: str) -> list[Block]:
    """One match as a still picture."""
    if not part.found.get("strip"):
        return []
    return [drawn_strip(strips.strip_of(part.found["strip"]), part.called, f"strip{tag}.png")]


def drawn_strip(shown: strips.Strip, called: str, file: str) -> Image:
    """The picture with its words; it is moved sideways where it is wider than a phone."""
    css = wide_in_pixels(strips.width_of(shown))
    alt = f"Belief strip of {called}. {strips.told(shown)}"
    draw = lambda theme: strips.strip(shown, theme)
    return image(file, draw, alt, f"{called}: {strips.caption(shown)}", css)


def wide_in_pixels(inches: float) -> int:
    """Of a picture that is wider than a phone; 0 of one that is not."""
    return round(inches * 96) if inches > strips.WIDTH else 0


def film_strips(section: Section, films: Mapping[int, Film], names: Mapping[int, str]) -> Section:
    """The section of films with the strips of those matches as still pictures after them."""
    drawn = [
        drawn_strip(film.strip, f"{names[i]}, the match of the film", f"film-strip-{i + 1}.png")
        for i, film in films.items()
        if film.strip is not None
    ]
    return section._replace(blocks=(*section.blocks, *drawn))


def _missing(found: Sequence[Protocol]) -> list[str]:
    """Why something is not told, in the words of the results."""
    words = []
    for part in parts_of(found):
        why = part.found.get("why")
        if isinstance(why, Mapping) and why:
            reasons = "; ".join(f"{name}: {said}" for name, said in why.items())
            words.append(f"Not told for {part.called}. {reasons}.")
    return words
