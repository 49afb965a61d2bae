"""``counterplay bench figures``: measures every figure of the documentation and writes it there.

Each benchmark runs in a process of its own and leaves its JSON in ``benchmarks/``. Tables go
between ``<!-- figures:NAME -->`` and ``<!-- /figures:NAME -->`` of the Markdown files, so that no
number in them is typed by hand.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from counterplay.console import read
from counterplay.names import unknown

SUITE: dict[str, str] = {
    "rules": "bench rules",
    "selfplay": "bench selfplay",
    "seeds": "bench selfplay --seeds 8",
    "focal": "bench focal",
    "step": "bench step",
    "host": "bench host",
    "foraging": "bench foraging --seeds 5",
    "demo": "demo",
}
"""Name of a table -> the command that measures it."""


@dataclass(frozen=True)
class Figures:
    """Measure the figures of the documentation and write them into its tables."""

    only: tuple[str, ...] = ()
    """Names of tables to measure again; all by default."""
    results: str = "benchmarks"
    """Folder of the JSON results."""
    write: tuple[str, ...] = ("README.md", "docs/figures.md")
    """Markdown files whose tables are replaced."""
    render: bool = False
    """Measure nothing, only write the tables from the results there are."""


def main(args: list[str]) -> int:
    """``counterplay bench figures``"""
    chosen = read(Figures, args, "bench figures")
    for name in chosen.only:
        if name not in SUITE:
            raise unknown("table", name, SUITE)
    folder = Path(chosen.results)
    folder.mkdir(exist_ok=True)
    for name in () if chosen.render else chosen.only or SUITE:
        print(f"{name}: counterplay {SUITE[name]}", flush=True)
        row = measure(SUITE[name])
        (folder / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
        if gif := row["result"].get("gif"):
            shutil.copy(gif, Path("docs") / f"{name}.gif")
    for name in chosen.write:
        path = Path(name)
        if path.is_file():
            path.write_text(fill(path.read_text(), folder))
    return 0


def measure(command: str) -> dict[str, Any]:
    """Runs one command with --json and notes where and when."""
    program = [sys.executable, "-m", "counterplay.cli", *command.split(), "--json"]
    began = time.perf_counter()
    done = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ValueError(f"counterplay {command} failed: {done.stderr.strip()[-400:]}")
    return {
        "command": f"counterplay {command}",
        "date": time.strftime("%Y-%m-%d"),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: metadata.version(name) for name in ("counterplay", "jax", "jaxlib")},
        "result": json.loads(done.stdout.strip().splitlines()[-1]),
    }


def fill(text: str, folder: Path) -> str:
    """Replaces the tables of a Markdown text by those of the results."""

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        path = folder / f"{name}.json"
        if not path.is_file():
            return match[0]
        row = json.loads(path.read_text())
        note = (
            f"`{row['command']}`, {row['date']}, {row['cores']} cores ({row['machine']}), "
            f"jax {row['versions']['jax']}, {row['wall_seconds']:.0f} s in all"
        )
        body = markdown(TABLES[name](row["result"]))
        return f"<!-- figures:{name} -->\n{body}\n\n{note}\n<!-- /figures:{name} -->"

    return re.sub(
        r"<!-- figures:(?P<name>\w+) -->.*?<!-- /figures:(?P=name) -->", table, text, flags=re.S
    )


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table whose columns are the keys of the first row."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _plus(mean: float, error: float, digits: int = 3) -> str:
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def _rules(found: Any) -> list[dict[str, Any]]:
    def row(line: Any) -> dict[str, Any]:
        seats = zip(line["mean"], line["error"], strict=True)
        return {"who": line["who"]} | {f"seat {i}": _plus(m, e) for i, (m, e) in enumerate(seats)}

    return [row(line) for line in found["rows"]]


def _selfplay(found: Any) -> list[dict[str, Any]]:
    rows = [
        {
            "seed": row["seed"],
            "sampled play": _plus(row["sampled"], row["error"]),
            "greedy play": f"{row['greedy']:.3f}",
            "training, s": "",
        }
        for row in found["rows"]
    ]
    total = f"{found['seconds']:.0f}, of which compiling {found['compile_seconds']:.0f}"
    if len(rows) == 1:
        rows[0]["training, s"] = total
        return rows
    sampled = [row["sampled"] for row in found["rows"]]
    spread = f"{found['sampled_mean']:.3f} (lowest {min(sampled):.3f})"
    greedy = sum(row["greedy"] for row in found["rows"]) / len(rows)
    last = {"seed": "all", "sampled play": spread, "greedy play": f"{greedy:.3f}"}
    return [*rows, last | {"training, s": total}]


def _focal(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "three opponents": row["against"],
            "sampled play, 95%": _plus(row["sampled"], row["±sampled"]),
            "greedy play, 95%": _plus(row["greedy"], row["±greedy"]),
            "training, s": f"{row['seconds']:.0f}",
        }
        for row in found["rows"]
    ]


def _step(found: Any) -> list[dict[str, Any]]:
    return [
        {"observations": name, "env-steps/s": f"{found[name] / 1e6:.1f} M"}
        for name in ("compact", "planes")
    ]


def _host(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "policy": name,
            "bare copies, env-steps/s": f"{row['bare']:,}",
            "host loop": f"{row['hosted']:,}",
            "kept": f"{row['ratio']:.0%}",
        }
        for name, row in found["rows"].items()
    ]


def _foraging(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "seed": row["seed"],
            "return of the pair, of 1": f"{row['team return']:.3f}",
            "slots an episode": f"{row['length']:.1f}",
        }
        for row in found["rows"]
    ]


def _demo(found: Any) -> list[dict[str, Any]]:
    return [
        {"player": name}
        | {f"3 {other}": _plus(cell[0], cell[1], 2) for other, cell in cells.items()}
        for name, cells in found["cells"].items()
    ]


TABLES: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    "rules": _rules,
    "selfplay": _selfplay,
    "seeds": _selfplay,
    "focal": _focal,
    "step": _step,
    "host": _host,
    "foraging": _foraging,
    "demo": _demo,
}
