"""The games by name. Listing and naming them imports neither JAX nor a game; ``make`` does.

``GAME[:PRESET][,setting=value...]``, for example ``stag_hunt:6x6,view=2``; the first preset is
the default. ``pettingzoo:MODULE``, ``gymnasium:ID``, ``lbforaging:ID``, ``jaxmarl:NAME``,
``path.py:Name`` and what was given to ``register`` name games that are not ours.
"""

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterplay.names import read_settings, unknown

if TYPE_CHECKING:
    import counterplay.envs.outward
    import counterplay.types

GAMES: dict[str, str] = {
    "stag_hunt": "counterplay.envs.stag_hunt:StagHunt",
    "snowdrift": "counterplay.envs.snowdrift:Snowdrift",
    "matrix": "counterplay.envs.matrix:Matrix",
    "race": "counterplay.envs.race:Race",
    "coordination": "counterplay.envs.coordination:Coordination",
    "pursuit": "counterplay.envs.pursuit:Pursuit",
    "scissors": "counterplay.envs.scissors:Scissors",
    "foraging": "counterplay.envs.foraging:Foraging",
}
"""Name -> where its settings class is."""

PRESETS_OF: dict[str, tuple[str, ...]] = {
    "stag_hunt": ("4x4", "6x6", "8x8", "two-stags"),
    "snowdrift": ("8x8", "4x4"),
    "matrix": ("pd", "chicken", "stag", "pennies", "rps"),
    "race": ("slack0", "slack2", "slack4", "narrow"),
    "coordination": ("slack0", "slack2", "slack4", "narrow"),
    "pursuit": ("11x11",),
    "scissors": ("9x9", "short"),
    "foraging": (
        "8x8-2p-3f",
        "8x8-2p-3f-coop",
        "5x5-2p-1f-coop",
        "2s-8x8-2p-2f-coop",
        "10x10-3p-3f",
    ),
}
"""Name -> its presets, the default first; a test holds them equal to the game's own."""

ABOUT: dict[str, str] = {
    "stag_hunt": "hunters on a grid: a stag needs two in the same step, a hare one",
    "snowdrift": "drifts on a grid: who clears one pays for it, everybody profits",
    "matrix": "two players repeat a matrix game and see each other's moves",
    "race": "three corridors: who is alone at the end of one gets 1, and the first step decides",
    "coordination": "three corridors, three stags: all hunt the same one, or nobody gets it",
    "pursuit": "one guards four exits and sees little, the other has chosen one of them",
    "scissors": "two fetch rock, paper or scissors unseen by each other, then compare them",
    "foraging": "level-based foraging: a food falls to neighbours strong enough together",
}

FOREIGN = ("pettingzoo:", "gymnasium:", "lbforaging:")
"""Beginnings of names of games in ordinary Python."""
JAXMARL = "jaxmarl:"
"""Beginning of names of games of others that run inside jit."""

REGISTERED: dict[str, str] = {}
"""Name -> ``module:factory``, as given to ``register``."""


def names() -> list[str]:
    return list(GAMES)


def describe() -> list[tuple[str, tuple[str, ...], str]]:
    """Name, presets and one line on each game."""
    return [(name, PRESETS_OF[name], ABOUT[name]) for name in GAMES]


def register(name: str, place: str) -> None:
    """Gives a game of yours a name for this process, with which ``make`` and ``--env`` know it.

    ``place`` is ``module:factory``, imported when the game is first made. The factory is called
    with the settings, ``name,setting=value``, and makes a PettingZoo ParallelEnv, a Gymnasium Env
    or a game with the members of ``counterplay.types.Env``. To say the same twice does no harm.
    """
    if not name.isidentifier():
        raise ValueError(f"a game is registered under letters, digits and _, not {name!r}")
    holder = GAMES.get(name) or REGISTERED.get(name)
    if name in GAMES or holder not in (None, place) or f"{name}:" in (*FOREIGN, JAXMARL):
        raise ValueError(f"the name {name!r} is taken, by {holder or 'games of others'}")
    module, colon, factory = place.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), factory)):
        raise ValueError(f"{name}: expected a place written module:factory, found {place!r}")
    REGISTERED[name] = place


def look_up(text: str) -> tuple[str, str] | None:
    """Game and preset that the text names, or None where it names a game of others."""
    if text.startswith((*FOREIGN, JAXMARL)) or ".py:" in text:
        return None
    name, colon, preset = (part.strip() for part in text.split(",")[0].partition(":"))
    if name in REGISTERED:
        if colon:
            raise ValueError(f"{name} has no presets: write its settings as {name},setting=value")
        return None
    if name not in GAMES:
        raise unknown("game", name, [*GAMES, *REGISTERED])
    if not colon:
        preset = PRESETS_OF[name][0]
    if preset not in PRESETS_OF[name]:
        raise unknown(f"preset of {name}", preset, PRESETS_OF[name])
    return name, preset


def make(text: str) -> "counterplay.types.Env":
    """The game that the text names, with its settings checked."""
    found = look_up(text)
    if text.startswith(JAXMARL):
        from counterplay.envs.jaxmarl import make_jaxmarl

        return make_jaxmarl(text)
    if found is None:
        from counterplay.envs.making import make_hosted

        return make_hosted(text)
    name, preset = found
    pieces = text.split(",")[1:]
    module_name, class_name = GAMES[name].split(":")
    module = import_module(module_name)
    game = getattr(module, class_name)
    wanted: dict[str, Any] = {f.name: f.type for f in fields(game) if f.type in (int, float, bool)}
    return game(**module.PRESETS[preset] | read_settings(pieces, wanted, name))


def game_of(env: "counterplay.types.Env") -> str | None:
    """The name under which a game is listed, None for one that is not ours."""
    place = f"{type(env).__module__}:{type(env).__qualname__}"
    return next((name for name, listed in GAMES.items() if listed == place), None)


def to_pettingzoo(
    game: "str | counterplay.types.Env",
    render_mode: str | None = None,
    *,
    encoded: bool = True,
    masked: bool = False,
) -> "counterplay.envs.outward.Exported":
    """A game in JAX, or the text that names one, as a PettingZoo ``ParallelEnv``.

    The agents are ``seat_0``, ``seat_1``, ...; legal moves are in ``infos[agent]["action_mask"]``,
    int8 [A]. ``render_mode`` is "rgb_array" or "ansi". ``encoded`` observations are what a network
    reads, float32 [F]; others are compact, as stored, [D]. ``masked`` ones are a dictionary of
    "observation" and "action_mask", which some libraries want.
    """
    from counterplay.envs.hosting import needed

    outward = needed("counterplay.envs.outward", "to_pettingzoo")
    env = make(game) if isinstance(game, str) else game
    name = (
        game if isinstance(game, str) else game_of(env) or getattr(env, "name", type(env).__name__)
    )
    return outward.export(env, name, render_mode, encoded, masked)
