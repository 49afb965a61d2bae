"""The agent that infers exactly and replies: what it knows, what it earns, what it refuses."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from bayes_matches import Played, by_episode, played

from counterplay import envs, opponents
from counterplay.envs.corridors import LEFT, UP
from counterplay.envs.scissors import HOLDINGS, PAPER, ROCK, SCISSORS
from counterplay.evaluate.bayes import bayes
from counterplay.evaluate.bayes_corridors import FIRST_STEPS, Corridors
from counterplay.evaluate.bayes_scissors import payoffs, solve
from counterplay.evaluate.hidden_scissors import scissors_filter
from counterplay.opponents.scissors import CELLS
from counterplay.pools import find, roster_of
from counterplay.types import NO_MOVE
from counterplay.views import Last, cut_views, view_shapes

CORRIDORS = (("race", 10), ("coordination", 11))


@pytest.mark.parametrize(("game", "slots"), CORRIDORS)
def test_what_fixed_types_will_do_is_known_after_three_episodes(game, slots):
    """Not who they are: who succeeded with always_left has seen last_success do just the same."""
    one = played(game, "pool:train", 256, 9 * slots, 20)
    for fixed, step in enumerate(FIRST_STEPS):
        there = (one.episode == 3) & (one.time == 0) & (one.member == fixed)
        assert there.sum() > 10
        chance = np.exp(one.predicted[there][:, step])
        assert np.median(chance) > 0.9 and chance.max() < 0.951, "its hand slips at .05"


@pytest.mark.parametrize(("game", "slots"), CORRIDORS)
def test_types_are_right_as_often_as_the_posterior_says(game, slots):
    one = played(game, "pool:train", 256, 9 * slots, 20)
    np.testing.assert_allclose(one.types.sum(2), 1, atol=1e-5)
    np.testing.assert_allclose(one.types[:, 0], 1 / one.types.shape[2], atol=1e-6)
    assert (one.member >= 0).all()
    said = np.take_along_axis(one.types, one.member[:, :, None], 2)[:, :, 0]
    excess = (said - (one.types**2).sum(2))[:, -slots]
    assert abs(excess.mean()) < 4.5 * excess.std() / np.sqrt(len(excess))
    assert said[:, -slots].mean() > 2.5 / one.types.shape[2]


@pytest.mark.parametrize(("game", "slots"), CORRIDORS)
def test_what_a_type_would_hardly_do_speaks_against_it(game, slots):
    """To go right twice always_left has to slip twice, with a chance of .025 each."""
    one = played(game, "pool:train", 256, 9 * slots, 20)
    right = (one.episode == 2) & (one.time == 0) & (one.member == 2)
    assert right.sum() > 10 and np.median(one.types[right][:, 0]) < 0.01


@pytest.mark.parametrize(("game", "slots", "blind", "late"), [
    ("race", 10, 0.52, 0.8), ("coordination", 11, 2.35, 4.3)
])  # fmt: skip
def test_it_learns_within_a_match_what_no_fixed_choice_earns(game, slots, blind, late):
    """``blind`` is what a fixed corridor earns, measured over 400 matches of 20 episodes."""
    one = played(game, "pool:train", 256, 9 * slots, 20)
    first, then = by_episode(one, 0, 1), by_episode(one, 4, 9)
    assert then > late > 1.4 * blind and then > 1.5 * first
    assert one.unfair == 0


@pytest.mark.parametrize("game", ["race", "coordination"])
def test_predictions_and_beliefs_come_true_as_often_as_they_say(game):
    """Said of the move made, against what it expects to say, in the first slot of an episode."""
    one = played(game, "pool:train", 256, 9 * dict(CORRIDORS)[game], 20)
    start = one.time == 0
    p = np.exp(one.predicted[start])
    said = np.take_along_axis(p, one.move[start][:, None], 1)[:, 0]
    error = 4.5 * (said - (p**2).sum(1)).std() / np.sqrt(start.sum() / 9)
    assert abs((said - (p**2).sum(1)).mean()) < error + 0.02
    assert (abs(p.sum(1) - 1) < 1e-4).all()
    meant = one.goal >= 0
    assert (abs(one.belief.sum(2) - 1) < 1e-4).all()
    hit = np.take_along_axis(one.belief[meant], one.goal[meant][:, None], 1)
    assert hit.mean() > 0.9, "after the first step everybody shows where he is going"


def check_legal(one: Played) -> None:
    """A hundredth of a uniform move is on every legal one, and nothing on any other."""
    there = one.legal.any(2)
    p = np.exp(one.predicted[there])
    legal = one.legal[there]
    assert (~legal).any() and p[~legal].max() == 0
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-3)
    least = 0.01 / legal.sum(1, keepdims=True)
    assert (p >= np.where(legal, least, 0) * 0.99).all()


@pytest.mark.parametrize("game", ["race", "coordination"])
def test_nothing_is_predicted_of_illegal_moves(game):
    one = played(game, "pool:train", 256, 9 * dict(CORRIDORS)[game], 20)
    check_legal(one)
    away = ~one.legal.any(2)
    assert not away.any() or np.ptp(one.predicted[away]) == 0


@pytest.mark.parametrize("game", ["pursuit", "scissors"])
def test_strangers_out_of_sight_make_no_move_that_was_ruled_out(game):
    one = played(game, "pool:held-out", 32, 100, 20)
    there = one.legal.any(2)
    said = np.take_along_axis(one.predicted, np.maximum(one.move, 0)[:, :, None], 2)[:, :, 0]
    assert there.sum() > 3000 and np.isfinite(said[there]).all()
    assert (one.move[there] >= 0).all() and (one.member == -1).all()


def test_matrix_pays_more_than_the_best_reply_to_one_rule():
    one = played("matrix:pd", "pool:train", 256, 100, 1)
    agent: Any = bayes(envs.make("matrix:pd"))
    blind = float(agent.reply.known.committed[:, :, 0, 0, 0, 0].mean(1).max())
    assert one.reward.sum(1).mean() > blind + 12
    sure = np.take_along_axis(one.types[:, -1], one.member[:, -1:], 1)
    assert np.median(sure) > 0.9


def test_scissors_beats_a_known_collector_from_either_corner():
    for me in (0, 1):
        one = played("scissors", "paper", 16, 100, 20, me)
        assert by_episode(one, 2, 4) > 0.8
        assert (one.types[:, -1, 1] > 0.9).all()
        assert one.belief[:, -1, 1].min() > 0.9 and one.belief.shape[2] == 35
        assert (abs(np.exp(one.predicted).sum(2) - 1) < 1e-3).all()


def test_the_pursuer_guards_the_exit_that_is_always_used():
    one = played("pursuit", "east", 16, 80, 20)
    late = (one.episode >= 2) & (one.reward != 0)
    assert one.reward[late].mean() > 0.6 and late.sum() > 30
    assert (one.belief[:, -1, 1] > 0.9).all()
    # after one escape by the north, least_used makes for the east ever after: it cannot be told
    east, least_used = one.types[:, -1, 1], one.types[:, -1, 6]
    assert (east + least_used > 0.9).all() and (east > 0.9).mean() > 0.9
    p = np.exp(one.predicted)
    said = np.take_along_axis(p, np.maximum(one.move, 0)[:, :, None], 2)[:, :, 0]
    excess = (said - (p**2).sum(2)).mean(1)
    assert abs(excess.mean()) < 4.5 * excess.std() / np.sqrt(len(excess)) + 0.02
    assert said.mean() > 0.4, "two steps are often as good, and both as likely"


def test_worth_of_corridors_by_hand():
    env: Any = envs.make("race")
    shapes = view_shapes(env)
    view = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    _, shown = env.reset(jax.random.key(0))
    view = type(view)(**{**view.__dict__, "obs": env.encode(shown.obs[0]),
                         "alive": jnp.ones(3, bool)})  # fmt: skip
    # up, down, left, right, stay: the first is for the left one or the centre, the other for right
    moves = jnp.array([[0.25, 0.0, 0.75, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5, 0.0]])
    worth = Corridors(env).worth(moves, view)
    np.testing.assert_allclose(worth, [0.25, 0.75 * 0.5, 0.5], atol=1e-6)


def test_payoffs_of_collections_by_hand():
    """Shares of 1/2, 1/4 and 1/4 meet paper alone, scissors alone, and nothing, a third of each."""
    pay = payoffs()
    mixed, paper, cut = (HOLDINGS.index(x) for x in ((2, 1, 1), (0, 3, 0), (0, 0, 1)))
    assert pay[mixed, paper] == -0.5 + 0.25 and pay[mixed, cut] == 0.5 - 0.25
    assert pay[mixed, HOLDINGS.index((0, 0, 0))] == pytest.approx(0)
    np.testing.assert_allclose(pay, -pay.T, atol=1e-12)


def test_what_can_still_be_collected_is_worth_what_it_beats():
    """From the corner, empty-handed, against whoever surely collects one kind: nearly all of it."""
    env: Any = envs.make("scissors:short")
    names = ("rock:tremble=0", "paper:tremble=0", "scissors:tremble=0")
    exact = scissors_filter(env, [opponents.make(name, env) for name in names], 0, least=0.0)
    value = solve(env, exact).reshape(4, 11, CELLS, len(HOLDINGS))
    empty, far = HOLDINGS.index((0, 0, 0)), 0
    # any kind is six steps away, and one thing is as good as four
    np.testing.assert_allclose(value[:3, 0, far, empty], 1)
    # with three slots left there is nothing within reach of the corner; with all hands full of
    # what loses there is nothing to be done either
    assert abs(value[:3, 7, far, empty]).max() < 1e-6
    for aim, loses in ((ROCK, SCISSORS), (PAPER, ROCK), (SCISSORS, PAPER)):
        assert value[aim, 5, 40, loses] < -0.99, "codes 0 to 2 are four of a kind"


@pytest.mark.parametrize("game", ["stag_hunt", "snowdrift"])
def test_games_that_it_does_not_know_are_refused(game):
    env: Any = envs.make(game)
    with pytest.raises(ValueError, match=r"rule for \w+ 'bayes'"):
        opponents.make("bayes", env)
    with pytest.raises(ValueError, match=rf"bayes: expected matrix, race.*found {game}"):
        bayes(env)


def test_it_is_no_rule_and_may_share_a_seat_with_rules():
    env: Any = envs.make("coordination")
    assert "bayes" not in opponents.names("coordination")
    assert opponents.canonical("bayes", "coordination") == "bayes:episodes=1"
    assert find("bayes", env, 0).type_of == len(opponents.names("coordination"))
    roster = roster_of(env, {0: "bayes,copy_last,cycle", 1: "pool:train"})
    assert len(roster.kinds) == 3 and len(roster.tables) == 3
    with pytest.raises(ValueError, match="switch: changes between two rules, found 'bayes'"):
        opponents.make("switch:first=bayes", env)


def test_a_joint_move_after_i_had_left_tells_nothing():
    """The likelihoods that it carries are of an earlier slot."""
    env = envs.make("race:slack2")
    mind = bayes(env).mind
    _, shown = env.reset(jr.key(0))
    views = cut_views(env, shown, Last.nothing(3), jnp.int32(0), jnp.bool_(True))
    view = jax.tree.map(lambda x: x[0], views)

    @jax.jit
    def types_after(moved):
        carry = mind.begin(mind.look(mind.begin(None), view))
        return mind.types(mind.look(carry, eqx.tree_at(lambda v: v.moved, view, moved)))

    nothing, left, there = (
        types_after(jnp.array(moved))
        for moved in ([NO_MOVE] * 3, [NO_MOVE, LEFT, LEFT], [UP, LEFT, LEFT])
    )
    assert np.array_equal(nothing, left) and not np.allclose(nothing, there)
