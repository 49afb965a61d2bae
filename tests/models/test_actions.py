"""The model of others' moves: what it gives to illegal ones, and what its axes mean."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from counterplay import envs
from counterplay.models.actions import ActionModel, Reading
from counterplay.models.history import features_of

INPUTS, OTHERS, ACTIONS, TYPES, GOALS, GRU = 5, 3, 4, 2, 3, 6
LEGAL_ALL = jnp.ones((3, 7), bool)
LEGAL = jnp.array([[True] * 4, [True, False, True, False], [False] * 4])


@cache
def model() -> ActionModel:
    """One whose every head says something."""
    key, *keys = jr.split(jr.key(0), 4)
    fresh = ActionModel(INPUTS, OTHERS, ACTIONS, TYPES, GOALS, (8, 7), GRU, key)
    heads = lambda m: (m.move, m.goal, m.type)
    drawn = [jr.normal(k, x.shape) for k, x in zip(keys, heads(fresh), strict=True)]
    return eqx.tree_at(heads, fresh, drawn)


def read(m: ActionModel, legal=LEGAL) -> Reading:
    return called(m, jnp.linspace(-1, 1, INPUTS), jnp.linspace(1, -1, GRU), legal)


called = jax.jit(lambda m, x, e, legal: m(x, e, legal))


def test_sizes_are_those_that_were_asked_for():
    m = model()
    assert m.sizes == (OTHERS, TYPES, GOALS, ACTIONS)
    made = read(m)
    assert made.moves.shape == (OTHERS, TYPES, GOALS, ACTIONS)
    assert made.goals.shape == (OTHERS, TYPES, GOALS) and made.types.shape == (OTHERS, TYPES)
    e, memory = m.trunk(jnp.zeros(INPUTS), jnp.zeros(GRU))
    assert e.shape == memory.shape == (GRU,)
    alone = ActionModel(INPUTS, 0, ACTIONS, 1, 1, (8,), 0, jr.key(0))
    nobody = alone(jnp.zeros(INPUTS), jnp.zeros(8), jnp.zeros((0, ACTIONS), bool))
    assert nobody.moves.shape == (0, 1, 1, ACTIONS)


def test_illegal_moves_have_no_chance_and_all_else_sums_to_one():
    made = jax.tree.map(jnp.exp, read(model()))
    can = np.broadcast_to(LEGAL[:, None, None], made.moves.shape)
    assert (made.moves[~can] == 0).all() and (made.moves[can] > 0).all()
    np.testing.assert_allclose(made.moves.sum(-1)[:2], 1, atol=1e-6)
    np.testing.assert_allclose(made.goals.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(made.types.sum(-1), 1, atol=1e-6)


def test_a_row_with_nothing_legal_has_no_gradient_and_no_nan():
    def loss(m, rows):
        """Of all that is possible, as an entropy or a cross-entropy reads it."""
        made = read(m).moves
        return jnp.where((made > -jnp.inf) & rows[:, None, None, None], made, 0.0).sum()

    slope = jax.jit(jax.grad(loss))
    gradient = jax.tree.leaves(slope(model(), jnp.ones(OTHERS, bool)))
    assert all(np.isfinite(x).all() for x in gradient)
    assert any((x != 0).any() for x in gradient)
    nobody = slope(model(), jnp.array([False, False, True]))
    assert all((x == 0).all() for x in jax.tree.leaves(nobody))


def test_others_that_change_places_with_their_marks_change_places_in_what_is_read():
    order = jnp.array([2, 0, 1])
    turned = eqx.tree_at(lambda m: m.other, model(), model().other[order])
    for a, b in zip(read(turned, LEGAL[order]), read(model()), strict=True):
        assert np.array_equal(a, b[order])
    assert not np.allclose(read(model()).types[0], read(model()).types[1]), "marks tell them apart"


def test_each_type_and_goal_has_a_head_of_its_own():
    before = read(model())
    turned = model().move.at[:, 1, 2].multiply(-1.0), model().goal.at[:, 1].multiply(-1.0)
    other = read(eqx.tree_at(lambda m: (m.move, m.goal), model(), turned))
    same = np.ones((TYPES, GOALS), bool)
    same[1, 2] = False
    assert np.array_equal(before.moves[:, same], other.moves[:, same])
    assert not np.allclose(before.moves[:2, 1, 2], other.moves[:2, 1, 2])
    assert np.array_equal(before.goals[:, 0], other.goals[:, 0])
    assert not np.allclose(before.goals[:2, 1], other.goals[:2, 1])
    assert np.array_equal(before.types, other.types)


def test_at_first_nothing_is_said_of_goals_and_types():
    fresh = ActionModel(INPUTS, OTHERS, ACTIONS, TYPES, GOALS, (8,), GRU, jr.key(1))
    made = jax.tree.map(jnp.exp, read(fresh))
    np.testing.assert_allclose(made.goals, 1 / GOALS, rtol=1e-6)
    np.testing.assert_allclose(made.types, 1 / TYPES, rtol=1e-6)


def test_what_is_seen_now_is_read_without_the_history():
    """It goes past the recurrent layer: with that shut, moves still depend on it."""
    m = model()
    here, there = (called(m, x * jnp.ones(INPUTS), jnp.zeros(GRU), LEGAL) for x in (0.0, 1.0))
    assert not np.allclose(here.moves[:2], there.moves[:2])


BOARD: Any = envs.make("stag_hunt:4x4")


def shown(cells: jax.Array, alive: tuple[int, ...] = (1, 1, 1, 1)) -> jax.Array:
    """As ``history.inputs`` has it, without what was moved and completed."""
    return jnp.concatenate([BOARD.encode(cells), jnp.array(alive, jnp.float32), jnp.zeros(2)])


def on_board(game: Any) -> ActionModel:
    return ActionModel(features_of(BOARD) + 6, 3, 7, 2, 1, (8,), 0, jr.key(0), game)


def test_the_surroundings_of_each_player_are_read_whoever_it_is():
    """Two others who change places change rows; nothing else tells them apart."""
    m, plain = jax.jit(lambda: on_board(BOARD))(), jax.jit(lambda: on_board(None))()
    for x, y in zip(jax.tree.leaves(plain), jax.tree.leaves(m), strict=False):
        assert (x == y).all(), "what was there draws what it drew before"
    alike = lambda m: (m.other, m.now.weight, m.history.weight)
    m = eqx.tree_at(alike, m, [jnp.zeros_like(x) for x in alike(m)])
    moves = jax.jit(lambda cells: m(shown(cells), jnp.zeros(8), LEGAL_ALL).moves)
    cells = jnp.array([0, 5, 6, 9, 10, 1, 3, 12, 15, 2], jnp.uint8)
    made = moves(cells)
    swapped = moves(cells.at[jnp.array([1, 2])].set(cells[jnp.array([2, 1])]))
    np.testing.assert_allclose(swapped[jnp.array([1, 0, 2])], made, atol=1e-6)
    assert abs(made[0] - made[1]).max() > 1e-3, "but where they stand does"
    gone = moves(cells.at[0].set(255))
    assert abs(gone - made).max() > 1e-3, "who else is there is read, me among them"


def test_who_is_gone_adds_nothing_to_what_is_seen_of_others():
    """Nor does the layer that reads surroundings learn of it."""
    around: Any = on_board(BOARD).around
    around = eqx.tree_at(lambda a: a.look.bias, around, jnp.linspace(-1, 1, 8))
    cells = jnp.array([0, 5, 255, 255, 10, 1, 3, 12, 15, 2], jnp.uint8)
    x = shown(cells, (1, 1, 0, 0))
    rows = BOARD.around(x[: features_of(BOARD)])

    def by_hand(around):
        me, other = (jax.nn.relu(around.look(row)) for row in rows[:2])
        return around.own(other) + around.rest(me)

    np.testing.assert_allclose(around(x)[0], by_hand(around), atol=1e-5)
    slope = jax.grad(lambda a: a(x)[0].sum())(around)
    known = jax.grad(lambda a: by_hand(a).sum())(around)
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(known), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert abs(known.look.bias).max() > 0.1
