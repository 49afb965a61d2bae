"""Cross-play: what one of each policy earns when another fills all the other seats."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from counterplay.envs import game_of
from counterplay.envs.running import Breaks
from counterplay.evaluate.results import digests, opening
from counterplay.evaluate.returns import Progress, evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.evaluate.tally import Row
from counterplay.grammar import LEARNERS, short_names, split_list
from counterplay.pools import rosters_across, stage
from counterplay.types import Env


class Crossed(NamedTuple):
    """A matrix of results."""

    names: tuple[str, ...]
    cells: tuple[tuple[Row, ...], ...]
    """[focal][other]; ``focal_mean`` is what one focal policy earned among the others."""
    opponents: dict[int, str]
    """opponent_id of the rows -> policy."""
    checkpoints: dict[str, dict[str, Any]]
    """Of the runs among them, as ``results.opening`` tells it."""
    digests: dict[int, str]
    """opponent_id -> what is known of what plays; see ``results.digests``."""


def cross_play(
    env: Env,
    policies: Sequence[str],
    episodes: int,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    greedy: bool = False,
    match: int = 1,
    progress: Progress = lambda done, total: None,
    rows: EpisodeRows | None = None,
    breaks: Breaks | None = None,
) -> Crossed:
    """At least ``episodes`` episodes of every cell, all cells in one program where it can be.

    A policy is what the grammar of seats knows, a comma list is one that plays as each of its
    members equally often. ``rows`` are labelled ``focal | other`` by the names. ``breaks`` says
    what to do where a game in ordinary Python breaks, and counts; by default that is an error.
    """
    if not policies:
        raise ValueError("cross-play wants one policy or more, found none")
    if learners := [text for text in policies if text in LEARNERS]:
        raise ValueError(f"{learners[0]!r} learns, and cross-play trains nobody")
    names = tuple(names or short_names(policies))
    found: dict[str, Row] = {}
    opponents: dict[int, str] = {}
    with opening(member for text in policies for member in split_list(text)) as checkpoints:
        rosters = rosters_across(env, policies, names)
    for part, roster in enumerate(rosters):
        later = [label for other in rosters[part + 1 :] for label in set(other.labels)]
        before = sum(row.episodes for row in found.values())
        own = np.random.default_rng([seed, part]).integers(2**31) if part else seed
        settings = {"seed": int(own), "greedy": greedy, "match": match, "rows": rows}
        settings["breaks"] = breaks
        settings["progress"] = _shifted(progress, before, before + len(later) * episodes)
        each = evaluate(stage(env, roster), roster, episodes, **settings)
        found |= {row.label: row for row in each}
        opponents |= roster.ids
    opponents = dict(sorted(opponents.items()))
    cells = tuple(tuple(found[f"{mine} | {theirs}"] for theirs in names) for mine in names)
    known = digests(opponents, game_of(env), checkpoints)
    return Crossed(names, cells, opponents, checkpoints, known)


def _shifted(progress: Progress, before: int, rest: int) -> Progress:
    """Progress of a part as progress of the whole, of which ``before`` is done already."""
    return lambda done, total: progress(before + done, total + rest)
