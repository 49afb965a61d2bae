"""Goals that were completed and cannot be again in the same episode, by hand."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from test_beliefs import LIVELY, PLAIN, reading, step, view

from counterplay.models import beliefs
from counterplay.models.beliefs import Held, Rates, over_goals, over_types
from counterplay.types import NO_MOVE

near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
GOALS = np.array([[[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]])
SAME = np.full((1, 2, 3), 0.5)
"""Moves that tell nothing."""
CONTACT = view([NO_MOVE, NO_MOVE], first=True)


def begun(goals: Any = GOALS, vanish: bool = True, rates: Rates = PLAIN) -> Held:
    held = beliefs.held_at_first((1, 2, 3, 2), vanish=vanish)
    return step(held, CONTACT, reading(SAME, goals), rates)


def given_type(held: Held) -> np.ndarray:
    b = np.exp(np.asarray(held.log_belief[0], float))
    return b / b.sum(1, keepdims=True)


def test_what_i_completed_is_no_longer_what_another_is_after():
    """.3 and .2 of .5 left; .2 and .6 of .8. Of types it tells nothing."""
    held = step(begun(), view([0, 0], event=[0, -1]), reading(SAME, GOALS), PLAIN)
    near(given_type(held), [[0, 0.6, 0.4], [0, 0.25, 0.75]])
    near(over_types(held), [[0.5, 0.5]])
    assert over_goals(held)[0, 0] == 0, "exactly"
    assert held.gone.tolist() == [True, False, False]


def test_it_stays_gone_whatever_drifts_or_is_said():
    held = step(begun(), view([0, 0], event=[0, -1]), reading(SAME, GOALS), LIVELY)
    for _ in range(3):
        held = step(held, view([0, 0]), reading(SAME, [[[0.9, 0.05, 0.05]] * 2]), LIVELY)
        assert over_goals(held)[0, 0] == 0
        near(over_goals(held).sum(), 1)
    held = step(held, view([0, 0], event=[-1, 1]), reading(SAME, GOALS), LIVELY)
    near(over_goals(held), [[0, 0, 1]])


def test_what_another_completed_is_gone_for_it_too():
    """Its own event tells of its type, .303 + .002 + .003 against .202 + .002 + .006 with .01 in
    place of 0, and its goals begin anew without that one."""
    held = step(begun(), view([0, 0], event=[-1, 1]), reading(SAME, GOALS), PLAIN)
    near(given_type(held), [[5 / 7, 0, 2 / 7], [0.25, 0, 0.75]])
    told = np.array([1.01 * 0.3 + 0.01 * 0.7, 1.01 * 0.2 + 0.01 * 0.8])
    near(over_types(held), [told / told.sum()])


def test_where_no_mass_remains_goals_that_are_left_are_even():
    held = begun([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]])
    held = step(held, view([0, 0], event=[0, -1]), reading(SAME, GOALS), PLAIN)
    near(given_type(held), [[0, 0.5, 0.5], [0, 1, 0]])


def test_also_where_the_history_gives_all_to_the_goal_that_is_gone():
    sure = reading(SAME, [[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]])
    held = step(begun(), view([0, 0], event=[-1, 1]), sure, PLAIN)
    near(given_type(held), [[0.5, 0, 0.5], [0.5, 0, 0.5]])


def test_where_none_is_left_all_are_even_and_types_stay():
    said = reading([[[0.9] * 3, [0.3] * 3]], GOALS)
    held = step(beliefs.held_at_first((1, 2, 3, 2), vanish=True), CONTACT, said, PLAIN)
    held = step(held, view([0, 1], event=[0, -1]), said, PLAIN)
    for goal in (1, 2):
        held = step(held, view([0, NO_MOVE], event=[goal, -1]), said, PLAIN)
    near(given_type(held), np.full((2, 3), 1 / 3))
    near(over_types(held), [[0.75, 0.25]])


def test_another_episode_has_all_goals_again():
    """Its first slot shows the events of the episode before."""
    held = step(begun(), view([0, 0], event=[0, -1]), reading(SAME, GOALS), PLAIN)
    held = step(held, view([0, 0], event=[2, -1], first=True), reading(SAME, GOALS), PLAIN)
    assert not held.gone.any()
    near(given_type(held), GOALS[0])
    assert (np.asarray(held.log_belief) > -5).all()


def test_whoever_is_absent_is_frozen():
    before = begun()
    left = view([0, NO_MOVE], event=[0, -1], alive=[True, False])
    held = step(before, left, reading(SAME, GOALS), PLAIN)
    assert np.array_equal(held.log_belief, before.log_belief)
    held = step(held, view([0, NO_MOVE], first=True), reading(SAME, GOALS), PLAIN)
    near(given_type(held), GOALS[0])


@pytest.mark.parametrize("joint", [False, True])
def test_of_two_others_both_lose_it_joint_or_amortised(joint):
    sizes, goals = (2, 2, 3, 2), np.concatenate([GOALS, GOALS[:, ::-1]])
    said = reading(np.full(goals.shape, 0.5), goals)
    prior = jnp.zeros(4) if joint else None
    held = beliefs.held_at_first(sizes, prior, vanish=True)
    held = step(held, view([NO_MOVE] * 3, first=True), said, PLAIN, not joint)
    held = step(held, view([0, 0, 0], event=[2, -1, -1]), said, PLAIN, not joint)
    wanted = np.array([[0.5 / 0.8, 0.3 / 0.8, 0], [0.5, 0.5, 0]])
    near(jnp.exp(held.log_belief), np.stack([wanted, wanted[::-1]]) / 2)


def test_without_it_nothing_vanishes():
    held = step(begun(vanish=False), view([0, 0], event=[0, -1]), reading(SAME, GOALS), PLAIN)
    assert held.gone is None
    near(given_type(held), GOALS[0])
