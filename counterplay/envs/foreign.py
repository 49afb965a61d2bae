"""What foreign games have in common: spaces read as arrays, legal moves, time limits, pictures."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Float

from counterplay.envs.hosting import HostCopy, HostStep, not_jitted
from counterplay.envs.observed import observed_picture
from counterplay.errors import GameError
from counterplay.names import Value
from counterplay.types import Picture

MASKS = ("action_mask", "action_masks", "avail_actions", "get_avail_actions")
"""Names of a 0 or 1 for every action: in an observation, in an info, or a method of the game."""
LISTS = ("legal_moves", "valid_actions")
"""Names of lists of action numbers, in the same places."""
MOST_ACTIONS = 512
LIMITS = ("max_cycles", "max_episode_steps", "_max_episode_steps", "max_steps", "horizon")
"""What games call the number of moves after which they cut an episode short."""


@dataclass(frozen=True, eq=False)
class Seat:
    """How one player's observations, legal moves and actions are read."""

    agent: str
    space: spaces.Space
    """Of the observation, without legal moves inside it."""
    width: int
    num_actions: int
    moves: list[Any] | None
    """What the game is given for each action; None when it is the number itself."""
    mask_key: str | None
    """Entry of an observation dictionary that holds the legal moves."""
    actions: spaces.Space
    """As the game declared them."""

    @property
    def flat(self) -> tuple[int] | None:
        """The shape of an observation that is stored as it is: float32, one axis."""
        plain = type(self.space) is spaces.Box and self.space.dtype == np.float32
        return self.space.shape if plain and len(self.space.shape) == 1 else None  # type: ignore

    def write_obs(self, found: Any, row: np.ndarray) -> None:
        """Checks an observation and lays it flat into a row of at least ``width``."""
        space = self.space
        if self.mask_key is not None:
            found = {key: x for key, x in found.items() if key in space.spaces}  # type: ignore
        if type(space) is not spaces.Box:
            if not space.contains(found):
                raise GameError(f"agent {self.agent!r}: expected an observation in {space}, "
                                f"found {found!r}")  # fmt: skip
            row[: self.width] = spaces.flatten(space, found)
            return
        if (
            type(found) is not np.ndarray
            or found.shape != space.shape
            or found.dtype != space.dtype
        ):
            found = self._checked(found)
        row[: self.width] = found if found.ndim == 1 else found.ravel()

    def _checked(self, found: Any) -> np.ndarray:
        array, space = np.asarray(found), self.space
        if array.shape == space.shape and np.can_cast(array.dtype, space.dtype):  # type: ignore
            return array
        wrong_shape = array.shape != space.shape
        cause = "observation_space does not describe what the game returns" if wrong_shape else (
            f"a missing .astype({space.dtype})"
        )  # fmt: skip
        expected = f"{space.dtype}{list(space.shape or ())}"
        raise GameError(
            f"agent {self.agent!r}: expected an observation {expected}, found "
            f"{array.dtype}{list(array.shape)}; the usual cause is {cause}"
        )

    def write_legal(self, found: Any, name: str, row: np.ndarray) -> None:
        """Reads legal moves, a mask or a list by the name under which they came."""
        array, n = np.asarray(found), self.num_actions
        if name in LISTS and array.dtype != bool:
            if array.ndim != 1 or (len(array) and not 0 <= array.min() <= array.max() < n):
                raise GameError(f"agent {self.agent!r}: {name} must list actions 0 to {n - 1}, "
                                f"found {found!r}")  # fmt: skip
            row.fill(False)
            row[array.astype(int)] = True
            return
        if (
            array.shape != (n,)
            or array.dtype.kind not in "biuf"
            or not np.isin(array, (0, 1)).all()
        ):
            raise GameError(f"agent {self.agent!r}: {name} must hold a 0 or 1 for each of {n} "
                            f"actions, found {found!r}")  # fmt: skip
        row[:n] = array

    def move(self, action: int) -> Any:
        return action if self.moves is None else self.moves[action]

    def check_actions(self, now: spaces.Space) -> None:
        """Raises GameError where the game declares other actions than before."""
        if now is not self.actions and now != self.actions:
            raise GameError(
                f"agent {self.agent!r}: expected actions in {self.actions} as when the game was "
                f"first made, found {now}: they must stay the same"
            )


