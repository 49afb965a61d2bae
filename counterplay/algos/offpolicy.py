"""What learners from a replay share: what is stored, and rows of decisions cut out of it."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.algos.dqn_settings import Config
from counterplay.episodes import Field, Replay, Scheme, default_scheme, memory, ring
from counterplay.episodes.batch import Where
from counterplay.episodes.default import AGENTS
from counterplay.maths import n_step_returns
from counterplay.seats import Seating
from counterplay.types import Env
from counterplay.views import select

FIELDS = (
    "obs", "actions", "avail_actions", "reward", "terminated", "closing", "continues", "alive",
)  # fmt: skip
PRIORITY, TOLD, LEAST = "priority", "told", 1e-3
READ = (*FIELDS, "contact", "filled", TOLD)


def scheme_of(env: Env, priority: bool = False, told: tuple[int, int] | None = None) -> Scheme:
    """What a learner of action values reads, and no more.

    ``told`` are rows and numbers a row of what every player is told beside the observation.
    """
    scheme = default_scheme(env).only(*FIELDS).with_field("contact", Field((), np.bool_))
    if told is not None:
        scheme = scheme.with_field(TOLD, Field(told, group=AGENTS))
    return scheme.with_field(PRIORITY, Field(fill=-1.0)) if priority else scheme


class Store(NamedTuple):
    """How large a replay is to be."""

    scheme: Scheme
    lanes: int
    slots: int
    """Of each lane."""
    chunk: int
    horizon: int

    @property
    def nbytes(self) -> int:
        return memory.bytes_needed(self.scheme, self.lanes, self.slots, episodes=1)

    def describe(self, seeds: int = 1) -> str:
        number = f"{self.lanes * self.slots:,} slots" + f" for each of {seeds} seeds" * (seeds > 1)
        return f"a replay of {number} takes {memory.told(seeds * self.nbytes)}"

    def empty(self) -> Replay:
        """The replay; it is read by the slot, so it keeps no index of episodes."""
        sizes = {"slots": self.slots, "chunk": self.chunk, "horizon": self.horizon, "episodes": 1}
        return Replay.empty(self.scheme, lanes=self.lanes, **sizes)


def store_of(scheme: Scheme, env: Env, lanes: int, chunk: int, slots: int, window: int) -> Store:
    """A replay of about ``slots`` slots in all, from which windows are drawn."""
    each, least = -(-slots // lanes), window + chunk
    if each < least:
        raise ValueError(
            f"replay must be at least {lanes * least:,}, or {lanes} lanes have no room for a chunk "
            f"of {chunk} slots and a window of {window}; found {slots:,}"
        )
    each = -(-each // chunk) * chunk
    return Store(scheme, lanes, each, chunk, max(min(env.horizon, each - chunk), 1))


def store(
    config: Config, env: Env, lanes: int, shards: int = 1, told: tuple[int, int] | None = None
) -> Store:
    """The replay of one of so many shards, each with so many lanes; ``told`` as in ``scheme_of``.

    ValueError where all of them together never hold the slots after which learning starts.
    """
    scheme, window = scheme_of(env, config.priority > 0, told), window_of(config)
    asked, wanted = config.sized("replay"), config.sized("start")
    found = store_of(scheme, env, lanes, config.sized("slots"), -(-asked // shards), window)
    if (most := shards * found.lanes * found.slots) < wanted:
        raise ValueError(
            f"dqn: replay must hold start, {wanted:,} slots, or nothing is ever learnt; found "
            f"{most:,}, of the {asked:,} asked for in whole chunks: a larger replay or a smaller "
            "start will do"
        )
    return found


def window_of(config: Config) -> int:
    """Slots that are drawn together: for nets without memory those of one decision's target."""
    return config.window if config.gru else config.n_step + 1


class Drawn(NamedTuple):
    """Windows of W slots of B lanes, as they were stored; of several members [K, B, ...]."""

    slots: dict[str, Array]
    """Name -> [B, W, ...]."""
    where: Where
    ok: Bool[Array, " B"]
    chance: Float[Array, " B"]
    """Of being drawn, over that of a uniform draw."""


def draw(replay: Replay, key: PRNGKeyArray, n: int, length: int, alpha: float = 0.0) -> Drawn:
    """n windows; with ``alpha`` by the priority of their first slot to that power."""
    if not alpha:
        rows = replay.windows(key, n, length)
        return Drawn(rows.data, rows.where, rows.ok, jnp.ones(n))
    pairs = replay.transitions(key, n, priority=PRIORITY, alpha=alpha)
    slot = pairs.where.slot[:, None] + jnp.arange(length)[None]
    there = pairs.ok[:, None] & (slot < replay.written)
    data = ring.gather(replay, pairs.where, length, there)
    return Drawn(data, pairs.where, pairs.ok, pairs.chance)


def encoded(env: Env, obs: Any) -> Any:
    """What a net reads in one slot, of what is stored of it; see ``Rows.obs``."""
    return (env.encode(obs[0]), obs[1]) if isinstance(obs, tuple) else env.encode(obs)


