"""The adaptation score by hand, what it needs, and how often its interval holds the truth."""

from typing import Any

import numpy as np
import pytest
from repeated import TYPES, fixed, play

from counterplay.evaluate.adaptation import Adaptation, adaptation
from counterplay.evaluate.exact_filter import exact_filter

REFERENCES: dict[str, Any] = {"random": [0.0], "blind": [2.0], "filter": [4.0], "oracle": [5.0]}


def scored(returns: Any, **change: Any) -> Adaptation:
    return adaptation(returns, **(REFERENCES | change))


def test_by_hand():
    found = scored([2.5, 3.5])
    assert found.score is not None and found.share is not None
    assert found.score.estimate == 0.5 and found.share.estimate == 0.6 and found.headroom == 0.4
    assert (found.score.low, found.score.high) == (0.25, 0.75) and found.score.count == 2
    assert str(found) == "0.50 [0.25, 0.75]"


@pytest.mark.parametrize(("returns", "score"), [(1.0, -0.5), (6.0, 2.0), (2.0, 0.0), (4.0, 1.0)])
def test_nothing_is_clipped(returns, score):
    found = scored([returns])
    assert found.score is not None and found.score[:3] == (score, score, score)


@pytest.mark.parametrize(("filter", "printed"), [(2.75, True), (2.74, False), (1.5, False)])
def test_too_little_headroom_is_a_dash(filter, printed):
    found = scored([3.0, 3.1], filter=[filter])
    assert (found.score is not None) == printed
    assert found.share is not None and (printed or str(found) == "-")


def test_where_random_moves_would_score_nothing_does():
    """As against opponents of whom who knows nothing thinks wrongly."""
    assert scored([3.0], random=[2.0]).score is not None
    found = scored([3.0], random=[2.1])
    assert found.score is None and found.share is not None


def test_no_room_at_all_has_no_share_either():
    found = scored([3.0], oracle=[0.0])
    assert found.score is None and found.share is None and np.isnan(found.headroom)


def test_means_are_over_seeds_opponents_and_matches():
    returns = np.array([[[1.0, 3.0], [3.0, np.nan]], [[4.0, 4.0], [1.0, 1.0]]])
    found = scored(returns)
    assert found.score is not None and found.score.estimate == pytest.approx((2.5 - 2) / 2)
    mean = scored(returns, blind=returns)
    assert mean.score is not None and mean.score.estimate == 0


def test_references_spread_the_interval():
    rng = np.random.default_rng(0)
    mine = 3 + 0.1 * rng.normal(size=20)
    known = scored(mine)
    loose = scored(mine, filter=4 + rng.normal(size=(5,)))
    assert known.score is not None and loose.score is not None
    assert loose.score.high - loose.score.low > 2 * (known.score.high - known.score.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, held = np.random.default_rng(1), 0
    for seed in range(150):
        draw = lambda centre, n: centre + 0.4 * rng.normal(size=n)
        found = adaptation(
            draw(3.0, 20),
            random=[0.0],
            blind=draw(2.0, 20),
            filter=draw(4.0, 20),
            oracle=draw(5.0, 20),
            resamples=300,
            seed=seed,
        )
        assert found.score is not None
        held += found.score.low <= 0.5 <= found.score.high
    assert 130 <= held <= 149  # of 150 at 95%, less what a bootstrap of 20 lacks


def test_what_belief_is_worth_in_a_repeated_game():
    """Guess the next move: who uses the filter scores 1, who ignores the other 0."""
    game = play(fixed(4000, 40))
    even = np.full(TYPES, 1 / TYPES)
    held = exact_filter(game.log_likelihood, game.legal, game.moves, even)
    late = exact_filter(np.roll(game.log_likelihood, 1, 1), game.legal, game.moves, even)
    wrong = np.einsum("bty,btya->bta", np.exp(late.log_before), np.exp(game.log_likelihood))
    paid = lambda guess: (guess == game.moves).mean(1).reshape(20, 200)
    blind = game.log_likelihood.mean(2).argmax(-1)  # the last joint move, no memory of who it is
    references = {
        "random": paid(np.random.default_rng(2).integers(0, 2, game.moves.shape)),
        "blind": paid(blind),
        "filter": paid(held.log_predicted.argmax(-1)),
        "oracle": paid(game.log_true.argmax(-1)),
    }
    means = [x.mean() for x in references.values()]
    assert means == sorted(means)
    filter, blind, mistaken = (
        adaptation(paid(x), **references, resamples=200)
        for x in (held.log_predicted.argmax(-1), blind, wrong.argmax(-1))
    )
    assert filter.headroom > 0.15
    assert filter.score is not None and filter.score.low < 1 < filter.score.high
    assert blind.score is not None and blind.score.low < 0 < blind.score.high
    assert mistaken.score is not None and mistaken.score.high < 0.5


def test_rude_input():
    with pytest.raises(ValueError, match="found none"):
        scored([])
    with pytest.raises(ValueError, match="the level of an interval"):
        scored([1.0], level=95)
    with pytest.raises(ValueError, match="least headroom"):
        scored([1.0], least=-1)
