"""The tables of ``counterplay study``, of adaptation scores, and of the longer benchmarks."""

from typing import Any

import numpy as np

from counterplay.evaluate.statistics import t_interval

HELD = {True: "yes", False: "no", None: "cannot be told"}
"""Of what was asked, as intervals say."""


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
        **_foreseen(part.get("foreseen")),
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
    """How each bot stands among the others, the best first, and which bots the folds part."""
    from counterplay.studies.population import ALIKE, HALVES  # studies tell theirs by these tables

    like: dict[str, list[str]] = {row["bot"]: [] for row in found["rows"]}
    for one, two, r in found.get("alike", []):
        like[one].append(f"{two} {r:.3f}")
        like[two].append(f"{one} {r:.3f}")
    whole = lambda row: {"population_return": row["with_self"], "error": row.get("with_self_error")}
    half = lambda row: row.get("parts", {}).get(HALVES[1])
    return [
        {
            "bot": row["bot"],
            "population return": points(row),
            "with itself": points(whole(row)),
            HALVES[1]: points(half(row)) if half(row) else "",
            "exploitability": f"{round(row['exploitability'])}",
            "least from": row["worst"],
            f"like it (above {ALIKE:g}) in another fold": ", ".join(like[row["bot"]]),
        }
        for row in found["rows"]
    ]


def roshambo_trained(found: Any) -> list[dict[str, Any]]:
    """Of every player what strangers let it earn, in all and by folds."""
    return [
        {
            "player": row["player"],
            "throws of a training": f"{row['steps']:,}" if row["steps"] else "none",
            "seeds": len(row["per_seed"]),
            "points a match, 95%": _over_seeds(row["per_seed"]),
            "least from": f"{row['worst']} {round(-row['exploitability'])}",
            "next throw, nats": "" if row["nll"] is None else f"{row['nll']:.3f}",
            **{f"fold {i}": f"{x:.0f}" for i, x in enumerate(row["folds"])},
        }
        for row in found["rows"]
    ]


def _over_seeds(each: list[float]) -> str:
    """A mean over seeds, with Student's interval where there are two."""
    if len(each) < 2:
        return f"{each[0]:.0f}"
    return "{:.0f} [{:.0f}, {:.0f}]".format(*t_interval(each)[:3])


def _foreseen(found: Any) -> dict[str, str]:
    """How well throws were foreseen; empty cells where nobody told, or before that was measured."""
    found = found or {}
    told = lambda name: f"{found[name]:.3f}" if found.get(name) is not None else ""
    impossible = found.get("top1") is not None and found["nll"] is None
    return {
        "next throw, nats": "infinite" if impossible else told("nll"),
        "top-1": told("top1"),
        "from frequencies, nats": told("frequencies"),
        "from the last throw, nats": told("transitions"),
    }


def points(part: Any) -> str:
    """A mean with its standard error, which a single match has not."""
    error = "" if part["error"] is None else f" ± {part['error']:.1f}"
    return f"{part['population_return']:.1f}{error}"


def overhead(found: Any) -> list[dict[str, Any]]:
    """Seconds an iteration beside those of the first player."""
    return [
        {
            "player": row["player"],
            "ms an iteration": f"{1000 * row['seconds']:.0f}",
            "times the first": f"{row['ratio']:.2f}",
            "compiling, s": f"{row['compile_seconds']:.0f}",
        }
        for row in found["rows"]
    ]


def agents(found: Any) -> list[dict[str, Any]]:
    """Where learners lie between the references, against either set of opponents."""
    return [
        {
            "scenario": row["scenario"],
            "player": row["player"],
            "marks": _marks(row),
            "set": row["set"],
            "seeds": str(len(row["per_seed"])),
            "next move, nats": f"{row['others_nll']:.3f}" if "others_nll" in row else "",
            "return an episode": f"{row['mean']:.3f}",
            "adaptation score, 95%": interval(row["score"]),
            "share of oracle": interval(row["share"]),
        }
        for row in found["rows"]
    ]


def _marks(row: Any) -> str:
    """What its training gives a learner; rows of before have the marks of the player's name."""
    from counterplay.bench.agents import marks_of  # which tells its rows by these tables
    from counterplay.evaluate.marks import NONE
    from counterplay.evaluate.scenarios import scenario_of

    if "marks" in row:
        return row["marks"] or NONE
    known = marks_of(scenario_of(row["scenario"]), row["player"])
    return "" if known is None else known or NONE


def goal_timing(found: Any) -> list[dict[str, Any]]:
    """What an agent earns and knows by what it takes for a goal."""
    told = lambda row, name: f"{row[name]:.3f}" if name in row else "-"
    return [
        {
            "scenario": row["scenario"],
            "rewards": row["version"],
            "goals": row["goals"],
            "set": row["set"],
            "seeds": str(len(row["per_seed"])),
            "goal, nats": told(row, "goal_nll"),
            "goal, top-1": told(row, "goal_top1"),
            "next move, nats": told(row, "others_nll"),
            "return an episode": f"{row['mean']:.3f}",
            "adaptation score, 95%": interval(row["score"]),
        }
        for row in found["rows"]
    ]


