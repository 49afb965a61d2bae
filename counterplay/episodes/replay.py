"""One store for transitions, windows and whole episodes: a ring of slots, and views of it.

Lanes are games that step side by side without stopping, so a chunk of K slots of all lanes is
written at once, under one cursor. What is read is always a copy.

    replay = Replay.empty(scheme, lanes=8, slots=4096, chunk=16, horizon=50)
    replay = replay.write(chunk)           # name -> [8, 16, ...]; the old one is given away
    batch = replay.episodes(key, 32)       # EpisodeBatch, rows of at most horizon + 1 slots
    pairs = replay.transitions(key, 256)   # slots and the slots after them
    rows = replay.windows(key, 32, 8)      # stretches of 8 slots

All of them may be called inside jit. A guard band of one episode keeps live episodes together:
an episode is live while nothing that may belong to it has been written over.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from counterplay.episodes import draw, memory, ring
from counterplay.episodes.batch import EpisodeBatch, Where
from counterplay.episodes.index import NEVER, Index, Open
from counterplay.episodes.ring import Pairs, Rows, Slots
from counterplay.episodes.scheme import Field, Scheme, unfit
from counterplay.names import unknown

MOST = 2**31 - 1
READS = ("episodes", "transitions", "windows")


class Replay(eqx.Module):
    """The store, as a value: an array a field, and an index of the episodes that ended.

    Slots are counted in 32 bits since the first: after 2^31 of them in every lane, or as many
    episodes in all, what is read is undefined.
    """

    slots: Slots
    """Name -> [L, C, ...]."""
    index: Index
    goes: Open
    written: Int[Array, ""]
    """Slots written to every lane, ever."""
    overlong: Int[Array, ""]
    """Episodes longer than the horizon: in the ring, but never read as episodes."""
    scheme: Scheme = eqx.field(static=True)
    chunk: int = eqx.field(static=True)
    span: int = eqx.field(static=True)
    """Slots of the longest episode: its horizon, and one that shows where it stopped."""

    @staticmethod
    def empty(
        scheme: Scheme,
        *,
        lanes: int,
        slots: int,
        chunk: int,
        horizon: int,
        episodes: int | None = None,
    ) -> "Replay":
        """A store of ``slots`` slots a lane, written ``chunk`` at a time.

        It holds at most ``episodes`` whole ones, by default as many as fit were each of them
        half as long as the horizon; 1 will do for what is only read by the slot. ValueError where
        the sizes cannot work, the memory is not there, or the scheme lacks ``terminated`` or has a
        field by which episodes end, or agents leave, in another form: nothing has been made then.
        """
        scheme.check_stored()
        span = horizon + 1
        least = {"lanes": 1, "chunk": 1, "horizon": 1, "slots": span + chunk - 1, "episodes": 1}
        asked = {"lanes": lanes, "chunk": chunk, "horizon": horizon, "slots": slots}
        for name, found in (asked | {"episodes": 1 if episodes is None else episodes}).items():
            if found < least[name]:
                why = ", or some episodes could never be read" if name == "slots" else ""
                raise ValueError(
                    f"replay: {name} must be at least {least[name]}{why}; found {found}"
                )
        slots = -(-slots // chunk) * chunk
        if lanes * slots > MOST:
            raise ValueError(f"replay: {lanes} lanes of {slots} slots are more than {MOST}")
        held = episodes or max(2 * lanes * slots // span, 1)
        sizes = scheme, lanes, slots, held
        memory.check(memory.bytes_needed(*sizes), memory.describe(*sizes))
        zeros = lambda name, lead: jnp.full(
            (*lead, *scheme.shape(name)), scheme.fields[name].fill or 0, scheme.fields[name].dtype
        )
        number = lambda *shape: jnp.zeros(shape, jnp.int32)
        stored = {name: zeros(name, (lanes, slots)) for name in scheme.slotwise}
        stored |= {"filled": jnp.zeros((lanes, slots), bool), "time": number(lanes, slots)}
        index = Index(
            lane=number(held),
            start=number(held),
            length=number(held),
            left_at=jnp.full((held, scheme.agents), NEVER, jnp.int32),
            constants={name: zeros(name, (held,)) for name in scheme.constants},
            head=number(),
            tail=number(),
        )
        goes = Open(number(lanes), jnp.full((lanes, scheme.agents), NEVER, jnp.int32))
        return Replay(stored, index, goes, number(), number(), scheme, chunk, span)

    @property
    def lanes(self) -> int:
        return self.slots["filled"].shape[0]

    @property
    def capacity(self) -> int:
        """Slots of every lane."""
        return self.slots["filled"].shape[1]

    @property
    def held(self) -> Int[Array, ""]:
        """Slots of every lane that can be read."""
        return jnp.minimum(self.written, self.capacity)

    @property
    def ended(self) -> Int[Array, ""]:
        """Whole episodes that can be read."""
        return self.index.head - self.index.tail

    def nbytes(self) -> int:
        return sum(x.nbytes for x in jax.tree.leaves(self))

    def can_sample(
        self, n: int, of: str = "episodes", *, length: int | None = None
    ) -> Bool[Array, ""]:
        """Whether there are n whole episodes, or so many "transitions", or "windows" of a length.

        ValueError for another word, and for windows without a length, or one that is no window's.
        """
        return self._count(of, length) >= n

    def _count(self, of: str, length: int | None = None) -> Int[Array, ""]:
        """How many different ones can be drawn."""
        if of not in READS:
            raise unknown("reading", of, READS)
        if of == "windows" and (length is None or not 1 <= length <= self.capacity):
            raise ValueError(f"windows: length must be 1 to {self.capacity}, found {length}")
        if of == "episodes":
            return self.ended
        slots = length or 1 if of == "windows" else 2
        return self.lanes * jnp.maximum(self.held - slots + 1, 0)

    def write(self, chunk: Mapping[str, Any]) -> "Replay":
        """Writes the next K slots of every lane, fields [L, K, ...], over the oldest.

        Fields that the scheme fills may be left out, as may ``filled`` where all of them happened;
        ``time`` is counted here. Constants are read in the slot where an episode ends. ValueError,
        and nothing written, where a field does not fit, or numbers of a wider type do not (inside
        jit cast them yourself). This replay's arrays are given away.
        """
        self.scheme.check(chunk, (self.lanes, self.chunk))
        return ring.write(self, dict(chunk))

    def extend(self, batch: EpisodeBatch) -> "Replay":
        """Writes whole episodes, dealt anew to the lanes; outside jit.

        Where not all fit beside each other, the last ones of the batch are written. What goes on
        in the lanes is cut off. ValueError, and nothing written, where they are of another scheme
        or longer than the horizon.
        """
        from counterplay.episodes.insert import extended  # which reads a store

        return extended(self, batch)

    def cut(self) -> "Replay":
        """Cuts off what goes on in the lanes, as for games that begin anew."""
        start = jnp.broadcast_to(self.written[..., None], self.goes.start.shape)
        return eqx.tree_at(lambda r: r.goes.start, self, start)

    def whole(self) -> EpisodeBatch:
        """All whole episodes there are, in the order of their ends, as copies; outside jit.

        Also those that do not stand in the index, where no constants are kept.
        """
        from counterplay.episodes.export import batch_of
        from counterplay.episodes.scan import episodes_in

        return batch_of(episodes_in(self))

    def episodes(
        self,
        key: PRNGKeyArray,
        n: int,
        *,
        half_life: float | None = None,
        strata: str | tuple[str, int] | None = None,
    ) -> EpisodeBatch:
        """n different whole episodes, all equally likely unless told otherwise.

        ``half_life``, above 0: an episode counts half as much as one that ended so many later.
        ``strata``: all values of a constant, such as "matchup" or ("opponent_id", seat), come
        equally often.
        """
        if half_life is not None and not half_life > 0:
            raise ValueError(f"episodes: half_life should be above 0, found {half_life}")
        if strata is not None:
            self._check_strata(*((strata, 0) if isinstance(strata, str) else strata))
        draw.need(n, self.ended, "episodes", self.index.size)
        return ring.episodes(self, key, n, half_life, strata)

    sample = episodes
    """PyMARL's word."""

    def _check_strata(self, name: str, member: int) -> None:
        if name not in self.scheme.constants:
            raise unknown("constant to draw by", name, self.scheme.constants)
        kind, members = self.scheme.fields[name].dtype, int(np.prod(self.scheme.shape(name)))
        if np.dtype(kind).kind not in "biu":
            raise ValueError(f"strata {name!r}: expected whole numbers, found {np.dtype(kind)}")
        if not 0 <= member < members:
            raise ValueError(f"strata {name!r}: members are 0 to {members - 1}, found {member}")

    def transitions(
        self, key: PRNGKeyArray, n: int, *, priority: str | None = None, alpha: float = 0.6
    ) -> Pairs:
        """n different slots of any lane, each with the one after it.

        With ``priority`` they are drawn with replacement, by that field to the power ``alpha``;
        negative priorities count as the largest there is. ``relabel`` writes new ones.
        """
        draw.need(n, self._count("transitions"), "transitions", self.lanes * (self.capacity - 1))
        if priority is None:
            return ring.transitions(self, key, n)
        if priority not in self.scheme.slotwise or self.scheme.shape(priority):
            raise ValueError(f"transitions: priority wants a field of one number a slot, found "
                             f"{priority!r}")  # fmt: skip
        return ring.prioritised(self, key, n, priority, alpha)

    def windows(self, key: PRNGKeyArray, n: int, length: int) -> Rows:
        """n different stretches of ``length`` slots, running over the ends of episodes."""
        have = self._count("windows", length)
        draw.need(n, have, "windows", self.lanes * (self.capacity - length + 1))
        return ring.windows(self, key, n, length)

    def relabel(self, where: Where, name: str, values: Array, ok: Any = None) -> "Replay":
        """Writes a field back to slots that were read, values [B, T, ...] or [B, ...] of pairs.

        Only where ``ok``, [B, T] or [B], and where nothing has been written over them since.
        Values of whole rows want it: as a rule ``batch.filled``, since padding stands where other
        episodes go on. ValueError where values or ``ok`` do not fit.
        """
        if name not in self.scheme.slotwise:
            raise unknown("field of every slot", name, self.scheme.slotwise)
        one, rows = self.scheme.shape(name), where.lane.shape
        lead = values.shape[: values.ndim - len(one)]
        fits = values.shape[len(lead) :] == one and len(lead) in (1, 2) and lead[:1] == rows
        if not fits:
            raise ValueError(
                f"relabel {name!r}: values should be {[*rows, 'T', *one]}, "
                f"found {list(values.shape)}"
            )
        stored = np.dtype(self.scheme.fields[name].dtype)
        if (why := unfit(values, stored)) is not None:
            raise ValueError(f"relabel {name!r}: expected {stored}, found {values.dtype}{why}")
        if ok is None and len(lead) == 2:
            raise ValueError(
                f"relabel {name!r}: values of rows want ok {[*lead]}, found none; padding would be "
                "written over what follows, so give the filled of the batch they were made of"
            )
        ok = jnp.asarray(True if ok is None else ok)
        if ok.shape not in ((), rows, (*rows, 1), (*lead, 1)[:2]):
            raise ValueError(f"relabel {name!r}: ok should be {[*lead]}, found {[*ok.shape]}")
        return ring.relabel(self, where, name, values, ok.reshape(*ok.shape, *(1,) * (2 - ok.ndim)))

    def with_field(self, name: str, field: Field) -> "Replay":
        """A store with one more field, full of its ``fill``; programs compile anew for it."""
        scheme = self.scheme.with_field(name, field)
        if field.constant:
            raise ValueError(f"with_field {name!r}: a constant has to be there from the start")
        if name == "left":
            raise ValueError("with_field 'left': who leaves has to be there from the start")
        scheme.check_stored()
        lead = (self.lanes, self.capacity)
        size = self.lanes * self.capacity * scheme.bytes_of({name: field})
        memory.check(size, f"field {name!r}")
        new = jnp.full((*lead, *scheme.shape(name)), field.fill or 0, field.dtype)
        parts = self.index, self.goes, self.written, self.overlong, scheme, self.chunk, self.span
        return Replay({**self.slots, name: new}, *parts)

    def describe(self) -> str:
        return memory.describe(self.scheme, self.lanes, self.capacity, self.index.size)


def in_stores(change: Callable[[Replay], Replay], tree: Any) -> Any:
    """A tree with every store in it changed."""
    is_store = lambda x: isinstance(x, Replay)
    return jax.tree.map(lambda x: change(x) if is_store(x) else x, tree, is_leaf=is_store)
