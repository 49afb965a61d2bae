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
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from counterplay.bench.tables import TABLES, foraged
from counterplay.console import read
from counterplay.names import unknown
from counterplay.report.curves import FEW_SEEDS

SUITE: dict[str, str] = {
    "rules": "bench rules",
    "snowdrift": "bench snowdrift",
    "selfplay": "bench selfplay",
    "seeds": "bench selfplay --seeds 8",
    "focal": "bench focal",
    "step": "bench step",
    "host": "bench host",
    "foraging": "bench foraging --seeds 5",
    "cartpole": "bench cartpole",
    "cartpole_dqn": "bench cartpole --algorithm dqn",
    "dqn": "bench dqn --seeds 8",
    "iql": "bench iql",
    "ippo": "bench ippo",
    "wrapped": "bench wrapped",
    "runs": "bench runs",
    "xplay": "bench xplay",
    "buffer": "bench buffer",
    "faults": "bench faults",
    "references": "headroom",
    "adaptation": "bench adaptation --scenarios matrix:pd matrix:stag race coordination pursuit"
    " scissors",
    "blind": "bench blind",
    "agents": "bench agents --scenarios race coordination matrix:pd matrix:stag --players goal_ppo"
    " --seeds 10",
    "agents_hidden": "bench agents --scenarios pursuit scissors --players goal_ppo --together 10",
    "rivals": "bench agents --scenarios race coordination matrix:pd matrix:stag --players ppo"
    " ppo-gru dqn moa naive_om liam --seeds 10 --together 10",
    "overhead": "bench overhead",
    "world": "bench world --groups 0 --updates 6144",
    "planning": "bench planning",
    "frontier": "study planning-frontier --places matrix:stag --planners none"
    " latent:depth=1,samples=8,temperature=0.01 mcts:sims=50,world=true --matches 160"
    " --together 10",
    "reading": "bench reading --cases race pd-codes lone_hunter --together 10",
    "reading_pursuit": "bench reading --cases pursuit --seeds 2 --together 2",
    "reading_hunt": "bench reading --cases stag_hunt --together 10",
    "goal_choice": "study goal-choice --quick",
    "types": "study types --quick",
    "goal_timing": "study goal-timing --quick",
    "study_buffer": "study buffer",
    "study_roshambo": "study roshambo",
    "study_roshambo_bots": "study roshambo --bots-only",
    "demo": "demo",
    "tests": "python -m pytest -q",
}
"""Name of a table -> the command that measures it, one of counterplay's but for the tests."""

QUEUES = (
    "references",
    "adaptation",
    "agents",
    "agents_hidden",
    "rivals",
    "reading",
    "reading_hunt",
    "reading_pursuit",
    "frontier",
)
"""Tables whose parts are kept as they are done: how long the last call took tells nothing."""
STUDIES = tuple(name for name, words in SUITE.items() if words.endswith("--quick"))
"""Studies in their quick form, of few seeds."""
PEERS = ("iql", "ippo", "buffer")
"""Tables that may have a peer in them."""
SETTINGS = {
    "rules": "Rules",
    "snowdrift": "Snowdrift",
    "selfplay": "Bench",
    "dqn": "Bench",
    "focal": "Focal",
    "foraging": "Foraging",
}
"""Benchmark -> the class in ``bench.learning`` of the settings that its result leaves out."""


