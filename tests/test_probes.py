"""The probes are games like any other, and do what they say."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import PROBES, Chain, Clock, Coin, Cue, Departure, Leavers, OneLegal, Probe
from scripted import Script

from counterplay.types import NO_EVENT, NO_MOVE, TimeStep


def play(env: Probe, actions: int | list[int], key: int = 0) -> list[TimeStep]:
    """What one game shows from slot 0 to its end when everybody plays the same moves."""
    state, shown = env.reset(jr.key(key))
    out = [shown]
    while not (out[-1].terminated or out[-1].truncated):
        t = len(out) - 1
        action = actions if isinstance(actions, int) else actions[t]
        state, shown = env.step(state, jnp.full(env.num_seats, action))
        out.append(shown)
        assert len(out) <= env.horizon + 1, "no end by the horizon"
    return out


SCRIPTS = (Script(), Script(over=False, public_legal=False, public_events=False))


@pytest.mark.parametrize("env", PROBES + SCRIPTS, ids=str)
def test_contract(env):
    assert hash(env) == hash(type(env)(**vars(env)))
    n, a = env.num_seats, env.num_actions
    seen = play(env, 0)
    for slot in seen:
        assert slot.obs.shape == (n, *env.obs_shape) and slot.obs.dtype == env.obs_dtype
        assert slot.legal.shape == (n, a) and slot.visible.shape == (n, n)
        assert slot.reward.shape == slot.event.shape == slot.alive.shape == (n,)
        assert not (slot.terminated and slot.truncated)
        assert (np.asarray(slot.legal.any(1)) == np.asarray(slot.alive)).all()
        assert slot.visible[jnp.arange(n), jnp.arange(n)].all()
    assert not seen[0].reward.any() and (seen[0].event == NO_EVENT).all()
    for before, after in pairwise(seen):
        assert not (after.alive & ~before.alive).any(), "nobody comes back"


def test_clock_and_chain_pay_by_the_slot():
    assert [float(s.reward[0]) for s in play(Clock((0.0, 1.0)), 0)] == [0, 0, 1]
    chain = play(Chain((3.0, 1.0), limit=4), 0)
    states = [int(s.obs[0].argmax()) for s in chain]
    assert states[1:] == [1 - s for s in states[:-1]]
    assert [float(s.reward[0]) for s in chain[1:]] == [3.0 if s == 0 else 1.0 for s in states[:-1]]
    assert chain[-1].truncated and play(Chain(over=True), 0)[-1].terminated
    starts = {int(play(Chain(), 0, key)[0].obs[0].argmax()) for key in range(8)}
    assert starts == {0, 1}


def test_departure_takes_the_other_away_after_its_first_move():
    seen = play(Departure(), 0)
    assert [s.alive.tolist() for s in seen] == [[True, True]] + [[True, False]] * 3
    assert [s.reward.tolist() for s in seen[1:]] == [[1, 5], [1, 0], [1, 0]]


def test_one_legal_changes_its_mind():
    only = [int(s.legal[0].argmax()) for s in play(OneLegal(), 0)]
    assert len(set(only[:4])) == 4
    assert not play(OneLegal(stuck=2), 0)[2].legal.any()


def test_cue_pays_for_the_cue_in_the_third_slot_only():
    for key in range(4):
        cue = int(play(Cue(), 0, key)[0].obs[0].argmax())
        assert [float(s.reward[0]) for s in play(Cue(), cue, key)] == [0, 0, 0, 1]
        assert [float(s.reward[0]) for s in play(Cue(), 1 - cue, key)] == [0, 0, 0, 0]


def test_coin_ties_length_to_return():
    games = [play(Coin(long=5), 0, key) for key in range(12)]
    found = {(len(game) - 1, float(sum(s.reward[0] for s in game))) for game in games}
    assert found == {(1, 0.0), (5, 1.0)}


def test_script_follows_its_script():
    seen = play(Script(length=2, stays=(9, 1, 9)), 1)
    assert [s.reward.tolist() for s in seen[1:]] == [[101, 201, 301], [111, 211, 311]]
    assert [s.alive.tolist() for s in seen] == [
        [True] * 3,
        [True, False, True],
        [True, False, True],
    ]
    assert [s.event.tolist() for s in seen] == [[-1] * 3, [0] * 3, [1] * 3]


@pytest.mark.parametrize("over", [True, False])
def test_leavers_leave_at_different_times_and_end_the_game(over):
    env = Leavers(over=over)

    def lengths(key):
        state, shown = env.reset(key)

        def slot(carry, _):
            state, shown = carry
            state, after = env.step(state, jnp.full(3, NO_MOVE))
            return (state, after), (shown.alive, shown.terminated, shown.truncated)

        return jax.lax.scan(slot, (state, shown), None, length=env.longest + 1)[1]

    alive, terminated, truncated = jax.jit(jax.vmap(lengths))(jr.split(jr.key(0), 200))
    stays = np.asarray(alive.sum(1))
    assert set(stays.ravel()) == {1, 2, 3, 4}
    assert (stays[:, :1] != stays).any(0)[1:].all(), "seats leave at different times"
    assert (np.asarray(terminated).argmax(1) == stays.max(1)).all() or not over
    assert np.asarray(truncated).any() == (not over)
