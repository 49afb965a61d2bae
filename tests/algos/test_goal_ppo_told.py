"""What the policy of goal_ppo is told of the others, in all its forms."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from meadow_play import CONFIG, ENV, ROSTER, SMALL, varied

from counterplay import envs
from counterplay.algos import goal_ppo
from counterplay.algos.goal_ppo import Config, GoalReader
from counterplay.models.beliefs import Held
from counterplay.types import NO_MOVE, View
from counterplay.views import view_shapes

BELIEF = np.array([[[0.1, 0.2, 0.1], [0.05, 0.5, 0.05]], [[0.6, 0.1, 0.1], [0.1, 0.05, 0.05]]])


@cache
def reader_that_says_something() -> GoalReader:
    make = jax.jit(partial(goal_ppo.make_reader, replace(CONFIG, types=2), ENV))
    return jax.tree.map(lambda x: varied(x[None])[0], make(jr.key(0)))


def told_by(goal_input: str, action_input: str, key: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What the policy is told, [M, ...], and the chances of moves that were held [M, Y, G, A]."""
    at = reader_that_says_something()
    rates = at.rates._replace(drift=0.0)
    reader = GoalReader(at.model, at.goals, True, rates, False, goal_input, action_input)
    held = Held(jnp.log(jnp.asarray(BELIEF, jnp.float32)), jnp.zeros((2, 2, 3, 3)),
                jnp.full((2, 3), 1 / 3))  # fmt: skip
    nothing = jnp.full(3, NO_MOVE, jnp.int32)
    view = View(
        obs=jnp.ones(3), legal=jnp.ones(3, bool), alive=jnp.array([True, True, True]),
        moved=nothing, public_legal=jnp.ones((3, 3), bool), reward=jnp.float32(0),
        event=nothing, time=jnp.int32(1), first=jnp.array(False), told=jnp.zeros(0),
    )  # fmt: skip
    sight = reader.look(jr.key(key), (jnp.zeros(5), held), view)
    assert sight.told.shape == reader.told
    return np.asarray(sight.told), np.asarray(sight.memory[1].moves)


def test_the_policy_may_be_told_all_of_the_belief():
    told, moves = told_by("belief", "distribution")
    assert (told[:, 0] == 1).all()
    np.testing.assert_allclose(told[:, 1:3], BELIEF.sum(2), rtol=1e-5)
    np.testing.assert_allclose(told[:, 3:6], BELIEF.sum(1), rtol=1e-5)
    np.testing.assert_allclose(told[:, 6:], (BELIEF[..., None] * moves).sum((1, 2)), rtol=1e-5)


def test_or_the_likeliest_type_and_goal_and_the_likeliest_move_of_those():
    told, moves = told_by("map", "argmax")
    assert told[:, 1:3].tolist() == [[0, 1], [1, 0]]
    assert told[:, 3:6].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert np.array_equal(told[:, 6:].argmax(1), [moves[0, 1, 1].argmax(), moves[1, 0, 0].argmax()])
    assert (told[:, 6:].sum(1) == 1).all() and set(told.ravel()) == {0, 1}
    told, moves = told_by("map", "distribution")
    np.testing.assert_allclose(told[:, 6:], np.stack([moves[0, 1, 1], moves[1, 0, 0]]), rtol=1e-6)
    told, moves = told_by("belief", "argmax")
    mixture = (BELIEF[..., None] * moves).sum((1, 2))
    assert np.array_equal(told[:, 6:], np.eye(3)[mixture.argmax(1)])


def test_or_nothing_of_either():
    told, _ = told_by("none", "distribution")
    assert (told[:, 1:6] == 0).all() and (told[:, 6:].sum(1) > 0.99).all()
    told, _ = told_by("belief", "none")
    assert (told[:, 6:] == 0).all() and (told[:, 1:6] > 0).all()


