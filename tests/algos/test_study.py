"""What readers learn from, against plain loops over a recorded chunk."""

from dataclasses import replace
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray
from meadow import SEATS, Meadow, spoilt

from counterplay.algos.study import Study, of_others, studies
from counterplay.models.history import as_record, seen_in
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Kind, Roster, Seating
from counterplay.types import NO_EVENT, NO_MOVE, Act, Memory, View

LANES, SLOTS = 4, 9


class Noting(eqx.Module):
    """Moves at random, notes what it saw, and counts its moves in the second of two memories."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return (jnp.zeros(0), (jnp.zeros(1), ())) if memory is None else memory

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        action = jr.randint(key, (), 0, view.legal.shape[0])
        return Act(action, (memory[0], (memory[1][0] + 1, ())), as_record(seen_in(view)))


SEATING = Roster(
    (
        Kind("learner", policy=Noting()),
        Kind("one", policy=Noting(), first_id=4),
        Kind("two", policy=Noting(), first_id=7),
    ),
    ((Chair(0, 0), Chair(1, 0), Chair(2, 0)), (Chair(2, 0), Chair(0, 0), Chair(1, 0))),
).seating(LANES)


@cache
def chunk() -> Chunk:
    """The second chunk of play: it begins in the middle of matches."""
    policies = (jax.tree.map(lambda x: x[None], Noting()),) * 3

    @jax.jit
    def play(key):
        lanes = open_lanes(Meadow(), SEATING, policies, key)
        lanes, _ = collect(Meadow(), SEATING, policies, lanes, jr.key(1), slots=SLOTS, match=2)
        return collect(Meadow(), SEATING, policies, lanes, jr.key(2), slots=SLOTS, match=2)[1]

    return jax.tree.map(np.asarray, play(jr.key(0)))


study = jax.jit(studies, static_argnums=(0, 1))


def by_loop(seating: Seating, played: Chunk) -> dict[str, np.ndarray]:
    """What the places of the learner saw and met, slot by slot."""
    slots = played.slots
    places = seating.places[0][0]
    one, each = (len(places), SLOTS), (len(places), SLOTS, SEATS - 1)
    out: dict[str, Any] = {
        "acting": np.zeros(one, bool), "contact": np.zeros(one, bool), "obs": np.zeros((*one, 3)),
        "moves": np.full(each, NO_MOVE), "there": np.zeros(each, bool),
        "opponent": np.zeros(each, int), "event": np.full(each, NO_EVENT),
        "goes_on": np.zeros(each, bool), "stays": np.zeros(one, bool),
        "theirs": np.zeros((*each, 3)),
    }  # fmt: skip
    for p, place in enumerate(places):
        lane, me = divmod(int(place), SEATS)
        for t in range(SLOTS):
            here = {name: x[lane, t] for name, x in slots.items()}
            out["contact"][p, t] = here["contact"]
            if here["alive"][me]:
                out["acting"][p, t], out["obs"][p, t] = True, here["obs"][me]
                out["stays"][p, t] = not here["left"][me] and not here["terminated"]
            for k in range(1, SEATS):
                j, at = (me + k) % SEATS, (p, t, k - 1)
                out["opponent"][at] = here["opponent_id"][j]
                if not here["alive"][j]:
                    continue
                out["there"][at], out["event"][at] = True, here["event"][j]
                out["goes_on"][at] = not here["left"][j] and not here["terminated"]
                out["theirs"][at] = here["obs"][j]
                if here["alive"][me] and here["visible"][me, j]:
                    out["moves"][at] = here["actions"][j]
    return out


def test_studies_are_what_a_loop_over_lanes_slots_and_seats_finds():
    found, wanted = study(SEATING, 0, chunk()), by_loop(SEATING, chunk())
    for name, x in wanted.items():
        got = np.asarray(getattr(found, name))
        assert got.shape == (1, *x.shape)
        assert np.array_equal(got[0], x.astype(got.dtype)), name
    there, acting, moves = wanted["there"], wanted["acting"], wanted["moves"]
    assert (there & acting[..., None] & (moves == NO_MOVE)).any(), "out of sight"
    assert (there & ~acting[..., None]).any() and (~there & acting[..., None]).any()
    assert {4, 7} == set(wanted["opponent"].ravel())
    assert chunk().slots["closing"].any() and wanted["contact"].any()
    assert (wanted["event"] >= 0).any()


def test_what_was_seen_is_what_the_views_of_that_slot_held():
    found = study(SEATING, 0, chunk())
    record = chunk().records[0]
    acting = np.asarray(found.acting)
    for name in found.seen._fields:
        got, kept = np.asarray(getattr(found.seen, name)), record[f"seen_{name}"]
        assert np.array_equal(got[acting], kept[acting]), name
        assert (got[~acting] == 0).all(), name
    # the moves of a slot that were seen are those that the next view shows
    moves, seen = np.asarray(found.moves)[0], np.asarray(found.seen.moved)[0]
    both = acting[0][:, :-1] & acting[0][:, 1:] & ~np.asarray(found.contact)[0][:, 1:]
    assert both.any()
    shown = seen[:, 1:, 1:][both]
    assert np.array_equal(shown, moves[:, :-1][both])


def test_the_readers_memory_is_that_before_the_first_slot():
    found = study(SEATING, 0, chunk())
    assert np.array_equal(found.memory[0], chunk().memories[0][1][0])
    assert (np.asarray(found.memory[0]) > 0).any()


def turned(seating: Seating, played: Chunk) -> tuple[Seating, Chunk]:
    """The same play with everybody one seat further on."""
    n = seating.num_seats
    orders, places = [], []
    for old in seating.places:
        new = old // n * n + (old + 1) % n
        order = np.argsort(new, axis=1)
        orders.append(order)
        places.append(np.take_along_axis(new, order, 1))
    slots = {}
    for name, x in played.slots.items():
        if name == "visible":
            slots[name] = np.roll(x, (1, 1), (2, 3))
        else:
            slots[name] = np.roll(x, 1, 2) if x.ndim > 2 else x
    put = lambda tree, order: jax.tree.map(lambda x: x[:, order[0]], tree)
    return replace(seating, places=tuple(places)), played._replace(
        slots=slots,
        records=tuple(put(r, o) for r, o in zip(played.records, orders, strict=True)),
        memories=tuple(put(m, o) for m, o in zip(played.memories, orders, strict=True)),
    )


def test_whoever_sits_one_seat_further_on_studies_the_same():
    seating, moved = turned(SEATING, chunk())
    assert not np.array_equal(seating.places[0], SEATING.places[0])
    was = (seating.places[0][0] // SEATS) * SEATS + (seating.places[0][0] - 1) % SEATS
    order = [SEATING.places[0][0].tolist().index(place) for place in was]
    a, b = study(SEATING, 0, chunk()), study(seating, 0, moved)
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    for old, new in pairs:
        assert np.array_equal(np.asarray(old)[:, order], new)


def test_what_the_absent_hold_reaches_no_study():
    clean, odd = study(SEATING, 0, chunk()), study(SEATING, 0, spoilt(SEATING, chunk()))
    for name in set(Study._fields) - {"memory", "record", "label", "segment"}:
        pairs = (jax.tree.leaves(getattr(s, name)) for s in (clean, odd))
        assert all(np.array_equal(a, b) for a, b in zip(*pairs, strict=True)), name


def test_others_are_counted_from_me_on():
    x = jnp.broadcast_to(jnp.arange(SEATS), (LANES, SLOTS, SEATS))
    found = of_others(SEATING, 0, x)
    seats = SEATING.places[0] % SEATS
    for k in range(1, SEATS):
        assert np.array_equal(found[:, :, 0, k - 1], (seats + k) % SEATS)
