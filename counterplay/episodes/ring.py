"""What is done to a Replay, and read from it, as jitted functions; ``replay.py`` checks first."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.episodes import draw
from counterplay.episodes.batch import NO_STORE, EpisodeBatch, Where
from counterplay.episodes.index import NEVER, add, follow
from counterplay.episodes.scheme import OWN, Scheme

if TYPE_CHECKING:
    from counterplay.episodes.replay import Replay

Slots = dict[str, Array]


class Rows(eqx.Module):
    """Stretches of slots, fields [B, T, ...]."""

    data: Slots
    first: Bool[Array, "B T"]
    """Where another episode begins; its slot is filled."""
    ok: Bool[Array, " B"]
    """False where a store inside jit held fewer than were asked for."""
    where: Where

    def __getitem__(self, name: str) -> Array:
        return self.data[name]


class Pairs(eqx.Module):
    """Slots, fields [B, ...], and those that followed them in their episode, else zeros."""

    now: Slots
    after: Slots
    ok: Bool[Array, " B"]
    """False for a slot that only shows where a truncated episode stopped, for the last one of an
    episode that was cut off, and where the store held fewer than were asked for: these are in no
    loss."""
    chance: Float[Array, " B"]
    """Of being drawn, over that of a uniform draw: importance weights are made of its inverse."""
    where: Where


def ends(scheme: Scheme, chunk: Mapping[str, Any]) -> Any:
    """The last slots of episodes: terminated, or where a truncated one only shows."""
    last = "closing" if "closing" in scheme.fields else "truncated"
    return chunk["terminated"] | chunk[last] if last in chunk else chunk["terminated"]


@partial(jax.jit, donate_argnums=0)
def write(replay: "Replay", chunk: Slots) -> "Replay":
    scheme, lead = replay.scheme, (replay.lanes, replay.chunk)
    filled = chunk.get("filled", jnp.ones(lead, bool))
    nobody = jnp.zeros((*lead, replay.goes.left.shape[1]), bool)
    of_all = filled[:, :, None]
    left = chunk.get("left", nobody).reshape(nobody.shape) & of_all
    alive = chunk.get("alive", nobody) if "left" in scheme.fields else nobody
    alive = alive.reshape(nobody.shape) & of_all
    over = ends(scheme, chunk)
    goes, ended, time = follow(replay.goes, replay.written, filled, over, left, alive)
    given = {**chunk, "filled": filled, "time": jnp.minimum(time, replay.span)}
    at = replay.written % replay.capacity  # capacity is a multiple of a chunk: never split

    def put(name, ring):
        if name in given:
            new = given[name].astype(ring.dtype)
        else:
            new = jnp.full((*lead, *ring.shape[2:]), scheme.fields[name].fill or 0, ring.dtype)
        return lax.dynamic_update_slice(ring, new, (0, at) + (0,) * (ring.ndim - 2))

    written = replay.written + replay.chunk
    fits = ended.length <= replay.span
    whole = ended._replace(here=ended.here & fits & (ended.start >= 0))  # below 0: not all is here
    guard = written - replay.capacity + replay.span
    constants = {name: given.get(name, _default(replay, name)) for name in scheme.constants}
    overlong = (ended.here & ~fits).sum(dtype=jnp.int32)
    changed = (
        {name: put(name, ring) for name, ring in replay.slots.items()},
        add(replay.index, whole, constants, guard),
        goes,
        written,
        replay.overlong + overlong,
    )
    parts = lambda r: (r.slots, r.index, r.goes, r.written, r.overlong)
    return eqx.tree_at(parts, replay, changed)


def _default(replay: "Replay", name: str) -> Array:
    field, shape = replay.scheme.fields[name], replay.scheme.shape(name)
    return jnp.full((replay.lanes, replay.chunk, *shape), field.fill or 0, field.dtype)


def gather(
    replay: "Replay", where: Where, length: int, ok: Bool[Array, "B T"], names: Any = None
) -> Slots:
    """Stretches of slots from ``where`` on, fields [B, T, ...], zero where not ``ok``."""
    at = (where.slot[:, None] + jnp.arange(length)[None]) % replay.capacity
    at = jnp.where(ok, at, replay.capacity)  # outside: reads as zero
    lane = where.lane[:, None]
    read = lambda ring: ring.at[lane, at].get(mode="fill", fill_value=0)
    return {name: read(replay.slots[name]) for name in names or replay.slots}


@partial(jax.jit, static_argnums=(2, 3, 4))
def episodes(
    replay: "Replay",
    key: PRNGKeyArray,
    n: int,
    half_life: float | None,
    strata: str | tuple[str, int] | None,
) -> EpisodeBatch:
    index = replay.index
    ok = jnp.arange(n) < replay.ended
    if half_life is None and strata is None:
        entry = index.entry(draw.distinct(key, n, replay.ended))
    else:
        entry = draw.weighted(key, n, _log_weights(replay, half_life, strata))
        ok &= index.live()[entry]
    return at_entries(replay, entry, ok)


@jax.jit
def at_entries(
    replay: "Replay", entry: Int[Array, " B"], ok: Bool[Array, " B"] | bool = True
) -> EpisodeBatch:
    """The episodes at these entries of the index; where not ``ok``, nothing of them."""
    index, ok = replay.index, jnp.broadcast_to(ok, entry.shape)
    of = lambda x, none: jnp.where(ok.reshape(-1, *(1,) * (x.ndim - 1)), x[entry], none)
    length = jnp.where(ok, index.length[entry], 0)
    where = Where(index.lane[entry], index.start[entry])
    filled = jnp.arange(replay.span)[None] < length[:, None]
    data = gather(replay, where, replay.span, filled, [*replay.scheme.slotwise])
    data["time"] = jnp.where(filled, jnp.arange(replay.span, dtype=jnp.int32)[None], 0)
    return EpisodeBatch(
        data=data,
        constants={name: of(x, jnp.zeros((), x.dtype)) for name, x in index.constants.items()},
        filled=filled,
        left_at=of(index.left_at, NEVER),
        where=Where(where.lane, jnp.where(ok, where.slot, NO_STORE)),
        scheme=replay.scheme,
    )


def _log_weights(
    replay: "Replay", half_life: float | None, strata: str | tuple[str, int] | None
) -> Float[Array, " I"]:
    index = replay.index
    live = index.live()
    weight = jnp.zeros(index.size)
    if half_life is not None:
        age = (replay.ended - 1 - index.rank()).astype(jnp.float32)
        weight = -jnp.log(2.0) * age / max(half_life, 1e-30)  # less is 0 in 32 bits
    if strata is not None:
        name, member = (strata, None) if isinstance(strata, str) else strata
        ids = index.constants[name].astype(jnp.int32).reshape(index.size, -1)
        stratum = ids[:, member] if member is not None else draw.joined(ids)
        weight += jnp.log(draw.share_of_stratum(stratum, live))
    least = jnp.finfo(jnp.float32).min  # -inf is for what is not there
    return jnp.where(live, jnp.maximum(weight, least / 2), -jnp.inf)


def _places(replay: "Replay", number: Int[Array, " B"], length: int) -> Where:
    """The number-th stretch of so many slots, lane by lane."""
    each = jnp.maximum(replay.held - length + 1, 1)
    return Where(number // each, replay.written - replay.held + number % each)


@partial(jax.jit, static_argnums=(2, 3))
def windows(replay: "Replay", key: PRNGKeyArray, n: int, length: int) -> Rows:
    have = replay.lanes * jnp.maximum(replay.held - length + 1, 0)
    where = _places(replay, draw.distinct(key, n, have), length)
    ok = jnp.arange(n) < have
    data = gather(replay, where, length, jnp.broadcast_to(ok[:, None], (n, length)))
    return Rows(data, (data["time"] == 0) & data["filled"], ok, where)


@partial(jax.jit, static_argnums=2)
def transitions(replay: "Replay", key: PRNGKeyArray, n: int) -> Pairs:
    have = replay.lanes * jnp.maximum(replay.held - 1, 0)
    where = _places(replay, draw.distinct(key, n, have), 2)
    return _pairs(replay, where, jnp.arange(n) < have, jnp.ones(n))


def _pairs(
    replay: "Replay", where: Where, ok: Bool[Array, " B"], chance: Float[Array, " B"]
) -> Pairs:
    later = Where(where.lane, where.slot + 1)
    one = lambda at, ok, names=None: {
        name: x[:, 0] for name, x in gather(replay, at, 1, ok[:, None], names).items()
    }
    now, own = one(where, ok), one(later, ok, OWN)
    next_time = jnp.minimum(now["time"] + 1, replay.span)  # where it is cut off
    follows = now["filled"] & own["filled"] & (own["time"] == next_time)
    moved = now["filled"] & (follows | ends(replay.scheme, now))
    if "closing" in now:
        moved &= ~now["closing"]
    return Pairs(now, one(later, follows), ok & moved, chance, where)


@partial(jax.jit, static_argnums=(2, 3, 4))
def prioritised(replay: "Replay", key: PRNGKeyArray, n: int, name: str, alpha: float) -> Pairs:
    newest, capacity = replay.written - 1, replay.capacity
    slot = (newest - (newest - jnp.arange(capacity)) % capacity)[None]  # that each place holds
    can = (slot >= 0) & (slot < newest) & replay.slots["filled"]
    if "closing" in replay.slots:
        can &= ~replay.slots["closing"]
    stored = replay.slots[name]
    top = jnp.maximum(jnp.max(jnp.where(can, stored, 0.0)), 1e-6)
    power = jnp.where(can, jnp.where(stored < 0, top, stored) ** alpha, 0.0)
    at, chance = draw.prioritised(key, n, power.reshape(-1))
    where = Where((at // capacity).astype(jnp.int32), slot[0, at % capacity])
    found = _pairs(replay, where, jnp.broadcast_to(can.any(), (n,)), chance * can.sum())
    return found


@partial(jax.jit, static_argnums=2, donate_argnums=0)
def relabel(replay: "Replay", where: Where, name: str, values: Array, ok: Any) -> "Replay":
    ring = replay.slots[name]
    length = values.shape[1] if values.ndim > ring.ndim - 1 else None
    values = values if length else values[:, None]
    slot = where.slot[:, None] + jnp.arange(length or 1)[None]
    there = (slot >= replay.written - replay.capacity) & (slot >= 0) & (slot < replay.written)
    at = jnp.where(there & ok, slot % replay.capacity, replay.capacity)
    new = ring.at[where.lane[:, None], at].set(values.astype(ring.dtype), mode="drop")
    return eqx.tree_at(lambda r: r.slots[name], replay, new)
