"""Windows of one place: what it saw of each slot, and where its episodes begin and end."""

import numpy as np
from models.world_games import Written, window

GAME = Written()
LEAVES = {
    "actions": [[0, 1], [1, -1], [1, 0], [0, 0]],
    "reward": [[0, 5], [2, np.nan], [0, 1], [0, 0]],
    "event": [[-1, 0], [0, -1], [-1, -1], [-1, -1]],
    "alive": [[1, 1], [1, 0], [1, 1], [1, 1]],
    "continues": [[1, 0], [0, 0], [1, 1], [1, 1]],
    "contact": [1, 0, 0, 0],
    "time": [0, 1, 0, 1],
    "obs": [[[1], [2]], [[3], [np.nan]], [[5], [6]], [[7], [8]]],
}
"""Seat 1 leaves at once with 5; seat 0 ends the episode; then the match's second begins."""


def test_who_stays_sees_everything():
    mine = window(GAME, 0, 4, **LEAVES)
    assert mine.obs[:, 0].tolist() == [1, 3, 5, 7] and mine.shown.all() and mine.acting.all()
    assert mine.joint.tolist() == [[0, 1], [1, -1], [1, 0], [0, 0]]
    assert mine.reward.tolist() == [0, 2, 0, 0]
    assert mine.follows.tolist() == [True, False, True, False], "the last one is not in the window"
    assert mine.continues.tolist() == [[True, False], [False, False], [True, True], [True, True]]
    seen = mine.seen
    assert seen.moved.tolist() == [[-1, -1], [0, 1], [1, -1], [1, 0]], "also across the episodes"
    assert seen.reward.tolist() == [0, 0, 2, 0]
    assert seen.event.tolist() == [[-1, -1], [-1, 0], [0, -1], [-1, -1]]
    assert seen.alive.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    assert seen.first.tolist() == [True, False, True, False]


def test_who_left_is_shown_nothing_until_the_next_episode():
    mine = window(GAME, 1, 4, **LEAVES)
    assert mine.obs[:, 0].tolist() == [2, 0, 6, 8], "what was not shown is zero, and no NaN"
    assert mine.shown.tolist() == mine.acting.tolist() == [True, False, True, True]
    assert mine.joint.tolist() == [[1, 0], [-1, 1], [0, 1], [0, 0]], "itself first"
    assert mine.reward.tolist() == [5, 0, 1, 0] and mine.event[0].tolist() == [0, -1]
    assert mine.follows.tolist() == [False, False, True, False]
    assert mine.seen.moved.tolist() == [[-1, -1], [0, 0], [-1, 1], [0, 1]], "zeros, as all there"


def test_a_closing_slot_shows_and_is_followed_by_nothing():
    given = {
        "actions": [[0, 1], [-1, -1], [1, 1], [0, 0]],
        "alive": [[1, 1], [0, 0], [1, 1], [1, 1]],
        "continues": [[1, 1], [0, 0], [1, 1], [1, 1]],
        "closing": [0, 1, 0, 0],
        "contact": [0, 0, 0, 0],
        "time": [3, 4, 0, 1],
    }
    mine = window(GAME, 0, 4, **given)
    assert mine.shown.tolist() == [True, True, True, True]
    assert mine.acting.tolist() == [True, False, True, True]
    assert mine.follows.tolist() == [True, False, True, False]
    moved = [[-1, -1], [0, 1], [0, 1], [1, 1]]
    assert mine.seen.moved.tolist() == moved, "the closing slot moved nobody"
    again = window(GAME, 0, 4, **given | {"contact": [0, 0, 1, 0]})
    assert again.seen.moved[2].tolist() == [-1, -1] and again.seen.reward[2] == 0
    left = window(GAME, 0, 4, **given | {"continues": [[0, 1], [0, 0], [1, 1], [1, 1]]})
    assert left.shown.tolist() == [True, False, True, True], "who left before is not shown the end"
    dropped = window(GAME, 0, 4, **given | {"filled": [1, 0, 1, 1]})
    assert dropped.shown[:2].tolist() == [True, False] and not dropped.follows[0]


def test_what_is_not_public_is_not_seen():
    hidden = Written(public_legal=False, public_events=False)
    sees = np.broadcast_to([[True, False], [True, True]], (4, 2, 2))
    given = LEAVES | {"visible": sees, "avail_actions": np.zeros((4, 2, 2))}
    mine, other = (window(hidden, seat, 4, **given) for seat in (0, 1))
    assert mine.seen.moved.tolist() == [[-1, -1], [0, -1], [1, -1], [1, -1]]
    assert mine.joint.tolist() == [[0, 1], [1, -1], [1, 0], [0, 0]], "known while training"
    assert mine.seen.event.tolist() == [[-1, -1], [-1, -1], [0, -1], [-1, -1]]
    assert mine.seen.legal.all() and not mine.legal.any()
    assert other.seen.moved[3].tolist() == [0, 1], "who sees all"
