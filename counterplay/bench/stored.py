"""What ``counterplay bench buffer`` measures of our own store, in one process."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from counterplay import envs

if TYPE_CHECKING:
    from counterplay.bench.buffer import Buffer
    from counterplay.episodes import Replay, Scheme

PLAYERS, ACTIONS, OBS, STATE = 4, 6, 64, 256
GAME, SEATS = "stag_hunt:4x4", ("nearest_stag", "nearest_hare", "adaptive", "random")
FIELDS = ("obs", "actions", "avail_actions", "reward", "terminated")
"""Of a stag hunt, what PyMARL's default scheme holds; the game cuts no episode short."""
CHUNK = 32
"""Slots that are written at once of the games that rules play."""
COPIED = 512 * 2**20
SEVERAL = 32
"""Samples that one program draws, as learning does."""
Chunks = list[dict[str, Any]]


def measure(chosen: "Buffer", task: str) -> dict[str, Any]:
    """Episodes a second in and out, wall time and processor time, bytes, and a plain copy."""
    import jax

    made = _played if task == "stag_hunt" else _numbers
    replay, chunks, about = made(chosen, task)
    for i in range(-(-replay.capacity // replay.chunk) + 1):
        replay = replay.write(chunks[i % len(chunks)])
    if int(replay.ended) < chosen.episodes:
        raise ValueError(f"{int(replay.ended)} episodes are held, asked for {chosen.episodes}")
    steps = np.asarray(replay.index.length)
    if chosen.lengths:
        np.savez(chosen.lengths, lengths=steps)
    read = jax.tree.leaves(
        jax.eval_shape(partial(_drawn, rows=chosen.rows), replay, jax.random.key(0))
    )
    of_slots = [x for x in read if x.shape[:2] == (chosen.rows, replay.span)]
    a_read = sum(x.size * x.dtype.itemsize for x in of_slots) / chosen.rows / replay.span
    a_slot = replay.scheme.bytes_of(replay.scheme.slotwise)
    found = {"bytes": replay.nbytes(), "payload": float(steps.mean()) * a_slot}
    found |= {"payload_read": float(steps.mean()) * a_read}
    return about | found | _timed(chosen, replay, chunks)


def _drawn(replay: "Replay", key: Any, rows: int) -> Any:
    """A sample as learners want it: with the moves as one-hots."""
    batch = replay.episodes(key, rows)
    return batch, batch["actions_onehot"]


def _timed(chosen: "Buffer", replay: "Replay", chunks: Chunks) -> dict[str, Any]:
    """Every call may write over what the call before gave, so that no time goes into memory."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    from jax import lax

    ended = median(float(np.asarray(chunk["terminated"]).sum()) for chunk in chunks)
    keys = list(jr.split(jr.key(chosen.seed), 1024))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *chunks)
    one = lambda replay, key, last: _drawn(replay, key, chosen.rows)
    several = lambda replay, key, last: lax.fori_loop(
        0, SEVERAL, lambda i, last: one(replay, jr.fold_in(key, i), last), last
    )
    writes = lambda replay, stacked: lax.fori_loop(
        0, len(chunks), lambda i, r: r.write(jax.tree.map(lambda x: x[i], stacked)), replay
    )
    over = {"donate_argnums": 2, "keep_unused": True}
    one, several = jax.jit(one, **over), jax.jit(several, **over)
    writes = jax.jit(writes, donate_argnums=0)
    last = jax.tree.map(jnp.copy, jax.jit(partial(_drawn, rows=chosen.rows))(replay, keys[0]))

    def sample(i: int, drawn: Any) -> None:
        nonlocal last
        last = jax.block_until_ready(drawn(replay, keys[i % len(keys)], last))

    def insert(i: int) -> None:
        nonlocal replay
        replay = jax.block_until_ready(replay.write(chunks[i % len(chunks)]))

    def insert_inside(i: int) -> None:
        nonlocal replay
        replay = jax.block_until_ready(writes(replay, stacked))

    source = np.ones(COPIED, np.uint8)
    target = np.ones(COPIED, np.uint8)
    acts = {"sample": partial(sample, drawn=one), "sample_inside": partial(sample, drawn=several)}
    acts |= {"insert": insert, "insert_inside": insert_inside}
    acts |= {"copy": lambda i: np.copyto(target, source)}
    amounts = {"sample": chosen.rows, "sample_inside": SEVERAL * chosen.rows}
    amounts |= {"insert": ended, "insert_inside": len(chunks) * ended, "copy": COPIED / 1e9}
    return _rates(chosen, acts, amounts)


def _rates(
    chosen: "Buffer", acts: dict[str, Callable[..., None]], amounts: dict[str, float]
) -> dict[str, float]:
    """So much a second of each, timed in turns; ``NAME_busy`` per second of processor time."""
    calls, wall, busy = {}, {name: [] for name in acts}, {name: [] for name in acts}
    for name, act in acts.items():
        act(0)
        act(1)
        began = time.perf_counter()
        act(2)
        calls[name] = max(int(chosen.seconds / (time.perf_counter() - began)), 1)
    for _ in range(chosen.repeats):
        for name, act in acts.items():
            cpu, began = time.process_time(), time.perf_counter()
            for i in range(calls[name]):
                act(i)
            wall[name].append(amounts[name] * calls[name] / (time.perf_counter() - began))
            busy[name].append(amounts[name] * calls[name] / (time.process_time() - cpu))
    found = {name: median(rates) for name, rates in wall.items()}
    return found | {f"{name}_busy": median(rates) for name, rates in busy.items()}


def _numbers(chosen: "Buffer", task: str) -> tuple["Replay", Chunks, dict[str, Any]]:
    """Episodes of one length and random numbers, a lane each: a chunk is one of every lane."""
    import jax.numpy as jnp

    from counterplay.episodes import Field, OneHot, Replay, Scheme

    length, lanes = int(task), chosen.rows
    scheme = Scheme(
        {
            "state": Field((STATE,)),
            "obs": Field((OBS,), np.float32, "agents"),
            "actions": Field((), np.int8, "agents"),
            "avail_actions": Field((ACTIONS,), np.bool_, "agents"),
            "reward": Field(()),
            "terminated": Field((), np.bool_),
        },
        {"agents": PLAYERS},
        {"actions_onehot": OneHot("actions", ACTIONS)},
    )
    rng, lead = np.random.default_rng(chosen.seed), (lanes, length)

    def chunk() -> dict[str, Any]:
        made = {
            "state": rng.standard_normal((*lead, STATE), np.float32),
            "obs": rng.standard_normal((*lead, PLAYERS, OBS), np.float32),
            "actions": rng.integers(0, ACTIONS, (*lead, PLAYERS)).astype(np.int8),
            "avail_actions": rng.random((*lead, PLAYERS, ACTIONS)) < 0.7,
            "reward": rng.standard_normal(lead, np.float32),
            "terminated": np.broadcast_to(np.arange(length) == length - 1, lead),
        }
        return {name: jnp.asarray(x) for name, x in made.items()}

    chunks = -(-chosen.episodes // lanes) + 1 + -(-1 // length)
    sizes = {"slots": chunks * length, "chunk": length, "horizon": length}
    replay = Replay.empty(scheme, lanes=lanes, episodes=chosen.episodes, **sizes)
    return replay, [chunk() for _ in range(8)], {"horizon": length, "obs": OBS}


def _played(chosen: "Buffer", task: str) -> tuple["Replay", Chunks, dict[str, Any]]:
    """Stag hunts that rules played, as a rollout leaves them."""
    import jax
    import jax.random as jr

    from counterplay.episodes import Replay, default_scheme, from_rollout
    from counterplay.pools import roster_of
    from counterplay.rollout import collect, open_lanes

    env, lanes = envs.make(GAME), chosen.rows
    scheme: Scheme = default_scheme(env).only(*FIELDS)
    roster = roster_of(env, dict(enumerate(SEATS)))
    seating = roster.seating(lanes)
    open_key, *keys = jr.split(jr.key(chosen.seed), 17)
    going = open_lanes(env, seating, roster.others, open_key)
    play = jax.jit(lambda going, key: collect(
        env, seating, roster.others, going, key, slots=CHUNK, starts=CHUNK
    ))  # fmt: skip
    stored = jax.jit(lambda slots: from_rollout(scheme, slots))  # in the scheme's types
    chunks = []
    for key in keys:
        going, chunk = play(going, key)
        chunks.append(stored(chunk.slots))
    ended = sum(float(np.asarray(chunk["terminated"]).sum()) for chunk in chunks) / len(chunks)
    needed = int(chosen.episodes / ended * CHUNK * 1.05) + env.horizon + CHUNK
    sizes = {"slots": needed, "chunk": CHUNK, "horizon": env.horizon}
    replay = Replay.empty(scheme, lanes=lanes, episodes=chosen.episodes, **sizes)
    width = int(np.prod(jax.eval_shape(env.encode, jax.ShapeDtypeStruct(
        env.obs_shape, env.obs_dtype)).shape))  # fmt: skip
    return replay, chunks, {"horizon": env.horizon, "obs": width}
