"""Three stores that feed one learner: what ``counterplay study buffer`` compares.

The learner wants, for every decision of every agent of some whole episodes, what an opponent model
with goals is trained on: what it saw, the goal, its action, its reward, what it saw next, and which
actions it then had. Episodes are named by age, 0 the newest. The goal is what the agent sees
``horizon`` slots later, or last: its own episode ends where it leaves. Each class is a store and
its glue: what turns chunks of a rollout into what the store takes, and episodes of the store into
that batch. The stores themselves, their arrays and rings, are counted for none of them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from counterplay.episodes import Replay, default_scheme, from_rollout
from counterplay.episodes.ring import at_entries


class Decisions(NamedTuple):
    """Leaves [B, T, N, ...] or [X, N, ...]; entries where ``live`` is False are not decisions."""

    obs: Any
    goal: Any
    action: Any
    reward: Any
    continues: Any
    next_obs: Any
    next_legal: Any
    live: Any


def slots_of_a_lane(env: Any, episodes: int, lanes: int, chunk: int) -> int:
    """Room for so many episodes in all, were each half as long as the longest, in whole chunks."""
    slots = episodes * (env.horizon + 1) // (2 * lanes) + env.horizon + 2 * chunk
    return -(-slots // chunk) * chunk


class Padded:
    """Episodes as rows of a fixed length, float32 and one transition a slot, as in PyMARL."""

    def __init__(self, env: Any, episodes: int, lanes: int, chunk: int, horizon: int):
        n, a, (d,) = env.num_seats, env.num_actions, env.obs_shape
        rows, self.horizon = (episodes, env.horizon + 1), horizon
        self.data = {
            "obs": np.zeros((*rows, n, d), np.float32),
            "actions": np.zeros((*rows, n), np.int64),
            "avail_actions": np.zeros((*rows, n, a), np.int32),
            "reward": np.zeros((*rows, n), np.float32),
            "continues": np.zeros((*rows, n), np.uint8),  # a patch: PyMARL has one end for all
            "alive": np.zeros((*rows, n), np.uint8),  # likewise
            "terminated": np.zeros(rows, np.uint8),
            "filled": np.zeros(rows, np.int64),
        }
        self.size, self.next = episodes, 0
        self.open: list[list[dict[str, np.ndarray]]] = [[] for _ in range(lanes)]

    def add(self, slots: Mapping[str, Any]) -> None:
        slots = {name: np.asarray(x) for name, x in slots.items()}
        lanes, length = slots["terminated"].shape
        fields = [name for name in self.data if name != "filled"]
        for t in range(length):
            for lane in range(lanes):
                self.open[lane].append({name: slots[name][lane, t] for name in fields})
                if slots["terminated"][lane, t] or slots["closing"][lane, t]:
                    self.insert(self.open[lane])
                    self.open[lane] = []

    def insert(self, episode: list[dict[str, np.ndarray]]) -> None:
        row, length = self.next % self.size, len(episode)
        for name, x in self.data.items():
            x[row] = 0
            x[row, :length] = 1 if name == "filled" else [slot[name] for slot in episode]
        self.next += 1

    def sample(self, ages: np.ndarray) -> dict[str, np.ndarray]:
        rows = (self.next - 1 - ages) % self.size
        length = int(self.data["filled"][rows].sum(1).max())
        return {name: x[rows, :length] for name, x in self.data.items()}

    def batch(self, ages: np.ndarray) -> Decisions:
        data = self.sample(ages)
        length = data["filled"].shape[1]
        seen = data["filled"][:, :, None].astype(bool)
        left = data["alive"].astype(bool) & ~data["continues"].astype(bool)
        stays = np.broadcast_to(seen.sum(1) - 1, left.any(1).shape)
        last = np.where(left.any(1), left.argmax(1), stays)
        at = np.minimum(np.arange(length)[:, None] + self.horizon, last[:, None])
        row, agent = np.arange(len(ages))[:, None, None], np.arange(last.shape[1])
        after = lambda x: np.concatenate([x[:, 1:], np.zeros_like(x[:, :1])], axis=1)
        return Decisions(
            obs=data["obs"],
            goal=data["obs"][row, at, agent],
            action=data["actions"],
            reward=data["reward"],
            continues=data["continues"],
            next_obs=after(data["obs"]),
            next_legal=after(data["avail_actions"]).astype(bool),
            live=data["alive"].astype(bool) & seen,
        )

    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.data.values())


class Patched:
    """Flat transitions, with columns for the ends of agents, the goal and the episode."""

    def __init__(self, env: Any, episodes: int, lanes: int, chunk: int, horizon: int):
        n, a, (d,) = env.num_seats, env.num_actions, env.obs_shape
        slots = lanes * slots_of_a_lane(env, episodes, lanes, chunk)
        self.longest, self.horizon, rows = env.horizon, horizon, (slots,)
        self.data = {
            "obs": np.zeros((*rows, n, d), np.float32),
            "next_obs": np.zeros((*rows, n, d), np.float32),
            "actions": np.zeros((*rows, n), np.int64),
            "next_avail": np.zeros((*rows, n, a), bool),
            "reward": np.zeros((*rows, n), np.float32),
            "continues": np.zeros((*rows, n), bool),
            "alive": np.zeros((*rows, n), bool),
            "subgoal": np.zeros((*rows, n, d), np.float32),
            "episode": np.full(rows, -1, np.int64),
        }
        self.keep, self.size, self.next, self.ended = episodes, slots, 0, 0
        self.spans: dict[int, tuple[int, int]] = {}
        self.open: list[list[dict[str, np.ndarray]]] = [[] for _ in range(lanes)]

    def add(self, slots: Mapping[str, Any]) -> None:
        slots = {name: np.asarray(x) for name, x in slots.items()}
        lanes, length = slots["terminated"].shape
        fields = ("obs", "actions", "avail_actions", "reward", "continues", "alive", "closing")
        for t in range(length):
            for lane in range(lanes):
                self.open[lane].append({name: slots[name][lane, t] for name in fields})
                if slots["terminated"][lane, t] or slots["closing"][lane, t]:
                    self.insert(self.columns(self.open[lane]))
                    self.open[lane] = []

    def columns(self, episode: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        field = lambda name: np.stack([slot[name] for slot in episode])
        obs, alive = field("obs").astype(np.float32), field("alive")
        moves = len(episode) - int(episode[-1]["closing"])
        left = alive & ~field("continues")
        last = np.where(left.any(0), left.argmax(0), len(episode) - 1)
        at = np.minimum(np.arange(moves)[:, None] + self.horizon, last)
        following = np.concatenate([obs[1:], np.zeros_like(obs[:1])])[:moves]
        legal = field("avail_actions")
        legal = np.concatenate([legal[1:], np.zeros_like(legal[:1])])[:moves]
        return {
            "obs": obs[:moves],
            "next_obs": following,
            "actions": field("actions")[:moves],
            "next_avail": legal,
            "reward": field("reward")[:moves],
            "continues": field("continues")[:moves],
            "alive": alive[:moves],
            "subgoal": obs[at, np.arange(obs.shape[1])],
            "episode": np.full(moves, self.ended),
        }

    def insert(self, columns: dict[str, np.ndarray]) -> None:
        moves = len(columns["episode"])
        where = (self.next + np.arange(moves)) % self.size
        for name, x in columns.items():
            self.data[name][where] = x
        self.spans[self.ended] = (self.next, moves)
        self.spans.pop(self.ended - self.keep, None)
        self.next, self.ended = self.next + moves, self.ended + 1

    def sample(self, at: np.ndarray) -> dict[str, np.ndarray]:
        return {name: x[at % self.size] for name, x in self.data.items()}

    def batch(self, ages: np.ndarray) -> Decisions:
        spans = [self.spans[self.ended - 1 - int(age)] for age in ages]
        at = np.concatenate([start + np.arange(moves) for start, moves in spans])
        room = len(ages) * self.longest  # a fixed size, for the compiler
        at, real = np.pad(at, (0, room - len(at))), np.arange(room) < len(at)
        data = self.sample(at)
        return Decisions(
            obs=data["obs"],
            goal=data["subgoal"],
            action=data["actions"],
            reward=data["reward"],
            continues=data["continues"],
            next_obs=data["next_obs"],
            next_legal=data["next_avail"],
            live=data["alive"] & real[:, None],
        )

    def nbytes(self) -> int:
        return sum(x.nbytes for x in self.data.values())


class OneStore:
    """The slots as they come, in a ``Replay``; all else is a view."""

    def __init__(self, env: Any, episodes: int, lanes: int, chunk: int, horizon: int):
        names = ("obs", "actions", "avail_actions", "reward", "terminated", "closing")
        scheme = default_scheme(env).only(*names, "continues", "alive", "left")
        slots = slots_of_a_lane(env, episodes, lanes, chunk)
        sizes = {"lanes": lanes, "slots": slots, "chunk": chunk, "episodes": episodes}
        self.replay = Replay.empty(scheme, horizon=env.horizon, **sizes)
        self.horizon = horizon

    def add(self, slots: Mapping[str, Any]) -> None:
        self.replay = self.replay.write(from_rollout(self.replay.scheme, slots))

    def batch(self, ages: np.ndarray) -> Decisions:
        return _decisions(self.replay, jnp.asarray(ages), self.horizon)

    def nbytes(self) -> int:
        return self.replay.nbytes()


@partial(jax.jit, static_argnums=2)
def _decisions(replay: Replay, ages: Array, horizon: int) -> Decisions:
    batch = at_entries(replay, replay.index.entry(replay.ended - 1 - ages))
    last = jnp.where(batch.left_at < 0, batch.length[:, None] - 1, batch.left_at)
    at = jnp.minimum(jnp.arange(batch.max_seq_length)[None, :, None] + horizon, last[:, None])
    after = lambda x: jnp.concatenate([x[:, 1:], jnp.zeros_like(x[:, :1])], axis=1)
    return Decisions(
        obs=batch["obs"],
        goal=jnp.take_along_axis(batch["obs"], at[..., None], axis=1),
        action=batch["actions"],
        reward=batch["reward"],
        continues=batch["continues"],
        next_obs=after(batch["obs"]),
        next_legal=after(batch["avail_actions"]),
        live=batch["alive"] & batch.filled[:, :, None],
    )


STORES = {"padded episodes": Padded, "patched transitions": Patched, "one store": OneStore}
GLUE = {
    "padded episodes": (Padded.add, Padded.batch),
    "patched transitions": (Patched.add, Patched.columns, Patched.batch),
    "one store": (OneStore.add, OneStore.batch, _decisions),
}
"""What is counted as lines of glue: what stands between rollout, store and learner."""
