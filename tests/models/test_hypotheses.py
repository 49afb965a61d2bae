"""Types inferred together: by hand, by enumeration, and against the filter of each for itself."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_beliefs import LIVELY, PLAIN, reading, step, view

from counterplay.models import beliefs
from counterplay.models.beliefs import Held, over_goals, over_types, predicted, together
from counterplay.models.hypotheses import MOST, assignments, marginals
from counterplay.types import NO_MOVE

near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
ONE_GOAL = np.ones((2, 2, 1))
ONES = [[[0.8], [0.3]], [[0.6], [0.2]]]
"""Chances of move 1, of two others under two types."""
CONTACT = view([NO_MOVE] * 3, first=True)


def begun(prior, goals: int = 1) -> Held:
    logits = jnp.log(jnp.asarray(prior, jnp.float32))
    return beliefs.held_at_first((2, 2, goals, 2), logits)


def alike(prior=(0.4, 0.1, 0.1, 0.4)) -> Held:
    """Two others who are mostly of one type, after their first slot."""
    return step(begun(prior), CONTACT, reading(ONES, ONE_GOAL), PLAIN)


def test_two_who_are_mostly_of_one_type_by_hand():
    held = alike()
    near(over_types(held), [[0.5, 0.5], [0.5, 0.5]])
    held = step(held, view([0, 1, 1]), reading(ONES, ONE_GOAL), PLAIN)
    # .4 * .8 * .6, .1 * .8 * .2, .1 * .3 * .6, .4 * .3 * .2 over .25
    near(jnp.exp(held.joint), [0.768, 0.064, 0.072, 0.096])
    near(over_types(held), [[0.832, 0.168], [0.84, 0.16]])
    near(predicted(held)[:, 1], [0.832 * 0.8 + 0.168 * 0.3, 0.84 * 0.6 + 0.16 * 0.2])


def test_the_moves_of_one_tell_the_type_of_the_other():
    """Only the first is seen; the second, of whom nothing was, is as much of its type."""
    held = step(alike(), view([0, 1, NO_MOVE]), reading(ONES, ONE_GOAL), PLAIN)
    first = 0.8 / 1.1  # .5 * .8 over .5 * .8 + .5 * .3
    near(over_types(held)[0], [first, 1 - first])
    near(over_types(held)[1, 0], 0.8 * first + 0.2 * (1 - first))
    sure = alike((0.5, 0.0, 0.0, 0.5))
    for _ in range(3):
        sure = step(sure, view([0, 1, NO_MOVE]), reading(ONES, ONE_GOAL), PLAIN)
    near(over_types(sure), [[0.8**3 / (0.8**3 + 0.3**3), 0.3**3 / (0.8**3 + 0.3**3)]] * 2)
    apart = step(beliefs.held_at_first((2, 2, 1, 2)), CONTACT, reading(ONES, ONE_GOAL), PLAIN)
    apart = step(apart, view([0, 1, NO_MOVE]), reading(ONES, ONE_GOAL), PLAIN)
    near(over_types(apart)[1], [0.5, 0.5])


def by_enumeration(prior, goals, likely, moves):
    """Posterior over hypotheses, and over the goal of each, in float64: over all types and goals of
    two others at once, who keep both. ``likely`` are chances [T, M, Y, G] of move 1."""
    weight = np.zeros((2, 2, 2, 2))
    for k0, k1, g0, g1 in product(range(2), repeat=4):
        w = prior[2 * k0 + k1] * goals[0, k0, g0] * goals[1, k1, g1]
        for ones, made in zip(likely, moves, strict=True):
            for j, (k, g) in enumerate(((k0, g0), (k1, g1))):
                if made[j] != NO_MOVE:
                    w *= ones[j, k, g] if made[j] == 1 else 1 - ones[j, k, g]
        weight[k0, k1, g0, g1] = w
    weight = weight / weight.sum()
    of_goals = weight.sum((0, 1, 3)), weight.sum((0, 1, 2))
    return weight.sum((2, 3)).ravel(), np.stack(of_goals)


@pytest.mark.parametrize("prior", [(0.5, 0.0, 0.0, 0.5), (0.7, 0.1, 0.15, 0.05)])
def test_types_and_goals_are_those_of_enumeration(prior):
    lots = np.random.default_rng(0)
    goals = lots.dirichlet([2, 2], size=(2, 2))
    likely = lots.uniform(0.1, 0.9, (7, 2, 2, 2))
    moves = lots.integers(-1, 2, (7, 2))
    held = step(begun(prior, 2), CONTACT, reading(likely[0], goals), PLAIN)
    for t in range(7):
        after = likely[min(t + 1, 6)]
        held = step(held, view([0, *moves[t]]), reading(after, goals), PLAIN)
        joint, of_goals = by_enumeration(prior, goals, likely[: t + 1], moves[: t + 1])
        near(jnp.exp(held.joint), joint, rtol=0, atol=1e-5)
        cube = joint.reshape(2, 2)
        near(over_types(held), np.stack([cube.sum(1), cube.sum(0)]), rtol=0, atol=1e-5)
        near(over_goals(held), of_goals, rtol=0, atol=1e-5)
    assert abs(joint - prior).max() > 0.1, "something was learnt"


def test_with_an_even_prior_it_is_the_filter_of_each_for_itself():
    """Whatever is seen, who comes and goes, and whether types and goals drift: three others."""
    lots, sizes = np.random.default_rng(1), (3, 3, 2, 2)
    apart = beliefs.held_at_first(sizes)
    joint = beliefs.held_at_first(sizes, jnp.zeros(27))
    before = np.zeros(3, bool)
    for t in range(40):
        there = lots.random(3) < 0.8
        moved = np.where(before & (lots.random(3) < 0.9), lots.integers(0, 2, 3), NO_MOVE)
        event = np.where(before & (lots.random(3) < 0.15), lots.integers(0, 2, 3), NO_MOVE)
        mine = NO_MOVE if lots.random() < 0.1 else 0
        seen = view([mine, *moved], [-1, *event], [True, *there], first=t % 9 == 0)
        said = reading(lots.uniform(0.1, 0.9, (3, 3, 2)), lots.dirichlet([2, 2], size=(3, 3)))
        apart, joint = (step(held, seen, said, LIVELY) for held in (apart, joint))
        near(jnp.exp(joint.log_belief), jnp.exp(apart.log_belief), atol=1e-5)
        near(predicted(joint), predicted(apart), atol=1e-5)
        near(joint.habit, apart.habit)
        before = there
    assert (over_types(joint).max(1) > 0.4).any()


def test_whoever_is_absent_is_frozen_and_adds_nothing():
    held = step(alike(), view([0, 1, 1]), reading(ONES, ONE_GOAL), PLAIN)
    without = [True, False, True]
    away = step(held, view([0, NO_MOVE, NO_MOVE], alive=without), reading(ONES, ONE_GOAL), PLAIN)
    near(away.joint, held.joint)
    assert np.array_equal(away.log_belief[0], held.log_belief[0])
    away = step(away, view([0, NO_MOVE, 0], alive=without), reading(ONES, ONE_GOAL), PLAIN)
    assert np.array_equal(away.log_belief[0], held.log_belief[0]), "to the last bit"
    joint = np.array([0.768, 0.064, 0.072, 0.096]) * [0.4, 0.8, 0.4, 0.8]
    joint /= joint.sum()
    near(jnp.exp(away.joint), joint)
    near(over_types(away)[1], [joint[0] + joint[2], joint[1] + joint[3]])
    back = step(away, view([0, NO_MOVE, NO_MOVE], first=True), reading(ONES, ONE_GOAL), PLAIN)
    near(over_types(back)[0], [joint[:2].sum(), joint[2:].sum()])


def test_types_that_drift_change_each_for_itself():
    rates = PLAIN._replace(type_drift=0.5)
    held = step(alike((1.0, 0.0, 0.0, 0.0)), view([0, NO_MOVE, NO_MOVE]),
                reading(ONES, ONE_GOAL), rates)  # fmt: skip
    near(jnp.exp(held.joint), np.outer([0.75, 0.25], [0.75, 0.25]).ravel())
    alone = view([0, NO_MOVE, NO_MOVE], alive=[True, True, False])
    held = step(alike((1.0, 0.0, 0.0, 0.0)), alone, reading(ONES, ONE_GOAL), rates)
    near(jnp.exp(held.joint), [0.75, 0, 0.25, 0])


def test_moves_depend_on_each_other_through_types():
    """P(both make move 1) is not the product of the chances that each does."""
    weight, chances = together(alike((0.5, 0.0, 0.0, 0.5)))
    assert chances.shape == (4, 2, 2)
    near(weight, [0.5, 0, 0, 0.5])
    near(chances[:, :, 1], [[0.8, 0.6], [0.8, 0.2], [0.3, 0.6], [0.3, 0.2]])
    near((weight * chances[:, :, 1].prod(1)).sum(), 0.5 * 0.48 + 0.5 * 0.06)
    held = alike()
    weight, chances = together(held)
    near((weight[:, None, None] * chances).sum(0), predicted(held))
    weight, chances = together(held._replace(joint=None))
    near(weight, [1.0])
    near(chances[0], predicted(held))


def test_hypotheses_come_in_order_and_are_few():
    assert assignments(2, 3).tolist() == [list(x) for x in product(range(3), repeat=2)]
    assert assignments(3, 4).shape == (MOST, 3) and assignments(0, 5).shape == (1, 0)
    with pytest.raises(ValueError, match=r"5 types .* 3 others make 125 joint .* 64 are"):
        assignments(3, 5)
    with pytest.raises(ValueError, match="65 joint hypotheses, and 64 are kept"):
        assignments(1, 65)


def test_one_other_and_nobody():
    weight = jnp.log(jnp.array([0.2, 0.3, 0.5]))
    near(jnp.exp(marginals(weight, 1, 3)), [[0.2, 0.3, 0.5]])
    nobody = beliefs.held_at_first((0, 2, 2, 2), jnp.zeros(1))
    assert nobody.log_belief.shape == (0, 2, 2)
    said = reading(np.ones((0, 2, 2)), np.ones((0, 2, 2)))
    held = jax.jit(partial(beliefs.looked, rates=PLAIN))(nobody, view([0]), said)
    assert held.joint.tolist() == [0.0] and together(held)[1].shape == (1, 0, 2)
