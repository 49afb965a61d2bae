"""PyMARL's episode batches and replay buffer, modelled in NumPy for tests to compare ours with.

Names and behaviour are those of PyMARL (Samvelyan et al., 2019), its oddities included; the code is
our own. ``benchmarks/pymarl_model.py`` runs this model beside the original on random operations.

A scheme gives every field ``vshape`` (a number or a tuple) and, where they differ from the default,
``dtype`` (float32), ``group`` (none) and ``episode_const`` (False).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

Arrays = dict[str, np.ndarray]
Scheme = dict[str, dict[str, Any]]
ALL = slice(None)


@dataclass(frozen=True)
class Data:
    """A field's array has the axes (B, T, [group], *vshape); a constant one lacks the T."""

    transition_data: Arrays = field(default_factory=dict)
    episode_data: Arrays = field(default_factory=dict)


class EpisodeBatch:
    """Episodes side by side, zero where nothing was written, and which slots were: ``filled``."""

    def __init__(
        self,
        scheme: Mapping[str, Mapping[str, Any]],
        groups: Mapping[str, int],
        batch_size: int,
        max_seq_length: int,
        preprocess: Mapping[str, tuple[str, int]] | None = None,
        data: Data | None = None,
    ):
        """``preprocess`` maps a field to the name of its one-hot field and the number of values."""
        self.scheme: Scheme = {key: dict(of) for key, of in scheme.items()}
        self.groups, self.preprocess = dict(groups), dict(preprocess or {})
        self.batch_size, self.max_seq_length = batch_size, max_seq_length
        self.data = Data() if data is None else data
        if data is not None:
            return
        if "filled" in scheme:
            raise ValueError(
                "the scheme has a field 'filled', which marks what was written: rename it"
            )
        for key, (derived, values) in self.preprocess.items():
            self.scheme[derived] = self.scheme[key] | {"vshape": (values,), "dtype": np.float32}
        self.scheme["filled"] = {"vshape": (1,), "dtype": np.int64}
        for key, of in self.scheme.items():
            self._allocate(key, of)

    def _allocate(self, key: str, of: Mapping[str, Any]) -> None:
        vshape = of["vshape"]
        shape = (vshape,) if isinstance(vshape, int) else tuple(vshape)
        if group := of.get("group"):
            shape = (self.groups[group], *shape)
        dtype = of.get("dtype", np.float32)
        if of.get("episode_const"):
            self.data.episode_data[key] = np.zeros((self.batch_size, *shape), dtype)
        else:
            shape = (self.batch_size, self.max_seq_length, *shape)
            self.data.transition_data[key] = np.zeros(shape, dtype)

    def update(
        self,
        data: Mapping[str, Any],
        bs: int | slice | Sequence[int] | np.ndarray = ALL,
        ts: int | slice = ALL,
        mark_filled: bool = True,
    ) -> None:
        """Write fields at ``bs``, ``ts``; what comes before a refused field stays written."""
        where = _both_axes((bs, ts))
        for key, value in data.items():
            if key in self.data.transition_data:
                target, at = self.data.transition_data, where
                if mark_filled:  # by the first field that has a time axis
                    target["filled"][where] = 1
                    mark_filled = False
            elif key in self.data.episode_data:
                target, at = self.data.episode_data, where[:1]
            else:
                known = ", ".join(self.scheme)
                raise KeyError(f"no field {key!r}; the scheme has {known}")
            dtype, shape = target[key].dtype, target[key][at].shape
            target[key][at] = _fitted(key, np.asarray(value).astype(dtype), shape)
            if key in self.preprocess:
                derived, values = self.preprocess[key]
                target[derived][at] = _one_hot(key, target[key][at], values)

    def __getitem__(self, item: Any) -> Any:
        """A field by its name, the fields of a tuple of names, or the part of all at an index."""
        if isinstance(item, str):
            return (self.data.transition_data | self.data.episode_data)[item]
        if isinstance(item, tuple) and all(isinstance(key, str) for key in item):
            return self._fields(item)
        bs, ts = where = _both_axes(item)
        part = Data(
            {key: array[where] for key, array in self.data.transition_data.items()},
            {key: array[bs] for key, array in self.data.episode_data.items()},
        )
        rows, slots = _count(bs, self.batch_size), _count(ts, self.max_seq_length)
        return EpisodeBatch(self.scheme, self.groups, rows, slots, data=part)

    def _fields(self, keys: tuple[str, ...]) -> "EpisodeBatch":
        scheme = {key: self.scheme[key] for key in keys}
        used = {of["group"] for of in scheme.values() if of.get("group")}
        part = Data(
            {key: array for key, array in self.data.transition_data.items() if key in scheme},
            {key: array for key, array in self.data.episode_data.items() if key in scheme},
        )
        groups = {name: self.groups[name] for name in used}
        return EpisodeBatch(scheme, groups, self.batch_size, self.max_seq_length, data=part)

    def max_t_filled(self) -> int:
        """The most slots filled in a row: the longest row's end only if it was filled in order."""
        return int(self.data.transition_data["filled"].sum(axis=1).max())


