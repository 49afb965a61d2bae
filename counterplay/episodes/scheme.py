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
from jaxtyping import Array

from counterplay.names import unknown

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
        parts = ((k, *map(str, v)) for k, v in self.fields.items())
        return hash((*parts, *self.groups.items(), *self.views.items()))

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
        return self.shape("left")[0] if "left" in self.fields else 0

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

        ValueError names the field, what the scheme wants and what was found.
        """
        for name in chunk:
            if name not in self.fields and name not in OWN:
                raise unknown("field of the scheme", name, [*self.fields, *OWN])
        for name, one in (*self.fields.items(), ("filled", FILLED)):
            found, shape = (
                chunk.get(name),
                (*lead, *(one.shape if one is FILLED else self.shape(name))),
            )
            if found is None:
                fits, told = one.fill is not None, "nothing"
            else:
                fits = tuple(found.shape) == shape and _goes_into(found.dtype, one.dtype)
                told = "" if fits else f"{np.dtype(found.dtype)}{list(found.shape)}"
            if not fits:
                wanted = f"{np.dtype(one.dtype)}{[*shape]}"
                raise ValueError(f"field {name!r}: the scheme wants {wanted}, found {told}")


def _goes_into(found: Any, stored: Any) -> bool:
    """Whether numbers of one type may be stored as another: of the same sort, or wider."""
    if np.dtype(found) == np.dtype(stored):
        return True
    both = [x for x in (np.bool_, np.integer, np.floating) if np.issubdtype(found, x)]
    same = bool(both) and np.issubdtype(stored, both[0])
    return same or (np.issubdtype(found, np.integer) and np.issubdtype(stored, np.floating))
