"""Results of protocols as ``eval --protocol`` leaves them, with numbers known beforehand."""

import json
from pathlib import Path
from typing import Any

NAMES = ["tit_for_tat", "bully", "grim"]
SLOTS = 12
TURN = 6
"""The slot in which the other of the strip switches from bully to grim."""


def about(mean: float, reach: float = 0.1, **more: Any) -> dict[str, Any]:
    return {"estimate": mean, "low": mean - reach, "high": mean + reach} | more


def mean(value: float, reach: float | None = 0.1, **more: Any) -> dict[str, Any]:
    ends = (None, None) if reach is None else (value - reach, value + reach)
    return {"mean": value, "low": ends[0], "high": ends[1]} | more


def one_set(score: float | None = 0.5, why: str | None = None, **more: Any) -> dict[str, Any]:
    told = None if score is None else about(score)
    share = None if score is None else about(score + 0.25)
    lines = [mean(k + 1.5, 0.25, name=name, matches=4) for k, name in enumerate(NAMES)]
    row = mean(2.5, matches=12, worst_decile=-1.25, score=told, share=share, why=why)
    return row | {"opponents": lines} | more


def line(predictor: str, opponent: str | None, excess: float, accuracy: float | None = 0.75):
    sure = None if accuracy is None else about(accuracy)
    told = {"predictor": predictor, "opponent": opponent, "accuracy": sure, "moves": 144}
    return told | {"nll": about(excess + 0.5), "excess": about(excess)}


def next_move() -> dict[str, Any]:
    whole = {"model": 0.125, "exact filter": 0.0, "marginal": 0.6, "last move": 0.4}
    lines = [line(name, None, x) for name, x in whole.items()] + [line("true policy", None, -0.01)]
    lines += [line("model", name, 0.1 * k + 0.1) for k, name in enumerate(NAMES)]
    lines += [line("exact filter", name, 0.0) for name in NAMES]
    return {"excess": about(0.125), "lines": lines}


def graded(nll: float, share: float, median: float | None) -> dict[str, Any]:
    soon = {"rows": 12, "share": share, "median_moves": median, "by_episodes": [0.0, share]}
    points = [min(share, share * k / 4) for k in range(6)]
    return {
        "nll": about(nll, matches=12),
        "brier": about(nll / 2, matches=12),
        "top1": about(1 - nll / 2, matches=12),
        "by_moves": [],
        "identified": soon | {"by_moves": points},
    }


def bins(ece: float, predictions: int, shift: float = 0.0) -> dict[str, Any]:
    """Four bins of which the first is empty; the third is ``shift`` off the diagonal."""
    at = [None, 0.4, 0.6, 0.9]
    return {
        "confidence": at,
        "frequency": [None, 0.4, 0.6 + shift, 0.9],
        "low": [None, 0.3, 0.5, 0.85],
        "high": [None, 0.5, 0.7, 0.95],
        "count": [0.0, 100.0, 200.0, float(predictions - 300)],
        "ece": ece,
        "ece_high": 0.05,
        "p_value": 0.5 if ece < 0.05 else 0.002,
        "predictions": predictions,
        "blocks": 12,
        "inside": ece <= 0.05,
        "enough": predictions >= 20_000,
    }


def switch() -> dict[str, Any]:
    told = {"switches": 8, "missed": 0.25, "median": 3.0, "mean_of_detected": 2.5}
    alarms = {"false_alarms_per_1000": 12.5, "quiet_slots": 400}
    never = told | {"missed": 0.75, "median": None} | alarms
    points = [mean(2.0 if x < 0 else 1.0 + 0.1 * x, x=x, matches=8) for x in range(-4, 8)]
    return {
        "switches": 8,
        "known": True,
        "types": told | alarms,
        "exact filter": told | alarms,
        "surprise": never,
        "exact filter, surprise": None,
        "recovery": told | {"unit": "episodes", "window": 3, "within": 0.2},
        "curve": {"unit": "episodes", "points": points},
    }


def strip(source: str = "types") -> dict[str, Any]:
    truth = [1] * TURN + [2] * (SLOTS - TURN)
    posterior = [[0.1, 0.8, 0.1] if t < TURN + 2 else [0.1, 0.2, 0.7] for t in range(SLOTS)]
    found = {"names": NAMES, "posterior": posterior, "truth": truth, "source": source}
    return found | {"mode": [0] * TURN + [1] * TURN, "episode": [t // 4 for t in range(SLOTS)]}


def opponent_map() -> dict[str, Any]:
    near = lambda k, x: [1 - 2 * x if i == k else x for i in range(3)]
    truth = [k for k in range(3) for _ in range(5)]
    points = [near(k, 0.02 * j) for k in range(3) for j in range(5)]
    return {"names": NAMES, "posterior": points, "truth": truth, "source": "types"}


def model(**more: Any) -> dict[str, Any]:
    agree = dict.fromkeys(("homogeneity", "completeness", "nmi", "adjusted_rand"), 0.875)
    return {
        "next_move": next_move(),
        "types": {
            "names": NAMES,
            "model": graded(0.5, 0.5, 4.0),
            "exact filter": graded(0.3, 1.0, 2.0),
        },
        "goals": None,
        "calibration": {
            "types": bins(0.1, 24_000, 0.25),
            "goals": None,
            "exact filter": bins(0.01, 1200),
        },
        "grouping": {
            "model": agree | {"groups": 2, "rows": 6},
            "exact filter": dict.fromkeys(agree, 1.0) | {"groups": 3, "rows": 6},
        },
        "switch": None,
        "strip": strip(),
        "map": opponent_map(),
        "why": {"goals": "none of the others declares a goal"},
    } | more


def curve(rise: float = 0.1, count: int = 5) -> dict[str, Any]:
    episodes = [mean(1 + rise * k, x=k + 1, matches=12) for k in range(count)]
    slots = [mean(0.5, x=k, matches=12) for k in range(SLOTS)]
    return {"episodes": episodes, "slots": slots}


def seen(**more: Any) -> dict[str, Any]:
    """A result of seen-v1, both plays alike but for the score, which greedy play has none of."""
    reason = "filter - blind is 3% of oracle - random, below 15%"
    sampled = {"sets": {"train": one_set()}, "of": "train", "curve": curve(), **model()}
    greedy = sampled | {"sets": {"train": one_set(None, reason)}}
    return result("seen-v1", {"sampled": sampled, "greedy": greedy}) | more


def switching() -> dict[str, Any]:
    """A result of switch-v1: two sets, and measures of the second with its returns."""
    first = model(switch=switch(), strip=None, map=None, calibration={}, types=None)
    second = one_set(curve=curve(), model=first | {"next_move": None})
    sets = {"switch-known": one_set(), "switch-unknown": second}
    return result(
        "switch-v1", {"sampled": {"sets": sets, "of": "switch-known", "curve": curve(), **first}}
    )


def result(protocol: str, plays: dict[str, Any]) -> dict[str, Any]:
    about = {"scenario": None, "env": "matrix:pd,horizon=4", "match": 5}
    return {"kind": "eval", "protocol": protocol} | about | {"plays": plays}


def save(run: Path, name: str, found: Any) -> None:
    folder = run / "evaluations" / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(found if isinstance(found, str) else json.dumps(found))
