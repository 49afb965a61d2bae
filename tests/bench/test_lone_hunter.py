"""A lone stag hunter that never succeeds is recognised, by a reader that was trained on rules."""

from functools import cache

import numpy as np
import pytest

from counterplay.algos.goal_ppo import Config, GoalReader
from counterplay.bench import lone_hunter
from counterplay.bench.lone_hunter import GAME, SETTINGS, Believed
from counterplay.opponents.rule import Rule
from counterplay.opponents.stag_hunt import nearest_hare, nearest_stag


@cache
def trained() -> GoalReader:
    """On trembling hunters of both kinds, beside one who hunts stags or stays."""
    reader, losses = lone_hunter.trained(Config(**SETTINGS), 0)
    assert losses[-4:].mean() < 0.8 * losses[:2].mean()
    return reader


@cache
def believed(other: Rule) -> Believed:
    return lone_hunter.believed(trained(), other)


def test_a_lone_stag_hunter_that_never_succeeds_is_recognised():
    """By most, when five of its moves were seen, and by few taken for the other kind."""
    stag, _, there = believed(nearest_stag(GAME, 0.1))
    assert there.all(), "it catches nothing and never leaves"
    assert np.median(stag[:, 5]) > 0.9
    assert (stag[:, 5] > 0.5).mean() > 0.8
    assert np.median(stag[:, -1]) > 0.9, "and it stays so"


def test_who_caught_a_hare_by_a_tremble_is_not_asked_about():
    moves = lone_hunter.MOVES
    there = np.ones((4, 8), bool)
    there[0, 3:] = there[1, moves:] = False  # before the moves were seen, and by the last of them
    there[2, moves + 1 :] = False
    stag = np.full((4, 8), 0.2)
    stag[2:, moves] = 0.95, 0.4
    told = lone_hunter.shares(Believed(stag, np.full_like(stag, 0.99), there))
    assert told["lanes"] == 2 and told["reader"] == {"share": 0.5, "median": pytest.approx(0.675)}
    assert told["exact"] == {"share": 1.0, "median": pytest.approx(0.99)}
    with pytest.raises(ValueError, match="no hunter is left after 5 moves, of 4 lanes"):
        lone_hunter.shares(Believed(stag, stag, np.zeros_like(there)))


def test_other_seeds_watch_other_episodes():
    rule = nearest_stag(GAME, 0.1)
    one, same, other = (lone_hunter.believed(trained(), rule, 8, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.exact, same.exact) and not np.array_equal(one.exact, other.exact)


def test_five_moves_tell_who_knows_the_rules_in_every_lane():
    """So a start from which both kinds of prey lie the same way is no excuse, nor are trembles."""
    _, exact, _ = believed(nearest_stag(GAME, 0.1))
    assert (exact[:, 0] == 0.5).all() and (exact[:, 5] > 0.9).all()


@pytest.mark.xfail(strict=True, reason="after so short a training some lanes are not told yet")
def test_and_five_moves_tell_the_reader_in_every_lane():
    """A stretch without event is labelled by what its moves make likely, so what is learnt first
    are the clear cases; ``bench reading`` trains sixty times as long."""
    assert (believed(nearest_stag(GAME, 0.1)).stag[:, 5] > 0.9).all()


def test_and_a_hare_hunter_is_taken_for_none():
    stag, _, there = believed(nearest_hare(GAME, 0.1))
    late = there[:, 2]
    assert late.sum() > 5
    assert np.median(stag[:, 2][late]) < 0.4
