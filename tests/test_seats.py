"""Every place is taken once, by whom it should be, and numbers follow the policies they name."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterplay.seats import Chair, Kind, Numbered, Roster, Seating, bank, shuffle

ONE = Kind("one")


ROSTERS = st.tuples(
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
    st.integers(1, 6),
)


def roster_from(members: list[int], order: list[int], turns: int) -> Roster:
    """All members of a kind sit down side by side; every table is the last one turned by a seat."""
    used = sorted(set(order))
    kinds = tuple(Kind(f"kind {kind}", members=members[kind]) for kind in used)
    table = [Chair(used.index(kind), m) for kind in order for m in range(members[kind])]
    return Roster(kinds, tuple(tuple(table[t:] + table[:t]) for t in range(min(turns, len(table)))))


@given(ROSTERS, st.integers(1, 3))
def test_every_place_is_taken_once_and_by_whom_the_table_says(recipe, each):
    roster = roster_from(*recipe)
    lanes = each * len(roster.tables)
    seating = roster.seating(lanes)
    holder = np.full((lanes * roster.num_seats, 2), -1)
    for kind, places in enumerate(seating.places):
        for member, row in enumerate(places):
            assert (holder[row] == -1).all(), "taken twice"
            holder[row] = kind, member
    for lane in range(lanes):
        table = roster.tables[lane // each]
        found = holder.reshape(lanes, -1, 2)[lane]
        assert [Chair(*chair) for chair in found.tolist()] == list(table)


@given(ROSTERS, st.integers(1, 3))
def test_put_is_the_inverse_of_take(recipe, each):
    roster = roster_from(*recipe)
    seating = roster.seating(each * len(roster.tables))
    size = seating.lanes * seating.num_seats
    plain = np.arange(size).reshape(seating.lanes, seating.num_seats)
    for x in (plain, np.stack([plain, -plain], axis=2)):
        parts = [seating.take(x, kind) for kind in range(len(seating.kinds))]
        assert [p.shape[:2] for p in parts] == [p.shape for p in seating.places]
        assert np.array_equal(seating.put([jnp.asarray(p) for p in parts]), x)
    for kind, places in enumerate(seating.places):
        assert np.array_equal(seating.take(plain, kind), places), "place is lane * N + seat"


def test_two_tables_by_hand():
    kinds = (Kind("self", learner=True), Kind("bank", members=2))
    me, a, b = Chair(0, 0), Chair(1, 0), Chair(1, 1)
    seating = Roster(kinds, ((me, a), (b, me))).seating(4)
    assert seating.places[0].tolist() == [[0, 2, 5, 7]]
    assert seating.places[1].tolist() == [[1, 3], [4, 6]]
    x = jnp.array(np.array("a") == [["me", "a"], ["me", "a"], ["b", "me"], ["b", "me"]])
    assert seating.take(x, 1).tolist() == [[True, True], [False, False]]


def test_ids_number_learners_members_and_the_rules_of_a_mixture():
    kinds = (
        Kind("own", members=2, learner=True, first_id=0),
        Kind("a,b,c", first_id=2),
        Kind("late", first_id=5),
    )
    seats = (Chair(0, 0), Chair(1, 0), Chair(0, 1), Chair(2, 0))
    seating = Roster(kinds, (seats,)).seating(3)
    none = [jnp.zeros(p.shape, jnp.int32) for p in seating.places]
    ids = seating.ids([none[0], jnp.array([[2, 0, 1]]), none[2]])
    assert ids.tolist() == [[0, 4, 1, 5], [0, 2, 1, 5], [0, 3, 1, 5]]


def test_lanes_for_is_the_smallest_number_that_all_tables_and_shards_can_share():
    roster = Roster((ONE,), ((Chair(0, 0),),) * 3)
    found = [roster.lanes_for(wanted) for wanted in (1, 3, 4, 9)]
    assert found == [3, 3, 6, 9]
    assert [roster.lanes_for(wanted, shards=2) for wanted in (1, 6, 7)] == [6, 6, 12]
    assert roster.seating(found[2]).lanes == 6


def test_lanes_that_cannot_be_shared_are_refused():
    roster = Roster((ONE,), ((Chair(0, 0),),) * 3)
    with pytest.raises(ValueError, match="4 lanes cannot be shared by 3 tables; use 6"):
        roster.seating(4)


def test_members_at_unequal_places_are_refused():
    roster = Roster((Kind("pair", members=2),), ((Chair(0, 0), Chair(0, 0), Chair(0, 1)),))
    with pytest.raises(ValueError, match="members of pair sit at unequal places"):
        roster.seating(2)


@pytest.mark.parametrize(
    ("places", "found"),
    [([[0, 1, 2]], "3 places taken, 3 of them"), ([[0, 1, 2, 2]], "4 places taken, 3 of them")],
)
def test_a_seating_with_gaps_or_doubles_is_refused(places, found):
    with pytest.raises(
        ValueError, match=f"2 lanes of 2 seats need every place once, found {found}"
    ):
        Seating(2, 2, (ONE,), (np.array(places),))


class Weighted(eqx.Module):
    """A policy that records its weight."""

    weight: Any

    def begin(self, key, memory):
        return self.weight

    def act(self, key, memory, view, greedy: bool):
        return self.weight + view


def test_the_number_of_a_bank_member_follows_its_parameters():
    dealt = bank([Weighted(jnp.array([10.0 * i, 1.0])) for i in range(6)])
    assert dealt.policy.weight.shape == (6, 2) and dealt.number.tolist() == list(range(6))
    rule = Weighted(None)
    orders = set()
    for seed in range(5):
        again, same = shuffle((dealt, rule), jr.key(seed))
        assert same is rule, "a rule has nothing to deal"
        assert sorted(again.number.tolist()) == list(range(6))
        assert (again.policy.weight[:, 0] == 10 * again.number).all()
        member = jax.vmap(lambda policy: policy.member(None))(again)
        assert member.tolist() == again.number.tolist()
        orders.add(tuple(again.number.tolist()))
    assert len(orders) > 1, "it does shuffle"


def test_two_banks_are_dealt_independently():
    banks = tuple(bank([Weighted(jnp.float32(i)) for i in range(8)]) for _ in range(2))
    dealt = [shuffle(banks, jr.key(seed)) for seed in range(3)]
    assert any((a.number != b.number).any() for a, b in dealt)


def test_a_numbered_policy_plays_as_it_did():
    numbered = Numbered(Weighted(jnp.float32(3)), jnp.int32(7))
    assert numbered.begin(jr.key(0), None) == 3
    assert numbered.act(jr.key(0), None, 2, False) == 5
    assert numbered.member(None) == 7
