"""References of matrix games in tables: against all tables, hand-worked games, and matches."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.evaluate import references, tabular
from counterplay.evaluate.exact import best_response
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.evaluate.solo import BLIND, ORACLE
from counterplay.evaluate.statistics import t_interval
from counterplay.opponents.sets import members

TRAIN = members("matrix", "train")


def known(game: str, episodes: int, names: tuple[str, ...] = TRAIN, seat: int = 0) -> Any:
    env: Any = envs.make(game)
    return tabular.known(env, [opponents.make(name, env) for name in names], episodes, seat)


def slow(of: Any, policy: np.ndarray, rule: int, joint: int, held: int, time: int) -> float:
    """What a table earns from a round on, one branch after another."""
    if time == of.rounds:
        return 0.0
    now, total = time % of.horizon, 0.0
    shown = joint if now else 0
    held = of.remembers[rule, now, joint, held]
    for mine, theirs in itertools.product(range(2), range(2)):
        chance = policy[now, shown, mine] * of.does[rule, now, joint, held, theirs]
        if chance > 0:
            later = slow(of, policy, rule, 1 + 2 * mine + theirs, held, time + 1)
            total += chance * (of.payoffs[mine, theirs] + later)
    return total


def all_tables(horizon: int):
    """Every table of certain moves, [T, 5, 2]; entries that are never met cooperate."""
    for opening, *moves in itertools.product(range(2), repeat=4 * horizon - 3):
        table = np.zeros((horizon, 5), int)
        table[0], table[1:, 1:] = opening, np.reshape(moves, (horizon - 1, 4))
        yield np.eye(2)[table]


@pytest.mark.parametrize("game", ["pd", "chicken", "stag"])
@pytest.mark.parametrize("episodes", [1, 2])
def test_no_table_of_two_rounds_beats_the_one_found(game, episodes):
    of = known(f"matrix:{game},horizon=2", episodes)
    worth = [
        np.mean([slow(of, policy, y, 0, 0, 0) for y in range(len(TRAIN))])
        for policy in all_tables(2)
    ]
    best, policy = tabular.blind(of)
    assert best == pytest.approx(max(worth), abs=1e-9)
    assert tabular.value(of, policy) == pytest.approx(best)


def test_no_table_of_three_rounds_beats_the_one_found():
    of = known("matrix:chicken,horizon=3", 2)
    best = max(tabular.value(of, policy) for policy in all_tables(3))
    assert tabular.blind(of)[0] == pytest.approx(best, abs=1e-9)


def test_a_mixed_table_earns_what_every_branch_adds_up_to():
    of = known("matrix:pd,horizon=3", 2)
    policy = np.random.default_rng(3).dirichlet(np.ones(2), (3, 5))
    policy[0] = policy[0, 0]
    expected = np.mean([slow(of, policy, y, 0, 0, 0) for y in range(len(TRAIN))])
    assert tabular.value(of, policy) == pytest.approx(expected)


def test_a_mixed_table_may_beat_every_certain_one():
    """Two episodes of one round with a tit for tat. Who cooperates with probability p earns
    5 - 2 p, and then, as it is met as it was, p (5 - 2 p) + (1 - p)² = 1 + 3 p - p²: at most 6.25,
    at p = 1/2, and 6 at 0 and 1.
    """
    of = known("matrix:pd,horizon=1", 2, ("tit_for_tat:tremble=0",))
    assert max(tabular.value(of, certain) for certain in all_tables(1)) == pytest.approx(6)
    worth, policy = tabular.mixed(of, starts=2)
    assert worth == pytest.approx(6.25, abs=1e-6) == tabular.value(of, policy)
    np.testing.assert_allclose(policy[0], 0.5, atol=1e-3)
    shipped = np.asarray(tabular.table(of).blind, np.float64)
    assert tabular.value(of, shipped) == pytest.approx(6.25, abs=1e-6)


def test_gradients_from_even_chances_end_in_always_defecting():
    """Which is why PPO does. By chance, other tables lead further."""
    scenario = scenario_of("matrix:stag-v2")
    of = known(scenario.game, scenario.match)
    defects = np.zeros(tabular.uniform(of).shape)
    defects[..., 1] = 1
    (found,) = tabular.ascended(of, np.zeros((1, *defects.shape)))
    assert tabular.value(of, found) == pytest.approx(tabular.value(of, defects), rel=1e-3)
    assert tabular.blind(of)[0] > 1.1 * tabular.value(of, found)


def test_gradients_are_of_what_a_table_earns():
    of = known("matrix:stag,horizon=3", 2)
    policy = np.random.default_rng(3).dirichlet(np.ones(2), (3, 5))
    policy[0] = policy[0, 0]
    earned = tabular._earned(of, jnp.asarray(policy, jnp.float32))
    assert float(earned) == pytest.approx(tabular.value(of, policy), rel=1e-5)


@pytest.mark.parametrize("name", TRAIN)
def test_the_oracle_of_one_episode_is_the_exact_best_reply(name):
    env: Any = envs.make("matrix:pd,horizon=6")
    worth, _ = tabular.oracle(known("matrix:pd,horizon=6", 1, (name,)))
    assert worth[0] == pytest.approx(6 * best_response(env, opponents.make(name, env)).per_round)


@pytest.mark.parametrize(
    ("name", "worth"),
    [
        ("always_cooperate:tremble=0", 6 * 5),
        ("always_defect:tremble=0", 6 * 1),
        # cooperating to the end and then not; the second episode goes on where the first ended
        ("tit_for_tat:tremble=0", 5 * 3 + 5),
        ("grim:tremble=0", 5 * 3 + 5),
        # gives in after a defection, and after its own
        ("bully:tremble=0", 1 + 5 * 5),
    ],
)
def test_best_replies_worked_by_hand(name, worth):
    found, _ = tabular.oracle(known("matrix:pd,horizon=3", 2, (name,)))
    assert found[0] == pytest.approx(worth)


def test_a_lone_rule_is_played_blind_as_well_as_knowing_it():
    of = known("matrix:pd,horizon=4", 1, ("tit_for_tat:tremble=0",))
    assert tabular.blind(of)[0] == pytest.approx(3 * 3 + 5) == tabular.oracle(of)[0][0]


def test_each_seat_is_paid_by_its_own_table():
    """Against always heads, tails earns the second player 1 a round, and heads the first one."""
    for seat, best in ((0, [1.0, 0.0]), (1, [0.0, 1.0])):
        of = known("matrix:pennies,horizon=2", 1, ("always_cooperate:tremble=0",), seat)
        worth, policy = tabular.blind(of)
        assert worth == 2 and policy[0, 0].tolist() == best


@pytest.mark.parametrize("game", ["matrix:pd-v2", "matrix:stag-v2"])
def test_knowing_the_others_pays_before_anything_is_trained(game):
    scenario = scenario_of(game)
    of = known(scenario.game, scenario.match)
    oracle, random = tabular.oracle(of)[0].mean(), tabular.value(of, tabular.uniform(of))
    assert (oracle - tabular.blind(of)[0]) / (oracle - random) >= 0.4


def repeated(of: tabular.Known, plays: np.ndarray) -> float:
    """What moves [Y, T, J, H] told in the first episode earn in all of a match, by hand."""
    worth = np.zeros(of.remembers[:, 0].shape)
    for time in reversed(range(of.rounds)):
        q = tabular._action_values(of, time, worth)
        worth = np.take_along_axis(q, plays[:, time % of.horizon, ..., None], -1)[..., 0]
    return float(worth[:, 0, 0].mean())


def test_tables_earn_in_matches_what_they_say():
    scenario = Scenario("tabled", "matrix:pd,horizon=3", 4, tables=True)
    of = known(scenario.game, scenario.match)
    made, (best, plays) = tabular.table(of), tabular.oracle(of)
    # the oracle does not know which episode is the last, and forgoes something there
    kept = repeated(of, plays)
    assert 0.9 * best.mean() < kept < best.mean()
    (found,) = references.measure(scenario, "train", [made], (BLIND, ORACLE), 600)
    for name, worth in (("blind", tabular.value(of, np.asarray(made.blind))), ("oracle", kept)):
        mean = t_interval(found[f"{name}, greedy"]["report"])
        # drawn, not in turn, who is met would make it five times as wide
        assert mean.high - mean.low < 0.2
        assert mean.low <= worth / scenario.match <= mean.high


def test_rules_that_remember_more_are_refused():
    with pytest.raises(ValueError, match="remember nothing or one truth, found Rule"):
        known("matrix:pd", 1, ("gradual",))
