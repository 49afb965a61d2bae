"""Planning with functions whose right answers are worked by hand."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.maths import bayes_update
from counterplay.planning import Arrival, Joint
from counterplay.planning.latent import ignoring, likeliest, plan, staying
from counterplay.types import NO_MOVE

KEY = jr.key(0)
EVEN = jnp.log(jnp.full(2, 0.5))
BOTH = jnp.array([True, True])


def matrix(pays):
    """One round of a game in which row is my move, column the other's: then it is over."""
    pays = jnp.asarray(pays, jnp.float32)
    legal = jnp.ones(pays.shape[0], bool)

    def step(key, e, action, others):
        earned = jnp.where(others[0] == NO_MOVE, -7.0, pays[action, others[0]])
        return Arrival(e, earned, jnp.float32(0), legal, jnp.ones(1, bool))

    return step


def frozen(belief, e, others):
    return belief


def nothing(e, belief):
    return jnp.float32(0)


def planned(step, chances, *, alive=BOTH, legal=None, prior=None, **how):
    moves = 2 if legal is None else len(legal)
    legal = jnp.ones(moves, bool) if legal is None else legal
    prior = jnp.log(jnp.full(moves, 1 / moves)) if prior is None else prior
    actions = chances if callable(chances) else lambda e, b: chances
    how = {"update": frozen, "value": nothing, "belief": jnp.float32(0)} | how
    e, key = how.pop("e", jnp.float32(0)), how.pop("key", KEY)
    functions = step, actions, how.pop("update"), how.pop("value")
    return plan(*functions, e, how.pop("belief"), prior, legal, alive, key, **how)


def test_a_seventy_thirty_other_is_planned_for_as_both():
    pays = [[10.0, -20.0], [1.0, 2.0]]
    mixed = jnp.array([[0.7, 0.3]])
    found = planned(matrix(pays), mixed)
    np.testing.assert_allclose(found.q, [1.0, 1.3], rtol=1e-6)
    assert jnp.argmax(found.weights) == 1
    surely = planned(
        matrix(pays), likeliest(lambda e, b: mixed)
    )  # who plans for his likeliest move alone falls for it
    np.testing.assert_allclose(surely.q, [10.0, 1.0])


def test_who_ignores_the_other_plans_for_all_it_may_do_alike():
    """It does the first nine times in ten, and never the third, which would be the worst."""
    step, expected = matrix([[10.0, 0.0, -30.0], [6.0, 6.0, 0.0]]), jnp.array([[0.9, 0.1, 0.0]])
    believed = planned(step, expected)
    np.testing.assert_allclose(believed.q, [9.0, 6.0], rtol=1e-6)
    actions, update = ignoring(lambda e, b: expected, lambda *_: pytest.fail("it learns nothing"))
    found = planned(step, actions)
    np.testing.assert_allclose(found.q, [5.0, 6.0], rtol=1e-6)
    joint = Joint(jnp.array([1.0, 0.0]), jnp.array([[[0.9, 0.1, 0.0]], [[0.0, 0.0, 1.0]]]))
    actions, _ = ignoring(lambda e, b: joint, frozen)
    np.testing.assert_allclose(actions(0, 0), [[0.5, 0.5, 0.0]])
    nobody, _ = ignoring(lambda e, b: jnp.zeros((2, 3)), frozen)
    np.testing.assert_array_equal(nobody(0, 0), np.zeros((2, 3)))
    assert update("what was held", 0, 0) == "what was held"


def test_weights_are_prior_times_exponential_of_q():
    prior = jnp.log(jnp.array([0.9, 0.1]))
    found = planned(matrix([[0.0], [0.5]]), jnp.ones((1, 1)), prior=prior, temperature=0.25)
    odds = 0.9 / (0.1 * np.exp(2.0))
    np.testing.assert_allclose(found.weights[0] / found.weights[1], odds, rtol=1e-5)
    even = planned(matrix([[0.0], [0.5]]), jnp.ones((1, 1)), prior=prior, temperature=jnp.inf)
    np.testing.assert_allclose(even.weights, [0.9, 0.1], rtol=1e-6)
    best = planned(matrix([[0.0], [0.5]]), jnp.ones((1, 1)), prior=prior, temperature=0)
    np.testing.assert_array_equal(best.weights, [0.0, 1.0])


