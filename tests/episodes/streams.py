"""Streams of games whose every number tells where it came from, and which episodes they hold."""

from typing import NamedTuple

import numpy as np

from counterplay.episodes import Field, OneHot, Scheme

AGENTS, ACTIONS = 3, 5
SCHEME = Scheme(
    fields={
        "obs": Field((2,), np.int32, "agents"),
        "actions": Field((), np.int8, "agents"),
        "reward": Field((), np.float32, "agents"),
        "terminated": Field((), np.bool_),
        "closing": Field((), np.bool_),
        "left": Field((), np.bool_, "agents"),
        "alive": Field((), np.bool_, "agents"),
        "matchup": Field((), np.int32, constant=True),
        "opponent_id": Field((), np.int16, "agents", constant=True),
        "label": Field((), np.int8, "agents", fill=-1),
    },
    groups={"agents": AGENTS},
    views={"actions_onehot": OneHot("actions", ACTIONS)},
)


class Episode(NamedTuple):
    lane: int
    start: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length


class Stream:
    """Lanes that play episodes of random lengths; ``slots`` holds all of it, ``episodes`` where."""

    def __init__(self, seed: int, lanes: int, slots: int, horizon: int, gaps: bool = False):
        self.rng, self.lanes, self.horizon = np.random.default_rng(seed), lanes, horizon
        self.episodes: list[Episode] = []
        lead = (lanes, slots)
        lane, slot = np.meshgrid(np.arange(lanes), np.arange(slots), indexing="ij")
        mark = (lane * slots + slot).astype(np.int32)
        self.slots = {
            "obs": np.broadcast_to(mark[:, :, None, None], (*lead, AGENTS, 2)).copy(),
            "actions": self.rng.integers(0, ACTIONS, (*lead, AGENTS)).astype(np.int32),
            "reward": self.rng.standard_normal((*lead, AGENTS)).astype(np.float32),
            "filled": np.ones(lead, bool),
            "alive": np.ones((*lead, AGENTS), bool),
        }
        for name in ("terminated", "closing"):
            self.slots[name] = np.zeros(lead, bool)
        self.slots["left"] = np.zeros((*lead, AGENTS), bool)
        self.slots["matchup"] = np.zeros(lead, np.int32)
        self.slots["opponent_id"] = np.zeros((*lead, AGENTS), np.int16)
        self.time = np.zeros(lead, np.int32)
        for i in range(lanes):
            self._play(i, slots, gaps)
        self.episodes.sort(key=lambda e: (e.stop, e.lane))

    def _play(self, lane: int, slots: int, gaps: bool) -> None:
        at = 0
        while at < slots:
            moves, truncated = int(self.rng.integers(1, self.horizon + 1)), self.rng.random() < 0.4
            length = moves + truncated
            self._episode(Episode(lane, at, length), truncated, slots)
            at += length
            if gaps and self.rng.random() < 0.3:
                pause = int(self.rng.integers(1, 4))
                self.slots["filled"][lane, at : at + pause] = False
                at += pause

    def _episode(self, episode: Episode, truncated: bool, slots: int) -> None:
        lane, start, stop = episode.lane, episode.start, episode.stop
        here = slice(start, min(stop, slots))
        self.time[lane, here] = np.arange(here.stop - start)
        self.slots["matchup"][lane, here] = self.rng.integers(0, 4)
        self.slots["opponent_id"][lane, here] = self.rng.integers(0, 3, AGENTS)
        leaves = start + self.rng.integers(0, episode.length, AGENTS)
        goes = self.rng.random(AGENTS) < 0.5
        for agent in np.flatnonzero(goes & (leaves < here.stop)):
            self.slots["left"][lane, leaves[agent], agent] = True
            self.slots["alive"][lane, leaves[agent] + 1 : here.stop, agent] = False
        if stop <= slots:
            self.slots["closing" if truncated else "terminated"][lane, stop - 1] = True
            self.episodes.append(episode)

    def chunk(self, number: int, size: int) -> dict[str, np.ndarray]:
        return {k: x[:, number * size : (number + 1) * size] for k, x in self.slots.items()}

    def live(self, written: int, capacity: int, span: int, most: int) -> list[Episode]:
        """The episodes that a store of this size can read, oldest first."""
        ended = [e for e in self.episodes if e.stop <= written and e.length <= span]
        return [e for e in ended if e.stop >= written - capacity + span][-most:]
