"""The slot rule, matches, memory, seating and start states, on scripted games."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Clock, OneLegal, Probe
from scripted import LANES, Counting, Script, collected, field, opened, played, recorded, seated

from counterplay import envs, opponents
from counterplay.rollout import summary
from counterplay.seats import Chair, Kind, Roster, bank, shuffle
from counterplay.types import NO_EVENT, NO_MOVE, Act

Y, n = True, False  # yes and no, in tables


def test_a_slot_holds_what_was_seen_what_was_done_and_what_that_earned():
    (chunk,) = played(Script(length=3, stays=(9, 1, 9)), 9, False, match=2)
    game = [[Y, Y, Y], [Y, n, Y], [Y, n, Y]]
    assert field(chunk, "alive") == game * 3
    assert field(chunk, "time") == [0, 1, 2] * 3
    assert field(chunk, "actions")[:3] == [[0, 0, 0], [1, NO_MOVE, 1], [2, NO_MOVE, 2]]
    assert field(chunk, "reward")[:3] == [[100, 200, 300], [111, 0, 311], [122, 0, 322]]
    assert field(chunk, "event") == [[0, 0, 0], [1, NO_EVENT, 1], [2, NO_EVENT, 2]] * 3
    assert field(chunk, "returns")[:3] == [[100, 200, 300], [211, 200, 611], [333, 200, 933]]
    assert field(chunk, "returns")[3][0] == 100, "an episode's return begins at zero"
    assert field(chunk, "left") == [[n, Y, n], [n, n, n], [n, n, n]] * 3
    assert [row[1][1] for row in field(chunk, "obs")] == field(chunk, "time")
    assert field(chunk, "avail_actions")[:2] == [
        [[Y, Y, Y, Y], [Y, Y, Y, n], [Y, Y, Y, Y]],
        [[Y, Y, Y, Y], [n, n, n, n], [Y, Y, Y, Y]],
    ]


def test_a_terminated_episode_has_no_closing_slot():
    (chunk,) = played(Script(length=3, stays=(9, 1, 9)), 9, False, match=2)
    assert field(chunk, "terminated") == [n, n, Y] * 3
    assert not any(field(chunk, "truncated")) and not any(field(chunk, "closing"))
    assert field(chunk, "continues") == [[Y, n, Y], [Y, n, Y], [n, n, n]] * 3
    assert all(field(chunk, "filled"))


def test_a_truncated_episode_has_one_slot_that_only_shows():
    (chunk,) = played(Script(length=2, stays=(9, 2, 9), over=False), 6, False)
    assert field(chunk, "truncated") == [n, Y, n] * 2
    assert field(chunk, "closing") == [n, n, Y] * 2
    assert not any(field(chunk, "terminated")) and all(field(chunk, "filled"))
    assert field(chunk, "time") == [0, 1, 2] * 2
    assert [row[0][1] for row in field(chunk, "obs")] == [0, 1, 2] * 2, "the final observation"
    assert field(chunk, "alive")[:3] == [[Y, Y, Y], [Y, Y, Y], [n, n, n]]
    assert field(chunk, "actions")[2] == [NO_MOVE] * 3
    assert field(chunk, "reward")[2] == [0, 0, 0] and field(chunk, "event")[2] == [NO_EVENT] * 3
    # seat 1 leaves with the last move: nothing comes after it, though the game is interrupted
    assert field(chunk, "left")[:3] == [[n, n, n], [n, Y, n], [n, n, n]]
    assert field(chunk, "continues")[:3] == [[Y, Y, Y], [Y, n, Y], [n, n, n]]
    assert field(chunk, "contact") == [Y, n, n] * 2
    assert recorded(chunk, "moved")[2].tolist() == [[1, 1, -1], [1, 1, 1], [1, 1, 1]]
    assert recorded(chunk, "reward")[2].tolist() == [111, 211, 311]


def test_begin_is_told_of_first_contact_and_memory_lasts_for_a_match():
    (chunk,) = played(Script(length=3, stays=(9, 1, 9)), 9, False, match=2)
    assert field(chunk, "contact") == [Y, n, n, n, n, n, Y, n, n]
    assert recorded(chunk, "first")[:, 0].tolist() == [Y, n, n] * 3
    begins = recorded(chunk, "begins")
    assert begins.tolist() == [[0] * 3] * 3 + [[1] * 3] * 3 + [[0] * 3] * 3
    moves = recorded(chunk, "moves")
    assert moves[:, 0].tolist() == moves[:, 2].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    # seat 1 left after its first move: frozen while absent, and nobody else's memory went with it
    assert moves[:, 1].tolist() == [0, 1, 1, 1, 2, 2, 0, 1, 1]
    assert field(chunk, "actions")[3:5] == [[0, 1, 0], [1, NO_MOVE, 1]]


def test_a_match_has_as_many_episodes_as_asked_for():
    (chunk,) = played(Clock(), 14, False, match=3)
    assert [i for i, contact in enumerate(field(chunk, "contact")) if contact] == [0, 9]
    assert np.flatnonzero(recorded(chunk, "first")[:, 0]).tolist() == [0, 3, 6, 9, 12]


def test_cutting_interrupts_open_episodes_and_ends_every_match():
    first, *rest = played(Script(length=4), 6, True, False, False, False, match=3)
    assert field(first, "terminated") == [n, n, n, Y, n, n]
    assert field(first, "truncated") == [n, n, n, n, n, Y]
    assert field(first, "continues")[-1] == [Y, n, Y], "an interruption is no end"
    assert field(rest[0], "closing") == [Y] + [n] * 5
    assert field(rest[0], "time")[:3] == [2, 0, 1] and field(rest[0], "alive")[0] == [n, n, n]
    assert field(rest[0], "actions")[:3] == [[-1, -1, -1], [0, 0, 0], [1, -1, 1]]
    contact = [x for chunk in rest for x in field(chunk, "contact")]
    assert [i for i, x in enumerate(contact) if x] == [1, 13], "a full match of 3 episodes"


@pytest.mark.parametrize("over", [True, False])
def test_cutting_between_episodes_interrupts_nothing(over):
    """The chunk ends with a game's own end, or with the slot that shows where one stopped."""
    first, second = played(Script(length=3 if over else 2, over=over), 6, True, False, match=4)
    assert field(first, "truncated") == ([n] * 6 if over else [n, Y, n] * 2)
    assert not field(second, "closing")[0]
    assert field(second, "contact") == [Y] + [n] * 5 and field(second, "time")[:2] == [0, 1]
    assert recorded(second, "moves")[0].tolist() == [0, 0, 0]


