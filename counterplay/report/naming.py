"""What pictures call the moves of a game, and the planes of what it shows."""

import math
from typing import Any, NamedTuple

import numpy as np

from counterplay import envs

STEPS = ("up", "down", "left", "right", "stay")
"""The first moves of every game on a board of ours."""
MOVES = {
    "stag_hunt": (*STEPS, "hunt stag", "hunt hare"),
    "snowdrift": (*STEPS, "clear"),
    "race": STEPS,
    "coordination": STEPS,
    "pursuit": STEPS,
    "scissors": (*STEPS, "challenge"),
    "foraging": (*STEPS, "load"),
}
GOALS = {
    "stag_hunt": ("stag", "hare"),
    "race": ("left", "centre", "right"),
    "coordination": ("left", "centre", "right"),
    "pursuit": ("north", "east", "south", "west"),
}
THINGS = {
    "stag_hunt": ("stags", "hares", "obstacles"),
    "snowdrift": ("drifts",),
    "pursuit": ("other seen last",),
    "scissors": ("other seen last",),
    "foraging": ("foods",),
}
"""Planes after those of the players."""


class Board(NamedTuple):
    """How the first numbers of an encoded observation are a board."""

    names: tuple[str, ...]
    """Of its planes."""
    rows: int
    columns: int
    last: bool = False
    """Planes are the last axis, [h, w, C]; else the first."""

    def planes(self, obs: np.ndarray) -> np.ndarray:
        """[..., F] -> [..., C, h, w]; what comes after the board is left out."""
        count, size = len(self.names), (self.rows, self.columns)
        flat = obs[..., : count * self.rows * self.columns]
        shape = (*size, count) if self.last else (count, *size)
        found = flat.reshape(*obs.shape[:-1], *shape)
        return np.moveaxis(found, -1, -3) if self.last else found


def moves_of(env: Any) -> tuple[str, ...]:
    """Names of the moves; numbers where the game has no names for them."""
    game = envs.game_of(env)
    if game == "matrix":
        from counterplay.envs.pictures import move_names

        return move_names(env)
    names = MOVES.get(game or "", ())
    if len(names) == env.num_actions:
        return names
    return tuple(f"move {number}" for number in range(env.num_actions))


def goals_of(env: Any) -> tuple[str, ...]:
    """Names of the goals; numbers where the game has no names for them."""
    names = GOALS.get(envs.game_of(env) or "", ())
    if len(names) == env.num_goals:
        return names
    return tuple(f"goal {number}" for number in range(env.num_goals))


def board_of(env: Any, features: int) -> Board | None:
    """The board in observations of so many numbers; None for a game that shows no planes."""
    game = envs.game_of(env)
    if game in THINGS:
        players = ("me", *(f"other {k}" for k in range(1, env.num_seats)))
        names = (*players, *THINGS[game])
        if len(names) * env.cells <= features:
            return Board(names, env.size, env.size)
    asked = getattr(getattr(env, "game", None), "observation_space", None)
    if asked is None:
        return None
    try:
        shape = asked(env.sizes.agents[0]).shape
    except (AttributeError, TypeError, KeyError, IndexError):  # games of others differ in this
        return None
    return board_shaped(shape) if math.prod(shape) == features else None


def board_shaped(shape: tuple[int, ...]) -> Board | None:
    """Of an observation of three axes: planes come first where the last two are alike, as in
    [C, h, h], else last."""
    if len(shape) != 3 or min(shape) < 1:
        return None
    last = not shape[1] == shape[2] != shape[0]
    planes, *size = (shape[2], *shape[:2]) if last else shape
    return Board(tuple(f"plane {k}" for k in range(planes)), *size, last=last)
