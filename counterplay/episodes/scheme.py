"""What is stored: fields with shape, type and group, constants of an episode, views made on read.

The words are those of PyMARL: a *scheme* names the fields, a *group* is an axis such as the
agents, and ``filled`` tells which slots happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from counterplay.names import listed, unknown

OWN = ("filled", "time")
"""Fields every store keeps: whether a slot happened, and slots since its episode began."""
Shapes = Mapping[str, tuple[tuple[int, ...], Any]]


class Field(NamedTuple):
    """One array a slot, or with ``constant`` one an episode."""

    shape: tuple[int, ...] = ()
    dtype: Any = np.float32
    group: str | None = None
    """A group whose axis comes before ``shape``."""
    constant: bool = False
    """The same in all slots of an episode, as who plays: stored once, as it is where it ends."""
    fill: float | None = None
    """What a chunk without this field gets, for what is written back later; None: it must come."""


ENDS = ("terminated", "closing", "truncated")
"""Fields by which a store knows where episodes end."""
FILLED = Field((), np.bool_, fill=True)


@dataclass(frozen=True)
class OneHot:
    """A view: the stored number as ``size`` zeros with a one, all zeros for numbers outside."""

    of: str
    size: int

    def __call__(self, stored: Array) -> Array:
        return jax.nn.one_hot(stored, self.size, dtype=jnp.float32)


@dataclass(frozen=True)
class Scheme:
    """Fields, sizes of groups, and views, each by name. Never changed: hashable."""

    fields: Mapping[str, Field]
    groups: Mapping[str, int] = field(default_factory=dict)
    views: Mapping[str, Any] = field(default_factory=dict)
    """Of OneHot's form: hashable, named ``of`` after a stored field, called with its array."""

    def __post_init__(self):
        for name, one in self.fields.items():
            if name in OWN:
                raise ValueError(f"field {name!r}: the store keeps it itself, leave it out")
            if one.group is not None and one.group not in self.groups:
                raise unknown(f"group of field {name!r}", one.group, self.groups)
        for name, view in self.views.items():
            if view.of not in self.fields:
                raise unknown(f"field that view {name!r} is made of", view.of, self.fields)
            if name in self.fields or name in OWN:
                raise ValueError(f"view {name!r}: there is a field of this name")

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Asked for at every call of a jitted function that takes a store."""
        of_field = lambda one: (tuple(one.shape), np.dtype(one.dtype), *one[2:])
        fields = frozenset((name, of_field(one)) for name, one in self.fields.items())
        return hash((fields, frozenset(self.groups.items()), frozenset(self.views.items())))

    @property
    def slotwise(self) -> dict[str, Field]:
        """The fields that are stored in every slot."""
        return {name: one for name, one in self.fields.items() if not one.constant}

    @property
    def constants(self) -> dict[str, Field]:
        return {name: one for name, one in self.fields.items() if one.constant}

    @property
    def agents(self) -> int:
        """Those of whom it is stored when they leave."""
        return int(np.prod(self.shape("left"))) if "left" in self.fields else 0

    def check_stored(self) -> None:
        """ValueError for the first field that a store could not keep, or would not understand."""
        if "terminated" not in self.fields:
            raise ValueError(
                "field 'terminated': a store wants bool[], true in the last slot of an episode; "
                f"found {listed(self.fields)}"
            )
        for name, one in self.fields.items():
            wanted = self._flags(name)
            found = f"{np.dtype(one.dtype)}{[*self.shape(name)]}{', one an episode' * one.constant}"
            flag = np.dtype(one.dtype) == np.bool_ and not one.constant
            if wanted and not (flag and self.shape(name) in wanted):
                told = " or ".join(f"bool{[*shape]}" for shape in wanted)
                raise ValueError(f"field {name!r}: a store wants {told} a slot, found {found}")
            if jax.dtypes.canonicalize_dtype(one.dtype) != np.dtype(one.dtype):
                raise ValueError(
                    f"field {name!r}: expected a type of 32 bits or fewer, found {found}; JAX "
                    "stores 64 only with jax_enable_x64"
                )

    def _flags(self, name: str) -> list[tuple[int, ...]]:
        """The shapes that a truth may have that means something to a store; none for others."""
        if name in ENDS:
            return [()]
        if name == "alive" and "left" in self.fields:
            return [self.shape("left")]
        return [(), self.shape(name)[:1]] if name in ("left", "alive") else []

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one entry, the axis of its group included."""
        one = self.fields[name]
        return one.shape if one.group is None else (self.groups[one.group], *one.shape)

    def bytes_of(self, names: Mapping[str, Field]) -> int:
        """Of one entry of each of these fields."""
        sizes = (int(np.prod(self.shape(n))) * np.dtype(f.dtype).itemsize for n, f in names.items())
        return sum(sizes)

    def only(self, *names: str) -> "Scheme":
        """The scheme of these fields, with the views that can still be made."""
        for name in names:
            if name not in self.fields:
                raise unknown("field", name, self.fields)
        fields = {name: self.fields[name] for name in names}
        views = {name: view for name, view in self.views.items() if view.of in fields}
        return Scheme(fields, self.groups, views)

    def with_field(self, name: str, added: Field) -> "Scheme":
        if name in self.fields:
            raise ValueError(f"field {name!r} is in the scheme already: {self.fields[name]}")
        return Scheme({**self.fields, name: added}, self.groups, self.views)

    def member(self, group: str) -> "Scheme":
        """The scheme of what is left when one member of a group has been picked."""
        alone = {
            n: f._replace(group=None) if f.group == group else f for n, f in self.fields.items()
        }
        return Scheme(alone, {n: size for n, size in self.groups.items() if n != group}, self.views)

    def check(self, chunk: Mapping[str, Any], lead: tuple[int, ...]) -> None:
        """Refuses a chunk that does not fit, before anything of it is written.

        Numbers may be of a narrower type than the field's. Those of a wider one pass where all of
        them fit, which is looked at outside jit; inside, they have to be cast. ValueError names
        the field, what the scheme wants and what was found.
        """
        for name in chunk:
            if name not in self.fields and name not in OWN:
                raise unknown("field of the scheme", name, [*self.fields, *OWN])
        for name, one in (*self.fields.items(), ("filled", FILLED)):
            found, shape = chunk.get(name), one.shape if one is FILLED else self.shape(name)
            if found is None and one.fill is not None:
                continue
            told, why = "nothing", ""
            if found is not None:
                told = f"{np.dtype(found.dtype)}{list(found.shape)}"
                if tuple(found.shape) == (*lead, *shape):
                    why = unfit(found, one.dtype)
            if why is not None:
                wanted = f"{np.dtype(one.dtype)}{[*lead, *shape]}"
                raise ValueError(f"field {name!r}: the scheme wants {wanted}, found {told}{why}")


