"""Every rule of the snowdrift game, move by move. Boards are 4x4, cells numbered row by row."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.snowdrift import (
    CLEAR,
    CLEARED,
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
    State,
)
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.opponents.rule import Rule
from counterplay.pools import roster_of
from counterplay.types import NO_EVENT, NO_MOVE, View

ENV: Any = envs.make("snowdrift:4x4,drifts=2,players=2")
STEP = jax.jit(ENV.step)


def seen(me: int, drifts: tuple[int, int], time: int = 1, cleared: bool = False, first=False):
    """What the player on cell ``me`` sees; the other is on cell 15."""
    fields = ((me, 15), drifts, 0)
    state = State(*(jnp.asarray(field, jnp.int32) for field in fields))
    shown = STEP(state, jnp.full(2, STAY))[1]
    return View(
        obs=ENV.encode(shown.obs[0]),
        legal=shown.legal[0],
        alive=shown.alive,
        moved=jnp.full(2, NO_MOVE),
        public_legal=shown.legal,
        reward=jnp.array(0.0),
        event=jnp.array([CLEARED if cleared else NO_EVENT, CLEARED]),
        time=jnp.int32(time),
        first=jnp.array(first),
        told=jnp.zeros(0),
    )


def rule(text: str) -> Rule:
    return opponents.make(text, ENV)


def chances(player: Rule, view: View, memory: Any = ()) -> dict[int, float]:
    """The moves it may make, and how likely each is."""
    probabilities = np.exp(np.asarray(player.log_probs(memory, view)))
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert not probabilities[~np.asarray(view.legal)].any()
    return {int(a): round(float(probabilities[a]), 4) for a in np.flatnonzero(probabilities)}


@pytest.mark.parametrize(
    ("name", "view", "expected", "intent"),
    [
        ("cleaner", seen(0, (3, 12)), {RIGHT: 1.0}, CLEARED),  # as far: the first cell
        ("cleaner", seen(0, (5, 15)), {DOWN: 0.5, RIGHT: 0.5}, CLEARED),
        ("cleaner", seen(15, (0, 10)), {UP: 0.5, LEFT: 0.5}, CLEARED),
        ("cleaner", seen(5, (5, 6)), {CLEAR: 1.0}, CLEARED),
        ("cleaner", seen(5, (-1, 13)), {DOWN: 1.0}, CLEARED),
        ("free_rider", seen(5, (5, 6)), {STAY: 1.0}, NO_EVENT),
        ("late:t0=4", seen(5, (5, 6), time=3), {STAY: 1.0}, NO_EVENT),
        ("late:t0=4", seen(5, (5, 6), time=4), {CLEAR: 1.0}, CLEARED),
        ("late:t0=4", seen(4, (5, 6), time=9), {RIGHT: 1.0}, CLEARED),
        ("cleaner:tremble=.3", seen(5, (5, 6)), dict.fromkeys(range(5), 0.05) | {CLEAR: 0.75},
         CLEARED),
        ("random", seen(0, (5, 6)), {DOWN: 0.3333, RIGHT: 0.3333, STAY: 0.3333}, NO_EVENT),
    ],
)  # fmt: skip
def test_moves_and_intents(name, view, expected, intent):
    assert chances(rule(name), view) == expected
    assert int(rule(name).intent((), view)) == intent


def test_k_cleaner_counts_its_own_drifts_and_rests_after_them():
    player = rule("k_cleaner:k=2")
    memory = player.begin(jr.key(0), None)
    told = []
    for cleared in (False, True, False, True, False):  # the other clears one in every slot
        view = seen(5, (5, 6), cleared=cleared)
        told.append((*chances(player, view, memory), int(player.intent(memory, view))))
        memory = player.act(jr.key(0), memory, view, False).memory
    assert told == [(CLEAR, CLEARED)] * 3 + [(STAY, NO_EVENT)] * 2


def test_k_cleaner_begins_every_episode_anew():
    """The first view still shows what the last joint move of the episode before completed."""
    player = rule("k_cleaner")
    memory = player.begin(jr.key(0), None)
    memory = player.act(jr.key(0), memory, seen(5, (5, 6), cleared=True), False).memory
    assert int(memory) == 1
    memory = player.begin(jr.key(1), memory)
    view = seen(5, (5, 6), time=0, cleared=True, first=True)
    assert chances(player, view, memory) == {CLEAR: 1.0}


def test_k_cleaner_clears_k_drifts_an_episode_in_matches_too():
    """With the others at rest each of its drifts pays it 2 and them 6."""
    env: Any = envs.make("snowdrift:4x4")
    seats: dict[int, str] = {0: "k_cleaner:k=2", 1: "free_rider", 2: "free_rider", 3: "free_rider"}
    rows = EpisodeRows()
    evaluate(env, roster_of(env, seats), 32, match=2, rows=rows)
    columns = rows.columns()
    assert {*columns["episode"].tolist()} == {0, 1}
    assert (columns["return_0"] == 4).all() and (columns["return_3"] == 12).all()
    assert (columns["length"] == 15).all(), "one drift stays where it is"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("k_cleaner:k=0", r"k_cleaner: k must be at least 1 drift, found 0"),
        ("late:t0=-1", r"late: t0 must be slot 0 or later, found -1"),
        ("late:t=3", r"setting of late 't' \(did you mean 't0'\?\)"),
        ("nearest_stag", r"unknown rule for snowdrift 'nearest_stag'; expected one of: cleaner"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        rule(text)
