"""All whole episodes of a store, found slot by slot: also where its index holds fewer of them."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from counterplay.episodes import ring
from counterplay.episodes.export import Export, left_in

if TYPE_CHECKING:
    from counterplay.episodes.replay import Replay


def episodes_in(replay: "Replay") -> Export:
    """Copies of the episodes whose every slot is there, in the order of their ends.

    Constants are kept in the index alone: with them, only what stands there is found.
    """
    host = jax.device_get(replay)
    written, capacity, scheme = int(host.written), host.capacity, host.scheme
    held = min(written, capacity)
    order = (written - held + np.arange(held)) % capacity
    slots = {name: np.asarray(x)[:, order] for name, x in host.slots.items()}
    lane, start, length = _whole(slots, np.asarray(ring.ends(scheme, slots)), host.span)
    entry = np.zeros(len(lane), int)
    if scheme.constants:
        entry, known = _entries(host, lane, start + written - held)
        lane, start, length, entry = (x[known] for x in (lane, start, length, entry))
    inside = np.arange(length.max(initial=0))[None] < length[:, None]
    row, slot = np.nonzero(inside)
    data = {}
    for name in (*scheme.slotwise, "time"):
        source = slots[name]
        data[name] = np.zeros((*inside.shape, *source.shape[2:]), source.dtype)
        data[name][row, slot] = source[lane[row], start[row] + slot]
    constants = {name: np.asarray(host.index.constants[name])[entry] for name in scheme.constants}
    return Export(data, constants, length.astype(np.int32), left_in(data, scheme), scheme)


def _whole(
    slots: dict[str, np.ndarray], ends: np.ndarray, span: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lane, first slot and length of every episode that is there from its first slot to its end."""
    filled, time = slots["filled"], slots["time"]
    breaks = np.ones_like(filled)
    breaks[:, 1:] = ~filled[:, 1:] | ~filled[:, :-1] | (time[:, 1:] != time[:, :-1] + 1)
    stretch = np.cumsum(breaks, axis=1)
    slot, lane = np.nonzero((ends & filled & (time < span)).T)  # in the order of their ends
    length = time[lane, slot] + 1
    start = slot - length + 1
    first = np.maximum(start, 0)
    here = (start >= 0) & (stretch[lane, first] == stretch[lane, slot]) & (time[lane, first] == 0)
    return lane[here], start[here], length[here]


def _entries(
    replay: "Replay", lane: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where these episodes stand in the index, and whether they do."""
    index, lanes = replay.index, replay.lanes
    live = (np.asarray(index.tail) + np.arange(int(index.head - index.tail))) % index.size
    number = np.asarray(index.start)[live].astype(np.int64) * lanes + np.asarray(index.lane)[live]
    sought = start.astype(np.int64) * lanes + lane
    order = np.argsort(number)
    at = np.searchsorted(number[order], sought)
    at = np.minimum(at, max(len(live) - 1, 0))
    known = number[order][at] == sought if len(live) else np.zeros(len(sought), bool)
    return (live[order][at] if len(live) else at), known
