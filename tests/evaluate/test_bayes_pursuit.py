"""The values of a pursuer who sees all against a solver fed by the game itself."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.board import UNSEEN
from counterplay.envs.pursuit import State
from counterplay.evaluate.bayes import Bayes
from counterplay.evaluate.bayes_pursuit import pursuer, solve
from counterplay.evaluate.hidden_pursuit import pursuit_filter
from counterplay.evaluate.mdp import Mdp, checked, finite_horizon
from counterplay.views import Last, cut_views

SMALL: Any = envs.make("pursuit:11x11,size=5,view=1,horizon=6")
RULES = tuple(opponents.make(name, SMALL) for name in ("north", "west", "detour"))


def played_out() -> Mdp:
    """Every pair of cells, the evader making for the northern exit; its moves are the branches."""
    exact = pursuit_filter(SMALL, RULES)
    n = SMALL.cells
    mine, theirs = (x.ravel() for x in np.divmod(np.arange(n * n), n))
    pairs = jnp.stack([jnp.int32(mine), jnp.int32(theirs)], 1)
    unseen = jnp.int32(UNSEEN)

    def one(pair, a, b):
        state = State(pair, unseen, unseen, jnp.int32(0))
        after, shown = SMALL.step(state, jnp.stack([a, b]))
        return after.players, shown.reward[0], shown.terminated

    over = lambda f, axes: jax.vmap(f, axes)
    moves = jnp.arange(5, dtype=jnp.int32)
    all_of = over(over(over(one, (None, None, 0)), (None, 0, None)), (0, None, None))
    to, pay, ends = (np.asarray(x) for x in jax.jit(all_of)(pairs, moves, moves))
    chance = np.asarray(exact.chances, np.float64)[0].T[theirs]  # [S, B]
    chance = chance / chance.sum(1, keepdims=True)  # they come in float32
    shape = (n * n, 5, 5)
    whole = np.broadcast_to(chance[:, None], shape)
    reward = (whole * pay).sum(2)
    inside = np.ones((n * n, 5), bool)
    where = to[..., 0] * n + to[..., 1]
    return checked(Mdp(where, np.where(ends, 0.0, whole), reward, inside))


def test_values_equal_those_of_the_game_solved():
    exact = pursuit_filter(SMALL, RULES)
    found = solve(SMALL, np.asarray(exact.steps, np.float64)[0])
    expected = finite_horizon(played_out(), SMALL.horizon).values
    # no episode goes on with the evader on an exit or on the pursuer's cell
    n = SMALL.cells
    on = ~np.isin(np.arange(n), SMALL.exits)[None] & ~np.eye(n, dtype=bool)
    expected = expected.reshape(-1, n, n)
    np.testing.assert_allclose(found[:, on], expected[:, on], atol=1e-5)
    assert np.ptp(found[0][on]) > 0.5


def test_who_is_known_to_come_by_is_met():
    """Next to the exit with the evader two steps from it: step onto the exit and wait."""
    _, chase = pursuer(SMALL, RULES)
    north, beside, corner = SMALL.exits[0], SMALL.exits[0] + 1, 0
    going = 0
    later = chase.value[1, :, going]
    assert float(later[north, corner]) == pytest.approx(1, abs=0.1)
    assert float(later[north, corner]) > float(later[beside + SMALL.size, corner])
    assert float(later[beside, north]) == -1 and float(later[north, north]) == 1


def test_an_evader_expects_any_legal_move_of_its_pursuer():
    agent = Bayes(*pursuer(SMALL, RULES))
    cells, unseen = jnp.array([10, 18], jnp.int32), jnp.int32(UNSEEN)  # 10 is on the left edge
    stay = jnp.array([4, 4], jnp.int32)
    _, shown = SMALL.step(State(cells, unseen, unseen, jnp.int32(0)), stay)
    views = cut_views(SMALL, shown, Last.nothing(2), jnp.int32(0), jnp.array(True))
    evader = jax.tree.map(lambda x: x[1], views)
    said = np.exp(agent.predict(agent.begin(jax.random.key(0), None), evader))[0]
    legal = np.asarray(shown.legal[0])
    assert legal.tolist() == [True, True, False, True, True]
    np.testing.assert_allclose(said, legal / legal.sum(), atol=1e-6)
