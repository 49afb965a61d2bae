"""Every collector: its steps and what it remembers. Cell = 9 row + column; rocks 14 46 66 34,
papers 22 38 58 42, scissors 6 54 74 26; centre 40."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.scissors import CHALLENGE, DOWN, HOLDINGS, LEFT, RIGHT, STAY, UP
from counterplay.opponents import sets
from counterplay.opponents.rule import Rule
from counterplay.types import NO_EVENT, NO_MOVE, View

ENV: Any = envs.make("scissors")
R, P, S, MIXED = (HOLDINGS.index(held) for held in ((4, 0, 0), (0, 4, 0), (0, 0, 4), (2, 1, 1)))
NOTHING = HOLDINGS.index((0, 0, 0))


def seen(cell: int, held=(0, 0, 0), may=False, ended=(NO_EVENT, NO_EVENT), first=False) -> View:
    """What a collector on a cell sees; ``ended`` is what it and the other held at the last end."""
    row, col = divmod(cell, 9)
    obs = np.array([cell, 255, 255, *held, 255, 0], np.uint8)
    return View(
        obs=ENV.encode(jnp.asarray(obs)),
        legal=jnp.array([row > 0, row < 8, col > 0, col < 8, True, may]),
        alive=jnp.ones(2, bool),
        moved=jnp.full(2, NO_MOVE),
        public_legal=jnp.ones((2, 6), bool),
        reward=jnp.array(0.0),
        event=jnp.array(ended),
        time=jnp.int32(0),
        first=jnp.array(first),
        told=jnp.zeros(0),
    )


def rule(text: str) -> Any:
    return opponents.make(text, ENV)


@pytest.mark.parametrize(
    ("name", "cell", "held", "may", "moves"),
    [
        ("rock", 0, (0, 0, 0), False, {DOWN: 0.5, RIGHT: 0.5}),  # to 14 and 46 as far: the first
        ("rock", 5, (0, 0, 0), False, {DOWN: 1.0}),
        ("rock", 14, (1, 0, 0), False, {STAY: 1.0}),
        ("rock", 46, (3, 0, 0), False, {STAY: 1.0}),
        ("rock", 14, (4, 0, 0), False, {DOWN: 0.5, LEFT: 0.5}),
        ("rock", 22, (3, 1, 0), False, {DOWN: 1.0}),  # four things in hand, whatever they are
        ("paper", 80, (0, 0, 0), False, {UP: 0.5, LEFT: 0.5}),
        ("paper", 22, (3, 0, 0), False, {STAY: 1.0}),
        ("scissors", 0, (0, 0, 0), False, {RIGHT: 1.0}),
        ("scissors", 40, (0, 0, 4), False, {STAY: 1.0}),
        ("scissors", 40, (0, 0, 4), True, {CHALLENGE: 1.0}),
        ("scissors", 40, (0, 0, 3), True, {UP: 0.5, RIGHT: 0.5}),  # not yet: to 26
        ("mixed", 14, (1, 0, 0), False, {STAY: 1.0}),
        ("mixed", 14, (2, 0, 0), False, {DOWN: 0.5, LEFT: 0.5}),  # paper on 22
        ("mixed", 22, (2, 1, 0), False, {UP: 0.5, RIGHT: 0.5}),  # scissors on 6
        ("mixed", 6, (2, 1, 1), False, {DOWN: 0.5, LEFT: 0.5}),
        ("rock:tremble=.06", 40, (4, 0, 0), True,
         dict.fromkeys(range(5), 0.01) | {CHALLENGE: 0.95}),
    ],
)  # fmt: skip
def test_what_it_does(name, cell, held, may, moves):
    player = rule(name if ":" in name else f"{name}:tremble=0")
    chances = np.exp(
        np.asarray(player.log_probs(player.begin(jr.key(0), None), seen(cell, held, may)))
    )
    assert {int(a): round(float(chances[a]), 4) for a in np.flatnonzero(chances)} == moves


def aims(name: str, ended: list[tuple[int, int]], start: int | None = None) -> list[int]:
    """The aims of a match whose episodes ended with these collections, mine and the other's."""
    player, seed = rule(name), 0
    while (
        start is not None and int(player.intent(player.begin(jr.key(seed), None), seen(0))) != start
    ):
        seed += 1
    memory, told = player.begin(jr.key(seed), None), []
    for i, both in enumerate([(NO_EVENT, NO_EVENT), *ended]):
        if i:
            memory = player.begin(jr.key(i), memory)
        view = seen(0, ended=both, first=True)
        told.append(int(player.intent(memory, view)))
        memory = player.act(jr.key(i), memory, view, False).memory
        assert int(player.intent(memory, seen(1))) == told[-1], "an aim lasts an episode"
    return told


def test_some_collect_the_same_in_every_episode():
    for name, aim in (("rock", R), ("paper", P), ("scissors", S), ("mixed", MIXED)):
        assert aims(name, [(R, P), (P, S), (NOTHING, R)]) == [aim] * 4


def test_cycle():
    assert aims("cycle", [(R, R), (NOTHING, S), (S, P)], P) == [P, S, R, P]


def test_some_answer_what_the_other_held():
    two_papers = HOLDINGS.index((1, 2, 1))
    tie = HOLDINGS.index((0, 2, 2))
    ended = [(R, R), (R, S), (S, two_papers), (S, tie), (S, NOTHING), (P, MIXED)]
    assert aims("copy_last", ended, S) == [S, R, S, P, P, R, R]
    assert aims("beat_last", ended, S) == [S, P, R, S, S, P, P]
    assert aims("lose_to_last", ended, S) == [S, S, P, R, R, S, S]


def test_beat_itself_answers_what_it_held():
    assert aims("beat_itself", [(R, S), (P, S), (S, S)], R) == [R, P, S, R]


def test_shift_changes_after_a_defeat_only():
    ended = [(R, P), (P, R), (P, P), (P, S), (S, P)]
    assert aims("shift", ended, R) == [R, P, P, P, S, S]


@pytest.mark.parametrize("name", ["cycle", "beat_last", "copy_last", "shift"])
def test_first_aims_are_uniform(name):
    begun = [int(rule(name).begin(jr.key(seed), None).aim) for seed in range(150)]
    assert np.bincount(begun, minlength=3).min() > 30  # 50 each, a standard deviation of 6


def test_sets_share_no_family():
    listed = sets.SETS["scissors"]
    of = lambda texts: {family for text in texts for family in sets.families(text)}
    families = {name: of(texts) for name, texts in listed.items()}
    assert not families["train"] & families["held-out"]
    assert not families["validation"] & (families["train"] | families["held-out"])
    assert families["near"] <= families["train"]
    assert len(listed["train"]) >= 6 and len(families["held-out"]) >= 2
    assert all(isinstance(rule(text), Rule) for texts in listed.values() for text in texts)
    assert all(rule(text).tremble == 0.05 for text in listed["train"])
