"""The tree search: games solved on paper, mctx's own policies beside it, and rude input."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import mctx
import numpy as np
import pytest
from games import FOUND_OUT, HIS, MINE, Game, functions, game

from counterplay.planning import Arrival, Functions, Plan
from counterplay.planning.draws import drawn
from counterplay.planning.tree import HOW, search
from counterplay.types import NO_MOVE

SIMULATIONS, SEEDS, GAMMA = 60, 8, 0.9
EXPLORATION = {"gumbel": 1.25, "muzero": 5.0, "puct": 5.0}
"""On the scale of returns: in games up to 5 a c of 1.25 tries what seems worthless too late."""


@cache
def _program(how: str, settings: tuple):
    def one(game: Game, there, key) -> Plan:
        start, told = jnp.int32(0), {"gamma": GAMMA, "simulations": SIMULATIONS} | dict(settings)
        alive = jnp.stack([there, ~game.away[0]])
        prior = jnp.where(game.legal[0], game.prior, -jnp.inf)
        root = start, jnp.int32(0), prior, game.legal[0] & there, alive
        return search(*functions(game), *root, key, how=how, **told)  # type: ignore

    return jax.jit(jax.vmap(one, (None, None, 0)))


def solved(game: Game, how: str = "gumbel", there: bool = True, **settings: Any) -> Plan:
    """The plans of several seeds, leaves [SEEDS, A]."""
    settings = {"exploration": EXPLORATION[how]} | settings
    program = _program(how, tuple(sorted(settings.items())))
    return jax.tree.map(np.asarray, program(game, jnp.bool_(there), jr.split(jr.key(7), SEEDS)))


def best(plan: Plan) -> set[int]:
    return set(plan.weights.argmax(1).tolist())


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("his", "answer"), [(0, 0), (1, 2)])
def test_the_best_response_to_a_known_other_is_found(how, his, answer):
    payoffs = [[5, 0], [3, 1], [0, 4]]
    plan = solved(game({0: payoffs}, chances=np.eye(HIS)[his]), how)
    assert best(plan) == {answer}
    assert plan.q == pytest.approx(np.tile(np.array(payoffs)[:, his], (SEEDS, 1)))
    assert plan.weights.sum(1) == pytest.approx(np.ones(SEEDS))


GREEDY = game(
    {0: [[2, 2], [0, 0], [1, 1]], 1: [[5, 5], [0, 0], [-1, -1]]},
    leads={0: [[3, 3], [1, 1], [3, 3]]},
)
"""Move 0 pays 2 and ends it; move 1 pays nothing and leads to where move 0 pays 5."""


@pytest.mark.parametrize("how", HOW)
def test_a_greedy_first_move_is_seen_through_two_moves_ahead(how):
    plan = solved(GREEDY, how)
    assert best(plan) == {1}
    assert (plan.q[:, 1] > 2).all() and (plan.q[:, 1] <= GAMMA * 5 + 1e-5).all()
    assert plan.q[:, [0, 2]] == pytest.approx(np.tile([2.0, 1.0], (SEEDS, 1)))


def test_one_move_ahead_it_is_not():
    plan = solved(GREEDY, depth=1)
    assert best(plan) == {0}
    assert plan.q == pytest.approx(np.tile([2.0, 0.0, 1.0], (SEEDS, 1)))


@pytest.mark.parametrize("how", HOW)
def test_what_is_illegal_is_never_chosen_nor_imagined(how):
    """The best moves by far, were they allowed, and any that is tried pays a fortune."""
    rules = {0: [True, True, False], 1: [False, False, True]}
    pays = {0: [[1, 1], [0, 0], [50, 50]], 1: [[90, 90], [90, 90], [3, 3]]}
    leads = {0: [[3, 3], [1, 1], [3, 3]]}
    plan = solved(game(pays, leads=leads, legal=rules, prior=(0.0, 0.0, 9.0)), how)
    assert best(plan) == {1} and (plan.weights[:, 2] == 0).all()
    assert (abs(plan.q) < FOUND_OUT / 1e3).all()
    assert plan.q[:, 1] == pytest.approx(np.full(SEEDS, GAMMA * 3), rel=0.1)


@pytest.mark.parametrize("how", HOW)
def test_an_absent_other_makes_no_move_and_one_who_leaves_makes_no_more(how):
    pays = {0: [[1, 0], [0, 0], [0, 0]], 1: [[4, 0], [0, 0], [0, 0]]}
    leads = {0: [[3, 3], [1, 1], [3, 3]]}
    for away in ((0, 1, 2, 3), (1, 2, 3)):
        plan = solved(game(pays, (0.5, 0.5), leads, away=away), how)
        assert best(plan) == {1} and (plan.q < FOUND_OUT / 1e3).all()


@pytest.mark.parametrize("how", HOW)
def test_where_i_have_left_nothing_follows(how):
    """State 3 would go on paying 10 for ever."""
    forever = np.full((MINE, HIS), 10.0)
    pays = {0: [[1, 1], [0, 0], [0, 0]], 1: [[2, 2], [2, 2], [2, 2]], 3: forever}
    plan = solved(game(pays, leads={0: [[3, 3], [1, 1], [3, 3]]}), how)
    assert plan.q == pytest.approx(np.tile([1.0, GAMMA * 2, 0.0], (SEEDS, 1)), rel=0.1)
    assert best(plan) == {1}


UNSURE = game({0: [[1, 0], [0, 1], [0.6, 0.6]]}, chances=(0.7, 0.3))
"""Worth .7, .3 and .6."""


def test_an_other_of_70_to_30_is_planned_for_as_both():
    plan = solved(UNSURE)
    assert best(plan) == {0}
    assert plan.q == pytest.approx(np.tile([0.7, 0.3, 0.6], (SEEDS, 1)), abs=0.15)


def test_with_one_draw_a_branch_is_a_single_guess():
    plan = solved(UNSURE, draws=1)
    assert set(plan.q[:, 0].tolist()) <= {0.0, 1.0}
    assert plan.q[:, 1] == pytest.approx(1 - plan.q[:, 0]), "moves are tried against one draw"


def knowing(certain: bool) -> float:
    """What it is worth to guess, in the second move, what the other always does.

    He does one of two things, both as likely before anything is seen; the belief is 0 then, else
    1 + what he did. The first move pays nothing.
    """
    base = functions(game({1: [[1, 0], [0, 1], [0, 0]]}, leads={0: np.ones((MINE, HIS))}))
    chances = jnp.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    learns = lambda belief, e, others: 1 + others[0] if certain else belief
    told = base._replace(actions=lambda e, belief: chances[belief][None], update=learns)

    def one(key):
        root = jnp.int32(0), jnp.int32(0), jnp.zeros(MINE), jnp.ones(MINE, bool)
        return search(*told, *root, jnp.ones(2, bool), key, simulations=150, gamma=1.0, draws=16)

    return float(jax.jit(jax.vmap(one))(jr.split(jr.key(0), SEEDS)).q.max(1).mean())


def test_imagined_moves_tell_who_he_is():
    """With Bayes' rule in the tree the guess is right, without it half of the time; the average
    over what was tried on the way is a little less."""
    assert knowing(True) > 0.75 and knowing(False) < 0.6


def test_who_is_not_there_plans_nothing():
    plan = solved(GREEDY, there=False)
    assert (plan.weights == 0).all() and (plan.q == 0).all()


def test_temperature_sharpens_weights():
    sharp, plain = solved(UNSURE, "puct", temperature=0.1), solved(UNSURE, "puct")
    wanted = plain.weights**10 / (plain.weights**10).sum(1, keepdims=True)
    assert sharp.weights == pytest.approx(wanted, abs=1e-4)


LARGE = 5
"""Moves and states of a game with random pay-offs and no ties."""


def _random_game() -> tuple[Functions, Any]:
    pays, leads, values, priors = (
        np.random.default_rng(3).normal(size=(LARGE, LARGE)).astype(np.float32),
        np.random.default_rng(4).integers(LARGE, size=(LARGE, LARGE)),
        np.random.default_rng(5).normal(size=LARGE).astype(np.float32),
        np.random.default_rng(6).normal(size=(LARGE, LARGE)).astype(np.float32),
    )
    pays, leads, values, priors = map(jnp.asarray, (pays, leads, values, priors))
    base = functions(game({}))

    def step(key, e, action, others):
        after = leads[e, action].astype(jnp.int32)
        yes = jnp.ones(LARGE, bool)
        return Arrival(after, pays[e, action], jnp.ones(()), yes, jnp.ones(1, bool))

    told = base._replace(
        step=step,
        actions=lambda e, belief: jnp.array([[0.0, 1.0]]),
        value=lambda e, belief: values[e],
        prior_of=lambda e, belief: jax.nn.log_softmax(priors[e]),
    )

    def recurrent(params, key, action, e):
        after = leads[e, action].astype(jnp.int32)
        made = {"reward": pays[e, action], "discount": jnp.full(e.shape, GAMMA)}
        made |= {"prior_logits": priors[after], "value": values[after]}
        return mctx.RecurrentFnOutput(**made), after  # type: ignore

    at = {"prior_logits": priors[:1], "value": values[:1], "embedding": jnp.zeros(1, jnp.int32)}
    return told, partial(_by_mctx, recurrent, mctx.RootFnOutput(**at))  # type: ignore


def _by_mctx(recurrent, root, how: str, key) -> Any:
    more = {"dirichlet_fraction": 0.0} if how == "muzero" else {}
    policy = {"muzero": mctx.muzero_policy, "gumbel": mctx.gumbel_muzero_policy}[how]
    return policy((), key, root, recurrent, num_simulations=40, **more)


@pytest.mark.parametrize("how", ["gumbel", "muzero"])
def test_where_nothing_is_drawn_it_is_the_search_of_mctx(how):
    told, theirs = _random_game()
    prior = told.prior_of(jnp.int32(0), None)

    def mine(key):
        root = jnp.int32(0), jnp.int32(0), prior, jnp.ones(LARGE, bool), jnp.ones(2, bool)
        return search(*told, *root, key, simulations=40, gamma=GAMMA, how=how, draws=1)

    for seed in range(3):
        plan, found = jax.jit(mine)(jr.key(seed)), jax.jit(partial(theirs, how))(jr.key(seed))
        assert plan.weights == pytest.approx(np.asarray(found.action_weights[0]), abs=1e-5)
        summary = found.search_tree.summary()
        tried = np.asarray(summary.visit_counts[0]) > 0
        assert np.asarray(plan.q)[tried] == pytest.approx(
            np.asarray(summary.qvalues[0])[tried], abs=1e-5
        )


def test_draws_are_in_proportion_and_fair():
    chances = jnp.array([[0.7, 0.3, 0.0], [0.0, 0.25, 0.75], [0.0, 0.0, 0.0]])
    many = np.asarray(jax.vmap(lambda k: drawn(k, chances, 8))(jr.split(jr.key(0), 4000)))
    assert (many[..., 2] == NO_MOVE).all()
    count = lambda x, a: (x == a).mean()
    assert [count(many[..., 0], a) for a in range(3)] == pytest.approx([0.7, 0.3, 0], abs=0.01)
    assert [count(many[..., 1], a) for a in range(3)] == pytest.approx([0, 0.25, 0.75], abs=0.01)
    together = ((many[..., 0] == 0) & (many[..., 1] == 2)).mean()
    assert together == pytest.approx(0.7 * 0.75, abs=0.01), "rows are independent"
    first = count(many[:, 0, 0], 0), count(many[:, 7, 0], 0)
    assert first == pytest.approx((0.7, 0.7), abs=0.03), "every draw is fair"
    share = (many[..., 0] == 0).mean(1)
    assert share.std() < 0.5 * np.sqrt(0.7 * 0.3 / 8), "more even than independent draws"


def test_draws_leave_out_what_cannot_be_at_the_edges():
    edges = jnp.array([[0.0, 1e-7, 0.0], [0.0, 1.0, 0.0]])
    many = np.asarray(jax.vmap(lambda k: drawn(k, edges, 5))(jr.split(jr.key(1), 500)))
    assert (many == 1).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"how": "gumble"}, "unknown way to search 'gumble' (did you mean 'gumbel'?)"),
        ({"simulations": 0}, "search: simulations must be at least 1, found 0"),
        ({"draws": 0}, "search: draws must be at least 1, found 0"),
        ({"depth": 0}, "search: depth must be at least 1 of my moves, found 0"),
        ({"gamma": 1.5}, "search: gamma must be 0 to 1, found 1.5"),
        ({"temperature": 0.0}, "search: temperature must be positive, found 0.0"),
        ({"exploration": float("nan")}, "search: exploration must be positive, found nan"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    usual: Any = {"simulations": 4, "gamma": GAMMA} | settings
    root = jnp.int32(0), jnp.int32(0), jnp.zeros(MINE), jnp.ones(MINE, bool), jnp.ones(2, bool)
    with pytest.raises(ValueError) as error:
        search(*functions(GREEDY), *root, jr.key(0), **usual)
    assert words in str(error.value)
