"""The game of scissors worked out by hand. Boards are 9x9, cell = 9 row + column; centre 40."""

from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.envs.board import UNSEEN
from counterplay.envs.scissors import (
    CHALLENGE,
    DOWN,
    HOLDINGS,
    LEFT,
    PILES,
    RIGHT,
    STAY,
    UP,
    State,
    codes,
    pile_cells,
)
from counterplay.types import NO_EVENT

ENV: Any = envs.make("scissors")
STEP = jax.jit(ENV.step)
NOTHING = (0, 0, 0)
CENTRE = 40


def at(players, held=(NOTHING, NOTHING), time=0, seen=(UNSEEN,) * 2, age=(UNSEEN,) * 2):
    fields = (players, held, seen, age, time)
    return State(*(jnp.asarray(field, jnp.int32) for field in fields))


def step(state, *moves):
    return STEP(state, jnp.array(moves))


def code(*held: int) -> int:
    return HOLDINGS.index(held)


def test_piles_lie_six_steps_from_a_corner_twice_each():
    for piles in PILES.values():
        far = [(row + col, 16 - row - col) for row, col in piles]
        assert [one for one, _ in far].count(6) == [other for _, other in far].count(6) == 2
    assert len({pile for piles in PILES.values() for pile in piles}) == 12


def test_collections_are_coded_four_of_a_kind_first():
    assert len(HOLDINGS) == len(set(HOLDINGS)) == 35 == ENV.num_goals
    assert {h for h in product(range(5), repeat=3) if sum(h) <= 4} == {*HOLDINGS}
    assert HOLDINGS[:3] == ((4, 0, 0), (0, 4, 0), (0, 0, 4))
    np.testing.assert_array_equal(codes(jnp.array(HOLDINGS)), np.arange(35))


@pytest.mark.parametrize("kind", range(3))
def test_a_pile_gives_one_thing_a_step_to_who_stands_on_it(kind):
    piles, thing = pile_cells(kind), np.eye(3, dtype=int)[kind]
    for pile in piles:
        after, _ = step(at((pile, 80)), STAY, STAY)
        assert after.held.tolist() == [thing.tolist(), [0, 0, 0]]
    above = piles[1] - 9
    after, _ = step(at((above, 80)), DOWN, STAY)
    assert after.held[0].tolist() == thing.tolist(), "arriving is enough"
    after, _ = step(at((piles[1], 80)), UP, STAY)
    assert after.held[0].tolist() == [0, 0, 0], "who leaves gets nothing"


def test_nobody_holds_more_than_four_and_both_may_use_a_pile():
    pile = pile_cells(0)[0]
    state, counts = at((pile, pile), ((0, 2, 0), NOTHING)), []
    for _ in range(5):
        state, _ = step(state, STAY, STAY)
        counts.append(state.held[:, 0].tolist())
    assert counts == [[1, 1], [2, 2], [2, 3], [2, 4], [2, 4]]


@pytest.mark.parametrize(
    ("cells", "time", "legal"),
    [
        ((40, 40), 8, True),
        ((40, 42), 8, True),
        ((40, 50), 8, True),
        ((40, 43), 8, False),
        ((40, 51), 20, False),  # a row and two columns away
        ((40, 60), 20, False),  # two rows and two columns away, and in sight
        ((40, 41), 7, False),
    ],
)
def test_a_challenge_is_legal_within_two_steps_from_slot_eight_on(cells, time, legal):
    _, shown = step(at(cells, time=time - 1), STAY, STAY)
    assert shown.legal[:, CHALLENGE].tolist() == [legal] * 2
    for moves in ((CHALLENGE, STAY), (STAY, CHALLENGE), (CHALLENGE, CHALLENGE)):
        _, shown = step(at(cells, time=time), *moves)
        assert bool(shown.terminated) == legal
        assert shown.obs[0, 7] == time + 1


PAID = {
    "paper beats rock": ((0, 4, 0), (4, 0, 0), 1),
    "scissors beat paper": ((0, 0, 4), (0, 4, 0), 1),
    "rock beats scissors": ((1, 0, 0), (0, 0, 4), 1),
    "the same": ((4, 0, 0), (2, 0, 0), 0),
    "nothing is a third of each": (NOTHING, (4, 0, 0), 0),
    "mixed against paper": ((2, 1, 1), (0, 4, 0), -0.25),
    "mixed against scissors": ((2, 1, 1), (0, 0, 3), 0.25),
    "shares of what is held": ((1, 1, 0), (0, 2, 2), -0.25),
}


@pytest.mark.parametrize(("mine", "other", "gain"), PAID.values(), ids=PAID)
def test_pay_offs(mine, other, gain):
    after, shown = step(at((CENTRE, 41), (mine, other), time=12), CHALLENGE, RIGHT)
    assert shown.reward.tolist() == [gain, -gain]
    assert shown.event.tolist() == [code(*mine), code(*other)], "both are revealed"
    assert after.players.tolist() == [CENTRE, 41], "whoever moves is too late"


