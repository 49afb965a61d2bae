"""Games that run in ordinary Python beside the jitted ones: what they promise.

A hosted game is hashable and holds settings only; ``open`` starts one running copy of it. It has
the same static properties as a native game, so everything that learns treats the two alike.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from counterplay.names import Value
from counterplay.types import NO_EVENT, Env, Picture


class HostStep(NamedTuple):
    """What a hosted game shows at the start of slot t: the fields of ``TimeStep`` as NumPy."""

    obs: Shaped[np.ndarray, "*l N D"]
    legal: Bool[np.ndarray, "*l N A"]
    alive: Bool[np.ndarray, "*l N"]
    reward: Float[np.ndarray, "*l N"]
    event: Int[np.ndarray, "*l N"]
    visible: Bool[np.ndarray, "*l N N"]
    terminated: Bool[np.ndarray, "*l"]
    truncated: Bool[np.ndarray, "*l"]


@runtime_checkable
class HostCopy(Protocol):
    """One running copy of a game. ``step`` never resets; the rollout does.

    A copy may also have ``write_into(out: HostStep)``: from then on it writes what it shows into
    these arrays and returns them, which saves copying.
    """

    def reset(self, seed: int) -> HostStep: ...

    def step(self, actions: Sequence[int]) -> HostStep:
        """Moves everyone at once; an absent player's action is NO_MOVE."""
        ...

    def render(self) -> Picture: ...

    def close(self) -> None: ...


@runtime_checkable
class HostGame(Protocol):
    """A game in ordinary Python. One instance is hashable and holds settings only."""

    @property
    def num_seats(self) -> int: ...
    @property
    def num_actions(self) -> int: ...
    @property
    def num_goals(self) -> int: ...
    @property
    def horizon(self) -> int:
        """Nobody moves more often than this in an episode; a closing slot may follow."""
        ...

    @property
    def obs_shape(self) -> tuple[int]: ...
    @property
    def obs_dtype(self) -> np.dtype: ...
    @property
    def public_legal(self) -> bool: ...
    @property
    def public_events(self) -> bool: ...

    def encode(self, obs: Shaped[Array, " D"]) -> Float[Array, " F"]: ...

    def open(self, pictures: bool = False) -> HostCopy:
        """Starts a copy; only one opened for ``pictures`` can be rendered."""
        ...


def blank(game: HostGame, *lead: int) -> HostStep:
    """Arrays for what a game shows, with leading axes: nobody there, everything zero."""
    n = game.num_seats
    return HostStep(
        obs=np.zeros((*lead, n, *game.obs_shape), game.obs_dtype),
        legal=np.zeros((*lead, n, game.num_actions), bool),
        alive=np.zeros((*lead, n), bool),
        reward=np.zeros((*lead, n), np.float32),
        event=np.full((*lead, n), NO_EVENT, np.int32),
        visible=np.zeros((*lead, n, n), bool),
        terminated=np.zeros(lead, bool),
        truncated=np.zeros(lead, bool),
    )


def not_jitted(game: HostGame, *_: Any) -> Any:
    """Stands where a native game has ``reset``, ``step`` and ``render``."""
    raise TypeError(f"{game} runs in ordinary Python: open a copy, or play it with collect_host")


@dataclass(frozen=True)
class NativeHost:
    """A jitted game presented as a hosted one, so that policies in ordinary Python can play it."""

    env: Any

    num_seats = property(lambda self: self.env.num_seats)
    num_actions = property(lambda self: self.env.num_actions)
    num_goals = property(lambda self: self.env.num_goals)
    horizon = property(lambda self: self.env.horizon)
    obs_shape = property(lambda self: self.env.obs_shape)
    obs_dtype = property(lambda self: self.env.obs_dtype)
    public_legal = property(lambda self: self.env.public_legal)
    public_events = property(lambda self: self.env.public_events)
    name = property(lambda self: repr(self.env))
    reset = step = render = not_jitted

    def encode(self, obs: Shaped[Array, " D"]) -> Float[Array, " F"]:
        return self.env.encode(obs)

    def open(self, pictures: bool = False) -> HostCopy:
        return NativeCopy(self.env)


class NativeCopy:
    """One running copy of a jitted game; ``encoded`` shows what a network reads, float32."""

    def __init__(self, env: Env, encoded: bool = False):
        self._env, self._encoded, self._state = env, encoded, None

    def reset(self, seed: int) -> HostStep:
        return self._keep(_reset(self._env, self._encoded, np.uint32(seed)))

    def step(self, actions: Sequence[int]) -> HostStep:
        moves = np.asarray(actions, np.int32)
        return self._keep(_step(self._env, self._encoded, self._state, moves))

    def render(self) -> Picture:
        return self._env.render(self._state)

    def close(self) -> None:
        self._state = None

    def _keep(self, result) -> HostStep:
        self._state, shown = result
        return HostStep(*(np.asarray(getattr(shown, name)) for name in HostStep._fields))


# one program for all copies of equal games
@partial(jax.jit, static_argnums=(0, 1))
def _reset(env, encoded, seed):
    return _as_wanted(env, encoded, *env.reset(jr.key(seed)))


@partial(jax.jit, static_argnums=(0, 1))
def _step(env, encoded, state, actions):
    return _as_wanted(env, encoded, *env.step(state, actions))


def _as_wanted(env, encoded, state, shown):
    if encoded:
        shown = replace(shown, obs=jax.vmap(env.encode)(shown.obs))
    return state, shown


def host_native(env: Env) -> HostGame:
    """The same game, stepped from ordinary Python."""
    return cast(HostGame, NativeHost(env))


def needed(module: str, owner: str) -> Any:
    """Imports a module, or says which package is missing and what brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        if missing in sys.modules:  # the package is there, a module of it is not
            raise ValueError(f"{owner}: {error}") from error
        extra = "jaxmarl" if owner.startswith("jaxmarl:") else "envs"
        raise ValueError(
            f"{owner} needs the package {missing!r}, which is not installed; the usual games come "
            f"with: pip install 'counterplay[{extra}]'"
        ) from error


def kinds_of(game: Any) -> list[str]:
    """Its classes by module and name, its own first: nothing is imported to ask what a game is."""
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(game).__mro__]


def built(name: str, build: Callable[..., Any], settings: dict[str, Value]) -> Any:
    """What a maker makes of the settings."""
    try:
        return build(**settings)
    except Exception as error:
        kind = "" if isinstance(error, TypeError) else f"{type(error).__name__}: "
        raise ValueError(
            f"{name} cannot be made with {settings or 'no settings'}: {kind}{error}"
        ) from error
