"""Gymnasium games, of one player or of several.

A game of several players gives a tuple of observations and takes a tuple of actions, as
lbforaging and rware do; its players stay until the game ends for all of them.

Time limits. Gymnasium's own wrapper reports them as truncation. lbforaging and rware report theirs
as termination, so these two are asked whether their rules ended the episode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from counterplay.envs import foreign
from counterplay.envs.foreign import (
    Hosted,
    check_info,
    check_reward,
    masks_in,
    masks_of,
    own_end_of,
    unpacked,
)
from counterplay.envs.foreign_pictures import picture
from counterplay.envs.foreign_seats import seat
from counterplay.envs.hosting import HostStep, blank, needed
from counterplay.errors import GameError
from counterplay.names import did_you_mean, listed

OWN_ENDS: dict[str, Callable[[Any], bool]] = {
    "lbforaging.foraging.environment.ForagingEnv": lambda game: not game.field.any(),
    "rware.warehouse.Warehouse": lambda game: (
        bool(game.max_inactivity_steps) and game._cur_inactive_steps >= game.max_inactivity_steps
    ),
}
"""Games that do not tell their time limit from their own end -> whether it was their own."""

STEP = ("observation", "reward", "terminated", "truncated", "info")
"""What ``step`` returns."""

REGISTERED_BY = {"Foraging": "lbforaging", "rware": "rware"}
"""Beginning of an id -> the package that registers it."""


@dataclass(frozen=True)
class Maker:
    """Makes a registered game."""

    game_id: str

    def __call__(self, **settings: Any) -> gymnasium.Env:
        return gymnasium.make(self.game_id, disable_env_checker=True, **settings)


def registered(game_id: str, text: str, modules: tuple[str, ...]) -> Maker:
    """The maker of a registered game; ``modules`` are those that register it."""
    more = tuple(REGISTERED_BY[start] for start in REGISTERED_BY if game_id.startswith(start))
    for module in modules + more:
        needed(module, text)
    if ":" not in game_id and game_id not in gymnasium.registry:
        alike = [known for known in gymnasium.registry if known[:2].lower() == game_id[:2].lower()]
        guess = did_you_mean(game_id, alike or gymnasium.registry)
        raise ValueError(f"{text}: unknown gymnasium game {game_id!r}{guess}")
    return Maker(game_id)


def describe(
    name: str, build: Callable[..., Any], settings: dict, horizon: int | None, see_moves: bool
) -> Hosted:
    """Makes the game once to read its spaces and its time limit."""

    def read(game: Any) -> Any:
        obs, act = game.observation_space, game.action_space
        pairs = zip(obs, act, strict=True) if _several(game) else [(obs, act)]
        seats = [seat(f"player {i}", o, a, name) for i, (o, a) in enumerate(pairs)]
        return seats, (getattr(game, "spec", None), game.unwrapped)

    return foreign.describe((name, build, settings, horizon, see_moves), read, GymnasiumCopy)


def _several(game: Any) -> bool:
    obs, act = game.observation_space, game.action_space
    both = isinstance(obs, spaces.Tuple) and isinstance(act, spaces.Tuple)
    return both and len(obs) == len(act)


def _check_count(found: Any, wanted: int, what: str) -> None:
    """Of several players there is one of everything for each, in order."""
    in_order = isinstance(found, list | tuple) or (isinstance(found, np.ndarray) and found.ndim > 0)
    if not in_order or len(found) != wanted:
        there = f"a {type(found).__name__} of {len(found)}" if in_order else repr(found)
        raise GameError(
            f"expected {wanted} {what}, one for each player in a tuple or a list, found {there}"
        )


class GymnasiumCopy:
    """One running copy of a gymnasium game."""

    def __init__(self, about: Hosted, game: Any):
        self._about, self._game, self._seats = about, game, about.seats
        self._alone = not _several(game)
        self._plain = all(seat.moves is None for seat in self._seats)
        self._present = [True] * len(self._seats)
        self._own_end = own_end_of(game.unwrapped, OWN_ENDS)
        self._moves_made = 0
        self._acts: Any = None
        self.write_into(blank(about))

    def write_into(self, out: HostStep) -> None:
        """Shows everything in these arrays from now on."""
        self._out, self._legal = out, list(out.legal)
        self._reward: Any = out.reward.data
        numbers = range(len(self._seats))
        self._fill_legal = masks_of(self._game, self._seats, numbers, self._legal)
        rows = [row[: seat.width] for seat, row in zip(self._seats, out.obs, strict=True)]
        # a memoryview takes arrays of its own shape and type only, and copies them in one call
        direct = [row.data for row in rows]
        self._ways = [
            (seat, row, view if seat.flat else None)
            for seat, row, view in zip(self._seats, rows, direct, strict=True)
        ]

    def reset(self, seed: int) -> HostStep:
        obs, info = unpacked(self._game.reset(seed=int(seed)), "reset", ("observation", "info"))
        self._moves_made = 0
        acts = self._game.action_space
        if acts is not self._acts:
            for about, now in zip(self._seats, (acts,) if self._alone else acts, strict=True):
                about.check_actions(now)
            self._acts = acts
        self._info_key: str | None = None
        out = self._out
        for row, about in zip(self._legal, self._seats, strict=True):
            row.fill(False)
            row[: about.num_actions] = True
        out.alive.fill(True)
        out.reward.fill(0.0)
        out.visible[...] = True if self._about.see_moves else np.eye(len(self._seats), dtype=bool)
        out.terminated[...] = out.truncated[...] = False
        self._show((obs,) if self._alone else obs, info)
        return out

    def step(self, actions: Sequence[int]) -> HostStep:
        moves = tuple(actions)
        if not self._plain:
            moves = tuple(seat.move(a) for seat, a in zip(self._seats, moves, strict=True))
        result = self._game.step(moves[0] if self._alone else moves)
        if type(result) is not tuple or len(result) != len(STEP):
            result = unpacked(result, "step", STEP)
        obs, reward, terminated, truncated, info = result
        if self._alone:
            obs, reward = (obs,), (reward,)
        self._pay(reward)
        self._end(terminated, truncated)
        self._show(obs, info)
        return self._out

    def _show(self, obs: Any, info: Any) -> None:
        if not self._alone:
            _check_count(obs, len(self._seats), "observations")
        if type(info) is not dict:
            check_info(info, "the info")
        for (about, row, direct), found in zip(self._ways, obs, strict=True):
            if direct is None:
                about.write_obs(found, row)
                continue
            try:
                direct[:] = found
            except (TypeError, ValueError, BufferError):
                about.write_obs(found, row)
        if self._fill_legal is not None:
            self._fill_legal(self._present)
            return
        if self._info_key is None:  # some tell no legal moves as an episode begins
            self._info_key = masks_in(info)
        key = self._info_key
        rows: Any = () if key is None else self._rows(key, info)
        for i, about in enumerate(self._seats):
            if about.mask_key is not None:
                about.write_legal(obs[i][about.mask_key], about.mask_key, self._legal[i])
            elif key is not None and rows is not None:
                about.write_legal(rows[i], key, self._legal[i])

    def _rows(self, key: str, info: dict[str, Any]) -> Any:
        """Everyone's legal moves from the info; None where nobody moves any more."""
        if key not in info:
            if self._out.terminated or self._out.truncated:
                return None
            raise GameError(
                f"expected {key!r} in the info, as before in this episode, found "
                f"{listed(map(str, info))}"
            )
        if self._alone:
            return (info[key],)
        _check_count(info[key], len(self._seats), f"entries in {key!r} of the info")
        return info[key]

    def _pay(self, reward: Any) -> None:
        if not self._alone:
            _check_count(reward, len(self._seats), "rewards")
        out = self._reward
        for i, paid in enumerate(reward):
            plain = type(paid) is float or type(paid) is int
            out[i] = paid if plain else check_reward(paid, self._seats[i].agent)

    def _end(self, terminated: Any, truncated: Any) -> None:
        for flag in (terminated, truncated):
            if type(flag) is not bool and not isinstance(flag, np.bool_):
                raise GameError(
                    f"expected one True or False for the end of the game, found {flag!r}: "
                    "games whose players end apart are PettingZoo games"
                )
        self._moves_made += 1
        if not (terminated or truncated or self._moves_made >= self._about.horizon):
            return
        if self._own_end is not None:
            terminated = self._own_end(self._game.unwrapped)
        self._out.terminated[...], self._out.truncated[...] = terminated, not terminated

    def render(self):
        return picture(self._about, self._game, self._moves_made, self._out)

    def close(self) -> None:
        self._game.close()
