"""Plays protocols: returns per set and opponent, and what was thought of whom.

``B`` matches, ``R`` episodes of a match, ``T`` slots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from counterplay import envs, opponents
from counterplay.evaluate import published
from counterplay.evaluate.adaptation import LEAST_HEADROOM
from counterplay.evaluate.beside import informed
from counterplay.evaluate.curves import adaptation_curve
from counterplay.evaluate.foreseeing import came_true
from counterplay.evaluate.marks import by_label
from counterplay.evaluate.opponent_model import measures
from counterplay.evaluate.others import Known, number, over_matches, plain
from counterplay.evaluate.own_types import own_types
from counterplay.evaluate.players import Player, named, renumbered
from counterplay.evaluate.profiles import lowest_decile
from counterplay.evaluate.protocols import MATCHES, PLAYS, SELF, Protocol
from counterplay.evaluate.returns import Progress
from counterplay.evaluate.rows import Ended, EpisodeRows, turns
from counterplay.evaluate.scenarios import Scenario
from counterplay.evaluate.watching import Watching, unread, watch
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.sets import members
from counterplay.opponents.switching import modes_of
from counterplay.pools import roster_of
from counterplay.seats import Roster
from counterplay.types import NO_TYPE, Env


class Met(NamedTuple):
    """A set of opponents, met in one way to play."""

    returns: dict[str, Any]
    curve: dict[str, Any]
    model: dict[str, Any]


def play(
    protocols: Sequence[Protocol],
    scenario: Scenario,
    policy: str,
    *,
    matches: int = MATCHES,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
    rows: Mapping[str, EpisodeRows] | None = None,
) -> list[dict[str, Any]]:
    """What each protocol found, as JSON has it, in at least so many matches a set and way to play.

    ``policy`` is whatever a seat may name; it takes the scenario's seat. A set that several
    protocols want is met once. ``rows``, by name of the protocol, take down every episode.
    ValueError for a game that lacks a set.
    """
    env = envs.make(scenario.game)
    wanted = list(dict.fromkeys(name for protocol in protocols for name in protocol.sets))
    for name in wanted:
        if name != SELF:
            members(envs.game_of(env), name)  # refuses before anything is played
    found: dict[tuple[str, str], Met] = {}
    numbers: dict[Player, int] = {}
    each = [(way, name) for way in PLAYS for name in wanted]
    for k, (way, name) in enumerate(each):
        told = _part(progress, k, len(each), matches)
        into = [rows[p.name] for p in protocols if name in p.sets] if rows else []
        size = matches, seed, told, into, numbers
        found[way, name] = meet(env, scenario, policy, name, way, *size)
    game = envs.game_of(env)
    return [_result(p, scenario, found) | named(numbers, p.sets, game) for p in protocols]


def _part(progress: Progress, k: int, parts: int, matches: int) -> Progress:
    """Progress of part k as progress of the whole."""
    return lambda done, total: progress(k * matches + done * matches // total, parts * matches)


def meet(
    env: Env,
    scenario: Scenario,
    policy: str,
    name: str,
    way: str,
    matches: int,
    seed: int,
    progress: Progress,
    into: Sequence[EpisodeRows],
    numbers: dict[Player, int] | None = None,
) -> Met:
    """One set in one way to play; whoever has no number yet for the rows gets the next one."""
    them = policy if name == SELF else f"pool:{name}"
    seats = {i: policy if i == scenario.seat else them for i in range(env.num_seats)}
    roster = roster_of(env, seats, f"{name}, {way}")
    roster = replace(roster, focal=(scenario.seat,) * len(roster.tables))
    rules, known = (None, Known((), {})) if name == SELF else known_to(env, scenario, roster)
    plain = all(isinstance(kind.policy, Rule | Mixture) for kind in roster.kinds)
    greedy = way == "greedy" and not plain  # rules play alike, so one program serves for both
    drift = drift_of(env, scenario) if name.startswith("switch") else 0.0
    roster, rules = informed(env, scenario, roster, scenario.seat, rules, drift)
    size = {"known": rules, "progress": progress}
    w = watch(env, roster, matches, scenario.match, seed, greedy, **size)
    w = unread(w) if rules is None else w
    numbers = {} if numbers is None else numbers
    told_apart = renumbered(numbers, roster, w, scenario.seat, name)
    for rows in into:
        note(rows, roster, told_apart, scenario.match)
    model = measures(w, known, roster.ids, drift=drift, meant=own_types(policy, env, known))
    model["subgoals"] = came_true(w, getattr(env, "cells", None), model["why"])
    by_episode = returns_of(w, scenario.match)
    kinds = scenario.alike(1 if name == SELF else len(members(envs.game_of(env), name)))
    told = _returns(scenario, name, by_episode.mean(1), w, roster.ids, kinds)
    if marks := by_label(roster)[f"{name}, {way}"]:
        told["marks"] = marks
    return Met(told, curves(w, by_episode), model)


def drift_of(env: Env, scenario: Scenario) -> float:
    """The chance of a change between two slots that inference expects where others switch."""
    return 1 / (scenario.match * env.horizon)


def known_to(env: Env, scenario: Scenario, roster: Roster) -> tuple[Mixture | None, Known]:
    """The rules that inference knows, those of the training set, and who of a roster they are.

    None where a game has no inference.
    """
    if not scenario.reader:
        return None, Known((), {})
    game = envs.game_of(env)
    names = members(game, "train")
    place = {opponents.canonical(text, game): i for i, text in enumerate(names)}
    rules = {rule for known in (None, game) for rule in opponents.names(known)}

    def types(text: str) -> tuple[int, ...]:
        each = [part for part in modes_of(text) if part.partition(":")[0].strip() in rules]
        return tuple(place.get(opponents.canonical(part, game), NO_TYPE) for part in each)

    of = {i: types(text) or (NO_TYPE,) for i, text in roster.ids.items()}
    return Mixture(tuple(opponents.make(text, env) for text in names)), Known(names, of)


def returns_of(w: Watching, match: int) -> Float[np.ndarray, "B R"]:
    """Return of every episode to the seat under evaluation."""
    at = tuple(np.argwhere(w.ended).T)
    out = np.full((len(w.valid), match), np.nan)
    out[at[0], w.episode[at]] = w.returns[..., 0][at]
    return out


def curves(w: Watching, by_episode: Float[np.ndarray, "B R"]) -> dict[str, Any]:
    """Mean return by the episode of a match, and reward by the slot since first contact."""
    reward = np.where(w.valid, w.reward[..., 0], np.nan)
    each = {"episodes": (by_episode, 1), "slots": (reward, 0)}
    return {name: _points(x, first) for name, (x, first) in each.items()}


def _points(x: np.ndarray, first: int) -> list[dict[str, Any]]:
    """Of a curve over matches, with Student's 95%; episodes count from 1, slots from 0."""
    line = adaptation_curve(x)
    at = zip(line.estimate, line.low, line.high, line.count, strict=True)
    return [
        {"x": i, "mean": number(mean), "low": number(low), "high": number(high), "matches": int(n)}
        for i, (mean, low, high, n) in enumerate(at, first)
    ]


