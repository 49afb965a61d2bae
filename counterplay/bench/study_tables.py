"""The tables of ``counterplay study``."""

from typing import Any


def buffer(found: Any) -> list[dict[str, Any]]:
    return [
        {
            "store": row["store"],
            "memory, MB": f"{row['bytes'] / 1e6:.1f}",
            "episodes in/s": f"{row['inserted_per_second']:,}",
            "episodes out/s": f"{row['sampled_per_second']:,}",
            "lines of glue": row["lines"],
        }
        for row in found["rows"]
    ]


def roshambo(found: Any) -> list[dict[str, Any]]:
    """Returns from all bots, from parts of them, and from each, the hardest first."""
    head = f"{found['agent']} against"
    row = lambda name, part, worst: {
        head: name,
        "points a match": points(part),
        "least from": f"{part['worst']} {round(-part['exploitability'])}" if worst else "",
    }
    parts = [
        row(f"{name} ({len(part['bots'])} bots)", part, True)
        for name, part in found["parts"].items()
    ]
    each = sorted(found["bots"].items(), key=lambda one: one[1]["population_return"])
    return [
        row(f"all {len(each)} bots", found["all"], True),
        *parts,
        *(row(name, part, False) for name, part in each),
    ]


def roshambo_bots(found: Any) -> list[dict[str, Any]]:
    """How each bot stands among the others, the best first."""
    return [
        {
            "bot": row["bot"],
            "population return": points(row),
            "with itself": f"{round(row['with_self'])}",
            "exploitability": f"{round(row['exploitability'])}",
            "least from": row["worst"],
        }
        for row in found["rows"]
    ]


def points(part: Any) -> str:
    """A mean with its standard error, which a single match has not."""
    error = "" if part["error"] is None else f" ± {part['error']:.0f}"
    return f"{round(part['population_return'])}{error}"