def test_chunks_join_without_a_seam():
    env = Script(length=3, over=False)
    (whole,) = played(env, 12, False, match=2)
    parts = played(env, 6, False, False, match=2)
    for name in whole.slots.keys() - {"obs"}:  # start states are drawn chunk by chunk
        joined = np.concatenate([part.slots[name] for part in parts], axis=1)
        assert np.array_equal(whole.slots[name], joined), name
    for name in whole.records[0].keys() - {"obs"}:
        joined = np.concatenate([part.records[0][name] for part in parts], axis=2)
        assert np.array_equal(whole.records[0][name], joined), name
    ends = zip(
        jax.tree.leaves(whole.next_memories), jax.tree.leaves(parts[1].next_memories), strict=True
    )
    assert all(np.array_equal(a, b) for a, b in ends)
    moves = whole.records[0]["moves"][:, :, 6]
    assert np.array_equal(parts[1].memories[0].moves, moves), "memories before slot 0"
    assert np.array_equal(parts[0].next_memories[0].moves, moves)
    assert np.array_equal(parts[0].next_views[0].time, whole.records[0]["time"][:, :, 6])
    assert np.array_equal(parts[0].next_views[0].moved, whole.records[0]["moved"][:, :, 6])


@cache
def lots(starts: int) -> np.ndarray:
    """The start states of games of one slot, [chunk, L, T], in two chunks of 8 slots."""
    env = Script(length=1, stays=(9, 9, 9))
    seating, policies = seated(env, Counting(), lanes=5)
    lanes, out = opened(env, seating, policies, jr.key(0)), []
    for key in jr.split(jr.key(1), 2):
        lanes, chunk = collected(env, seating, policies, lanes, key, slots=8, starts=starts)
        out.append(chunk.slots["obs"][:, :, 0, 0])
    return np.asarray(jnp.stack(out))


def test_games_start_from_the_pool_in_turn():
    found = lots(3)
    first = found[0, :, 1:]  # slot 0 was opened before the chunk
    assert np.array_equal(first[:, :4], first[:, 3:])
    assert len(np.unique(found)) == 5 + 2 * 5 * 3, "every lane and chunk has its own"
    assert np.array_equal(found[1, :, 1:5], found[1, :, 4:])


def test_a_large_enough_pool_starts_no_game_twice():
    found = lots(8)
    assert len(np.unique(found)) == found.size


