"""Episodes as rows: what PyMARL calls an EpisodeBatch, read from the stream of a store."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from counterplay.episodes.index import NEVER
from counterplay.episodes.scheme import Scheme
from counterplay.names import unknown

NO_STORE = -(2**30)
"""As the slot where a row is in its store: relabelling such rows touches nothing."""
BEFORE = -2
"""In place of a slot: this agent was gone before the first one shown."""


class Where(eqx.Module):
    """Places in a store, by lane and by slot since the very first that was written."""

    lane: Int[Array, " B"]
    slot: Int[Array, " B"]
    """Of the first slot of a row."""


class EpisodeBatch(eqx.Module):
    """B episodes in T slots. What is not ``filled`` is zero.

    ``batch["obs"]`` is an array [B, T, ...], of a constant of the episode [B, ...]; views of the
    scheme have names too. ``batch[rows]`` and ``batch[rows, a:b]`` are smaller batches.
    """

    data: dict[str, Array]
    constants: dict[str, Array]
    filled: Bool[Array, "B T"]
    left_at: Int[Array, "B N"]
    """Slot after which an agent was gone, NEVER (-1) where it stayed to the end, or BEFORE (-2)
    where it was gone before the first slot of a batch that was cut."""
    where: Where
    scheme: Scheme = eqx.field(static=True)
    clock: int = eqx.field(static=True, default=0)
    """Slots of the games that rows were cut from; 0 where nothing was cut."""

    @property
    def batch_size(self) -> int:
        return self.filled.shape[0]

    @property
    def max_seq_length(self) -> int:
        return self.filled.shape[1]

    @property
    def length(self) -> Int[Array, " B"]:
        """Slots of each episode, the closing one of a truncated episode included."""
        return self.filled.sum(1, dtype=jnp.int32)

    def max_t_filled(self) -> Int[Array, ""]:
        """Slots of the longest episode."""
        return self.length.max()

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return self._named(item)
        rows, times = item if isinstance(item, tuple) else (item, slice(None))
        if isinstance(rows, str) or not isinstance(times, slice):
            raise TypeError(
                f"an EpisodeBatch is read by a name, by rows, or by rows and a slice of slots; "
                f"found {item!r}"
            )
        rows = slice(rows, rows + 1 or None) if isinstance(rows, int) else rows
        rows = jnp.asarray(rows) if isinstance(rows, Sequence) else rows
        first, stop, _ = times.indices(self.max_seq_length)
        if times.step not in (None, 1):
            raise TypeError(f"slots of an EpisodeBatch follow one another; found {times!r}")
        where = Where(self.where.lane[rows], self.where.slot[rows] + first)
        left, whole = self.left_at[rows], (first, stop) == (0, self.max_seq_length)
        shown = jnp.where(left < first, BEFORE, jnp.where(left < stop, left - first, NEVER))
        return replace(
            self,
            data={name: x[rows, times] for name, x in self.data.items()},
            constants={name: x[rows] for name, x in self.constants.items()},
            filled=self.filled[rows, times],
            left_at=left if whole else jnp.where(left < 0, left, shown),
            where=where,
            clock=self.clock if whole else self.clock or self.max_seq_length,
        )

    def _named(self, name: str) -> Array:
        if name == "filled":
            return self.filled
        if name in self.data:
            return self.data[name]
        if name in self.constants:
            return self.constants[name]
        if name in self.scheme.views:
            view = self.scheme.views[name]
            made = view(self._named(view.of))
            return made if view.of in self.constants else jnp.where(self._over(made), made, 0)
        raise unknown("field", name, ["filled", *self.data, *self.constants, *self.scheme.views])

    def _in(self, group: str, name: str) -> bool:
        return name in self.scheme.fields and self.scheme.fields[name].group == group

    def _over(self, x: Array) -> Array:
        """``filled`` with as many axes as x."""
        return self.filled.reshape(self.filled.shape + (1,) * (x.ndim - 2))

    def trim(self) -> "EpisodeBatch":
        """Cut to the smallest power of two that holds the longest episode; outside jit.

        So a program that learns from batches is compiled at most log2(T) times.
        """
        longest = max(int(self.max_t_filled()), 1)
        return self[:, : min(1 << (longest - 1).bit_length(), self.max_seq_length)]

    def future(
        self, t: Int[Array, ""] | int, horizon: int, name: str = "obs"
    ) -> tuple[Array, Bool[Array, "B H"]]:
        """A field in the ``horizon`` slots after t, [B, H, ...], and which of them happened.

        Of ``segments`` these are what this agent still saw: the window ends where it left.
        """
        at = t + 1 + jnp.arange(horizon)
        inside = self.filled.at[:, at].get(mode="fill", fill_value=False)
        field = self[name].at[:, at].get(mode="fill", fill_value=0)
        return jnp.where(inside.reshape(inside.shape + (1,) * (field.ndim - 2)), field, 0), inside

    def futures(self, horizon: int, name: str = "obs") -> tuple[Array, Bool[Array, "B T H"]]:
        """``future`` of every slot, [B, T, H, ...]."""
        each = jax.vmap(lambda t: self.future(t, horizon, name), out_axes=1)
        return each(jnp.arange(self.max_seq_length))

    def segments(self, agent: int, group: str = "agents") -> "EpisodeBatch":
        """One agent's own episodes, from the slot where it came to the one after which it left.

        Fields of the group lose its axis. ``time`` still counts from the start of the game, so
        that ``align`` can put several agents on one clock. Where it came is its first ``alive``.
        """
        if group not in self.scheme.groups:
            raise unknown("group", group, self.scheme.groups)
        members = self.scheme.groups[group]
        if not 0 <= agent < members:
            raise ValueError(f"segments: {group} are 0 to {members - 1}, found {agent}")
        own = {
            name: x[:, :, agent] if self._in(group, name) else x for name, x in self.data.items()
        }
        fixed = {
            name: x[:, agent] if self._in(group, name) else x for name, x in self.constants.items()
        }
        here = self.filled & own["alive"] if "alive" in own else self.filled
        came = jnp.where(here.any(1), jnp.argmax(here, axis=1), 0)
        left = self.left_at[:, agent] if self.left_at.shape[1] else jnp.full_like(came, -1)
        stop = jnp.where(left == NEVER, self.length, jnp.minimum(left + 1, self.length))
        stop = jnp.where(here.any(1), stop, 0)
        at = came[:, None] + jnp.arange(self.max_seq_length)[None]
        filled = at < stop[:, None]
        left = jnp.where(left < 0, left, left - came)[:, None]
        return EpisodeBatch(
            data={name: _taken(x, at, filled) for name, x in own.items()},
            constants=fixed,
            filled=filled,
            left_at=left,
            where=Where(self.where.lane, self.where.slot + came),
            scheme=self.scheme.member(group),
            clock=self.clock,
        )


def align(segments: Sequence[EpisodeBatch], length: int | None = None) -> EpisodeBatch:
    """Several segments of as many rows on one clock: fields [B, T, S, ...], S segments.

    Slot t of every row is slot t of the game. ``present`` [B, T, S] tells who was there, and is
    ``filled`` where anybody was; all else is zero. Constants get the axis as well: [B, S, ...].
    T is ``length``, or as many slots as the rows had that the segments were cut from: slots of a
    part ``batch[:, a:b]`` stand where they were in the whole.
    """
    sizes = {segment.batch_size for segment in segments}
    if len(sizes) != 1:
        raise ValueError(f"align: segments of as many rows each, found {sorted(sizes)} rows")
    total = length or max(segment.clock or segment.max_seq_length for segment in segments)
    parts, present = [], []
    for segment in segments:
        at = jnp.arange(total)[None] - segment.data["time"][:, :1].astype(jnp.int32)
        inside = (at >= 0) & (at < segment.max_seq_length)
        there = _taken(segment.filled, at, inside)
        present.append(there)
        parts.append({name: _taken(x, at, there) for name, x in segment.data.items()})
    stack = lambda *x: jnp.stack(x, axis=2)
    data = {name: stack(*(part[name] for part in parts)) for name in parts[0]}
    data["present"] = stack(*present)
    first = segments[0]
    began = first.where.slot - first.data["time"][:, 0].astype(jnp.int32)
    return EpisodeBatch(
        data=data,
        constants={
            name: jnp.stack([segment.constants[name] for segment in segments], axis=1)
            for name in first.constants
        },
        filled=data["present"].any(2),
        left_at=jnp.concatenate([_left_on_clock(segment) for segment in segments], axis=1),
        where=Where(first.where.lane, began),
        scheme=first.scheme,
    )


def _left_on_clock(segment: EpisodeBatch) -> Int[Array, "B 1"]:
    came = segment.data["time"][:, :1].astype(jnp.int32)
    return jnp.where(segment.left_at < 0, segment.left_at, segment.left_at + came)


def _taken(x: Array, at: Int[Array, "B T"], filled: Bool[Array, "B T"]) -> Array:
    """Slots ``at`` of every row, zero where not filled."""
    rows = jnp.arange(x.shape[0])[:, None]
    return x.at[rows, jnp.where(filled, at, x.shape[1])].get(mode="fill", fill_value=0)
