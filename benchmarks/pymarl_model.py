"""Runs the tests' NumPy model of PyMARL's buffer beside the original, on random operations.

python benchmarks/pymarl_model.py --peer PATH --sequences 300

PATH is a checkout of PyMARL; the Python that runs this needs torch and NumPy. Both sides build,
write, index, insert and sample the same; after every operation all fields, what is filled and the
counts must be equal, and both refuse or neither does. Prints one JSON object with the differences;
the exit status is 1 if there are any.

Not asked, since the original means nothing by it: scalars for fields with axes, indices from the
end, backward slices, and two writes to one row.
"""

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

TESTS = Path(__file__).parents[1] / "tests" / "episodes"
DTYPES = {np.float32: torch.float32, np.int64: torch.long, np.uint8: torch.uint8}
REFUSALS = (KeyError, ValueError, IndexError, RuntimeError)
COUNTS = ("batch_size", "max_seq_length", "buffer_size", "buffer_index", "episodes_in_buffer")


class Pair(NamedTuple):
    """The model's batch and the original's, which should be equal."""

    ours: Any
    theirs: Any

    def differences(self) -> list[str]:
        ours, theirs = self
        found = [n for n in COUNTS if getattr(ours, n, None) != getattr(theirs, n, None)]
        if ours.groups != theirs.groups:
            found.append("groups")
        if set(ours.scheme) != set(theirs.scheme):
            return [*found, "scheme"]
        for key in ours.scheme:
            mine, other = ours[key], theirs[key].numpy()
            if mine.dtype != other.dtype or not np.array_equal(mine, other):
                found.append(key)
        if "filled" in ours.scheme and ours.max_t_filled() != int(theirs.max_t_filled()):
            found.append("max_t_filled")
        return found


