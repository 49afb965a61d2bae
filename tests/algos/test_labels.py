"""Labels of goals and types by hand: events, those that pay, declared goals, codes; types found."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs
from counterplay.algos import loops
from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import goals_of, prepared, types_found
from counterplay.algos.study import Study
from counterplay.models.actions import Reading
from counterplay.models.beliefs import held_at_first
from counterplay.models.history import Seen
from counterplay.types import NO_EVENT

SLOTS = 6
MADE: Any = Study
SEEN: Any = Seen


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


def test_the_best_paid_event_within_a_horizon_is_a_goal():
    """The event of slot 4 pays the other more than that of slot 1, and me less."""
    found, segment = labelled(goals="extremum", goal_horizon=3)
    late = [NO_EVENT] * 3  # of which the three slots after are not all there
    assert found == [0, 1, 1, *late] and segment == [0, 0, 1, 1, 1, 2]
    assert labelled(goals="extremum", goal_horizon=1)[0] == [0, 0, NO_EVENT, 1, 1, NO_EVENT]
    mine = labelled(goals="extremum", goal_horizon=3, reward_of="mine")[0]
    assert mine == [0, 0, 1, *late]
    assert labelled(goals="extremum", goal_horizon=3, goal_reward=5.0)[0][:3] == [NO_EVENT, 1, 1]


def test_the_move_by_which_it_next_earns_enough_is_a_goal():
    """In games without events: moves that were seen, by what they pay the other or me."""
    told = study(event=[-1] * SLOTS, moves=[2, 1, -1, 0, 2, 1])
    earns = lambda **settings: labelled(told, goals="rewards", **settings)
    assert earns(goal_reward=1.0) == ([1, 1, 2, 2, 2, NO_EVENT], [0, 0, 1, 1, 1, 2])
    assert earns(goal_reward=2.0)[0] == [2] * 5 + [NO_EVENT]
    assert earns(goal_quantile=0.8)[0] == [2] * 5 + [NO_EVENT], "one of the five that were seen"
    assert earns(goal_reward=2.0, reward_of="mine")[0] == [1, 1] + [NO_EVENT] * 4


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
        ({"goals": "none", "habit": 0.5}, "habit counts goals of the game that were reached"),
        ({"reward_of": "mine"}, "found reward_of mine and none of them"),
        ({"goals": "rewards"}, "goals rewards wants what is enough, goal_reward or goal_quantile,"),
        ({"goals": "rewards", "goal_reward": 1.0, "habit": 0.5}, "reached, found goals rewards"),
        ({"goal_reward": 1.0, "habit": 0.5}, "what another is paid nobody sees at play"),
        ({"goal_quantile": 0.5, "reward_of": "mine", "habit": 0.5}, "give goal_reward with"),
        ({"belief": "amortised", "habit": 0.5}, "habit is a weight of the filter's"),
        ({"goals": "extremum", "goal_horizon": 0}, "goal_horizon must be at least 1, found 0"),
        ({"types_from": "moves"}, "types_from moves wants types, 2 or more, found None"),
        ({"types_from": "moves", "types": 1}, "types_from moves wants types, 2 or more, found 1"),
        ({"goals": "codes", "codes": 1}, "codes must be at least 2, found 1"),
        ({"goals": "codes", "window": 0}, "window must be at least 1, found 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Config(**settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("goal_reward", {"goal_reward": 0.5}),
        ("goal_quantile", {"goal_quantile": 0.0}),
        ("habit", {"habit": 0.25}),
        ("goals", {"habit": 0.25, "goals": "declared"}),
        ("goals", {"goals": "declared"}),
        ("goals", {"goals": "extremum"}),
    ],
)
def test_what_needs_goals_is_refused_in_a_game_without(name, settings):
    found = f"found {name} {settings[name]} and .*, which has none: leave it out"
    with pytest.raises(ValueError, match=f"goal_ppo: {name} wants a game that tells .*{found}"):
        loops.resolved(Config(**settings), envs.make("matrix:pd"))


def test_a_habit_is_refused_where_nobody_sees_what_is_reached():
    hunt = "stag_hunt:4x4"
    loops.resolved(Config(habit=0.25), envs.make(hunt))
    with pytest.raises(ValueError, match="habit counts goals that everybody sees reached, found"):
        loops.resolved(Config(habit=0.25), envs.make(f"{hunt},view=1"))


NOTHING = [-1] * SLOTS


def likely(gone: list[bool], vanish: bool = True, event: list[int] = NOTHING) -> np.ndarray:
    """q(g) [SLOTS, 3] of an other where I complete 0 in
    slot 1 and the fifth slot begins another episode. ``gone`` is what was before slot 0."""
    goes_on = [True, True, True, False, True, True]
    told = study(event=event, goes_on=goes_on, time=[3, 4, 5, 6, 0, 1])
    shown = jnp.full((SLOTS, 2), NO_EVENT, jnp.int16).at[2, 0].set(0)
    seen = SEEN(**(dict.fromkeys(Seen._fields) | {"event": shown[None, None]}))
    held = held_at_first((1, 1, 3, 2), vanish=True)._replace(gone=jnp.asarray(gone))
    held = jax.tree.map(lambda x: x[None, None], held)
    told = told._replace(seen=seen, memory=(None, held), acting=jnp.ones((1, 1, SLOTS), bool))
    moves = jnp.zeros((SLOTS, 1, 3)).at[0, 0].set(jnp.log(jnp.array([0.5, 0.9, 0.25])))
    said = jnp.broadcast_to(jnp.log(jnp.array([0.5, 0.3, 0.2])), moves.shape)

    @jax.jit
    def found(told):
        one = jax.tree.map(lambda x: x[0, 0], prepared(Config(vanish=vanish), told))
        return goals_of(one, moves, said)

    return np.asarray(found(told))[:, 0]


def test_what_is_gone_is_nobodys_goal_in_labels_either():
    """Prior times likelihood: .25, .27 and .05."""
    near = partial(np.testing.assert_allclose, atol=1e-6)
    q = likely([False, True, False])
    near(q[:2], [[5 / 6, 0, 1 / 6]] * 2)
    near(q[2:4], [[0, 0, 1]] * 2)
    near(q[4:], [[0.5, 0.3, 0.2]] * 2, err_msg="another episode has all of them")
    # where none is left all are as likely before any move, as at play
    near(likely([True] * 3)[:4], np.tile(np.array([[50, 90, 25]]) / 165, (4, 1)))
    near(likely([False] * 3, vanish=False)[:4], np.tile(np.array([[25, 27, 5]]) / 57, (4, 1)))


def test_what_was_completed_all_the_same_was_what_it_was_after():
    q = likely([False, True, False], event=[-1, -1, -1, 1, -1, -1])
    assert q[:4].tolist() == [[0, 1, 0]] * 4
