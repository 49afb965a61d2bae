"""How the players of foreign games are read: observations, legal moves and actions as arrays."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from counterplay.errors import GameError
from counterplay.names import listed

MASKS = ("action_mask", "action_masks", "avail_actions", "get_avail_actions")
"""Names of a 0 or 1 for every action: in an observation, in an info, or a method of the game."""
LISTS = ("legal_moves", "valid_actions")
"""Names of lists of action numbers, in the same places."""
MOST_ACTIONS = 512


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
            self._check_masked(found)
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

    def _check_masked(self, found: Any) -> None:
        if not isinstance(found, dict):
            raise GameError(
                f"agent {self.agent!r}: expected a dictionary with {self.mask_key!r} as "
                f"observation, as observation_space says, found {found!r}"
            )
        if self.mask_key not in found:
            raise GameError(
                f"agent {self.agent!r}: expected {self.mask_key!r} in its observation, as "
                f"observation_space says, found {listed(map(str, found))}"
            )

    def _checked(self, found: Any) -> np.ndarray:
        array, space = _as_array(found), self.space
        if array.shape == space.shape and np.can_cast(array.dtype, space.dtype):  # type: ignore
            return array
        expected = f"{space.dtype}{list(space.shape or ())}"
        if array.dtype.kind not in "biufc":
            raise GameError(
                f"agent {self.agent!r}: expected an observation {expected}, found "
                f"{'None' if found is None else type(found).__name__}, which holds no numbers: the "
                "game must show everyone who is there an array"
            )
        wrong_shape = array.shape != space.shape
        cause = "observation_space does not describe what the game returns" if wrong_shape else (
            f"a missing .astype({space.dtype})"
        )  # fmt: skip
        raise GameError(
            f"agent {self.agent!r}: expected an observation {expected}, found "
            f"{array.dtype}{list(array.shape)}; the usual cause is {cause}"
        )

    def write_legal(self, found: Any, name: str, row: np.ndarray) -> None:
        """Reads legal moves, a mask or a list by the name under which they came."""
        array, n = _as_array(found), self.num_actions
        if name in LISTS and array.dtype != bool:
            numbers = array.ndim == 1 and (array.dtype.kind in "iu" or not len(array))
            if not numbers or (len(array) and not 0 <= array.min() <= array.max() < n):
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


def _as_array(found: Any) -> np.ndarray:
    """Of dtype object where it is no array: rows of different lengths, or anything else."""
    try:
        return np.asarray(found)
    except ValueError:
        return np.asarray(None)


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