class ReplayBuffer(EpisodeBatch):
    """A ring of episodes, uniformly sampled."""

    def __init__(
        self,
        scheme: Mapping[str, Mapping[str, Any]],
        groups: Mapping[str, int],
        buffer_size: int,
        max_seq_length: int,
        preprocess: Mapping[str, tuple[str, int]] | None = None,
    ):
        super().__init__(scheme, groups, buffer_size, max_seq_length, preprocess)
        self.buffer_size = buffer_size
        self.buffer_index = self.episodes_in_buffer = 0

    def insert_episode_batch(self, ep_batch: EpisodeBatch) -> None:
        """Copy in order, over the oldest; slots beyond the batch's last keep what was there."""
        done = 0
        while done < ep_batch.batch_size:
            room = self.buffer_size - self.buffer_index
            part = ep_batch[done : done + room]
            stop = self.buffer_index + part.batch_size
            rows, slots = slice(self.buffer_index, stop), slice(0, part.max_seq_length)
            self.update(part.data.transition_data, rows, slots, mark_filled=False)
            self.update(part.data.episode_data, rows)
            self.episodes_in_buffer = max(self.episodes_in_buffer, stop)
            self.buffer_index = stop % self.buffer_size
            done += part.batch_size

    def can_sample(self, batch_size: int) -> bool:
        return self.episodes_in_buffer >= batch_size

    def sample(self, batch_size: int, rows: Sequence[int] | np.ndarray | None = None) -> Self:
        """As many rows, all different: those given, or any. All there are come as a view."""
        if not self.can_sample(batch_size):
            raise ValueError(f"{batch_size} episodes asked for, {self.episodes_in_buffer} stored")
        if self.episodes_in_buffer == batch_size:
            return self[:batch_size]
        if rows is None:
            rows = np.random.default_rng().choice(self.episodes_in_buffer, batch_size, False)
        return self[np.asarray(rows)]


def _both_axes(item: Any) -> tuple[Any, Any]:
    """The index of rows and that of slots; a number becomes a slice, so that its axis stays."""
    bs, ts = item if isinstance(item, tuple) else (item, ALL)
    if isinstance(ts, list):
        raise IndexError(f"slots are a number or a slice, found the list {ts}")
    bs, ts = (slice(at, at + 1) if isinstance(at, int) else at for at in (bs, ts))
    return bs, ts


def _count(at: slice | Sequence[int] | np.ndarray, size: int) -> int:
    return len(range(*at.indices(size))) if isinstance(at, slice) else len(at)


def _fitted(key: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` in ``shape``: axes of size one may be missing anywhere, or too many in front."""
    left = list(value.shape)
    for size in reversed(shape):
        if left and left[-1] == size:
            left.pop()
        elif size != 1:
            raise ValueError(f"{key} has the shape {value.shape}, where {shape} is expected")
    if any(size != 1 for size in left):
        raise ValueError(f"{key} has the shape {value.shape}, where {shape} is expected")
    return value.reshape(shape)


def _one_hot(key: str, index: np.ndarray, values: int) -> np.ndarray:
    if index.size and (index.min() < 0 or index.max() >= values):
        raise IndexError(f"{key} is between 0 and {values - 1}, found {index.min()}..{index.max()}")
    hot = np.zeros((*index.shape[:-1], values), np.float32)
    np.put_along_axis(hot, index.astype(np.int64), 1, axis=-1)
    return hot
