"""Goals as exact inference holds them: by what each known rule would be after."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from counterplay import envs
from counterplay.evaluate.by_protocol import known_to
from counterplay.evaluate.inferring import STRANGE, aims_held
from counterplay.evaluate.opponent_model import FILTER, MODEL, measures
from counterplay.evaluate.others import Others, filtered, others
from counterplay.evaluate.protocols import scenario_for
from counterplay.evaluate.watching import watch
from counterplay.pools import read_seats, roster_of
from counterplay.types import NO_MOVE

ENV: Any = envs.make("race:narrow")


def rows(intents: Any, goal: Any) -> Others:
    """Two slots of one other."""
    blank = dict.fromkeys(Others._fields)
    asked = np.ones((1, 2), bool)
    given = {"intents": np.array([intents], float), "goal": np.array([goal]), "asked": asked}
    given |= {"moves": np.zeros((1, 2), int)}
    return Others(**blank | given)  # pyright: ignore[reportArgumentType]


def test_a_goal_is_as_likely_as_the_rules_that_are_after_it():
    one = rows([[2, 0, 2], [-1, 1, 0]], [2, 1])
    held = np.log([[[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]])
    found = aims_held(one, held)
    share = np.array([[0.3, 0, 0.7], [0.25, 0.75, 0]])  # a rule that declares nothing is left out
    assert found is not None
    np.testing.assert_allclose(np.exp(found)[0], (1 - STRANGE) * share + STRANGE / 3)


def test_goals_are_even_where_no_rule_declares_any_and_untold_where_nobody_watched():
    one = rows([[-1, -1], [0, 1]], [-1, 0])
    found = aims_held(one, np.log([[[0.5, 0.5], [0.5, 0.5]]]))
    assert found is not None
    np.testing.assert_allclose(np.exp(found)[0], 0.5)
    nobody = one._replace(goal=np.full((1, 2), -1))
    assert aims_held(nobody, np.zeros((1, 2, 2))) is None, "nobody declares anything"
    assert aims_held(one._replace(intents=None), np.zeros((1, 2, 2))) is None
    assert aims_held(one, None) is None


def test_who_plays_on_alone_is_after_something_still():
    """The policy has left in the second slot; what is known of the goal then is not forgotten."""
    one = rows([[0, 1], [0, 1]], [0, 0])._replace(asked=np.array([[True, False]]))
    found = aims_held(one, np.log([[[0.99, 0.01], [0.99, 0.01]]]))
    assert found is not None
    np.testing.assert_allclose(found[0, 1], found[0, 0])
    gone = one._replace(moves=np.array([[0, NO_MOVE]]))
    left = aims_held(gone, np.log([[[0.99, 0.01], [0.99, 0.01]]]))
    assert left is not None
    np.testing.assert_allclose(np.exp(left[0, 1]), 0.5)


@pytest.fixture(scope="module")
def matches() -> Any:
    """An agent that walks at random among rules of the training set, which watch."""
    seats = read_seats(("0=random", "1..2=pool:train"), ENV.num_seats)
    roster = replace(roster_of(ENV, seats), focal=(0,))
    rules, known = known_to(ENV, scenario_for("race:narrow"), roster)
    return watch(ENV, roster, 192, 6, 5, known=rules), known, roster.ids


def test_each_known_rule_tells_what_it_would_be_after_where_the_true_one_does(matches):
    w, known, _ = matches
    told = others(w, known)
    assert told.intents is not None
    at = np.argwhere(told.asked & (told.type >= 0))
    assert len(at) > 2000
    where = tuple(at.T)
    mine = told.intents[(*where, told.type[where])]
    assert (mine == told.goal[where]).all() and (told.goal[where] >= 0).any()


def test_exact_inference_is_right_about_goals_and_sure_late_in_a_match(matches):
    w, known, ids = matches
    found = measures(w, known, ids)
    exact = found["goals"][FILTER]
    assert found["goals"][MODEL] is None and "no belief over goals" in found["why"]["goals"]
    assert exact["nll"]["estimate"] < np.log(ENV.num_goals) - 0.5
    assert exact["top1"]["estimate"] > 0.8
    band = found["calibration"][f"{FILTER}, goals"]
    assert band["enough"] and band["inside"], "exact beliefs are as often true as they say"
    assert exact["identified"] is None or exact["identified"]["share"] > 0.8
    told = others(w, known)
    held = filtered(told)
    assert held is not None
    late = told.asked & (told.episode == 5) & (told.goal >= 0)
    goals = aims_held(told, held.log_before)
    assert goals is not None
    sure = np.take_along_axis(np.exp(goals), np.maximum(told.goal, 0)[..., None], -1)[..., 0]
    assert sure[late].mean() > 0.9 > sure[told.asked & (told.seen == 0)].mean()
