"""The tables of how well the others are read: figures over seeds, and which of them are reached.

Intervals are Student's 95% of the mean over seeds. A figure is reached if the interval reaches it,
and of a single seed, which has none, if its mean does.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import bdtrc

from counterplay.bench.study_tables import agents
from counterplay.evaluate.opponent_model import LAST_MOVE, MARGINAL, MODEL
from counterplay.evaluate.predicted import FILTER, TRUE
from counterplay.evaluate.statistics import t_interval

LEAST_TOP1, MOST_EXCESS, MOST_BRIER, AIM_RAND = 0.97, 0.03, 0.02, 0.9
"""What is asked of a reader, of the opponents that it was trained with."""
MOVES, SURE = 5, 0.9
"""After so many moves of a lone hunter its goal is asked to be held so likely."""
REACHED, MISSED = "reached", "missed"
OUTSIDE = 0.05
"""How often the ECE of right beliefs is outside its band."""
GROUPS = {"groups": "groups", "adjusted_rand": "adjusted Rand", "homogeneity": "homogeneity"}
GROUPS |= {"completeness": "completeness"}
"""A figure of a grouping -> its column."""
BASE = "true policy and baselines"
Values = list[float | None]


def reading(found: Any) -> list[dict[str, Any]]:
    """A line a figure, of the reader and of the exact filter, over all seeds."""
    rows = []
    for row in found["rows"]:
        seeds = row["per_seed"]
        for line in (*_moves(seeds), *_types(seeds), *_groups(seeds), *_lone(seeds)):
            free = {} if row["set"] == "train" else {"asked": "", "outcome": ""}
            rows.append({"reader of": row["case"], "set": row["set"]} | line | free)
    return rows


def types(found: Any) -> list[dict[str, Any]]:
    """What an agent earns by what its types are, and how it groups its opponents, beside exact
    inference."""
    lines = agents(found)
    for line, row in zip(lines, found["rows"], strict=True):
        of: Any = row.get("groups", {})
        for name, column in GROUPS.items():
            told = {who: interval([_at(one, name) for one in each], 2) for who, each in of.items()}
            exact = told.get(FILTER, "")
            line[column] = f"{told[MODEL]}; exact {exact}" if exact else ""
    return lines


def _line(
    figure: str,
    reader: Values,
    known: Values,
    beside: str,
    asked: str = "",
    outcome: str = "",
    digits: int = 3,
) -> dict[str, Any]:
    shown = {"reader": interval(reader, digits), "exact filter": interval(known, digits)}
    shown |= {"reader beside it": beside, BASE: ""}
    return {"figure": figure} | shown | {"asked": asked, "outcome": outcome}


def _moves(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    of = lambda who, name: [_at(one, "moves", who, name) for one in seeds]
    if None in (nats := of(MODEL, "nll")):
        return
    right, known = of(MODEL, "top1"), of(FILTER, "top1")
    if None not in right:
        share = [a / b for a, b in zip(right, known, strict=True)]  # type: ignore[operator]
        beside, asked = interval(share, 1, 100) + "%", f"{LEAST_TOP1:.0%} of it"
        outcome = at_least(share, LEAST_TOP1)
        yield _line("next move, expected top-1", right, known, beside, asked, outcome)
    excess = of(MODEL, "excess")
    named = {"floor": TRUE, "how often": MARGINAL, "after the last": LAST_MOVE}
    told = {name: interval(of(who, "nll")) for name, who in named.items()}
    others = ", ".join(f"{name} {nll}" for name, nll in told.items() if nll)
    asked = f"{interval(excess)} more", f"{MOST_EXCESS} more", at_most(excess, MOST_EXCESS)
    yield _line("next move, nats", nats, of(FILTER, "nll"), *asked) | {BASE: others}


def _types(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    of = lambda who, *path: [_at(one, "types", who, *path) for one in seeds]
    for moves in ("3", "10", "30", "100"):
        mine, known = of(MODEL, "brier", moves), of(FILTER, "brier", moves)
        if None not in (*mine, *known):
            more = [a - b for a, b in zip(mine, known, strict=True)]  # type: ignore[operator]
            name = f"type, Brier score, {moves} moves seen"
            asked = f"{interval(more)} more", f"{MOST_BRIER} more", at_most(more, MOST_BRIER)
            yield _line(name, mine, known, *asked)
    if None not in (mine := of(MODEL, "ece")):
        inside: int = sum(of(MODEL, "inside"))  # type: ignore[arg-type]
        asked = f"inside the band: {inside} of {len(seeds)} seeds", "inside"
        yield _line("type, ECE", mine, of(FILTER, "ece"), *asked, banded(inside, len(seeds)))
    if seeds and _at(seeds[0], "types", MODEL, "known") is not None:
        mine, known = of(MODEL, "median_episodes"), of(FILTER, "median_episodes")
        asked = _later(mine, known)
        yield _line("type known for good, median episode", mine, known, *asked, digits=1)
        yield _line("type known for good, share", of(MODEL, "known"), of(FILTER, "known"), "")


def _later(mine: Values, known: Values) -> tuple[str, str, str]:
    """How many episodes after the filter, what is asked, and the outcome; None is never.

    Of the seeds in which the filter knows half of the types in time: the others ask for nothing.
    """
    asked = "1 later"
    pairs = [(a, b) for a, b in zip(mine, known, strict=True) if b is not None]
    if not pairs:
        return "not known in half of the matches", asked, ""
    later: Values = [a - b for a, b in pairs if a is not None]
    if len(later) < len(pairs):
        return f"not known in half of the matches: {len(pairs) - len(later)} seeds", asked, MISSED
    return f"{interval(later, 1)} later", asked, at_most(later, 1)


def _groups(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    names = {"adjusted_rand": "adjusted Rand", "nmi": "NMI"}
    for name in ("adjusted_rand", "homogeneity", "completeness", "nmi"):
        of: Callable[[str], Values] = lambda who, name=name: [
            _at(one, "groups", who, name) for one in seeds
        ]
        if None not in (mine := of(MODEL)):
            beside = asked = outcome = ""
            if name == "adjusted_rand":
                pairs: Any = zip(mine, of(FILTER), strict=True)
                share: Values = [a / b for a, b in pairs]
                beside, asked = interval(share, 1, 100) + "%", f"{AIM_RAND:.0%} of it"
                outcome = at_least(share, AIM_RAND)
            figure = f"groups, {names.get(name, name)}"
            yield _line(figure, mine, of(FILTER), beside, asked, outcome)


def _lone(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    """Of a stag hunter that never succeeds: it is asked to be recognised in every lane."""
    of = lambda who, name: [_at(one, "lone", who, name) for one in seeds]
    if None in of("reader", "share"):
        return
    for name, figure in (("share", f"lanes above {SURE}"), ("median", "median over lanes")):
        mine, known = of("reader", name), of("exact", name)
        asked = f"{SURE}", at_least(mine, SURE)
        if name == "share":  # no interval reaches beyond all of them
            asked = "all", REACHED if min(mine) == 1 else MISSED  # type: ignore[type-var]
        line = f"goal of a lone stag hunter, {MOVES} moves seen, {figure}"
        yield _line(line, mine, known, "", *asked)


def _at(found: Any, *path: str) -> Any:
    for name in path:
        found = None if found is None else found.get(name)
    return found


def _ends(values: Values, times: float = 1.0) -> tuple[float, float, float]:
    """Mean over seeds and the ends of its interval, which of one seed are the mean."""
    x = times * np.array(values, float)
    if len(x) == 1:
        return float(x[0]), float(x[0]), float(x[0])
    found = t_interval(x)
    return float(found.estimate), float(found.low), float(found.high)


def interval(values: Values, digits: int = 3, times: float = 1.0) -> str:
    """The mean over seeds with its interval, of one seed the mean alone; nothing where some are not
    known."""
    if not values or None in values:
        return ""
    mean, low, high = (f"{x:.{digits}f}" for x in _ends(values, times))
    return mean if len(values) == 1 else f"{mean} [{low}, {high}]"


def at_least(values: Values, bound: float) -> str:
    """Whether so much is reached."""
    return REACHED if _ends(values)[2] >= bound else MISSED


def at_most(values: Values, bound: float) -> str:
    """Whether so little is reached."""
    return REACHED if _ends(values)[1] <= bound else MISSED


def banded(inside: int, seeds: int) -> str:
    """Whether so many seeds may be inside of their band where beliefs are right: some are outside
    by chance, and more than are to be expected at 5% are too many."""
    out = seeds - inside
    return REACHED if not out or bdtrc(out - 1, seeds, OUTSIDE) > OUTSIDE + 1e-9 else MISSED
