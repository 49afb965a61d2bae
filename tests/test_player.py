"""A finished run in ordinary Python: only legal moves, and the same ones by every way of asking."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import counterplay
from counterplay import envs, runs
from counterplay.algos import ppo

make: Any = envs.make
HUNT, PD = "stag_hunt:4x4", "matrix:pd,horizon=4"


def save(folder: Any, game: str, gru: int = 0) -> None:
    """A run whose networks are large enough to have a preference everywhere."""
    config, env = ppo.Config(widths=(8,), gru=gru), make(game)
    net = jax.tree.map(lambda x: 3 * x[None], ppo.init_learner(config, env, 1, jr.key(1)).net)
    kinds = [{"name": "self", "members": 1, "seats": list(range(env.num_seats))}]
    runs.save_config(folder, "ppo", game, kinds, config)
    runs.save_policy(folder, (net,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("hunt")
    save(path, HUNT)
    return path


@pytest.fixture(scope="module")
def player(folder):
    return counterplay.load(folder)


@pytest.fixture(scope="module")
def scenes():
    """What seat 0 sees and may do in 40 games after one move: pairs of obs and legal."""
    env = make(HUNT)
    state, _ = jax.jit(jax.vmap(env.reset))(jr.split(jr.key(5), 40))
    moves = jr.randint(jr.key(6), (40, 4), 0, 5)
    _, shown = jax.jit(jax.vmap(env.step))(state, moves)
    return list(zip(np.asarray(shown.obs)[:, 0], np.asarray(shown.legal)[:, 0], strict=True))


def test_moves_are_legal_and_greedy_ones_the_likeliest(player, scenes):
    player.begin(seed=0)
    forbidden = 0
    for obs, legal in scenes:
        logits = np.asarray(
            player.policy.net(make(HUNT).encode(jnp.asarray(obs)), player.memory)[0]
        )
        forbidden += not legal[logits.argmax()]
        greedy = {player.act(obs, legal, greedy=True) for _ in range(3)}
        assert greedy == {int(np.where(legal, logits, -np.inf).argmax())}
        assert all(legal[player.act(obs, legal)] for _ in range(10))
    assert forbidden > 5, "the network would often like to do what is not allowed"


def test_moves_that_are_not_greedy_are_drawn_and_follow_the_seed(player, scenes):
    obs, legal = scenes[0]

    def drawn(seed: int) -> list[int]:
        player.begin(seed=seed)
        return [player.act(obs, legal) for _ in range(12)]

    assert drawn(3) == drawn(3) != drawn(4)
    assert len(set(drawn(3))) > 1


def test_moves_are_drawn_as_often_as_the_policy_says(folder):
    """A 1-in-1000 test: every frequency within 3.3 standard errors, of one fixed seed."""
    player = counterplay.load(folder, seed=11)
    obs = np.asarray(make(HUNT).reset(jr.key(0))[1].obs)[0]
    log_pi = player.policy.log_probs(player.policy.begin(jr.key(0), None), player._view(obs, None))
    chances = np.exp(np.asarray(log_pi))
    counts = np.bincount([player.act(obs) for _ in range(600)], minlength=7)
    error = np.sqrt(chances * (1 - chances) / 600)
    assert (abs(counts / 600 - chances) < 3.3 * error + 1e-9).all() and (chances > 0.01).sum() > 1


def test_compact_and_encoded_observations_mean_the_same(player, scenes):
    env = make(HUNT)
    memory = player.policy.begin(jr.key(0), None)
    for obs, legal in scenes[:8]:
        encoded = np.asarray(env.encode(jnp.asarray(obs)))
        assert obs.dtype == np.uint8 and encoded.shape != obs.shape
        views = [player._view(seen, legal) for seen in (obs, encoded)]
        one, other = (np.asarray(player.policy.log_probs(memory, view)) for view in views)
        assert np.array_equal(one, other) and (np.isfinite(one) == legal).all()
        moves = {player.act(seen, legal, greedy=True) for seen in (obs, encoded)}
        moves |= {player.act({"obs": obs, "legal": legal, "time": 1}, greedy=True)}
        assert len(moves) == 1


@pytest.mark.parametrize(
    "obs",
    [np.zeros(9, np.uint8), np.zeros((1, 10), np.uint8), np.zeros(10, np.int64), np.zeros(112)],
    ids=["short", "batch", "type", "encoded"],
)
def test_an_observation_of_another_shape_or_type_is_refused(obs, player):
    with pytest.raises(ValueError) as refused:
        player.act(obs)
    said = str(refused.value)
    assert said.startswith(HUNT)
    assert "shape (10,) and type uint8, or (113,) encoded" in said
    assert f"found {obs.shape} and {obs.dtype}" in said


def test_legal_is_one_truth_an_action(player, scenes):
    obs, _ = scenes[0]
    with pytest.raises(ValueError, match="no action is legal, so there is none to choose"):
        player.act(obs, np.zeros(7, bool))
    for legal in ([0, 4], np.ones((1, 7), bool)):  # numbers of actions, or a batch
        with pytest.raises(ValueError, match="true or false for each of 7 actions; found shape"):
            player.act(obs, legal)
    assert player.act(obs, [0, 0, 0, 0, 1, 0, 0]) == 4


def test_memory_lasts_for_a_match(tmp_path):
    save(tmp_path, PD, gru=4)
    player = counterplay.load(tmp_path)
    start, later = (np.array(obs, np.uint8) for obs in ([0, 0, 0], [2, 1, 3]))
    player.act(start)
    fresh = np.asarray(player.memory)
    player.act(later)
    kept = np.asarray(player.memory)
    assert fresh.shape == (4,) and not np.allclose(kept, fresh)
    player.begin(new_match=False)
    assert np.array_equal(np.asarray(player.memory), kept)
    player.begin()
    assert not np.asarray(player.memory).any()
    player.act(start)
    assert np.array_equal(np.asarray(player.memory), fresh)
