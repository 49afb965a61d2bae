"""The rules by name. Listing and naming them does not import JAX; ``make`` does.

``NAME[:setting=value,...]``, for example ``grim:tremble=.1``. Every rule has the setting
``tremble``: how likely its hand picks a uniform legal move instead, or, where rules walk through
corridors, another corridor with the first step.
"""

from dataclasses import replace
from importlib import import_module
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from counterplay.envs import game_of
from counterplay.names import read_settings, unknown
from counterplay.outside import from_file

if TYPE_CHECKING:
    import counterplay.opponents.rule
    import counterplay.types

ANY_GAME: dict[str, str] = {
    "random": "counterplay.opponents.general:random",
    "switch": "counterplay.opponents.switching:switch",
}

_FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "stag_hunt": {
        "stag_hunt": ("nearest_stag", "nearest_hare", "adaptive", "stay"),
        "hunting": ("nearest_prey", "gives_up", "cautious", "follower", "waiter", "wavering"),
    },
    "snowdrift": {
        "snowdrift": ("cleaner", "free_rider", "k_cleaner", "late"),
        "clearing": ("early", "homebody", "volunteer", "conditional", "impatient"),
    },
    "matrix": {
        "matrix": (
            "always_cooperate",
            "always_defect",
            "tit_for_tat",
            "generous_tit_for_tat",
            "grim",
            "win_stay_lose_shift",
            "bully",
            "cycle",
            "coin",
            "memory_one",
        ),
        "counting": ("tit_for_two_tats", "limited_grim", "gradual", "majority"),
    },
    "race": {
        "race": (
            "always_left",
            "always_centre",
            "always_right",
            "cycle",
            "free_last",
            "win_stay_lose_next",
            "lone_last",
            "least_taken",
            "crowded_last",
            "win_next_lose_stay",
            "alternate",
        )
    },
    "coordination": {
        "coordination": (
            "always_left",
            "always_centre",
            "always_right",
            "cycle",
            "last_success",
            "copy_last",
            "most_frequent",
            "win_stay_lose_next",
            "copy_first",
            "anti_copy",
            "least_frequent",
            "alternate",
        )
    },
    "pursuit": {
        "pursuit": (
            "north",
            "east",
            "south",
            "west",
            "detour",
            "cycle",
            "least_used",
            "most_used",
            "stubborn",
            "restless",
        )
    },
    "scissors": {
        "scissors": (
            "rock",
            "paper",
            "scissors",
            "mixed",
            "cycle",
            "beat_last",
            "copy_last",
            "lose_to_last",
            "beat_itself",
            "lose_to_itself",
            "alternate",
            "shift",
        )
    },
    "foraging": {"foraging": ("h1", "h2", "h3", "h4")},
}

RULES: dict[str, dict[str, str]] = {
    game: {
        name: f"counterplay.opponents.{file}:{name}"
        for file, written in files.items()
        for name in written
    }
    for game, files in _FILES.items()
}
"""Game -> name -> where the rule is made, besides the rules for any game."""

BOTS: dict[str, dict[str, str]] = {
    "matrix": {
        "context_mixture": "counterplay.opponents.context_mixture:make",
        "roshambo": "counterplay.opponents.roshambo:make",
        "openspiel": "counterplay.opponents.openspiel:make",
    },
}
"""Game -> name -> where a player that is none of our rules is made, of the game and what follows
``:``; it plays in ordinary Python, or as a rule."""
BY_SEAT = ("openspiel",)
"""Those of them that are made for one seat, as they play otherwise in another."""

AGENTS: dict[str, str] = {"bayes": "counterplay.evaluate.bayes:bayes"}
"""Hand-written policies that are no rules, and are in no set."""
_AGENTS_PLAY = ("matrix", "race", "coordination", "pursuit", "scissors")


def names(game: str | None) -> list[str]:
    """The rules that can play a game; None asks for those that play any game."""
    return [name for name in _places(game) if name not in AGENTS]


def bots(game: str | None) -> list[str]:
    """The players for a game that are none of our rules, each as a seat names it."""
    from counterplay.opponents.openspiel import SOLVERS
    from counterplay.opponents.roshambo import NAMES

    several = {"roshambo": NAMES, "openspiel": SOLVERS}
    each = {owner: [f"{owner}:{name}" for name in known] for owner, known in several.items()}
    return [text for name in BOTS.get(game or "", {}) for text in each.get(name, [name])]


def is_bot(text: str, game: str | None) -> bool:
    """Whether the text names a player that is none of our rules."""
    return text.partition(":")[0].strip() in BOTS.get(game or "", {})


def differs_by_seat(text: str, game: str | None) -> bool:
    """Whether the text names a player that is made for one seat."""
    return is_bot(text, game) and text.partition(":")[0].strip() in BY_SEAT


def make_bot(text: str, env: "counterplay.types.Env", seat: int = 0) -> Any:
    """The player that the text names, made for a seat: a ``Rule``, or else a ``HostPolicy``."""
    name, _, rest = (part.strip() for part in text.partition(":"))
    module_name, function_name = BOTS[game_of(env) or ""][name].split(":")
    maker = getattr(import_module(module_name), function_name)
    return maker(env, rest, seat) if name in BY_SEAT else maker(env, rest)


def check_name(name: str, game: str | None) -> None:
    """ValueError with a suggestion for what is neither a rule nor a bot of this game."""
    if name not in _places(game) and not is_bot(name, game):
        options = [*_places(game), *BOTS.get(game or "", {})]
        raise unknown(f"rule for {game or 'this game'}", name, options)


def make(text: str, env: "counterplay.types.Env") -> "counterplay.opponents.rule.Rule":
    """The rule, or one of ``AGENTS``, that the text names, made for this game."""
    game = game_of(env)
    factory, settings = _read(text, game)
    place = list(_places(game)).index(text.partition(":")[0].strip())
    return replace(factory(env, **settings), type_of=place)


def canonical(text: str, game: str | None) -> str:
    """The same for every way to write one rule: all its settings, by name, defaults included.

    So of players that are none of our rules, some of which have a name alone.
    """
    if is_bot(text, game):
        name, _, rest = (part.strip() for part in text.partition(":"))
        module = import_module(BOTS[game or ""][name].split(":")[0])
        return f"{name}:{getattr(module, 'canonical', str)(rest)}"
    factory, settings = _read(text, game)
    whole = _defaults(factory) | settings
    for setting in ("first", "then") if factory.__name__ == "switch" else ():
        whole[setting] = canonical(whole[setting].replace("+", ","), game).replace(",", "+")
    return f"{factory.__name__}:" + ",".join(f"{k}={whole[k]}" for k in sorted(whole))


def _read(text: str, game: str | None) -> tuple[Any, dict[str, Any]]:
    """What makes the rule that a text names, and the settings given in it."""
    name, _, rest = (part.strip() for part in text.partition(":"))
    places = _places(game)
    check_name(name, game)
    module_name, function_name = places[name].split(":")
    factory = getattr(import_module(module_name), function_name)
    wanted = {setting: type(value) for setting, value in _defaults(factory).items()}
    return factory, read_settings(rest.split(",") if rest else (), wanted, name)


def _defaults(factory: Any) -> dict[str, Any]:
    given = signature(factory).parameters.values()
    return {p.name: p.default for p in given if p.default is not Parameter.empty}


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
    agents = AGENTS if game in _AGENTS_PLAY else {}
    return RULES.get(game or "", {}) | ANY_GAME | agents


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
