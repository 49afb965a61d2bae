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
from counterplay.jobs import Job, Together, kept
from counterplay.opponents.sets import members
from counterplay.queues import attempted, filled, without
from counterplay.runs.disk import write_whole
from counterplay.settings import check_least
from counterplay.terminal import say

NAMES = published.NAMES
POOLS = ("train", "held-out")
MADE = ("versions", "commit", "platform", "device", "devices")
"""What is noted, beside the date, of how references were made."""
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
    replace: bool = False
    """Publish in place of what is published already, which changes the scores told with it."""
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
    how = {"title": title, "quiet": chosen.json, "together": count}
    results, error = attempted(jobs, train, folder, **how)
    missing = results.count(None)
    done = [(job, x) for job, x in zip(jobs, results, strict=True) if x is not None]
    if any(job.config["pool"] == "train" for job, _ in done):
        size = scenario, jobs[0].config["matches"]
        tables = {} if missing else references.measure_tables(*size)
        found = collected(scenario, chosen, done, tables) | _made(jobs, folder)
        if not missing:
            return _whole(found, scenario, chosen, folder)
        _tell(found | {"missing": missing}, chosen, without(missing, len(jobs)))
    else:
        say(f"{title}: too little has been done for a table")
    if error is not None:
        raise error
    return 1


def _whole(found: dict[str, Any], scenario: Scenario, chosen: Headroom, folder: Path) -> int:
    """Keeps what holds together with the package, where that was asked for, and tells it; exit
    status."""
    ordered = summary(found, "train")["ordered"]
    if chosen.publish and ordered:
        path = published.path_of(scenario)
        write_whole(path, json.dumps(found, indent=1) + "\n")
        say(f"published in {path}")
    _tell(found, chosen)
    if not ordered:
        left = f": nothing is published, the jobs are kept in {folder}" if chosen.publish else ""
        say(f"random <= blind <= filter <= oracle does not hold within the intervals{left}")
    return int(chosen.publish and not ordered)


def _tell(found: dict[str, Any], chosen: Headroom, missing: str = "") -> None:
    if chosen.json:
        print(json.dumps(found))
    else:
        show(found, missing)


def _made(jobs: list[Job], folder: Path) -> dict[str, Any]:
    """When, where and by which commit the last of the jobs was done, and by which others some."""
    rows = [row for row in kept(jobs, folder) if row]
    last = max(rows, key=lambda row: row.get("date", ""))
    found = {name: last[name] for name in MADE if name in last}
    other = {row["commit"] for row in rows if "commit" in row} - {found.get("commit")}
    found |= {"commits_before": sorted(other)} if other else {}
    return found | {"date": last.get("date", "")[:10]}


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
    if chosen.replace and not chosen.publish:
        raise ValueError("--replace is for what is published: say --publish, too, or leave it away")
    if chosen.publish and not chosen.replace and published.path_of(scenario).is_file():
        since = published.measured(scenario) or "on a day that it does not say"
        seeds, digest = published.read(scenario)["seeds"], published.digest(scenario)
        raise ValueError(
            f"{scenario.name} has published references, measured {since} ({seeds} seeds, digest "
            f"{digest}): scores told with them would change. Make a new version of the scenario, "
            "or say --replace"
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
    scenario: Scenario, chosen: Headroom, done: list[tuple[Job, Any]], tables: dict[str, Any]
) -> dict[str, Any]:
    """The best seed of every reference, or a table, chosen on other matches than those reported.

    ``done`` are jobs with what they gave, of the training set one at least; a set without an oracle
    is left out.
    """
    config = {k: v for k, v in done[0][0].config.items() if k != "pool"}
    sets: dict[str, Any] = {}
    rows = {p: {j.seed: row for j, row in done if j.config["pool"] == p} for p in POOLS}
    trained = rows["train"]
    for pool in (pool for pool in POOLS if rows[pool]):
        oracles = {seed: row[pool] for seed, row in rows[pool].items()}
        first = next(iter(trained.values()))
        chance = tables.get(pool, {}).get("random", {"report": first["random"][pool]})
        sets[pool] = {"random": {"blocks": chance["report"]}}
        for name in NAMES[1:]:
            # blind and filter were trained, and are chosen, on the training pool wherever they play
            known = {of: {s: row[of] for s, row in trained.items()} for of in ("train", pool)}
            by, play = (oracles,) * 2 if name == "oracle" else (known["train"], known[pool])
            choice = tables.get(pool if name == "oracle" else "train", {})
            sets[pool][name] = _reference(name, by, play, choice, tables.get(pool, {}))
    command = f"counterplay headroom {scenario.name} --seeds {chosen.seeds}"
    found = {"scenario": scenario.name, "seeds": chosen.seeds, "command": command, **config}
    return found | {"sets": sets}


def _reference(
    name: str, by: dict[int, Any], play: dict[int, Any], choice: Any, table: Any
) -> dict[str, Any]:
    """What is published of one: chosen among seeds ``by`` what they earn, and of the table, if
    there is any, by ``choice``.

    ``seed`` is None where the table was chosen.
    """
    i, way = _best([*by.values(), choice], name)
    mean = lambda row: float(np.mean(row[way]["report"]))
    found = {
        "blocks": [*play.values(), table][i][way]["report"],
        "seed": [*by, None][i],
        "play": way.partition(", ")[2],
        "all": [mean(one) for one in play.values()],
    }
    return found | ({"table": mean(table)} if way in table else {})


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


def show(found: dict[str, Any], missing: str = "") -> None:
    """One scenario, both sets; ``missing`` says in the heading what has not been done of it."""
    rows = [as_row(found, pool) for pool in found["sets"]]
    names = [{"scenario": found["scenario"], "set": pool} for pool in POOLS]
    rows = filled(rows, names, bool(missing))
    title = f"{found['scenario']}: return an episode, 95% over matches; shares of oracle - random"
    table(title + missing, tuple(rows[0]), [tuple(row.values()) for row in rows])


def all_published() -> list[dict[str, Any]]:
    """What is published of every scenario."""
    return [published.read(scenario) for scenario in published.there()]


def rows_published() -> list[dict[str, str]]:
    """A line a scenario and set: when it was measured, and whether a score is told with it."""
    rows = []
    for scenario in published.there():
        found = published.read(scenario)
        for pool in POOLS:
            told = {
                "measured": published.measured(scenario),
                "tells a score": _tells(scenario, pool),
            }
            rows.append(as_row(found, pool) | told)
    return rows


def _tells(scenario: Scenario, pool: str) -> str:
    try:
        return "yes" if published.references(scenario, pool).tells else "no"
    except ValueError:  # measured in another way than agents are
        return "no"


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