def _returns(
    scenario: Scenario,
    name: str,
    returns: np.ndarray,
    w: Watching,
    ids: dict[int, str],
    kinds: int | None,
) -> dict[str, Any]:
    """An episode's return: in all matches, the worst of them, and against every opponent."""
    met = w.opponent_id[:, 0, 1:]
    lines = []
    for i in np.unique(met).tolist():
        here = (met == i).any(1)
        lines.append({"name": ids.get(i, str(i))} | _mean(returns[here]))
    try:  # as the references are measured
        kept = returns if kinds is None else turns(returns, met, kinds)
        score, share, why = scored(scenario, name, kept)
    except ValueError as error:
        score, share, why = None, None, str(error)
    told = {"score": score, "share": share, "why": why, "opponents": lines}
    told["references"] = published.digest(scenario) if score or share else None
    return _mean(returns) | {"worst_decile": number(lowest_decile(returns))} | told


def _mean(returns: np.ndarray) -> dict[str, Any]:
    found = over_matches(returns, np.arange(len(returns))) or {}
    return {"mean": found.pop("estimate", None), **found}


def scored(
    scenario: Scenario, name: str, returns: Float[np.ndarray, " B"]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, str | None]:
    """Adaptation score and share of oracle; None, and why, where there is nothing to compare."""
    if not scenario.name:
        return None, None, f"{scenario.game} as played here is no scenario, so it has no references"
    try:
        between = published.references(scenario, name)
    except ValueError as error:
        return None, None, str(error)
    found = between.score(returns[None])
    score = None if found.score is None else plain(found.score)
    share = None if found.share is None else plain(found.share)
    return score, share, None if score else _why(between, found.headroom)


def _why(between: published.References, headroom: float) -> str:
    """What a scenario lacks in which no score is told."""
    if between.weak:
        return "its published blind player is known to be too weak"
    if np.isnan(headroom):
        return "its published oracle earns no more than random moves there"
    if between.blind.mean() < between.random.mean():
        return "blind earns less than random moves there, so that these would score"
    return f"filter - blind is {headroom:z.0%} of oracle - random, below {LEAST_HEADROOM:.0%}"


def note(rows: EpisodeRows, roster: Roster, w: Watching, match: int) -> None:
    """Writes every episode down, seats in the order of the game."""
    rows.open(roster, len(w.valid), match)
    n = w.returns.shape[-1]
    back = (np.arange(n) - w.seat[:, None]) % n
    order: Any = lambda x: np.take_along_axis(x, back[:, None], 2)
    returns, ids = order(w.returns), order(w.opponent_id)
    number: Any = np.where(w.ended, w.episode + 1, 0)
    length: Any = w.time + 1
    rows.add(Ended(number, length, returns, ids))


def _result(
    protocol: Protocol, scenario: Scenario, found: dict[tuple[str, str], Met]
) -> dict[str, Any]:
    """The dictionary that is saved and drawn."""
    plays = {way: _play(protocol, {s: found[way, s] for s in protocol.sets}) for way in PLAYS}
    about = {"scenario": scenario.name or None, "env": scenario.game, "match": scenario.match}
    return {"protocol": protocol.name} | about | {"plays": plays}


def _play(protocol: Protocol, met: dict[str, Met]) -> dict[str, Any]:
    """Measures of the first set stand in front, those of the others with their returns."""
    first, *rest = protocol.sets
    sets = {first: met[first].returns}
    sets |= {s: met[s].returns | {"curve": met[s].curve, "model": met[s].model} for s in rest}
    return {"sets": sets, "of": first, "curve": met[first].curve, **met[first].model}
