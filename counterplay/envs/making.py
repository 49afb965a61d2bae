"""Games that are not ours, by name: what makes them, and which adapter plays them."""

from contextlib import suppress
from inspect import signature
from typing import Any

from counterplay.envs import REGISTERED
from counterplay.envs.hosting import built, needed
from counterplay.names import Value
from counterplay.outside import from_file, from_module


def make_hosted(text: str) -> Any:
    """The game that the text names; one from a file or a registered name may be native."""
    head, settings, ours = split_game(text)
    origin, _, name = head.partition(":")
    if head in REGISTERED or ".py:" in head:
        build, settings, adapter, made = _looked_at(head, settings, ours)
        if adapter is None:
            return built(head, build, settings | ours) if ours else made
        _put_away(made)
    elif origin == "pettingzoo":
        adapter = _adapter("pettingzoo", head)
        build = adapter.factory(name, head)
    else:
        adapter = _adapter("gymnasium", head)
        build = adapter.registered(name, head, ("lbforaging",) if origin == "lbforaging" else ())
    return adapter.describe(
        head, build, settings, ours.get("horizon"), bool(ours.get("see_moves", True))
    )


def is_hosted(text: str) -> bool:
    """Whether a game from a file, or of a registered name, runs in ordinary Python."""
    head, *given = split_game(text)
    _, _, adapter, made = _looked_at(head, *given)
    _put_away(made)
    return adapter is not None or hasattr(made, "open")


def split_game(text: str) -> tuple[str, dict[str, Value], dict[str, Any]]:
    """The name of a game of others, its settings, and those of ours that are given.

    Two are ours, unless it is a native game: ``horizon`` declares the longest episode, in moves,
    and ``see_moves=false`` hides from everyone what the others did.
    """
    head, *pieces = (part.strip() for part in text.split(","))
    settings: dict[str, Value] = {}
    for name, value in (_setting(piece, head) for piece in pieces):
        if name in settings:
            raise ValueError(f"{head}: setting {name!r} is given twice")
        settings[name] = value
    ours = {name: settings.pop(name) for name in ("horizon", "see_moves") if name in settings}
    horizon, see_moves = ours.get("horizon", 1), ours.get("see_moves", True)
    if type(horizon) is not int or horizon < 1:
        raise ValueError(f"{head}: horizon is a number of moves, at least 1, found {horizon!r}")
    if type(see_moves) is not bool:
        raise ValueError(f"{head}: see_moves wants true or false, found {see_moves!r}")
    return head, settings, ours


def _setting(piece: str, owner: str) -> tuple[str, Value]:
    name, equals, value = (part.strip() for part in piece.partition("="))
    if not equals or not name.isidentifier():
        raise ValueError(f"{owner}: a setting is written name=value, found {piece!r}")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _adapter(kind: str, owner: str) -> Any:
    return needed(f"counterplay.envs.{kind}", owner)


def _looked_at(head: str, settings: dict[str, Value], ours: dict[str, Any]) -> tuple:
    """(maker, all its settings, adapter module, game) of a game that was made to see what it is."""
    build = _brought(head)
    settings = settings | {name: ours[name] for name in ours if _requires(build, name)}
    return build, settings, *_told_apart(head, build, settings)


def _put_away(made: Any) -> None:
    with suppress(Exception):
        made.close()


def _brought(head: str) -> Any:
    """What makes a game that is neither ours nor of an installed package."""
    if head in REGISTERED:
        return from_module(REGISTERED[head], head)
    path, _, name = head.rpartition(":")
    return from_file(path, name, "a game")


def _requires(build: Any, name: str) -> bool:
    """Whether nothing can be made without this setting, whose it may be."""
    try:
        asked = signature(build).parameters.get(name)
    except (TypeError, ValueError):  # no function, or one that does not tell
        return False
    return asked is not None and asked.default is asked.empty


def _told_apart(text: str, build: Any, settings: dict[str, Value]) -> tuple[Any, Any]:
    """(adapter module, game): the adapter is None where the game is written as ours are."""
    made = built(text, build, settings) if callable(build) else build
    if hasattr(made, "num_seats") and (hasattr(made, "open") or hasattr(made, "encode")):
        return None, made
    if made is build:
        raise ValueError(f"{text} is a single object: name the class or function that makes it, so "
                         "that several copies can run side by side")  # fmt: skip
    if hasattr(made, "possible_agents"):
        return _adapter("pettingzoo", text), made
    if hasattr(made, "action_space") and hasattr(made, "observation_space"):
        return _adapter("gymnasium", text), made
    raise ValueError(
        f"{text} makes a {type(made).__name__}, which is no game: expected a PettingZoo "
        "ParallelEnv, a gymnasium Env, or a game with num_seats, encode and reset(key) or open()"
    )
