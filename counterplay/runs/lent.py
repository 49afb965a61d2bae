"""Episodes that a file or another run holds, and a training that begins with them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from counterplay.algos.offpolicy import PRIORITY, TOLD
from counterplay.episodes import EpisodeBatch, Replay, Scheme
from counterplay.episodes.export import batch_of, joined
from counterplay.episodes.insert import fitting
from counterplay.episodes.npz import read_npz, write_npz
from counterplay.episodes.parquet import read_parquet, write_parquet
from counterplay.episodes.scan import episodes_in
from counterplay.runs import checkpoints
from counterplay.runs.buffers import is_store, stores, stores_of
from counterplay.runs.checkpoints import BUFFER
from counterplay.runs.folder import read_config
from counterplay.terminal import say

READ = {".npz": read_npz, ".parquet": read_parquet}
WRITE = {".npz": write_npz, ".parquet": write_parquet}


class Held(NamedTuple):
    """Whole episodes, in the order in which they ended in every lane's part."""

    path: Path
    seeds: list[list[EpisodeBatch]]
    """Of every seed of a run, what each of its stores holds; a file has one of each."""
    opponents: list[str]
    """Names by opponent_id, where they are known."""
    steps: int | None = None
    """Of the checkpoint."""
    nbytes: int | None = None
    """Of the stores, as they were kept."""
    slots: int | None = None
    """Of all their lanes, those of episodes that are not whole included."""
    overlong: int | None = None
    """Episodes ever written to them that were longer than their horizon: not among these."""


def held_by(path: Path) -> Held:
    """What a .npz or .parquet file holds, or the latest whole checkpoint of a run folder."""
    if path.is_dir():
        return _of_run(path)
    if path.suffix not in READ:
        raise ValueError(f"{path}: expected a file .npz or .parquet, or the folder of a run")
    return Held(path, [[READ[path.suffix](path)]], [])


def _of_run(path: Path) -> Held:
    row = read_config(path)
    found = checkpoints.latest(path, row["run_id"], (BUFFER,), say)
    if found is None:
        raise ValueError(f"{path} has no checkpoint yet: there are no episodes of it")
    kept = found.about.get("buffers", {})
    if not any(one["slots"] for one in kept.values()):
        why = "--checkpoint-buffer was none" if kept else f"{row['algorithm']} keeps none"
        raise ValueError(f"{path}: its checkpoint of step {found.steps:,} has no buffer: {why}")
    seeds: list[list[EpisodeBatch]] = [[] for _ in range(row["config"]["seeds"])]
    nbytes = slots = overlong = 0
    for name, store in stores_of(found).items():
        nbytes += store.nbytes()
        slots += _slots(store)
        overlong += int(np.sum(store.overlong))
        own = re.match(r"0/(\d+)/", name)  # games in ordinary Python: a training each seed
        parts = (
            [store]
            if own
            else [jax.tree.map(lambda x, i=i: x[i], store) for i in range(len(seeds))]
        )
        for i, part in enumerate(parts):
            seeds[int(own[1]) if own else i].append(_episodes(part))
    return Held(path, seeds, row.get("opponents", []), found.steps, nbytes, slots, overlong)


def _slots(store: Replay) -> int:
    """Slots that happened, in all lanes of all stores along leading axes."""
    held = np.minimum(store.written, store.slots["filled"].shape[-1])
    return int(held.sum()) * store.slots["filled"].shape[-2]


def _episodes(store: Replay) -> EpisodeBatch:
    """The episodes of a store, or of several that shards keep."""
    *lead, _, _ = store.slots["filled"].shape
    if not lead:
        return batch_of(episodes_in(store))
    return joined([_episodes(jax.tree.map(lambda x, i=i: x[i], store)) for i in range(lead[0])])


def all_of(held: Held) -> EpisodeBatch:
    """The episodes of all seeds and stores, one after another."""
    return joined([batch for stores in held.seeds for batch in stores])


def write(path: Path, batch: EpisodeBatch) -> None:
    """Writes a file by its ending."""
    WRITE[path.suffix](path, batch)


