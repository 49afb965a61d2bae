"""Policies in ordinary Python: who they are, and how they are asked to move in the hosted loop."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from counterplay.envs.running import Running
from counterplay.errors import GameError
from counterplay.host_slots import Now
from counterplay.types import HostPolicy, View


@dataclass(frozen=True, eq=False)
class HostSeat:
    """A policy that acts in ordinary Python, for ``Kind.policy``; every place gets its own."""

    make: Callable[[], HostPolicy]


def ask(
    games: Running,
    places: np.ndarray,
    seat: HostSeat,
    bots: dict[int, tuple[HostSeat, HostPolicy]],
    views: Any,
    now: Now,
    t: int,
    action: np.ndarray,
) -> None:
    """Lets the ``bots``, by place, of one kind move in slot ``t``; answers go into ``action``."""
    acting = now.shown.alive & ~now.closing[:, None]
    names = [f.name for f in fields(View) if getattr(views, f.name) is not None]
    seen = {name: getattr(views, name)[t].copy() for name in names}
    for at, place in np.ndenumerate(places):
        lane, column = divmod(int(place), action.shape[1])
        known, bot = bots.get(int(place), (None, None))
        try:
            if bot is None or known is not seat:
                bot = seat.make()
                bots[int(place)] = seat, bot
            if known is not seat or now.first[lane]:
                new_match = known is not seat or bool(now.contact[lane])
                bot.begin(games.draw_seed(), new_match)
            if not acting[lane, column]:
                continue
            answer = bot.act({name: x[(*at, ...)] for name, x in seen.items()})
        except Exception as error:
            raise GameError(
                f"the bot {type(bot).__name__} at seat {column} of lane {lane} raised "
                f"{type(error).__name__}: {error} (slot {int(now.time[lane])} of its episode)"
            ) from error
        whole = isinstance(answer, int | np.integer) and not isinstance(answer, bool)
        legal = now.shown.legal[lane, column]
        if not whole or not 0 <= answer < len(legal) or not legal[answer]:
            raise games.unfair(lane, column, answer)
        action[lane, column] = answer
