"""PPO on games whose values and best actions are known, and what a training promises."""

import logging
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Bandit, Chain, Clock, Cue, Departure, Leavers, OneLegal, Probe

from counterplay.algos import Update, ppo
from counterplay.errors import GameError
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import NO_MOVE

GAMMA = 0.5
CLOSE = 0.02
SMALL: dict[str, Any] = {"lanes": 32, "slots": 8, "widths": (16,), "minibatches": 2, "epochs": 4}


def config(iterations: int, **settings: Any) -> ppo.Config:
    usual: dict[str, Any] = {"gamma": GAMMA, "entropy": 0.0, "learning_rate": 0.01}
    usual |= SMALL | settings
    return ppo.Config(steps=iterations * usual["lanes"] * usual["slots"], **usual)


def trained(env: Probe, settings: ppo.Config, who: str = "self") -> Update:
    roster = roster_of(env, dict.fromkeys(range(env.num_seats), who))
    *_, last = ppo.train(settings, env, roster)
    return last


def network(update: Update, member: int = 0) -> Any:
    return jax.tree.map(lambda x: x[0, member], update.nets[0])


def value(net: Any, index: int) -> float:
    """Of the observation that is one-hot there."""
    obs = jnp.zeros(net.trunk.layers[0].weight.shape[0]).at[index].set(1.0)
    return float(net(obs, jnp.zeros(0))[1])


@pytest.mark.parametrize(
    ("pays", "values"),
    [
        ((1.0,), [1.0]),
        ((0.0, 1.0), [GAMMA, 1.0]),
        ((1.0, 1.0, 1.0), [1 + GAMMA + GAMMA**2, 1 + GAMMA, 1.0]),
    ],
    ids=["one step", "reward later", "own clock"],
)
def test_a_reward_is_worth_gamma_a_slot_and_nothing_after_the_end_counts(pays, values):
    net = network(trained(Clock(pays), config(160)))
    found = [value(net, t) for t in range(len(pays))]
    assert found == [pytest.approx(v, abs=CLOSE) for v in values]


def test_an_interruption_leaves_the_value_of_playing_on():
    """Closed form of the two-state chain: V(s) = (r(s) + gamma r(1 - s)) / (1 - gamma^2)."""
    net = network(trained(Chain((3.0, 1.0)), config(80)))
    expected = [(3 + GAMMA) / (1 - GAMMA**2), (1 + 3 * GAMMA) / (1 - GAMMA**2)]
    assert [value(net, s) for s in (0, 1)] == [pytest.approx(v, abs=CLOSE) for v in expected]


def test_an_end_leaves_nothing():
    """The same chain, over after four slots: time is unseen, so V(s) is a mean over its slots."""
    tail = lambda s, left: sum(GAMMA**k * (3.0, 1.0)[(s + k) % 2] for k in range(left))
    net = network(trained(Chain((3.0, 1.0), over=True), config(120, lam=1.0)))
    expected = [np.mean([tail(s, left) for left in (1, 2, 3, 4)]) for s in (0, 1)]
    # start states are drawn, so the two states are not seen exactly as often in every slot
    assert [value(net, s) for s in (0, 1)] == [pytest.approx(v, abs=0.1) for v in expected]


def test_the_departure_of_another_does_not_end_my_game():
    update = trained(Departure(), config(80), "own")
    mine = [value(network(update, 0), t) for t in range(3)]
    expected = [1 + GAMMA + GAMMA**2, 1 + GAMMA, 1.0]
    assert mine == [pytest.approx(v, abs=CLOSE) for v in expected]
    assert value(network(update, 1), 0) == pytest.approx(5.0, abs=CLOSE), "and it gets no more"


def acting(net: Any, env: Probe, greedy: bool, lanes: int = 64) -> dict[str, np.ndarray]:
    """The stream of one network at every seat."""
    agent = ppo.Agent(jax.tree.map(lambda x: x[None], net))
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
def test_only_legal_actions_are_chosen_whatever_the_logits(greedy, size):
    env = OneLegal()
    net = ppo.init_learner(config(1), env, 1, jr.key(0)).net
    net = jax.tree.map(lambda x: x[0], net)
    tremendous = jnp.array([size, -size, size / 2, 0.0])
    net = jax.tree_util.tree_map_with_path(
        lambda path, x: tremendous if "policy" in str(path) and x.shape == (4,) else x, net
    )
    assert net.policy.bias is tremendous
    slots = acting(net, env, greedy)
    assert slots["alive"].all()
    legal = slots["avail_actions"].argmax(-1)
    assert (slots["avail_actions"].sum(-1) == 1).all() and len(np.unique(legal)) == 4
    assert (slots["actions"] == legal).all()