@dataclass(frozen=True)
class Figures:
    """Measure the figures of the documentation and write them into its tables."""

    only: tuple[str, ...] = ()
    """Names of tables to measure again; all by default."""
    results: str = "benchmarks"
    """Folder of the JSON results."""
    write: tuple[str, ...] = (
        "README.md",
        "docs/figures.md",
        "docs/buffer.md",
        "docs/roshambo.md",
        "docs/evaluation.md",
        "docs/reading.md",
        "docs/planning.md",
    )
    """Markdown files whose tables are replaced."""
    peer: str | None = None
    """A checkout of JaxMARL, trained beside us in the table ippo; see counterplay bench ippo."""
    peer_python: str = sys.executable
    """The Python that runs it."""
    epymarl: str | None = None
    """A checkout of EPyMARL, trained beside us in the table iql; see counterplay bench iql."""
    epymarl_python: str = sys.executable
    """The Python that runs it."""
    pymarl: str | None = None
    """A checkout of PyMARL, for the table buffer; see counterplay bench buffer."""
    pymarl_python: str = sys.executable
    """The Python that runs it."""
    flashbax_python: str | None = None
    """A Python with flashbax, for the same table."""
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
        row = measure(name, peers_of(chosen, name))
        (folder / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
        if gif := row["result"].get("gif"):
            shutil.copy(gif, Path("docs") / f"{name}.gif")
        _write(chosen.write, folder)  # at once: the tests compare pages and results
    _write(chosen.write, folder)
    return 0


def peers_of(chosen: Figures, name: str) -> list[str]:
    """The words that name the peers of a table, none where they are not given."""
    if name == "ippo" and chosen.peer:
        return ["--peer", chosen.peer, "--peer-python", chosen.peer_python]
    if name == "iql" and chosen.epymarl:
        return ["--peer", chosen.epymarl, "--peer-python", chosen.epymarl_python]
    if name == "buffer" and chosen.pymarl:
        flashbax = chosen.flashbax_python
        words = ["--peer", chosen.pymarl, "--peer-python", chosen.pymarl_python]
        return [*words, *(["--flashbax-python", flashbax] if flashbax else [])]
    return []


def command_of(name: str) -> str:
    """What one types to measure a table again."""
    return SUITE[name] if name == "tests" else f"counterplay {SUITE[name]}"


def measure(name: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """Runs the command of one table and notes where and when; ``more`` names a peer."""
    module = (
        ["pytest", "-q"] if name == "tests" else ["counterplay", *SUITE[name].split(), "--json"]
    )
    program = [sys.executable, "-m", *module, *more]
    began = time.perf_counter()
    done = subprocess.run(program, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = round(time.perf_counter() - began, 1)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)  # some failures come but once
        said = (done.stderr.strip() or done.stdout.strip())[-400:]
        raise ValueError(f"{command_of(name)} failed: {said}")
    last = done.stdout.strip().splitlines()[-1]
    return {
        "command": command_of(name) + (" --peer PATH" if more else ""),
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
    if name == "references":  # printed by one command, and each row measured by another
        made = "`counterplay headroom SCENARIO --publish`"
        return f"Shown by `{row['command']}`; each row measured by {made}, {seeds_of(found)}"
    amounts = [f"{found[what]:,} {what}" for what in ("steps", "episodes") if found.get(what)]
    parts = [
        f"`{row['command']}`",
        *([] if name == "tests" else [seeds_of(found)]),
        *amounts,
        row["date"],
        f"{row['cores']} cores ({row['machine']})",
        f"jax {row['versions']['jax']}",
        *([] if name in QUEUES else [f"{row['wall_seconds']:.0f} s in all"]),
        *(["preliminary"] if preliminary(name, found) else []),
    ]
    line = ", ".join(parts)
    return f"{line}\n\n{foraged(found['foraging'])}" if name == "demo" else line


def preliminary(name: str, found: Any) -> bool:
    """Too few seeds to draw conclusions from, in a table where more can be asked for."""
    return name in STUDIES or (name in QUEUES and found["seeds"] < FEW_SEEDS)


def seeds_of(found: Any) -> str:
    """The seeds of a result, from its rows if these have their own."""
    rows = found.get("rows")
    own = [row["seed"] for row in rows if "seed" in row] if isinstance(rows, list) else []
    if not own and "seed" not in found:
        return "seed 0, the default"
    seeds = own or [found["seed"], found["seed"] + found.get("seeds", 1) - 1]
    first, last = min(seeds), max(seeds)
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table whose columns are the keys of the first row."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)
