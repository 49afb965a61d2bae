"""Who sits where: tables of seats, lanes dealt to tables, policies grouped by kind."""

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
    """Array leaves [members, ...]; None for a learner, whose parameters come from training."""
    first_id: int = 0
    """opponent_id of the first of them; members of a bank or mixture carry their own offset."""


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
        """The policies that do not learn, in the order of their kinds."""
        return tuple(kind.policy for kind in self.kinds if not kind.learner)

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
        flat = jnp.concatenate([part.reshape(-1, *part.shape[2:]) for part in parts])
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


def bank(policies: list[Any]) -> Numbered:
    """Policies of one shape as one kind: array leaves get a leading axis [K]."""
    numbered = [Numbered(policy, jnp.int32(i)) for i, policy in enumerate(policies)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *numbered)


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