def test_with_one_legal_action_there_is_nothing_to_learn_but_the_value():
    update = trained(OneLegal(), config(20, entropy=0.1))
    for name in ("entropy", "policy_loss", "approx_kl", "clipped"):
        assert abs(update.metrics[name]).max() < 1e-6, name
    assert update.metrics["stuck"].sum() == 0


@pytest.mark.parametrize("greedy", [False, True])
def test_forbidden_actions_are_never_chosen_and_the_absent_choose_nothing(greedy):
    env = Leavers()
    net = jax.tree.map(lambda x: 100 * x[0], ppo.init_learner(config(1), env, 1, jr.key(0)).net)
    slots = acting(net, env, greedy)
    alive, taken = slots["alive"], slots["actions"].clip(0)[..., None]
    allowed = np.take_along_axis(slots["avail_actions"], taken, axis=-1)[..., 0]
    assert allowed[alive].all() and not slots["avail_actions"][alive].all()
    assert (slots["actions"][~alive] == NO_MOVE).all() and not alive.all()


def test_a_single_lane_is_enough_to_find_the_best_action():
    net = network(trained(Bandit(best=2), config(60, lanes=1, slots=16)))
    logits = net(jnp.ones(1), jnp.zeros(0))[0]
    assert jax.nn.softmax(logits)[2] > 0.95


def test_memory_carries_a_cue_to_where_it_pays():
    settings = config(80, gru=8, slots=6, minibatches=1, learning_rate=0.02, entropy=0.01)
    update = trained(Cue(), settings)
    slots = acting(network(update), Cue(), greedy=True)
    ended = slots["terminated"]
    assert slots["returns"][ended].mean() > 0.95
    cues = slots["obs"][:, ::3, 0, 0]
    assert 0.3 < cues.mean() < 0.7, "both cues were shown"


def test_a_player_without_a_legal_action_stops_the_training():
    env = OneLegal(stuck=2)
    with pytest.raises(GameError, match=r"no legal action.*game"):
        for _ in ppo.train(config(5), env, roster_of(env, {0: "self"})):
            pass


@cache
def seeds(seed: int, number: int, again: bool = False) -> list[Update]:
    """Three iterations, every leaf on the host."""
    env = Departure()
    roster = roster_of(env, {0: "self", 1: "random"})
    settings = config(3, seed=seed, seeds=number, entropy=0.01)
    training = ppo.train(settings, env, roster)
    return [jax.tree.map(np.asarray, update._replace(going=None)) for update in training]


def leaves(update: Update) -> list[np.ndarray]:
    return jax.tree.leaves((update.nets, update.metrics))


def test_the_same_seed_gives_the_same_training_to_the_last_bit():
    for once, twice in zip(seeds(1, 1), seeds(1, 1, again=True), strict=True):
        assert once is not twice
        assert all(np.array_equal(a, b) for a, b in zip(leaves(once), leaves(twice), strict=True))


def test_seeds_in_one_program_are_the_trainings_of_their_numbers():
    for both, alone in zip(seeds(0, 2), seeds(1, 1), strict=True):
        assert both.steps == alone.steps
        for two, one in zip(leaves(both), leaves(alone), strict=True):
            assert two.shape == (2, *one.shape[1:])
            assert two.dtype == one.dtype
            if both is seeds(0, 2)[0]:
                np.testing.assert_allclose(two[1:], one, rtol=1e-3, atol=1e-4)
    first, second = (jax.tree.map(lambda x, i=i: x[i], seeds(0, 2)[-1].nets) for i in (0, 1))
    assert (first[0].policy.weight != second[0].policy.weight).all(), "seeds differ"


def test_steps_are_counted_and_learning_rates_end_at_nothing():
    updates = seeds(1, 1)
    assert [update.steps for update in updates] == [256, 512, 768]
    assert updates[-1].metrics["slots"].tolist() == [256]
    assert updates[0].compile_seconds > 0


class Pair(Bandit):
    """Two bandits side by side."""

    num_seats = 2

    def shows(self, state):
        return super().shows(state) | {"obs": jnp.ones((2, 1))}


def test_nothing_is_compiled_after_warming_up(caplog):
    """Also not when the members of a bank are dealt anew."""
    env = Pair()
    nets = ppo.init_learner(config(1), env, 2, jr.key(0)).net
    pool = bank([ppo.Agent(jax.tree.map(lambda x, i=i: x[i], nets)) for i in range(2)])
    kinds = (Kind("self", learner=True), Kind("pool", members=2, policy=pool))
    tables = tuple((Chair(0, 0), Chair(1, member)) for member in range(2))
    training = ppo.train(config(7, redeal=2), env, Roster(kinds, tables))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        warm = [next(training) for _ in range(4)]
        assert "ompil" in caplog.text, "compilation is noticed"
        caplog.clear()
        more = list(training)
    assert len(warm) + len(more) == 7
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]
