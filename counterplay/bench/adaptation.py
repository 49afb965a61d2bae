"""Where agents lie between the references of the scenarios: exact inference by hand, and PPO that
sees neither the history of a match nor whom it plays.

Both are measured as references are: the better of sampled and greedy play, chosen by other matches
than those reported. PPO gets as many steps, and the same moves to choose from.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PRNGKeyArray

from counterplay import envs, opponents
from counterplay.algos import ppo
from counterplay.algos.snapshots import SnapshotSettings
from counterplay.bench.tables import TABLES
from counterplay.console import read, set_threads, use_all_cores
from counterplay.evaluate import published, references
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.scenarios import Scenario, scenario_of
from counterplay.evaluate.solo import BLIND
from counterplay.jobs import Job, Together
from counterplay.names import unknown
from counterplay.opponents.sets import members
from counterplay.pools import roster_of
from counterplay.queues import Form, tabled
from counterplay.seats import Chair, Kind, Roster, bank
from counterplay.settings import check_least, typed
from counterplay.types import NO_MOVE, Act, Memory, View

SEED = references.SEED + 1
"""Of matches, none of which references were chosen or reported by."""


APART = {"matrix:stag-v2": {"first_policy": 5.0}, "pursuit-v1": {"entropy": 0.1}}
"""Settings of PPO alone. In the one gradients from even chances end in always defecting, in PPO as
in exact computation, so every seed begins with a policy of its own. In the other several trainings
of ten got stuck early, with the usual bonus for entropy, where a network that also learns what a
filter and an oracle are told gets stuck less often."""


NOT_ITS_OWN = {field.name for field in fields(SnapshotSettings)}
NOT_ITS_OWN |= {"seed", "seeds", "steps", "match", "gru"}
"""Of PPO's settings those that the benchmark sets: no memory, and no former selves."""