def test_of_equal_moves_the_prior_decides_who_is_best():
    prior = jnp.log(jnp.array([0.2, 0.8]))
    found = planned(matrix([[1.0], [1.0]]), jnp.ones((1, 1)), prior=prior, temperature=0)
    np.testing.assert_array_equal(found.weights, [0.0, 1.0])


@pytest.mark.parametrize("temperature", [0, 0.25])
def test_illegal_moves_are_never_chosen(temperature):
    legal = jnp.array([False, True])
    prior = jnp.where(legal, 0.0, -jnp.inf)
    how = {"legal": legal, "prior": prior, "temperature": temperature}
    found = planned(matrix([[100.0], [1.0]]), jnp.ones((1, 1)), **how)
    np.testing.assert_array_equal(found.weights, [0.0, 1.0])
    none = planned(matrix([[1.0], [1.0]]), jnp.ones((1, 1)), **how | {"legal": ~BOTH})
    np.testing.assert_array_equal(none.weights, [0.0, 0.0])


def test_an_absent_other_makes_no_move_whatever_is_expected_of_it():
    here = jnp.array([True, False])
    for samples in (0, 3):
        found = planned(matrix([[5.0], [3.0]]), jnp.ones((1, 1)), alive=here, samples=samples)
        np.testing.assert_allclose(found.q, [-7.0, -7.0])


def count_game(key, e, action, others):
    """Ten where at least two of the others hunt, which is move 1, with me; one for staying."""
    pays = jnp.where(action == 1, 10.0 * ((others == 1).sum() >= 2), 1.0)
    return Arrival(e, pays, jnp.float32(0), BOTH, jnp.ones(3, bool))


THREE = jnp.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
TWO_HUNT = 0.5 * 0.8 * 0.9 + 0.5 * 0.2 * 0.1 + 0.5 * 0.8 * 0.1 + 0.5 * 0.8 * 0.1


def test_several_others_are_summed_as_if_they_acted_apart():
    found = planned(count_game, THREE, alive=jnp.ones(4, bool))
    np.testing.assert_allclose(found.q, [1.0, 10 * TWO_HUNT], rtol=1e-5)


def test_under_joint_hypotheses_they_act_together():
    joint = Joint(jnp.array([0.25, 0.75]), jnp.stack([jnp.eye(2)[jnp.ones(3, int)],
                                                       jnp.eye(2)[jnp.zeros(3, int)]]))  # fmt: skip
    found = planned(count_game, lambda e, b: joint, alive=jnp.ones(4, bool))
    np.testing.assert_allclose(found.q, [1.0, 2.5], rtol=1e-6)
    many = planned(count_game, lambda e, b: joint, alive=jnp.ones(4, bool), samples=4000)
    np.testing.assert_allclose(many.q, [1.0, 2.5], atol=0.25)


def test_draws_agree_with_the_exact_sum_and_are_shared_by_my_moves():
    draw = jax.jit(
        lambda k: planned(count_game, THREE, alive=jnp.ones(4, bool), samples=8, key=k).q
    )
    q = jax.vmap(draw)(jr.split(KEY, 4000))
    error = np.std(np.asarray(q[:, 1])) / len(q) ** 0.5
    assert abs(q[:, 1].mean() - 10 * TWO_HUNT) < 4 * error
    alike = lambda key, e, a, others: count_game(key, e, 1, others)
    same = planned(alike, THREE, alive=jnp.ones(4, bool), samples=2)
    assert same.q[0] == same.q[1]


def test_too_many_joint_moves_are_refused():
    with pytest.raises(ValueError, match="ask for samples"):
        planned(count_game, jnp.full((13, 2), 0.5), alive=jnp.ones(14, bool))
    with pytest.raises(ValueError, match="depth must be at least 1"):
        planned(count_game, THREE, alive=jnp.ones(4, bool), depth=0)


# The other is of type 0 or 1, each as likely, and shows it by its move, wherever it is watched.
# Moves 0 and 1 are bets on its move, +1 or -1, and end the game; move 2 costs .3 and waits.
SHOWS = jnp.array([[1.0, 0.0], [0.0, 1.0]])


def of_type(log_b, likelihood):
    return (jnp.exp(log_b)[:, None] * likelihood).sum(0)[None]


