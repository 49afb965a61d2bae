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
    "tests": "python -m pytest -q",
}
"""Name of a table -> the command that measures it, one of counterplay's but for the tests."""

SETTINGS = {"rules": "Rules", "selfplay": "Bench", "focal": "Focal", "foraging": "Foraging"}
"""Benchmark -> the class in ``bench.learning`` of the settings that its result leaves out."""


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
    folder.mkdir(parents=True, exist_ok=True)
    for name in () if chosen.render else chosen.only or SUITE:
        if name == "tests" and not Path("tests").is_dir():
            print("tests: there is no folder tests/ here, so they are left out")
            continue
        print(f"{name}: {command_of(name)}", flush=True)
        row = measure(name)
        (folder / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
        if gif := row["result"].get("gif"):
            shutil.copy(gif, Path("docs") / f"{name}.gif")
        _write(chosen.write, folder)  # at once: the tests compare pages and results
    _write(chosen.write, folder)
    return 0


def command_of(name: str) -> str:
    """What one types to measure a table again."""
    return SUITE[name] if name == "tests" else f"counterplay {SUITE[name]}"


def measure(name: str) -> dict[str, Any]:
    """Runs the command of one table and notes where and when."""
    module = (
        ["pytest", "-q"] if name == "tests" else ["counterplay", *SUITE[name].split(), "--json"]
    )
    program = [sys.executable, "-m", *module]
    began = time.perf_counter()
    done = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-400:]
        raise ValueError(f"{command_of(name)} failed: {said}")
    last = done.stdout.strip().splitlines()[-1]
    return {
        "command": command_of(name),
        "date": time.strftime("%Y-%m-%d"),
        "wall_seconds": seconds,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "machine": platform.machine(),
        "versions": {name: metadata.version(name) for name in ("counterplay", "jax", "jaxlib")},
        "result": {"seconds": seconds} | counted(last)
        if name == "tests"
        else settings_of(name) | json.loads(last),
    }


def settings_of(name: str) -> dict[str, int]:
    """Seed, steps and episodes of a learning benchmark, defaults included."""
    words = SUITE[name].split()
    if words[0] != "bench" or words[1] not in SETTINGS:
        return {}
    from counterplay.bench import learning

    chosen = read(getattr(learning, SETTINGS[words[1]]), words[2:], " ".join(words[:2]))
    found = {key: getattr(chosen, key, None) for key in ("seed", "steps", "episodes")}
    return {key: value for key, value in found.items() if value is not None}


def counted(line: str) -> dict[str, int]:
    """Passed and skipped tests in the last line that pytest prints."""
    found = {word: re.search(rf"(\d+) {word}", line) for word in ("passed", "skipped")}
    return {word: int(match[1]) if match else 0 for word, match in found.items()}


def _write(pages: tuple[str, ...], folder: Path) -> None:
    for name in pages:
        path = Path(name)
        if path.is_file():
            path.write_text(fill(path.read_text(), folder))


def fill(text: str, folder: Path) -> str:
    """Replaces the tables of a Markdown text by those of the results."""

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        path = folder / f"{name}.json"
        if not path.is_file():
            return match[0]
        row = json.loads(path.read_text())
        body = markdown(TABLES[name](row["result"]))
        return f"<!-- figures:{name} -->\n{body}\n\n{note(name, row)}\n<!-- /figures:{name} -->"

    return re.sub(
        r"<!-- figures:(?P<name>\w+) -->.*?<!-- /figures:(?P=name) -->", table, text, flags=re.S
    )


def note(name: str, row: dict[str, Any]) -> str:
    """The line under a table: how to measure it again, and what it was measured with."""
    found = row["result"]
    amounts = [f"{found[what]:,} {what}" for what in ("steps", "episodes") if found.get(what)]
    parts = [
        f"`{row['command']}`",
        *([] if name == "tests" else [seeds_of(found)]),
        *amounts,
        row["date"],
        f"{row['cores']} cores ({row['machine']})",
        f"jax {row['versions']['jax']}",
        f"{row['wall_seconds']:.0f} s in all",
    ]
    line = ", ".join(parts)
    return f"{line}\n\n{_foraged(found['foraging'])}" if name == "demo" else line


def seeds_of(found: Any) -> str:
    """The seeds of a result, from its rows if these have their own."""
    rows = found.get("rows")
    own = [row["seed"] for row in rows if "seed" in row] if isinstance(rows, list) else []
    if not own and "seed" not in found:
        return "seed 0, the default"
    seeds = own or [found["seed"]]
    first, last = min(seeds), max(seeds)
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


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


def _foraged(found: Any) -> str:
    return (
        f"The second game, {found['game']}: return of the pair "
        f"{found['before']:.3f} at random, {found['after']:.3f} after {found['seconds']:.0f} s "
        f"({found['steps']:,} steps) of training."
    )


def _tests(found: Any) -> list[dict[str, Any]]:
    return [
        {key: str(found[key]) for key in ("passed", "skipped")}
        | {"wall time, s": f"{found['seconds']:.0f}"}
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
    "tests": _tests,
}
