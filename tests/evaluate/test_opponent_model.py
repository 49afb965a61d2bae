"""Measures on real play: an exact reader scores as the exact filter, and a wrong one as it should.

All readers of these tests play alike, in one program: one is right, one takes every move for ten,
one names two types wrong.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from readers import Decoder, Speaker, pool, reader

from counterplay import envs, opponents
from counterplay.evaluate.inferring import grouped
from counterplay.evaluate.opponent_model import FILTER, MODEL, measures
from counterplay.evaluate.others import Known, after, constant, filtered, others
from counterplay.evaluate.watching import Watching, watch
from counterplay.opponents.rule import Mixture
from counterplay.opponents.sets import members
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import NO_MOVE

ENV: Any = envs.make("matrix:pd,horizon=20")
NAMES = members("matrix", "train")
KNOWN = Known(NAMES, {i + 3: (i,) for i in range(len(NAMES))})
CALLED = {i + 3: name for i, name in enumerate(NAMES)}
EACH = 120
RIGHT, SHARP, SWAPPED = range(3)


def split(found: Watching, part: int, parts: int) -> Watching:
    """One block of rows of several."""
    size = len(found.valid) // parts
    here = slice(part * size, (part + 1) * size)
    cut: list[Any] = [None if x is None else x[here] for x in found]
    return Watching(*cut)


def played(them: Mixture, seed: int = 0) -> list[Watching]:
    readers = [reader(ENV), reader(ENV, power=10.0), reader(ENV, swapped=True)]
    kinds = (Kind("readers", 3, policy=bank(readers)), Kind("them", 1, policy=them, first_id=3))
    tables = tuple((Chair(0, i), Chair(1, 0)) for i in range(3))
    roster = Roster(kinds, tables, ("right", "sharp", "swapped"), (0, 0, 0))
    found = watch(ENV, roster, 3 * EACH, 1, seed, known=pool(ENV))
    return [split(found, i, 3) for i in range(3)]


@pytest.fixture(scope="module")
def readings() -> list[Watching]:
    return played(pool(ENV))


@pytest.fixture(scope="module")
def right(readings) -> Watching:
    return readings[RIGHT]


@pytest.fixture(scope="module")
def steady(readings) -> list[dict[str, Any]]:
    return [measures(w, KNOWN, CALLED) for w in readings]


def line(found: dict[str, Any], predictor: str, opponent: str | None = None) -> dict[str, Any]:
    (one,) = [
        x
        for x in found["next_move"]["lines"]
        if (x["predictor"], x["opponent"]) == (predictor, opponent)
    ]
    return one


def test_an_exact_reader_is_as_good_as_the_filter(steady):
    found = steady[RIGHT]
    excess = found["next_move"]["excess"]
    assert abs(excess["estimate"]) < 1e-4 and abs(excess["low"]) < 1e-4
    mine, exact = found["types"][MODEL], found["types"][FILTER]
    for name in ("nll", "brier", "top1"):
        assert mine[name]["estimate"] == pytest.approx(exact[name]["estimate"], abs=1e-4)
    assert mine["top1"]["estimate"] > 0.6
    first, last = exact["by_moves"][0], exact["by_moves"][-1]
    assert first["x"] == 0 and first["matches"] == EACH
    assert first["nll"] == pytest.approx(np.log(6)) and first["top1"] == pytest.approx(1 / 6)
    assert last["x"] == 19 and last["nll"] < 0.5
    assert found["calibration"][FILTER]["inside"] and found["calibration"]["types"]["inside"]
    assert set(found["why"]) == {"goals"}


def test_predictors_stand_in_their_order(steady):
    nll = {
        x: line(steady[RIGHT], x)["nll"]["estimate"] for x in ("true policy", FILTER, "marginal")
    }
    assert nll["true policy"] < nll[FILTER] < nll["marginal"]
    assert line(steady[RIGHT], "true policy")["accuracy"]["estimate"] > 0.9
    moves = sum(line(steady[RIGHT], MODEL, name)["moves"] for name in NAMES)
    assert moves == line(steady[RIGHT], MODEL)["moves"] == EACH * 20


def test_who_is_too_sure_is_found_out(steady):
    sharp = steady[SHARP]
    assert sharp["next_move"]["excess"]["low"] > 0.02
    surest = {x: sharp["calibration"]["types"][x][-1] for x in ("frequency", "low")}
    assert surest["frequency"] < surest["low"]  # right less often than certain
    assert sharp["calibration"][FILTER]["inside"]
    exact = sharp["types"][FILTER]["nll"]["estimate"]
    assert sharp["types"][MODEL]["nll"]["estimate"] > exact + 0.05


def test_who_takes_one_type_for_another_is_found_out(steady):
    swapped = steady[SWAPPED]
    assert abs(swapped["next_move"]["excess"]["estimate"]) < 1e-4  # it predicts as well as ever
    mine, exact = swapped["types"][MODEL], swapped["types"][FILTER]
    assert mine["top1"]["estimate"] < exact["top1"]["estimate"] - 0.1
    assert mine["identified"]["share"] < exact["identified"]["share"] - 0.1
    assert not swapped["calibration"]["types"]["inside"]
    grouping = swapped["grouping"]  # what a code decodes to is not what was seen under it
    assert grouping[MODEL]["homogeneity"] < grouping[FILTER]["homogeneity"] - 0.1


def test_groups_stand_beside_those_of_exact_inference(steady):
    found = steady[RIGHT]["grouping"]
    assert found[FILTER]["rows"] == found[MODEL]["rows"] == EACH // 2
    assert 0.5 < found[MODEL]["nmi"] <= 1 and 0.5 < found[FILTER]["adjusted_rand"] <= 1
    assert found[MODEL] == found[FILTER], "who infers exactly groups exactly, by the same decoders"


def test_types_are_merged_by_what_each_says_that_they_do():
    """One who takes all types for the same behaviour has one group; the filter keeps its own."""
    one = reader(ENV)
    each = [Decoder(one.known, one.order, one.power, jnp.asarray(a)) for a in (False, True)]
    kinds = (Kind("decoders", 2, policy=bank(each)), Kind("them", 1, policy=pool(ENV), first_id=3))
    tables = tuple((Chair(0, i), Chair(1, 0)) for i in range(2))
    both = watch(ENV, Roster(kinds, tables, focal=(0, 0)), 2 * EACH, 1, known=pool(ENV))
    right, alike = (measures(split(both, i, 2), KNOWN, CALLED)["grouping"] for i in range(2))
    assert right[MODEL] == right[FILTER] and right[FILTER]["groups"] > 3
    assert alike[MODEL]["groups"] == 1 and alike[MODEL]["adjusted_rand"] == 0
    assert alike[FILTER]["groups"] > 3 and alike[FILTER]["adjusted_rand"] > 0.5
    assert alike[MODEL]["rows"] == alike[FILTER]["rows"]


def test_rules_that_do_the_same_are_one_group_to_the_filter_too(right):
    """Of a rule and its copy either may be the likeliest, by what rounding leaves of a tie."""
    rows = others(right, KNOWN)
    held = filtered(rows)
    assert held is not None and rows.hypotheses is not None
    last, acts = held.log_after[:, -1], rows.moves != NO_MOVE
    alone = grouped(rows, last, rows.hypotheses, acts)
    tie = np.random.default_rng(0).choice([-1e-9, 1e-9], len(last))
    doubled = np.concatenate([last, last[:, :1] + tie[:, None]], 1)
    used = np.bincount(doubled.argmax(-1), minlength=7)
    assert used[0] > 5 and used[6] > 5, "a test without both would prove nothing"
    copied = np.concatenate([rows.hypotheses, rows.hypotheses[:, :, :1]], 2)
    assert grouped(rows, doubled, copied, acts) == pytest.approx(alone)
    unlike = copied[:, :, [0, 1, 2, 3, 4, 5, 1]]  # said to do what another does
    apart = grouped(rows, doubled, unlike, acts)
    assert alone is not None and apart is not None
    assert apart["adjusted_rand"] < alone["adjusted_rand"] - 0.05


def test_the_strip_is_what_was_believed(steady):
    found = steady[RIGHT]["strip"]
    assert found["source"] == "types" and found["names"] == list(NAMES)
    posterior = np.array(found["posterior"])
    assert posterior.shape == (20, 6)
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-4)
    np.testing.assert_allclose(posterior[0], 1 / 6, atol=1e-4)
    assert len(set(found["truth"])) == 1 and found["mode"] == [0] * 20


def test_switches_are_noticed_by_who_expects_them():
    texts = (
        "switch:at=10,first=tit_for_tat:tremble=.05,then=bully:tremble=.05",
        "switch:at=10,first=bully:tremble=.05,then=tit_for_tat:tremble=.05",
    )
    them = Mixture(tuple(opponents.make(text, ENV) for text in texts))
    at = {name.partition(":")[0]: i for i, name in enumerate(NAMES)}
    pair = at["tit_for_tat"], at["bully"]
    known = Known(NAMES, {3: pair, 4: pair[::-1]})
    w = played(them)[RIGHT]
    drifting = measures(w, known, {3: "a", 4: "b"}, drift=0.05)["switch"]
    rigid = measures(w, known, {3: "a", 4: "b"})["switch"]
    assert drifting["known"] and drifting["switches"] == drifting[FILTER]["switches"] == EACH
    assert drifting[FILTER]["median"] <= 4 and drifting[FILTER]["missed"] < 0.2
    assert rigid[FILTER]["median"] is None or rigid[FILTER]["median"] > drifting[FILTER]["median"]
    # the reader expects no change either; where it lags far behind, float32 breaks a tie or two
    assert rigid["types"]["missed"] == pytest.approx(rigid[FILTER]["missed"], abs=0.05)
    assert rigid["surprise"]["median"] is not None and rigid["recovery"]["unit"] == "slots"
    unknown = measures(w, Known(NAMES, {}), {3: "a", 4: "b"})
    assert unknown["switch"][FILTER] is None and unknown["switch"]["surprise"] is not None
    assert unknown["types"] is None and "known rules" in unknown["why"]["types"]
    assert unknown["next_move"]["excess"] is not None


def test_who_tells_nothing_gets_no_numbers():
    kinds = (
        Kind("me", 1, policy=bank([Speaker()])),
        Kind("them", 1, policy=pool(ENV), first_id=3),
    )
    roster = Roster(kinds, ((Chair(0, 0), Chair(1, 0)),), focal=(0,))
    w = watch(ENV, roster, 8, known=pool(ENV))
    found = measures(w, KNOWN, CALLED)
    assert found["next_move"] is None and found["goals"] is None and found["switch"] is None
    assert found["types"][MODEL] is None and found["types"][FILTER] is not None
    assert found["calibration"]["types"] is None and found["strip"]["source"] == FILTER
    bare = measures(w._replace(hypotheses=None), Known((), {}), CALLED)
    assert bare["strip"] is None and bare["types"] is None and bare["grouping"] is None


def test_who_rules_out_what_happens_is_told_so(steady):
    w = played(pool(ENV))[RIGHT]
    assert w.predict is not None
    w.predict[..., 0] = -np.inf
    found = measures(w, KNOWN, CALLED)
    assert "probability 0" in found["why"]["next_move"] and found["next_move"]["excess"] is None
    assert line(found, FILTER)["excess"]["estimate"] == 0


def test_what_is_held_after_a_slot_is_what_is_told_in_the_next():
    w = played(pool(ENV))[RIGHT]
    rows = others(w, KNOWN)
    held = filtered(rows)
    assert held is not None and rows.types is not None
    later = after(rows.types, rows)
    np.testing.assert_allclose(np.exp(later[:, :-1]), np.exp(held.log_after[:, :-1]), atol=1e-4)
    gone = rows._replace(here=rows.here & (np.arange(20) != 7))
    assert (after(rows.types, gone)[:, 6] == rows.types[:, 6]).all()  # nothing was told in slot 7
    assert constant(np.array([[-1, 2, 2], [1, 2, 2], [-1, -1, -1]])).tolist() == [2, -1, -1]


def test_goals_are_scored_as_types_are():
    w = played(pool(ENV))[RIGHT]
    number = w.opponent_id[..., 1] - 3
    declared = w._replace(goal=np.stack([np.full_like(number, -1), number], -1), belief=w.types)
    found = measures(declared, KNOWN, CALLED)
    mine, same = found["goals"][MODEL], found["types"][MODEL]
    assert mine == same and mine["nll"]["estimate"] > 0
    assert found["calibration"]["goals"] == found["calibration"]["types"]
    alone = measures(declared._replace(types=None), KNOWN, CALLED)["strip"]
    assert alone["source"] == "belief" and alone["names"] == [str(i) for i in range(6)]
    assert alone["truth"] == number[0].tolist()
    nobody = measures(declared._replace(goal=np.full_like(declared.goal, -1)), KNOWN, CALLED)
    assert nobody["goals"] is None and "declares" in nobody["why"]["goals"]


def test_a_posterior_over_other_types_is_not_compared():
    w = played(pool(ENV))[RIGHT]
    assert w.types is not None
    found = measures(w._replace(types=np.full((*w.types.shape[:3], 9), 1 / 9)), KNOWN, CALLED)
    assert "9 types" in found["why"]["types"] and found["types"][MODEL] is None
    assert found["types"][FILTER] is not None and found["strip"]["source"] == FILTER
