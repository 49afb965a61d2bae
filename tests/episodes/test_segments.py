"""One agent's own episodes, several agents on one clock, and what follows, against plain loops."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.episodes import Field, OneHot, Replay, Scheme, align
from counterplay.episodes.npz import read_npz, write_npz

AGENTS, LANES, CHUNK, HORIZON = 3, 4, 8, 9
SPAN = HORIZON + 1
SCHEME = Scheme(
    fields={
        "obs": Field((2,), np.float32, "agents"),
        "actions": Field((), np.int8, "agents"),
        "state": Field((3,), np.float32),
        "alive": Field((), np.bool_, "agents"),
        "left": Field((), np.bool_, "agents"),
        "terminated": Field((), np.bool_),
        "closing": Field((), np.bool_),
        "opponent_id": Field((), np.int16, "agents", constant=True),
        "matchup": Field((), np.int32, constant=True),
    },
    groups={"agents": AGENTS},
    views={"actions_onehot": OneHot("actions", 5)},
)


def life(rng: np.random.Generator, moves: int) -> tuple[np.ndarray, np.ndarray]:
    """When an agent is there, and after which slots it is gone: it may come late, leave, and come
    back, or never be there."""
    alive, left = np.zeros(moves, bool), np.zeros(moves, bool)
    at = int(rng.integers(0, 4)) if rng.random() < 0.5 else 0
    while at < moves and rng.random() < 0.9:
        stay = int(rng.integers(1, moves + 3))
        alive[at : at + stay] = True
        if at + stay < moves:
            left[at + stay - 1] = True
        at += stay + int(rng.integers(1, 3))
    return alive, left


def played(seed: int, chunks: int = 5):
    """Slots [lanes, T, ...] of such games."""
    rng, total = np.random.default_rng(seed), chunks * CHUNK
    lead = (LANES, total)
    slots = {
        "obs": rng.standard_normal((*lead, AGENTS, 2), np.float32),
        "actions": rng.integers(0, 5, (*lead, AGENTS)).astype(np.int8),
        "state": rng.standard_normal((*lead, 3), np.float32),
        "alive": np.zeros((*lead, AGENTS), bool),
        "left": np.zeros((*lead, AGENTS), bool),
        "terminated": np.zeros(lead, bool),
        "closing": np.zeros(lead, bool),
        "opponent_id": np.zeros((*lead, AGENTS), np.int16),
        "matchup": np.zeros(lead, np.int32),
    }
    for lane in range(LANES):
        at = 0
        while at < total:
            moves, closing = int(rng.integers(1, HORIZON + 1)), bool(rng.random() < 0.5)
            stop, length = min(at + moves + closing, total), moves + closing
            for agent in range(AGENTS):
                alive, left = life(rng, moves)
                alive = np.append(alive, alive[-1] & ~left[-1]) if closing else alive
                slots["alive"][lane, at:stop, agent] = alive[: stop - at]
                slots["left"][lane, at : min(at + moves, total), agent] = left[: stop - at]
            slots["opponent_id"][lane, at:stop] = rng.integers(0, 9, AGENTS)
            slots["matchup"][lane, at:stop] = rng.integers(0, 99)
            if at + length <= total:
                slots["closing" if closing else "terminated"][lane, at + length - 1] = True
            at += length
    return slots


def sampled(seed: int, n: int = 10):
    slots = played(seed)
    replay = Replay.empty(SCHEME, lanes=LANES, slots=40, chunk=CHUNK, horizon=HORIZON)
    for i in range(5):
        chunk = {name: x[:, i * CHUNK : (i + 1) * CHUNK] for name, x in slots.items()}
        replay = replay.write(chunk)
    return replay.episodes(jr.key(seed), min(n, int(replay.ended)))


def host(batch) -> dict[str, np.ndarray]:
    names = [*batch.data, *batch.constants, *batch.scheme.views]
    return {name: np.asarray(batch[name]) for name in names}


def bounds(batch, row: int, agent: int) -> tuple[int, int]:
    """Where an agent came, and one past the slot after which it was gone for good."""
    length = int(np.asarray(batch.length)[row])
    there = [t for t in range(length) if batch["alive"][row, t, agent]]
    return (there[0], there[-1] + 1) if there else (0, 0)


@pytest.mark.parametrize("seed", range(12))
def test_segments_are_the_slots_in_which_an_agent_plays(seed):
    batch = sampled(seed)
    for agent in range(AGENTS):
        own = batch.segments(agent)
        found, whole = host(own), host(batch)
        for row in range(batch.batch_size):
            came, stop = bounds(batch, row, agent)
            length = stop - came
            assert int(own.length[row]) == length
            assert np.asarray(own.filled)[row].tolist() == [t < length for t in range(SPAN)]
            for name, x in found.items():
                grouped = name == "actions_onehot" or (
                    name in SCHEME.fields and SCHEME.fields[name].group == "agents"
                )
                if name in batch.constants:
                    wanted = whole[name][row, agent] if grouped else whole[name][row]
                    assert np.array_equal(x[row], wanted), name
                    continue
                wanted = whole[name][row, came:stop]
                wanted = wanted[:, agent] if grouped else wanted
                assert np.array_equal(x[row, :length], wanted), name
                assert not x[row, length:].any(), name
            if length:
                gone = bool(batch["left"][row, stop - 1, agent])
                assert int(batch.left_at[row, agent]) == (stop - 1 if gone else -1)
                assert int(own.left_at[row, 0]) == (length - 1 if gone else -1)
                assert int(own.where.slot[row]) == int(batch.where.slot[row]) + came


@pytest.mark.parametrize("seed", range(12))
def test_several_segments_on_the_clock_of_the_game(seed):
    batch = sampled(seed)
    agents = (2, 0)
    joint = align([batch.segments(agent) for agent in agents])
    found, whole = host(joint), host(batch)
    present = np.zeros((batch.batch_size, SPAN, len(agents)), bool)
    for row in range(batch.batch_size):
        for s, agent in enumerate(agents):
            came, stop = bounds(batch, row, agent)
            present[row, came:stop, s] = True
            wanted = whole["obs"][row, :, agent] * present[row, :, s, None]
            assert np.array_equal(found["obs"][row, :, s], wanted)
            state = whole["state"][row] * present[row, :, s, None]
            assert np.array_equal(found["state"][row, :, s], state)
            assert np.array_equal(found["opponent_id"][row, s], whole["opponent_id"][row, agent])
            if present[row, :, s].any():
                assert joint.left_at[row, s] == batch.left_at[row, agent]
    assert np.array_equal(found["present"], present)
    assert np.array_equal(joint.filled, present.any(2))
    there = present[..., 0].any(1)
    assert np.array_equal(joint.where.slot[there], batch.where.slot[there])


@pytest.mark.parametrize("of", ["whole", "segment"])
@pytest.mark.parametrize("seed", range(4))
def test_the_future_of_a_slot(seed, of):
    batch = sampled(seed)
    batch = batch if of == "whole" else batch.segments(1)
    obs, filled = np.asarray(batch["obs"]), np.asarray(batch.filled)
    for t in (-1, 0, 3, SPAN - 1):
        after, inside = map(np.asarray, batch.future(t, 4))
        for row in range(batch.batch_size):
            for h in range(4):
                there = t + 1 + h < SPAN and filled[row, t + 1 + h]
                assert inside[row, h] == there
                wanted = obs[row, t + 1 + h] if there else 0 * obs[row, 0]
                assert np.array_equal(after[row, h], wanted)


def test_a_longer_clock_and_what_is_refused():
    batch = sampled(0)
    parts = [batch.segments(agent) for agent in range(AGENTS)]
    assert align(parts, 14)["obs"].shape == (batch.batch_size, 14, AGENTS, 2)
    with pytest.raises(ValueError, match="agents are 0 to 2, found 3"):
        batch.segments(3)
    with pytest.raises(ValueError, match="unknown group 'players'"):
        batch.segments(0, "players")
    with pytest.raises(ValueError, match="segments of as many rows each"):
        align([parts[0], parts[1][:3]])


def test_a_cut_batch_has_the_same_future():
    batch = sampled(1)
    part = batch[:, 2:]
    for mine, whole in zip(part.future(0, 3), batch.future(2, 3), strict=True):
        assert jnp.array_equal(mine, whole)


@pytest.mark.parametrize("seed", range(4))
def test_all_whole_episodes_know_who_came_back(seed):
    """An agent that left and is alive again has not left, in whatever way episodes are read."""
    slots = played(seed)
    replay = Replay.empty(SCHEME, lanes=LANES, slots=40, chunk=CHUNK, horizon=HORIZON)
    for i in range(5):
        chunk = {name: x[:, i * CHUNK : (i + 1) * CHUNK] for name, x in slots.items()}
        replay = replay.write(chunk)
    found = replay.whole()
    index = replay.index.entry(jnp.arange(int(replay.ended)))
    assert np.array_equal(found.left_at, replay.index.left_at[index])
    back = np.asarray(found["left"]).any(1) & (np.asarray(found.left_at) == -1)
    assert back.any(), "somebody came back"


def left_early():
    """One game of 8 slots: agent 0 stays, agent 1 leaves after slot 1, agent 2 after slot 5."""
    slots = {name: x[:1, :8].copy() for name, x in played(0).items()}
    stay = np.array([8, 2, 6])
    slots["alive"][0] = np.arange(8)[:, None] < stay
    slots["left"][0] = np.arange(8)[:, None] == stay - 1
    slots["left"][0, :, 0] = False
    slots["closing"] = np.zeros((1, 8), bool)
    slots["terminated"] = np.arange(8)[None] == 7
    replay = Replay.empty(SCHEME, lanes=1, slots=24, chunk=8, horizon=8)
    return replay.write(slots).episodes(jr.key(0), 1)


def test_who_left_before_a_part_began_did_not_stay():
    batch = left_early()
    assert batch.left_at.tolist() == [[-1, 1, 5]]
    part = batch[:, 3:7]
    assert part.left_at.tolist() == [[-1, -2, 2]]
    assert part[:, 1:].left_at.tolist() == [[-1, -2, 1]]
    assert part[:, 3:].left_at.tolist() == [[-1, -2, -2]]
    assert batch[:, 2:4].left_at.tolist() == [[-1, -2, -1]], "what comes later is not told"
    bare = SCHEME.only(*(name for name in SCHEME.fields if name != "alive"))
    data = {name: x for name, x in part.data.items() if name != "alive"}
    blind = replace(part, data=data, scheme=bare)
    assert [int(blind.segments(agent).length[0]) for agent in range(3)] == [4, 0, 3]


def test_a_segment_of_a_part_ends_where_the_part_does():
    batch = left_early()
    for part in (batch[:, :4], replace(batch[:, :4], left_at=batch.left_at)):
        own = part.segments(2)
        assert own.length.tolist() == [4]
        assert own.filled.tolist() == [[True] * 4]
        early = part[:, :3].segments(2)
        assert early.length.tolist() == [3] and not early["left"].any()
    short = replace(batch, filled=batch.filled.at[:, 4:].set(False), left_at=batch.left_at)
    assert short.segments(2).length.tolist() == [4]


def test_segments_of_a_part_stand_on_the_clock_of_the_game():
    batch = left_early()
    part, agents = batch[:, 4:8], (0, 2)
    joint = align([part.segments(agent) for agent in agents])
    assert joint["present"].shape == (1, SPAN - 1, 2)
    wanted = np.zeros((1, SPAN - 1, 2), bool)
    wanted[0, 4:8, 0] = wanted[0, 4:6, 1] = True
    assert np.array_equal(joint["present"], wanted)
    obs = np.asarray(batch["obs"])[:, :, agents]
    assert np.array_equal(joint["obs"], obs * wanted[..., None])
    assert joint.left_at.tolist() == [[-1, 5]]
    assert jnp.array_equal(joint.where.slot, batch.where.slot)
    late = [batch.segments(agent)[:, 3:].trim() for agent in agents]
    assert int(align(late)["present"].sum()) == 5 + 3
    inside = jax.jit(lambda b: align([b[:, 4:8].segments(a) for a in agents])["present"])(batch)
    assert np.array_equal(inside, wanted)
    assert len(jax.tree.leaves(batch[[0]])) and batch[[0]].clock == batch[:, :].clock == 0


def test_a_part_that_went_through_a_file_stands_on_the_clock_too(tmp_path):
    batch = left_early()
    write_npz(tmp_path / "late.npz", batch[:, 4:8])
    joint = align([read_npz(tmp_path / "late.npz").segments(0)])
    assert joint["present"][0, :, 0].tolist() == [False] * 4 + [True] * 4
