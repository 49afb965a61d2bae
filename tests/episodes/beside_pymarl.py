"""Rollouts written to our store and, episode by episode, to a buffer with PyMARL's words.

The buffer is the model of ``pymarl.py`` in the tests, and the original in
``benchmarks/pymarl_store.py``. Everything read must be equal but for what differs on purpose:

- A terminated episode has no closing slot, so it is one slot shorter, and so are all rows. A
  truncated one has one in both; there only what was seen counts, PyMARL picks a move that is never
  made.
- A sample is a copy, also where PyMARL gives a view of all there is.
- Slots after the end are zero; PyMARL keeps those of an older episode where a trimmed batch is
  inserted, so that whole ones are inserted here.
- Filling is contiguous: an episode that is cut off by a slot that did not happen is in no sample.
- An episode beyond the horizon is counted and left out; PyMARL's runner would have cut it.
- Besides the number of episodes the ring bounds how many are held: those in its guard band are
  gone.
- ``trim`` cuts to a power of two.
- Who left, and when, is told apart from the end of the game; ``terminated`` and ``closing`` too.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pymarl

from counterplay.episodes import EpisodeBatch, Field, OneHot, Replay, Scheme
from counterplay.episodes.ring import at_entries

LANES, CHUNK, HORIZON, AGENTS, ACTIONS = 2, 3, 4, 2, 3
SPAN, ROWS = HORIZON + 1, 3
MOVES, TERMINATES, TRUNCATED, NOTHING, LEAVES = range(5)
"""What may happen in a slot of a lane."""
GROUPS = {"agents": AGENTS}
SCHEME = Scheme(
    fields={
        "obs": Field((2,), np.int32, "agents"),
        "actions": Field((), np.int8, "agents"),
        "reward": Field((), np.float32, "agents"),
        "left": Field((), np.bool_, "agents"),
        "terminated": Field((), np.bool_),
        "closing": Field((), np.bool_),
        "matchup": Field((), np.int32, constant=True),
        "opponent_id": Field((), np.int16, "agents", constant=True),
    },
    groups=GROUPS,
    views={"actions_onehot": OneHot("actions", ACTIONS)},
)
THEIRS = {
    "obs": {"vshape": (2,), "group": "agents", "dtype": np.int32},
    "actions": {"vshape": (1,), "group": "agents", "dtype": np.int64},
    "reward": {"vshape": (1,), "group": "agents"},
    "left": {"vshape": (1,), "group": "agents", "dtype": np.uint8},
    "terminated": {"vshape": (1,), "dtype": np.uint8},
    "matchup": {"vshape": (1,), "episode_const": True, "dtype": np.int64},
    "opponent_id": {"vshape": (1,), "group": "agents", "episode_const": True, "dtype": np.int64},
}
"""The same fields as PyMARL declares them."""
CLOSED = ("actions", "actions_onehot", "reward", "left", "terminated")
"""Fields that mean nothing in the slot that only shows where an episode stopped."""


class Episode(NamedTuple):
    slots: dict[str, np.ndarray]
    """Fields of SCHEME [T, ...], the closing slot of a truncated one included."""
    terminated: bool
    lane: int
    stop: int
    """Slots of its lane up to its end."""


class Rollouts:
    """Games in lanes, every number of which tells where it came from."""

    def __init__(self):
        self.open: list[list[dict[str, Any]]] = [[] for _ in range(LANES)]
        self.written = self.overlong = 0

    def play(self, happens: Sequence[int]) -> tuple[dict[str, np.ndarray], list[Episode]]:
        """A chunk, and the episodes that ended in it in the order of their ends."""
        slots, ended = [], []
        for t in range(CHUNK):
            stop = self.written + t + 1
            for lane in range(LANES):
                slot, done = self._slot(happens[t * LANES + lane], lane, stop - 1)
                slots.append(slot)
                if done and len(self.open[lane]) <= SPAN:
                    ended.append(Episode(_stacked(self.open[lane]), slot["terminated"], lane, stop))
                self.overlong += done and len(self.open[lane]) > SPAN
                if done or not slot["filled"]:
                    self.open[lane] = []
        self.written += CHUNK
        chunk = _stacked(slots)
        whole = {k: x.reshape(CHUNK, LANES, *x.shape[1:]) for k, x in chunk.items()}
        return {k: np.swapaxes(x, 0, 1) for k, x in whole.items()}, ended

    def _slot(self, what: int, lane: int, slot: int) -> tuple[dict[str, Any], bool]:
        mark, moved = 2 * slot + lane + 1, bool(self.open[lane])
        closing = what == TRUNCATED and moved
        numbers = mark + 1000 * np.arange(AGENTS)
        made = {
            "obs": np.stack([numbers, -numbers], axis=1).astype(np.int32),
            "actions": (-1 if closing else (mark * 7 + np.arange(AGENTS)) % ACTIONS)
            * np.ones(AGENTS, np.int8),
            "reward": (0.0 if closing else 0.25) * numbers.astype(np.float32),
            "left": (np.arange(AGENTS) == mark % AGENTS) & (what == LEAVES),
            "terminated": what == TERMINATES,
            "closing": closing,
            "matchup": np.int32(mark),
            "opponent_id": numbers.astype(np.int16),
            "filled": what != NOTHING,
        }
        made["actions"] = made["actions"].astype(np.int8)
        self.open[lane].append(made)
        return made, closing or what == TERMINATES


def _stacked(slots: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    return {name: np.stack([slot[name] for slot in slots]) for name in slots[0]}


class Beside:
    """Our store and the other buffer, which saw the same."""

    def __init__(
        self,
        slots: int,
        episodes: int,
        batch_of: Callable[..., Any],
        buffer_of: Callable[..., Any],
    ):
        """``batch_of(rows)`` and ``buffer_of(episodes)`` make what PyMARL calls so."""
        self.rollouts, self.batch_of = Rollouts(), batch_of
        sizes = {"slots": slots, "chunk": CHUNK, "horizon": HORIZON, "episodes": episodes}
        self.replay = Replay.empty(SCHEME, lanes=LANES, **sizes)
        self.buffer = buffer_of(episodes)
        self.ended: list[Episode] = []

    def write(self, happens: Sequence[int]) -> None:
        chunk, ended = self.rollouts.play(happens)
        self.replay = self.replay.write(chunk)
        for episode in ended:
            self.buffer.insert_episode_batch(self.theirs_of(episode))
        self.ended += ended
        self.counts()

    def theirs_of(self, episode: Episode) -> Any:
        """As PyMARL's runner fills a batch of one: a last slot is seen however the game ended."""
        batch, slots = self.batch_of(1), episode.slots
        moves = len(slots["obs"]) - (not episode.terminated)
        once = ("matchup", "opponent_id")
        batch.update({k: slots[k][-1].reshape(1, *_axes(k)) for k in once}, 0)
        fields = [name for name in THEIRS if name not in once]
        batch.update({k: slots[k][:moves].reshape(1, moves, *_axes(k)) for k in fields}, 0,
                     slice(0, moves))  # fmt: skip
        last = slots["obs"][-1] if not episode.terminated else np.full((AGENTS, 2), -1)
        shown = {"obs": last[None, None], "actions": np.zeros((1, 1, AGENTS, 1), np.int64)}
        batch.update(shown, 0, moves)
        return batch

    def held(self) -> int:
        """Episodes that our store must hold: of those theirs holds, the ones out of the band."""
        replay, stored = self.replay, self.buffer.episodes_in_buffer
        least = self.rollouts.written - replay.capacity + SPAN
        return sum(e.stop >= least for e in self.ended[len(self.ended) - stored :])

    def counts(self) -> None:
        assert int(self.replay.ended) == self.held()
        assert int(self.replay.overlong) == self.rollouts.overlong
        assert int(self.replay.written) == self.rollouts.written

    def can_sample(self, n: int) -> None:
        stored = self.buffer.episodes_in_buffer
        assert bool(self.buffer.can_sample(n)) == (stored >= n)
        assert bool(self.replay.can_sample(n)) == (self.held() >= n)

    def ours(self, rows: np.ndarray) -> EpisodeBatch:
        """The episodes that stand in these rows of theirs, found by their age; empty where gone."""
        age = (self.buffer.buffer_index - 1 - np.resize(rows, ROWS)) % self.buffer.buffer_size
        rank = self.held() - 1 - age
        ok = (rank >= 0) & (np.arange(ROWS) < len(rows))
        entry = self.replay.index.entry(jnp.asarray(np.maximum(rank, 0), jnp.int32))
        return at_entries(self.replay, entry, jnp.asarray(ok))

    def wanted(self, theirs: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What of their sample must be in ours."""
        drawn = {name: np.asarray(theirs[name]) for name in [*THEIRS, "actions_onehot", "filled"]}
        filled = drawn["filled"][..., 0] == 1
        last = filled.sum(1) - 1
        ended = drawn["terminated"][np.arange(len(rows)), np.maximum(last - 1, 0), 0] == 1
        age = (self.buffer.buffer_index - 1 - rows) % self.buffer.buffer_size
        moved = np.arange(SPAN + 1)[None] < last[:, None]
        live = (age < self.held())[:, None]
        made = {"filled": live & np.where(ended[:, None], moved, filled)}
        for name, x in drawn.items():
            if name == "filled":
                continue
            constant = THEIRS.get(name, {}).get("episode_const", False)
            mask = moved if name in CLOSED else made["filled"]
            mask = live[:, 0] if constant else mask & live
            x = x if name in ("obs", "actions_onehot") else x[..., 0]
            made[name] = np.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, 0)
        return {name: x if name in SCHEME.constants else x[:, :SPAN] for name, x in made.items()}

    def same(self, batch: EpisodeBatch, wanted: dict[str, np.ndarray]) -> None:
        """All fields, in the rows that are asked for."""
        rows = len(wanted["filled"])
        filled = wanted["filled"]
        found = {name: np.asarray(batch[name])[:rows] for name in wanted}
        closing = np.asarray(batch["closing"])[:rows]
        for name, x in found.items():
            if name == "actions":  # theirs picks one that is never made
                x = np.where(closing[..., None], 0, x)
            if name in SCHEME.constants:
                x = np.where(filled.any(1).reshape(rows, *(1,) * (x.ndim - 1)), x, 0)
            assert np.array_equal(x, wanted[name]), name
        assert int(batch[:rows].max_t_filled()) == filled.sum(1).max()


def _axes(name: str) -> tuple[int, ...]:
    """Of one entry of a field as PyMARL stores it."""
    shape = THEIRS[name]["vshape"]
    return (AGENTS, *shape) if THEIRS[name].get("group") else shape


HOT = {"actions": ("actions_onehot", ACTIONS)}


def model_batch(rows: int) -> pymarl.EpisodeBatch:
    return pymarl.EpisodeBatch(THEIRS, GROUPS, rows, SPAN + 1, HOT)


def model_buffer(episodes: int) -> pymarl.ReplayBuffer:
    return pymarl.ReplayBuffer(THEIRS, GROUPS, episodes, SPAN + 1, HOT)
