"""What readers learn from, against plain loops over a recorded chunk."""

from dataclasses import replace
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray
from probes import Probe, State

from counterplay.algos.study import Study, of_others, studies
from counterplay.models.history import as_record, seen_in
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Kind, Roster, Seating
from counterplay.types import NO_EVENT, NO_MOVE, Act, Memory, View

LANES, SLOTS, SEATS = 4, 9, 3


class Meadow(Probe):
    """Each seat leaves after 1 to 4 moves, drawn for the game, completing a goal; nobody sees far.

    Action 2 completes goal 2 and does not make anybody leave. Observations tell seat and time.
    """

    num_seats = SEATS
    num_actions = 3
    num_goals = 3
    obs_shape = (3,)
    public_legal = False
    public_events = False

    def earns(self, state: State, actions: Int[Array, " N"]) -> Array:
        return 10.0 * jnp.arange(1, 4) + state.time + 0.1 * actions

    def step(self, state: State, actions: Int[Array, " N"]):
        after, shown = super().step(state, actions)
        stays = jnp.where(actions == 2, 2, NO_EVENT)
        leaves = self._stays(state) == after.time
        event = jnp.where(leaves, jnp.arange(3) % 2, stays)
        return after, eqx.tree_at(lambda s: s.event, shown, event.astype(jnp.int32))

    def shows(self, state: State) -> dict[str, Any]:
        alive = state.time < self._stays(state)
        far = (jnp.arange(3)[:, None] + 2 * jnp.arange(3)[None] + state.time) % 4 == 0
        obs = jnp.stack([jnp.arange(3.0), jnp.full(3, state.time * 1.0), jnp.full(3, state.lot)], 1)
        return {
            "obs": obs + 1,
            "alive": alive,
            "legal": jnp.ones((3, 3), bool) & alive[:, None],
            "visible": ~far | jnp.eye(3, dtype=bool),
            "terminated": ~alive.any(),
            "truncated": alive.any() & (state.time >= 3),
        }

    def _stays(self, state: State) -> Int[Array, " N"]:
        return 1 + (state.lot * 97 * (1 + jnp.arange(3)) % 1.0 * 4).astype(jnp.int32)


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
        size = {"slots": SLOTS, "match": 2}
        lanes, _ = collect(Meadow(), SEATING, policies, lanes, jr.key(1), **size)
        return collect(Meadow(), SEATING, policies, lanes, jr.key(2), **size)[1]

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
        "goes_on": np.zeros(each, bool), "theirs": np.zeros((*each, 3)),
    }  # fmt: skip
    for p, place in enumerate(places):
        lane, me = divmod(int(place), SEATS)
        for t in range(SLOTS):
            here = {name: x[lane, t] for name, x in slots.items()}
            out["contact"][p, t] = here["contact"]
            if here["alive"][me]:
                out["acting"][p, t], out["obs"][p, t] = True, here["obs"][me]
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


def spoilt(played: Chunk, with_: float = np.nan) -> Chunk:
    """What the slots of absent players hold, made NaN wherever it can be."""
    absent = ~played.slots["alive"]
    slots = dict(played.slots)
    for name in ("obs", "reward"):
        slots[name] = slots[name].copy()
        slots[name][absent] = with_

    def rotten(kind: int, x: np.ndarray) -> np.ndarray:
        gone = np.asarray(SEATING.take(jnp.moveaxis(jnp.asarray(absent), 2, 1), kind))
        if np.issubdtype(x.dtype, np.floating):
            x = x.copy()
            x[gone] = with_
        return x

    records = tuple(
        {name: rotten(i, np.asarray(x)) for name, x in record.items()}
        for i, record in enumerate(played.records)
    )
    return played._replace(slots=slots, records=records)


def test_what_the_absent_hold_reaches_no_study():
    clean, odd = study(SEATING, 0, chunk()), study(SEATING, 0, spoilt(chunk()))
    for name in Study._fields[:-2]:
        pairs = (jax.tree.leaves(getattr(s, name)) for s in (clean, odd))
        assert all(np.array_equal(a, b) for a, b in zip(*pairs, strict=True)), name


def test_others_are_counted_from_me_on():
    x = jnp.broadcast_to(jnp.arange(SEATS), (LANES, SLOTS, SEATS))
    found = of_others(SEATING, 0, x)
    seats = SEATING.places[0] % SEATS
    for k in range(1, SEATS):
        assert np.array_equal(found[:, :, 0, k - 1], (seats + k) % SEATS)
