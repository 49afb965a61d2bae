"""The rules by name. Listing and naming them does not import JAX; ``make`` does.

``NAME[:setting=value,...]``, for example ``grim:tremble=.1``. Every rule has the setting
``tremble``: how likely its hand picks a uniform legal move instead.
"""

from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from counterplay.envs import game_of
from counterplay.names import read_settings, unknown
from counterplay.outside import from_file

if TYPE_CHECKING:
    import counterplay.opponents.rule
    import counterplay.types

ANY_GAME: dict[str, str] = {"random": "counterplay.opponents.general:random"}

_STAG_HUNT = ("nearest_stag", "nearest_hare", "adaptive", "stay")
_SNOWDRIFT = ("cleaner", "free_rider", "k_cleaner", "late")
_MATRIX = (
    "always_cooperate",
    "always_defect",
    "tit_for_tat",
    "generous_tit_for_tat",
    "grim",
    "win_stay_lose_shift",
    "bully",
)

RULES: dict[str, dict[str, str]] = {
    "stag_hunt": {name: f"counterplay.opponents.stag_hunt:{name}" for name in _STAG_HUNT},
    "snowdrift": {name: f"counterplay.opponents.snowdrift:{name}" for name in _SNOWDRIFT},
    "matrix": {name: f"counterplay.opponents.matrix:{name}" for name in _MATRIX},
}
"""Game -> name -> where the rule is made, besides the rules for any game."""

BOTS: dict[str, dict[str, str]] = {
    "matrix": {
        "context_mixture": "counterplay.opponents.context_mixture:make",
        "roshambo": "counterplay.opponents.roshambo:make",
    },
}
"""Game -> name -> where a player in ordinary Python is made, of the game and what follows ``:``."""


def names(game: str | None) -> list[str]:
    """The rules that can play a game; None asks for those that play any game."""
    return list(_places(game))


def bots(game: str | None) -> list[str]:
    """The players in ordinary Python for a game, each as a seat names it."""
    from counterplay.opponents.roshambo import NAMES

    each = {"roshambo": [f"roshambo:{name}" for name in NAMES]}
    return [text for name in BOTS.get(game or "", {}) for text in each.get(name, [name])]


def is_bot(text: str, game: str | None) -> bool:
    """Whether the text names a player in ordinary Python."""
    return text.partition(":")[0].strip() in BOTS.get(game or "", {})


def make_bot(text: str, env: "counterplay.types.Env") -> "counterplay.types.HostPolicy":
    """The player in ordinary Python that the text names, made for this game."""
    name, _, rest = (part.strip() for part in text.partition(":"))
    module_name, function_name = BOTS[game_of(env) or ""][name].split(":")
    return getattr(import_module(module_name), function_name)(env, rest)


def check_name(name: str, game: str | None) -> None:
    """ValueError with a suggestion for what is neither a rule nor a bot of this game."""
    if name not in _places(game) and not is_bot(name, game):
        options = [*_places(game), *BOTS.get(game or "", {})]
        raise unknown(f"rule for {game or 'this game'}", name, options)


def make(text: str, env: "counterplay.types.Env") -> "counterplay.opponents.rule.Rule":
    """The rule that the text names, made for this game."""
    name, _, rest = (part.strip() for part in text.partition(":"))
    game = game_of(env)
    places = _places(game)
    check_name(name, game)
    module_name, function_name = places[name].split(":")
    factory = getattr(import_module(module_name), function_name)
    extra = [p for p in signature(factory).parameters.values() if p.default is not Parameter.empty]
    wanted = {parameter.name: type(parameter.default) for parameter in extra}
    return factory(env, **read_settings(rest.split(",") if rest else (), wanted, name))


def load_file(text: str, env: "counterplay.types.Env") -> Any:
    """A policy from ``path/to/file.py:Name``: ``Name(env)`` if it wants the game, else ``Name()``.

    What has no ``act`` but ``begin`` and ``log_probs`` is played as a rule that does not tremble.
    """
    path, colon, name = text.rpartition(":")
    if not colon or not path.endswith(".py") or not name.isidentifier():
        raise ValueError(f"an outside policy is written path/to/file.py:Name, found {text!r}")
    made = _call(from_file(path, name, "a policy"), env, text)
    lacking = [need for need in ("begin", "act") if not hasattr(made, need)]
    if lacking == ["act"] and hasattr(made, "log_probs"):
        from counterplay.opponents.rule import Rule

        return Rule(made)
    if lacking:
        raise ValueError(f"{text}: a policy has begin, and act or log_probs; missing: {lacking}")
    return made


def _places(game: str | None) -> dict[str, str]:
    return RULES.get(game or "", {}) | ANY_GAME


def _call(maker: Any, env: Any, text: str) -> Any:
    if not callable(maker):
        raise ValueError(f"{text} must be a class or function that makes a policy, found {maker!r}")
    parameters = signature(maker).parameters.values()
    varying = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in varying]
    if len(needed) > 1:
        raise ValueError(f"{text} may take the game and nothing else, but needs {needed}")
    game = {needed[0] if needed else "env": env}
    try:
        return maker(**(game if needed or any(p.name == "env" for p in parameters) else {}))
    except Exception as error:
        raise ValueError(f"{text} cannot be made: {type(error).__name__}: {error}") from error
