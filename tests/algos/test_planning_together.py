"""Plans with others who are inferred together, where what pays is that they do alike.

Two others go left (0) or right (1), half each, and always both alike. Moves 0 and 1 go to meet
both, which pays 1 where both are there and nothing where one is missing; move 2 stays, for .4;
move 3 waits and sees, for .1 less. Together both are met half of the time; each for itself, one
time in four.
"""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import Written

from counterplay.algos import counterplay
from counterplay.algos.counterplay import Agent, Config
from counterplay.algos.looking import Latent
from counterplay.algos.searching import think
from counterplay.algos.thinking import Mind, Node, Together
from counterplay.planning import Arrival, Functions, Joint
from counterplay.planning.draws import drawn_of
from counterplay.planning.latent import plan
from counterplay.planning.tree import search
from counterplay.types import NO_MOVE
from counterplay.views import view_shapes

ENV = Written(num_seats=3, num_actions=4)
STAYS, WAITS = 0.4, -0.1
ALIKE = [0.0, -30.0, -30.0, 0.0]
"""Logits of the types of both: left-left, left-right, right-left, right-right."""
MAY = jnp.array([[True, True, False, False]] * 2)


def met(key: Any, node: Node, action: Any, others: Any) -> Arrival:
    """The game itself: whoever does not wait has played."""
    both = (others[0] == others[1]) & (others[0] == action)
    reward = jnp.where(action < 2, both * 1.0, jnp.where(action == 2, STAYS, WAITS))
    after = node._replace(moves=None)
    waits = (action == 3).astype(jnp.float32)
    return Arrival(after, reward, waits, jnp.array([True, True, True, False]), node.there)


@cache
def agent(belief: str) -> Agent:
    """Who goes left is of type 0, and type 1 goes right, as reader and what is imagined have it."""
    sizes: dict[str, Any] = {"latent": 4, "world_width": 4, "world_token": 2, "groups": 0}
    sizes |= {"belief": belief}
    config = Config(types=2, mix=1e-6, widths=(4,), told_width=4, reader_widths=(4,),
                    reader_gru=3, **sizes)  # fmt: skip
    net = jax.tree.map(lambda x: x[0], counterplay.init_learner(config, ENV, 1, jr.key(0)).net)
    ways = jnp.zeros(net.model.ahead.bias.shape).at[jnp.arange(2), :, jnp.arange(2)].set(20.0)
    parts = lambda n: (n.model.ahead, n.reader.model)
    for part in range(2):
        put = lambda n, part=part: (parts(n)[part].bias, parts(n)[part].move)
        net = eqx.tree_at(put, net, (ways, jnp.zeros_like(parts(net)[part].move)))
    if belief == "joint":
        net = eqx.tree_at(lambda n: n.reader.prior, net, jnp.array(ALIKE))
    return Agent(net)


def mind(belief: str) -> Mind:
    net = agent(belief).net
    return Mind(net.model, net.slow, net.reader, net.policy)


def functions(belief: str) -> Functions:
    """Those of the agent, in the game itself, beyond which nothing is worth anything."""
    return mind(belief).functions._replace(step=met, value=lambda node, belief: jnp.zeros(()))


def at_first(belief: str) -> tuple[Node, Any]:
    goals = agent(belief).net.reader.model.sizes[2]
    each = jnp.full((2, 2, goals), -jnp.log(2.0 * goals))
    held = Together(each, jax.nn.log_softmax(jnp.array(ALIKE))) if belief == "joint" else each
    return Node(jnp.zeros(4), jnp.ones(2, bool), MAY, None), held


@cache
def found(belief: str, depth: int, samples: int) -> Any:
    node, held = at_first(belief)
    how: dict[str, Any] = {"depth": depth, "gamma": 1.0, "temperature": 0, "samples": samples}
    alive, four = jnp.ones(3, bool), functions(belief)[:4]
    one = lambda k: plan(*four, node, held, jnp.zeros(4), jnp.ones(4, bool), alive, k, **how)
    several = jax.jit(jax.vmap(one))(jr.split(jr.key(1), 400 if samples else 1))
    return np.asarray(several.q), np.asarray(several.weights)


def test_two_who_are_always_alike_are_met_together_half_of_the_time():
    (q, weights), (apart, stays) = found("joint", 1, 0), found("filter", 1, 0)
    np.testing.assert_allclose(q[0], [0.5, 0.5, STAYS, WAITS], atol=1e-4)
    np.testing.assert_allclose(apart[0], [0.25, 0.25, STAYS, WAITS], atol=1e-4)
    assert weights[0, :2].sum() == 1 and stays[0, 2] == 1


