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
    told: dict[str, np.ndarray] | None,
) -> None:
    """Lets the ``bots``, by place, of one kind move in slot ``t``; answers go into ``action``.

    What they predict goes into ``told``, a record [T, K, P, M, A] by name; None where nobody asks.
    """
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
            view = {name: x[(*at, ...)] for name, x in seen.items()}
            answer = bot.act(view)
            if told is not None and callable(getattr(bot, "predict", None)):
                shape = len(action[0]) - 1, now.shown.legal.shape[-1]
                held = _predicted(bot, view, shape)
                every = *views.first.shape, *shape
                told.setdefault("predict", np.full(every, np.nan, np.float32))[t, *at] = held
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


def _predicted(bot: Any, view: dict[str, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """What a bot predicts of the others, log-probabilities [M, A]; ValueError for anything else."""
    held = np.asarray(bot.predict(view), float)
    if held.shape != shape:
        raise ValueError(
            f"predict must give log-probabilities {list(shape)}, a row an other, found "
            f"{list(held.shape)}"
        )
    total = np.exp(held).sum(-1)
    if not np.allclose(total, 1, atol=1e-3):
        raise ValueError(
            f"predict must give log-probabilities, whose rows sum to 1 once they are "
            f"exponentiated, found {total.tolist()}: are these probabilities themselves?"
        )
    return held
