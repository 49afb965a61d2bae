"""The online player: what it expects, worked out by hand, and whom it reads."""

import math
import time

import numpy as np
import pytest

from counterplay.envs.matrix import PRESETS
from counterplay.opponents.context_mixture import (
    CONTEXTS,
    FIRST_WEIGHT,
    NEVER,
    PRIOR,
    RATE,
    ROTATIONS,
    ContextMixture,
)

PAYOFFS = PRESETS["rps"]["payoffs"]
ROCK, PAPER, SCISSORS = range(3)


def play(other, throws=1000, seed=0):
    """What the player earns of ``other(mine, theirs) -> throw``, given both histories so far."""
    player, mine, theirs, total = ContextMixture(), [], [], 0.0
    player.begin(seed, True)
    for _ in range(throws):
        seen = [mine[-1], theirs[-1]] if mine else [-1, -1]
        throw, answer = player.act({"moved": np.array(seen)}), other(mine, theirs)
        total += PAYOFFS[throw][answer]
        mine.append(throw)
        theirs.append(answer)
    return total


@pytest.mark.parametrize(
    ("other", "least"),
    [
        (lambda mine, theirs: ROCK, 980),
        (lambda mine, theirs: (ROCK, ROCK, PAPER, SCISSORS)[len(theirs) % 4], 900),
        (lambda mine, theirs: mine[-1] if mine else ROCK, 900),
        # beats its last throw: what it knows of itself tells it
        (lambda mine, theirs: (mine[-1] + 1) % 3 if mine else ROCK, 900),
        # beats what it threw most often
        (lambda mine, theirs: (np.bincount([*mine, 0], minlength=3).argmax() + 1) % 3, 700),
    ],
    ids=["constant", "cycler", "copycat", "beats the last", "beats the most frequent"],
)
def test_whoever_follows_a_rule_is_beaten(other, least):
    assert play(other) > least


def test_it_says_what_it_expects_of_the_throw_it_answers():
    player = ContextMixture()
    player.begin(0, True)
    seen = {"moved": np.array([-1, -1])}
    player.act(seen)
    np.testing.assert_allclose(np.exp(player.predict(seen)), np.full((1, 3), 1 / 3))
    for _ in range(200):
        seen = {"moved": np.array([player.act(seen), ROCK])}
    throw, held = player.act(seen), player.predict(seen)
    assert held.shape == (1, 3) and np.exp(held).sum() == pytest.approx(1)
    assert throw == PAPER and held[0, ROCK] > math.log(0.98)
    assert player.predict(seen).tolist() == held.tolist(), "asking changes nothing"


def test_a_change_of_rule_is_followed():
    assert play(lambda mine, theirs: ROCK if len(theirs) < 500 else len(theirs) % 3) > 800


def test_nothing_is_earned_of_chance():
    totals = []
    for seed in range(4):
        draw = np.random.default_rng(seed)
        totals.append(play(lambda mine, theirs, draw=draw: int(draw.integers(3)), seed=seed))
    assert abs(np.mean(totals)) < 60, "the mean of 4 has a standard error of 13"


def test_a_thousand_throws_take_less_than_a_second_of_a_core():
    draw = np.random.default_rng(0)
    began = time.process_time()
    play(lambda mine, theirs: int(draw.integers(3)))
    assert time.process_time() - began < 1.0  # .15 without types verified, on a quiet machine


def test_it_expects_anything_at_first_and_draws_among_equals():
    first = []
    for seed in range(30):
        player = ContextMixture()
        player.begin(seed, True)
        assert np.allclose(player.expected, 1 / 3)
        first.append(player.choose())
    assert set(first) == {ROCK, PAPER, SCISSORS}


def test_the_second_throw_by_hand():
    player = ContextMixture()
    player.begin(0, True)
    player.learn(PAPER, ROCK)
    # Only the expert of order 0 has met its context before: 1 rock, 0 paper, 0 scissors. The rest,
    # all 33, see a longer history for the first time and say nothing. The first gradient was 0.
    known = np.log([1 + PRIOR, PRIOR, PRIOR])
    weights = np.exp(FIRST_WEIGHT * known)
    assert player.expected == pytest.approx(weights / weights.sum(), abs=1e-12)
    assert player.choose() == PAPER
    assert len(CONTEXTS) == 34 and player._used == 34 + 33

    player.learn(PAPER, SCISSORS)
    size = len(CONTEXTS)
    said = known - known.mean()
    p = weights / weights.sum()
    wanted = FIRST_WEIGHT + RATE * (said[SCISSORS] - p @ said)
    assert player._weights[0] == pytest.approx(wanted, abs=1e-12)
    assert player._weights[1:size] == pytest.approx(FIRST_WEIGHT), (
        "what said nothing learns nothing"
    )
    # of me it has counted one paper: turned by r it stands r further, and is weighed alike
    for r in range(3):
        turned = np.full(3, -math.log((1 + PRIOR) / PRIOR) / 3)
        turned[(PAPER + r) % 3] *= -2
        found = player._weights[size + r]
        assert found == pytest.approx(RATE * (turned[SCISSORS] - p @ turned), abs=1e-12)


def test_a_rotation_moves_every_throw_so_far():
    x = np.array([10, 11, 12])
    assert x[ROTATIONS].tolist() == [[10, 11, 12], [12, 10, 11], [11, 12, 10]]


def test_a_guess_stands_where_it_was_off_lately():
    player = ContextMixture()
    player.begin(0, True)
    for t in range(60):
        player.learn(ROCK, t % 3)  # order 0 guesses what came last; the next is one further
    assert player._guess[0] == 59 % 3 and player._off[0].argmax() == 1
    assert player._last.min() == NEVER and player.expected.argmax() == 60 % 3


def test_the_table_grows_and_what_was_counted_stays():
    player, draw = ContextMixture(), np.random.default_rng(0)
    player.begin(0, True)
    sizes = set()
    for _ in range(50):
        player.learn(*draw.integers(3, size=2).tolist())
        sizes.add(len(player._counts))
        assert player._used < len(player._counts) == len(player._last)
        assert len({*(row for rows in player._row_of for row in rows.values())}) == player._used
    assert len(sizes) > 2
    row = player._row_of[0][b""]
    assert player._counts[row].sum() == pytest.approx(2 * 5 * (1 - 0.8**50))


def test_a_match_is_remembered_and_a_new_one_is_not():
    player = ContextMixture()
    player.begin(0, True)
    for _ in range(20):
        player.learn(ROCK, SCISSORS)
    before = player.expected
    player.begin(1, False)
    assert player.expected is before and before.argmax() == SCISSORS
    player.begin(2, True)
    assert np.allclose(player.expected, 1 / 3) and player._thrown == [b"", b""]


def test_the_last_throws_of_the_episode_before_are_learnt_from_once():
    player = ContextMixture()
    player.begin(0, True)
    player.act({"moved": np.array([-1, -1])})
    player.act({"moved": np.array([ROCK, PAPER])})
    player.begin(1, False)
    player.act({"moved": np.array([SCISSORS, ROCK])})
    assert player._thrown == [bytes([PAPER, ROCK]), bytes([ROCK, SCISSORS])]
