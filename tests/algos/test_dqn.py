"""DQN on games whose values and best actions are known, and what a training promises."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Bandit, Chain, Clock, Cue, Departure, Leavers, OneLegal, Probe

from counterplay.algos import Options, Update, dqn, loops
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import NO_MOVE

GAMMA = 0.5
CLOSE = 0.02
SMALL: dict[str, Any] = {
    "lanes": 16, "slots": 8, "widths": (16,), "replay": 2048, "start": 256, "passes": 8,
    "batch": 32, "target_every": 20, "gamma": GAMMA, "learning_rate": 0.02, "explore": 1.0,
    "n_step": 1,
}  # fmt: skip


def config(iterations: int, **settings: Any) -> dqn.Config:
    usual = SMALL | settings
    return dqn.Config(steps=iterations * usual["lanes"] * usual["slots"], **usual)


def trained(env: Probe, settings: dqn.Config, who: str = "self") -> Update:
    roster = roster_of(env, dict.fromkeys(range(env.num_seats), who))
    *_, last = dqn.train(settings, env, roster)
    return last


def network(update: Update, member: int = 0) -> Any:
    return jax.tree.map(lambda x: x[0, member], update.nets[0])


def values(net: Any, index: int) -> np.ndarray:
    """Of the observation that is one-hot there."""
    obs = jnp.zeros(net.trunk.layers[0].weight.shape[0]).at[index].set(1.0)
    return np.asarray(net(obs, jnp.zeros(net.gru))[0])


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    ("pays", "expected"),
    [
        ((1.0,), [1.0]),
        ((0.0, 1.0), [GAMMA, 1.0]),
        ((1.0, 1.0, 1.0), [1 + GAMMA + GAMMA**2, 1 + GAMMA, 1.0]),
    ],
    ids=["one step", "reward later", "own clock"],
)
def test_a_reward_is_worth_gamma_a_slot_and_nothing_after_the_end_counts(pays, expected, n):
    net = network(trained(Clock(pays), config(80, n_step=n)))
    for t, value in enumerate(expected):
        np.testing.assert_allclose(values(net, t), value, atol=CLOSE)


@pytest.mark.parametrize(
    "settings",
    [{"n_step": 3}, {"double": False, "tau": 0.05, "target_every": 1}, {"duelling": True},
     {"gru": 4, "window": 10, "burn_in": 2}],
    ids=["n-step", "plain and averaged", "duelling", "recurrent"],
)  # fmt: skip
def test_an_interruption_leaves_the_value_of_playing_on(settings):
    """Closed form of the two-state chain: V(s) = (r(s) + gamma r(1 - s)) / (1 - gamma^2)."""
    net = network(trained(Chain((3.0, 1.0)), config(120, **settings)))
    for s, (now, then) in enumerate([(3, 1), (1, 3)]):
        expected = (now + GAMMA * then) / (1 - GAMMA**2)
        np.testing.assert_allclose(values(net, s), expected, atol=5 * CLOSE)


def test_an_end_leaves_nothing():
    """The same chain, over after four slots: time is unseen, so V(s) is a mean over its slots."""
    tail = lambda s, left: sum(GAMMA**k * (3.0, 1.0)[(s + k) % 2] for k in range(left))
    # beyond an error of 1 Huber's loss would ask for something between the mean and the median
    pays = (0.3, 0.1)
    net = network(trained(Chain(pays, over=True), config(120, n_step=4)))
    for s in (0, 1):
        expected = 0.1 * np.mean([tail(s, left) for left in (1, 2, 3, 4)])
        np.testing.assert_allclose(values(net, s), expected, atol=CLOSE)


def test_the_departure_of_another_does_not_end_my_game():
    update = trained(Departure(), config(100), "own")
    for t, value in enumerate([1 + GAMMA + GAMMA**2, 1 + GAMMA, 1.0]):
        np.testing.assert_allclose(values(network(update, 0), t), value, atol=CLOSE)
    np.testing.assert_allclose(values(network(update, 1), 0), 5.0, atol=5 * CLOSE)


def test_with_one_legal_action_there_is_nothing_to_choose():
    """V = -1 + gamma 3/4 V, for a quarter of the slots is the last."""
    update = trained(OneLegal(), config(80))
    assert update.metrics["stuck"].sum() == update.metrics["unfair"].sum() == 0
    np.testing.assert_allclose(values(network(update), 0), -1 / (1 - 0.75 * GAMMA), atol=0.1)


@pytest.mark.parametrize("settings", [{}, {"priority": 0.6}], ids=["uniform", "prioritised"])
def test_a_single_lane_is_enough_to_find_the_best_action(settings):
    net = network(trained(Bandit(best=2), config(40, lanes=1, slots=16, start=32, **settings)))
    np.testing.assert_allclose(values(net, 0), [0, 0, 1], atol=5 * CLOSE)


def test_memory_carries_a_cue_to_where_it_pays():
    settings = config(120, gru=8, gamma=0.9, window=9, burn_in=3)
    slots = acting(network(trained(Cue(), settings)), Cue(), greedy=True)
    assert slots["returns"][slots["terminated"]].mean() > 0.95
    assert 0.3 < slots["obs"][:, ::3, 0, 0].mean() < 0.7, "both cues were shown"


def acting(net: Any, env: Probe, greedy: bool, lanes: int = 64) -> dict[str, np.ndarray]:
    """The stream of one network at every seat."""
    agent = jax.tree.map(lambda x: x[None], dqn.Agent(net))
    kind = Kind("agent", policy=agent)
    seating = Roster((kind,), ((Chair(0, 0),) * env.num_seats,)).seating(lanes)
    start_key, play_key = jr.split(jr.key(3))

    @jax.jit
    def play(agent):
        opened = open_lanes(env, seating, (agent,), start_key)
        return collect(env, seating, (agent,), opened, play_key, slots=12, greedy=greedy)[1].slots

    return jax.tree.map(np.asarray, play(agent))


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("size", [0.0, 1e30, 3e38])
def test_only_legal_actions_are_chosen_whatever_the_values(greedy, size):
    env = OneLegal()
    net = jax.tree.map(lambda x: x[0], dqn.init_learner(config(1), env, 1, jr.key(0)).net)
    tremendous = jnp.array([size, -size, size / 2, 0.0])
    net = jax.tree_util.tree_map_with_path(
        lambda path, x: tremendous if "action" in str(path) and x.shape == (4,) else x, net
    )
    assert net.action.bias is tremendous
    slots = acting(net, env, greedy)
    assert slots["alive"].all()
    assert (slots["actions"] == slots["avail_actions"].argmax(-1)).all()


def test_frozen_play_is_greedy_or_a_little_random_and_the_absent_choose_nothing():
    env = Leavers()
    net = jax.tree.map(lambda x: x[0], dqn.init_learner(config(1), env, 1, jr.key(0)).net)
    best = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.array([0.0, 9.0, 1e6]) if "action" in str(path) and x.ndim == 1 else x,
        net,
    )
    for greedy in (True, False):
        slots = acting(best, env, greedy, lanes=512)
        alive, legal = slots["alive"], slots["avail_actions"]
        wanted = np.where(legal[..., 2], 2, 1)
        assert (slots["actions"][~alive] == NO_MOVE).all() and not alive.all()
        other = (slots["actions"] != wanted)[alive].mean()
        most = 0.05 * (1 - 1 / legal[alive].sum(-1)).mean()
        assert other == (0 if greedy else pytest.approx(most, rel=0.2))


def test_exploration_falls_in_a_line_and_stays():
    env = Bandit()
    settings = config(20, explore=0.5, epsilon=0.1, replay=2560, start=2560)
    updates = list(dqn.train(settings, env, roster_of(env, {0: "self"})))
    found = np.array([float(u.metrics["epsilon"][0]) for u in updates])
    expected = np.maximum(1 - 0.9 * np.arange(20) / 10, 0.1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    made = [int(u.metrics["updates"][0]) for u in updates]
    assert made == [0] * 19 + [8], "there is too little to draw until all of it is there"
    first, last = updates[0].nets, updates[-2].nets
    assert all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(last)))


def test_learning_starts_when_there_is_enough():
    env = Bandit()
    settings = config(5, start=256, passes=3)
    updates = list(dqn.train(settings, env, roster_of(env, {0: "self"})))
    assert [int(u.metrics["updates"][0]) for u in updates] == [0, 3, 3, 3, 3]
    assert all(u.metrics["grad_norm"][0] > 0 for u in updates[1:])


def test_the_target_network_moves_when_it_is_time():
    env = Clock()
    settings = config(4, start=1, passes=4, target_every=8)
    spec = loops.Spec(env, roster_of(env, {0: "self"}).seating(16), None)
    targets, nets = [], []
    for update in dqn.train(settings, env, roster_of(env, {0: "self"})):
        training = update.going[0]
        learner = training.state.learners[0]
        targets.append(np.asarray(learner.target.action.weight))
        nets.append(np.asarray(learner.net.action.weight))
    assert spec.axis is None
    assert np.array_equal(targets[1], nets[1]) and np.array_equal(targets[3], nets[3])
    assert np.array_equal(targets[1], targets[2]) and not np.array_equal(targets[0], targets[1])


def test_frozen_networks_stand_in_a_bank():
    nets = dqn.init_learner(config(1), Bandit(), 2, jr.key(0)).net
    pool = bank([dqn.Agent(jax.tree.map(lambda x, i=i: x[i], nets)) for i in range(2)])
    assert pool.policy.epsilon.shape == (2,)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"replay": 100}, "replay must be at least 160, or 16 lanes have no room for a chunk of 8"),
        ({"replay": 2**36}, "a replay of 68,719,476,736 slots takes"),
        (
            {"replay": 1000, "start": 1025},
            "replay must hold start, 1,025 slots, or nothing is ever learnt; found 1,024, of the "
            "1,000 asked for",
        ),
    ],
)
def test_a_replay_that_cannot_be_is_refused(settings, says):
    env = Bandit()
    with pytest.raises(ValueError, match=re.escape(says)):
        dqn.describe(config(9, **settings), env, roster_of(env, {0: "self"}))


def test_a_full_replay_is_enough_to_start():
    env = Bandit()
    settings = config(9, replay=1000, start=1024)
    assert "1,024 slots" in dqn.describe(settings, env, roster_of(env, {0: "self"}))
    *_, before, last = dqn.train(settings, env, roster_of(env, {0: "self"}))
    assert before.metrics["updates"] == last.metrics["updates"] == 8


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"passes": 0}, "passes must be at least 1, found 0"),
        ({"tau": 0.0}, "tau must be positive, found 0.0"),
        ({"epsilon": 1.5}, "epsilon must be 0 to 1, found 1.5"),
        ({"gru": 4, "window": 9, "burn_in": 8}, "window must be at least 10"),
        ({"gru": 4, "priority": 0.5}, "priority and gru exclude each other"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        config(1, **settings)


def test_seeds_in_one_program_are_the_trainings_of_their_numbers():
    env = Departure()
    roster = roster_of(env, {0: "self", 1: "random"})
    last = lambda **more: list(dqn.train(config(4, **more), env, roster))[-1]
    both, alone, again = last(seeds=2), last(seed=1), last(seed=1)
    for one, two in zip(jax.tree.leaves(alone.nets), jax.tree.leaves(again.nets), strict=True):
        assert np.array_equal(one, two)
    for two, one in zip(jax.tree.leaves(both.nets), jax.tree.leaves(alone.nets), strict=True):
        np.testing.assert_allclose(two[1:], one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("hosted", [False, True])
def test_a_training_that_ends_before_it_learns_is_refused_unless_it_is_lent_something(hosted):
    env, usual = Bandit(), "1,000" if hosted else "32,768"
    roster = roster_of(env, {0: "self"})
    game: Any = type("Hosted", (Bandit,), {"open": None})() if hosted else env
    short, told = dqn.Config(steps=900), f"found start {usual} and steps 900"
    with pytest.raises(ValueError, match=told):
        dqn.train(short, game, roster)
    config = loops.resolved(short, game)
    with pytest.raises(ValueError, match=told):
        dqn.describe(config, env, roster)
    assert "slots" in dqn.describe(config, env, roster, lent=True)
    dqn.train(short, env, roster, Options(lend=lambda tree: tree))
