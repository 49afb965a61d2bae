"""Matches of the two games of hidden information as ``Solo`` games, their filters as readers."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.evaluate.hidden_scissors import scissors_filter
from counterplay.evaluate.reading_hidden import pursuit, scissors
from counterplay.evaluate.references import game_of
from counterplay.evaluate.scenarios import scenario_of
from counterplay.evaluate.solo import BLIND, FILTER, ORACLE, Solo
from counterplay.opponents.rule import Mixture
from counterplay.types import View

LANES, SLOTS = 64, 90


@cache
def played(name: str) -> Any:
    """Both what a filter and what an oracle is told, [T, L, O], the states and who played."""
    solo = game_of(scenario_of(name), "train", (), None)

    def one(key):
        start_key, key = jr.split(key)
        match, shown = solo.reset(start_key)

        def slot(carried, key):
            match, shown = carried
            legal = jnp.where(shown.legal[0], 0.0, -jnp.inf)
            move = jr.categorical(key, jnp.where(jnp.arange(legal.shape[0]) == 4, legal - 2, legal))
            after = solo.step(match, move[None])
            seen = shown.obs[0][-2 * solo.told :], match.episode, match.memories[0][0]
            return after, seen

        return jax.lax.scan(slot, (match, shown), jr.split(key, SLOTS))[1]

    whole = jax.jit(jax.vmap(one, out_axes=1))(jr.split(jr.key(3), LANES))
    told, episode, member = (np.asarray(x) for x in whole)
    return solo, told, episode, member


@pytest.mark.parametrize("name", ["pursuit", "scissors"])
def test_told_is_a_posterior_and_the_oracle_is_told_one_thing(name):
    solo, told, episode, member = played(name)
    known, true = np.split(told, 2, axis=2)
    types, goals = solo.types, solo.reader.shape[2]
    assert goals == 4 and known.shape[2] == types + goals
    for part in (known[..., :types], known[..., types:]):
        np.testing.assert_allclose(part.sum(2), 1, atol=1e-4)
        assert (part >= 0).all()
    for part in (true[..., :types], true[..., types:]):
        assert set(np.unique(part)) == {0.0, 1.0} and (part.sum(2) == 1).all()
    assert (true[..., :types].argmax(2) == member).all()
    assert episode.max() >= 3
    np.testing.assert_allclose(known[0, :, :types], 1 / types, atol=1e-6)


@pytest.mark.parametrize("name", ["pursuit", "scissors"])
def test_what_is_told_comes_true_as_often_as_it_says(name):
    """The episode before is taken in: the goal is known better than by chance from the start."""
    solo, told, episode, _ = played(name)
    known, true = np.split(told, 2, axis=2)
    cut = solo.types
    for part in (slice(None, cut), slice(cut, None)):
        said = (known[..., part] * true[..., part]).sum(2)
        expected = (known[..., part] ** 2).sum(2)
        error = (said - expected).mean(0).std() / np.sqrt(LANES)
        assert abs((said - expected).mean()) < 4.5 * error
    fresh = (np.diff(episode, axis=0, prepend=-1) > 0) & (episode == 3)
    aims = (known[fresh][:, cut:] * true[fresh][:, cut:]).sum(1)
    assert len(aims) > 20 and aims.mean() > 0.45


def test_the_filter_is_shown_its_own_seat_alone():
    solo: Any = game_of(scenario_of("pursuit"), "train", (), None)
    match, _ = solo.reset(jr.key(0))
    views = solo._views(match)
    spoilt = jax.tree.map(lambda x: x.at[1].set(jnp.zeros_like(x[1])), views)
    one, other = (
        solo.reader.look(solo.reader.moved(match.carry, jnp.array([0, 1])), v)
        for v in (views, spoilt)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(one.view, View)


def test_a_mode_that_sees_nothing_is_told_nothing():
    solo = game_of(scenario_of("scissors"), "train", (BLIND,), None)
    match, shown = solo.reset(jr.key(0))
    told = np.asarray(shown.obs[0][-solo.told - 3 :])
    assert told.tolist() == [0.0] * solo.told + [1.0, 0.0, 0.0]
    assert isinstance(solo, Solo) and {FILTER, ORACLE} == {1, 2} and match.episode == 0


def test_the_other_seat_of_pursuit_is_refused():
    env: Any = envs.make("pursuit")
    rules = Mixture((opponents.make("north", env),))
    with pytest.raises(ValueError, match="pursuer's seat 0, found seat 1"):
        pursuit(env, rules, 1)


def test_the_other_seat_of_scissors_reads_as_well():
    env: Any = envs.make("scissors")
    reader = scissors(env, Mixture((opponents.make("rock", env),)), 1)
    types, goals = reader.told(reader.begin(None))
    np.testing.assert_allclose(types, [[1.0]])
    np.testing.assert_allclose(goals, [[1.0, 0.0, 0.0, 0.0]], atol=1e-20)


def test_likelihoods_hold_a_hundredth_of_a_uniform_move():
    """In the middle of the board all five moves are legal: the least is a fifth of slipping."""
    env: Any = envs.make("pursuit")
    rules = Mixture((opponents.make("north", env),))
    middle = pursuit(env, rules, 0).exact.chances[0, :, env.cells // 2]
    least = 0.2 * (1 - (1 - rules.rules[0].tremble) * 0.99)
    assert float(middle.min()) == pytest.approx(least, abs=1e-6)
    collectors: Any = envs.make("scissors")
    collects = Mixture((opponents.make("rock", collectors),))
    held, bare = (
        scissors_filter(collectors, collects.rules, 0, mix=mix).steps[0] for mix in (0.01, 0.0)
    )
    read = scissors(collectors, collects, 0).exact.steps[0]
    assert read.shape == held.shape
    np.testing.assert_array_equal(read, held)
    assert held.shape != bare.shape or float(abs(held - bare).max()) > 1e-4