def reveal(depth, learns):
    def actions(e, log_b):
        return of_type(log_b, SHOWS)

    def update(log_b, e, others):
        return bayes_update(log_b, jnp.log(SHOWS[:, others[0]] + 1e-6)) if learns else log_b

    def step(key, e, action, others):
        asks = action == 2
        right = jnp.where(action == others[0], 1.0, -1.0)
        reward = jnp.where(asks, -0.3, right)
        return Arrival(e, reward, asks.astype(jnp.float32), jnp.array([True, True, False]),
                       jnp.ones(1, bool))  # fmt: skip

    legal = jnp.ones(3, bool)
    how = {"legal": legal, "belief": jnp.log(jnp.full(2, 0.5)), "depth": depth, "gamma": 1.0}
    return planned(step, actions, update=update, temperature=0, **how)


def test_a_costly_move_that_reveals_the_type_is_made_by_who_learns_from_it_and_plans_on():
    taken = reveal(depth=2, learns=True)
    np.testing.assert_allclose(taken.q, [0.0, 0.0, 0.7], atol=1e-4)
    assert taken.weights[2] == 1
    for depth, learns in ((1, True), (2, False)):
        np.testing.assert_allclose(reveal(depth, learns).q, [0.0, 0.0, -0.3], atol=1e-4)


def test_nobody_sees_the_dice():
    """At the second node a bet is made before the coin that decides it: worth nothing, however
    many draws are made there; who took a maximum of each draw would see .5 in it."""

    def step(key, e, action, others):
        coin = jr.bernoulli(key).astype(jnp.int32)
        first = e == 0
        pays = jnp.where(first, 0.0, jnp.where(action == coin, 1.0, -1.0))
        return Arrival(e + 1, pays, first.astype(jnp.float32), BOTH, jnp.ones(1, bool))

    how = {"e": jnp.int32(0), "depth": 2, "samples": 64, "gamma": 1.0}
    play = jax.jit(lambda k: planned(step, jnp.full((1, 2), 0.5), key=k, **how).q.mean())
    q = jax.vmap(play)(jr.split(KEY, 200))
    assert abs(q.mean()) < 0.12  # the larger of two means of 64 coins lies .1 above zero


def test_departure_ends_what_can_be_earned_and_imagined_moves_obey_the_rules():
    """After move 0 I am gone, after move 1 only the worse of two moves is legal."""

    def step(key, e, action, others):
        first = e == 0
        pays = jnp.where(first, 0.0, jnp.where(action == 0, 50.0, 2.0))
        alive = (first & (action == 1)).astype(jnp.float32)
        return Arrival(e + 1, pays, alive, jnp.array([False, True]), jnp.ones(1, bool))

    how = {"e": jnp.int32(0), "gamma": 0.5, "value": lambda e, b: jnp.float32(jnp.nan)}
    found = planned(step, jnp.ones((1, 1)), **how | {"depth": 2, "value": nothing})
    np.testing.assert_allclose(found.q, [0.0, 1.0])
    gone = lambda *x: step(*x)._replace(alive=jnp.float32(0))
    np.testing.assert_allclose(planned(gone, jnp.ones((1, 1)), **how).q, [0.0, 0.0])


@pytest.mark.parametrize("unknown", [0.0, 9.0, jnp.nan])
def test_the_plain_sum_over_values_misses_what_is_earned_by_leaving(unknown):
    """A stag pays 5 and its hunter leaves; walking on is worth 1. To the letter the stag is worth
    nothing, whatever a value says of a place that was left and of which it has learnt nothing;
    with the value of arriving, which knows of such places alone, it is worth 5."""

    def step(key, e, action, others):
        caught = (action == 1) & (others[0] == 1)
        pays, stays = 5.0 * caught, (~caught).astype(jnp.float32)
        return Arrival(caught.astype(jnp.float32), pays, stays, BOTH, jnp.ones(1, bool))

    hunts = jnp.array([[0.1, 0.9]])
    point = likeliest(lambda e, b: hunts)
    how = {"gamma": 1.0, "reward_weight": 0.0, "temperature": 0}
    plain = planned(step, point, value=lambda e, b: jnp.where(e > 0, unknown, 1.0), **how)
    np.testing.assert_array_equal(plain.q, [1.0, 0.0])
    np.testing.assert_array_equal(plain.weights, [1.0, 0.0])
    arriving = planned(staying(step), point, value=lambda e, b: jnp.where(e > 0, 5.0, 1.0), **how)
    np.testing.assert_array_equal(arriving.weights, [0.0, 1.0])
    full = planned(step, hunts, value=lambda e, b: jnp.where(e > 0, 0.0, 1.0), gamma=1.0)
    np.testing.assert_allclose(full.q, [1.0, 0.9 * 5 + 0.1], rtol=1e-6)