class Constant(eqx.Module):
    """Always plays one action, and means to pursue the goal of that number."""

    move: Any

    def begin(self, key, memory):
        return ()

    def intent(self, memory, view):
        return self.move + 4

    def act(self, key, memory, view, greedy: bool):
        return Act(jnp.asarray(self.move), memory, {})


def test_tables_seat_everybody_where_they_say():
    env = Script(length=2, stays=(9, 1, 9))
    kinds = tuple(Kind(f"{i}", policy=Constant(jnp.array([i])), first_id=10 * i) for i in range(3))
    tables = tuple(tuple(Chair(k, 0) for k in row) for row in ((0, 1, 2), (2, 0, 1)))
    roster = Roster(kinds, tables)
    seating = roster.seating(4)
    lanes = opened(env, seating, roster.others, jr.key(0))
    _, chunk = collected(env, seating, roster.others, lanes, jr.key(1), slots=2)
    assert chunk.slots["actions"][:, 0].tolist() == [[0, 1, 2]] * 2 + [[2, 0, 1]] * 2
    assert chunk.slots["actions"][:, 1].tolist() == [[0, -1, 2]] * 2 + [[2, -1, 1]] * 2
    assert chunk.slots["opponent_id"][:, 1].tolist() == [[0, 10, 20]] * 2 + [[20, 0, 10]] * 2
    assert chunk.slots["goal"][:, 0].tolist() == [[4, 5, 6]] * 2 + [[6, 4, 5]] * 2
    assert chunk.slots["goal"][:, 1].tolist() == [[4, -1, 6]] * 2 + [[6, -1, 5]] * 2


def test_numbers_follow_the_members_of_a_bank_through_a_new_deal():
    env = Script(length=2, stays=(9, 9, 9))
    kind = Kind("bank", members=3, policy=bank([Constant(jnp.int32(i)) for i in range(3)]))
    seating = Roster((kind,), (tuple(Chair(0, i) for i in range(3)),)).seating(1)
    lanes, policies = opened(env, seating, (kind.policy,), jr.key(0)), (kind.policy,)
    seen = set()
    for seed in range(6):
        _, chunk = collected(env, seating, policies, lanes, jr.key(seed), slots=1)
        actions, ids = (np.asarray(chunk.slots[name])[0, 0] for name in ("actions", "opponent_id"))
        assert actions.tolist() == ids.tolist() == policies[0].number.tolist()
        seen.add(tuple(ids.tolist()))
        policies = shuffle(policies, jr.key(seed))
    assert len(seen) > 1


def stuck_in(env: Probe) -> list[bool]:
    seating, policies = seated(env, Counting(), lanes=1)
    lanes = opened(env, seating, policies, jr.key(0))
    _, chunk = collected(env, seating, policies, lanes, jr.key(1), slots=6)
    return np.asarray(chunk.slots["stuck"])[0, :, 0].tolist()


def test_a_player_that_may_do_nothing_is_reported_unless_the_slot_only_shows():
    assert stuck_in(OneLegal(stuck=2)) == [n, n, Y, Y, n, n]
    assert stuck_in(OneLegal(stuck=4, over=False)) == [n] * 6


def test_summary_adds_up_what_ended():
    env = Script(length=2, stays=(9, 1, 9), over=False)
    (chunk,) = played(env, 6, False)
    kinds = (Kind("me", learner=True), Kind("others"))
    seating = Roster(kinds, ((Chair(0, 0), Chair(1, 0), Chair(1, 0)),)).seating(LANES)
    found = summary(seating, chunk)
    assert found["episodes"] == 2 * LANES and found["length_sum"] == 4 * LANES
    assert found["return_sum"].tolist() == [2 * LANES * x for x in (211, 200, 611)]
    assert found["learner_return_sum"] == 2 * LANES * 211
    assert found["learner_episodes"] == 2 * LANES
    assert found["slots"] == 6 * LANES and found["busy_slots"] == 4 * LANES
    assert found["live_seats"] == 10 * LANES
    assert not found["stuck"].any() and not found["unfair"].any()


def test_lanes_are_hardly_ever_idle_on_stag_hunt():
    env = envs.make("stag_hunt:4x4")
    seating, policies = seated(env, opponents.make("random", env), lanes=64)
    lanes = opened(env, seating, policies, jr.key(0))
    _, chunk = collected(env, seating, policies, lanes, jr.key(1), slots=32)
    found = {name: int(x) for name, x in summary(seating, chunk).items() if x.ndim == 0}
    assert found["busy_slots"] >= 0.95 * found["slots"]
    assert found["episodes"] > 64, "games did end and begin again"
