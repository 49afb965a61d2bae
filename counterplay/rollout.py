"""Seats times game gives slots: the jitted rollout.

Lanes step without stopping and reset in place from a pool of start states, so no slot is spent
on an ended episode. Every policy is written for one seat of one lane; here all places of one kind
of policy are gathered and called at once.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.deciding import decide, identities, place_keys
from counterplay.errors import GameError
from counterplay.maths import finite, is_legal
from counterplay.seats import Seating, needs_state
from counterplay.types import NO_EVENT, NO_MOVE, NO_TYPE, Env, Memory, Policy, State, TimeStep, View
from counterplay.views import Last, cut_views, select, with_simulator

Slots = dict[str, Array]
"""Field -> [L, T, ...]; the slot rule of types.py."""


class Lanes(NamedTuple):
    """Everything that is carried from slot to slot, each leaf with a leading axis L."""

    state: State
    shown: TimeStep
    last: Last
    time: Int[Array, " L"]
    first: Bool[Array, " L"]
    contact: Bool[Array, " L"]
    """This first slot also begins a match."""
    closing: Bool[Array, " L"]
    """This slot only shows where a truncated episode stopped."""
    episode: Int[Array, " L"]
    """Index of the episode in its match."""
    returns: Float[Array, "L N"]
    """Undiscounted return of each seat so far in this episode."""
    ids: Int[Array, "L N 2"]
    """opponent_id and type_id of who sat there in the last slot: a closing slot still belongs to
    the old match."""
    memories: tuple[Memory, ...]
    """One entry a kind of policy, leaves [K, P, ...]."""


class Chunk(NamedTuple):
    """What a rollout of T slots leaves behind."""

    slots: Slots
    records: tuple[dict[str, Array], ...]
    """What the policies recorded: one entry a kind, leaves [K, P, T, ...]."""
    memories: tuple[Memory, ...]
    """Memories before slot 0, leaves [K, P, ...]."""
    next_views: tuple[View, ...]
    """What is seen after the last slot, for bootstraps, leaves [K, P, ...]."""
    next_memories: tuple[Memory, ...]


def open_lanes(
    env: Env, seating: Seating, policies: tuple[Policy, ...], key: PRNGKeyArray
) -> Lanes:
    """Fresh games in every lane, every match at first contact."""
    start_key, *keys = jr.split(key, 1 + len(policies))
    n, lanes = seating.num_seats, seating.lanes
    state, shown = jax.vmap(env.reset)(jr.split(start_key, lanes))
    begin = jax.vmap(jax.vmap(lambda policy, k: policy.begin(k, None), (None, 0)))
    memories = tuple(
        begin(policy, jr.split(k, places.shape))
        for policy, places, k in zip(policies, seating.places, keys, strict=True)
    )
    yes, no, zero = jnp.ones(lanes, bool), jnp.zeros(lanes, bool), jnp.zeros(lanes, jnp.int32)
    last = jax.tree.map(lambda x: jnp.broadcast_to(x, (lanes, *x.shape)), Last.nothing(n))
    returns, ids = jnp.zeros((lanes, n)), jnp.zeros((lanes, n, 2), jnp.int16)
    return Lanes(state, shown, last, zero, yes, yes, no, zero, returns, ids, memories)


def look(env: Env, seating: Seating, lanes: Lanes, policies: tuple = ()) -> tuple[View, ...]:
    """What every place of every kind sees now, leaves [K, P, ...], and what its policy needs."""
    per_lane = jax.vmap(lambda *x: cut_views(env, *x))
    views = per_lane(lanes.shown, lanes.last, lanes.time, lanes.first)

    def seen(
        kind: int,
    ) -> View:  # compact observations are dealt out, then encoded: far less to move
        compact = finite(seating.take(lanes.shown.obs, kind))  # the chunk keeps it as it was
        obs = jax.vmap(jax.vmap(env.encode))(compact)
        view = eqx.tree_at(lambda view: view.obs, seating.take(views, kind), obs)
        if not policies or not needs_state(policies[kind]):
            return view
        return with_simulator(view, lanes.state, seating.places[kind], seating.num_seats)

    return tuple(seen(kind) for kind in range(len(seating.kinds)))


def collect(
    env: Env,
    seating: Seating,
    policies: tuple[Policy, ...],
    lanes: Lanes,
    key: PRNGKeyArray,
    *,
    slots: int,
    match: int = 1,
    cut: bool | Bool[Array, ""] = False,
    greedy: bool = False,
    starts: int = 4,
    watch: bool = False,
) -> tuple[Lanes, Chunk]:
    """Plays ``slots`` slots in every lane.

    ``policies`` has one entry a kind of the seating, array leaves [K, ...]. With ``cut`` every
    episode still open after the last slot is truncated and every match ends, so that lanes may
    change hands. ``starts`` start states are drawn a lane and used in turn. ``watch`` adds to the
    records what metrics read of a policy; see ``deciding.WATCHED``.
    """
    pool_key, play_key = jr.split(key)
    draw = lambda k: jax.vmap(env.reset)(jr.split(k, seating.lanes))
    pool = jax.vmap(draw)(jr.split(pool_key, starts))

    def play(lanes: Lanes, slot):
        t, key = slot
        start = jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, t % starts, 0, False), pool)
        last_slot = jnp.asarray(cut) & (t == slots - 1)
        fixed = env, seating, policies, match, greedy, watch
        return _play_slot(*fixed, lanes, key, start, last_slot)

    after, (stream, records) = lax.scan(play, lanes, (jnp.arange(slots), jr.split(play_key, slots)))
    stream = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), stream)
    records = jax.tree.map(lambda x: jnp.moveaxis(x, 0, 2), records)
    views = look(env, seating, after)
    return after, Chunk(stream, records, lanes.memories, views, after.memories)


def _play_slot(
    env: Env,
    seating: Seating,
    policies,
    match: int,
    greedy: bool,
    watch: bool,
    lanes: Lanes,
    key,
    start,
    cut,
):
    shown = lanes.shown
    acting = shown.alive & ~lanes.closing[:, None]
    contact = jnp.broadcast_to(lanes.contact[:, None], acting.shape)
    views, keys = look(env, seating, lanes, policies), jr.split(key, len(policies))
    drawn = [place_keys(k, p.shape) for k, p in zip(keys, seating.places, strict=True)]
    met = [seating.take(contact, i) for i in range(len(policies))]
    each = zip(policies, lanes.memories, views, met, drawn, strict=True)
    decisions = [decide(*one, greedy, watch) for one in each]
    memories = [
        select(seating.take(acting, i), d.act.memory, d.begun) for i, d in enumerate(decisions)
    ]
    action = jnp.where(acting, seating.put([d.act.action for d in decisions]), NO_MOVE)

    # barriers keep XLA from computing the whole step once for every array it feeds
    stepped = jax.vmap(env.step)(lanes.state, lax.optimization_barrier(action))
    state, after = lax.optimization_barrier(stepped)
    stream = _stream(lanes, action, after, cut)
    goal, mode = seating.put([d.goal for d in decisions]), [d.who[..., 2] for d in decisions]
    ids = select(lanes.closing, lanes.ids, identities(seating, [d.who for d in decisions]))
    stream |= {
        "goal": jnp.where(acting, goal, NO_EVENT),
        "opponent_id": ids[..., 0],
        "type_id": ids[..., 1],
        "mode": jnp.where(acting, seating.put(mode), NO_TYPE),
    }
    # a closing slot moved nobody: the last joint move stays what it was
    moved = jax.vmap(Last)(action, stream["reward"], stream["event"], after.visible)
    last = select(lanes.closing, lanes.last, moved)
    following = _turn(match, lanes, state, after, last, stream, ids, memories, start, cut)
    return following, (stream, tuple(d.act.record for d in decisions))


def _stream(lanes: Lanes, action, after: TimeStep, cut) -> Slots:
    """One slot of every lane as it is stored, fields [L, ...]."""
    shown = lanes.shown
    acting = shown.alive & ~lanes.closing[:, None]
    terminated = after.terminated & ~lanes.closing
    truncated = (after.truncated | cut) & ~after.terminated & ~lanes.closing
    reward = jnp.where(acting, after.reward, 0.0)
    event = jnp.where(acting, after.event, NO_EVENT)
    return {
        "obs": shown.obs,
        "actions": action,
        "avail_actions": shown.legal,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "continues": acting & after.alive & ~terminated[:, None],
        "alive": acting,
        "closing": lanes.closing,
        "filled": jnp.ones_like(terminated),
        "time": lanes.time,
        "contact": lanes.contact,
        "event": event,
        "left": acting & ~after.alive,
        "visible": after.visible,
        "returns": _so_far(lanes, acting, reward),
        "stuck": acting & ~shown.legal.any(-1),
        "unfair": acting & shown.legal.any(-1) & ~is_legal(shown.legal, action),
    }


def _so_far(lanes: Lanes, acting, reward) -> Float[Array, "L N"]:
    """Returns; NaN once somebody was shown what is not finite, for the rest of the episode."""
    returns, obs = lanes.returns + reward, lanes.shown.obs
    floats = jnp.issubdtype(obs.dtype, jnp.inexact)
    return jnp.where(acting & ~jnp.isfinite(obs).all(-1), jnp.nan, returns) if floats else returns


def _turn(match, lanes: Lanes, state, after, last, stream, ids, memories, start, cut) -> Lanes:
    """The next slot: play on, show where a truncated episode stopped, or begin another."""
    done = stream["terminated"] | lanes.closing
    returns = stream["returns"]
    episode = jnp.where(cut, match - 1, lanes.episode)
    contact = done & (episode + 1 >= match)
    nothing = jax.tree.map(lambda x: x[None], Last.nothing(returns.shape[1]))
    state, shown = select(done, start, (state, after))
    return Lanes(
        state=state,
        shown=shown,
        last=select(contact, nothing, last),
        time=jnp.where(done, 0, lanes.time + 1),
        first=done,
        contact=contact,
        closing=stream["truncated"],
        episode=jnp.where(contact, 0, episode + done),
        returns=jnp.where(done[:, None], 0.0, returns),
        ids=ids,
        memories=tuple(memories),
    )


def ended(slots: Slots) -> dict[str, Array]:
    """Where episodes ended in a chunk, [L, T], how long they were, and what they brought."""
    over = slots["terminated"] | slots["truncated"]
    return {
        "ended": over & ~slots["dropped"] if "dropped" in slots else over,
        "length": slots["time"] + 1,
        "returns": slots["returns"],
        "opponent_id": slots["opponent_id"],
    }


def faults(slots: Slots) -> dict[str, Int[Array, " N"]]:
    """How often each seat could not move, or moved against the rules."""
    return {name: slots[name].sum((0, 1)) for name in ("stuck", "unfair")}


def blame(env: Env, seating: Seating, found: dict[str, Array]) -> None:
    """Raises GameError when a chunk had faults; what it taught is not to be trusted."""
    if np.asarray(found["stuck"]).any():
        seat = int(np.argmax(found["stuck"]))
        raise GameError(
            f"{env}: the present player at seat {seat} had no legal action: a fault of the game"
        )
    if np.asarray(found["unfair"]).any():
        seat = int(np.argmax(found["unfair"]))
        raise GameError(
            f"{env}: an illegal move at seat {seat}, where {' or '.join(seating.names_at(seat))} "
            f"sits; a policy may only choose where view.legal is True"
        )


def summary(seating: Seating, chunk: Chunk) -> dict[str, Array]:
    """Sums over a chunk, so that shards can add theirs: ended episodes and what they brought."""
    slots = chunk.slots
    ended = slots["terminated"] | slots["truncated"]
    dropped = slots.get("dropped", jnp.zeros_like(ended))
    lost, ended = ended & dropped, ended & ~dropped
    returns = jnp.where(ended[:, :, None], slots["returns"], 0.0).sum(1)  # [L, N]
    learning = [
        jnp.full(p.shape, k.learner) for k, p in zip(seating.kinds, seating.places, strict=True)
    ]
    learns = seating.put(learning)
    return {
        "episodes": ended.sum(),
        "dropped_episodes": lost.sum(),
        "return_sum": returns.sum(0),
        "learner_return_sum": jnp.where(learns, returns, 0.0).sum(),
        "learner_episodes": jnp.where(learns, ended.sum(1)[:, None], 0).sum(),
        "length_sum": jnp.where(ended, slots["time"] + 1, 0).sum(),
        "slots": jnp.int32(ended.size),
        "busy_slots": slots["alive"].any(2).sum(),
        "seats": jnp.int32(slots["alive"].size),
        "live_seats": slots["alive"].sum(),
    } | faults(slots)
