"""``eval --protocol``: a policy by the named protocols, and what it knew of whom it met."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from counterplay import envs
from counterplay.console import Meter, check_names, read, table
from counterplay.evaluate.protocols import MATCHES, SELF, Protocol, protocol_of, scenario_for
from counterplay.evaluate.scenarios import SCENARIOS, newest
from counterplay.grammar import LEARNERS, split_list
from counterplay.opponents.sets import members
from counterplay.play import check_out, keep, set_up

EITHER = "either"
"""Sampled and greedy play of who has but one way."""


@dataclass(frozen=True)
class ByProtocol:
    """Let a policy play by named protocols: sets of opponents, sampled and greedy."""

    policy: tyro.conf.Positional[str] = ""
    """A run folder, or whatever a seat may name, such as a rule; it takes the scenario's seat."""
    protocol: tuple[str, ...] = ()
    """One or more of selfplay-v1, seen-v1, unseen-v1, fewshot-v1, switch-v1."""
    env: str | None = None
    """The game, or a scenario such as race-v2; by default the game of the run."""
    matches: int = MATCHES
    """Matches against each set of opponents, and again for greedy play."""
    match: int | None = None
    """Episodes a match; by default the scenario's, whose references hold for that alone."""
    seed: int = 0
    """Seed of start states and moves; never the games of a training."""
    out: str | None = None
    """Folder of the result and its episodes, with several protocols one folder each inside; by
    default a new one in the run under evaluation, and without a run none."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        if self.matches < 2:
            raise ValueError(f"--matches must be at least 2 for an interval, found {self.matches}")


def main(args: list[str]) -> int:
    """``counterplay eval POLICY --protocol NAME ...``"""
    chosen = _in_scenario(read(ByProtocol, args, "eval"))
    protocols = list(dict.fromkeys(protocol_of(name) for name in chosen.protocol))
    policy = _named(chosen)
    given = split_list(policy)
    game, _ = set_up(chosen, given)
    scenario = scenario_for(game, chosen.match)
    _check_sets(game, protocols)
    from counterplay.evaluate.by_protocol import play
    from counterplay.evaluate.results import opening
    from counterplay.evaluate.rows import EpisodeRows

    folders = _folders(chosen, policy, protocols)
    rows = {name: EpisodeRows() for name in folders}
    size = {"matches": chosen.matches, "seed": chosen.seed}
    meter = Meter(f"eval on {game}", chosen.matches, "matches", quiet=chosen.json)
    with meter, opening(given) as checkpoints:
        told = lambda done, total: meter.update(done, total=total)
        found = play(protocols, scenario, policy, **size, progress=told, rows=rows)
    for one in found:
        about = {"policies": [policy], "given": [policy], "matches": chosen.matches}
        one |= about | {"seed": chosen.seed, "checkpoints": checkpoints, "saved": None}
        if one["protocol"] in folders:
            folder, name = folders[one["protocol"]], one["protocol"]
            one["saved"] = keep(folder, "eval", args, {0: policy}, dict(one), rows[name])
    if chosen.json:
        print(json.dumps({"protocols": found}))
        return 0
    for one in found:
        show(one)
        if one["saved"]:
            print(f"saved in {one['saved']}")
    return 0


def _named(chosen: ByProtocol) -> str:
    """The policy as a seat names it; refuses before JAX is loaded what cannot play."""
    check_out(chosen.out)
    policy = chosen.policy
    if not policy:
        raise ValueError("who plays? counterplay eval RUN --protocol seen-v1, or a policy's name")
    if Path(policy, "config.json").is_file():
        return f"run:{policy}"
    if policy in LEARNERS:
        raise ValueError(f"{policy} learns, and eval does not train: name a rule or run:FOLDER")
    if chosen.env is None and not policy.startswith("run:"):
        raise ValueError(f"{policy} is no run folder: say which game with --env, as --env race")
    if chosen.env is not None:
        check_names(chosen.env, (), (policy,))
    return policy


def _in_scenario(chosen: ByProtocol) -> ByProtocol:
    """The same with a game, where a scenario is named in its place."""
    if chosen.env not in SCENARIOS:
        return chosen
    scenario = SCENARIOS[chosen.env]
    if chosen.match not in (None, scenario.match):
        raise ValueError(
            f"{chosen.env} has matches of {scenario.match} episodes, found --match {chosen.match}: "
            f"leave it away, or name the game, --env {scenario.game}"
        )
    return replace(chosen, env=scenario.game, match=scenario.match)


def _check_sets(game: str, protocols: list[Protocol]) -> None:
    """ValueError where the game lacks a set that a protocol wants."""
    found = envs.look_up(game)
    for protocol in protocols:
        for name in protocol.sets:
            if name == SELF:
                continue
            try:
                members(found[0] if found else game, name)
            except ValueError as error:
                raise ValueError(f"{protocol.name} cannot be played: {error}") from None


def _folders(chosen: ByProtocol, policy: str, protocols: list[Protocol]) -> dict[str, Path]:
    """Where the result of each protocol goes; nowhere without a run and --out."""
    from counterplay.runs import split_run
    from counterplay.runs.folder import stamp

    names = [protocol.name for protocol in protocols]
    if chosen.out is not None:
        out = Path(chosen.out)
        where = {name: out / name if len(names) > 1 else out for name in names}
    elif policy.startswith("run:"):
        above, now = split_run(policy.removeprefix("run:")).folder / "evaluations", stamp()
        where = {name: above / f"{now}-{name}" for name in names}
    else:
        return {}
    for folder in where.values():
        check_out(str(folder))
    return where


def show(found: dict[str, Any]) -> None:
    """Three tables: returns by set, by opponent, and what is known of the opponent model."""
    from counterplay.evaluate.marks import meanings

    matches = f" in matches of {found['match']}" if found["match"] > 1 else ""
    scenario = found["scenario"] or "no scenario"
    plays = plays_of(found["plays"])
    title = f"{found['protocol']} on {found['env']} ({scenario}){matches}, {found['policies'][0]}"
    sets = [(s, way, x) for way, p in plays.items() for s, x in p["sets"].items()]
    body = [
        (s, way, _pm(x), _text(x["worst_decile"]), _text(x["score"]), _text(x["share"]))
        for s, way, x in sets
    ]
    head = ("set", "play", "return ± 95%", "worst decile", "adaptation", "share of oracle")
    table(title, head, body)
    for line in meanings(x.get("marks", "") for _, _, x in sets):
        print(line)
    for why in dict.fromkeys(x["why"] for _, _, x in sets if x["why"]):
        print(f"no adaptation score: {why}")
    if (later := newest(found["scenario"])) and any(x["score"] is None for _, _, x in sets):
        print(f"the latest version of this scenario is {later.name}: --env {later.name}")
    lines = [(o["name"], s, w, _pm(o), o["matches"]) for s, w, x in sets for o in x["opponents"]]
    table("return by opponent", ("opponent", "set", "play", "return ± 95%", "matches"), lines)
    models = [(s, w, x.get("model", p)) for w, p in plays.items() for s, x in p["sets"].items()]
    rows = [row for s, way, model in models for row in _model_rows(s, way, model)]
    if rows:
        table("the opponent model", ("measure", "set", "play", "model", "exact filter"), rows)
    for why in dict.fromkeys(text for *_, model in models for text in model["why"].values()):
        print(f"not told: {why}")


def plays_of(plays: dict[str, Any]) -> dict[str, Any]:
    """One of the ways to play where all were alike to the last digit, as those of a rule are."""
    first, *others = plays.values()
    return {EITHER: first} if others and all(other == first for other in others) else plays


def _model_rows(name: str, way: str, model: dict[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the model's table, beside the exact filter where it has the same."""
    rows: list[tuple[str, ...]] = []

    def add(measure: str, mine: Any, exact: Any) -> None:
        if mine is not None or exact is not None:
            rows.append((measure, name, way, _text(mine), _text(exact)))

    both = ("model", "exact filter")
    if model["next_move"]:
        total = [x for x in model["next_move"]["lines"] if x["opponent"] is None]
        by = {x["predictor"]: x for x in total}
        add("excess NLL of the next move, nats", model["next_move"]["excess"], None)
        for key, title in (("nll", "NLL of the next move, nats"), ("accuracy", "its accuracy")):
            add(title, *(by.get(who, {}).get(key) for who in both))
    for what in ("types", "goals"):
        told = [(model[what] or {}).get(who) or {} for who in both]
        for key, title in (("nll", "NLL, nats"), ("top1", "top-1")):
            add(f"{what}: {title}", *(one.get(key) for one in told))
        known = [one.get("identified") or {} for one in told]
        add(f"{what}: moves to identify, median", *(one.get("median_moves") for one in known))
    for what, whose in (("types", both[1]), ("goals", f"{both[1]}, goals")):
        bins = [model["calibration"].get(who) or {} for who in (what, whose)]
        add(f"{what}: calibration error", *(one.get("ece") for one in bins))
    groups = [(model["grouping"] or {}).get(who) or {} for who in both]
    add("groups: NMI", *(one.get("nmi") for one in groups))
    switch = model["switch"] or {}
    for key, title in (("median", "delay, median"), ("missed", "missed")):
        pair = [(switch.get(who) or {}).get(key) for who in ("types", "exact filter")]
        add(f"switches: {title}, by types", *pair)
        pair = [(switch.get(w) or {}).get(key) for w in ("surprise", "exact filter, surprise")]
        add(f"switches: {title}, by surprise", *pair)
    for key, title in (("model", "hit ratio"), ("lift", "lift over the best cheap guess")):
        add(f"subgoals: {title}", (model.get("subgoals") or {}).get(key), None)
    return rows


def _pm(x: dict[str, Any]) -> str:
    """A mean and half its interval."""
    if x["mean"] is None or x["low"] is None:
        return _text(x["mean"])
    return f"{x['mean']:.3f} ± {(x['high'] - x['low']) / 2:.3f}"


def _text(x: Any) -> str:
    """A number, or one with its limits; "-" where there is none."""
    if x is None:
        return "-"
    if isinstance(x, dict):
        limits = "" if x["low"] is None else f" [{x['low']:.3f}, {x['high']:.3f}]"
        return f"{x['estimate']:.3f}{limits}"
    return f"{x:.3f}"
