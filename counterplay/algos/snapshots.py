"""Frozen earlier selves of a learner: how many of its seats they take, and how they are renewed.

A learner that meets nobody but itself as it is now may forget how to play what it was; older
selves among its opponents make learning steadier (Bansal et al., 2018). Those kept are a ring: the
oldest gives way to the present policy now and then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from counterplay.seats import Chair, Kind, Numbered, Roster, Seating

NAME = "snapshots"
MOST_TABLES = 512
"""Among which lanes are shared out; a share that wants more is refused."""
FINEST = 64
"""Shares are fractions with a denominator of so much at most."""
NEAR = 1e-4
"""How far what was written, as .3333, may be from the fraction that is meant."""


@dataclass(frozen=True)
class SnapshotSettings:
    """Settings of self-play against earlier selves."""

    snapshots: float = 0.0
    """Share of the learner's seats that are frozen earlier selves, exactly; 0 for none."""
    snapshot_count: int = 4
    """Earlier selves that are kept; the oldest gives way to the next."""
    snapshot_every: int = 50
    """Iterations after which the next is taken; until the first, all are the first policy."""

    def check_snapshots(self) -> None:
        """ValueError for the first of these that means nothing."""
        if not 0 <= self.snapshots < 1:
            raise ValueError(f"snapshots must be 0 to below 1, found {self.snapshots}")
        for name in ("snapshot_count", "snapshot_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")


class Snapshots(NamedTuple):
    """What a training carries of its earlier selves."""

    policy: Any
    """One a place of the ring, leaves [K, ...]."""
    played: Int[Array, ""]
    """Iterations."""


def joined(config: Any, roster: Roster) -> Roster:
    """The roster with as many snapshots as the settings ask for; one that has them stays."""
    share = getattr(config, "snapshots", 0)
    if not share or any(is_snapshots(kind) for kind in roster.kinds):
        return roster
    return with_snapshots(roster, share, config.snapshot_count)


def is_snapshots(kind: Kind) -> bool:
    """Whether parameters of a kind that does not learn come from training all the same."""
    return kind.policy is None and not kind.learner