@dataclass(frozen=True)
class Adapting:
    """Adaptation scores of bayes and of PPO without memory, on the published scenarios."""

    scenarios: tuple[str, ...] = ()
    """Scenarios; by default all whose published references tell a score."""
    seed: int = 110
    """First seed of training; references have taken those from 0 on, and PPO's own settings were
    found on those from 100 on."""
    seeds: int = 10
    """Trainings of PPO."""
    steps: int | None = None
    """Environment steps of each training; by default three times the scenario's budget."""
    ppo: tuple[str, ...] = ()
    """Settings of PPO beside those of the scenarios, as entropy=0.03, in place of any that it has
    by itself (entropy=0.1 in pursuit, first-policy=5 in stag)."""
    matches: int | None = None
    """Matches by which each is reported, against the training set, by default the scenario's; half
    as many choose between sampled and greedy play."""
    out: str = "runs/adaptation"
    """Folder of the queue; a second call goes on where the first was stopped."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_least(self, seeds=1, steps=1, matches=40)
        self.own()

    def own(self) -> dict[str, Any] | None:
        """What ``ppo`` says, by the names of settings; None where it says nothing."""
        known = {field.name for field in fields(ppo.Config)} - NOT_ITS_OWN
        names = [piece.partition("=")[0].strip().replace("-", "_") for piece in self.ppo]
        for name in names:
            if name not in known:
                raise unknown("setting of --ppo", name, sorted(known))
        config = read(ppo.Config, typed(self.ppo), "bench adaptation, --ppo")
        return {name: getattr(config, name) for name in names} or None


class Way(eqx.Module):
    """A policy that draws its moves, or makes the likeliest."""

    policy: Any
    greedy: Bool[Array, ""]

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return self.policy.begin(key, memory)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        drawn = self.policy.act(key, memory, view, False)
        best = jnp.argmax(self.policy.log_probs(memory, view)).astype(jnp.int32)
        best = jnp.where(view.legal.any(), best, NO_MOVE)
        return drawn._replace(action=jnp.where(self.greedy, best, drawn.action))


def main(args: list[str]) -> int:
    """``counterplay bench adaptation``"""
    bench = read(Adapting, args, "bench adaptation")
    chosen = [scenario_of(name) for name in bench.scenarios] or published.telling()
    for scenario in chosen:
        _check_seed(scenario, bench)
    set_threads()
    use_all_cores()
    jobs = [job for scenario in chosen for job in _jobs(scenario, bench)]
    count = references.together(bench.seeds)
    work = Together(lambda job, seed: measured(job, seed, count), count, bench.seed)
    how = {"title": "bench adaptation", "as_json": bench.json, "together": count}
    about = {"seed": bench.seed, "seeds": bench.seeds}
    return tabled(jobs, work, Path(bench.out), FORM, about, **how)


def _check_seed(scenario: Scenario, bench: Adapting) -> None:
    """ValueError for a seed that a reference was trained with, or without references."""
    taken = published.read(scenario)["seeds"]
    if bench.seed < taken:
        raise ValueError(
            f"--seed must be {taken} or more, found {bench.seed}: the references of "
            f"{scenario.name} were trained with seeds 0 to {taken - 1}"
        )


def _jobs(scenario: Scenario, bench: Adapting) -> list[Job]:
    """One of bayes, where it plays, and one a seed of PPO."""
    game = scenario.game.partition(":")[0]
    about = {"scenario": scenario.name, "game": scenario.game, "match": scenario.match}
    about |= {"seat": scenario.seat, "train": list(members(game, "train"))}
    about |= {"matches": bench.matches or scenario.matches} | scenario.measured
    own = bench.own()
    settings = scenario.training | (APART.get(scenario.name, {}) if own is None else own)
    training = {"training": settings, "steps": bench.steps or 3 * scenario.budget}
    seeds = range(bench.seed, bench.seed + bench.seeds)
    jobs = [Job(f"{scenario.file}-ppo", about | {"player": "ppo"} | training, s) for s in seeds]
    if not _bayes_plays(game):
        return jobs
    return [Job(f"{scenario.file}-bayes", about | {"player": "bayes"}, bench.seed), *jobs]


def _bayes_plays(game: str) -> bool:
    try:
        opponents.check_name("bayes", game)
    except ValueError:
        return False
    return True


def measured(job: Job, seed: int, seeds: int) -> list[dict[str, Any]]:
    """What the player of a job earns in each way to play; PPO with so many seeds from one on."""
    scenario, matches = scenario_of(job.config["scenario"]), job.config["matches"]
    if job.config["player"] == "bayes":
        return [by_bayes(scenario, matches)]
    learner = replace(scenario, training=job.config["training"])
    nets = references.learn(learner, "train", seed, seeds, job.config["steps"], (BLIND,))
    return references.measure(scenario, "train", nets, (BLIND,), matches, seed=SEED)


def by_bayes(scenario: Scenario, matches: int) -> dict[str, Any]:
    """What bayes earns an episode, sampled and greedy, in the form of ``references.measure``."""
    env, rows = envs.make(scenario.game), EpisodeRows()
    seats = dict.fromkeys(range(env.num_seats), "pool:train") | {scenario.seat: "bayes"}
    # a matrix game does not say how often it will be played again, and it is planned for
    known = f"bayes:episodes={scenario.match}" if envs.game_of(env) == "matrix" else "bayes"
    bayes = opponents.make(known, env)
    roster = both_ways(roster_of(env, seats), scenario.seat, bayes)
    episodes = (matches // 2 + matches) * scenario.match
    evaluate(env, roster, episodes, seed=SEED, match=scenario.match, rows=rows)
    found = rows.match_returns(scenario.alike(len(members(envs.game_of(env), "train"))))
    return {f"bayes, {way}": references.parted(found[way]) for way in references.PLAYS}


def both_ways(roster: Roster, seat: int, policy: Any) -> Roster:
    """The one table of a roster twice: the policy at a seat plays sampled, then greedy."""
    (seated,) = roster.tables
    at = seated[seat].kind
    ways = bank([Way(policy, jnp.asarray(greedy)) for greedy in (False, True)])
    kind = Kind("bayes", 2, policy=ways, first_id=max(roster.ids) + 1)
    kinds = tuple(kind if i == at else k for i, k in enumerate(roster.kinds))
    seats = lambda g: tuple(Chair(at, g) if c.kind == at else c for c in seated)
    return Roster(kinds, (seats(0), seats(1)), references.PLAYS, (seat, seat))


def scored(jobs: list[Job], results: list[Any]) -> list[dict[str, Any]]:
    """One row a scenario and player, over all its seeds."""
    groups: dict[str, list[Any]] = {}
    for job, result in zip(jobs, results, strict=True):
        groups.setdefault(job.name, [job]).append(result)
    return [_row(job, rows) for job, *rows in groups.values()]


def _row(job: Job, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Every seed plays as its choice says; ``best`` is the seed that would be chosen, too."""
    scenario = scenario_of(job.config["scenario"])
    ways = [max(row, key=lambda way, row=row: row[way]["choice"]) for row in rows]
    choice = [row[way]["choice"] for row, way in zip(rows, ways, strict=True)]
    returns = np.array([row[way]["report"] for row, way in zip(rows, ways, strict=True)])
    best = int(np.argmax(choice))
    between = published.references(scenario)
    whole, one = between.score(returns), between.score(returns[best][None])
    told = {"score": whole.score, "share": whole.share, "best": one.score}
    row = {"scenario": scenario.name, "player": job.config["player"]}
    row |= {"steps": job.config.get("steps"), "matches": job.config["matches"]}
    row |= {"references": between.digest}
    row |= {name: x and [float(part) for part in x[:3]] for name, x in told.items()}
    plays = [way.partition(", ")[2] for way in ways]
    means = [float(x) for x in returns.mean(1)]
    return row | {"mean": float(returns.mean()), "per_seed": means, "plays": plays}


FORM = Form(
    "adaptation scores",
    scored,
    TABLES["adaptation"],
    lambda job: [{name: job.config[name] for name in ("scenario", "player")}],
)
