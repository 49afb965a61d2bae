"""Arrays of many shapes and types in one stretch of 32-bit words.

What goes to a jitted program and comes back is charged by the array, about 3 microseconds each
way on a CPU; a small program called every step is handed one array instead of twenty.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32


@dataclass(frozen=True)
class Part:
    """One array: where its words are, and what they hold."""

    start: int
    stop: int
    shape: tuple[int, ...]
    dtype: np.dtype


@dataclass(frozen=True)
class Layout:
    """Where each leaf of a tree lies. Leaves are of at most 32 bits an entry."""

    tree: Any
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, tree: Any) -> "Layout":
        """The layout of anything whose leaves have shapes and dtypes."""
        leaves, structure = jax.tree.flatten(tree)
        parts, start = [], 0
        for leaf in leaves:
            dtype = np.dtype(leaf.dtype)
            stop = start - (-math.prod(leaf.shape) * dtype.itemsize // 4)
            parts.append(Part(start, stop, tuple(leaf.shape), dtype))
            start = stop
        return cls(structure, tuple(parts))

    @property
    def size(self) -> int:
        return self.parts[-1].stop if self.parts else 0

    def views(self, words: Int32[np.ndarray, "*t W"]) -> Any:
        """The tree as NumPy views; what is written into them is written into the words."""

        def view(part: Part) -> np.ndarray:
            entries = words[..., part.start : part.stop].view(part.dtype)
            entries = entries[..., : math.prod(part.shape)]
            return entries.reshape((*words.shape[:-1], *part.shape))

        return jax.tree.unflatten(self.tree, [view(part) for part in self.parts])

    def read(self, words: Int32[Array, " W"]) -> Any:
        """The tree, inside a jitted program."""
        return jax.tree.unflatten(self.tree, [_read(part, words) for part in self.parts])

    def pack(self, tree: Any) -> Int32[Array, " W"]:
        """The words of a tree, inside a jitted program."""
        return jnp.concatenate([_words(leaf) for leaf in jax.tree.leaves(tree)])


def _read(part: Part, words: Int32[Array, " W"]) -> Array:
    stored = jnp.dtype(jnp.uint8 if part.dtype == bool else part.dtype)
    entries = lax.bitcast_convert_type(words[part.start : part.stop], stored)
    return entries.reshape(-1)[: math.prod(part.shape)].reshape(part.shape).astype(part.dtype)


def _words(leaf: Array) -> Int32[Array, " w"]:
    entries = leaf.reshape(-1)
    if entries.dtype == bool:
        entries = entries.astype(jnp.uint8)
    together = 4 // entries.dtype.itemsize
    if together > 1:
        entries = jnp.pad(entries, (0, -entries.size % together)).reshape(-1, together)
    return lax.bitcast_convert_type(entries, jnp.int32)
