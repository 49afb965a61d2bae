"""Who sits where: tables of seats, lanes dealt to tables, policies grouped by kind."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray


@dataclass(frozen=True, eq=False)
class Kind:
    """One or several policies of one shape that are called at once.

    All rules of a comma list are one member, a mixture computed all and selected. Frozen runs of
    one network are a bank of several members, evaluated as one batched matrix product.
    """

    name: str
    members: int = 1
    learner: bool = False
    policy: Any = None
    """Array leaves [members, ...]; None where parameters come from training: of a learner, and of
    its earlier selves."""
    first_id: int = 0
    """opponent_id of the first of them; members of a bank or mixture carry their own offset."""
    names: tuple[str, ...] = ()
    """Of each member, or of each rule of a mixture; by default they are all called ``name``."""

    @property
    def ids(self) -> dict[int, str]:
        """opponent_id -> name, of everyone here."""
        names = self.names or (self.name,) * self.members
        banked = isinstance(self.policy, Numbered)
        offsets = np.asarray(self.policy.number).tolist() if banked else range(len(names))
        return {self.first_id + i: name for i, name in zip(offsets, names, strict=True)}


class Chair(NamedTuple):
    """A member of a kind, by index."""

    kind: int
    member: int


@dataclass(frozen=True, eq=False)
class Roster:
    """All seatings of a run: every table, one chair a seat, gets the same number of lanes."""

    kinds: tuple[Kind, ...]
    tables: tuple[tuple[Chair, ...], ...]
    labels: tuple[str, ...] = ()
    """What a table is evaluated as, one a table: tables of one label are reported together."""
    focal: tuple[int, ...] = ()
    """The seat under evaluation, one a table; empty where none is singled out."""

    @property
    def num_seats(self) -> int:
        return len(self.tables[0])

    @property
    def others(self) -> tuple[Any, ...]:
        """The policies that no training changes, in the order of their kinds."""
        given = (kind for kind in self.kinds if not kind.learner)
        return tuple(kind.policy for kind in given if kind.policy is not None)

    @property
    def ids(self) -> dict[int, str]:
        """opponent_id -> the name of a policy, of everyone who sits somewhere."""
        return {i: name for kind in self.kinds for i, name in kind.ids.items()}

    def lanes_for(self, wanted: int, shards: int = 1) -> int:
        """The smallest number of lanes, at least ``wanted``, that all tables can share."""
        step = len(self.tables) * shards
        return -(-wanted // step) * step

    def seating(self, lanes: int) -> "Seating":
        """Deals ``lanes`` lanes to the tables in blocks."""
        if lanes % len(self.tables):
            raise ValueError(
                f"seating: {lanes} lanes cannot be shared by {len(self.tables)} tables; "
                f"use {self.lanes_for(lanes)}"
            )
        each = lanes // len(self.tables)
        taken: list[list[list[int]]] = [[[] for _ in range(k.members)] for k in self.kinds]
        for block, table in enumerate(self.tables):
            for seat, chair in enumerate(table):
                lane = np.arange(block * each, (block + 1) * each)
                taken[chair.kind][chair.member].extend(lane * self.num_seats + seat)
        for kind, members in zip(self.kinds, taken, strict=True):
            if len({len(places) for places in members}) > 1:
                raise ValueError(f"seating: the members of {kind.name} sit at unequal places")
        places = tuple(np.sort(np.array(members), axis=1) for members in taken)
        return Seating(lanes, self.num_seats, self.kinds, places)


@dataclass(frozen=True, eq=False)
class Seating:
    """Every place of every lane, taken exactly once. A place is lane * N + seat."""

    lanes: int
    num_seats: int
    kinds: tuple[Kind, ...]
    places: tuple[np.ndarray, ...]
    """int [K, P], one entry a kind."""

    def __post_init__(self):
        taken = np.concatenate([places.ravel() for places in self.places])
        if not np.array_equal(np.sort(taken), np.arange(self.lanes * self.num_seats)):
            raise ValueError(
                f"seating: {self.lanes} lanes of {self.num_seats} seats need every place once, "
                f"found {len(taken)} places taken, {len(np.unique(taken))} of them distinct"
            )

    @cached_property
    def _order(self) -> np.ndarray:
        return np.argsort(np.concatenate([places.ravel() for places in self.places]))

    def take(self, tree: Any, kind: int) -> Any:
        """Leaves [L, N, ...] -> [K, P, ...] at the places of one kind."""
        places, size = self.places[kind], self.lanes * self.num_seats
        everywhere = np.array_equal(places.ravel(), np.arange(size))

        def leaf(x):
            flat = x.reshape(size, *x.shape[2:])
            return flat.reshape(*places.shape, *x.shape[2:]) if everywhere else flat[places]

        return jax.tree.map(leaf, tree)

    def put(self, parts: list) -> Any:
        """The inverse of ``take`` over all kinds: arrays [K, P, ...] -> [L, N, ...]."""
        spread = lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])  # -1 fails if empty
        flat = jnp.concatenate([spread(part) for part in parts])
        if not np.array_equal(self._order, np.arange(len(self._order))):
            flat = flat[self._order]
        return flat.reshape(self.lanes, self.num_seats, *flat.shape[1:])

    def names_at(self, seat: int) -> list[str]:
        """The kinds of policy that sit at a seat in some lane."""
        here = [bool((p % self.num_seats == seat).any()) for p in self.places]
        return [kind.name for kind, sits in zip(self.kinds, here, strict=True) if sits]

    def ids(self, members: list) -> Any:
        """opponent_id [L, N] from the member of a mixture at every place, arrays [K, P]."""
        own = [np.arange(k.members)[:, None] * k.learner for k in self.kinds]
        firsts = [k.first_id + o for k, o in zip(self.kinds, own, strict=True)]
        return self.put([f + m for f, m in zip(firsts, members, strict=True)]).astype(jnp.int16)


TOLD = ("log_probs", "intent", "belief", "types", "predict", "decode", "hypotheses")
TOLD += ("type_id", "mode", "foresee", "intents")
"""What a policy may have beside ``begin`` and ``act``; see ``types.Policy``."""


def needs_state(policy: Any) -> bool:
    """Whether a policy wants the true simulator in its views, or what it holds as ``policy`` does.

    See ``types.Policy``.
    """
    if getattr(policy, "needs_state", False):
        return True
    inner = getattr(policy, "__dict__", {}).get("policy")
    return inner is not None and needs_state(inner)


class Numbered(eqx.Module):
    """A frozen policy in a bank, with the number that follows it wherever it is dealt."""

    policy: Any
    number: Int[Array, ""]

    def begin(self, key, memory):
        return self.policy.begin(key, memory)

    def act(self, key, memory, view, greedy: bool):
        return self.policy.act(key, memory, view, greedy)

    def member(self, memory) -> Int[Array, ""]:
        return self.number

    def __getattr__(self, name: str) -> Any:
        """What metrics may ask of the policy, if it can tell."""
        if name in TOLD and "policy" in self.__dict__:
            return getattr(self.policy, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")


def bank(policies: list[Any]) -> Numbered:
    """Policies of one shape as one kind: array leaves get a leading axis [K]."""
    numbered = [Numbered(policy, jnp.int32(i)) for i, policy in enumerate(policies)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *numbered)


def merged(roster: Roster) -> Roster:
    """The same tables, with all networks of one shape that sit equally often in one bank.

    For evaluation: to deal such a bank anew would seat policies where others were asked for.
    Everybody keeps their opponent_id; who sits nowhere is left out.
    """
    places = Counter(chair for table in roster.tables for chair in table)
    groups: dict[Any, list[Chair]] = {}
    for chair in sorted(places):
        policy = roster.kinds[chair.kind].policy
        alike = (_shape(policy), places[chair]) if isinstance(policy, Numbered) else chair.kind
        groups.setdefault(alike, []).append(chair)
    moved = {
        chair: Chair(kind, member)
        for kind, chairs in enumerate(groups.values())
        for member, chair in enumerate(chairs)
    }
    kinds = tuple(_joined(roster.kinds, chairs) for chairs in groups.values())
    tables = tuple(tuple(moved[chair] for chair in table) for table in roster.tables)
    return Roster(kinds, tables, roster.labels, roster.focal)


def _shape(policy: Numbered) -> tuple[Any, ...]:
    """Equal for banks whose members could stand in one."""
    leaves, structure = jax.tree.flatten(policy)
    return str(structure), *((x.shape[1:], str(x.dtype)) for x in leaves)


def _joined(kinds: tuple[Kind, ...], chairs: list[Chair]) -> Kind:
    """One kind of these members, whose numbers are then their whole opponent_id."""
    old = [kinds[chair.kind] for chair in chairs]
    if not isinstance(old[0].policy, Numbered):
        return old[0]
    each = [
        Numbered(
            jax.tree.map(lambda x, m=chair.member: np.asarray(x)[m], kind.policy.policy),
            kind.first_id + kind.policy.number[chair.member],
        )
        for kind, chair in zip(old, chairs, strict=True)
    ]
    names = tuple(kind.ids[int(one.number)] for kind, one in zip(old, each, strict=True))
    policy = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    return Kind(",".join(names), len(chairs), policy=policy, names=names)


def shuffle(policies: tuple[Any, ...], key: PRNGKeyArray) -> tuple[Any, ...]:
    """Deals the members of every bank anew, by its leading axis: nothing recompiles."""

    def deal(policy, key):
        leaves = jax.tree.leaves(policy)
        if not isinstance(policy, Numbered) or not leaves:
            return policy
        order = jr.permutation(key, leaves[0].shape[0])
        return jax.tree.map(lambda x: x[order], policy)

    keys = jr.split(key, max(len(policies), 1))
    return tuple(deal(policy, k) for policy, k in zip(policies, keys, strict=False))
