"""Whole episodes into the lanes of a store, which knows only streams of slots."""

import heapq
from typing import TYPE_CHECKING

import numpy as np

from counterplay.episodes import ring
from counterplay.episodes.batch import EpisodeBatch
from counterplay.episodes.export import Export, exported
from counterplay.episodes.scheme_text import difference

if TYPE_CHECKING:
    from counterplay.episodes.replay import Replay

Chunk = dict[str, np.ndarray]


def dealt(length: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """A lane and a first slot for every episode: the longest first, onto the shortest lane."""
    lane, start = np.zeros_like(length), np.zeros_like(length)
    shortest = [(0, i) for i in range(lanes)]
    for row in np.argsort(-length, kind="stable"):
        slots, i = shortest[0]
        lane[row], start[row] = i, slots
        heapq.heapreplace(shortest, (slots + int(length[row]), i))
    return lane, start


def streamed(batch: EpisodeBatch, lanes: int, chunk: int) -> Chunk:
    """Episodes one after another in so many lanes: fields [L, S, ...] and ``filled`` [L, S].

    S is a multiple of ``chunk``; the ends of lanes are not filled. ValueError where an episode
    does not end in its last slot, and only there.
    """
    export = exported(batch)
    check_ends(export)
    return _stream(export, *dealt(export.length, lanes), lanes, chunk)


def _stream(export: Export, lane: np.ndarray, start: np.ndarray, lanes: int, chunk: int) -> Chunk:
    slots = -(-int((start + export.length).max(initial=0)) // chunk) * chunk
    row, slot = np.nonzero(export.filled)
    to = lane[row], start[row] + slot
    stream = {"filled": np.zeros((lanes, slots), bool)}
    stream["filled"][to] = True
    for name in export.scheme.fields:
        constant = name in export.constants
        source = export.constants[name] if constant else export.data[name]
        shape = source.shape[1:] if constant else source.shape[2:]
        stream[name] = np.zeros((lanes, slots, *shape), source.dtype)
        stream[name][to] = source[row] if constant else source[row, slot]
    return stream


def check_ends(export: Export) -> None:
    """ValueError for the first episode that a store would read as less or more than one."""
    ends = np.asarray(ring.ends(export.scheme, export.data)) & export.filled
    last = np.arange(export.slots)[None] == export.length[:, None] - 1
    wrong = np.flatnonzero((ends != last).any(1))
    if len(wrong):
        row = int(wrong[0])
        marked = np.flatnonzero(ends[row]).tolist() or "none"
        raise ValueError(
            f"episode {row}: terminated, or the slot that shows where a truncated one stopped, "
            f"should be marked in its last slot {export.length[row] - 1} and no other; found "
            f"{marked}. Was it cut, or written where terminated episodes have a closing slot?"
        )


def fitting(replay: "Replay", batch: EpisodeBatch) -> Export:
    """Copies of the episodes; ValueError where they are none of this store, which may be shapes."""
    if told := difference(replay.scheme, batch.scheme):
        raise ValueError(f"replay: these episodes are of another scheme: {told}")
    export = exported(batch)
    check_ends(export)
    if export.length.max(initial=0) > replay.span:
        row = int(export.length.argmax())
        raise ValueError(
            f"replay: an episode has at most {replay.span} slots here, found episode {row} of "
            f"{export.length[row]}; a longer horizon takes it"
        )
    return export


def extended(replay: "Replay", batch: EpisodeBatch) -> "Replay":
    """The store with the newest episodes of a batch that fit into it beside each other."""
    export = fitting(replay, batch)
    rows = _newest(export.length, replay)
    chosen = Export(
        {name: x[rows:] for name, x in export.data.items()},
        {name: x[rows:] for name, x in export.constants.items()},
        export.length[rows:],
        export.left_at[rows:],
        export.scheme,
    )
    stream = _stream(chosen, *dealt(chosen.length, replay.lanes), replay.lanes, replay.chunk)
    replay = replay.cut()
    for at in range(0, stream["filled"].shape[1], replay.chunk):
        replay = replay.write({k: x[:, at : at + replay.chunk] for k, x in stream.items()})
    return replay


def _newest(length: np.ndarray, replay: "Replay") -> int:
    """The first row such that it and all later ones can be read after they were written."""

    def fits(first: int) -> bool:
        some = length[first:]
        if len(some) > replay.index.size > 1:  # 1: nobody asks it for episodes
            return False
        _, start = dealt(some, replay.lanes)
        stop = start + some
        slots = -(-int(stop.max(initial=0)) // replay.chunk) * replay.chunk
        return int(stop.min(initial=slots)) >= slots - replay.capacity + replay.span

    low, high = 0, len(length)
    if fits(0):
        return 0
    while high - low > 1:  # low does not fit, high does
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
