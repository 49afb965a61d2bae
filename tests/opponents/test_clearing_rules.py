"""More rules of snowdrift, move by move. Boards are 4x4; the other player is on cell 15."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest
from test_snowdrift_rules import chances, rule, seen

from counterplay.envs.snowdrift import CLEAR, CLEARED, DOWN, RIGHT, STAY
from counterplay.types import NO_EVENT

HALF = {DOWN: 0.5, RIGHT: 0.5}


@pytest.mark.parametrize(
    ("text", "view", "expected", "intent"),
    [
        ("early:t1=4", seen(5, (5, 6), time=3), {CLEAR: 1.0}, CLEARED),
        ("early:t1=4", seen(5, (5, 6), time=4), {STAY: 1.0}, NO_EVENT),
        ("homebody:within=1", seen(0, (5, 15)), {STAY: 1.0}, NO_EVENT),
        ("homebody:within=2", seen(0, (5, 15)), HALF, CLEARED),
        ("homebody:within=0", seen(5, (5, 15)), {CLEAR: 1.0}, CLEARED),
        ("volunteer", seen(0, (3, 12)), {RIGHT: 1.0}, CLEARED),  # as far for both
        ("volunteer", seen(0, (11, 14)), {STAY: 1.0}, NO_EVENT),
        ("volunteer", seen(0, (6, 14)), HALF, CLEARED),
        ("volunteer", seen(5, (5, 15)), {CLEAR: 1.0}, CLEARED),
    ],
)
def test_moves_and_intents(text, view, expected, intent):
    assert chances(rule(text), view) == expected
    assert int(rule(text).intent((), view)) == intent


def told(text: str, slots: list[tuple[bool, bool]]) -> list[int]:
    """Whether it works, slot by slot; each shows who cleared a drift before: itself, the other."""
    player, found = rule(text), []
    memory = player.begin(jr.key(0), None)
    for time, (mine, other) in enumerate(slots):
        event = jnp.where(jnp.array([mine, other]), CLEARED, NO_EVENT)
        view = seen(5, (5, 6), time=time, first=time == 0)
        view = eqx.tree_at(lambda v: v.event, view, event)
        (move,) = chances(player, view, memory)
        assert int(player.intent(memory, view)) == (CLEARED if move == CLEAR else NO_EVENT)
        found.append(move)
        memory = player.act(jr.key(0), memory, view, False).memory
    return found


def test_conditional_goes_ahead_once_and_waits_for_the_other():
    slots: Any = [(True, True), (False, False), (True, False), (False, True), (True, False)]
    # what the first view shows belongs to the episode before
    assert told("conditional", slots) == [CLEAR, CLEAR, STAY, CLEAR, STAY]
    assert told("conditional:lead=2", slots) == [CLEAR, CLEAR, CLEAR, CLEAR, CLEAR]


def test_impatient_acts_when_nobody_has_for_some_slots():
    quiet, other = (False, False), (False, True)
    slots = [quiet, quiet, quiet, quiet, other, quiet, quiet]
    assert told("impatient:idle=2", slots) == [STAY, STAY, CLEAR, CLEAR, STAY, STAY, CLEAR]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("early:t1=0", r"early: t1 must be 1 or more, found 0"),
        ("homebody:within=-1", r"homebody: within must be 0 or more, found -1"),
        ("conditional:lead=0", r"conditional: lead must be 1 or more, found 0"),
        ("impatient:idle=0", r"impatient: idle must be 1 or more, found 0"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        rule(text)
