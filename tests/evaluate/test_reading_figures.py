"""The figures of reading the others have known answers where a reader is right, or one is not."""

from typing import Any

import pytest
from readers import pool, reader

from counterplay import envs
from counterplay.bench.reading import told
from counterplay.bench.reading_table import BASE, reading, spread
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


def test_figures_of_several_seeds_are_a_mean_and_where_they_lie():
    assert spread([0.5]) == "0.500" and spread([0.5, None]) == spread([]) == ""
    assert spread([0.9, 1.0, 0.8], 1, 100) == "90.0 [80.0, 100.0]"
    excess = lambda x: {"moves": {MODEL: {"nll": 1 + x, "excess": x, "top1": 0.4 + x}}}
    seeds = [excess(x) for x in (0.0, 0.2)]
    for one in seeds:
        one["moves"][FILTER] = {"nll": 1.0, "excess": 0.0, "top1": 0.5}
    (top1, nats) = reading({"rows": [{"case": "x", "set": "train", "per_seed": seeds}]})
    assert top1["reader beside it"] == "100.0 [80.0, 120.0]%"
    assert (
        nats["reader"] == "1.100 [1.000, 1.200]" and nats["exact filter"] == "1.000 [1.000, 1.000]"
    )
    assert nats["reader beside it"] == "0.100 [0.000, 0.200] more"