def with_snapshots(roster: Roster, share: float, count: int) -> Roster:
    """Every table several times over, so that in each seat of the learner's, in exactly this share
    of the lanes, one of ``count`` snapshots sits, and at every table somebody learns.

    All tables have the same number of snapshots, or one more. ValueError where that cannot be.
    """
    learner = _learner(roster)
    seats = [[s for s, chair in enumerate(t) if chair.kind == learner] for t in roster.tables]
    several = {len(at) for at in seats}
    if min(several) < 2 or len(several) > 1:
        raise ValueError(
            "--snapshots shares the seats of self between the learner and its earlier selves, so "
            "two seats or more must be self, as many at every table; found "
            f"{' or '.join(map(str, sorted(several)))}"
        )
    (m,), tables = several, len(roster.tables)
    dealt = _share(share, m, count, tables)
    kinds = (*roster.kinds, _kind(roster, count))
    rows = [row for t, at in zip(roster.tables, seats, strict=True)
            for row in _variants(t, at, dealt, len(roster.kinds), count)]  # fmt: skip
    labels = tuple(label for label in roster.labels for _ in range(len(rows) // tables))
    return Roster(kinds, tuple(rows), labels)


def _learner(roster: Roster) -> int:
    """Index of the one kind that learns and has one member."""
    learning = [i for i, kind in enumerate(roster.kinds) if kind.learner]
    if len(learning) != 1 or roster.kinds[learning[0]].members != 1:
        found = ", ".join(roster.kinds[i].name for i in learning)
        raise ValueError(
            "--snapshots are earlier selves of one learner that several seats share, self; found "
            f"{found or 'nobody who learns'}"
        )
    return learning[0]


def _kind(roster: Roster, count: int) -> Kind:
    names = tuple(f"snapshot {place}" for place in range(count))
    return Kind(NAME, count, first_id=max(roster.ids) + 1, names=names)


class Dealt(NamedTuple):
    """How often tables come with so many snapshots, and with one more."""

    fewer: int
    plain: int
    more: int

    @property
    def tables(self) -> int:
        return self.plain + self.more


def _dealt(share: Fraction, seats: int, count: int) -> Dealt:
    """The fewest tables for which every seat and every snapshot has its share."""
    mean = share * seats
    fewer, rest = mean.numerator // mean.denominator, mean % 1
    size = lambda n: comb(seats, n) * count if n else 1
    if not rest:
        return Dealt(fewer, size(fewer), 0)
    ratio = size(fewer + 1) * (1 - rest) / rest / size(fewer)
    return Dealt(fewer, ratio.numerator * size(fewer), ratio.denominator * size(fewer + 1))


def _share(share: float, seats: int, count: int, tables: int) -> Dealt:
    """What is dealt for a share; ValueError with those nearest to it where that is impossible."""
    most, nearest = Fraction(seats - 1, seats), Fraction(share).limit_denominator(FINEST)
    fits = lambda p: 0 < p <= most and _dealt(p, seats, count).tables * tables <= MOST_TABLES
    if abs(nearest - share) <= NEAR and fits(nearest):
        return _dealt(nearest, seats, count)
    options = {Fraction(a, b) for b in range(2, FINEST + 1) for a in range(1, b)}
    known = sorted(p for p in options if fits(p))
    below, above = [p for p in known if p < share][-1:], [p for p in known if p > share][:1]
    words = " and ".join(f"{float(p):.5g} ({p})" for p in below + above)
    raise ValueError(
        f"--snapshots {share:g} of {seats} seats with --snapshot-count {count} cannot be had "
        f"exactly with {MOST_TABLES} tables or fewer and a learner at each of them; possible near "
        f"it: {words or 'nothing, with so many opponents: fewer snapshots take fewer tables'}"
    )


def _variants(
    table: tuple[Chair, ...], seats: list[int], dealt: Dealt, kind: int, count: int
) -> Iterator[tuple[Chair, ...]]:
    """One table with snapshots in all combinations of its learner's seats."""
    for frozen, tables in ((dealt.fewer, dealt.plain), (dealt.fewer + 1, dealt.more)):
        each = count if frozen else 1
        once = [(at, first) for at in combinations(seats, frozen) for first in range(each)]
        for at, first in once * (tables // len(once)):
            sits = {seat: Chair(kind, (first + i) % count) for i, seat in enumerate(at)}
            yield tuple(sits.get(seat, chair) for seat, chair in enumerate(table))


def begun(seating: Seating, policies: tuple) -> Snapshots | tuple[()]:
    """Copies of the policy as it begins; nothing where no snapshot sits anywhere."""
    counts = [kind.members for kind in seating.kinds if is_snapshots(kind)]
    if not counts:
        return ()
    copies = jax.tree.map(lambda x: jnp.copy(jnp.repeat(x, counts[0], 0)), policies[0])
    return Snapshots(copies, jnp.int32(0))


def seated(found: Snapshots | tuple[()]) -> tuple[Any, ...]:
    """The policies of their kind, if there is one, numbered by their places."""
    if not isinstance(found, Snapshots):
        return ()
    count = jax.tree.leaves(found.policy)[0].shape[0]
    return (jax.vmap(Numbered)(found.policy, jnp.arange(count)),)


def cut(config: Any, found: Snapshots | tuple[()], otherwise: Any) -> Any:
    """Whether every match ends with this iteration: one gives way then; or ``otherwise``."""
    return otherwise | _due(config, found) if isinstance(found, Snapshots) else otherwise


def _due(config: Any, found: Snapshots) -> Bool[Array, ""]:
    return jnp.equal((found.played + 1) % config.snapshot_every, 0)  # NumPy once it was read


def renewed(
    config: Any, found: Snapshots | tuple[()], algorithm: Any, state: Any
) -> Snapshots | tuple[()]:
    """After an iteration: the policy takes the place of the oldest one, if it is time."""
    if not isinstance(found, Snapshots):
        return found
    return _renewed(config, found, algorithm.policy(config, state)[0])


@partial(jax.jit, static_argnums=0)  # games outside JAX call it as it is
def _renewed(config: Any, found: Snapshots, policy: Any) -> Snapshots:
    now, played = _due(config, found), found.played + 1

    def put(old, new):
        place = (played // config.snapshot_every - 1) % len(old)
        return old.at[place].set(jnp.where(now, new[0], old[place]))

    return Snapshots(jax.tree.map(put, found.policy, policy), played)
