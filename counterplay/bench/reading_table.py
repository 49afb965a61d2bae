"""The table of ``counterplay bench reading``."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from counterplay.evaluate.opponent_model import LAST_MOVE, MARGINAL, MODEL
from counterplay.evaluate.predicted import FILTER, TRUE

LEAST_TOP1, MOST_EXCESS, MOST_BRIER, AIM_RAND = 0.97, 0.03, 0.02, 0.9
"""What is asked of a reader, of the opponents that it was trained with."""
BASE = "true policy and baselines"
Values = list[float | None]


def reading(found: Any) -> list[dict[str, Any]]:
    """A line a figure, of the reader and of the exact filter, over all seeds."""
    rows = []
    for row in found["rows"]:
        seeds = row["per_seed"]
        for line in (*_moves(seeds), *_types(seeds), *_groups(seeds)):
            asked = line["asked"] if row["set"] == "train" else ""
            rows.append({"reader of": row["case"], "set": row["set"]} | line | {"asked": asked})
    return rows


def _line(
    figure: str, reader: Values, known: Values, beside: str, asked: str, digits: int = 3
) -> dict[str, Any]:
    shown = {"reader": spread(reader, digits), "exact filter": spread(known, digits)}
    shown |= {"reader beside it": beside, BASE: ""}
    return {"figure": figure} | shown | {"asked": asked}


def _moves(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    of = lambda who, name: [_at(one, "moves", who, name) for one in seeds]
    if None in (nats := of(MODEL, "nll")):
        return
    right, known = of(MODEL, "top1"), of(FILTER, "top1")
    if None not in right:
        share = [a / b for a, b in zip(right, known, strict=True)]  # type: ignore[operator]
        beside = spread(share, 1, 100) + "%"
        yield _line("next move, expected top-1", right, known, beside, f"{LEAST_TOP1:.0%} of it")
    excess = of(MODEL, "excess")
    named = {"floor": TRUE, "how often": MARGINAL, "after the last": LAST_MOVE}
    told = {name: spread(of(who, "nll")) for name, who in named.items()}
    others = ", ".join(f"{name} {nll}" for name, nll in told.items() if nll)
    beside, most = f"{spread(excess)} more", f"{MOST_EXCESS} more"
    yield _line("next move, nats", nats, of(FILTER, "nll"), beside, most) | {BASE: others}


def _types(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    of = lambda who, *path: [_at(one, "types", who, *path) for one in seeds]
    for moves in ("3", "10", "30"):
        mine, known = of(MODEL, "brier", moves), of(FILTER, "brier", moves)
        if None not in (*mine, *known):
            more = [a - b for a, b in zip(mine, known, strict=True)]  # type: ignore[operator]
            name, most = f"type, Brier score, {moves} moves seen", f"{MOST_BRIER} more"
            yield _line(name, mine, known, f"{spread(more)} more", most)
    if None not in (mine := of(MODEL, "ece")):
        within = f"inside the band: {sum(of(MODEL, 'inside'))} of {len(seeds)} seeds"  # type: ignore
        yield _line("type, ECE", mine, of(FILTER, "ece"), within, "inside")
    if seeds and _at(seeds[0], "types", MODEL, "known") is not None:
        mine, known = of(MODEL, "median_episodes"), of(FILTER, "median_episodes")
        late = None in (*mine, *known)
        later = [a - b for a, b in zip(mine, known, strict=True)] if not late else []  # type: ignore
        beside = f"{spread(later, 1)} later" if later else "not known in half of the matches"
        yield _line("type known for good, median episode", mine, known, beside, "1 later", 1)
        yield _line("type known for good, share", of(MODEL, "known"), of(FILTER, "known"), "", "")


def _groups(seeds: list[Any]) -> Iterator[dict[str, Any]]:
    names = {"adjusted_rand": "adjusted Rand", "nmi": "NMI"}
    for name in ("adjusted_rand", "homogeneity", "completeness", "nmi"):
        of: Callable[[str], Values] = lambda who, name=name: [
            _at(one, "groups", who, name) for one in seeds
        ]
        if None not in (mine := of(MODEL)):
            aim = beside = ""
            if name == "adjusted_rand":
                pairs: Any = zip(mine, of(FILTER), strict=True)
                share: Values = [a / b for a, b in pairs]
                aim, beside = f"{AIM_RAND:.0%} of it", spread(share, 1, 100) + "%"
            yield _line(f"groups, {names.get(name, name)}", mine, of(FILTER), beside, aim)


def _at(found: Any, *path: str) -> Any:
    for name in path:
        found = None if found is None else found.get(name)
    return found


def spread(values: Values, digits: int = 3, times: float = 1.0) -> str:
    """The mean over seeds, and from where to where they lie; nothing where some are not known."""
    if not values or None in values:
        return ""
    x = times * np.array(values, float)
    mean = f"{x.mean():.{digits}f}"
    return mean if len(x) == 1 else f"{mean} [{x.min():.{digits}f}, {x.max():.{digits}f}]"
