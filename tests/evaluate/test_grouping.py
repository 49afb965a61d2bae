"""Agreement by hand, by pairs and by closed form; codes of known strategies merged."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from repeated import COOPERATES, TYPES, fixed, play

from counterplay.evaluate import grouping
from counterplay.evaluate.exact_filter import exact_filter
from counterplay.evaluate.grouping import (
    agreement,
    contingency,
    decoder_distance,
    exact_classes,
    group_codes,
)
from counterplay.types import NO_MOVE

EVEN = np.full(TYPES, 1 / TYPES)


def test_agreement_by_hand():
    truth, group = np.array([0, 0, 1, 1]), np.array([5, 5, 5, 7])
    assert contingency(truth, group).tolist() == [[2, 0], [1, 1]]
    found = agreement(truth, group)
    # H(T) = log 2, H(G) = -(3/4 log 3/4 + 1/4 log 1/4), H(T, G) = 1/2 log 2 + 1/2 log 4
    h_g = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    shared = np.log(2) + h_g - 1.5 * np.log(2)
    expected = (shared / np.log(2), shared / h_g, 2 * shared / (np.log(2) + h_g))
    assert found[:3] == pytest.approx(expected)
    # pairs together: 1 in both, 2 of types, 3 of groups, 6 in all: (1 - 1) / (2.5 - 1) = 0
    assert found.adjusted_rand == pytest.approx(0)


def test_scikit_learns_published_examples():
    # adjusted_rand_score([0, 0, 1, 2], [0, 0, 1, 1]) and ([0, 0, 1, 1], [0, 0, 1, 2])
    assert agreement(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])).adjusted_rand == (
        pytest.approx(4 / 7)
    )
    found = agreement(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    assert found.homogeneity == pytest.approx(1) and found.completeness == pytest.approx(2 / 3)
    assert found.nmi == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("truth", "group", "expected"),
    [
        ([0, 0, 1, 1], [1, 1, 0, 0], (1, 1, 1, 1)),
        ([0, 0, 0], [2, 2, 2], (1, 1, 1, 1)),
        ([0, 1, 2], [0, 1, 2], (1, 1, 1, 1)),
        ([0, 1, 0, 1], [0, 0, 0, 0], (0, 1, 0, 0)),
        ([0, 0, 0, 0], [0, 1, 0, 1], (1, 0, 0, 0)),
        ([3], [4], (1, 1, 1, 1)),
    ],
)
def test_extremes(truth, group, expected):
    assert agreement(np.array(truth), np.array(group)) == pytest.approx(expected)


def rand_by_pairs(truth: list[int], group: list[int]) -> float:
    """From the four counts of pairs; Hubert & Arabie (1985)."""
    a = b = c = d = 0
    for i, j in combinations(range(len(truth)), 2):
        mine, its = truth[i] == truth[j], group[i] == group[j]
        a, b, c, d = a + (mine and its), b + (mine > its), c + (mine < its), d + (not mine | its)
    below = (a + b) * (b + d) + (a + c) * (c + d)
    return 2 * (a * d - b * c) / below if below else 1.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=25))
def test_adjusted_rand_is_that_of_counted_pairs(pairs):
    truth, group = np.array(pairs).T
    found = agreement(truth, group)
    assert found.adjusted_rand == pytest.approx(rand_by_pairs(truth.tolist(), group.tolist()))
    turned = agreement(group, truth)
    assert turned[:2] == pytest.approx(found[1::-1]) and turned[2:] == pytest.approx(found[2:])


@pytest.mark.parametrize("families", range(2, 9))
def test_pure_codes_two_a_family(families):
    """2 (F - 1) / (3 F - 2) of many pairs: .625 of six families, .632 of seven, 2/3 at most."""
    truth = np.repeat(np.arange(families), 10_000)
    code = 2 * truth + np.arange(len(truth)) % 2
    found = agreement(truth, code)
    assert found.homogeneity == pytest.approx(1)
    expected = 2 * (families - 1) / (3 * families - 2)
    assert found.adjusted_rand == pytest.approx(expected, abs=1e-4)
    assert (round(expected, 2) == 0.63) == (families == 7) or families == 6


def codes(copies: int, rows: int = 150, slots: int = 40, noise: float = 0.02, seed: int = 0):
    """An agent with several codes a strategy that decodes them nearly right."""
    game = play(fixed(rows, slots, seed), seed)
    rng = np.random.default_rng(seed)
    table = np.repeat(0.95 * COOPERATES + 0.025, copies, 0)  # [C, states]
    table = (table + noise * rng.normal(size=table.shape)).clip(0.01, 0.99)
    after = 1 + 2 * game.mine[:, :-1] + game.moves[:, :-1]
    state = np.concatenate([np.zeros((rows, 1), int), after], 1)
    chance = table[:, state]
    log_decoded = np.log(np.stack([chance, 1 - chance], -1))
    return game, log_decoded, game.mode[:, 0] * copies + rng.integers(0, copies, rows)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_codes_of_one_behaviour_become_one_group(copies):
    game, log_decoded, code = codes(copies)
    groups = group_codes(log_decoded, code, game.moves)
    assert groups.number == TYPES
    assert len(set(zip(groups.of_code, np.arange(len(groups.of_code)) // copies, strict=True))) == 5
    merged = agreement(game.mode[:, 0], groups.of_code[code])
    assert merged == pytest.approx((1, 1, 1, 1))
    if copies > 1:
        assert agreement(game.mode[:, 0], code).adjusted_rand < 0.65
    assert np.allclose(groups.distance, groups.distance.T) and not np.diag(groups.distance).any()
    held = exact_filter(game.log_likelihood, game.legal, game.moves, EVEN)
    exact = agreement(game.mode[:, 0], exact_classes(held.log_after[:, -1]))
    assert exact.adjusted_rand > 0.9


def test_codes_that_mean_nothing_are_one_group():
    game, log_decoded, _ = codes(2)
    flat = np.broadcast_to(log_decoded.mean(0), log_decoded.shape)
    random = np.random.default_rng(1).integers(0, len(flat), len(game.moves))
    groups = group_codes(flat - np.log(np.exp(flat).sum(-1, keepdims=True)), random, game.moves)
    assert groups.number == 1
    wrong = agreement(game.mode[:, 0], random)
    assert abs(wrong.adjusted_rand) < 0.1


def test_distance_by_hand_and_absent_slots_are_not_read():
    p = np.array([[[[0.5, 0.5], [0.9, 0.1]]], [[[0.25, 0.75], [0.1, 0.9]]]])  # [C, 1, T, A]
    moves = np.array([[1, NO_MOVE]])
    by_hand = 0.5 * np.log(2) + 0.5 * np.log(2 / 3) + 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    found = decoder_distance(np.log(p), moves)
    np.testing.assert_allclose(found, [[0, by_hand], [by_hand, 0]], atol=1e-15)
    groups = group_codes(np.log(p[:1]), np.array([0]), moves)
    assert groups.number == 1 and groups.log_likelihood == pytest.approx([np.log(0.5)])


def test_the_likelihood_of_a_group_is_that_of_its_mixture():
    p = np.array([0.8, 0.4])
    log_decoded = np.log(np.stack([p, 1 - p], -1))[:, None, None].repeat(4, 1)  # [2, 4, 1, 2]
    code, moves = np.array([0, 0, 0, 1]), np.array([[0], [0], [1], [1]])
    found = group_codes(log_decoded, code, moves)
    one = 0.75 * 0.8 + 0.25 * 0.4
    expected = [2 * np.log(one) + 2 * np.log(1 - one), 2 * np.log(0.8) + np.log(0.2) + np.log(0.6)]
    np.testing.assert_allclose(found.log_likelihood, np.array(expected) / 4)


def test_linkage_is_the_average_and_not_the_nearest():
    at = np.array([0, 1, 2.2, 3.6])  # the nearest link would chain the third to the first two
    cuts = grouping._cuts(abs(at[:, None] - at[None]))
    assert cuts[0].tolist() == [0] * 4 and sorted(cuts[3]) == [0, 1, 2, 3]
    for cut, groups in ((cuts[1], [{0, 1}, {2, 3}]), (cuts[2], [{0, 1}, {2}, {3}])):
        found = [set(np.flatnonzero(cut == g).tolist()) for g in np.unique(cut)]
        assert sorted(found, key=min) == groups


def test_a_loss_that_is_no_more_than_its_error_is_none():
    best = np.zeros(4)
    # sums .5 and 1.8 against 2 standard deviations of 1.03
    assert grouping._as_good(np.array([-1, 1, -1, 0.5]), best)
    assert grouping._as_good(np.array([-1.325, 0.675, -1.325, 0.175]), best)
    assert not grouping._as_good(np.array([-1.425, 0.575, -1.425, 0.075]), best)
    assert not grouping._as_good(np.full(4, -0.1), best)  # a small loss, but a sure one


def test_rude_input():
    even = np.log(np.full((2, 1, 1, 2), 0.5))
    with pytest.raises(ValueError, match="expected codes 0 to 1"):
        group_codes(even, np.array([2]), np.array([[0]]))
    with pytest.raises(ValueError, match="segment 0 has no move"):
        group_codes(even, np.array([1]), np.array([[NO_MOVE]]))
    ruled_out = even.copy()
    ruled_out[0, 0, 0] = [0, -np.inf]
    with pytest.raises(ValueError, match="mix in a uniform share"):
        group_codes(ruled_out, np.array([0]), np.array([[0]]))
    with pytest.raises(ValueError, match="found none"):
        agreement(np.zeros(0, int), np.zeros(0, int))