@dataclass(frozen=True)
class Hosted:
    """A foreign game. Observations are flattened to float32 and padded with zeros to the widest;
    actions beyond a player's own are never legal."""

    name: str
    """As typed; messages begin with it."""
    build: Callable[..., Any]
    settings: tuple[tuple[str, Value], ...]
    """Passed on to ``build``."""
    horizon: int
    see_moves: bool
    """Everyone sees what the others did; foreign games do not say whether that is so."""
    seats: tuple[Seat, ...] = field(compare=False, repr=False)
    """One a player, from the game's own spaces."""
    start: Callable[["Hosted", Any], HostCopy] = field(compare=False, repr=False)
    """Turns a game that was built into a running copy."""

    num_goals = 0
    obs_dtype = np.dtype(np.float32)
    public_legal = False
    public_events = False
    reset = step = render = not_jitted

    @property
    def num_seats(self) -> int:
        return len(self.seats)

    @property
    def num_actions(self) -> int:
        return max(seat.num_actions for seat in self.seats)

    @property
    def obs_shape(self) -> tuple[int]:
        return (max(seat.width for seat in self.seats),)

    def encode(self, obs: Float[Array, " D"]) -> Float[Array, " F"]:
        return obs

    def open(self, pictures: bool = False) -> HostCopy:
        settings = dict(self.settings)
        if pictures:
            # some take no render_mode, or not this one, and may draw without
            with suppress(Exception):
                return self.start(self, self.build(**settings, render_mode="rgb_array"))
        return self.start(self, self.build(**settings))


def seat(agent: str, observation: spaces.Space, action: spaces.Space, game: str) -> Seat:
    """Reads the spaces of one player."""
    mask_key = None
    if isinstance(observation, spaces.Dict):
        mask_key = next((key for key in MASKS + LISTS if key in observation.spaces), None)
        if mask_key is not None:
            rest = {key: s for key, s in observation.spaces.items() if key != mask_key}
            observation = spaces.Dict(rest)
    if not observation.is_np_flattenable:
        raise ValueError(
            f"{game}: agent {agent!r} observes {observation}, which has no fixed width"
        )
    width = spaces.flatdim(observation)
    if isinstance(action, spaces.Discrete):
        first, count = int(action.start), int(action.n)
        moves = None if first == 0 else list(range(first, first + count))
        return Seat(agent, observation, width, count, moves, mask_key, action)
    sizes = getattr(action, "nvec", None)
    if isinstance(action, spaces.MultiBinary):
        sizes = np.full(action.shape, 2)
    if sizes is None or math.prod(sizes.ravel().tolist()) > MOST_ACTIONS:
        raise ValueError(
            f"{game}: agent {agent!r} acts in {action}; only Discrete actions and products of at "
            f"most {MOST_ACTIONS} can be played. Many games have a setting such as "
            "continuous=false; others need a wrapper that makes actions discrete"
        )
    start = getattr(action, "start", np.zeros_like(sizes))
    moves = [np.reshape(at, sizes.shape).astype(action.dtype) + start.astype(action.dtype)
             for at in np.ndindex(*sizes.ravel())]  # fmt: skip
    return Seat(agent, observation, width, len(moves), moves, mask_key, action)


