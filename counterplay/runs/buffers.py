"""The stores of episodes that a training carries: in a file of their own, whole or their newest.

A checkpoint says in its manifest, under ``buffers``, what each of them is and how much of it was
kept; ``newest`` makes of a store what one of fewer slots would hold, and ``put_back`` what a store
of its old size goes on with.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from counterplay.episodes import Replay
from counterplay.episodes.index import NEVER
from counterplay.episodes.memory import OWN_BYTES, told
from counterplay.episodes.scheme_text import scheme_of, text_of
from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import Arrays, named, named_leaves

FULL, NONE, LAST = "full", "none", "last:"


class Parts(NamedTuple):
    """What a checkpoint keeps of a training, in three places."""

    state: Arrays
    buffer: Arrays
    kept: dict[str, dict[str, Any]]
    """What the manifest says of each store."""


def slots_of(text: str) -> int | None:
    """Slots of every lane to be kept, by the words of --checkpoint-buffer; None for all."""
    return None if text == FULL else 0 if text == NONE else int(text.removeprefix(LAST))


def is_store(x: Any) -> bool:
    return isinstance(x, Replay)


def stores(tree: Any) -> dict[str, Replay]:
    """All stores in a tree by their place."""
    return {name: x for name, x in named_leaves(tree, is_store) if is_store(x)}


def parted(tree: Any, keep: int | None) -> Parts:
    """The tree without its stores, these apart, of each the newest ``keep`` slots of every lane."""
    rest = jax.tree.map(lambda x: None if is_store(x) else x, tree, is_leaf=is_store)
    buffer, kept = {}, {}
    for name, store in stores(tree).items():
        part = store if whole(store, keep) else newest(store, keep or 0)
        buffer |= {f"{name}/{place}": x for place, x in named(part).items()}
        kept[name] = {
            "scheme": text_of(store.scheme),
            "chunk": store.chunk,
            "span": store.span,
            "full": part is store,
            "slots": part.slots["filled"].shape[-1],
            "episodes": part.index.lane.shape[-1],
        }
    return Parts(named(rest), buffer, kept)


def whole(store: Replay, keep: int | None) -> bool:
    """Whether so many slots are all of them."""
    return keep is None or _chunks(store, keep) >= store.slots["filled"].shape[-1]


def _chunks(store: Replay, keep: int) -> int:
    """Slots of whole chunks, as a store is written."""
    return -(-keep // store.chunk) * store.chunk


def _each(lead: tuple[int, ...], work: Any, *trees: Any) -> Any:
    """Does work for every store of several along leading axes, in NumPy."""
    count = int(np.prod(lead))
    flat = lambda x: np.asarray(x).reshape((count, *np.shape(x)[len(lead) :]))
    trees = jax.tree.map(flat, jax.device_get(trees))
    one = [work(*jax.tree.map(lambda x, i=i: x[i], trees)) for i in range(count)]
    return jax.tree.map(lambda *x: np.stack(x).reshape((*lead, *np.shape(x[0]))), *one)


def newest(store: Replay, keep: int) -> Replay:
    """What a store of so many slots a lane, in whole chunks, would hold, counted from its start.

    Episodes that began before are not read: their first slot counts as below 0.
    """
    slots, lead = _chunks(store, keep), store.slots["filled"].shape[:-2]
    index = store.index
    live = max(int(np.max(np.asarray(index.head - index.tail))), 0)

    def one(store: Replay) -> Replay:
        index, written = store.index, int(store.written)
        before = max(written - slots, 0)
        at = (before + np.arange(slots)) % store.capacity
        entry = (index.tail + np.arange(live)) % index.size
        there = np.arange(live) < index.head - index.tail
        start = index.start[entry] - before
        guard = written - before - slots + store.span
        gone = int((there & (start + index.length[entry] < guard)).sum())
        kept = eqx.tree_at(
            lambda i: (i.lane, i.start, i.length, i.left_at, i.constants, i.head, i.tail),
            index,
            (
                index.lane[entry],
                start,
                index.length[entry],
                index.left_at[entry],
                {name: x[entry] for name, x in index.constants.items()},
                np.int32(index.head - index.tail),
                np.int32(gone),
            ),
        )
        goes = (store.goes.start - before, np.maximum(store.goes.left - before, NEVER))
        ring = {name: x[:, at] for name, x in store.slots.items()}
        changed = ring, kept, *goes, np.int32(written - before)
        parts = lambda r: (r.slots, r.index, r.goes.start, r.goes.left, r.written)
        return eqx.tree_at(parts, store, changed)

    return _each(lead, one, store)


def put_back(
    shapes: Any, state: Arrays, buffer: Arrays, kept: Mapping[str, Any], where: str
) -> Any:
    """The tree of these shapes, out of what ``parted`` made of it; ValueError where it differs."""
    bare = jax.tree.map(lambda x: None if is_store(x) else x, shapes, is_leaf=is_store)
    rest = checkpoints.filled(bare, state, f"{where}/{checkpoints.STATE}")
    found = {}
    for name, shape in stores(shapes).items():
        if name not in kept:
            raise ValueError(
                f"{where}: expected a buffer {name}, found {', '.join(kept) or 'none'}"
            )
        row, place = kept[name], f"{where}/{checkpoints.BUFFER}"
        small = shape if row["full"] else _smaller(shape, row["slots"], row["episodes"])
        part = checkpoints.filled(small, _under(buffer, name), f"{place}: {name}")
        found[name] = part if row["full"] else _wider(shape, part)
    places = iter(found.values())
    put = lambda shape, x: next(places) if is_store(shape) else x
    return jax.tree.map(put, shapes, rest, is_leaf=is_store)


def _under(arrays: Arrays, name: str) -> Arrays:
    """The arrays of one store, by their places in it."""
    return {k.removeprefix(f"{name}/"): x for k, x in arrays.items() if k.startswith(f"{name}/")}


def _smaller(store: Any, slots: int, episodes: int) -> Any:
    """Shapes of a store of so many slots and episodes."""
    axes = len(store.slots["filled"].shape) - 2

    def cut(x: Any, axis: int, size: int) -> Any:
        return jax.ShapeDtypeStruct((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)

    ring = {name: cut(x, axes + 1, slots) for name, x in store.slots.items()}
    index = jax.tree.map(
        lambda x: cut(x, axes, episodes) if len(x.shape) > axes else x, store.index
    )
    return eqx.tree_at(lambda r: (r.slots, r.index), store, (ring, index))


def _wider(shape: Any, store: Replay) -> Replay:
    """A store with the slots of a smaller one at its start, and nothing after them."""
    axes, scheme = store.slots["filled"].ndim - 2, store.scheme

    def ring(name: str, x: Any) -> np.ndarray:
        fill = scheme.fields[name].fill or 0 if name in scheme.fields else 0
        wide = np.full(shape.slots[name].shape, fill, x.dtype)
        wide[(slice(None),) * (axes + 1) + (slice(0, x.shape[axes + 1]),)] = x
        return wide

    def entries(whole: Any, x: np.ndarray) -> np.ndarray:
        wide = np.zeros(whole.shape, x.dtype)
        wide[(slice(None),) * axes + (slice(0, x.shape[axes]),) * (x.ndim > axes)] = x
        return wide

    slots = {name: ring(name, x) for name, x in store.slots.items()}
    index = jax.tree.map(
        lambda w, x: entries(w, x) if x.ndim > axes else x, shape.index, store.index
    )
    return eqx.tree_at(lambda r: (r.slots, r.index), store, (slots, index))


def described(tree: Any, keep: int | None) -> str | None:
    """In words, how much of the stores of a training a checkpoint holds; None: there are none."""
    found = stores(tree).values()
    if not found:
        return None
    every = sum(store.nbytes() for store in found)
    if all(whole(store, keep) for store in found):
        return f"checkpoints hold the whole buffer, {told(every)} each"
    if not keep:
        return f"checkpoints hold nothing of the buffer of {told(every)}"
    lanes = lambda store: int(np.prod(store.slots["filled"].shape[:-1]))
    part = sum(
        lanes(store)
        * _chunks(store, keep)
        * (store.scheme.bytes_of(store.scheme.slotwise) + OWN_BYTES)
        for store in found
    )
    slots = max(_chunks(store, keep) for store in found)
    return (
        f"checkpoints hold the newest {slots:,} slots of every lane of the buffer, {told(part)} of "
        f"{told(every)}"
    )


def kept_in_words(kept: Mapping[str, Any]) -> str | None:
    """What a checkpoint lacks of the buffers there were; None where it has all."""
    slots = [row["slots"] for row in kept.values() if not row["full"]]
    if not slots:
        return None
    if not max(slots):
        return "it holds no buffer: the training goes on with an empty one"
    return (
        f"it holds the newest {max(slots):,} slots of every lane of the buffer: the training goes "
        "on with these"
    )


def stores_of(checkpoint: checkpoints.Checkpoint) -> dict[str, Replay]:
    """The stores of a checkpoint by their place, of as many slots as were kept."""
    arrays = checkpoints.arrays_of(checkpoint, checkpoints.BUFFER)
    where, found = f"{checkpoint.path}/{checkpoints.BUFFER}", {}
    for name, row in checkpoint.about["buffers"].items():
        scheme = scheme_of(row["scheme"], where)
        make = lambda scheme=scheme, row=row: Replay.empty(
            scheme,
            lanes=1,
            slots=row["span"] + row["chunk"],
            chunk=row["chunk"],
            horizon=row["span"] - 1,
            episodes=1,
        )
        shape = jax.eval_shape(make)
        sizes = _under(arrays, name)
        leaves = [
            (
                place,
                jax.ShapeDtypeStruct(sizes[place].shape, leaf.dtype) if place in sizes else leaf,
            )
            for place, leaf in named_leaves(shape)
        ]
        shape = jax.tree.unflatten(jax.tree.structure(shape), [leaf for _, leaf in leaves])
        found[name] = checkpoints.filled(shape, sizes, f"{where}: {name}")
    return found
