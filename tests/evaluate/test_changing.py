"""Returns around a switch, worked by hand."""

from typing import Any

import numpy as np
import pytest

from counterplay.evaluate.changing import around, recovered
from counterplay.evaluate.watching import Watching


def watching(mode: list[list[int]], reward: list[list[float]], length: int) -> Watching:
    """One other, whose mode is -1 after the match; episodes of ``length`` slots."""
    b, t = np.shape(mode)
    pair = lambda x, mine: np.stack([np.full((b, t), mine), np.array(x)], -1)
    valid = np.array(mode) >= 0
    earned = np.array(reward, float)
    clock = np.broadcast_to(np.arange(t), (b, t))
    so_far = earned.reshape(b, -1, length).cumsum(2).reshape(b, t)
    fields: dict[str, Any] = dict.fromkeys(Watching._fields)
    fields |= {"valid": valid, "alive": np.repeat(valid[..., None], 2, 2)}
    fields |= {"mode": pair(mode, 0), "reward": np.stack([earned, earned * 0], -1)}
    fields |= {"returns": np.stack([so_far, so_far * 0], -1), "episode": clock // length}
    fields |= {"ended": valid & (clock % length == length - 1), "time": clock % length}
    return Watching(**fields)


def means(found: dict[str, Any] | None) -> dict[int, float]:
    assert found is not None
    return {point["x"]: point["mean"] for point in found["points"]}


def test_a_curve_reaches_from_one_end_of_the_match_to_the_other():
    found = around(watching([[0] * 4 + [1] * 4], [[1, 1, 1, 2, 5, 6, 7, 8]], 8))
    assert found is not None and found["unit"] == "slots"
    assert means(found) == {-4: 1, -3: 1, -2: 1, -1: 2, 0: 5, 1: 6, 2: 7, 3: 8}
    assert all(point["low"] is None and point["matches"] == 1 for point in found["points"])


def test_it_does_not_cross_another_switch():
    """Slots 2 and 4 begin new modes: (0 + 2) / 2 two slots before, (1 + 3) / 2 one before."""
    found = around(watching([[0, 0, 1, 1, 0, 0]], [[0, 1, 2, 3, 4, 5]], 6))
    assert means(found) == {-2: 1, -1: 2, 0: 3, 1: 4}
    assert means(around(watching([[0, 0, 1, 1, 0, 0]], [[0, 1, 2, 3, 4, 5]], 6), 1)) == {
        -1: 2,
        0: 3,
    }


def test_matches_count_alike_and_give_the_interval():
    """Two matches earn 4 and 8 at the switch: 6, and t(.975, 1) = 12.706 times 2 about it."""
    w = watching([[0, 0, 1, -1], [0, 1, 1, -1]], [[1, 1, 4, 0], [3, 8, 9, 0]], 4)
    found = around(w)
    assert means(found) == {-2: 1, -1: 2, 0: 6, 1: 9}
    assert found is not None
    (at,) = [point for point in found["points"] if point["x"] == 0]
    assert at["matches"] == 2 and at["high"] - 6 == pytest.approx(12.7062047 * 2)


def test_of_several_episodes_their_returns_are_shown():
    w = watching([[0, 0, 0, 0, 1, 1, 1, 1]], [[1, 1, 2, 2, 3, 3, 4, 4]], 2)
    found = around(w)
    assert found is not None and found["unit"] == "episodes"
    assert means(found) == {-2: 2, -1: 4, 0: 6, 1: 8}


def test_nobody_changes_nothing_is_shown():
    assert around(watching([[0] * 6], [[1.0] * 6], 3)) is None
    assert recovered(watching([[0] * 6], [[1.0] * 6], 3)) is None
