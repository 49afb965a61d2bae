"""PPO trained for the return of whole matches: what an episode costs may pay in the next."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay.algos import ppo
from counterplay.envs.matrix import COOPERATE, DEFECT, Matrix
from counterplay.maths import lambda_returns, match_returns
from counterplay.pools import roster_of

NAN = np.nan
FLAGS = ("acts", "plays_on", "closing", "parted")
scanned = jax.jit(match_returns, static_argnames=("gamma", "lam"))


def returns(reward, value, last_value, flags: list[str], gamma=0.5, lam=0.5) -> list[float]:
    """``flags`` has a word a slot: a for acts, p plays on, c closing, d parted."""
    rows = ([letter in word for word in flags] for letter in "apcd")
    told = {name: np.array(row) for name, row in zip(FLAGS, rows, strict=True)}
    arrays = (np.array(x, np.float32) for x in (reward, value, last_value))
    reward, value, last_value = arrays
    rates = {"gamma": gamma, "lam": lam}
    told |= {"reward": reward, "value": value, "last_value": last_value}
    return scanned(**told, **rates).tolist()


def test_the_next_episode_counts_and_the_next_match_does_not():
    # slot 0 ends an episode, slot 1 a match: 2, then 1 + .5 (.5 * 6 + .5 * 2), then 4 + .5 * 8
    assert returns([1, 2, 4], [10, 6, 2], 8, ["a", "ad", "ap"]) == [3.0, 2.0, 8.0]


def test_slots_without_a_move_pass_on_what_follows_undiscounted():
    # left with slot 0, and absent in slot 1; a truncated episode closes in slot 3
    found = returns([1, NAN, 2, NAN, 4], [9, NAN, 6, 7, 2], 8, ["a", "", "ap", "c", "ap"])
    last = 4 + 0.5 * 8
    third = 2 + 0.5 * (0.5 * 2 + 0.5 * last)
    assert found == [1 + 0.5 * (0.5 * 6 + 0.5 * third), third, third, last, last]


def test_a_truncated_match_is_worth_its_closing_value_to_who_plays_on():
    flags = ["ap", "cd", "ap"]
    assert returns([1, NAN, 4], [10, 6, 2], 8, flags) == [1 + 0.5 * 6, 6.0, 8.0]
    assert returns([1, NAN, 4], [10, 6, 2], 8, ["a", "cd", "ap"])[0] == 1.0, "left with that move"
    assert returns([1, NAN, NAN, 4], [9, NAN, 6, 2], 8, ["a", "", "cd", "ap"])[0] == 1.0


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_a_match_of_one_episode_is_rated_as_an_episode(lam):
    rng = np.random.default_rng(0)
    over = rng.random(40) < 0.2  # each ends by itself or is truncated, then the match is over
    closes = np.roll(over & (rng.random(40) < 0.5), 1)
    closes[0] = False
    ends = over & ~np.roll(closes, -1) & ~closes
    reward, value = jnp.asarray(rng.normal(size=(2, 40)), jnp.float32)
    reward, on, last = jnp.where(closes, 0.0, reward), ~ends & ~closes, jnp.float32(3)
    shows = jnp.asarray(closes)
    one = lambda_returns(reward, jnp.where(on, 0.9, 0.0), value, last, shows, lam)
    rest = {"acts": ~closes, "plays_on": on, "closing": closes, "parted": ends | closes}
    rest = {name: jnp.asarray(x) for name, x in rest.items()}
    other = match_returns(reward, 0.9, value, last, lam=lam, **rest)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert ends.any() and closes.any()


def cooperates(through: bool) -> float:
    """P(cooperate) once trained in matches of two episodes of one round with a tit for tat.

    One round of it pays best to who defects, whatever the other does, by a half. But in the second
    episode it does what was done to it in the first: with probability p a memoryless player earns
    (3.5 - p / 2) + p (3.5 - p / 2) - (1 - p) p / 2 = 3.5 + 2.5 p in a match.
    """
    env = Matrix(payoffs=((3.0, -0.5), (3.5, 0.0)), horizon=1)
    roster = roster_of(env, {0: "self", 1: "tit_for_tat:tremble=0"})
    small: dict[str, Any] = {"lanes": 32, "slots": 8, "widths": (8,), "minibatches": 1}
    rest = {"match": 2, "entropy": 0.0, "learning_rate": 0.02, "bootstrap_match": through}
    *_, last = ppo.train(ppo.Config(steps=60 * 32 * 8, **small, **rest), env, roster)
    net = jax.tree.map(lambda x: x[0, 0], last.nets[0])
    start = jnp.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert (COOPERATE, DEFECT) == (0, 1)
    return float(jax.nn.softmax(net(start, jnp.zeros(0))[0])[COOPERATE])


def test_who_is_trained_for_the_match_learns_what_pays_in_its_next_episode():
    assert cooperates(through=True) > 0.9
    assert cooperates(through=False) < 0.1


def test_first_policies_are_as_far_from_even_as_asked():
    env = Matrix(horizon=2)
    even, far = (
        ppo.init_learner(ppo.Config(first_policy=scale), env, 1, jax.random.key(0)).net
        for scale in (0.01, 5.0)
    )
    np.testing.assert_allclose(far.policy.weight, 500 * even.policy.weight, rtol=1e-4)
    np.testing.assert_array_equal(far.value.weight, even.value.weight)
    with pytest.raises(ValueError, match="first_policy must be positive, found 0"):
        ppo.Config(first_policy=0)
