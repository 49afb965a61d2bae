"""The exact solver against OpenSpiel, against recursion over the shipped games, and by hand."""

from functools import cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.matrix import PRESETS
from counterplay.evaluate import exact
from counterplay.evaluate.exact import best_response, solve, tabulate
from counterplay.evaluate.mdp import (
    Mdp,
    action_values,
    best_reply,
    dense,
    discounted,
    finite_horizon,
    nash_conv,
)
from counterplay.opponents.rule import Mixture
from counterplay.types import NO_MOVE, View

C, D = 0, 1
PD: Any = envs.make("matrix:pd")


# one-shot games


def tables(preset: str) -> tuple[np.ndarray, np.ndarray]:
    """Pay-offs of both seats, each from its own side."""
    mine = np.array(PRESETS[preset]["payoffs"])
    return mine, np.array(PRESETS[preset].get("other_payoffs", mine))


@pytest.mark.parametrize("preset", PRESETS)
def test_best_replies_and_nash_conv_are_those_of_openspiel(preset):
    pyspiel = pytest.importorskip("pyspiel")
    from open_spiel.python.algorithms.exploitability import nash_conv as their_nash_conv
    from open_spiel.python.policy import TabularPolicy

    mine, other = tables(preset)
    game = pyspiel.convert_to_turn_based(
        pyspiel.create_matrix_game(mine.tolist(), other.T.tolist())
    )
    policy, rng = TabularPolicy(game), np.random.default_rng(0)
    corners = list(product(np.eye(len(mine)), repeat=2))
    mixed = rng.dirichlet(np.ones(len(mine)), (20, 2))
    for pair in [*corners, *mixed]:
        policy.action_probability_array[:] = pair
        theirs: Any = their_nash_conv(game, policy, return_only_nash_conv=False)
        assert nash_conv(mine, other, *pair) == pytest.approx(theirs.nash_conv, abs=1e-9)
        earned = pair[0] @ mine @ pair[1], pair[1] @ other @ pair[0]
        gains = [best_reply(mine, pair[1]) - earned[0], best_reply(other, pair[0]) - earned[1]]
        np.testing.assert_allclose(gains, theirs.player_improvements, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("preset", "mine", "theirs", "wanted"),
    [
        ("pd", (0, 1), (0, 1), 0.0),
        ("pd", (1, 0), (1, 0), 4.0),  # 5 instead of 3, for both
        ("chicken", (0.5, 0.5), (0.5, 0.5), 0.0),
        ("stag", (2 / 3, 1 / 3), (2 / 3, 1 / 3), 0.0),
        ("pennies", (1, 0), (1, 0), 2.0),  # the one who loses gains 2
        ("rps", (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3), 0.0),
    ],
)
def test_nash_conv_by_hand(preset, mine, theirs, wanted):
    found = nash_conv(*tables(preset), np.array(mine), np.array(theirs))
    assert found == pytest.approx(wanted, abs=1e-12)


def test_what_is_no_strategy_is_refused():
    with pytest.raises(ValueError, match=r"nash_conv: theirs must be probabilities, found"):
        nash_conv(*tables("pd"), np.array([1.0, 0.0]), np.array([0.6, 0.6]))


# tables


