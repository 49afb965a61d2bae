"""A match against a pool as a game for one: what is told, how episodes follow, what is earned."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.evaluate.exact_filter import exact_filter
from counterplay.evaluate.reading import public
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.solo import BLIND, FILTER, MODES, ORACLE, Solo
from counterplay.opponents.rule import Mixture
from counterplay.pools import roster_against, roster_alone
from counterplay.types import Env
from counterplay.views import cut_views

COOPERATE, DEFECT = range(2)


def solo(text: str, *rules: str, **settings) -> Solo:
    env = envs.make(text)
    pool = Mixture(tuple(opponents.make(rule, env) for rule in rules))
    return Solo(env, pool, public(env, pool, settings.get("seat", 0)), **settings)


def played(game: Solo, actions: list[int], seed: int = 0):
    """What is shown before the first move and after each."""
    step = jax.jit(game.step)
    state, shown = jax.jit(game.reset)(jr.key(seed))
    rows = [(state, shown)]
    for action in actions:
        state, shown = step(state, jnp.array([action]))
        rows.append((state, shown))
    return rows


def told(game: Solo, shown) -> np.ndarray:
    return np.asarray(shown.obs[0])[-game.told - len(MODES) : -len(MODES)]


STEADY = ("always_cooperate:tremble=0", "always_defect:tremble=0")


def test_the_filter_is_told_the_posterior_and_the_next_move():
    game = solo("matrix:pd,horizon=4", *STEADY, match=2, modes=(FILTER,))
    rows = played(game, [COOPERATE] * 7)
    assert told(game, rows[0][1]).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5])
    cooperates = int(rows[0][0].memories[0][0]) == 0
    sure = 0.995 if cooperates else 0.005  # .99 of a certainty, and half of the uniform hundredth
    after = told(game, rows[1][1])
    assert after[:2].tolist() == pytest.approx([sure, 1 - sure])
    foreseen = sure * 0.995 + (1 - sure) * 0.005
    assert after[2:].tolist() == pytest.approx([foreseen, 1 - foreseen])
    # what was learnt passes to the next episode
    assert told(game, rows[4][1])[0] == pytest.approx(1 if cooperates else 0, abs=1e-6)


def test_the_blind_are_told_nothing_and_oracles_the_truth():
    for mode, wanted in ((BLIND, ([0, 0], [0, 0])), (ORACLE, ([1, 0], [0, 1]))):
        game = solo("matrix:pd,horizon=4", *STEADY, match=1, modes=(mode,))
        state, shown = played(game, [])[0]
        kind = int(state.memories[0][0])
        assert told(game, shown).tolist() == [*wanted[kind], *wanted[kind]]
        flags = np.asarray(shown.obs[0])[-len(MODES) :]
        assert flags.tolist() == [float(i == mode) for i in range(3)]


def test_modes_are_drawn_for_each_match():
    game = solo("matrix:pd,horizon=4", *STEADY, match=1)
    states, _ = jax.vmap(game.reset)(jr.split(jr.key(0), 600))
    assert np.bincount(states.mode, minlength=3).min() > 150


def test_a_match_is_one_episode_that_pays_what_each_slot_pays():
    game = solo("matrix:pd,horizon=3", "grim:tremble=0", match=2, modes=(BLIND,))
    moves = [COOPERATE, DEFECT, COOPERATE, COOPERATE, COOPERATE, COOPERATE]
    rows = played(game, moves)
    assert game.horizon == 6
    assert [bool(shown.terminated) for _, shown in rows] == [False] * 6 + [True]
    # grim strikes back after the defection, in the next episode of the match too
    assert [float(shown.reward[0]) for _, shown in rows[1:]] == [3, 5, 0, 0, 0, 0]
    assert [int(state.time) for state, _ in rows] == [0, 1, 2, 0, 1, 2, 0]


def test_who_has_left_waits_for_the_end_of_the_episode():
    text = "stag_hunt:4x4,size=2,players=2,stags=0,hares=2,horizon=6"
    game = solo(text, "stay:tremble=0", match=2, modes=(BLIND,))
    step = jax.jit(game.step)
    state, shown = jax.jit(game.reset)(jr.key(3))
    gone = False
    for _ in range(12):
        alone = not bool(state.shown.alive[0])
        if alone:
            gone = True
            assert np.flatnonzero(shown.legal[0]).tolist() == [0]
        action = int(np.flatnonzero(np.asarray(shown.legal[0]))[-1])  # hunts where it can
        state, shown = step(state, jnp.array([action]))
        if alone:
            assert float(shown.reward[0]) == 0
        if bool(shown.terminated):
            break
    assert gone and bool(shown.terminated)


def test_the_reader_is_the_exact_filter():
    """Against float64 over the same rules, each asked from the other's seat in a slow loop."""
    rules = ("tit_for_tat", "grim", "win_stay_lose_shift", "bully")
    game = solo("matrix:pd,horizon=6", *rules, match=3, modes=(FILTER,))
    env: Env = game.env
    rows = played(game, [int(a) for a in np.random.default_rng(1).integers(0, 2, 17)], seed=5)
    memories: list = [rule.begin(jr.key(0), None) for rule in game.pool.rules]
    table, moves = [], []
    for (state, _), (after, _) in itertools.pairwise(rows):
        first = int(state.time) == 0
        if first and table:
            memories = [r.begin(jr.key(0), m) for r, m in zip(game.pool.rules, memories)]  # noqa: B905
        views = cut_views(env, state.shown, state.last, state.time, jnp.bool_(first))
        view = jax.tree.map(lambda x: x[1], views)
        pairs = list(zip(game.pool.rules, memories, strict=True))
        table.append([np.asarray(r.log_probs(m, view)) for r, m in pairs])
        memories = [r.remember(m, view) for r, m in pairs]
        moves.append(int(after.last.moves[1]))
    legal = np.ones((1, len(moves), 2), bool)
    held = exact_filter(np.array(table)[None], legal, np.array(moves)[None], np.full(4, 0.25))
    for t, (_, shown) in enumerate(rows[: len(moves)]):
        found = told(game, shown)[:4]
        np.testing.assert_allclose(found, np.exp(held.log_before[0, t]), atol=2e-6)


def test_others_of_a_table_are_read_apart():
    game = solo("race", "always_left", "always_right", match=2, modes=(FILTER,))
    assert game.reader.shape == (2, 2, game.num_actions)
    state, _ = played(game, [])[0]
    kinds = [int(memory[0]) for memory in state.memories]
    rows = played(game, [4] * 3)
    types = np.asarray(game.reader.told(rows[-1][0].carry)[0])
    for row, kind in zip(types, kinds, strict=True):
        assert row[kind] > 0.9


def test_a_random_player_earns_what_it_earns_in_an_ordinary_rollout():
    rules = ("tit_for_tat", "grim", "always_defect")
    game = solo("matrix:pd,horizon=10", *rules, match=2)
    alone = evaluate(game, roster_alone(game, ("random",)), 2048, seed=1)[0]
    whole = roster_against(game.env, "random", (",".join(rules),))
    usual = evaluate(game.env, whole, 4096, seed=2, match=2)[0]
    error = np.hypot(float(alone.error[0]) / 2, float(usual.focal_error or 0))
    assert abs(float(alone.mean[0]) / 2 - float(usual.focal_mean or 0)) < 4 * error
