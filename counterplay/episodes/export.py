"""Episodes on their way to a file and back: copies in NumPy, checked against their scheme."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from counterplay.episodes.batch import NO_STORE, EpisodeBatch, Where
from counterplay.episodes.index import NEVER
from counterplay.episodes.scheme import Scheme
from counterplay.episodes.scheme_text import STORED
from counterplay.names import unknown

Arrays = dict[str, np.ndarray]


class Export(NamedTuple):
    """B episodes of at most T slots, none of them empty, zero where there is no slot."""

    data: Arrays
    """[B, T, ...], ``time`` among them."""
    constants: Arrays
    """[B, ...]"""
    length: np.ndarray
    """[B]"""
    left_at: np.ndarray
    """[B, N]"""
    scheme: Scheme

    @property
    def slots(self) -> int:
        """Of the longest row, or as many as there is room for."""
        return self.data["time"].shape[1]

    @property
    def filled(self) -> np.ndarray:
        return np.arange(self.slots)[None] < self.length[:, None]


def exported(batch: EpisodeBatch) -> Export:
    """A copy of the episodes of a batch; rows without any slot are left out.

    ValueError where its arrays are not those of its scheme, as after ``align``.
    """
    scheme, (rows, slots) = batch.scheme, batch.filled.shape
    check(batch.data, batch.constants, scheme, (rows, slots), "these episodes")
    host = lambda tree: jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(tree))
    filled, left_at = host(batch.filled), host(batch.left_at)
    length = filled.sum(1).astype(np.int32)
    if not np.array_equal(filled, np.arange(slots)[None] < length[:, None]):
        row = int(np.flatnonzero((np.diff(filled.astype(np.int8), axis=1) > 0).any(1))[0])
        raise ValueError(
            f"episode {row}: its slots should follow one another from the first, found a gap in "
            "filled; was it aligned with others? Save its segments"
        )
    some = length > 0
    data = {}
    for name in (*scheme.slotwise, "time"):
        array = host(batch.data[name])[some]
        array[~filled[some]] = 0
        data[name] = array
    constants = {name: host(batch.constants[name])[some] for name in scheme.constants}
    return Export(data, constants, length[some], left_at[some].astype(np.int32), scheme)


def check(
    data: Mapping[str, Any],
    constants: Mapping[str, Any],
    scheme: Scheme,
    lead: tuple[int, int],
    where: str,
) -> None:
    """ValueError naming ``where`` and the first array that is not as the scheme has it."""
    wanted = {name: (np.dtype(f.dtype).name, lead, scheme.shape(name))
              for name, f in scheme.slotwise.items()}  # fmt: skip
    wanted["time"] = ("int32", lead, ())
    fixed = {name: (np.dtype(f.dtype).name, lead[:1], scheme.shape(name))
             for name, f in scheme.constants.items()}  # fmt: skip
    for arrays, group in ((data, wanted), (constants, fixed)):
        for name in arrays:
            if name not in group:
                raise ValueError(f"{where}: {unknown('field of their scheme', name, group)}")
        for name, (dtype, axes, shape) in group.items():
            expected, found = f"{dtype}{[*axes, *shape]}", "nothing"
            if name in arrays:
                found = f"{np.dtype(arrays[name].dtype).name}{list(arrays[name].shape)}"
            if dtype not in STORED:
                raise ValueError(
                    f"{where}: field {name!r} should be one of {', '.join(STORED)} to be written "
                    f"to a file, found {dtype}"
                )
            if found != expected:
                raise ValueError(f"{where}: field {name!r} should be {expected}, found {found}")


def left_in(data: Arrays, scheme: Scheme) -> np.ndarray:
    """Slot after which each agent was gone, [B, N], by ``left`` and ``alive`` of these slots.

    As a store finds it while it is written: an agent that is alive after it left has come back.
    """
    rows, slots = data["time"].shape
    if not scheme.agents:
        return np.full((rows, 0), NEVER, np.int32)
    left = data["left"].reshape(rows, slots, scheme.agents)
    known = "alive" in data and data["alive"].size == left.size
    alive = data["alive"].reshape(left.shape) if known else np.zeros_like(left)
    twice = 2 * np.arange(slots, dtype=np.int32)[None, :, None]
    last = np.where(left, twice + 1, np.where(alive, twice, 2 * NEVER)).max(1, initial=2 * NEVER)
    return np.where(last % 2 == 1, last // 2, NEVER).astype(np.int32)


def batch_of(export: Export) -> EpisodeBatch:
    """The episodes as a batch again, which is in no store."""
    rows = np.arange(len(export.length), dtype=np.int32)
    nowhere = np.full_like(rows, NO_STORE)
    return EpisodeBatch(
        data={name: jnp.asarray(x) for name, x in export.data.items()},
        constants={name: jnp.asarray(x) for name, x in export.constants.items()},
        filled=jnp.asarray(export.filled),
        left_at=jnp.asarray(export.left_at),
        where=Where(jnp.asarray(rows), jnp.asarray(nowhere)),
        scheme=export.scheme,
        clock=max(export.slots, int(export.data["time"].max(initial=0)) + 1),
    )


def joined(parts: list[EpisodeBatch]) -> EpisodeBatch:
    """The episodes of several batches of one scheme, one after another."""
    exports = [exported(part) for part in parts]
    slots = max(export.slots for export in exports)
    wide = lambda x: np.pad(x, [(0, 0), (0, slots - x.shape[1])] + [(0, 0)] * (x.ndim - 2))
    first = exports[0]
    return batch_of(
        Export(
            {name: np.concatenate([wide(e.data[name]) for e in exports]) for name in first.data},
            {n: np.concatenate([e.constants[n] for e in exports]) for n in first.constants},
            np.concatenate([export.length for export in exports]),
            np.concatenate([export.left_at for export in exports]),
            first.scheme,
        )
    )