def random_process(seed: int, states: int = 4, actions: int = 3) -> tuple[Mdp, np.ndarray]:
    """A process that may end anywhere, and its transition chances [S, A, S]."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(states + 1), (states, actions))[:, :, :-1]
    return dense(P, rng.normal(size=(states, actions))), P


@pytest.mark.parametrize("seed", range(3))
def test_discounted_values_are_the_best_of_all_policies(seed):
    mdp, P = random_process(seed)
    found, states = discounted(mdp, 0.9), np.arange(4)
    policies, solved = list(product(range(3), repeat=4)), []
    for policy in policies:
        moves = np.array(policy)
        onward = np.eye(4) - 0.9 * P[states, moves]
        solved.append(np.linalg.solve(onward, mdp.reward[states, moves]))
    np.testing.assert_allclose(found.values[0], np.max(solved, axis=0), atol=1e-10)
    best = int(np.argmax([values.sum() for values in solved]))
    assert tuple(found.policy[0]) == policies[best]


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_values_to_a_horizon_are_those_of_recursion(gamma):
    mdp, P = random_process(5)

    def value(state: int, left: int) -> float:
        if not left:
            return 0.0
        return max(
            mdp.reward[state, a]
            + gamma * sum(P[state, a, s] * value(s, left - 1) for s in range(4))
            for a in range(3)
        )

    found = finite_horizon(mdp, 4, gamma)
    assert found.values.shape == (5, 4) and found.policy.shape == (4, 4)
    np.testing.assert_allclose(found.values[0], [value(s, 4) for s in range(4)], atol=1e-12)
    np.testing.assert_allclose(found.values[4], 0)


def test_illegal_moves_are_never_best():
    mdp = dense(np.eye(2)[:, None].repeat(2, 1), np.array([[1.0, 9.0], [2.0, 1.0]]))
    mdp = mdp._replace(legal=np.array([[True, False], [True, True]]))
    assert finite_horizon(mdp, 3).values[0].tolist() == [3.0, 6.0]
    assert action_values(mdp, np.zeros(2), 1.0)[0].tolist() == [1.0, -np.inf]


@pytest.mark.parametrize(
    ("P", "said"),
    [
        (np.full((2, 1, 2), 0.6), r"must be 0 or more and sum to 1 or less, found sums of 1.2"),
        (np.full((2, 1, 3), 0.1), r"expected P \[S, A, S\] and R \[S, A\], found \[2, 1, 3\]"),
        (np.array([[[1.5, -0.5]]] * 2), r"must be 0 or more"),
    ],
)
def test_what_is_no_process_is_refused(P, said):
    with pytest.raises(ValueError, match=said):
        dense(P, np.zeros((2, 1)))


def test_gamma_of_one_needs_a_horizon():
    with pytest.raises(ValueError, match=r"without a horizon gamma is 0 or more and under 1"):
        discounted(random_process(0)[0], 1.0)


# rules of repeated games


def path(response: exact.Response, rounds: int) -> list[int]:
    """The best responder's moves while chance leaves it no other state to come to."""
    state, moves = int(response.table.starts[0]), []
    for _ in range(rounds):
        moves.append(int(response.policy[state]))
        (branch,) = np.flatnonzero(response.table.mdp.chance[state, moves[-1]])
        state = int(response.table.mdp.to[state, moves[-1], branch])
    return moves


@pytest.mark.parametrize(
    ("gamma", "moves", "value"),
    [
        (0.1, [D, D, D, D], lambda g: 5 + g / (1 - g)),
        (0.2499, [D, D, D, D], lambda g: 5 + g / (1 - g)),
        (0.2501, [D, C, D, C], lambda g: 5 / (1 - g**2)),
        (0.45, [D, C, D, C], lambda g: 5 / (1 - g**2)),
        (0.6665, [D, C, D, C], lambda g: 5 / (1 - g**2)),
        (0.6668, [C, C, C, C], lambda g: 3 / (1 - g)),
        (0.8, [C, C, C, C], lambda g: 3 / (1 - g)),
    ],
)
def test_the_best_response_to_tit_for_tat(gamma, moves, value):
    """Axelrod (1984), appendix B: pay-offs 5, 3, 1, 0 turn it at gamma 1/4 and 2/3."""
    env: Any = envs.make("matrix:pd,horizon=254")
    found = best_response(env, opponents.make("tit_for_tat:tremble=0", env), gamma=gamma)
    assert path(found, 12) == moves * 3
    start = found.values[found.table.starts[0]]
    assert start == pytest.approx(value(gamma), abs=1e-9)
    weight = (1 - gamma**254) / (1 - gamma)
    assert found.per_round == pytest.approx(start / weight, abs=1e-12)


@pytest.mark.parametrize(
    ("rule", "per_round"),
    [
        ("always_cooperate", 0.975 * 5 + 0.025),  # defect: .975 of the time for 5, else for 1
        ("always_defect", 0.975 + 0.025 * 5),
        ("tit_for_tat", 0.975 * 3 + (0.975 * 2 + 0.025) / 100),  # cooperate, defect in the last
        ("grim", 0.975 * 3 + (0.975 * 2 + 0.025) / 100),
        ("generous_tit_for_tat:tremble=0", 3 + 2 / 100),
        # a coin: to defect pays 5 or 1
        ("always_cooperate:tremble=1", 3.0),
    ],
)
def test_values_of_rules_by_hand(rule, per_round):
    found = best_response(PD, opponents.make(rule, PD))
    assert found.per_round == pytest.approx(per_round, abs=1e-12)


def test_grim_is_never_forgiven_by_the_table():
    """A rule with a memory has states that its last joint move does not tell apart."""
    grim, plain = (
        best_response(PD, opponents.make(name, PD)).table for name in ("grim", "tit_for_tat")
    )
    assert len(plain.time) == 1 + 4 * 99 and len(grim.time) == 1 + 4 + 6 * 2 + 8 * 96 + 4


