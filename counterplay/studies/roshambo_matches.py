"""The matches of ``study roshambo``, as jobs that are done once: one a bot, all its matches."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from counterplay import opponents
from counterplay.console import check_names, cores, run_where_called
from counterplay.grammar import LEARNERS, split_list
from counterplay.jobs import Job, run
from counterplay.opponents.roshambo import run as start

GAME = "matrix:rps"
AT_ONCE = 10
"""Matches of an agent with one bot side by side."""
TOLD = "returns, and how the throws of the bot were foreseen"
"""Of each match, in the file of a job: one of before, which told returns alone, is of another."""
Line = tuple[str, int, str, int, int]
"""First bot, its seed, second bot, its seed, throws."""


def play_bots(chosen: Any, matches: int) -> dict[tuple[str, str], list[int]] | None:
    """What the first of each pair earned in every match; None where the study was stopped."""
    names = chosen.population
    config = {"throws": chosen.throws, "matches": matches}
    jobs = [Job(name, config | {"others": names[i:]}, chosen.seed) for i, name in enumerate(names)]

    def work(job: Job) -> dict[str, Any]:
        lines = lines_of(job.name, job.config["others"], matches, chosen.throws, job.seed)
        scores = np.reshape(referee(lines), (-1, matches)).tolist()
        return dict(zip(job.config["others"], scores, strict=True))

    found = run(jobs, work, Path(chosen.out), title="bots", quiet=chosen.json)
    if None in found:
        return None
    return {
        (job.name, other): scores
        for job, result in zip(jobs, found, strict=True)
        for other, scores in (result or {}).items()
    }


def lines_of(name: str, others: Sequence[str], matches: int, throws: int, seed: int) -> list[Line]:
    """The matches of one bot with others, a seed for each player of each that no other has."""
    count = 2 * matches * len(others)
    drawn = iter(seeded(name, seed).integers(1, 2**31, count).tolist())
    return [
        (name, next(drawn), other, next(drawn), throws) for other in others for _ in range(matches)
    ]


def referee(lines: Sequence[Line]) -> list[int]:
    """What the first of each line earned, by as many referees at once as there are cores."""
    share = max(min(cores(), len(lines)), 1)
    scores: list[int] = [0] * len(lines)
    with ThreadPoolExecutor(share) as pool:
        for i, found in enumerate(pool.map(_score, (lines[i::share] for i in range(share)))):
            scores[i::share] = found
    return scores


def _score(lines: Sequence[Line]) -> list[int]:
    """What the first of each line earned, by one referee."""
    asked = "".join(f"{' '.join(map(str, line))}\n" for line in lines)
    with start() as process:
        said, _ = process.communicate(asked.encode())
    if process.returncode or len(said.split()) != len(lines):
        raise RuntimeError(
            f"the referee ended with status {process.returncode} after {len(said.split())} of "
            f"{len(lines)} matches; what it said is above"
        )
    return [int(score) for score in said.split()]


def play_agent(chosen: Any, matches: int) -> dict[str, dict[str, list[Any]]] | None:
    """By bot, the ``returns`` of the agent in each match and how it foresaw the bot's throws.

    The latter as ``roshambo_throws.foreseen`` tells it. None where the study was stopped.
    ValueError for an agent that cannot play, before anything is played.
    """
    if learners := [name for name in split_list(chosen.agent) if name in LEARNERS]:
        raise ValueError(f"--agent {learners[0]} learns, and this study trains nobody")
    check_names(GAME, (), split_list(chosen.agent))
    run_where_called()  # many small programs; before JAX is used
    from counterplay import envs

    env = envs.make(f"{GAME},horizon={chosen.throws}")
    seated(env, chosen.agent, chosen.population[0])  # who cannot sit there is refused here
    config = {"agent": chosen.agent, "is": [*map(digest_of, split_list(chosen.agent))]}
    config |= {"throws": chosen.throws, "matches": matches, "greedy": chosen.greedy, "told": TOLD}
    jobs = [Job(name, config, chosen.seed) for name in chosen.population]
    work = lambda job: met(env, chosen.agent, job.name, matches, job.seed, chosen.greedy)
    found = run(jobs, work, Path(chosen.out), title=chosen.agent, quiet=chosen.json)
    if None in found:
        return None
    named = zip(chosen.population, found, strict=True)
    return {name: result for name, result in named if result}


def seated(env: Any, agent: str, bot: str) -> Any:
    """The roster of an agent and a bot, in this order."""
    from counterplay.pools import roster_of

    return roster_of(env, {0: agent, 1: f"roshambo:{bot}"})


def met(
    env: Any, agent: str, bot: str, matches: int, seed: int, greedy: bool
) -> dict[str, list[Any]]:
    """``returns`` of the agent in matches with one bot, and how it foresaw the bot's throws."""
    from counterplay.pools import stage
    from counterplay.studies.roshambo_throws import foreseen, play

    roster, draws, found = seated(env, agent, bot), seeded(bot, seed), {}
    parts = -(-matches // AT_ONCE)  # of one size, which are one program
    for _ in range(parts):
        first, count = int(draws.integers(2**31)), -(-matches // parts)
        played = play(stage(env, roster), roster, count, first, greedy)
        told = {"returns": played.returns.tolist()} | foreseen(played.throws, played.predicted)
        found = {name: found.get(name, []) + each for name, each in told.items()}
    return {name: each[:matches] for name, each in found.items()}


def seeded(name: str, seed: int) -> np.random.Generator:
    """The random numbers of the matches with one bot."""
    return np.random.default_rng([seed, *name.encode()])


def digest_of(agent: str) -> str:
    """The SHA-256 of an agent's checkpoint, or of the file it is made in: other ones play anew."""
    if agent.startswith("run:"):
        from counterplay.evaluate.results import opening

        with opening([agent]) as found:
            pass
        return found.get(agent, {}).get("sha256", "")
    name = agent.partition(":")[0]
    place = {**opponents.ANY_GAME, **opponents.BOTS["matrix"]}.get(name, "").partition(":")[0]
    found = find_spec(place) if place else None
    path = agent.rpartition(":")[0] if ".py:" in agent else found and found.origin
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
