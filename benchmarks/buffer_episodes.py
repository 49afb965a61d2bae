"""The episodes that other projects' buffers are timed with, and how: shared by their scripts.

A slot holds what PyMARL's default scheme holds. As there, an episode of T steps fills T + 1 slots:
the last has no reward, only what a learner needs to know about the state it ended in.

Memory that one sample frees serves the next. ``MALLOC_MMAP_THRESHOLD_=131072`` in the environment
makes the C library ask the system for it each time, which costs both peers a factor of four or so:
compare numbers of one kind only.
"""

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
AGENTS = 4
OF_AGENTS = ("obs", "actions", "avail_actions")
SCHEMES = {"pymarl": (50, 6), "stag_hunt": (15, 7)}
"""Name -> steps of an episode, actions."""


def options(doc: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--scheme", choices=SCHEMES, default="pymarl")
    parser.add_argument("--episodes", type=int, default=5000, help="capacity; all of it is filled")
    parser.add_argument("--length", type=int, help="most steps of an episode; 50, stag_hunt: 15")
    parser.add_argument("--rows", type=int, default=32, help="episodes of one insertion or sample")
    parser.add_argument("--obs", type=int, default=64, help="width of a player's observation")
    parser.add_argument("--state", type=int, help="width of the state; all observations'; 0: none")
    parser.add_argument("--lengths", help="an .npz, whose 'lengths' are the episodes' steps")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each repeat, about")
    return parser


def read(parser: argparse.ArgumentParser) -> argparse.Namespace:
    asked = parser.parse_args()
    length, asked.actions = SCHEMES[asked.scheme]
    asked.length = asked.length or length
    asked.state = AGENTS * asked.obs if asked.state is None else asked.state
    asked.steps = np.full(asked.episodes, asked.length)
    if asked.lengths:
        with np.load(asked.lengths) as stored:
            asked.steps = np.resize(stored["lengths"].ravel(), asked.episodes)
    least, most = int(asked.steps.min()), int(asked.steps.max())
    if least < 1 or most > asked.length:
        parser.error(f"--lengths are 1 to {asked.length} steps (--length), found {least} to {most}")
    return asked


def shapes(asked: argparse.Namespace) -> dict[str, tuple[tuple[int, ...], Any]]:
    """What a slot holds: name -> shape, type."""
    of = {
        "state": ((asked.state,), np.float32),
        "obs": ((AGENTS, asked.obs), np.float32),
        "actions": ((AGENTS, 1), np.int64),
        "avail_actions": ((AGENTS, asked.actions), np.int32),
        "reward": ((1,), np.float32),
        "terminated": ((1,), np.uint8),
    }
    return {name: field for name, field in of.items() if name != "state" or asked.state}


def episodes(asked: argparse.Namespace, steps: np.ndarray, seed: int) -> Arrays:
    """Random episodes of that many steps, zero after their last slot; and what is filled."""
    rng, made = np.random.default_rng(seed), {}
    within = np.arange(asked.length + 1) <= steps[:, None]
    for name, (shape, dtype) in shapes(asked).items():
        size = (*within.shape, *shape)
        if dtype is np.float32:
            value = rng.standard_normal(size, np.float32)
        else:
            value = rng.integers(0, asked.actions if name == "actions" else 2, size, dtype)
        mask = within.reshape(within.shape + (1,) * len(shape))
        made[name] = np.where(mask, value, np.zeros((), dtype))
    return made | {"filled": within[..., None]}


def batches(asked: argparse.Namespace, several: int = 8) -> list[Arrays]:
    """Some batches of episodes, of the given lengths in their order."""
    rows = asked.rows
    steps = [np.roll(asked.steps, -i * rows)[:rows] for i in range(several)]
    return [episodes(asked, of, i) for i, of in enumerate(steps)]


def fill(asked: argparse.Namespace, insert: Callable[[int], None]) -> None:
    """Every row written at least once, so that no timing waits for fresh memory."""
    for i in range(-(-asked.episodes // asked.rows)):
        insert(i)


def rates(
    asked: argparse.Namespace,
    acts: dict[str, Callable[[int], None]],
    each: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Episodes a second of every act, its repeats taken in turn with those of the others.

    A call of an act moves as many episodes as ``each`` says, or ``--rows`` of them.

    Those per second of processor time say more where other programs run at the same time.
    """
    calls, found, busy = {}, {name: [] for name in acts}, {name: [] for name in acts}
    for name, act in acts.items():
        for i in range(3):
            act(i)
        began = time.perf_counter()
        for i in range(5):
            act(i)
        calls[name] = max(int(5 * asked.seconds / (time.perf_counter() - began)), 1)
    for _ in range(asked.repeats):
        for name, act in acts.items():
            cpu, began = time.process_time(), time.perf_counter()
            for i in range(calls[name]):
                act(i)
            many = calls[name] * (each or {}).get(name, asked.rows)
            found[name].append(many / (time.perf_counter() - began))
            busy[name].append(many / (time.process_time() - cpu))
    told = {f"{name}_episodes_per_s": round(median(x)) for name, x in found.items()}
    told |= {f"{name}_episodes_per_cpu_s": round(median(x)) for name, x in busy.items()}
    return told | {f"{name}_repeats": [round(x) for x in xs] for name, xs in found.items()}


def row(asked: argparse.Namespace, held: int) -> dict[str, Any]:
    """What was timed."""
    return {
        "scheme": asked.scheme,
        "episodes": asked.episodes,
        "slots": asked.length + 1,
        "rows": asked.rows,
        "obs": asked.obs,
        "state": asked.state,
        "mean_steps": round(float(asked.steps.mean()), 2),
        "mmap_threshold": os.environ.get("MALLOC_MMAP_THRESHOLD_"),
        "bytes_held": held,
        "bytes_per_episode": round(held / asked.episodes),
        "bytes_per_step": round(held / int(asked.steps.sum()), 1),
    }
