"""Opponents that change in the middle of a match."""

from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from test_rules import PD, C, D, hunt_view, round_view

from counterplay import envs, opponents
from counterplay.envs.stag_hunt import CAUGHT_HARE, CAUGHT_STAG, StagHunt
from counterplay.evaluate.exact import best_response
from counterplay.evaluate.returns import evaluate
from counterplay.grammar import split_list
from counterplay.opponents.rule import Mixture
from counterplay.pools import roster_of
from counterplay.types import NO_MOVE

SURE = "first=always_cooperate:tremble=0,then=always_defect:tremble=0"


def played(text: str, *episodes: list[int]) -> list[list[tuple[int, int]]]:
    """Its (mode, move) in every slot of the episodes of one match, against these partners."""
    rule = opponents.make(text, PD)
    memory, last, found = None, (NO_MOVE, NO_MOVE), []
    for partner in episodes:
        memory = rule.begin(jr.key(1), memory)
        found.append([])
        for other in partner:
            mode = int(rule.mode(memory))
            action, memory, _ = rule.act(jr.key(0), memory, round_view(*last), False)
            last = int(action), other
            found[-1].append((mode, int(action)))
    return found


def test_changes_after_so_many_moves_of_the_match():
    text = f"switch:at=3,{SURE}"
    assert played(text, [C] * 5) == [[(0, C)] * 3 + [(1, D)] * 2]
    assert played(text, [C] * 2, [C] * 2) == [[(0, C)] * 2, [(0, C), (1, D)]]


def test_changes_from_an_episode_on():
    found = played(f"switch:episode=2,{SURE}", [C] * 2, [C], [C], [C])
    assert found == [[(0, C)] * 2, [(0, C)], [(1, D)], [(1, D)]]


@pytest.mark.parametrize(("partner", "then"), [([D, C, C, C], D), ([C, C, C, C], C)])
def test_who_does_not_play_watches(partner, then):
    """Grim holds against the other what it did while somebody else played."""
    text = "switch:at=2,first=always_defect:tremble=0,then=grim:tremble=0"
    assert played(text, partner) == [[(0, D), (0, D), (1, then), (1, then)]]


def test_by_default_it_changes_at_half_time():
    assert [mode for mode, _ in played("switch", [C] * 51)[0]] == [0] * 50 + [1]


def test_chance_changes_it_at_a_geometric_time():
    rule = opponents.make(f"switch:rate=.25,{SURE}", PD)
    begun = jax.vmap(lambda key: rule.begin(key, None))(jr.split(jr.key(0), 8000))
    assert not np.asarray(jax.vmap(rule.mode)(begun)).any(), "the first move is never the other's"
    turns = np.asarray(begun.turn)
    for k in (1, 2, 5):
        assert (turns == k).mean() == pytest.approx(0.25 * 0.75 ** (k - 1), abs=0.02)
    always = opponents.make(f"switch:rate=1,{SURE}", PD)
    assert int(always.begin(jr.key(0), None).turn) == 1


def test_what_chance_has_drawn_lasts_for_the_match():
    rule = opponents.make(f"switch:rate=.1,{SURE}", PD)
    memory = rule.begin(jr.key(0), None)
    assert int(rule.begin(jr.key(5), memory).turn) == int(memory.turn)


def test_its_intent_is_that_of_who_plays():
    rule = opponents.make("switch:at=1,first=nearest_stag,then=nearest_hare", StagHunt())
    view, memory = hunt_view(0, [15], [1], [8]), rule.begin(jr.key(0), None)
    assert int(rule.intent(memory, view)) == CAUGHT_STAG
    memory = rule.act(jr.key(0), memory, view, False).memory
    assert int(rule.intent(memory, view)) == CAUGHT_HARE


@pytest.mark.parametrize(("when", "earned"), [("at=3", (4.5, 17)), ("at=6", (9, 14))])
def test_returns_in_a_match_of_two_episodes(when, earned):
    """Four rounds each, 3 for both while it cooperates and 0 and 5 after that; the mean of both."""
    env: Any = envs.make("matrix:pd,horizon=4")
    seats = {0: "always_cooperate:tremble=0", 1: f"switch:{when},{SURE}"}
    (row,) = evaluate(env, roster_of(env, seats), 8, match=2)
    np.testing.assert_allclose(row.mean, earned)


def test_it_is_one_opponent_among_others():
    env: Any = envs.make("matrix:pd,horizon=4")
    text = f"grim,switch:at=2,{SURE},bully"
    assert split_list(text) == ["grim", f"switch:at=2,{SURE}", "bully"]
    roster = roster_of(env, {0: "random", 1: text})
    assert sorted(roster.ids.values()) == ["bully", "grim", "random", f"switch:at=2,{SURE}"]


def test_a_mixture_has_the_mode_of_its_member():
    mixture = Mixture(tuple(opponents.make(t, PD) for t in ("grim", f"switch:at=1,{SURE}")))
    memory = mixture.begin(jr.key(0), None)
    memory = mixture.act(jr.key(0), memory, round_view(NO_MOVE, NO_MOVE), False).memory
    for member in range(2):
        assert int(mixture.mode((np.int32(member), memory[1]))) == member


def test_the_best_response_knows_when_it_changes():
    """Cooperating with tit-for-tat pays 3 a round up to the last before the change."""
    env: Any = envs.make("matrix:pd,horizon=10")
    text = "switch:at=6,first=tit_for_tat:tremble=0,then=always_defect:tremble=0"
    found = best_response(env, opponents.make(text, env))
    assert found.per_round * 10 == pytest.approx(5 * 3 + 5 + 4 * 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("switch:at=2,rate=.1", r"switch: give one of at=2, rate=0.1 and episode=0"),
        ("switch:at=-2", r"at and episode count from 1 and rate is a probability, found at=-2"),
        ("switch:rate=1.5", r"rate is a probability, found at=0, rate=1.5"),
        ("switch:first=switch:at=3", r"between two rules, not switchers, found 'switch:at=3'"),
        ("switch:first=grin", r"unknown rule for matrix 'grin' \(did you mean 'grim'\?\)"),
        ("switch:when=3", r"unknown setting of switch 'when'"),
        ("switch:first=grim:k=2+tremble=.1", r"unknown setting of grim 'k'"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        opponents.make(text, PD)


def test_settings_of_its_rules_are_joined_by_a_plus():
    text = "switch:at=2,first=generous_tit_for_tat:forgive=.5+tremble=.2,then=grim"
    rule: Any = opponents.make(text, PD)
    first = rule.behaviour.rules[0]
    assert (first.tremble, first.behaviour.forgive) == (0.2, 0.5)
