"""``data``: what episodes a run or a file holds, and from one form to another."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from counterplay.console import read, set_threads, table
from counterplay.names import unknown

ENDS = (".npz", ".parquet")
COMMANDS = {
    "describe": "fields, lengths, returns and players of the episodes of a run or a file",
    "convert": "write the episodes of a run or a file to another file, .npz or .parquet",
}
MOST_PLAYERS = 8
"""Of those who played in every seat, the most frequent that are printed."""


@dataclass(frozen=True)
class Describe:
    """Tell what episodes a file or the latest checkpoint of a run holds."""

    path: tyro.conf.Positional[str] = ""
    """A .npz or .parquet file, or the folder of a run whose learner keeps episodes."""
    json: bool = False
    """Print one JSON object instead of text."""


@dataclass(frozen=True)
class Convert:
    """Write the episodes of a file or a run to a new file."""

    paths: tyro.conf.Positional[tuple[str, ...]] = ()
    """From where, a .npz or .parquet file or the folder of a run, and to which file."""
    json: bool = False
    """Print one JSON object instead of text."""


def main(args: list[str]) -> int:
    """``counterplay data describe ...`` or ``counterplay data convert ...``"""
    if not args:
        raise ValueError("data wants a command: describe or convert; see counterplay data --help")
    if args[0] in ("-h", "--help"):
        known = "\n".join(f"  {name:<9} {about}" for name, about in COMMANDS.items())
        print(f"usage: counterplay data COMMAND ...\n\n{known}")
        return 0
    name, *rest = args
    if name not in COMMANDS:
        raise unknown("command of data", name, COMMANDS)
    set_threads()
    return (describe if name == "describe" else convert)(rest)


def describe(args: list[str]) -> int:
    """Prints what there is."""
    chosen = read(Describe, args, "data describe")
    if not chosen.path:
        raise ValueError("data describe wants a .npz or .parquet file or the folder of a run")
    _there(chosen.path)
    from counterplay.runs.lent import held_by

    row = described(held_by(Path(chosen.path)))
    if chosen.json:
        print(json.dumps(row))
    else:
        _tell(row)
    return 0


def convert(args: list[str]) -> int:
    """Writes a file that was not there."""
    chosen = read(Convert, args, "data convert")
    if len(chosen.paths) != 2:
        found = " ".join(chosen.paths) or "none"
        raise ValueError(f"data convert wants two paths, from where and to which, found {found}")
    source, target = chosen.paths
    _there(source)
    if Path(target).suffix not in ENDS:
        raise ValueError(f"data convert writes a file .npz or .parquet, found {target!r}")
    if Path(target).exists():
        raise ValueError(f"{target} is there already; convert to another name, or remove it")
    from counterplay.runs.lent import all_of, held_by, write

    held = held_by(Path(source))
    batch = all_of(held)
    write(Path(target), batch)
    row = {
        "from": source,
        "to": target,
        "episodes": batch.batch_size,
        "slots": int(batch.length.sum()),
        "bytes": Path(target).stat().st_size,
    }
    told = f"{row['episodes']:,} episodes of {row['slots']:,} slots: {target}, {row['bytes']:,} B"
    print(json.dumps(row) if chosen.json else told)
    return 0


def _there(path: str) -> None:
    """Refuses what is nowhere, or no place of episodes, before anything is loaded."""
    if not Path(path).exists():
        raise ValueError(f"{path} is not there: expected a .npz or .parquet file or a run folder")
    if not Path(path).is_dir() and Path(path).suffix not in ENDS:
        raise ValueError(f"{path}: expected a file .npz or .parquet, or the folder of a run")


def described(held: Any) -> dict[str, Any]:
    """What there is to say of episodes, as JSON takes it."""
    import numpy as np

    from counterplay.runs.lent import all_of

    batch = all_of(held)
    scheme, length = batch.scheme, np.asarray(batch.length)
    fields = {
        name: {
            "shape": list(scheme.shape(name)),
            "dtype": np.dtype(one.dtype).name,
            "group": one.group,
            "constant": one.constant,
            "bytes": scheme.bytes_of({name: one}),
        }
        for name, one in scheme.fields.items()
    }
    spread = (length.min(), np.median(length), length.max()) if len(length) else (0, 0, 0)
    return {
        "path": str(held.path),
        "checkpoint": held.steps,
        "seeds": len(held.seeds),
        "fields": fields,
        "groups": dict(scheme.groups),
        "episodes": len(length),
        "slots": int(length.sum()),
        "stored_slots": held.slots,
        "stored_bytes": held.nbytes,
        "overlong": held.overlong,
        "length": dict(zip(("min", "median", "max"), map(float, spread), strict=True)),
        "returns": _returns(batch),
        "players": _players(batch, held.opponents),
    } | padding(scheme, length)


def padding(scheme: Any, length: Any) -> dict[str, Any]:
    """Bytes of the episodes as slots one after another, and as rows padded to the longest."""
    from counterplay.episodes.memory import OWN_BYTES

    slot, agents = scheme.bytes_of(scheme.slotwise), scheme.agents
    once = scheme.bytes_of(scheme.constants)
    slots, rows = int(length.sum()), len(length)
    padded = rows * int(length.max(initial=0))
    return {
        "bytes": slots * (slot + OWN_BYTES) + rows * (once + 4 * (3 + agents)),
        "padded_bytes": padded * (slot + 8) + rows * once,  # filled is int64 there
        "padding": 1 - slots / padded if padded else 0.0,
    }


def _returns(batch: Any) -> dict[str, list[float]] | None:
    """Of every agent, over all episodes; None where there is no reward."""
    import numpy as np

    if "reward" not in batch.data or not batch.batch_size:
        return None
    reward = np.asarray(batch["reward"], np.float64).reshape(*batch.filled.shape, -1)
    total = reward.sum(1)
    return {
        "mean": [round(float(x), 4) for x in total.mean(0)],
        "min": [round(float(x), 4) for x in total.min(0)],
        "max": [round(float(x), 4) for x in total.max(0)],
    }


def _players(batch: Any, names: list[str]) -> dict[str, Any]:
    """How many episodes everyone played in every seat, and how many each matchup had."""
    import numpy as np

    found: dict[str, Any] = {}
    if "opponent_id" in batch.constants:
        told = lambda i: names[i] if 0 <= i < len(names) and names[i] else str(i)
        ids = np.asarray(batch["opponent_id"]).reshape(batch.batch_size, -1)
        found["seats"] = [dict(Counter(map(told, seat.tolist())).most_common()) for seat in ids.T]
    if "matchup" in batch.constants:
        matchups = np.asarray(batch["matchup"]).reshape(-1).tolist()
        found["matchups"] = dict(Counter(map(str, matchups)).most_common())
    return found


def _tell(row: dict[str, Any]) -> None:
    """The same for people."""
    from counterplay.episodes.memory import told

    of = "" if row["checkpoint"] is None else f", checkpoint of step {row['checkpoint']:,}"
    seeds = f", {row['seeds']} seeds" if row["seeds"] > 1 else ""
    title = f"{row['path']}{of}{seeds}"
    lines = [
        (name, f"{one['dtype']}{one['shape']}", one["group"] or "", one["bytes"])
        for name, one in row["fields"].items()
    ]
    table(title, ("field", "type", "group", "bytes"), lines)
    if row["stored_slots"] is not None:
        stored = told(row["stored_bytes"])
        print(f"buffer: {row['stored_slots']:,} slots played, room of {stored}")
    if row["overlong"]:
        print(f"{row['overlong']:,} episodes longer than its horizon, which it never reads as ones")
    length = row["length"]
    print(
        f"{row['episodes']:,} whole episodes of {row['slots']:,} slots; lengths "
        f"{length['min']:.0f} to {length['max']:.0f}, median {length['median']:g}"
    )
    if row["returns"]:
        mean = ", ".join(f"{x:.3f}" for x in row["returns"]["mean"])
        print(f"mean return of every agent: {mean}")
    for seat, counts in enumerate(row["players"].get("seats", ())):
        some = [f"{who} {count:,}" for who, count in list(counts.items())[:MOST_PLAYERS]]
        more = f" and {len(counts) - len(some)} others" if len(counts) > len(some) else ""
        print(f"seat {seat}: {', '.join(some)}{more}")
    if "matchups" in row["players"]:
        print(f"{len(row['players']['matchups']):,} different matchups")
    print(
        f"{told(row['bytes'])} as slots, {told(row['padded_bytes'])} as padded rows, "
        f"{row['padding']:.0%} of them padding"
    )
