"""``counterplay study roshambo``: what a player earns of the 43 bots of OpenSpiel, and what these
earn of each other. Every match is played by fresh processes; see ``opponents/roshambo_process.py``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterplay.bench.tables import TABLES
from counterplay.console import read, table
from counterplay.names import unknown
from counterplay.opponents.roshambo import NAMES, THROWS, check_installed
from counterplay.studies.population import folds, halves, split_clones, standing
from counterplay.terminal import say

AGENT_MATCHES, BOT_MATCHES = 20, 5
"""By default, against each bot."""


@dataclass(frozen=True)
class RoShamBo:
    """Play one player, or the bots among themselves, against every RoShamBo bot of OpenSpiel."""

    agent: str = "context_mixture"
    """Who plays, as a seat names it: a rule, run:FOLDER, path.py:Name, roshambo:NAME."""
    bots_only: bool = False
    """Make the table of the bots among themselves instead."""
    matches: int = 0
    """Matches against each bot; 0 is 20 for an agent and 5 a pair of bots."""
    throws: int = THROWS
    """Throws a match, 2 to 1000."""
    bots: str = ""
    """The population, as a comma list; by default all 43."""
    held_out: str = ""
    """Bots, as a comma list, whose mean is also told apart from that of the others."""
    folds: int = 0
    """Folds that the mean is also told by, clones never in two; 0 is 5, or as many as there are."""
    greedy: bool = False
    """A learned policy plays its most likely throw instead of drawing one."""
    seed: int = 0
    """Seed of the matches."""
    out: str = "runs/roshambo"
    """Folder of the results, a file a bot: a study that was interrupted goes on there."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        if self.matches < 0:
            raise ValueError(f"--matches must be 1 or more, found {self.matches}")
        if not 2 <= self.throws <= THROWS:
            raise ValueError(f"--throws must be 2 to {THROWS}, found {self.throws}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"--seed must be 0 to {2**31 - 1}, found {self.seed}")
        population = self.population
        folds(population, self.folds)  # before anything is played
        held_out = listed("--held-out", self.held_out, population)
        if len(held_out) == len(population):
            raise ValueError("--held-out names the whole population: somebody must be left")
        if self.bots_only and (held_out or self.greedy):
            raise ValueError("--bots-only plays no agent, so --held-out and --greedy mean nothing")

    @property
    def population(self) -> list[str]:
        """The bots that are played."""
        return listed("--bots", self.bots, NAMES) or list(NAMES)


def listed(flag: str, text: str, known: Any) -> list[str]:
    """The bots of a comma list in the order of ``known``; nothing for an empty one."""
    found = [name.strip() for name in text.split(",")] if text else []
    for name in found:
        if name not in known:
            raise unknown(f"bot in {flag}", name, known)
        if found.count(name) > 1:
            raise ValueError(f"{flag} names {name} twice")
    return [name for name in known if name in found]


def main(args: list[str]) -> int:
    """``counterplay study roshambo``"""
    chosen = read(RoShamBo, args, "study roshambo")
    check_installed("study roshambo")
    told = of_bots(chosen) if chosen.bots_only else of_agent(chosen)
    if told is None:
        return 1
    if chosen.json:
        print(json.dumps(told))
        return 0
    name = "study_roshambo_bots" if chosen.bots_only else "study_roshambo"
    title = f"{told['matches']} matches of {told['throws']} throws against each bot"
    shown = TABLES[name](told)
    table(title, tuple(shown[0]), [(*row.values(),) for row in shown])
    return 0


def of_agent(chosen: RoShamBo) -> dict[str, Any] | None:
    """What the agent earned and foresaw of each bot, and the means; None where it was stopped."""
    from counterplay.studies.roshambo_matches import play_agent
    from counterplay.studies.roshambo_throws import averages

    matches, population = chosen.matches or AGENT_MATCHES, chosen.population
    found = play_agent(chosen, matches)
    if found is None:
        return None
    returns = {bot: one["returns"] for bot, one in found.items()}

    def mean_of(bots: Sequence[str]) -> dict[str, Any]:
        told = _told({bot: returns[bot] for bot in bots})
        return told | {"foreseen": averages([found[bot] for bot in bots])}

    held_out = listed("--held-out", chosen.held_out, population)
    parts = {
        **halves(population),
        **{f"fold {i}": fold for i, fold in enumerate(folds(population, chosen.folds))},
    }
    if held_out:
        parts["held out"] = held_out
        parts["not held out"] = [name for name in population if name not in held_out]
        if torn := split_clones(held_out):
            say(f"--held-out: clones of its bots are outside it: {', '.join(torn)}")
    return {
        "study": "roshambo",
        "agent": chosen.agent,
        "seed": chosen.seed,
        "throws": chosen.throws,
        "matches": matches,
        "all": mean_of(population),
        "parts": {name: mean_of(bots) | {"bots": bots} for name, bots in parts.items() if bots},
        "bots": {bot: mean_of([bot]) | {"returns": returns[bot]} for bot in population},
    }


def of_bots(chosen: RoShamBo) -> dict[str, Any] | None:
    """The bots' table and the standing of each; None where the study was stopped."""
    from counterplay.studies.population import means, of_row, parted
    from counterplay.studies.roshambo_matches import play_bots

    matches, population = chosen.matches or BOT_MATCHES, chosen.population
    found = play_bots(chosen, matches)
    if found is None:
        return None
    rows = []
    for name in population:
        returns = of_row(found, name)
        others = {bot: x for bot, x in returns.items() if bot != name}
        told, all_of_them = _told(others), _told(returns)
        told["with_self"] = all_of_them["population_return"]
        told["with_self_error"] = all_of_them["error"]
        parts = {
            part: _told({bot: others[bot] for bot in bots if bot != name})
            for part, bots in halves(population).items()
            if set(bots) - {name}
        }
        rows.append({"bot": name} | told | {"parts": parts})
    whole, numbered = means(found, population), list(enumerate(population))
    return {
        "study": "roshambo",
        "seed": chosen.seed,
        "throws": chosen.throws,
        "matches": matches,
        "rows": sorted(rows, key=lambda row: -row["population_return"]),
        "names": population,
        "table": whole.tolist(),
        "returns": [[found[mine, theirs] for theirs in population[i:]] for i, mine in numbered],
        "alike": parted(whole, population, folds(population, chosen.folds)),
    }


def _told(returns: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A standing for JSON; an error that is unknown is None."""
    found = standing(returns)._asdict()
    return {k: None if v != v else v for k, v in found.items()}