def test_draws_are_of_both_together():
    """Eight of 400 decisions each, half of them left exactly, as they are spread."""
    q, _ = found("joint", 1, 8)
    np.testing.assert_allclose(q[:, :2], 0.5, atol=1e-6)
    apart, _ = found("filter", 1, 8)
    error = apart[:, 0].std() / len(apart) ** 0.5
    assert error > 0 and abs(apart[:, 0].mean() - 0.25) < 4 * error


@pytest.mark.parametrize(("belief", "pays"), [("joint", 1.0), ("filter", (1 + STAYS) / 2)])
def test_who_has_waited_meets_both_wherever_they_go(belief, pays):
    """Each for itself they are expected to part half of the time, when it is best to stay."""
    q, weights = found(belief, 2, 0)
    np.testing.assert_allclose(q[0, 3], WAITS + pays, atol=1e-4)
    assert weights[0, 3] == 1


@pytest.mark.parametrize(("belief", "chance"), [("joint", 1.0), ("filter", 0.5)])
def test_of_one_that_was_not_seen_the_other_tells(belief, chance):
    node, held = at_first(belief)
    f = functions(belief)
    after = jax.jit(lambda: f.update(held, node, jnp.array([NO_MOVE, 1])))()
    expected = f.actions(node, after)
    if isinstance(expected, Joint):
        assert isinstance(after, Together)
        np.testing.assert_allclose(jnp.exp(after.each).sum(2)[0, 1], 1, atol=1e-4)
        expected = (expected.weight[:, None, None] * expected.chances).sum(0)
    np.testing.assert_allclose(expected[:, 1], [chance, 1.0], atol=1e-4)


def test_an_absent_one_makes_no_move_and_leaves_the_other_as_it_was():
    node, held = at_first("joint")
    alone = node._replace(there=jnp.array([True, False]))
    joint = mind("joint").actions(alone, held)
    assert isinstance(joint, Joint) and not joint.chances[:, 1].any()
    made = drawn_of(jr.key(0), joint, 8)
    assert (made[:, 1] == NO_MOVE).all() and (made[:, 0] == 0).sum() == 4
    weighed = (joint.weight[:, None, None] * joint.chances).sum(0)
    np.testing.assert_allclose(weighed[0], [0.5, 0.5, 0, 0], atol=1e-4)


@pytest.mark.parametrize(("belief", "pays"), [("joint", 0.5), ("filter", 0.25)])
def test_a_tree_draws_them_together(belief, pays):
    node, held = at_first(belief)
    legal = jnp.array([True, True, True, False])

    @jax.jit
    @jax.vmap
    def searched(key):
        root = node, held, jnp.where(legal, 0.0, -jnp.inf), legal, jnp.ones(3, bool)
        f = functions(belief)._replace(prior_of=lambda node, b: jnp.zeros(4))
        return search(*f, *root, key, simulations=60, gamma=1.0, draws=8).q

    q = np.asarray(searched(jr.split(jr.key(3), 100)))
    np.testing.assert_allclose(q[:, 2], STAYS, atol=1e-5)
    assert abs(q[:, :2].mean() - pays) < 0.05


def test_the_agent_itself_plans_with_both_together(monkeypatch):
    """From what its reader holds at first contact, by each planner's way to it."""
    monkeypatch.setattr(Mind, "step", lambda self, *x: met(*x))
    monkeypatch.setattr(Mind, "value", lambda self, *x: jnp.zeros(()))
    view = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(ENV))
    nothing = jnp.full(3, -1, jnp.int32)
    may = jnp.concatenate([jnp.ones((1, 4), bool), MAY])
    put = lambda v: (v.first, v.moved, v.event, v.public_legal)
    view = eqx.tree_at(put, view, (jnp.array(True), nothing, nothing, may))
    for belief, pays in (("joint", 0.5), ("filter", 0.25)):
        planner = Latent(trust=1.0, samples=0)
        plays = planner.seated(agent(belief), ENV, {})

        @jax.jit
        def told(plays=plays):
            memory = plays.begin(jr.key(0), None)
            slot = plays.see(jr.key(0), memory, view)
            thought = think(plays, jr.key(0), memory, view)
            return plays.planned(jr.key(1), slot, view).q, thought.moves

        q, moves = told()
        np.testing.assert_allclose(q, [pays, pays, STAYS, WAITS], atol=1e-4)
        assert isinstance(moves, Joint) == (belief == "joint")
