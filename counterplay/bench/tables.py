"""The tables of the documentation, made of the results of benchmarks."""

from collections.abc import Callable
from typing import Any

from counterplay.bench import planning_tables, study_tables
from counterplay.bench.adaptation_table import adaptation
from counterplay.bench.reading_table import reading, types


def _plus(mean: float | None = None, error: float = 0.0, digits: int = 3) -> str:
    return "" if mean is None else f"{mean:.{digits}f} ± {error:.{digits}f}"


def _rules(found: Any) -> list[dict[str, Any]]:
    def row(line: Any) -> dict[str, Any]:
        seats = zip(line["mean"], line["error"], strict=True)
        return {"who": line["who"]} | {f"seat {i}": _plus(m, e) for i, (m, e) in enumerate(seats)}

    return [row(line) for line in found["rows"]]


def _snowdrift(found: Any) -> list[dict[str, Any]]:
    lengths = [{"slots an episode": f"{line['length']:.1f}"} for line in found["rows"]]
    return [row | length for row, length in zip(_rules(found), lengths, strict=True)]


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


def _cartpole(found: Any) -> list[dict[str, Any]]:
    rows = [
        {
            "seed": row["seed"],
            "greedy play, of 500": f"{row['greedy']:.1f}",
            "sampled play": f"{row['sampled']:.1f}",
            "training, s": f"{row['seconds']:.0f}",
        }
        for row in found["rows"]
    ]
    solved = f"{found['solved']} of {len(rows)} at {found['solved_from']:.0f} or more"
    last = {"seed": "all", "greedy play, of 500": solved, "sampled play": ""}
    return [*rows, last | {"training, s": f"{found['seconds']:.0f} with evaluation"}]


def _dqn(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "seed": row["seed"],
            "sampled play": _plus(row["sampled"], row["error"]),
            "greedy play": f"{row['greedy']:.3f}",
            "training, s": f"{row['seconds']:.0f}, of which compiling {row['compile_seconds']:.0f}",
        }
        for row in found["rows"]
    ]


def _demo(found: Any) -> list[dict[str, Any]]:
    return [
        {"player": name}
        | {f"3 {other}": _plus(cell[0], cell[1], 2) for other, cell in cells.items()}
        for name, cells in found["cells"].items()
    ]


def foraged(found: Any) -> str:
    """The line under the demo's table about its second game."""
    return (
        f"The second game, {found['game']}: return of the pair "
        f"{found['before']:.3f} at random, {found['after']:.3f} after {found['seconds']:.0f} s "
        f"({found['steps']:,} steps) of training."
    )


def _runs(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "training": name,
            "wall time, s": f"{row['seconds']:.0f}",
            "checkpoints": row["saves"],
            "saving and reading them": f"{row['saving_share']:.2%}",
            "logs": f"{row['logging_share']:.2%}",
        }
        for name, row in found["rows"].items()
    ]


def _xplay(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "policies": found["policies"],
            "cells": found["policies"] ** 2,
            "wall time, s": f"{found['seconds']:.1f}",
            "of which compiling": f"{found['compile_seconds']:.1f}",
            "env-steps": f"{found['steps'] / 1e6:.1f} M",
        }
    ]


def _faults(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "fault": row["fault"],
            "made": f"{row['made']:,}",
            "noticed or made good": f"{row['good']:,}",
        }
        for row in found["rows"]
    ]


def _ippo(found: Any) -> list[dict[str, Any]]:
    theirs = {row["task"]: row for row in found["rows"] if row["who"] == "JaxMARL IPPO"}
    rows = []
    for row in found["rows"]:
        peer, speed = theirs.get(row["task"]), row["steps_per_second"]
        times = f", {speed / peer['steps_per_second']:.1f} x" if peer and row is not peer else ""
        rows.append(
            {
                "game": row["task"],
                "who": row["who"],
                "return a player, 95%": _plus(*row["interval"] or (), digits=2),
                "training, env-steps/s": f"{speed:,.0f}{times}",
            }
        )
        if row["task"] in found.get("elsewhere", {}) and row["interval"]:
            speed = found["elsewhere"][row["task"]]
            rows.append(
                {
                    "game": row["task"],
                    "who": "JaxMARL IPPO, measured elsewhere",
                    "return a player, 95%": "",
                    "training, env-steps/s": speed,
                }
            )
    return rows


def _wrapped(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "game": row["game"],
            "bare, env-steps/s": f"{row['bare']:,}",
            "wrapped": f"{row['wrapped']:,}",
            "kept": f"{row['kept']:.0%}",
            "of bare without resets": f"{row['kept_endless']:.0%}",
        }
        for row in found["rows"]
    ]


def _buffer(found: Any) -> list[dict[str, Any]]:
    ours = {(row["task"], row["memory"]): row for row in found["rows"] if "copy" in row}

    def speed(row: Any, name: str) -> str:
        mine = ours[row["task"], row["memory"]]
        payload = row["payload"] if name.startswith("insert") else row["payload_read"]
        share = f"{row[name]:,.0f}, {row[name] * payload / mine['copy'] / 1e9:.0%}"
        return share if row is mine else f"{share} (ours {mine[name] / row[name]:.1f} x)"

    return [
        {
            "episodes": row["task"] if row["task"] == "stag_hunt" else f"of {row['task']} steps",
            "memory": row["memory"],
            "who": row["who"],
            "sampled a second, of a copy": speed(row, "sample_inside"),
            "a call each": speed(row, "sample"),
            "inserted a second, of a copy": speed(row, "insert_inside"),
            "a call for each": speed(row, "insert"),
            "store, MB": f"{row['bytes'] / 1e6:,.1f}",
        }
        for row in found["rows"]
    ]


def _tests(found: Any) -> list[dict[str, Any]]:
    return [
        {key: str(found[key]) for key in ("passed", "skipped")}
        | {"wall time, s": f"{found['seconds']:.0f}"}
    ]


def _references(found: Any) -> list[dict[str, Any]]:
    return found["rows"]


TABLES: dict[str, Callable[[Any], list[dict[str, Any]]]] = {
    "rules": _rules,
    "snowdrift": _snowdrift,
    "selfplay": _selfplay,
    "seeds": _selfplay,
    "focal": _focal,
    "step": _step,
    "host": _host,
    "foraging": _foraging,
    "cartpole": _cartpole,
    "cartpole_dqn": _cartpole,
    "dqn": _dqn,
    "runs": _runs,
    "xplay": _xplay,
    "faults": _faults,
    "iql": study_tables.iql,
    "ippo": _ippo,
    "wrapped": _wrapped,
    "references": _references,
    "adaptation": adaptation,
    "blind": study_tables.blind,
    "agents": study_tables.agents,
    "agents_hidden": study_tables.agents,
    "frontier": study_tables.planning_frontier,
    "rivals": study_tables.agents,
    "overhead": study_tables.overhead,
    "world": planning_tables.world,
    "planning": planning_tables.planning,
    "reading": reading,
    "reading_hunt": reading,
    "reading_pursuit": reading,
    "goal_choice": study_tables.agents,
    "types": types,
    "goal_timing": study_tables.goal_timing,
    "study_buffer": study_tables.buffer,
    "study_roshambo": study_tables.roshambo,
    "study_roshambo_bots": study_tables.roshambo_bots,
    "buffer": _buffer,
    "demo": _demo,
    "tests": _tests,
}
"""Name of a table -> the rows made of its result."""
