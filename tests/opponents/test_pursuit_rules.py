"""Every evader of pursuit: its steps, its way, and what it remembers. Exits of 11x11: north 5,
east 65, south 115, west 55; way-points 24, 30, 90, 96."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.pursuit import DOWN, EAST, LEFT, NORTH, RIGHT, SOUTH, STAY, UP, WEST
from counterplay.opponents import sets
from counterplay.opponents.pursuit import way_points
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT, NO_MOVE, View

ENV: Any = envs.make("pursuit")


def seen(cell: int, event=NO_EVENT, first=False) -> View:
    """What the evader on a cell sees, whose escape or capture came just before."""
    row, col = divmod(cell, 11)
    obs = np.array([cell, 60, 255, 255, 1, 0], np.uint8)
    return View(
        obs=ENV.encode(jnp.asarray(obs)),
        legal=jnp.array([row > 0, row < 10, col > 0, col < 10, True]),
        alive=jnp.ones(2, bool),
        moved=jnp.full(2, NO_MOVE),
        public_legal=jnp.ones((2, 5), bool),
        reward=jnp.array(0.0),
        event=jnp.array([event, NO_EVENT]),
        time=jnp.int32(0),
        first=jnp.array(first),
        told=jnp.zeros(0),
    )


def rule(text: str) -> Any:
    return opponents.make(text, ENV)


def chances(player: Rule, view: View, memory: Any) -> dict[int, float]:
    probabilities = np.exp(np.asarray(player.log_probs(memory, view)))
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    return {int(a): round(float(probabilities[a]), 4) for a in np.flatnonzero(probabilities)}


@pytest.mark.parametrize(
    ("name", "cell", "moves"),
    [
        ("north", 0, {RIGHT: 1.0}),
        ("north", 120, {UP: 0.5, LEFT: 0.5}),
        ("east", 0, {DOWN: 0.5, RIGHT: 0.5}),
        ("south", 5, {DOWN: 1.0}),
        ("west", 56, {LEFT: 1.0}),
        ("west", 65 + 11, {UP: 0.5, LEFT: 0.5}),
        ("north:tremble=.05", 0, {DOWN: 0.0167, RIGHT: 0.9667, STAY: 0.0167}),
    ],
)
def test_shortest_paths(name, cell, moves):
    player = rule(name if ":" in name else f"{name}:tremble=0")
    assert chances(player, seen(cell), player.begin(jr.key(0), None)) == moves


def aims(name: str, events: list[int], seed: int = 0) -> list[int]:
    """The exits aimed at in a match whose episodes ended with these escapes (-1: none)."""
    player = rule(name)
    memory, told = player.begin(jr.key(seed), None), []
    for i, event in enumerate([NO_EVENT, *events]):
        if i:
            memory = player.begin(jr.key(100 * seed + i), memory)
        view = seen(0, event, first=True)
        told.append(int(player.intent(memory, view)))
        memory = player.act(jr.key(i), memory, view, False).memory
        again = seen(1, NO_EVENT)
        assert int(player.intent(memory, again)) == told[-1], "an aim lasts an episode"
        memory = player.act(jr.key(i), memory, again, False).memory
    return told


def starting(name: str, aim: int) -> int:
    """A seed with which a match begins with this aim."""
    return next(seed for seed in range(99) if aims(name, [], seed) == [aim])


def test_fixed_exits():
    for exit, name in enumerate(("north", "east", "south", "west")):
        assert aims(name, [0, -1, 2]) == [exit] * 4


def test_cycle_goes_round_whatever_happens():
    assert aims("cycle", [2, -1, 0, -1], starting("cycle", SOUTH)) == [2, 3, 0, 1, 2]


def test_restless_moves_on_after_an_escape_only():
    assert aims("restless", [-1, 1, 2], starting("restless", EAST)) == [1, 1, 2, 3]
    assert aims("restless:by=2", [1, -1, 3], starting("restless:by=2", EAST)) == [1, 3, 3, 1]


def test_least_and_most_used_count_escapes_only():
    seed = starting("least_used", WEST)
    assert aims("least_used", [-1, 0, 1, 1, 2, 3], seed) == [WEST, 0, 1, 2, 2, 3, 0]
    seed = starting("most_used", WEST)
    assert aims("most_used", [-1, 3, 1, 1, 3, 3], seed) == [WEST, 0, 3, 1, 1, 1, 3]


def test_stubborn_keeps_what_worked_and_leaves_what_did_not():
    seed = starting("stubborn", SOUTH)
    assert aims("stubborn", [2, 2, -1, -1, 1], seed) == [2, 2, 2, WEST, NORTH, NORTH]


@pytest.mark.parametrize("name", ["cycle", "least_used", "most_used", "stubborn", "detour"])
def test_first_aims_are_uniform(name):
    begun = [rule(name).begin(jr.key(seed), None) for seed in range(200)]
    counts = np.bincount([int(memory.exit) for memory in begun], minlength=4)
    assert counts.min() > 30, counts  # 50 each, a standard deviation of 6


def test_detour_passes_a_way_point_and_then_makes_for_its_exit():
    assert way_points(11) == (24, 30, 90, 96)
    player = rule("detour:tremble=0")
    memory = player.begin(jr.key(0), None)._replace(way=jnp.int32(24), exit=jnp.int32(SOUTH))
    assert chances(player, seen(0), memory) == {DOWN: 0.5, RIGHT: 0.5}
    assert chances(player, seen(2), memory) == {DOWN: 1.0}
    assert chances(player, seen(26), memory) == {LEFT: 1.0}
    assert chances(player, seen(24), memory) == {DOWN: 0.5, RIGHT: 0.5}
    memory = player.act(jr.key(0), memory, seen(24), False).memory
    assert chances(player, seen(26), memory) == {DOWN: 0.5, RIGHT: 0.5}
    again = player.begin(jr.key(1), memory)
    assert not again.passed, "another way-point for every episode"
    drawn = {int(player.begin(jr.key(seed), memory).way) for seed in range(40)}
    assert drawn == {24, 30, 90, 96}


def test_sets_share_no_family():
    listed = sets.SETS["pursuit"]
    of = lambda texts: {family for text in texts for family in sets.families(text)}
    families = {name: of(texts) for name, texts in listed.items()}
    assert not families["train"] & families["held-out"]
    assert not families["validation"] & (families["train"] | families["held-out"])
    assert families["near"] <= families["train"]
    assert len(listed["train"]) >= 6 and len(families["held-out"]) >= 2
    assert all(isinstance(rule(text), Rule) for texts in listed.values() for text in texts)
    assert all(rule(text).tremble == 0.05 for text in listed["train"])
