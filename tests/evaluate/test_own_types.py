"""Types are compared with the known rules by name: whatever is called otherwise has no scores."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from readers import Decoder, pool, reader

from counterplay import envs, runs
from counterplay.algos import goal_ppo
from counterplay.evaluate.by_protocol import meet
from counterplay.evaluate.opponent_model import FILTER, MODEL, measures
from counterplay.evaluate.others import Known
from counterplay.evaluate.own_types import CODES, Own, by_rule, own_types, placed
from counterplay.evaluate.protocols import scenario_for
from counterplay.evaluate.watching import watch
from counterplay.opponents.sets import members
from counterplay.seats import Chair, Kind, Roster, bank

GAME = "matrix:pd,horizon=5"
ENV: Any = envs.make(GAME)
NAMES = members("matrix", "train")
KNOWN = Known(NAMES, {i + 1: (i,) for i in range(len(NAMES))})
BACK = tuple(reversed(NAMES))
TINY: dict[str, Any] = {"widths": (4,), "reader_widths": (4,), "reader_gru": 3, "told_width": 3}


def run(folder: Path, opponents: Any, **settings: Any) -> str:
    """A fresh goal_ppo as a run that says it met these opponents."""
    chosen: dict[str, Any] = TINY | {"types": len(NAMES)} | settings
    config = goal_ppo.Config(**chosen)
    folder.mkdir()
    more = {} if opponents is None else {"opponents": list(opponents)}
    kinds = [{"name": "self", "members": 1, "seats": [0]}]
    runs.save_config(folder, "goal_ppo", GAME, kinds, config, **more)
    net = goal_ppo.init_learner(config, ENV, 1, jr.key(0)).net
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
    return f"run:{folder}"


def test_types_are_the_opponents_of_the_training_in_their_order(tmp_path):
    places = tuple(range(len(NAMES)))
    assert placed(NAMES, ENV, KNOWN) == Own(places)
    assert placed(BACK, ENV, KNOWN) == Own(places[::-1])
    spelt = [f"{name}:tremble=0.05" if name == "grim" else name for name in NAMES]
    assert placed(spelt, ENV, KNOWN) == Own(places), "one rule, however it is written"
    strange = placed([*NAMES, "coin"], ENV, KNOWN)
    assert strange.place is None and "'coin', which is none of the known" in strange.why
    lacking = placed(NAMES[1:], ENV, KNOWN)
    assert lacking.place is None and repr(NAMES[0]) in lacking.why
    learned = placed([*NAMES, "run:elsewhere"], ENV, KNOWN)
    assert learned.place is None and "'run:elsewhere'" in learned.why


def test_a_run_is_asked_for_its_names(tmp_path):
    """The learner is among those of config.json, and is nobody's type."""
    there = ("self", *BACK, "")
    told = own_types(run(tmp_path / "a", there), ENV, KNOWN)
    assert told == Own(tuple(range(len(NAMES)))[::-1])
    planning = own_types(f"mcts:sims=2+run:{tmp_path / 'a'}", ENV, KNOWN)
    assert planning == told, "a planner asks the run that it plans with"
    more = own_types(run(tmp_path / "d", there, types=len(NAMES) + 1), ENV, KNOWN)
    assert more == Own((*reversed(range(len(NAMES))), None)), "the last is who learnt"
    codes = own_types(run(tmp_path / "b", there, types_from="moves"), ENV, KNOWN)
    assert codes == Own(None, CODES)
    silent = own_types(run(tmp_path / "c", None), ENV, KNOWN)
    assert silent is not None and "does not say whom it met" in silent.why
    assert own_types("grim", ENV, KNOWN) is None, "a rule infers no types"
    both = own_types(f"run:{tmp_path / 'a'},run:{tmp_path / 'b'}", ENV, KNOWN)
    assert both is not None and "several policies" in both.why
    row = json.loads((tmp_path / "a" / "config.json").read_text())
    (tmp_path / "a" / "config.json").write_text(json.dumps(row | {"config": {"seeds": 1}}))
    assert own_types(f"run:{tmp_path / 'a'}", ENV, KNOWN) is None, "its algorithm has no types"


def test_a_posterior_is_told_rule_by_rule():
    known = Known(("a", "b"), {})
    p = np.log([[0.5, 0.2, 0.3]])
    both, why = by_rule(p, known, Own((1, 0, 1)))
    assert both is not None and not why
    np.testing.assert_allclose(np.exp(both), [[0.2, 0.8]])  # two types of one rule add up
    assert by_rule(p, known, None) == (None, "the policy has a posterior over 3 types, and 2 rules "
                                       "are known")  # fmt: skip
    assert by_rule(p[:, :2], known, Own((1, 0, 1)))[0] is None
    met, _ = by_rule(p, known, Own((1, 0, None)))
    assert met is not None
    np.testing.assert_allclose(np.exp(met), [[2 / 7, 5 / 7]])  # nobody is met who learns
    assert by_rule(p[:, :2], known, Own(None, "no")) == (None, "no")
    same = by_rule(p[:, :2], known, Own((0, 1)))[0]
    assert same is not None and (same == p[:, :2]).all(), "as it was told, to the bit"


def test_who_names_types_in_another_order_is_scored_by_name():
    """One reader that swaps two types, as it is and with its decoder: what it means is told, or
    that its types are codes."""
    wrong = reader(ENV, swapped=True)
    swapped = Decoder(wrong.known, wrong.order, wrong.power, jnp.asarray(False))
    kinds = Kind("it", policy=bank([swapped])), Kind("them", policy=pool(ENV), first_id=1)
    w = watch(ENV, Roster(kinds, ((Chair(0, 0), Chair(1, 0)),), focal=(0,)), 60, 4, known=pool(ENV))
    called = {i + 1: name for i, name in enumerate(NAMES)}
    place = (1, 0, *range(2, len(NAMES)))
    by_count, by_name = (measures(w, KNOWN, called, meant=m) for m in (None, Own(place)))
    exact = by_name["types"][FILTER]["brier"]["estimate"]
    assert by_name["types"][MODEL]["brier"]["estimate"] == pytest.approx(exact, abs=1e-4)
    assert by_count["types"][MODEL]["brier"]["estimate"] > exact + 0.05
    for what in ("strip", "map"):
        right, taken = np.array(by_name[what]["posterior"]), np.array(by_count[what]["posterior"])
        np.testing.assert_array_equal(right[:, place], taken)
    assert by_name["grouping"] == by_count["grouping"], "which needs no names"
    codes = measures(w, KNOWN, called, meant=Own(None, CODES))
    assert codes["types"][MODEL] is None and codes["why"]["types"] == CODES
    assert codes["calibration"]["types"] is None and codes["grouping"] == by_name["grouping"]
    assert codes["strip"]["source"] == codes["map"]["source"] == FILTER
    assert codes["next_move"] == by_name["next_move"]


@pytest.mark.parametrize("types_from", ["moves", "opponents"])
def test_protocols_ask_a_run_what_it_means(tmp_path, types_from):
    """Six codes are no six rules, and six opponents are those that the run met."""
    goals = {"goals": "none", "types_from": types_from}
    text = run(tmp_path / "it", ["self", *BACK], **goals)
    scenario, size = scenario_for(GAME), (4, 0, lambda done, total: None, [])
    model = meet(ENV, scenario, text, "train", "sampled", *size).model
    named = types_from == "opponents"
    assert (model["types"][MODEL] is not None) == named
    assert model["strip"]["source"] == ("types" if named else FILTER)
    assert model["why"].get("types") == (None if named else CODES)
