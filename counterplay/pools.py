"""Policies of the names that ``grammar`` reads, and who of them sits where."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from itertools import product
from typing import Any

import jax
import numpy as np

from counterplay import opponents
from counterplay.envs import game_of
from counterplay.envs.hosting import host_native
from counterplay.grammar import LEARNERS, alike, set_of, split_list
from counterplay.grammar import read_seats as read_seats
from counterplay.names import did_you_mean
from counterplay.opponents.rule import Mixture, Rule
from counterplay.opponents.sets import members
from counterplay.planning.naming import planned, read_planner, run_of
from counterplay.rollout_host import HostSeat
from counterplay.runs import differs_by_seat, load_policy, read_config, split_run
from counterplay.seats import Chair, Kind, Roster, bank, merged, needs_state
from counterplay.types import Env
from counterplay.views import view_shapes

MOST_TABLES = 64
"""More combinations than this are not played out in full but dealt in rotation."""
LONGEST_ROTATION = 256
"""Tables of one label; more would take more lanes than there are."""
TABLES_AT_ONCE = 2048
"""Of one cross-play program; every table takes a lane of every core."""

Cell = list[tuple[tuple[Chair, ...], int]]
"""The tables of one label, each with the seat under evaluation."""


@dataclass
class _Deal:
    """Kinds met so far; the same text always means the same kind."""

    env: Env
    kinds: list[Kind] = field(default_factory=list)
    index: dict[Any, int] = field(default_factory=dict)
    numbers: int = 0
    policies: dict[tuple[str, int], Any] = field(default_factory=dict)
    chairs: dict[tuple[str, int], list[Chair]] = field(default_factory=dict)

    def kind(self, key: Any, count: int, **fields: Any) -> int:
        if key not in self.index:
            self.index[key] = len(self.kinds)
            self.kinds.append(Kind(**fields, first_id=self.numbers))
            self.numbers += count
        return self.index[key]

    def options(self, text: str, seat: int, own_seats: list[int]) -> list[Chair]:
        """The chairs one seat may hold, each as often as its share of lanes."""
        if text == "self":
            return [Chair(self.kind("self", 1, name="self", learner=True), 0)]
        if text == "own":
            n = len(own_seats)
            kind = self.kind("own", n, name="own", members=n, learner=True)
            return [Chair(kind, own_seats.index(seat))]
        if (text, seat) not in self.chairs:
            self.chairs[text, seat] = self._several(text, seat)
        return self.chairs[text, seat]

    def _several(self, text: str, seat: int) -> list[Chair]:
        rules: list[tuple[str, Any]] = []
        banks: dict[Any, list[tuple[str, Any]]] = {}
        for name in named(text, self.env):
            if name in LEARNERS:
                raise ValueError(f"{name!r} learns and cannot share a seat: found {text!r}")
            policy = self._found(name, seat)
            if isinstance(policy, Rule):
                rules.append((name, policy))
            else:
                shape = name if isinstance(policy, HostSeat) else _shape(policy)
                banks.setdefault(shape, []).append((name, policy))
        chairs = [c for key, members in banks.items() for c in self._bank(key, members)]
        return chairs + self._mixture(rules) * (len(rules) if chairs else 1)

    def _found(self, name: str, seat: int) -> Any:
        """The policy of a name; some runs and bots have another one for another seat."""
        run = run_of(name)
        own = differs_by_seat(run) if run else opponents.differs_by_seat(name, game_of(self.env))
        where = name, seat if own else 0
        if where not in self.policies:
            self.policies[where] = find(name, self.env, seat)
        return self.policies[where]

    def _bank(self, key: Any, members: list[tuple[str, Any]]) -> list[Chair]:
        names = tuple(name for name, _ in members)
        policies, n = [policy for _, policy in members], len(members)
        if isinstance(policies[0], HostSeat):
            return [Chair(self.kind(names, 1, name=names[0], policy=policies[0]), 0)] * n
        fields = {"name": ",".join(names), "names": names, "members": n, "policy": bank(policies)}
        # a run may have another network for another seat
        content = tuple(np.asarray(x).tobytes() for x in jax.tree.leaves(policies))
        kind = self.kind((key, names, content), n, **fields)
        return [Chair(kind, member) for member in range(n)]

    def _mixture(self, rules: list[tuple[str, Any]]) -> list[Chair]:
        if not rules:
            return []
        names = tuple(name for name, _ in rules)
        policy = rules[0][1] if len(rules) == 1 else Mixture(tuple(rule for _, rule in rules))
        fields = {"name": ",".join(names), "names": names, "policy": policy}
        return [Chair(self.kind((names, _shape(policy)), len(rules), **fields), 0)]

    def tables(self, seats: dict[int, str]) -> Iterator[tuple[Chair, ...]]:
        """Every combination of chairs, or where those are too many, a rotation through them."""
        for one in alike(seats, partial(named, env=self.env)):
            yield from self._tables(one)

    def _tables(self, seats: dict[int, str]) -> Iterator[tuple[Chair, ...]]:
        own = [seat for seat, text in sorted(seats.items()) if text == "own"]
        options = [self.options(text, seat, own) for seat, text in sorted(seats.items())]
        if math.prod(map(len, options)) <= MOST_TABLES:
            yield from product(*options)
            return
        for turn in range(_rotation(*map(len, options))):
            yield tuple(chairs[(turn + seat) % len(chairs)] for seat, chairs in enumerate(options))

    def cell(self, me: str, other: str) -> Cell:
        """Tables with ``me`` in each seat in turn and ``other`` in all the rest, and where."""
        n = self.env.num_seats
        return [
            (table, seat)
            for seat in range(n)
            for table in self.tables({s: me if s == seat else other for s in range(n)})
        ]


def _rotation(*sizes: int) -> int:
    """Tables after which lists of these sizes have all come round; refuses too many."""
    turns = math.lcm(*sizes)
    if turns > LONGEST_ROTATION:
        raise ValueError(
            f"these lists would take turns at {turns} tables, and {LONGEST_ROTATION} are the most: "
            "make them as long as each other, or shorter"
        )
    return turns


def _shape(policy: Any) -> str:
    """Equal for policies that can stand in one bank."""
    leaves, structure = jax.tree.flatten(policy)
    return f"{structure} {[(x.shape, str(x.dtype)) for x in leaves]}"


def named(text: str, env: Env) -> list[str]:
    """The policies of a comma list, with the sets of this game written out."""
    each = ((name, set_of(name)) for name in split_list(text))
    game = game_of(env)
    return [m for name, known in each for m in (members(game, known) if known else [name])]


def find(text: str, env: Env, seat: int) -> Any:
    """The policy that one text names, for one seat of this game."""
    if set_of(text):
        return Mixture(tuple(opponents.make(m, env) for m in named(text, env)))
    if text.startswith("run:"):
        return load_policy(text.removeprefix("run:"), env, seat)
    if plans := planned(text):
        agent, run = find(plans.run, env, seat), split_run(plans.run.removeprefix("run:"))
        return read_planner(plans.planner).seated(agent, env, read_config(run.folder))
    if ".py:" in text:
        policy = opponents.load_file(text, env)
        if len(signature(policy.act).parameters) == 1:  # as in ordinary Python: the view alone
            return HostSeat(partial(opponents.load_file, text, env))
        rehearse(policy, env, text)
        return policy
    if opponents.is_bot(text, game_of(env)):
        made = opponents.make_bot(text, env, seat)  # what is wrong with it is told before play
        return made if isinstance(made, Rule) else HostSeat(partial(opponents.make_bot, text, env))
    name = text.partition(":")[0]
    if name not in opponents.names(game_of(env)) and (guess := did_you_mean(name, LEARNERS)):
        raise ValueError(f"unknown policy {text!r}{guess}")
    return opponents.make(text, env)


def rehearse(policy: Any, env: Env, text: str) -> None:
    """Traces one move of an outside policy, so that a mistake in it is told as its own."""

    def move(key, view):
        first_key, again_key, act_key = jax.random.split(key, 3)
        memory = policy.begin(again_key, policy.begin(first_key, None))
        return policy.act(act_key, memory, view, False)

    try:
        seen = view_shapes(env, needs_state(policy))
        action = jax.eval_shape(move, jax.random.key(0), seen).action
    except Exception as error:
        raise ValueError(f"{text} cannot play {env}: {type(error).__name__}: {error}") from error
    if action.shape != () or not np.issubdtype(action.dtype, np.integer):
        found = f"{action.dtype}{list(action.shape)}"
        raise ValueError(f"{text}: act must give one whole number, found {found}")


def roster_of(env: Env, seats: dict[int, str], label: str = "") -> Roster:
    """A roster with fixed seats."""
    deal = _Deal(env)
    tables = tuple(deal.tables(seats))
    return Roster(tuple(deal.kinds), tables, (label,) * len(tables))


def roster_alone(env: Env, names: tuple[str, ...]) -> Roster:
    """Each policy in all seats of tables of its own, labelled by its name; those of one network
    are one bank and called together, a run with several has one member a seat.
    """
    groups: dict[Any, list[tuple[int, list[Any]]]] = {}
    for i, name in enumerate(names):
        own = (run := run_of(name)) is not None and differs_by_seat(run)
        policies = [find(name, env, seat) for seat in range(env.num_seats if own else 1)]
        plain = isinstance(policies[0], HostSeat | Rule)
        key = name if plain else (_shape(policies[0]), own)
        groups.setdefault(key, []).append((i, policies))
    kinds: list[Kind] = []
    tables: dict[int, tuple[Chair, ...]] = {}
    for index, (key, group) in enumerate(groups.items()):
        members = [policy for _, policies in group for policy in policies]
        policy = members[0] if isinstance(key, str) else bank(members)
        first_id = sum(kind.members for kind in kinds)
        each = tuple(names[i] for i, policies in group for _ in policies)
        kinds.append(Kind(each[0], len(members), False, policy, first_id, each))
        member = 0
        for i, policies in group:
            chairs = [Chair(index, member + k) for k in range(len(policies))]
            tables[i] = tuple(chairs * (env.num_seats // len(chairs)))
            member += len(chairs)
    return Roster(tuple(kinds), tuple(x for _, x in sorted(tables.items())), names)


def roster_against(env: Env, focal: str | tuple[str, ...], others: tuple[str, ...]) -> Roster:
    """``focal`` in each seat in turn, each of ``others`` filling every other seat in turn.

    Tables are labelled by the other; with several focal policies by ``focal | other``.
    """
    deal = _Deal(env)
    focals = (focal,) if isinstance(focal, str) else focal
    found: dict[str, Cell] = {}
    for me, other in product(focals, others):
        label = other if isinstance(focal, str) else f"{me} | {other}"
        found[label] = deal.cell(me, other)
    return _labelled(deal, found)


def rosters_across(
    env: Env, policies: Sequence[str], names: Sequence[str], most: int = TABLES_AT_ONCE
) -> list[Roster]:
    """Everyone against everyone, labelled ``focal | other`` by ``names``, in one roster if it can.

    Cells of unlike numbers of tables are dealt apart, and so are those with a player in ordinary
    Python, because the rest is faster without; more than ``most`` tables are dealt in parts. All
    rosters number their policies alike.
    """
    deal, groups = _Deal(env), {}
    for (me, mine), (other, theirs) in product(zip(policies, names, strict=True), repeat=2):
        cell = deal.cell(me, other)
        chairs = {chair for table, _ in cell for chair in table}
        slow = any(isinstance(deal.kinds[chair.kind].policy, HostSeat) for chair in chairs)
        alike = groups.setdefault((len(cell), slow and not hasattr(env, "open")), {})
        alike[f"{mine} | {theirs}"] = cell
    return [
        _labelled(deal, dict(part))
        for (size, _), cells in groups.items()
        for part in _parts(list(cells.items()), most // size, len(policies))
    ]


def _parts(items: list[Any], most: int, row: int) -> Iterator[list[Any]]:
    """Cuts a list in equal parts of at most ``most``, where it can in whole rows."""
    size = -(-len(items) // -(-len(items) // max(most, 1)))
    if -(-size // row) * row <= most:
        size = -(-size // row) * row
    yield from (items[i : i + size] for i in range(0, len(items), size))


def _labelled(deal: _Deal, found: dict[str, Cell]) -> Roster:
    """The roster of some cells, with as many tables for each label."""
    sizes = {len(tables) for tables in found.values()}
    share = _rotation(*sizes) if len(sizes) > 1 else max(sizes)
    rows = [
        (table, label, seat)
        for label, tables in found.items()
        for table, seat in tables
        for _ in range(share // len(tables))
    ]
    tables, labels, seats = zip(*rows, strict=True)
    roster = Roster(tuple(deal.kinds), tables, labels, seats)
    return roster if any(kind.learner for kind in deal.kinds) else merged(roster)


def stage(env: Any, roster: Roster) -> Any:
    """The game as this roster can play it: outside JAX where somebody plays in ordinary Python."""
    hosted = any(isinstance(kind.policy, HostSeat) for kind in roster.kinds)
    return host_native(env) if hosted and not hasattr(env, "open") else env