def unfit(found: Any, stored: Any) -> str | None:
    """Why these numbers are not stored as that type; None where they are.

    They are where it holds all numbers of theirs, as float32 counts to do for whole ones; or where
    they can be looked at, which is not so inside jit, and it holds each of them. A float may be
    rounded, never become infinite.
    """
    given, stored = np.dtype(found.dtype), np.dtype(stored)
    if given == stored:
        return None
    if given.kind not in "iuf" or stored.kind not in ("f" if given.kind == "f" else "iuf"):
        return ""
    if np.can_cast(given, stored) or (given.kind != stored.kind == "f" and stored.itemsize > 2):
        return None
    if isinstance(found, Tracer):
        return "; inside jit nobody sees whether they fit: cast them before"
    numbers = np.asarray(found)
    if stored.kind == "f" == given.kind:
        with np.errstate(over="ignore"):
            fits = np.isfinite(numbers.astype(stored)) == np.isfinite(numbers)
    else:
        info = np.iinfo(stored) if stored.kind != "f" else None
        most = info.max if info else 2 ** (np.finfo(stored).nmant + 1)
        fits = (numbers >= (info.min if info else -most)) & (numbers <= most)
    if fits.all():
        return None
    return f"; {numbers[~fits].flat[0]} does not fit: a wider field takes it"