def test_or_a_draw_of_each():
    draws = np.stack([told_by("sample", "sample", key)[0] for key in range(60)])
    moves = told_by("sample", "sample")[1]
    for part in (draws[..., 1:3], draws[..., 3:6], draws[..., 6:]):
        assert (part.sum(-1) == 1).all() and set(part.ravel()) == {0, 1}
    # three deviations of a mean of 60: .2
    np.testing.assert_allclose(draws[..., 3:6].mean(0), BELIEF.sum(1), atol=0.2)
    mixture = (BELIEF[..., None] * moves).sum((1, 2))
    np.testing.assert_allclose(draws[..., 6:].mean(0), mixture, atol=0.2)
    assert np.array_equal(told_by("sample", "sample", 7)[0], draws[7])


def test_an_agent_tells_beliefs_where_it_infers_the_goals_of_its_game():
    learner = jax.jit(partial(goal_ppo.init_learner, CONFIG, ENV, 1))(jr.key(0))
    net = jax.tree.map(lambda x: x[0], learner.net)
    assert hasattr(goal_ppo.Agent(net), "belief")
    blind = Config(**SMALL, goals="none").among(ROSTER)
    none = jax.jit(partial(goal_ppo.make_reader, blind, ENV))(jr.key(0))
    assert none.model.sizes == (2, 3, 1, 3)
    told = goal_ppo.Agent(eqx.tree_at(lambda n: n.reader, net, none))
    assert not hasattr(told, "belief") and hasattr(told, "types")


def test_what_each_type_would_do_makes_up_what_is_predicted():
    """P(a) = sum_k P(k) P(a | k), whatever is held; and the absent might do anything."""
    learner = jax.jit(partial(goal_ppo.init_learner, CONFIG, ENV, 1))(jr.key(2))
    agent = goal_ppo.Agent(jax.tree.map(lambda x: x[0], learner.net))
    shapes = view_shapes(ENV)
    view = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), shapes)
    alive = jnp.array([True, True, False])
    moved = jnp.array([1, 2, NO_MOVE])
    view = eqx.tree_at(lambda v: (v.alive, v.moved), view, (alive, moved))

    @jax.jit
    def told():
        memory = agent.begin(jr.key(0), None)
        memory = agent.act(jr.key(1), memory, view, False).memory
        return [getattr(agent, name)(memory, view) for name in ("types", "decode", "predict")]

    types, decoded, predicted = told()
    assert not np.allclose(types[0], types[0, 0]), "something was learnt of the first"
    whole = (np.asarray(types)[..., None] * np.exp(decoded)).sum(1)
    np.testing.assert_allclose(whole[0], np.exp(predicted[0]), rtol=1e-5)
    np.testing.assert_allclose(np.exp(decoded).sum(-1), 1, rtol=1e-5)
    assert np.allclose(np.exp(decoded[1]), 1 / decoded.shape[-1])


def test_events_are_evidence_where_it_is_seen_whether_they_paid():
    """All events, or moves, or those of slots that paid me enough; what another was paid nobody
    sees."""

    def rates_of(**settings: Any) -> Any:
        config = Config(**SMALL, **settings).among(ROSTER)
        return jax.eval_shape(partial(goal_ppo.make_reader, config, ENV), jr.key(0)).rates

    found = rates_of()
    assert found.events and found.pays is None
    found = rates_of(goal_reward=0.5, reward_of="mine")
    assert found.events and found.pays == 0.5 and not found.moves
    found = rates_of(goals="rewards", goal_reward=0.5, reward_of="mine")
    assert found.events and found.pays == 0.5 and found.moves
    for more in ({"goal_reward": 0.5}, {"goal_quantile": 0.5},
                 {"goal_quantile": 0.5, "reward_of": "mine"}, {"goals": "extremum"},
                 {"goals": "rewards", "goal_reward": 0.5}):  # fmt: skip
        assert not rates_of(**more).events, more


def test_goals_are_those_of_the_game_or_its_moves():
    """The meadow has three goals and three moves; a matrix no goal and two moves."""
    best = Config(**SMALL, goals="extremum", types=1)
    best = jax.eval_shape(partial(goal_ppo.make_reader, best, ENV), jr.key(0))
    assert best.named and best.model.sizes == (2, 1, 3, 3)
    env = envs.make("matrix:pd")
    paid = Config(**SMALL, goals="rewards", types=1, goal_reward=0.5)
    paid = jax.eval_shape(partial(goal_ppo.make_reader, paid, env), jr.key(0))
    assert not paid.named and paid.model.sizes == (1, 1, 2, 2)
