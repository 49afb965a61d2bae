"""Reads the words of a command line against the settings that a verb declares.

Only what is well formed goes on to tyro, which fills the settings in and writes ``--help``; what
is not is answered in one sentence that names the setting, what it wants and what was found.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from counterplay.names import did_you_mean, listed, unknown

MOST = 2**31 - 1
"""Whole numbers go into 32 bits in a compiled program."""
MOST_OF = {"--steps": 2**53, "--keep-every": 2**53}
"""But these, which Python counts."""


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them: lists in place of tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def from_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same, read back."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def check_least(settings: Any, **least: int) -> None:
    """ValueError for a setting below its least; None is one that was not given."""
    for name, bound in least.items():
        number = getattr(settings, name)
        if number is not None and number < bound:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} must be at least {bound}, found {number}")


def typed(pieces: Sequence[str]) -> list[str]:
    """Settings told as NAME=VALUE, in the words in which one types them; values of several are
    parted by commas."""
    words = []
    for piece in pieces:
        name, _, value = (part.strip() for part in piece.partition("="))
        flag = name.replace("_", "-")
        truth = {"true": [f"--{flag}"], "false": [f"--no-{flag}"]}
        words += truth.get(value.lower(), [f"--{flag}", *value.split(",")])
    return words


@dataclass(frozen=True)
class Setting:
    """One setting of a verb, as its dataclass declares it."""

    flag: str
    kind: Any
    """bool, int, float or str; or the texts there are to choose from."""
    many: bool = False
    """Takes all the values that follow."""
    again: bool = False
    """May be given several times."""
    place: bool = False
    """Is given without its name."""
    optional: bool = False
    """None will do."""


def settings_of(kind: Any) -> dict[str, Setting]:
    """All settings by flag, those of a nested algorithm's Config included."""
    origin = get_origin(kind) or kind
    found = []
    for part in (origin, *get_args(kind)):
        hints = get_type_hints(part, include_extras=True)
        found += [_setting(f.name, hints[f.name]) for f in fields(part) if f.name != "config"]
    return {setting.flag: setting for setting in found}


def _setting(name: str, hint: Any) -> Setting:
    flag, marks = f"--{name}".replace("_", "-"), []
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
    again = tyro.conf.UseAppendAction in marks
    place = get_args(tyro.conf.Positional[str])[1] in marks
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return Setting(flag, parts)
    if get_origin(hint) is tuple:
        return Setting(flag, parts[0], not again, again, place)
    if NoneType in parts:
        (inner,) = (p for p in parts if p is not NoneType)
        return Setting(flag, inner, optional=True)
    return Setting(flag, hint, place=place)


def misspelt(kind: Any, args: list[str]) -> bool:
    """Whether anything looks like a setting that this class does not declare."""
    known = {*settings_of(kind), "--help", "--no-json"}
    flags = (arg.partition("=")[0].replace("_", "-") for arg in args if arg.startswith("--"))
    return not known.issuperset(flags)


def check(kind: Callable[..., Any], args: list[str], program: str) -> list[str]:
    """The words as tyro takes them; ValueError for the first that is a mistake."""
    known, rest, seen, out = settings_of(kind), list(args), dict[str, str](), list[str]()
    places = [s for s in known.values() if s.place]
    last: Setting | None = None
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            if not places or (last and last.again and "=" in word):
                raise _stray(word, last, program)
            out.append(_value(places[0] if places[0].many else places.pop(0), word))
            continue
        setting, equals, text = _named(word, known, program)
        values = [text] if equals else _values(setting, rest)
        last = setting
        if setting.flag in seen and not setting.again:
            told = " ".join(values) or "the same"
            raise ValueError(f"{setting.flag} is given twice: {seen[setting.flag]}, then {told}")
        seen[setting.flag] = " ".join(values) or "once"
        if setting.kind is bool:
            out.append(word)
        elif setting.many:
            out += [setting.flag, *(_value(setting, value) for value in values)]
        else:
            out.append(f"{setting.flag}={_value(setting, values[0])}")
    return out


def _named(word: str, known: dict[str, Setting], program: str) -> tuple[Setting, str, str]:
    """The setting that a word names, and what follows in the same word."""
    name, equals, text = word.partition("=")
    flag = name.replace("_", "-")
    setting = known.get(flag) or known.get("--" + flag.removeprefix("--no-"))
    off = setting is not None and flag != setting.flag
    if setting is None or setting.place or (off and setting.kind is not bool):
        options = sorted({"--help", *(f for f, s in known.items() if not s.place)})
        raise unknown(f"setting of {program}", flag, options)
    if equals and setting.kind is bool:
        raise ValueError(
            f"{flag} takes no value, found {text!r}; expected {setting.flag} for yes, "
            f"--no-{setting.flag[2:]} for no"
        )
    return setting, equals, text


def _values(setting: Setting, rest: list[str]) -> list[str]:
    """Takes the words that belong to a setting from those that are left."""
    taken: list[str] = []
    while rest and setting.kind is not bool and not rest[0].startswith("--"):
        if taken and not setting.many:
            break
        taken.append(rest.pop(0))
    if not taken and setting.kind is not bool:
        found = f"{rest[0]} comes next" if rest else "found nothing"
        raise ValueError(f"{setting.flag} wants {_wanted(setting)}, {found}")
    return taken


def _value(setting: Setting, text: str) -> str:
    """The text of a value that is right in kind."""
    kind, who = setting.kind, setting.flag[2:] if setting.place else setting.flag
    wrong = f"{who} wants {_wanted(setting)}, found {text!r}"
    if isinstance(kind, tuple):
        if text not in kind:
            raise ValueError(wrong + did_you_mean(text, kind))
    elif not text.strip():
        raise ValueError(f"{who} wants {_wanted(setting)}, found an empty one")
    elif kind in (int, float) and not (setting.optional and text == "None"):
        number = _number(kind, text)
        if number is None:
            raise ValueError(wrong + _as_whole(text) * (kind is int))
        most = MOST_OF.get(setting.flag, MOST)
        if kind is int and number > most:
            raise ValueError(f"{who} must be at most {most:,}, found {text}")
    elif setting.many and text.startswith("-"):
        raise ValueError(f"{wrong}, which looks like a setting; settings start with --")
    return text


def _number(kind: type[int] | type[float], text: str) -> float | None:
    try:
        number = kind(text)
    except ValueError:
        return None
    return None if kind is float and math.isnan(number) else number


def _as_whole(text: str) -> str:
    """What may have been meant by a number that is not written as a whole one."""
    number = _number(float, text)
    if number is None or not number.is_integer() or abs(number) > 2**53:
        return ""
    return f" (did you mean {int(number)}?)"


def _wanted(setting: Setting) -> str:
    if isinstance(setting.kind, tuple):
        return f"one of {listed(setting.kind)}"
    if setting.flag == "--against":
        return "the names of those who fill the other seats"
    if setting.flag == "--out":
        return "the name of a folder"
    return {int: "a whole number", float: "a number", str: "a name"}[setting.kind]


def _stray(word: str, last: Setting | None, program: str) -> ValueError:
    """The error for a word that belongs to nothing."""
    told = f"{program}: {word!r} belongs to no setting"
    if word.startswith("-"):
        return ValueError(f"{told}; expected settings that start with --, see --help")
    if last is None:
        return ValueError(f"{told}; expected settings such as --seed 1, see --help")
    if last.kind is bool:
        return ValueError(f"{told}; {last.flag} takes no value")
    return ValueError(f"{told}; {last.flag} takes one value: did you mean {last.flag} {word}?")
