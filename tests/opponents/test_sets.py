"""Sets of opponents: everybody in them plays, and no family is in two that must be apart."""

from itertools import combinations
from typing import Any

import jax
import jax.random as jr
import pytest

from counterplay import envs, opponents
from counterplay.grammar import split_list
from counterplay.opponents.rule import Rule
from counterplay.opponents.sets import FAMILIES, NAMES, SETS, families

HIDDEN = {"pursuit", "scissors"}
"""Games whose rules draw a plan for an episode, which their own filters sum over."""
APART = ("train", "validation", "held-out")


def of(game: str, name: str) -> set[str]:
    return {family for text in SETS[game][name] for family in families(text)}


@pytest.mark.parametrize("game", SETS)
def test_every_game_has_every_set(game):
    assert tuple(SETS[game]) == NAMES
    for texts in SETS[game].values():
        assert len(set(texts)) == len(texts) > 2
        assert split_list(",".join(texts)) == list(texts), "a comma list takes them as they are"


@pytest.mark.parametrize("game", SETS)
def test_every_name_makes_a_rule_that_trembles(game):
    env = envs.make(game)
    for text in (text for texts in SETS[game].values() for text in texts):
        rule: Any = opponents.make(text, env)
        assert isinstance(rule, Rule)
        played = rule.behaviour.rules if text.startswith("switch") else (rule,)
        for one in played:
            slips = getattr(one.behaviour, "tremble", 0.0)  # where only the first step may
            assert max(one.tremble, slips) >= 0.05 or text.startswith("coin"), text


@pytest.mark.parametrize("game", SETS)
def test_no_family_is_in_two_of_train_validation_and_held_out(game):
    for one, other in combinations(APART, 2):
        assert not of(game, one) & of(game, other), f"in {one} and in {other}"


def generator(game: str, text: str) -> type:
    """What makes the behaviour of a rule: one of another setting is no other opponent."""
    behaviour: Any = opponents.make(text, envs.make(game)).behaviour
    return type(getattr(behaviour, "precedent", behaviour))


@pytest.mark.parametrize("game", SETS)
def test_no_behaviour_is_in_two_of_train_validation_and_held_out(game):
    """By the code that plays, whatever the rules are called."""
    made = {name: {generator(game, text) for text in SETS[game][name]} for name in APART}
    for one, other in combinations(APART, 2):
        assert not made[one] & made[other], f"in {one} and in {other}"
    assert len(made["held-out"]) >= 2


@pytest.mark.parametrize("game", SETS)
def test_near_opponents_are_of_families_of_train_with_other_settings(game):
    assert of(game, "near") <= of(game, "train")
    written = [{opponents.canonical(t, game) for t in SETS[game][n]} for n in ("near", "train")]
    assert not written[0] & written[1]


@pytest.mark.parametrize("game", SETS)
def test_switchers_are_of_known_or_of_unknown_members(game):
    assert all(t.startswith("switch:") for n in NAMES[-2:] for t in SETS[game][n])
    assert of(game, "switch-known") <= of(game, "train")
    assert of(game, "switch-unknown") <= of(game, "held-out")


@pytest.mark.parametrize("game", SETS)
def test_sets_are_large_enough_to_say_something(game):
    assert len(SETS[game]["train"]) >= 6
    assert len(of(game, "held-out")) >= 2 and len(SETS[game]["held-out"]) >= 4


def test_train_in_matrix_games_is_the_pool_of_six():
    pool = "always_cooperate always_defect tit_for_tat grim win_stay_lose_shift bully"
    assert SETS["matrix"]["train"] == tuple(pool.split())


@pytest.mark.parametrize("game", sorted({*SETS} - HIDDEN))
def test_no_memory_is_drawn_at_random(game):
    """Inference that is exact must know what a rule remembers from what the rule saw."""
    env = envs.make(game)
    for text in (text for texts in SETS[game].values() for text in texts):
        if "rate=" not in text:
            rule = opponents.make(text, env)
            one, other = (rule.begin(jr.key(seed), None) for seed in range(2))
            alike = jax.tree.map(lambda x, y: bool((x == y).all()), one, other)
            assert all(jax.tree.leaves(alike)), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grim", {"grim"}),
        ("generous_tit_for_tat:forgive=.1", {"tit_for_tat"}),
        ("switch:at=3,first=always_defect:tremble=.1,then= grim", {"always", "grim"}),
    ],
)
def test_families(text, expected):
    assert families(text) == expected


def test_names_of_families_are_those_of_rules():
    assert set(FAMILIES) <= {name for names in opponents.RULES.values() for name in names}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tit_for_tat", "tit_for_tat:tremble=0.050"),
        ("memory_one:dd=0,cc=.5", "memory_one:cc=0.5"),
        (
            "switch:at=5,first=grim,then=bully",
            "switch:then=bully:tremble=.05,first=grim:tremble=0.05,at=5,rate=0",
        ),
    ],
)
def test_one_rule_written_in_two_ways_is_one_rule(one, other):
    assert opponents.canonical(one, "matrix") == opponents.canonical(other, "matrix")


def test_other_settings_are_another_rule():
    assert opponents.canonical("grim", "matrix") == "grim:tremble=0.05"
    assert opponents.canonical("grim:tremble=.1", "matrix") == "grim:tremble=0.1"
