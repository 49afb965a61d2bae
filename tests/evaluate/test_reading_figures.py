"""The figures of reading the others have known answers where a reader is right, or one is not."""

from typing import Any

import numpy as np
import pytest
from readers import pool, reader

from counterplay import envs
from counterplay.bench.reading import told
from counterplay.bench.reading_table import BASE, MISSED, REACHED, banded, interval, reading
from counterplay.evaluate.opponent_model import FILTER, MODEL, measures
from counterplay.evaluate.others import Known
from counterplay.evaluate.watching import Watching, watch
from counterplay.opponents.sets import members
from counterplay.seats import Chair, Kind, Roster, bank

NAMES = members("matrix", "train")
KNOWN = Known(NAMES, {i + 3: (i,) for i in range(len(NAMES))})
READERS: dict[str, dict[str, Any]] = {
    "right": {},
    "sharp": {"power": 10.0},
    "swapped": {"swapped": True},
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What is told of readers that play alike: one is exact, one takes every move for ten, one
    names two types wrong."""
    env: Any = envs.make("matrix:pd,horizon=12")
    readers = bank([reader(env, **how) for how in READERS.values()])
    kinds = (Kind("readers", 3, policy=readers), Kind("them", 1, policy=pool(env), first_id=3))
    tables = tuple((Chair(0, i), Chair(1, 0)) for i in range(3))
    w = watch(env, Roster(kinds, tables, tuple(READERS), (0, 0, 0)), 180, 2, known=pool(env))
    called = {i + 3: name for i, name in enumerate(NAMES)}
    third = len(w.valid) // 3
    parts = [slice(i * third, (i + 1) * third) for i in range(3)]
    cut: list[list[Any]] = [[None if x is None else x[part] for x in w] for part in parts]
    each = [told(measures(Watching(*one), KNOWN, called)) for one in cut]
    return dict(zip(READERS, each, strict=True))


def lines(one: dict[str, Any], which: str = "train") -> dict[str, dict[str, Any]]:
    """The table of one reader by figure."""
    row = {"case": "a reader", "set": which, "per_seed": [one]}
    return {line["figure"]: line for line in reading({"rows": [row]})}


def test_an_exact_reader_lacks_nothing(found):
    right = found["right"]
    assert right["moves"][MODEL]["excess"] == pytest.approx(0, abs=1e-5)
    assert right["moves"][MODEL]["top1"] == pytest.approx(right["moves"][FILTER]["top1"])
    mine, known = right["types"][MODEL], right["types"][FILTER]
    assert mine["brier"] == pytest.approx(known["brier"], abs=1e-4)
    assert mine["brier"]["0"] == pytest.approx(1 - 1 / len(NAMES)), "an even belief over types"
    assert mine["median_episodes"] == known["median_episodes"] and mine["inside"]
    assert right["groups"][MODEL] == pytest.approx(right["groups"][FILTER])
    shown = lines(right)
    assert shown["next move, expected top-1"]["reader beside it"] == "100.0%"
    assert shown["next move, nats"]["reader beside it"].removeprefix("-") == "0.000 more"
    assert shown["next move, nats"][BASE].startswith("floor 0.1")
    assert shown["type, Brier score, 3 moves seen"]["reader beside it"].removeprefix("-") == (
        "0.000 more"
    )
    assert shown["type, ECE"]["reader beside it"] == "inside the band: 1 of 1 seeds"
    assert shown["type known for good, median episode"]["reader beside it"] == "0.0 later"


def test_a_reader_that_is_wrong_is_told_to_be(found):
    assert found["sharp"]["moves"][MODEL]["excess"] > 0.05
    swapped = found["swapped"]["types"]
    assert swapped[MODEL]["brier"]["3"] > swapped[FILTER]["brier"]["3"] + 0.02
    assert swapped[MODEL]["known"] < swapped[FILTER]["known"] and not swapped[MODEL]["inside"]
    shown = lines(found["swapped"])
    assert shown["type, ECE"]["reader beside it"] == "inside the band: 0 of 1 seeds"


def test_nothing_is_asked_of_opponents_that_were_never_met(found):
    assert {line["asked"] for line in lines(found["right"], "held-out").values()} == {""}
    asked = [line["asked"] for line in lines(found["right"]).values() if line["asked"]]
    *others, rand = asked
    assert others == ["97% of it", "0.03 more", *["0.02 more"] * 2, "inside", "1 later"]
    assert rand == "90% of it", "agreement of the groups is asked beside what the filter finds"


def seeds_of(*excess: float) -> list[dict[str, Any]]:
    """Seeds that lack so many nats; the first has 80% of the filter's top-1, and they gain."""
    filter = {"nll": 1.0, "excess": 0.0, "top1": 0.5}
    mine = lambda x: {"nll": 1 + x, "excess": x, "top1": 0.4 + x}
    return [{"moves": {MODEL: mine(x), FILTER: filter}} for x in excess]


def table(seeds: list[dict[str, Any]], which: str = "train") -> list[dict[str, Any]]:
    return reading({"rows": [{"case": "x", "set": which, "per_seed": seeds}]})


def test_figures_of_several_seeds_are_a_mean_and_its_interval():
    """Student's over seeds, by hand: 1.96 times the standard error would be too narrow."""
    assert interval([0.5]) == "0.500" and interval([0.5, None]) == interval([]) == ""
    reach = 4.302653 * 10 / np.sqrt(3)  # of 90, 100 and 80, two degrees of freedom
    assert interval([0.9, 1.0, 0.8], 1, 100) == f"90.0 [{90 - reach:.1f}, {90 + reach:.1f}]"
    (top1, nats) = table(seeds_of(0.0, 0.1, 0.2))
    assert top1["reader beside it"] == "100.0 [50.3, 149.7]%"
    assert nats["reader"] == "1.100 [0.852, 1.348]"
    assert nats["exact filter"] == "1.000 [1.000, 1.000]"
    assert nats["reader beside it"] == "0.100 [-0.148, 0.348] more"


def test_a_figure_is_reached_if_its_interval_reaches_it():
    outcomes = lambda *excess: [line["outcome"] for line in table(seeds_of(*excess))]
    assert outcomes(0.1) == [REACHED, MISSED], "of one seed its mean counts"
    assert outcomes(0.08) == [MISSED, MISSED] and outcomes(0.0) == [MISSED, REACHED]
    assert outcomes(0.08, 0.081, 0.079) == [MISSED, MISSED]
    assert outcomes(0.08, 0.09, 0.07) == [REACHED, MISSED], "96% with an interval up to 101%"
    assert outcomes(0.04, 0.05, 0.03) == [MISSED, REACHED]
    free = table(seeds_of(0.0, 0.1), "held-out")
    assert {line["asked"] + line["outcome"] for line in free} == {""}


def test_who_is_right_may_be_outside_of_the_band_by_chance():
    """Of ten seeds two, which happens to one in eleven such tens; three do to one in eighty."""
    assert [banded(10 - out, 10) for out in range(4)] == [REACHED] * 3 + [MISSED]
    assert banded(1, 1) == REACHED and banded(0, 1) == banded(0, 2) == MISSED


def test_who_never_knows_types_that_the_filter_knows_has_missed(found):
    known = lambda *each: {"median_episodes": None, "known": 0.1} | dict(each)
    both = lambda mine, filter: {"types": {MODEL: known(*mine), FILTER: known(*filter)}}
    soon = ("median_episodes", 3)
    outcome = lambda *seeds: table(list(seeds))[0]["outcome"]
    assert outcome(both([], [soon])) == MISSED
    assert outcome(both([], [])) == "", "nobody knows them"
    assert outcome(both([soon], [soon])) == REACHED
    assert outcome(both([("median_episodes", 5)], [soon])) == MISSED
    late, at_five = [("median_episodes", 9)], [("median_episodes", 5)]
    assert outcome(both(late, [soon]), both([], [])) == MISSED, "who knows too late has missed, too"
    assert outcome(both([soon], [soon]), both(at_five, [])) == REACHED, "nothing is asked there"
    assert outcome(both([soon], [soon]), both([], [soon])) == MISSED
    assert {line["outcome"] for line in lines(found["right"]).values()} == {REACHED, ""}


def test_a_lone_hunter_is_asked_to_be_recognised_in_every_lane():
    """However wide an interval is, not all lanes are all."""
    seed = lambda share, median: {
        "lone": {
            "reader": {"share": share, "median": median},
            "exact": {"share": 1.0, "median": 0.97},
        }
    }
    lanes, middle = table([seed(0.9, 0.93), seed(0.99, 0.95), seed(1.0, 0.99)])
    assert lanes["reader"].startswith("0.963 [") and lanes["outcome"] == MISSED
    assert lanes["exact filter"] == "1.000 [1.000, 1.000]" and lanes["asked"] == "all"
    assert middle["asked"] == "0.9" and middle["outcome"] == REACHED
    assert table([seed(1.0, 0.8)])[0]["outcome"] == REACHED
    assert table([seed(1.0, 0.8)])[1]["outcome"] == MISSED
