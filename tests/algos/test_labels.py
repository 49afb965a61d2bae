"""Labels of goals and types by hand: events, those that pay, declared goals, codes; types found."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import prepared, types_found
from counterplay.algos.study import Study
from counterplay.models.actions import Reading
from counterplay.types import NO_EVENT

SLOTS = 6
MADE: Any = Study


def study(**given: Any) -> Study:
    """One other, [1, 1, SLOTS, ...]: it completes 0 in slot 1 and 1 in slot 4, and plays on."""
    usual = {
        "event": [-1, 0, -1, -1, 1, -1],
        "goal": [0, 0, 2, 2, 1, 1],
        "there": [True] * SLOTS,
        "goes_on": [True] * SLOTS,
        "rewards": [0.0, 1.0, 0.0, 0.0, 5.0, 0.0],
        "reward": [0.0, 9.0, 0.0, 0.0, 0.0, 0.0],
        "time": [0, 1, 2, 3, 4, 5],
        "contact": [True] + [False] * (SLOTS - 1),
    } | given
    shaped = lambda name, x: jnp.asarray(x)[None, None] if name in ("reward", "time", "contact") \
        else jnp.asarray(x)[None, None, :, None]  # fmt: skip
    fields = dict.fromkeys(Study._fields) | {k: shaped(k, v) for k, v in usual.items()}
    return MADE(**fields)


def labelled(told: Study | None = None, **settings: Any) -> tuple[list[int], list[int]]:
    made = jax.jit(lambda s: prepared(Config(**settings), s))(study() if told is None else told)
    return np.asarray(made.label).ravel().tolist(), np.asarray(made.segment).ravel().tolist()


def test_a_goal_is_what_is_completed_next_and_after_the_last_nobody_knows():
    assert labelled() == ([0, 0, 1, 1, 1, NO_EVENT], [0, 0, 1, 1, 1, 2])


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({"goal_reward": 2.0}, [1, 1, 1, 1, 1, -1]),  # only slot 4 pays the other that much
        ({"goal_reward": 2.0, "reward_of": "mine"}, [0, 0, -1, -1, -1, -1]),  # only slot 1 pays me
        ({"goal_quantile": 1.0}, [1, 1, 1, 1, 1, -1]),  # the best paid of the two
        ({"goal_quantile": 0.0}, [0, 0, 1, 1, 1, -1]),  # both
        ({"goal_reward": 6.0}, [-1] * 6),
    ],
)
def test_where_an_event_must_pay_others_are_none(settings, label):
    assert labelled(**settings)[0] == label


def test_declared_goals_are_taken_as_they_are():
    assert labelled(goals="declared")[0] == [0, 0, 2, 2, 1, 1]


def test_codes_have_no_labels_and_last_for_a_window_of_the_episode():
    """Windows of two slots from the start of the episode, which here begins anew in slot 3."""
    goes_on = [True, True, False, True, True, True]
    told = study(time=[0, 1, 2, 0, 1, 2], goes_on=goes_on)
    label, segment = labelled(told, goals="codes", window=2)
    assert label == [NO_EVENT] * SLOTS and segment == [0, 0, 1, 2, 2, 3]


def test_types_are_found_by_all_moves_of_a_match():
    """Two types, one goal. In slot 3 another match begins, before which a belief was held."""
    chance = np.array([[0.8, 0.2], [0.8, 0.2], [1.0, 1.0], [0.3, 0.6], [0.3, 0.6], [0.5, 0.5]])
    log_pi = jnp.log(jnp.asarray(chance, jnp.float32))[:, None, :, None]  # [T, M, Y, G]
    reading = Reading(jnp.zeros((SLOTS, 1, 2, 1, 2)), jnp.zeros((SLOTS, 1, 2, 1)),
                      jnp.zeros((SLOTS, 1, 2)))  # fmt: skip
    contact = jnp.array([False, False, False, True, False, False])
    told = MADE(**(dict.fromkeys(Study._fields) | {"contact": contact}))
    before = jnp.log(jnp.array([[0.25, 0.75]]))
    found = np.asarray(jax.jit(types_found)(told, before, reading, log_pi))[:, 0]
    first = np.array([0.25 * 0.8**2, 0.75 * 0.2**2])
    second = np.array([0.3**2 * 0.5, 0.6**2 * 0.5])
    np.testing.assert_allclose(found[:3], np.tile(first / first.sum(), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(found[3:], np.tile(second / second.sum(), (3, 1)), rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"goals": "codes", "goal_reward": 1.0}, "pick among events, found goals codes"),
        ({"goals": "none", "goal_quantile": 0.5}, "pick among events, found goals none"),
        ({"goal_reward": 1.0, "goal_quantile": 0.5}, "not both"),
        ({"goal_quantile": 1.5}, "goal_quantile must be 0 to 1, found 1.5"),
        ({"goals": "none", "habit": 0.5}, "habit counts goals that were reached"),
        ({"types_from": "moves"}, "types_from moves wants types, 2 or more, found None"),
        ({"types_from": "moves", "types": 1}, "types_from moves wants types, 2 or more, found 1"),
        ({"goals": "codes", "codes": 1}, "codes must be at least 2, found 1"),
        ({"goals": "codes", "window": 0}, "window must be at least 1, found 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Config(**settings)
