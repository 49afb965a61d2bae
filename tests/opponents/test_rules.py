"""Every rule's exact moves against a scripted partner, and what makes a rule a policy."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.stag_hunt import (
    CAUGHT_HARE,
    CAUGHT_STAG,
    DOWN,
    GONE,
    HUNT_HARE,
    HUNT_STAG,
    LEFT,
    RIGHT,
    STAY,
    UP,
    StagHunt,
    State,
)
from counterplay.opponents.rule import Mixture, Rule
from counterplay.types import NO_EVENT, NO_MOVE, Policy, View

C, D = 0, 1
T = 0.3333
PD = envs.make("matrix:pd")


def blank(obs: Any, legal: Any, alive: Any, moved: Any) -> View:
    """What somebody sees in whose game nothing has been earned or completed yet."""
    seats, actions = len(alive), len(legal)
    return View(
        obs=obs,
        legal=legal,
        alive=alive,
        moved=moved,
        public_legal=jnp.ones((seats, actions), bool),
        reward=jnp.array(0.0),
        event=jnp.full(seats, NO_EVENT),
        time=jnp.int32(0),
        first=(moved == NO_MOVE).all(),
        told=jnp.zeros(0),
    )


def round_view(mine: int, other: int) -> View:
    """What a player of a matrix game sees after these moves (NO_MOVE: before the first)."""
    both = jnp.ones(2, bool)
    return blank(jnp.zeros(7), both, both, jnp.array([mine, other]))


@cache
def opened(env: StagHunt) -> Any:
    """The same state as shown one slot later, when everybody has stayed."""
    return jax.jit(lambda state: env.step(state, jnp.full(env.players, STAY))[1])


def hunt_view(me, others, stags=(), hares=(), obstacles=(), view=0, size=4) -> View:
    """What the first player of a stag hunt sees."""
    counts = {"stags": len(stags), "hares": len(hares), "obstacles": len(obstacles)}
    env = StagHunt(players=1 + len(others), size=size, view=view, **counts)
    fields = ((me, *others), stags, hares, obstacles, 0)
    shown = opened(env)(State(*(jnp.asarray(field, jnp.int32) for field in fields)))
    unseen = jnp.full(env.players, NO_MOVE)
    return blank(env.encode(shown.obs[0]), shown.legal[0], shown.alive, unseen)


def hunter(name: str, size: int = 4) -> Rule:
    return opponents.make(name, StagHunt(size=size))


def chances(rule: Rule, view: View, memory: Any = ()) -> dict[int, float]:
    """The moves it may make, and how likely each is."""
    probabilities = np.exp(np.asarray(rule.log_probs(memory, view)))
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert not probabilities[~np.asarray(view.legal)].any()
    return {int(a): round(float(probabilities[a]), 4) for a in np.flatnonzero(probabilities)}


def played(name: str, partner: list[int], slips: dict[int, int] | None = None) -> list[int]:
    """Its moves against a scripted partner; ``slips`` are rounds where its hand did otherwise."""
    rule = opponents.make(f"{name}:tremble=0", PD)
    memory, view, moves = rule.begin(jr.key(0), None), round_view(NO_MOVE, NO_MOVE), []
    for time, other in enumerate(partner):
        action, memory, _ = rule.act(jr.key(time), memory, view, False)
        moves.append((slips or {}).get(time, int(action)))
        view = round_view(moves[-1], other)
    return moves


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("always_cooperate", [C, C, C, C, C, C]),
        ("always_defect", [D, D, D, D, D, D]),
        ("tit_for_tat", [C, C, D, D, C, C]),
        ("grim", [C, C, D, D, D, D]),
        ("win_stay_lose_shift", [C, C, D, C, C, C]),
        ("bully", [D, D, C, C, D, D]),
    ],
)
def test_moves_against_a_scripted_partner(name, moves):
    assert played(name, [C, D, D, C, C, D]) == moves


def test_win_stay_lose_shift_repeats_a_slip_that_paid():
    assert played("win_stay_lose_shift", [C, C, C, D, D], slips={1: D}) == [C, D, D, D, C]


def test_generous_tit_for_tat_forgives_a_third_of_defections():
    rule = opponents.make("generous_tit_for_tat:tremble=0", PD)
    assert chances(rule, round_view(C, C)) == {C: 1.0}
    assert chances(rule, round_view(NO_MOVE, NO_MOVE)) == {C: 1.0}
    assert chances(rule, round_view(C, D)) == {C: 0.3333, D: 0.6667}
    half = opponents.make("generous_tit_for_tat:tremble=0,forgive=.5", PD)
    assert chances(half, round_view(C, D)) == {C: 0.5, D: 0.5}


def test_grim_keeps_its_grudge_for_the_match_and_no_longer():
    rule = opponents.make("grim:tremble=0", PD)
    memory = rule.act(jr.key(0), rule.begin(jr.key(0), None), round_view(C, D), False).memory
    assert chances(rule, round_view(C, C), rule.begin(jr.key(1), memory)) == {D: 1.0}
    assert chances(rule, round_view(C, C), rule.begin(jr.key(1), None)) == {C: 1.0}


@pytest.mark.parametrize("name", opponents.RULES["matrix"])
def test_rules_of_two_actions_say_so(name):
    with pytest.raises(ValueError, match=f"{name} cooperates or defects, .* this one has 3"):
        opponents.make(name, envs.make("matrix:rps"))


def test_matrix_rules_tremble_one_time_in_twenty():
    rule = opponents.make("always_defect", PD)
    assert chances(rule, round_view(C, C)) == {C: 0.025, D: 0.975}


# stag hunt: on a 4x4 board cells are  0  1  2  3 /  4  5  6  7 /  8  9 10 11 / 12 13 14 15


@pytest.mark.parametrize(
    ("name", "view", "expected", "intent"),
    [
        ("nearest_stag", hunt_view(0, [15], [2], [4]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("nearest_stag", hunt_view(0, [15], [5], [4]), {DOWN: 0.5, RIGHT: 0.5}, CAUGHT_STAG),
        ("nearest_stag", hunt_view(15, [0], [5], [4]), {UP: 0.5, LEFT: 0.5}, CAUGHT_STAG),
        ("nearest_stag", hunt_view(5, [0], [5], [4]), {HUNT_STAG: 1.0}, CAUGHT_STAG),
        ("nearest_stag", hunt_view(4, [0], [5], [4]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("nearest_stag", hunt_view(4, [0], [GONE], [4]), {HUNT_HARE: 1.0}, CAUGHT_HARE),
        ("nearest_stag", hunt_view(5, [0], [4, 6], [1]), {LEFT: 1.0}, CAUGHT_STAG),
        ("nearest_hare", hunt_view(0, [15], [1], [8]), {DOWN: 1.0}, CAUGHT_HARE),
        ("nearest_hare", hunt_view(5, [0], [0], [9, 1]), {UP: 1.0}, CAUGHT_HARE),
        ("nearest_hare", hunt_view(8, [0], [8], [8, 9]), {HUNT_HARE: 1.0}, CAUGHT_HARE),
        ("nearest_hare", hunt_view(8, [0], [8], [GONE]), {HUNT_STAG: 1.0}, CAUGHT_STAG),
        ("stay", hunt_view(5, [0], [5], [4]), {STAY: 1.0}, NO_EVENT),
        ("random", hunt_view(3, [1], [5], [4]), {DOWN: T, LEFT: T, STAY: T}, NO_EVENT),
    ],
)  # fmt: skip
def test_hunters_of_one_kind(name, view, expected, intent):
    assert chances(hunter(name), view) == expected
    assert int(hunter(name).intent((), view)) == intent


@pytest.mark.parametrize(
    ("view", "expected", "intent"),
    [
        # the other is 1 from the stag and 2 from the hare: it seems to be after the stag
        (hunt_view(0, [7], [3], [15]), {RIGHT: 1.0}, CAUGHT_STAG),
        # as near to the one as to the other: it does not
        (hunt_view(0, [7], [3], [11]), {DOWN: 0.5, RIGHT: 0.5}, CAUGHT_HARE),
        # nearest to the stag is somebody at a hare; who is farther does not count
        (hunt_view(12, [7, 14], [11], [7, 0]), {UP: 1.0}, CAUGHT_HARE),
        # two stags, both joined: the nearer one
        (hunt_view(0, [3, 12], [3, 8], [15]), {DOWN: 1.0}, CAUGHT_STAG),
        # only the farther one is joined
        (hunt_view(0, [7], [3, 4], [5]), {RIGHT: 1.0}, CAUGHT_STAG),
        # nobody else is left, so no one to hunt with; without hares it tries all the same
        (hunt_view(0, [GONE], [1], [8]), {DOWN: 1.0}, CAUGHT_HARE),
        (hunt_view(0, [GONE], [1], [GONE]), {RIGHT: 1.0}, CAUGHT_STAG),
        # without hares any other is after a stag
        (hunt_view(1, [15], [1], [GONE]), {HUNT_STAG: 1.0}, CAUGHT_STAG),
        # of two who are equally near one is enough
        (hunt_view(15, [0, 2], [1], [4, 14]), {UP: 0.5, LEFT: 0.5}, CAUGHT_STAG),
    ],
)
def test_adaptive_joins_who_is_after_a_stag(view, expected, intent):
    assert chances(hunter("adaptive"), view) == expected
    assert int(hunter("adaptive").intent((), view)) == intent


def test_obstacles_are_walked_around():
    both_ways = hunt_view(0, [15], [5], [3], obstacles=[1])
    assert chances(hunter("nearest_stag"), both_ways) == {DOWN: 1.0}
    straight = hunt_view(4, [15], [6], [3], obstacles=[5])
    assert chances(hunter("nearest_stag"), straight) == {UP: 0.5, DOWN: 0.5}


@pytest.mark.parametrize("name", ["nearest_stag", "nearest_hare", "adaptive"])
def test_without_prey_in_sight_it_wanders(name):
    view = hunt_view(0, [1], [15], [14], view=2)
    assert chances(hunter(name), view) == {DOWN: 0.5, RIGHT: 0.5}
    assert int(hunter(name).intent((), view)) == NO_EVENT


def test_sees_no_farther_than_its_view():
    view = hunt_view(0, [1], [15], [2], view=2)
    assert chances(hunter("nearest_stag"), view) == {RIGHT: 1.0}
    assert int(hunter("nearest_stag").intent((), view)) == CAUGHT_HARE


@pytest.mark.parametrize("name", opponents.names("stag_hunt"))
def test_who_has_left_makes_no_move_and_has_no_goal(name):
    view, memory = hunt_view(GONE, [1], [15], [2]), hunter(name).begin(jr.key(0), None)
    action, _, record = hunter(name).act(jr.key(0), memory, view, False)
    assert int(action) == NO_MOVE
    assert float(record["log_pi"]) == 0
    assert int(hunter(name).intent(memory, view)) == NO_EVENT
    assert np.isneginf(hunter(name).log_probs(memory, view)).all()


def test_a_trembling_hand_mixes_in_every_legal_move():
    view = hunt_view(0, [15], [1], [8])
    assert chances(opponents.make("nearest_stag:tremble=.3", StagHunt()), view) == {
        DOWN: 0.1,
        RIGHT: 0.8,
        STAY: 0.1,
    }


def test_what_is_wanted_but_illegal_goes_to_the_legal_moves():
    view = hunt_view(0, [15], [2], [8])
    walled = eqx.tree_at(lambda v: v.legal, view, jnp.arange(7) == STAY)
    assert chances(hunter("nearest_stag"), walled) == {STAY: 1.0}


def test_moves_are_drawn_as_declared_and_so_recorded():
    rule, view = opponents.make("nearest_stag:tremble=.3", StagHunt()), hunt_view(0, [15], [1], [8])
    act = jax.jit(jax.vmap(lambda key: rule.act(key, (), view, False)))
    drawn = act(jr.split(jr.key(0), 4000))
    log_probs = rule.log_probs((), view)
    np.testing.assert_allclose(drawn.record["log_pi"], log_probs[drawn.action], rtol=1e-6)
    share = np.bincount(drawn.action, minlength=7) / 4000
    np.testing.assert_allclose(share, np.exp(log_probs), atol=0.03)


def test_mixture_keeps_its_member_for_a_match_and_redraws_for_the_next():
    names = ("always_cooperate", "always_defect", "grim")
    mixture = Mixture(tuple(opponents.make(f"{name}:tremble=0", PD) for name in names))
    begin = jax.jit(jax.vmap(lambda key: mixture.begin(key, None)))
    memory = begin(jr.split(jr.key(0), 600))
    member = jax.vmap(mixture.member)(memory)
    assert (abs(np.bincount(member, minlength=3) - 200) < 50).all()
    later = jax.vmap(lambda key, kept: mixture.begin(key, kept))(jr.split(jr.key(1), 600), memory)
    assert (jax.vmap(mixture.member)(later) == member).all()
    play = jax.jit(jax.vmap(lambda k, m: mixture.act(k, m, round_view(C, D), False)))
    once = play(jr.split(jr.key(2), 600), later)
    assert (once.action == np.array([C, D, D])[member]).all()
    assert (once.record["log_pi"] == 0).all()
    again = jax.vmap(lambda m: mixture.log_probs(m, round_view(C, C)))(once.memory)
    assert (again[:, D] == np.array([-np.inf, 0, 0])[member]).all()


def test_mixture_has_the_intent_of_its_member():
    mixture = Mixture((hunter("nearest_stag"), hunter("nearest_hare")))
    view = hunt_view(0, [15], [1], [8])
    for member, intent in enumerate((CAUGHT_STAG, CAUGHT_HARE)):
        assert int(mixture.intent((jnp.int32(member), ((), ())), view)) == intent


def test_rules_and_mixtures_are_policies_of_arrays_and_settings():
    rule = opponents.make("grim", PD)
    assert isinstance(rule, Policy)
    assert isinstance(Mixture((rule, rule)), Policy)
    assert hash(jax.tree.structure(rule)) == hash(jax.tree.structure(opponents.make("grim", PD)))
