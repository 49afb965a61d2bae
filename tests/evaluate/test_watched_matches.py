"""Whole matches, and what everybody thought in them."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from readers import Speaker, pool, reader

from counterplay import envs, opponents
from counterplay.evaluate.watching import Watched, Watching, watch
from counterplay.opponents.rule import Mixture
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.types import NO_MOVE

ENV: Any = envs.make("matrix:pd,horizon=5")
BATCH, MATCH = 16, 2


def seated(me, others, name="train") -> Roster:
    """``me`` at seat 1, the others at seat 0."""
    kinds = (Kind("me", 1, policy=bank([me])), Kind("them", 1, policy=others, first_id=1))
    return Roster(kinds, ((Chair(1, 0), Chair(0, 0)),), focal=(1,))


@pytest.fixture(scope="module")
def met() -> Watching:
    return watch(ENV, seated(reader(ENV), pool(ENV)), BATCH, MATCH, known=pool(ENV))


def test_a_row_is_one_whole_match(met):
    assert met.valid.shape == (BATCH, 10) and met.valid.all()
    assert (met.episode == np.arange(10) // 5).all() and (met.time == np.arange(10) % 5).all()
    assert (met.ended == (met.time == 4)).all() and (met.seat == 1).all()
    assert met.contact[:, 0].all() and not met.contact[:, 1:].any()
    earned = met.reward.reshape(BATCH, 2, 5, 2).cumsum(2).reshape(BATCH, 10, 2)
    np.testing.assert_allclose(met.returns, earned, rtol=1e-6)
    assert (met.opponent_id[:, :, 0] == 0).all() and (met.opponent_id[:, :, 1] >= 1).all()
    assert (met.opponent_id == met.opponent_id[:, :1]).all()
    payoffs = np.array(ENV.payoffs)
    np.testing.assert_array_equal(
        met.reward[..., 0], payoffs[met.actions[..., 0], met.actions[..., 1]]
    )


def test_the_true_rule_among_the_known_is_the_truth(met):
    number = met.opponent_id[:, 0, 1] - 1
    assert len(set(number.tolist())) > 3
    own = np.take_along_axis(met.hypotheses[:, :, 0], number[:, None, None, None], 2)[:, :, 0]
    np.testing.assert_allclose(np.exp(own), np.exp(met.truth[:, :, 0]), atol=1e-6)
    assert np.ptp(np.exp(met.hypotheses), axis=3).max() > 0.5  # rules differ
    assert met.types.shape == (BATCH, 10, 1, 6) and met.predict.shape == (BATCH, 10, 1, 2)
    assert met.belief is None and met.log_probs.shape == (BATCH, 10, 2)


def test_watching_changes_nothing_about_play(met):
    alone = watch(ENV, seated(reader(ENV), pool(ENV)), BATCH, MATCH)
    np.testing.assert_array_equal(alone.actions, met.actions)
    known = Mixture(pool(ENV).rules[:2])  # another pool, so the others are wrapped
    again = watch(ENV, seated(reader(ENV), pool(ENV)), BATCH, MATCH, known=known)
    for name in ("actions", "reward", "mode", "type_id", "opponent_id", "truth"):
        np.testing.assert_array_equal(getattr(again, name), getattr(met, name), err_msg=name)
    assert again.hypotheses is not None
    np.testing.assert_allclose(again.hypotheses, met.hypotheses[..., :2, :], atol=1e-6)


def test_a_watched_policy_tells_what_it_told_before():
    rules, key = pool(ENV), jax.random.key(0)
    one = Watched(rules, rules)
    memory = one.begin(key, None)
    assert int(one.member(memory)) == int(rules.member(rules.begin(key, None)))
    assert int(one.type_id(memory)) == int(rules.type_id(memory[0]))
    assert not hasattr(one, "predict") and not hasattr(one, "told")


def test_who_tells_nothing_is_told_of_by_nothing():
    found = watch(ENV, seated(Speaker(1), Speaker(0)), 2)
    for name in ("log_probs", "predict", "belief", "types", "truth", "hypotheses"):
        assert getattr(found, name) is None
    assert (found.actions == [1, 0]).all() and found.valid.shape == (2, 5)
    strange = bank([Speaker(0)])  # rules watch beside a network as well
    beside = watch(ENV, seated(Speaker(1), strange), 2, known=Mixture(pool(ENV).rules[:2]))
    assert beside.truth is None and beside.hypotheses is not None
    hardly = np.log(np.array([[0.975, 0.025], [0.025, 0.975]]))  # always cooperate, always defect
    np.testing.assert_allclose(
        beside.hypotheses, np.broadcast_to(hardly, (2, 5, 1, 2, 2)), rtol=1e-5
    )
    assert (found.goal == NO_MOVE).all() and (found.mode == -1).all()


def test_matches_of_unlike_lengths_are_padded():
    env = envs.make("stag_hunt:4x4")
    stays = Kind("stay", 2, policy=bank([Speaker(4), Speaker(4)]))
    hunts = Kind("hunter", 1, policy=opponents.make("nearest_hare", env), first_id=2)
    table = (Chair(1, 0), Chair(0, 0), Chair(0, 1), Chair(1, 0))
    found = watch(env, Roster((stays, hunts), (table,), focal=(1,)), 4, 2, seed=3)
    assert (found.opponent_id == [0, 1, 2, 2]).all()  # me, and then the seats after mine
    assert (found.actions[..., :2][found.alive[..., :2]] == 4).all()
    length = found.valid.sum(1)
    assert length.max() == found.valid.shape[1] == 30  # who stays is there to the end
    gone = ~found.alive[..., 1:]
    assert gone.any() and (found.actions[..., 1:][gone] == NO_MOVE).all()
    assert (found.ended.sum(1) == 2).all()


@pytest.mark.parametrize(
    ("change", "told"), [({"focal": ()}, "seat under evaluation"), ({}, "at least 1")]
)
def test_rude_input(change, told):
    roster = replace(seated(Speaker(), Speaker()), **change)
    with pytest.raises(ValueError, match=told):
        watch(ENV, roster, 1 if change else 0)
