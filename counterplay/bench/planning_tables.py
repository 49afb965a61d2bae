"""Rows of the tables of who plans: what plans earn and cost, and how right the learned world is."""

from typing import Any


def reached(found: Any) -> list[dict[str, Any]]:
    """What an agent earns against each kind of other, with its plans and without, and how soon."""
    plus = lambda played: "{:.3f} ± {:.3f}".format(*played)
    return [
        {
            **who_was_met(row["against"], row["seed"]),
            "sampled play": plus(row["sampled"]),
            "greedy play": plus(row["greedy"]),
            **{planner: plus(played) for planner, played in row["planners"].items()},
            "steps": f"{row['steps']:,}",
            "training, s": f"{row['seconds']:.0f}, of which compiling {row['compile_seconds']:.0f}",
            "95% of its return after, s": "-"
            if row["near_seconds"] is None
            else f"{row['near_seconds']:.0f}",
            "trust at the end": "" if row["trust"] is None else f"{row['trust']:.2f}",
        }
        for row in found["rows"]
    ]


def who_was_met(against: str, seed: int) -> dict[str, str]:
    """The cells that tell a line of ``reached`` from others."""
    return {"against": "itself" if against == "self" else f"3 {against}", "seed": str(seed)}


def planning(found: Any) -> list[dict[str, Any]]:
    """Decisions a second of processor time of planners, and how many times those of searches."""
    speeds = {row["planner"]: row["decisions_a_processor_second"] for row in found["rows"]}
    searches = [name for name in found["beside"] if name in speeds]
    return [
        {"planner": name, "decisions/s": f"{speed:,.0f}"}
        | {f"times {search}": f"{speed / speeds[search]:.1f}" for search in searches}
        for name, speed in speeds.items()
    ]


def world(found: Any) -> list[dict[str, Any]]:
    """How right a model of the game is, by the number of true joint moves it looks ahead."""
    rows, ways = [], ["likeliest", "drawn"]
    for way in ways[: 1 if found["likeliest"] == found["drawn"] else 2]:  # without chance alike
        of = found[way]
        for i in range(len(of["state"])):
            share = lambda name, of=of, i=i: f"{of[name][i]:.3%}" if name in of else ""
            rows.append(
                {
                    "latents": way,
                    "moves ahead": str(i + 1),
                    "state exact": share("state"),
                    "and all before": share("rollout"),
                    "reward off by": f"{of['reward'][i]:.4f}",
                    "where paid": f"{of['paid'][i]:.4f}" if "paid" in of else "",
                    "plays on": share("alive"),
                    "legal": share("legal"),
                    "ghosts": share("ghosts"),
                }
            )
    return rows
