"""What foreign games have in common: spaces read as arrays, legal moves, time limits."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from counterplay.envs.foreign_seats import LISTS, MASKS, Seat
from counterplay.envs.hosting import HostCopy, built, kinds_of, not_jitted
from counterplay.errors import GameError
from counterplay.names import Value

LIMITS = ("max_cycles", "max_episode_steps", "_max_episode_steps", "max_steps", "horizon")
"""What games call the number of moves after which they cut an episode short."""


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


def describe(
    about: tuple[str, Callable[..., Any], dict[str, Value], int | None, bool],
    read: Callable[[Any], tuple[Sequence[Seat], Sequence[Any]]],
    start: Callable[[Hosted, Any], HostCopy],
) -> Hosted:
    """Makes the game once: ``read`` tells its players, and where it may declare a time limit.

    ``about`` are its name, what builds it from its settings, these, the horizon that was asked
    for, and whether everyone sees what the others did.
    """
    name, build, settings, horizon, see_moves = about
    game = built(name, build, settings)
    try:
        seats, places = read(game)
        moves = need_horizon(name, horizon or find_limit(settings, *places))
    finally:
        with suppress(Exception):  # what is known of it by now is all that is wanted
            game.close()
    return Hosted(name, build, tuple(settings.items()), moves, see_moves, tuple(seats), start)


def own_end_of(game: Any, known: dict[str, Callable[[Any], bool]]) -> Callable[[Any], bool] | None:
    """What tells whether such a game ended by its own rules, where its kind is known."""
    return next((known[kind] for kind in kinds_of(game) if kind in known), None)


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

    def entry(whole: Any, key: Any) -> Any:
        try:
            return whole[key]
        except (LookupError, TypeError):
            raise GameError(
                f"{name} must hold the legal moves of {key!r}, found {whole!r}"
            ) from None

    def fill(present: Sequence[bool]) -> None:
        offer = getattr(owner, name)
        takes_agent = callable(offer) and len(signature(offer).parameters) > 0
        whole: Any = None if takes_agent else (offer() if callable(offer) else offer)
        alone = len(seats) == 1 and not isinstance(whole, dict) and np.ndim(whole) == 1
        for i, key in enumerate(keys):
            if present[i]:
                found = offer(key) if takes_agent else whole if alone else entry(whole, key)
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


def masks_in(info: dict[Any, Any]) -> str | None:
    """The name under which an info holds legal moves, if it does."""
    return next((key for key in MASKS + LISTS if key in info), None) if info else None


def check_info(found: Any, whose: str) -> dict[Any, Any]:
    if not isinstance(found, dict):
        raise GameError(f"expected a dictionary as {whose}, found {found!r}")
    return found


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