@dataclass
class Run:
    """One sequence: a scheme, a batch that is written to, and a buffer it goes into."""

    rng: np.random.Generator
    model: Any
    buffers: Any
    transforms: Any
    counts: Counter = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def __post_init__(self):
        agents, self.values, obs = (int(n) for n in self.rng.integers(1, 5, 3))
        self.groups = {"agents": agents}
        self.scheme = {
            "state": {"vshape": int(self.rng.integers(1, 4))},
            "obs": {"vshape": (obs, 2), "group": "agents"},
            "actions": {"vshape": (1,), "group": "agents", "dtype": np.int64},
            "reward": {"vshape": (1,)},
            "terminated": {"vshape": (1,), "dtype": np.uint8},
            "level": {"vshape": (1,), "group": "agents", "episode_const": True},
            "map": {"vshape": 3, "episode_const": True},
        }
        self.slots, self.capacity = int(self.rng.integers(1, 7)), int(self.rng.integers(1, 9))
        self.buffer = self.made("ReplayBuffer", self.capacity, self.slots)
        self.fresh()

    def made(self, kind: str, rows: int, slots: int) -> Pair:
        scheme = {
            key: of | ({"dtype": DTYPES[of["dtype"]]} if "dtype" in of else {})
            for key, of in self.scheme.items()
        }
        hot = {"actions": ("actions_onehot", [self.transforms.OneHot(out_dim=self.values)])}
        size = (self.groups, rows, slots)
        ours = getattr(self.model, kind)(
            self.scheme, *size, {"actions": ("actions_onehot", self.values)}
        )
        return Pair(ours, getattr(self.buffers, kind)(scheme, *size, preprocess=hot))

    def both(self, what: str, act: Callable[..., Any], *pairs: Pair) -> Pair | None:
        """Do it on both sides; a refusal must be one of both."""
        results, refused = [], []
        for sides in zip(*pairs, strict=True):
            try:
                results.append(act(*sides))
            except REFUSALS as error:
                refused.append(error)
        self.counts[what] += 1
        if len(refused) == 1:
            self.found.append(f"{what}: one side says {refused[0]!r}")
        if refused:
            self.counts[f"{what} refused"] += 1
            return None
        return Pair(*results)

    def same(self, what: str, pair: Pair) -> None:
        self.found += [f"{what}: {name} differs" for name in pair.differences()]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    # what an operation may do

    def fresh(self) -> None:
        """A new batch, now and then longer than the buffer's rows, or than the buffer."""
        slots = self.slots if self.chance(0.6) else int(self.rng.integers(1, self.slots + 2))
        self.batch = self.made("EpisodeBatch", int(self.rng.integers(1, 2 * self.capacity)), slots)
        self.same("fresh", self.batch)

    def write(self, target: Pair | None = None) -> None:
        target = target or (self.batch if self.chance(0.8) else self.buffer)
        bs, rows = self.some_rows(target.ours.batch_size)
        ts, slots = self.some_slots(target.ours.max_seq_length)
        keys = self.rng.permutation(list(target.ours.scheme))[: int(self.rng.integers(1, 5))]
        data = {str(key): self.value(target, key, rows, slots) for key in keys}
        if self.chance(0.05):
            data["rewards"] = np.zeros((rows, slots, 1))
        mark = self.chance(0.7)
        if self.chance(0.03):
            ts = [0]
        self.both("write", lambda side: side.update(data, bs, ts, mark), target)
        self.same("write", target)

    def value(self, target: Pair, key: str, rows: int, slots: int) -> Any:
        rest = target.ours[key].shape
        shape = (rows, *rest[1:]) if key in ("level", "map") else (rows, slots, *rest[2:])
        if self.chance(0.03):
            shape = (shape[0] + 1, *shape[1:])
        if max(shape) > 1:
            shape = tuple(n for n in shape if n > 1 or self.chance(0.5))
        if self.chance(0.1):
            shape = (1, *shape)
        if key in ("terminated", "filled"):
            return self.rng.integers(0, 3, shape)
        if key == "actions":
            value = self.rng.integers(-self.chance(0.03), self.values + self.chance(0.03), shape)
            return value.tolist() if self.chance(0.3) else value + 0.5 * self.chance(0.2)
        return self.rng.normal(size=shape).astype(np.float32)

    def some_rows(self, size: int) -> tuple[Any, int]:
        """An index of rows, and how many they are."""
        if self.chance(0.5):
            return self.some_slots(size)
        rows = self.rng.permutation(size)[: int(self.rng.integers(1, size + 1))]
        return (rows if self.chance(0.5) else rows.tolist()), len(rows)

    def some_slots(self, size: int) -> tuple[Any, int]:
        start = int(self.rng.integers(0, size))
        if self.chance(0.3):
            return start, 1
        at = slice(start, int(self.rng.integers(start + 1, size + 1)), int(self.rng.integers(1, 3)))
        at = slice(None) if self.chance(0.3) else at
        return at, len(range(*at.indices(size)))

    def part(self) -> None:
        """Index, compare, write into the part, and see whether the whole notices."""
        whole = self.batch if self.chance(0.5) else self.buffer
        rows, _ = self.some_rows(whole.ours.batch_size)
        slots, _ = self.some_slots(whole.ours.max_seq_length)
        item = rows if self.chance(0.3) else (rows, slots)
        if self.chance(0.5):
            keys = self.rng.permutation(list(whole.ours.scheme))[: int(self.rng.integers(1, 6))]
            item = tuple(map(str, keys))
        if part := self.both("part", lambda side: side[item], whole):
            self.same("part", part)
            self.write(part)
            self.same("part's whole", whole)

    def insert(self) -> None:
        batch = self.batch
        if self.chance(0.2):
            rows, _ = self.some_rows(batch.ours.batch_size)
            batch = Pair(batch.ours[rows], batch.theirs[rows])
        self.both("insert", lambda side, new: side.insert_episode_batch(new), self.buffer, batch)
        self.same("insert", self.buffer)

    def sample(self) -> None:
        stored = self.buffer.ours.episodes_in_buffer
        size = int(self.rng.integers(1, self.capacity + 1))
        can = {side.can_sample(size) for side in self.buffer}
        if can != {stored >= size}:
            self.found.append(f"can_sample: {can}")
        if stored < size:
            return
        seed = int(self.rng.integers(1 << 30))
        np.random.seed(seed)  # noqa: NPY002 - the original draws from the global generator
        rows = np.random.choice(stored, size, replace=False)  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        drawn = Pair(self.buffer.ours.sample(size, rows), self.buffer.theirs.sample(size))
        self.counts["sample"] += 1
        self.same("sample", drawn)
        self.write(drawn)
        self.same("sample's buffer", self.buffer)


OPERATIONS = {Run.fresh: 0.1, Run.write: 0.4, Run.part: 0.2, Run.insert: 0.15, Run.sample: 0.15}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--operations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.path[:0] = [str(TESTS), str(Path(asked.peer) / "src")]
    warnings.simplefilter("ignore", UserWarning)  # the original indexes with lists, copies tensors
    modules = [
        import_module(name)
        for name in ("pymarl", "components.episode_buffer", "components.transforms")
    ]
    counts, found, differ = Counter(), [], 0
    for i in range(asked.sequences):
        run = Run(np.random.default_rng((asked.seed, i)), *modules)
        for act in run.rng.choice(list(OPERATIONS), asked.operations, p=list(OPERATIONS.values())):
            act(run)
        counts += run.counts
        differ += bool(run.found)
        found += [f"sequence {i}: {what}" for what in run.found]
    row = {"sequences": asked.sequences, "operations": asked.operations, "seed": asked.seed}
    row |= {"sequences_that_differ": differ, "differences": len(found), "first": found[:20]}
    print(json.dumps(row | {"done": dict(sorted(counts.items())), "torch": torch.__version__}))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
