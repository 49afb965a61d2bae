"""More hunters, move by move. Boards are 4x4, cells numbered row by row."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import pytest
from test_rules import chances, hunt_view

from counterplay import opponents
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
)
from counterplay.types import NO_EVENT


def at(time: int, view: Any) -> Any:
    return eqx.tree_at(lambda v: v.time, view, jnp.int32(time))


WEIGHED = hunt_view(0, [15], [3], [8])  # 3 steps to the stag, 2 to the hare
ONE_STAG = hunt_view(0, [15], [2], [4])


@pytest.mark.parametrize(
    ("text", "view", "expected", "intent"),
    [
        ("nearest_prey", hunt_view(0, [15], [2], [8]), {RIGHT: 1.0}, CAUGHT_STAG),  # as far
        ("nearest_prey", WEIGHED, {DOWN: 1.0}, CAUGHT_HARE),
        ("nearest_prey:slack=1", WEIGHED, {RIGHT: 1.0}, CAUGHT_STAG),
        ("nearest_prey", hunt_view(0, [15], [3], [GONE]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("nearest_prey", hunt_view(0, [15], [GONE], [8]), {DOWN: 1.0}, CAUGHT_HARE),
        ("nearest_prey", hunt_view(8, [15], [0], [8]), {HUNT_HARE: 1.0}, CAUGHT_HARE),
        ("gives_up", at(4, ONE_STAG), {RIGHT: 1.0}, CAUGHT_STAG),
        ("gives_up", at(5, ONE_STAG), {DOWN: 1.0}, CAUGHT_HARE),
        ("gives_up", at(9, hunt_view(0, [15], [2], [GONE])), {RIGHT: 1.0}, CAUGHT_STAG),
        ("cautious", hunt_view(0, [6], [2], [4]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("cautious", hunt_view(0, [10], [2], [4]), {DOWN: 1.0}, CAUGHT_HARE),
        ("cautious:within=2", hunt_view(0, [10], [2], [4]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("cautious:within=0", hunt_view(2, [2], [2], [4]), {HUNT_STAG: 1.0}, CAUGHT_STAG),
        ("cautious", hunt_view(0, [GONE], [2], [4]), {DOWN: 1.0}, CAUGHT_HARE),
        # the prey nearest to the other, not to itself
        ("follower", hunt_view(12, [15], [0], [14, 3]), {RIGHT: 1.0}, CAUGHT_HARE),
        ("follower", hunt_view(15, [12], [0], [14, 3]), {LEFT: 1.0}, CAUGHT_HARE),
        ("follower", hunt_view(3, [15], [11], [1]), {DOWN: 1.0}, CAUGHT_STAG),
        # of two others the nearer leads
        ("follower", hunt_view(0, [15, 1], [3], [11]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("follower", hunt_view(0, [GONE], [1], [8]), {RIGHT: 1.0}, CAUGHT_STAG),
        ("waiter", hunt_view(2, [6], [2], [4]), {STAY: 1.0}, CAUGHT_STAG),
        ("waiter", hunt_view(2, [15, 2], [2], [4]), {HUNT_STAG: 1.0}, CAUGHT_STAG),
        ("waiter", hunt_view(6, [6], [2], [4]), {UP: 1.0}, CAUGHT_STAG),
        ("waiter", hunt_view(4, [6], [GONE], [4]), {HUNT_HARE: 1.0}, CAUGHT_HARE),
        ("wavering:stag=.3", hunt_view(0, [15], [3], [12]), {DOWN: 0.7, RIGHT: 0.3}, NO_EVENT),
        ("wavering:stag=.3", hunt_view(0, [15], [GONE], [12]), {DOWN: 1.0}, NO_EVENT),
        ("wavering:stag=1", hunt_view(3, [15], [3], [12]), {HUNT_STAG: 1.0}, NO_EVENT),
    ],
)  # fmt: skip
def test_moves_and_intents(text, view, expected, intent):
    rule = opponents.make(text, StagHunt())
    assert chances(rule, view) == expected
    assert int(rule.intent((), view)) == intent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gives_up:t0=0", r"gives_up: t0 must be slot 1 or later, found 0; see nearest_hare"),
        ("cautious:within=-1", r"cautious: within must be 0 steps or more, found -1"),
        ("wavering:stag=2", r"wavering: stag is a probability, found 2"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        opponents.make(text, StagHunt())
