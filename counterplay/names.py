"""Names people type: suggestions for misspelt ones, and settings written as ``name=value``."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module

Value = bool | int | float | str


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Text to append to an error: the nearest option, or nothing when none is near."""
    near = get_close_matches(name.lower(), list(options), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def listed(options: Iterable[str]) -> str:
    """The options as a person would read them out."""
    return ", ".join(options) or "none"


def unknown(what: str, name: str, options: Iterable[str]) -> ValueError:
    """The error for a name that is not among the options."""
    options = list(options)
    guess = did_you_mean(name, options)
    return ValueError(f"unknown {what} {name!r}{guess}; expected one of: {listed(options)}")


def run_named(verb: str, what: str, table: Mapping[str, tuple[str, str]], args: list[str]) -> int:
    """Runs what the first word names, with the others, or lists what there is.

    ``table`` holds "module:function" and a line of help by name; ``what`` they are, for the error.
    """
    if not args or args[0] in ("-h", "--help"):
        wide = max(map(len, table)) + 2
        lines = "\n".join(f"  {name:<{wide}}{about}" for name, (_, about) in table.items())
        print(f"usage: counterplay {verb} NAME [settings]\n\n{lines}")
        return 0 if args else 2
    name, *rest = args
    if name not in table:
        raise unknown(what, name, table)
    module, function = table[name][0].split(":")
    run: Callable[[list[str]], int] = getattr(import_module(module), function)
    return run(rest)


def read_settings(
    pieces: Iterable[str], wanted: Mapping[str, type], owner: str
) -> dict[str, Value]:
    """Reads pieces such as ``view=2``, each value as the type wanted under its name."""
    found: dict[str, Value] = {}
    for piece in pieces:
        name, equals, value = (part.strip() for part in piece.partition("="))
        if not equals:
            raise ValueError(f"{owner}: a setting is written name=value, found {piece!r}")
        if name not in wanted:
            raise unknown(f"setting of {owner}", name, wanted)
        if name in found:
            raise ValueError(f"{owner}: setting {name!r} is given twice")
        found[name] = _read(value, wanted[name], f"{owner}: setting {name!r}")
    return found


def _read(value: str, kind: type, where: str) -> Value:
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise ValueError(f"{where} wants true or false, found {value!r}")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{where} wants {_SPOKEN[kind]}, found {value!r}") from None


_SPOKEN = {int: "a whole number", float: "a number", str: "text"}