def test_seats_of_unequal_pay_are_answered_each_for_itself():
    env: Any = envs.make("matrix:pennies,horizon=3")
    heads = opponents.make("always_cooperate:tremble=.5", env)
    for seat, move in ((0, 0), (1, 1)):  # the first wants alike, the second unlike
        found = best_response(env, heads, seat=seat)
        assert found.per_round == pytest.approx(0.5, abs=1e-12)
        assert found.policy[found.table.starts[0]] == move


def test_a_rule_that_draws_its_memory_is_refused():
    mixture = Mixture((opponents.make("grim", PD), opponents.make("bully", PD)))
    with pytest.raises(ValueError, match=r"draws its memory at random"):
        best_response(PD, mixture)


def test_too_large_a_game_is_refused(monkeypatch):
    monkeypatch.setattr(exact, "MOST_STATES", 50)
    with pytest.raises(ValueError, match=r"more than 50 states by slot 13: only small"):
        best_response(PD, opponents.make("tit_for_tat", PD))


# boards, against a recursion that knows nothing of tables


@cache
def programs(env: Any, rule: Any) -> tuple[Any, Any]:
    def look(shown, last, memory, time):
        view = View(
            obs=env.encode(shown.obs[1]),
            legal=shown.legal[1],
            alive=shown.alive[::-1],
            moved=last[0][::-1],
            public_legal=shown.legal[::-1],
            reward=last[1][1],
            event=last[2][::-1],
            time=time,
            first=time == 0,
            told=jnp.zeros(0),
        )
        return jnp.exp(rule.log_probs(memory, view)), rule.remember(memory, view)

    return jax.jit(look), jax.jit(env.step)


def expectimax(env: Any, rule: Any, state, shown, last, memory, time: int) -> float:
    """What seat 0 can earn from here on while seat 1 plays the rule."""
    look, step = programs(env, rule)
    if shown.alive[1]:
        chances, memory = look(shown, last, memory, jnp.int32(time))
    options = np.flatnonzero(chances) if shown.alive[1] else [NO_MOVE]
    best = -np.inf
    for mine in np.flatnonzero(shown.legal[0]):
        value = 0.0
        for other in options:
            moves = jnp.array([mine, other])
            after, then = step(state, moves)
            worth = float(then.reward[0])
            if then.alive[0] and not then.terminated:
                then_last = (moves, then.reward, then.event)
                worth += expectimax(env, rule, after, then, then_last, memory, time + 1)
            value += worth * (float(chances[other]) if other != NO_MOVE else 1.0)
        best = max(best, value)
    return best


@pytest.mark.parametrize(
    ("game", "rule"),
    [
        ("stag_hunt:4x4,players=2,hares=2,horizon=4", "nearest_stag"),
        ("stag_hunt:4x4,size=2,players=2,hares=1,horizon=3", "nearest_stag:tremble=.3"),
        ("snowdrift:4x4,size=3,players=2,drifts=3,horizon=4", "k_cleaner:k=1"),
    ],
)
def test_boards_are_solved_as_by_recursion(game, rule):
    env: Any = envs.make(game)
    player = opponents.make(rule, env)
    starts = jax.vmap(env.reset)(jr.split(jr.key(1), 4))
    table = tabulate(env, (None, player), starts)
    values = solve(table)[0]
    with jax.enable_x64(True):
        for i in range(4):
            state, shown = jax.tree.map(lambda x, i=i: x[i], starts)
            last = jnp.full(2, NO_MOVE), jnp.zeros(2), jnp.full(2, -1)
            memory = player.begin(jr.key(0), None)
            wanted = expectimax(env, player, state, shown, last, memory, 0)
            assert values[table.starts[i]] == pytest.approx(wanted, abs=1e-6)
    assert len(set(np.round(values[table.starts], 6))) > 1, "starts that tell nothing apart"


def test_slot_by_slot_is_as_all_slots_at_once():
    env: Any = envs.make("stag_hunt:4x4,size=2,players=2,hares=2,horizon=4")
    starts = jax.vmap(env.reset)(jr.split(jr.key(1), 3))
    table = tabulate(env, (None, opponents.make("nearest_stag:tremble=.2", env)), starts)
    values, policy = solve(table)
    whole = finite_horizon(table.mdp, 4)
    np.testing.assert_allclose(values, whole.values[0], atol=1e-12)
    np.testing.assert_array_equal(policy, whole.policy[0])


def test_other_counts_of_players_are_refused():
    starts = jax.tree.map(lambda x: x[None], PD.reset(jr.key(0)))
    with pytest.raises(ValueError, match=r"expected 2 players of whom one is None"):
        tabulate(PD, (None, None), starts)
