"""Corridors in which only moves are legal after which something can still be reached."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from test_corridors import CELLS

from counterplay import envs
from counterplay.envs.corridors import LEFT, RIGHT, UP
from counterplay.evaluate.returns import evaluate
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes

HUNT = 5


@pytest.mark.parametrize("game", ["race", "coordination"])
def test_at_the_start_three_ways_lead_on(game):
    env = envs.make(f"{game}:narrow")
    _, shown = env.reset(jr.key(0))
    legal = np.asarray(shown.legal)
    assert {LEFT, UP, RIGHT} == set(np.flatnonzero(legal[0])) and (legal == legal[0]).all()


def test_in_a_corridor_one_way_leads_on_until_there_is_something_to_hunt():
    env = envs.make("coordination:narrow")
    state, shown = env.reset(jr.key(0))
    step, seen = jax.jit(env.step), []
    for move in [LEFT] * 4 + [UP] * 6:
        assert move in np.flatnonzero(shown.legal[0])
        state, shown = step(state, jnp.array([move, move]))
        seen.append(set(np.flatnonzero(shown.legal[0])))
    assert all(len(legal) <= 2 for legal in seen[:-1]), "a corridor is three columns wide"
    # in the last slot nothing can be walked to any more: to hunt, or not to pay for it
    assert HUNT in seen[-1] and len(seen[-1]) > 1 and not shown.terminated


@pytest.mark.parametrize(("game", "seats"), [("race", 3), ("coordination", 2)])
def test_no_rule_of_any_set_ever_makes_a_move_that_is_not_worthwhile(game, seats):
    """Trembling rules of all sets among themselves: the open game, watched by the narrow one."""
    env = envs.make(game)
    roster = roster_of(env, dict.fromkeys(range(seats), "pool:train,pool:held-out,pool:near"))
    seating = roster.seating(roster.lanes_for(60))

    @jax.jit
    def play():
        policies = tuple(kind.policy for kind in roster.kinds)
        lanes = open_lanes(env, seating, policies, jr.key(1))
        chunk = collect(env, seating, policies, lanes, jr.key(2), slots=60, match=5)[1]
        return chunk.slots

    slots = jax.tree.map(np.asarray, play())
    narrow: Any = envs.make(f"{game}:narrow")
    moves, legal = slots["actions"], jax.jit(jax.vmap(narrow.worthwhile))
    state = _states(narrow, slots)
    fits = np.asarray(legal(state))
    there = slots["alive"].reshape(-1, seats)
    made = np.take_along_axis(fits, np.maximum(moves.reshape(-1, seats, 1), 0), 2)[..., 0]
    assert there.sum() > 5000 and made[there].all()


def _states(env, slots):
    """The states that stored observations of seat 0 show."""
    from counterplay.envs.corridors import GONE, State

    obs = slots["obs"][:, :, 0].reshape(-1, slots["obs"].shape[-1]).astype(int)
    cells = np.where(obs[:, :-1] == 255, GONE, obs[:, :-1])
    n = env.num_seats
    parts = cells[:, :n], cells[:, n : n + 3], obs[:, -1]
    return State(*(jnp.asarray(x, jnp.int32) for x in parts))


def test_rules_earn_the_same_in_the_narrow_game():
    returns = []
    for text in ("race", "race:narrow"):
        env = envs.make(text)
        roster = roster_of(env, {0: "cycle", 1: "always_left", 2: "free_last"})
        rows = evaluate(env, roster, 600, seed=3, match=5)
        returns.append(np.asarray([row.mean for row in rows]))
    assert np.array_equal(*returns)


def test_narrow_wants_no_slack():
    with pytest.raises(ValueError, match="race: narrow wants slack 0, found slack 2"):
        envs.make("race:narrow,slack=2")
    assert len(CELLS) > 60