def masks_of(
    game: Any, seats: Sequence[Seat], keys: Sequence[Any], rows: Sequence[np.ndarray]
) -> Callable[[Sequence[bool]], None] | None:
    """A function that fills these rows with what the game itself offers, if it does.

    It is called with who is present; ``keys`` name the players to the game.
    """
    inner = getattr(game, "unwrapped", game)
    if hasattr(inner, "_valid_actions") and hasattr(inner, "players"):
        return _foraging_masks(inner, rows)
    owners = [(o, n) for n in MASKS + LISTS for o in (game, inner) if hasattr(o, n)]
    if not owners:
        return None
    owner, name = owners[0]

    def fill(present: Sequence[bool]) -> None:
        offer = getattr(owner, name)
        takes_agent = callable(offer) and len(signature(offer).parameters) > 0
        whole: Any = None if takes_agent else (offer() if callable(offer) else offer)
        alone = len(seats) == 1 and not isinstance(whole, dict) and np.ndim(whole) == 1
        for i, key in enumerate(keys):
            if present[i]:
                found = offer(key) if takes_agent else whole if alone else whole[key]
                seats[i].write_legal(found, name, rows[i])

    return fill


def _foraging_masks(game: Any, rows: Sequence[np.ndarray]) -> Callable[[Sequence[bool]], None]:
    """lbforaging keeps a list of valid actions for each of its players."""
    views = [row.view(np.uint8).data for row in rows]  # half the time of writing an array
    known: dict[int, bytes] = {}

    def fill(present: Sequence[bool]) -> None:
        valid = game._valid_actions
        for i, player in enumerate(game.players):
            bits = 0
            for action in valid[player]:
                bits |= 1 << action._value_  # .value goes through a descriptor: three times slower
            if bits not in known:
                known[bits] = bytes(bits >> a & 1 for a in range(len(views[i])))
            views[i][:] = known[bits]

    return fill


def masks_in(info: Any) -> str | None:
    """The name under which an info holds legal moves, if it does."""
    return next((key for key in MASKS + LISTS if key in info), None)


def unpacked(result: Any, verb: str, wanted: Sequence[str]) -> Sequence[Any]:
    """What a game returned, of which there must be so many parts."""
    if isinstance(result, tuple | list) and len(result) == len(wanted):
        return result
    found = f"{len(result)} things" if isinstance(result, tuple | list) else type(result).__name__
    raise GameError(
        f"{verb} must return {', '.join(wanted)}; found {found}: the usual cause is a game written "
        "for the old gym interface"
    )


def check_reward(paid: Any, agent: str) -> float:
    if not isinstance(paid, int | float | np.integer | np.floating | np.bool_):
        raise GameError(f"agent {agent!r}: expected a number as reward, found {paid!r}")
    return float(paid)


def find_limit(*places: Any) -> int | None:
    """The shortest time limit that a game or its settings declare."""
    look = lambda place, name: (
        place.get(name) if isinstance(place, dict) else getattr(place, name, None)
    )
    found = (look(place, name) for place in places for name in LIMITS)
    return min((int(x) for x in found if isinstance(x, int | np.integer) and x > 0), default=None)


def need_horizon(name: str, horizon: int | None) -> int:
    if horizon is None:
        raise ValueError(
            f"{name} does not say how long an episode may last: give the most moves an episode "
            f"may have, for example {name},horizon=100; longer ones are then cut short"
        )
    return horizon


def picture(about: Hosted, game: Any, moves_made: int, shown: HostStep) -> Picture:
    """The game as it draws itself; as what everyone sees, where it does not or cannot here."""
    inner = getattr(game, "unwrapped", game)
    try:
        by_mode = "mode" in signature(inner.render).parameters
        pixels = inner.render(mode="rgb_array") if by_mode else game.render()
    except Exception:  # no screen, no window, not written
        pixels = None
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3:
        rows = [row[: seat.width] for row, seat in zip(shown.obs, about.seats, strict=True)]
        return observed_picture(about.name, rows, shown.alive, moves_made, about.horizon)
    here = ", ".join(str(i) for i in np.flatnonzero(shown.alive)) or "none"
    words = f"{about.name}: {moves_made} moves made, seats present: {here}"
    return Picture(pixels.astype(np.uint8), words)
