"""Matches of an agent with one bot, throw by throw, and how well the bot's throws were foreseen.

Axes: ``L`` matches side by side, ``T`` throws, ``A`` three of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from counterplay.envs.hosting import HostGame
from counterplay.evaluate.predicted import DIGITS, last_move_so_far, marginal_so_far, nll
from counterplay.evaluate.records import recorded
from counterplay.evaluate.returns import EVALUATION, alike
from counterplay.rollout_host import collect_host, open_host
from counterplay.seats import Roster

MEASURES = ("nll", "top1", "frequencies", "transitions")
"""Of a match: nats a throw and share of throws foreseen by the agent, which may predict nothing;
nats a throw from how often each throw was made so far, and from what followed the last one."""


class Played(NamedTuple):
    """Whole matches, the agent in the first seat."""

    returns: Float[np.ndarray, " L"]
    throws: Int[np.ndarray, "L T"]
    """The bot's."""
    predicted: Float[np.ndarray, "L T A"] | None
    """The agent's log-probabilities of them, held before each; None where it does not tell."""


def play(game: HostGame, roster: Roster, matches: int, seed: int, greedy: bool) -> Played:
    """At least so many matches of one episode, all side by side."""
    seating = alike(roster.seating(roster.lanes_for(matches)))
    first, key = np.random.default_rng([seed, EVALUATION]).integers(2**31, size=2).tolist()
    games = open_host(game, seating, roster.others, first)
    size: dict[str, Any] = {"slots": game.horizon, "greedy": greedy, "watch": True}
    try:
        games, chunk = collect_host(game, seating, roster.others, games, key, **size)
    finally:
        games.close()
    told = recorded(seating, chunk.records, "predict", np.array([[0]]))
    held = None if told is None else np.asarray(told, np.float64)[:, :, 0, 0]
    return Played(
        np.asarray(chunk.slots["returns"], np.float64)[:, -1, 0],
        np.asarray(chunk.slots["actions"], np.int64)[:, :, 1],
        None if held is None or np.isnan(held).any() else held,
    )


def foreseen(
    throws: Int[np.ndarray, "L T"], predicted: Float[np.ndarray, "L T A"] | None, actions: int = 3
) -> dict[str, list[float | None]]:
    """MEASURES of every match; None where nothing was predicted.

    The nats of a match are None, too, where a throw was made that was given no chance. Where
    several throws are foreseen as likely as each other, each is a part of a guess.
    """
    legal = np.ones((*throws.shape, actions), bool)
    nats = lambda held: nll(held, throws).mean(-1).tolist()
    found = {
        "nll": [None] * len(throws),
        "top1": [None] * len(throws),
        "frequencies": nats(marginal_so_far(throws, legal)),
        "transitions": nats(last_move_so_far(throws, legal)),
    }
    if predicted is None:
        return found
    made = np.take_along_axis(predicted, throws[..., None], -1)[..., 0].mean(-1)
    even = np.round(predicted, DIGITS)
    best = even == even.max(-1, keepdims=True)
    hit = np.take_along_axis(best, throws[..., None], -1)[..., 0] / best.sum(-1)
    chance = [float(-x) if np.isfinite(x) else None for x in made]
    return found | {"nll": chance, "top1": hit.mean(-1).tolist()}


def averages(bots: Sequence[Mapping[str, Sequence[float | None]]]) -> dict[str, float | None]:
    """Means over bots of the means over their matches; None where any match has none."""

    def mean(name: str) -> float | None:
        each = [np.array(bot[name], float) for bot in bots]  # None becomes NaN
        found = float(np.mean([x.mean() for x in each]))
        return None if np.isnan(found) else found

    return {name: mean(name) for name in MEASURES}
