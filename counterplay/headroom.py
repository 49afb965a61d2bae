"""``headroom``: what knowing the others is worth in a scenario, as a random player, the best blind
one, exact inference and an oracle show.
"""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from counterplay.console import read, set_threads, table, use_all_cores
from counterplay.evaluate import published
from counterplay.evaluate.scenarios import SCENARIOS, Scenario, scenario_of
from counterplay.evaluate.statistics import Interval, t_interval
from counterplay.jobs import Job, Together, run
from counterplay.opponents.sets import members
from counterplay.runs.disk import write_whole
from counterplay.settings import check_least
from counterplay.terminal import say

NAMES = published.NAMES
POOLS = ("train", "held-out")
LEAST_SEEDS = 10
"""Of references that are published."""


@dataclass(frozen=True)
class Headroom:
    """Measure the references of a scenario; without one, show those that are published."""

    scenario: tyro.conf.Positional[str] = ""
    """One of the scenarios that counterplay list names, such as race or matrix:pd."""
    seeds: int = 10
    """Trainings of the references, of which the best is chosen for each."""
    steps: int | None = None
    """Environment steps of each training; by default three times the scenario's budget."""
    matches: int | None = None
    """Matches by which each reference is reported, by default the scenario's; half as many
    choose it."""
    out: str | None = None
    """Folder of the queue; a second call goes on where the first was stopped. By default
    runs/headroom/SCENARIO."""
    publish: bool = False
    """Keep what was found with the package, for adaptation scores."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, steps=1, matches=40)


def main(args: list[str]) -> int:
    """``counterplay headroom [SCENARIO]``"""
    chosen = read(Headroom, args, "headroom")
    if not chosen.scenario:
        return _show_published(chosen.json)
    from counterplay.evaluate import references

    scenario = scenario_of(chosen.scenario)
    _check_publish(scenario, chosen)
    set_threads()
    use_all_cores(scenario.game)
    jobs = _jobs(scenario, chosen)
    folder = Path(chosen.out or f"runs/headroom/{scenario.file}")
    title = f"headroom of {scenario.name}"
    count = references.together(chosen.seeds)
    train = Together(lambda job, seed: work(scenario, job, seed, count), count)
    rows = run(jobs, train, folder, title=title, quiet=chosen.json, together=count)
    if None in rows:
        return 1
    tables = references.measure_tables(scenario, jobs[0].config["matches"])
    found = collected(scenario, chosen, jobs, rows, tables)
    ordered = summary(found, "train")["ordered"]
    if chosen.publish and ordered:
        path = published.path_of(scenario)
        write_whole(path, json.dumps(found, indent=1) + "\n")
        say(f"published in {path}")
    if chosen.json:
        print(json.dumps(found))
    else:
        show(found)
    if not ordered:
        kept = f": nothing is published, the jobs are kept in {folder}" if chosen.publish else ""
        say(f"random <= blind <= filter <= oracle does not hold within the intervals{kept}")
    return int(chosen.publish and not ordered)


def _check_publish(scenario: Scenario, chosen: Headroom) -> None:
    """A version says with what its references are made: nothing else is published under it."""
    usual = {"steps": 3 * scenario.budget, "matches": scenario.matches}
    other = [f"--{n}" for n, x in usual.items() if getattr(chosen, n) not in (None, x)]
    if chosen.publish and (other or chosen.seeds < LEAST_SEEDS):
        said = " and ".join([*other, *(["--seeds"] if chosen.seeds < LEAST_SEEDS else [])])
        raise ValueError(
            f"--publish wants {LEAST_SEEDS} seeds or more and the settings of {scenario.name}, "
            f"found others: leave {said} away"
        )


def _jobs(scenario: Scenario, chosen: Headroom) -> list[Job]:
    """One a set and seed."""
    steps, game = chosen.steps or 3 * scenario.budget, scenario.game.partition(":")[0]
    about = {"game": scenario.game, "match": scenario.match, "seat": scenario.seat}
    matches = chosen.matches or scenario.matches
    about |= {"training": scenario.training, "steps": steps, "matches": matches}
    about |= scenario.measured
    about |= {pool: list(members(game, pool)) for pool in POOLS}
    return [
        Job(f"{scenario.file}-{pool}", about | {"pool": pool}, seed)
        for pool in POOLS
        for seed in range(chosen.seeds)
    ]


def work(scenario: Scenario, job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """Trains so many seeds as the job says, and measures them; on the held-out set oracles only."""
    from counterplay.evaluate import references as made
    from counterplay.evaluate.solo import BLIND, FILTER, ORACLE

    pool, matches = job.config["pool"], job.config["matches"]
    nets = made.learn(scenario, pool, seed, seeds, job.config["steps"])
    modes = (BLIND, FILTER, ORACLE) if pool == "train" else (ORACLE,)
    rows = [{pool: row} for row in made.measure(scenario, pool, nets, modes, matches)]
    if pool == "train":
        known = made.measure(scenario, POOLS[1], nets, (BLIND, FILTER), matches, own=False)
        rows = [row | {POOLS[1]: other} for row, other in zip(rows, known, strict=True)]
    chance = {p: made.measure_random(scenario, p, nets[0], matches) for p in POOLS}
    return [row | {"random": chance} for row in rows]


def collected(
    scenario: Scenario, chosen: Headroom, jobs: list[Job], rows: list[Any], tables: dict[str, Any]
) -> dict[str, Any]:
    """The best seed of every reference, or a table, chosen on other matches than those reported."""
    from counterplay.runs.folder import here

    config = {k: v for k, v in jobs[0].config.items() if k != "pool"}
    sets: dict[str, Any] = {}
    done = list(zip(jobs, rows, strict=True))
    trained = [row for job, row in done if job.config["pool"] == "train"]
    for pool in POOLS:
        oracles = [row[pool] for job, row in done if job.config["pool"] == pool]
        chance = tables.get(pool, {}).get("random", {"report": trained[0]["random"][pool]})
        sets[pool] = {"random": {"blocks": chance["report"]}}
        for name in NAMES[1:]:
            # blind and filter were trained, and are chosen, on the training pool wherever they play
            by = oracles if name == "oracle" else [row["train"] for row in trained]
            play = oracles if name == "oracle" else [row[pool] for row in trained]
            choice = tables.get(pool if name == "oracle" else "train", {})
            sets[pool][name] = _reference(name, [*by, choice], [*play, tables.get(pool, {})])
    command = f"counterplay headroom {scenario.name} --seeds {chosen.seeds}"
    found = {"scenario": scenario.name, "seeds": chosen.seeds, "command": command, **config}
    return found | {"sets": sets} | here()


def _reference(name: str, by: list[Any], play: list[Any]) -> dict[str, Any]:
    """What is published of one: of seeds, and last of the table, if there is any.

    ``seed`` is None where the table was chosen.
    """
    i, way = _best(by, name)
    mean = lambda row: float(np.mean(row[way]["report"]))
    found = {
        "blocks": play[i][way]["report"],
        "seed": i if i < len(by) - 1 else None,
        "play": way.partition(", ")[2],
        "all": [mean(one) for one in play[:-1]],
    }
    return found | ({"table": mean(play[-1])} if way in play[-1] else {})


def _best(rows: list[dict[str, Any]], name: str) -> tuple[int, str]:
    ways = [(i, way) for i, row in enumerate(rows) for way in row if way.startswith(name)]
    return max(ways, key=lambda at: rows[at[0]][at[1]]["choice"])


def summary(found: dict[str, Any], pool: str) -> dict[str, Any]:
    """Means with intervals over blocks of matches, headroom and what exact inference gets of it;
    these are shares of what there is above random play, and NaN where there is nothing."""
    rows = found["sets"][pool]
    means: dict[str, Interval] = {name: t_interval(rows[name]["blocks"]) for name in NAMES}
    at = {name: float(x.estimate) for name, x in means.items()}
    room = at["oracle"] - at["random"] if at["oracle"] > at["random"] else math.nan
    shares = (at["oracle"] - at["blind"]) / room, (at["filter"] - at["blind"]) / room
    pairs = list(itertools.pairwise(NAMES))
    ordered = all(means[a].low <= means[b].high for a, b in pairs)
    return {"means": means, "headroom": shares[0], "filter": shares[1], "ordered": ordered}


def as_row(found: dict[str, Any], pool: str) -> dict[str, str]:
    """A line of the table."""
    told = summary(found, pool)
    means = {
        name: f"{x.estimate:.3f} ± {(x.high - x.low) / 2:.3f}" for name, x in told["means"].items()
    }
    row = {"scenario": found["scenario"], "set": pool} | means
    share = lambda x: "-" if math.isnan(x) else f"{round(x, 2) + 0.0:.0%}"  # no -0%
    return row | {"headroom": share(told["headroom"]), "filter - blind": share(told["filter"])}


def show(found: dict[str, Any]) -> None:
    """One scenario, both sets."""
    rows = [as_row(found, pool) for pool in POOLS]
    title = f"{found['scenario']}: return an episode, 95% over matches; shares of oracle - random"
    table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])


def all_published() -> list[dict[str, Any]]:
    """What is published of every scenario."""
    return [published.read(scenario) for scenario in published.there()]


def rows_published() -> list[dict[str, str]]:
    """A line a scenario and set."""
    return [as_row(found, pool) for found in all_published() for pool in POOLS]


def _show_published(as_json: bool) -> int:
    rows = rows_published()
    if as_json:
        seeds = max((found["seeds"] for found in all_published()), default=0)
        print(json.dumps({"seed": 0, "seeds": seeds, "rows": rows}))
    elif rows:
        table("references", tuple(rows[0]), [tuple(row.values()) for row in rows])
    else:
        print(f"no references are published; scenarios: {', '.join(SCENARIOS)}")
    return 0