class Rows(NamedTuple):
    """Windows as one kind of learner sees them: R rows of W slots, one a seat of its own.

    A net without memory reads two slots only, that of the decision and that of its bootstrap.
    """

    obs: Any
    """As it is stored; with what else the net is told, a pair."""
    legal: Bool[Array, "*k R W A"]
    contact: Bool[Array, "*k R W"]
    alive: Bool[Array, "*k R W"]
    action: Int[Array, "*k R V"]
    """V is W, or 1 for nets without memory."""
    paid: Float[Array, "*k R V"]
    weight: Float[Array, "*k R V"]
    """Of the bootstrap's value in the target; 0 where nothing comes after."""
    at: Int[Array, "*k R V"]
    """Slot of the bootstrap."""
    valid: Bool[Array, "*k R V"]
    """A decision whose target is known."""
    importance: Float[Array, "*k R"]
    """Corrects for how often it is drawn."""


def seats_of(seating: Seating, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the members of a kind sit in each lane, int [K, L, S]; and which are no padding."""
    places, lanes, n = seating.places[index], seating.lanes, seating.num_seats
    sits = np.zeros((len(places), lanes * n), bool)
    np.put_along_axis(sits, places, True, axis=1)
    sits = sits.reshape(len(places), lanes, n)
    seats = np.argsort(~sits, axis=2, kind="stable")[:, :, : sits.sum(2).max()]
    return seats, np.take_along_axis(sits, seats, axis=2)


def rows_of(
    drawn: Drawn,
    seating: Seating,
    index: int,
    gamma: float,
    n: int,
    exponent: Float[Array, ""],
    whole: bool,
    burn_in: int,
) -> Rows:
    """The rows of one kind of learner, leaves [K, R, ...], from those seats of a lane it sits at.

    Every member has windows of its own: leaves of ``drawn`` are [K, B, ...]. Targets reach over n
    slots. ``whole`` is for nets with memory; what they do in the first ``burn_in`` slots is not
    learnt from.
    """
    each = partial(_row, gamma=gamma, n=n, whole=whole, burn_in=burn_in * whole)

    def of_member(drawn: Drawn, seats: Int[Array, "L S"], sits: Bool[Array, "L S"]) -> Rows:
        seats, sits = seats[drawn.where.lane], sits[drawn.where.lane]
        row = jnp.arange(len(seats))[:, None]

        def at_seats(x: Array) -> Array:  # [B], [B, W] or [B, W, N, ...] -> [R, W, ...]
            if x.ndim < 3:
                x = jnp.broadcast_to(x[:, None], (*seats.shape, *x.shape[1:]))
            else:
                x = x[row, :, seats]
            return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])  # -1 fails if empty

        weight = drawn.chance**-exponent
        weight = weight / jnp.where(drawn.ok, weight, 0.0).max()
        slots = {name: at_seats(x) for name, x in drawn.slots.items() if name in READ}
        return jax.vmap(each)(slots, sits.reshape(-1) & at_seats(drawn.ok), at_seats(weight))

    return jax.vmap(of_member)(drawn, *map(jnp.asarray, seats_of(seating, index)))


def _row(
    slots: dict[str, Array],
    real: Bool[Array, ""],
    importance: Float[Array, ""],
    *,
    gamma: float,
    n: int,
    whole: bool,
    burn_in: int,
) -> Rows:
    """One window of one seat, fields [W, ...]."""
    contact, there = slots["contact"], slots["filled"] & real
    alive, goes, closing = (slots[name] & there for name in ("alive", "continues", "closing"))
    # an episode that was dropped, or a game that was restarted, leaves no slot to bootstrap from
    cut = goes & jnp.append((contact | ~slots["filled"])[1:], False)
    reward = jnp.where(alive, slots["reward"], 0.0)
    discount = jnp.where(goes, gamma, 0.0)
    paid, weight, at, valid = n_step_returns(reward, discount, alive & ~cut, closing, n)
    # what an absent player's slots hold is never read: not even a NaN there can spread
    seen = alive | (closing & jnp.append(False, goes[:-1]))
    obs = (slots["obs"], slots[TOLD]) if TOLD in slots else slots["obs"]
    obs = select(seen, obs, jax.tree.map(jnp.zeros_like, obs))
    legal = slots["avail_actions"] & seen[:, None]
    valid &= (weight == 0) | legal[at].any(-1)  # where no move is legal, none has a value
    valid &= jnp.arange(len(valid)) >= burn_in
    action = slots["actions"].astype(jnp.int32)
    rows = Rows(obs, legal, contact, alive, action, paid, weight, at, valid, importance)
    if whole:
        return rows
    two = partial(jax.tree.map, lambda x: jnp.stack([x[0], x[at[0]]]))
    both = {
        name: jax.tree.map(two, getattr(rows, name))
        for name in ("obs", "legal", "contact", "alive")
    }
    first = {name: getattr(rows, name)[:1] for name in ("action", "paid", "weight", "valid")}
    return rows._replace(at=jnp.zeros_like(at[:1]), **both, **first)


def reprioritised(replay: Replay, drawn: Drawn, error: Array, valid: Array) -> Replay:
    """What a kind of learner drew gets the largest error of its seats as priority, and some more.

    ``error`` and whether it counts are [K, R, 1]. Where several draws have one slot, of one member
    or of several, the largest counts.
    """
    sizes = jnp.where(valid, error, 0.0).reshape(*drawn.ok.shape, -1).max(-1) + LEAST
    where, ok, sizes = jax.tree.map(jnp.ravel, (drawn.where, drawn.ok, sizes))
    at = where.lane, where.slot % replay.capacity
    largest = jnp.zeros((replay.lanes, replay.capacity)).at[at].max(jnp.where(ok, sizes, 0.0))
    return replay.relabel(where, PRIORITY, largest[at], ok[:, None])