def test_pay_offs_sum_to_zero_and_turn_with_the_seats():
    held = jnp.array(list(product(HOLDINGS, repeat=2)), jnp.int32)
    moves = jnp.array([STAY, CHALLENGE])
    one = lambda h: ENV.step(at((40, 40), time=9)._replace(held=h), moves)[1].reward
    paid = np.asarray(jax.jit(jax.vmap(one))(held)).reshape(35, 35, 2)
    np.testing.assert_allclose(paid[..., 0], -paid[..., 1], atol=0)
    np.testing.assert_allclose(paid[..., 0], -paid[..., 0].T, atol=1e-6)
    assert abs(paid).max() == 1 and (abs(paid[code(0, 0, 0)]) < 1e-6).all()


def test_things_of_the_step_of_a_challenge_come_too_late():
    pile = pile_cells(1)[2]
    after, shown = step(at((pile, pile), ((4, 0, 0), NOTHING), time=9), CHALLENGE, STAY)
    assert after.held[1].tolist() == [0, 0, 0] and shown.reward.tolist() == [0, 0]


def test_at_the_horizon_it_is_decided_by_itself_after_the_moves():
    pile = pile_cells(1)[0]
    _, shown = step(at((0, pile), ((4, 0, 0), NOTHING), time=23), STAY, STAY)
    assert not shown.terminated and shown.event.tolist() == [NO_EVENT] * 2
    _, shown = step(at((0, pile), ((4, 0, 0), NOTHING), time=24), STAY, STAY)
    assert shown.terminated and not shown.truncated
    assert shown.reward.tolist() == [-1, 1]
    assert shown.event.tolist() == [code(4, 0, 0), code(0, 1, 0)]


def test_what_the_other_holds_is_never_shown():
    cells, mine = (CENTRE, 50), (1, 2, 0)
    shown = [step(at(cells, (mine, other)), STAY, STAY)[1] for other in (NOTHING, (0, 0, 4))]
    np.testing.assert_array_equal(shown[0].obs[0], shown[1].obs[0])
    assert shown[0].obs[0].tolist() == [CENTRE, 50, 50, *mine, 0, 1]
    assert shown[1].obs[1].tolist() == [50, CENTRE, CENTRE, 0, 0, 4, 0, 1]
    assert not ENV.public_legal and ENV.public_events


def test_sight_and_its_memory():
    cells = np.arange(81)
    near = [c for c in cells if max(abs(c // 9 - 4), abs(c % 9 - 4)) <= 2]
    sees = ENV.sees(jnp.full(81, CENTRE), jnp.arange(81))
    assert np.flatnonzero(sees).tolist() == near and len(near) == 25
    state, told = at((CENTRE, 42)), []
    for move in (RIGHT, RIGHT, LEFT):
        state, shown = step(state, STAY, move)
        told.append((shown.obs[0, [1, 2, 6]].tolist(), bool(shown.visible[0, 1])))
    # seen to leave from column 6, out of sight in 7 and 8
    assert told == [([UNSEEN, UNSEEN, UNSEEN], True), ([UNSEEN, UNSEEN, UNSEEN], False),
                    ([UNSEEN, UNSEEN, UNSEEN], False)]  # fmt: skip
    state, shown = step(state, STAY, LEFT)
    assert shown.obs[0, [1, 2, 6]].tolist() == [42, 42, 0]
    state, shown = step(state, LEFT, RIGHT)
    assert shown.obs[0, [1, 2, 6]].tolist() == [UNSEEN, 42, 1]


def test_starts_in_the_corners_with_nothing():
    state, shown = ENV.reset(jr.key(0))
    assert state.players.tolist() == [0, 80] and not state.held.any()
    assert shown.obs.tolist() == [[c, UNSEEN, UNSEEN, 0, 0, 0, UNSEEN, 0] for c in (0, 80)]
    assert shown.legal.astype(int).tolist() == [[0, 1, 0, 1, 1, 0], [1, 0, 1, 0, 1, 0]]
    assert (ENV.horizon, ENV.view) == (25, 2)


def test_planes_things_and_clock():
    _, shown = step(at((CENTRE, 50), ((1, 2, 0), NOTHING), time=4), STAY, UP)
    encoded = ENV.encode(shown.obs[0])
    assert encoded.shape == (3 * 81 + 5,)
    assert [np.flatnonzero(p).tolist() for p in encoded[:243].reshape(3, 81)] == [[40], [41], [41]]
    np.testing.assert_allclose(encoded[243:], [0.25, 0.5, 0, 0, 5 / 25])


def test_words_of_the_picture():
    words = ENV.render(at((CENTRE, 13), ((0, 2, 1), NOTHING), 3)).text.splitlines()
    assert words[0] == "slot 3 of 25"
    assert words[2].split() == [".", ".", ".", ".", ".1", "R", ".", ".", "."]
    assert words[-2:] == ["0 holds PP S", "1 holds nothing"]
    assert sum(word.startswith("R") for line in words[1:10] for word in line.split()) == 4


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("view=-1", r"scissors: view must be at least 0, found -1"),
        ("horizon=0", r"scissors: horizon must be 1 to 254, found 0"),
        ("size=5", r"setting of scissors 'size'"),
    ],
)
def test_what_cannot_be_played_is_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        envs.make(f"scissors:9x9,{setting}")
