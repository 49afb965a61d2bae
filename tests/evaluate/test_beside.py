"""Exact inference beside a policy in games of hidden information: what it holds, and that the
policy plays as it would alone.
"""

from typing import Any

import numpy as np
import pytest

from counterplay import envs
from counterplay.evaluate.beside import Beside, informed, mind_of
from counterplay.evaluate.by_protocol import known_to, meet
from counterplay.evaluate.opponent_model import FILTER, MODEL
from counterplay.evaluate.others import filtered, others
from counterplay.evaluate.scenarios import SCENARIOS, Scenario
from counterplay.evaluate.watching import watch
from counterplay.opponents.sets import members
from counterplay.pools import roster_of

GAME = "pursuit:11x11,size=5,view=1,horizon=6"
ENV: Any = envs.make(GAME)
TINY = Scenario("", GAME, 2, reader=SCENARIOS["pursuit-v1"].reader)
TRAIN = members("pursuit", "train")


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    """One roster with bayes in the pursuer's seat, watched with the inference and without."""
    roster = roster_of(ENV, {0: "bayes", 1: "pool:train"})
    roster = roster.__class__(roster.kinds, roster.tables, focal=(0,))
    rules, known = known_to(ENV, TINY, roster)
    with_it, watching = informed(ENV, TINY, roster, 0, rules)
    assert watching is None and isinstance(with_it.kinds[0].policy, Beside)
    assert not isinstance(with_it.kinds[1].policy, Beside)
    both = {name: watch(ENV, r, 24, 2) for name, r in (("beside", with_it), ("alone", roster))}
    return both | {"known": known}


def test_a_policy_plays_as_it_would_alone(played):
    for name in ("actions", "reward", "opponent_id", "predict", "types", "belief"):
        mine, alone = getattr(played["beside"], name), getattr(played["alone"], name)
        np.testing.assert_allclose(mine, alone, atol=1e-5, err_msg=name)
    assert played["alone"].exact_types is None


def test_what_it_holds_is_what_exact_inference_holds(played):
    """bayes is exact inference by the same views, written down apart: it may not see more."""
    w = played["beside"]
    acts = w.alive[..., 0] & w.alive[..., 1]
    np.testing.assert_allclose(w.exact_types[acts], w.types[acts], atol=1e-5)
    possible = np.isfinite(w.predict) & acts[..., None, None]
    np.testing.assert_allclose(w.exact_predict[possible], w.predict[possible], atol=1e-3)
    first = w.contact & acts
    np.testing.assert_allclose(w.exact_types[first], 1 / len(TRAIN), atol=1e-5)
    rows = others(w, played["known"])
    held = filtered(rows)
    assert held is not None and played["known"].names == TRAIN
    last = np.exp(held.log_after)[rows.asked]
    np.testing.assert_allclose(last.sum(-1), 1, atol=1e-4)
    told = np.exp(held.log_before)[rows.asked]
    true = told[np.arange(len(told)), rows.type[rows.asked]]
    assert true.mean() > 1.5 / len(TRAIN), "what is seen of an evader tells something"


def test_it_stands_beside_the_policy_under_protocols():
    met = meet(ENV, TINY, "bayes", "train", "sampled", 24, 0, lambda done, total: None, [])
    excess = met.model["next_move"]["excess"]
    assert abs(excess["estimate"]) < 1e-3 and abs(excess["high"]) < 1e-3
    types = met.model["types"]
    assert types["names"] == list(TRAIN)
    for name in ("nll", "top1"):
        mine, exact = (types[who][name]["estimate"] for who in (MODEL, FILTER))
        assert mine == pytest.approx(exact, abs=1e-3)
    lines = {x["predictor"]: x for x in met.model["next_move"]["lines"] if x["opponent"] is None}
    assert lines[FILTER]["nll"]["estimate"] >= lines["true policy"]["nll"]["estimate"] - 0.02
    assert met.model["grouping"] is None and "known rules" in met.model["why"]["grouping"]
    assert met.model["strip"] is not None
    assert met.model["goals"][FILTER] is None, "what rules aim at here they drew for themselves"
    assert met.model["calibration"][f"{FILTER}, goals"] is None


def test_a_set_of_more_or_fewer_rules_than_are_known_is_met_as_well():
    met = meet(ENV, TINY, "bayes", "held-out", "sampled", 8, 0, lambda done, total: None, [])
    assert met.model["next_move"] is not None and met.model["goals"][FILTER] is None


def test_each_game_has_the_inference_of_its_seat():
    roster = roster_of(ENV, {0: "random", 1: "random"})
    rules, _ = known_to(ENV, TINY, roster)
    assert rules is not None and mind_of(ENV, TINY, 1, rules) is None, "no rule pursues"
    assert informed(ENV, TINY, roster, 1, rules) == (roster, None)
    assert informed(ENV, TINY, roster, 0, None) == (roster, None)
    seen = Scenario("", "race", 2)
    assert informed(ENV, seen, roster, 0, rules) == (roster, rules)
    assert mind_of(ENV, seen, 0, rules) is None
