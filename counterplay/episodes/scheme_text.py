"""A scheme as text, for files that are read by others, or by a program of another day."""

import json
from typing import Any

import numpy as np

from counterplay.episodes.scheme import Field, OneHot, Scheme

STORED = (
    "bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32",
)  # fmt: skip
"""Types of numbers that files hold, and that come back as they were."""


def text_of(scheme: Scheme) -> str:
    """JSON of a scheme. Views that are not OneHot are code, which no file holds: left out."""
    fields = {
        name: {
            "shape": list(one.shape),
            "dtype": np.dtype(one.dtype).name,
            "group": one.group,
            "constant": one.constant,
            "fill": one.fill,
        }
        for name, one in scheme.fields.items()
    }
    views = {
        name: {"one_hot": view.of, "size": view.size}
        for name, view in scheme.views.items()
        if isinstance(view, OneHot)
    }
    return json.dumps({"fields": fields, "groups": dict(scheme.groups), "views": views})


def scheme_of(text: str, where: str) -> Scheme:
    """The scheme of such a text; ValueError, which begins with ``where``, for any other."""
    try:
        row = json.loads(text)
        fields = {name: _field(name, one) for name, one in row["fields"].items()}
        views = {
            name: OneHot(_is(view["one_hot"], str, f"view {name!r}"), _size(view["size"], name))
            for name, view in row["views"].items()
        }
        groups = {name: _size(size, name) for name, size in row["groups"].items()}
        return Scheme(fields, groups, views)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{where}: its scheme should be JSON as this library writes it, found {text[:60]!r} "
            f"({said}); was it written by another program?"
        ) from error


def _field(name: str, row: dict[str, Any]) -> Field:
    dtype, group, fill = row["dtype"], row["group"], row["fill"]
    if dtype not in STORED:
        raise ValueError(f"type of field {name!r} should be one of {', '.join(STORED)}")
    if group is not None:
        _is(group, str, f"group of field {name!r}")
    if fill is not None and type(fill) not in (int, float, bool):
        raise ValueError(f"fill of field {name!r} should be a number, found {fill!r}")
    shape = tuple(_size(size, name) for size in _is(row["shape"], list, f"shape of {name!r}"))
    constant = _is(row["constant"], bool, f"constant of field {name!r}")
    return Field(shape, np.dtype(dtype).type, group, constant, fill)


def _size(found: Any, name: str) -> int:
    if type(found) is not int or found < 0:
        raise ValueError(f"sizes of {name!r} should be whole numbers, found {found!r}")
    return found


def _is(found: Any, kind: type, what: str) -> Any:
    if not isinstance(found, kind):
        raise TypeError(f"{what} should be {kind.__name__}, found {found!r}")
    return found


def difference(wanted: Scheme, found: Scheme) -> str | None:
    """The first field in which one cannot be written to a store of the other; None: there is none.

    Views do not count, and a field that the wanted scheme fills may be missing.
    """
    for name in (*wanted.fields, *found.fields):
        one, other = wanted.fields.get(name), found.fields.get(name)
        if other is None and one is not None and one.fill is not None:
            continue
        here = "no such field" if one is None else _told(wanted, name)
        there = "no such field" if other is None else _told(found, name)
        if here != there:
            return f"field {name!r}: expected {here}, found {there}"
    return None


def _told(scheme: Scheme, name: str) -> str:
    one = scheme.fields[name]
    of = f" of {one.group}" if one.group else ""
    once = ", one an episode" if one.constant else ""
    return f"{np.dtype(one.dtype).name}{list(scheme.shape(name))}{of}{once}"