def planning_frontier(found: Any) -> list[dict[str, Any]]:
    """What a frozen agent earns by how it plans, and what that costs."""
    several = lambda row: len(row["per_seed"]) > 1
    more = f"more than {found['beside']}, share of oracle - random"
    compared = any(row.get("ahead") for row in found["rows"])
    return [
        {
            "scenario": row["place"],
            "planner": row["planner"],
            "seeds": str(len(row["per_seed"])),
            "return an episode": f"{row['mean']:.3f}"
            + (f" ± {row['error']:.3f}" if several(row) else ""),
            "decisions/s": "-" if row["speed"] is None else f"{row['speed']:,.0f}",
            "simulator calls a decision": f"{row['simulator_calls']:,.0f}",
            "steps of its own world": f"{row['world_steps']:,}",
            "adaptation score, 95%": interval(row["score"]),
        }
        | ({more: per_cent(row.get("ahead"))} if compared else {})
        for row in found["rows"]
    ]


def per_cent(x: Any) -> str:
    """A share and its interval, of a hundred; empty where there is none."""
    told = [f"{round(100 * y, 1) + 0.0:.1f}" for y in x or ()]
    return f"{told[0]} [{told[1]}, {told[2]}]%" if told else ""


def raw_vs_embedding(found: Any) -> list[dict[str, Any]]:
    """What models know of the next observation, and what is earned by planning a move in them."""

    def told(row: Any, name: str, form: str) -> str:
        return f"{row[name]:{form}}" if row.get(name) is not None else ""

    return [
        {
            "game": row["place"],
            "plans in": row["who"] if "exact" in row else f"- ({row['who']})",
            "seeds": str(len(row["per_seed"])) if "exact" in row else "",
            "not 0": told(row, "nonzero", ".2%"),
            "loss": told(row, "loss", ".3f"),
            "squared error": told(row, "error", ".5f"),
            "of a blank board": told(row, "blank", ".5f"),
            "marks found": told(row, "marks", ".1%"),
            "next board exact": told(row, "exact", ".2%"),
            "reward off by": told(row, "reward", ".4f"),
            "return an episode": f"{row['return']:.3f} ± {row['return_error']:.3f}",
        }
        for row in found["rows"]
    ]


def interval(x: Any) -> str:
    """An estimate and its interval; "-" where there is none."""
    near = lambda y: f"{round(y, 2) + 0.0:.2f}"  # there is no -0.00
    return "-" if x is None else f"{near(x[0])} [{near(x[1])}, {near(x[2])}]"


def blind(found: Any) -> list[dict[str, Any]]:
    """What a blind player's tables earn an episode of a match, by where gradients began."""
    told = lambda x: f"{x:.3f}"
    return [
        {
            "scenario": row["scenario"],
            "even chances": told(row["random"]),
            "gradients from them": told(row["even"]),
            "and a bonus for entropy": told(row["urged"]),
            "from random tables, median": told(float(np.median(row["starts"]))),
            "best of these": told(max(row["starts"])),
            "within 1% of the best": f"{row['as_far']} of {len(row['starts'])}",
            "best of certain moves": told(row["certain"]),
        }
        for row in found["rows"]
    ]


def iql(found: Any) -> list[dict[str, Any]]:
    """Speed and returns of DQN in foraging, beside the peer's."""
    peer = next((row for row in found["rows"] if row["who"].startswith("EPyMARL")), None)

    def speed(row: Any) -> str:
        times = f", {row['steps_per_s'] / peer['steps_per_s']:.1f} x" if peer else ""
        return f"{row['steps_per_s']:,.0f}{'' if row is peer else times}"

    rows = [
        {
            "who": row["who"],
            "network, batch": f"{row['network']}, {row['batch']}",
            "env-steps a gradient step": f"{row['steps_per_gradient_step']:g}",
            "env-steps/s": speed(row),
            "steps, in": f"{row['steps']:,}, {row['seconds']:.0f} s",
            "return of the pair, of 1": "" if row["return"] is None else f"{row['return']:.3f}",
        }
        for row in found["rows"]
    ]
    blank = dict.fromkeys(rows[0], "")
    aside = {"who": "EPyMARL IQL", "env-steps/s": found["elsewhere"]}
    return rows + ([blank | aside] if found["elsewhere"] else [])


def controls(found: Any) -> list[dict[str, Any]]:
    """What agents earn that are kept from knowing the others, and what was asked of them."""
    asked = {"prior": "0 ± 0.1", "permuted": "at most 0.1", "alone": "within 2%", "a_a": "above 5%"}
    of = {"score": "score ", "ratio": "times PPO's return ", "p": "p "}
    text = lambda row: interval(row["found"]) if row["measure"] != "p" else _share(row["found"])
    return [
        {
            "control": row["control"],
            "player": row["player"],
            "scenario": row["scenario"],
            "seeds": str(row["seeds"]),
            "return an episode": f"{row['mean']:.3f}",
            "found, 95%": of[row["measure"]] + text(row),
            "asked": asked[row["control"]],
            "held": HELD[row["held"]],
        }
        for row in found["rows"]
    ]


def _share(x: float | None) -> str:
    return "-" if x is None else f"{x:.2f}"
