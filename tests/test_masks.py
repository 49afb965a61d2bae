"""Legal moves: what is forbidden has no probability, no gradient and no effect, and is refused."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterplay import envs
from counterplay.envs.stag_hunt import GONE, HUNT_HARE, HUNT_STAG, STAY
from counterplay.errors import GameError
from counterplay.evaluate.returns import evaluate
from counterplay.maths import entropy, masked_log_softmax
from counterplay.pools import roster_of
from counterplay.types import NO_EVENT, NO_MOVE

ACTIONS = 6
BOARDS = (
    "stag_hunt:4x4",
    "stag_hunt:6x6,obstacles=6,view=2,horizon=20",
    "stag_hunt,size=3,players=2,stags=2,hares=1,obstacles=1",
)
DELTAS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Rows and columns of up, down, left, right."""

logits_of = st.lists(st.floats(-1e4, 1e4, width=32), min_size=ACTIONS, max_size=ACTIONS)
masks_of = st.lists(st.booleans(), min_size=ACTIONS, max_size=ACTIONS)


@jax.jit
def softmax_and_gradient(logits: Any, legal: Any, weights: Any) -> tuple[Any, Any, Any]:
    def loss(logits):
        log_pi = masked_log_softmax(logits, legal)
        return jnp.where(legal, weights * log_pi, 0.0).sum() + entropy(log_pi)

    log_pi = masked_log_softmax(logits, legal)
    return log_pi, entropy(log_pi), jax.grad(loss)(logits)


@given(logits=logits_of, mask=masks_of, weights=logits_of)
def test_forbidden_moves_have_no_probability_and_no_gradient(logits, mask, weights):
    legal = np.array(mask)
    arrays = (jnp.array(logits, jnp.float32), jnp.array(legal), jnp.array(weights, jnp.float32))
    log_pi, bits, gradient = map(np.asarray, softmax_and_gradient(*arrays))
    assert (log_pi[~legal] == -np.inf).all()
    assert (gradient[~legal] == 0).all() and np.isfinite(gradient).all()
    if legal.any():
        assert np.exp(log_pi[legal].astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
        assert -1e-6 <= bits <= np.log(legal.sum()) + 1e-5
    else:
        assert bits == 0 and (gradient == 0).all()


@given(logits=logits_of, mask=masks_of, other=logits_of)
def test_logits_of_forbidden_moves_are_not_read(logits, mask, other):
    legal, weights = np.array(mask), jnp.ones(ACTIONS)
    changed = np.where(legal, logits, other).astype(np.float32)
    one = softmax_and_gradient(jnp.array(logits, jnp.float32), jnp.array(legal), weights)
    two = softmax_and_gradient(jnp.array(changed), jnp.array(legal), weights)
    jax.tree.map(np.testing.assert_array_equal, one, two)


@cache
def walked(board: str) -> tuple[Any, Any]:
    """A game of uniform legal moves, and what every single move in each of its slots would do.

    The latter has leaves [T, N, A, ...]: seat i does a, all others stay.
    """
    env: Any = envs.make(board)
    n = env.num_seats

    def walk(key):
        def slot(carry, move_key):
            state, shown = carry
            sampled = jr.categorical(move_key, jnp.where(shown.legal, 0.0, -jnp.inf))
            return env.step(state, jnp.where(shown.alive, sampled, NO_MOVE)), carry

        start_key, *keys = jr.split(key, env.horizon + 1)
        return jax.lax.scan(slot, env.reset(start_key), jnp.stack(keys))[1]

    def tried(state):
        all_stay = jnp.full(n, STAY)
        alone = lambda seat, action: env.step(state, all_stay.at[seat].set(action))
        seats, actions = jnp.arange(n), jnp.arange(env.num_actions)
        return jax.vmap(lambda s: jax.vmap(lambda a: alone(s, a))(actions))(seats)

    def both(seed):
        states, shown = walk(jr.key(seed))
        return (states, shown), jax.vmap(tried)(states)

    return env, jax.jit(both)


def expected(env: Any, state: Any, seat: int, action: int) -> tuple[bool, int, float]:
    """Legal or not, the cell where the seat then is, what it earns: by the rules, one by one."""
    here = int(state.players[seat])
    if here == GONE:
        return False, GONE, 0.0
    if action == STAY:
        return True, here, 0.0
    if action == HUNT_STAG:  # alone nobody catches one
        return here in state.stags, here, 0.0
    if action == HUNT_HARE:
        return (True, GONE, 1.0) if here in state.hares else (False, here, 0.0)
    row, column = np.add(divmod(here, env.size), DELTAS[action])
    there = int(row * env.size + column)
    free = 0 <= row < env.size and 0 <= column < env.size and there not in state.obstacles
    return bool(free), there if free else here, 0.0


@given(board=st.sampled_from(BOARDS), seed=st.integers(0, 2**31 - 1))
def test_on_a_walk_legal_moves_do_what_they_say_and_others_nothing(board, seed):
    env, play = walked(board)
    (states, shown), (after, result) = jax.tree.map(np.asarray, play(seed))
    slots = 1 + np.argmax([*shown.terminated[1:], True])
    assert not shown.legal[:slots][~shown.alive[:slots]].any(), "the absent have no legal move"
    for t in range(slots):
        state = jax.tree.map(lambda x, t=t: x[t], states)
        for seat, action in np.ndindex(env.num_seats, env.num_actions):
            legal, cell, reward = expected(env, state, seat, action)
            at = (t, seat, action)
            assert shown.legal[t, seat, action] == legal, at
            want = np.array(state.players)
            want[seat] = cell
            np.testing.assert_array_equal(after.players[at], want)
            caught = (state.hares == state.players[seat]) & (reward > 0)
            np.testing.assert_array_equal(after.hares[at], np.where(caught, GONE, state.hares))
            np.testing.assert_array_equal(after.stags[at], state.stags)
            earned = reward * (np.arange(env.num_seats) == seat)
            np.testing.assert_array_equal(result.reward[at], earned)
            assert (result.event[at] == NO_EVENT).sum() == env.num_seats - (reward > 0)


STRAY = """
import equinox as eqx
import jax.numpy as jnp
from counterplay.types import Act

class Stray(eqx.Module):
    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        return Act(jnp.int32({answer}), memory, {{}})
"""


@pytest.mark.parametrize(
    ("game", "answer"),
    [("matrix:pd", 9), ("matrix:pd", -1), ("matrix:pd", -2), ("stag_hunt:4x4", HUNT_STAG)],
)
def test_an_answer_that_is_no_legal_move_is_refused_by_name(game, answer, tmp_path):
    """JAX clamps and wraps indices that are out of range, so nothing else would notice."""
    (tmp_path / "stray.py").write_text(STRAY.format(answer=answer))
    env = envs.make(game)
    others: dict[int, str] = dict.fromkeys(range(env.num_seats), "random")
    roster = roster_of(env, others | {1: f"{tmp_path}/stray.py:Stray"})
    with pytest.raises(GameError, match=r"seat 1, where .*stray\.py:Stray"):
        evaluate(env, roster, 4)