def check(held: Held, state: Any, algorithm: str, opponents: list[str]) -> None:
    """ValueError where a training whose state has these shapes cannot begin with the episodes."""
    there = stores(state)
    if not there:
        raise ValueError(f"--buffer-from {held.path}: {algorithm} keeps no buffer of episodes")
    for seed in held.seeds:
        if len(seed) not in (1, len(there)):
            raise ValueError(
                f"--buffer-from {held.path}: {algorithm} keeps {len(there)} buffers here "
                f"({', '.join(there)}), found {len(seed)}"
            )
        for store, batch in zip(there.values(), _for(seed, len(there)), strict=True):
            if "opponent_id" in store.scheme.slotwise:
                raise ValueError(
                    f"--buffer-from {held.path}: {algorithm} keeps what it played with what it "
                    "remembered then, found episodes without that"
                )
            if TOLD in store.scheme.fields and TOLD not in batch.scheme.fields:
                raise ValueError(
                    f"--buffer-from {held.path}: {algorithm} learns from what players were told of "
                    f"each other, field {TOLD!r}, found episodes without it; a run of {algorithm} "
                    "with as many types and goals has some to lend"
                )
            try:
                fitting(store, suited(batch, store.scheme))
            except ValueError as error:
                raise ValueError(f"--buffer-from {held.path}: {error}") from error
    known = any(name in batch.constants for batch in held.seeds[0] for name in ("opponent_id",))
    if known and held.opponents and held.opponents != opponents:
        say(
            f"--buffer-from {held.path}: opponent_id counts as in that run "
            f"({', '.join(filter(None, held.opponents))}), not as in this one"
        )


def suited(batch: EpisodeBatch, scheme: Scheme) -> EpisodeBatch:
    """The episodes for a store of this scheme: priorities, and what players were told of each
    other, stay behind where nobody asks for them.

    Priorities say how wrong another learner was. A store that asks for them where there are none
    fills them in itself.
    """
    behind = {PRIORITY, TOLD} & {*batch.scheme.fields} - {*scheme.fields}
    if not behind:
        return batch
    data = {name: x for name, x in batch.data.items() if name not in behind}
    names = [name for name in batch.scheme.fields if name not in behind]
    return replace(batch, data=data, scheme=batch.scheme.only(*names))


def _for(seed: list[EpisodeBatch], count: int) -> list[EpisodeBatch]:
    """What each of so many stores gets: its own, or all the same."""
    return seed if len(seed) == count else seed * count


def lend(held: Held, tree: Any, seed: int | None = None) -> Any:
    """A fresh training, its stores filled with the newest episodes that fit.

    Leaves [seeds, shards, ...], or those of the ``seed``-th alone. With fewer seeds than the
    training has, they come again in turn.
    """
    count, told = len(stores(tree)), [0, 0]

    def fill(number: int, store: Replay) -> Replay:
        *lead, _, _ = store.slots["filled"].shape
        if not lead:
            return one(store, _for(held.seeds[(seed or 0) % len(held.seeds)], count)[number])
        rows = [
            _stacked([one(part, batch[j :: lead[1]]) for j, part in enumerate(_unstacked(shards))])
            for shards, batch in zip(
                _unstacked(store),
                (_for(held.seeds[i % len(held.seeds)], count)[number] for i in range(lead[0])),
                strict=True,
            )
        ]
        return _stacked(rows)

    def one(store: Replay, batch: EpisodeBatch) -> Replay:
        after = store.extend(suited(batch, store.scheme))
        told[0] += after.whole().batch_size
        told[1] += batch.batch_size
        return after

    numbers = iter(range(count))
    change = lambda x: fill(next(numbers), x) if is_store(x) else x
    tree = jax.tree.map(change, tree, is_leaf=is_store)
    say(f"begins with {told[0]:,} of the {told[1]:,} episodes of {held.path}")
    return tree


def _unstacked(store: Replay) -> list[Replay]:
    return [jax.tree.map(lambda x, i=i: x[i], store) for i in range(store.written.shape[0])]


def _stacked(parts: list[Replay]) -> Replay:
    return jax.tree.map(lambda *x: jnp.stack(x), *parts)
