"""PettingZoo games in which everyone moves at once.

A player that terminates has left: absent afterwards, with nothing to see and no legal action. The
episode is terminated when everyone who was left has terminated, and truncated when the game or the
horizon cuts it short while somebody played on; those players stay, so that what they could still
have earned is estimated. A player truncated on its own, while others play on, leaves.

Time limits. PettingZoo's own games report max_cycles as truncation, also when the rules end the
episode in the same step; where such a game can be asked, its own end counts. (multiwalker reports
its limit as termination, but its actions are continuous.)
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

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
    "mpe2._mpe_utils.simple_env.SimpleEnv": lambda game: game.scenario.is_terminal(game.world),
    "pettingzoo.sisl.pursuit.pursuit.raw_env": lambda game: game.env.is_terminal,
}
"""Games that hide their own end behind their time limit -> whether it was their own."""


STEP = ("observations", "rewards", "terminations", "truncations", "infos")
"""What ``step`` returns, each a dictionary by agent."""


def factory(module: str, text: str) -> Callable[..., Any]:
    """``parallel_env`` of a module."""
    parent, _, last = module.rpartition(".")
    package = needed(parent or module, text)
    near = [found.name for found in iter_modules(getattr(package, "__path__", []))]
    if parent and near and last not in near:
        raise ValueError(f"{text}: {parent} has no game {last!r}{did_you_mean(last, near)}")
    try:
        found = import_module(module)
    except ImportError as error:
        raise ValueError(f"{text} cannot be imported: {error}") from error
    if not hasattr(found, "parallel_env"):
        raise ValueError(
            f"{text}: {module} has no parallel_env, so its players do not move at once; only games "
            "in which they do can be played"
        )
    return found.parallel_env


def describe(
    name: str, build: Callable[..., Any], settings: dict, horizon: int | None, see_moves: bool
) -> Hosted:
    """Makes the game once to read its players, their spaces and its time limit."""

    def read(game: Any) -> Any:
        agents = getattr(game, "possible_agents", None)
        if not agents:
            raise ValueError(f"{name} has no possible_agents: its players must be known beforehand")
        inner = getattr(game, "unwrapped", game)
        seats = [
            seat(agent, game.observation_space(agent), game.action_space(agent), name)
            for agent in agents
        ]
        return seats, (game, inner, getattr(inner, "env", None))

    return foreign.describe((name, build, settings, horizon, see_moves), read, PettingZooCopy)


class PettingZooCopy:
    """One running copy of a PettingZoo game."""

    def __init__(self, about: Hosted, game: Any):
        self._about, self._game, self._seats = about, game, about.seats
        self._agents = [seat.agent for seat in about.seats]
        self._present = [False] * len(self._agents)
        self._own_end = own_end_of(getattr(game, "unwrapped", game), OWN_ENDS)
        self._moves_made = 0
        self.write_into(blank(about))

    def write_into(self, out: HostStep) -> None:
        """Shows everything in these arrays from now on."""
        self._out, self._obs, self._legal = out, list(out.obs), list(out.legal)
        self._fill_legal = masks_of(self._game, self._seats, self._agents, self._legal)

    def reset(self, seed: int) -> HostStep:
        obs, infos = unpacked(self._game.reset(seed=int(seed)), "reset", ("observations", "infos"))
        self._moves_made = 0
        named = self._named()
        if not named:
            raise GameError("nobody is there when an episode begins: the game's agents are empty")
        for about in self._seats:
            about.check_actions(self._game.action_space(about.agent))
        self._present = [agent in named for agent in self._agents]
        self._check_names("observation", obs, [a for a in self._agents if a in named])
        self._info_key: str | None = None
        out = self._out
        out.reward.fill(0.0)
        out.visible[...] = True if self._about.see_moves else np.eye(len(self._seats), dtype=bool)
        out.terminated[...] = out.truncated[...] = False
        self._show(obs, infos)
        return out

    def step(self, actions: Sequence[int]) -> HostStep:
        moving = [i for i, here in enumerate(self._present) if here]
        names = [self._agents[i] for i in moving]
        moves = {self._agents[i]: self._seats[i].move(actions[i]) for i in moving}
        result = unpacked(self._game.step(moves), "step", STEP)
        obs, rewards, terminations, truncations, infos = result
        self._check_names("reward", rewards, names)
        self._check_names("termination", terminations, names)
        self._check_names("truncation", truncations, names)
        out = self._out
        out.reward.fill(0.0)
        for i in moving:
            out.reward[i] = check_reward(rewards[self._agents[i]], self._agents[i])
        self._moves_made += 1
        self._end(moving, terminations, truncations)
        staying = [agent for i, agent in enumerate(self._agents) if self._present[i]]
        self._check_names("observation", obs, staying)
        self._show(obs, infos)
        return out

    def _end(self, moving: list[int], terminations: Any, truncations: Any) -> None:
        """Who is present from now on, and whether the episode is over."""
        for kind, flags in (("termination", terminations), ("truncation", truncations)):
            for i in moving:
                if not isinstance(flags[self._agents[i]], bool | np.bool_):
                    raise GameError(f"agent {self._agents[i]!r}: expected True or False for "
                                    f"{kind}, found {flags[self._agents[i]]!r}")  # fmt: skip
        ended = {i for i in moving if terminations[self._agents[i]]}
        cut = {i for i in moving if truncations[self._agents[i]]} - ended
        playing = [i for i in moving if i not in ended and i not in cut]
        if cut and not playing and self._own_end and self._own_end(self._game.unwrapped):
            ended, cut = ended | cut, set()
        named = self._named()
        for i in playing:
            if self._agents[i] not in named:
                raise GameError(
                    f"agent {self._agents[i]!r} is no longer among the game's agents, but was "
                    "neither terminated nor truncated"
                )
        came = [i for i, agent in enumerate(self._agents) if agent in named and i not in moving]
        over = not playing and not came
        for i in () if over else (*ended, *cut):
            if self._agents[i] in named:
                raise GameError(
                    f"agent {self._agents[i]!r} was {'terminated' if i in ended else 'truncated'} "
                    "while others play on, but is still among the game's agents"
                )
        stay = {*playing, *came, *(cut if over else ())}
        self._present = [i in stay for i in range(len(self._agents))]
        late = self._moves_made >= self._about.horizon
        self._out.terminated[...] = over and not cut
        self._out.truncated[...] = bool(cut) if over else late

    def _named(self) -> set[str]:
        """Those who are there, as the game says."""
        found = self._game.agents
        named = set(found)
        if len(named) < len(found):
            raise GameError(f"the game's agents name somebody twice: {listed(map(str, found))}")
        for agent in named.difference(self._agents):
            raise self._stranger("an entry among agents", agent)
        return named

    def _stranger(self, what: str, agent: Any) -> GameError:
        guess = did_you_mean(str(agent), self._agents)
        return GameError(f"{what} for {agent!r}, who is not among possible_agents{guess}")

    def _show(self, obs: Any, infos: Any) -> None:
        out = self._out
        self._check_dictionary("info", infos)
        if self._info_key is None:  # some tell no legal moves as an episode begins
            told = (check_info(x, f"the info of agent {a!r}") for a, x in infos.items())
            self._info_key = next(filter(None, map(masks_in, told)), None)
        for i, about in enumerate(self._seats):
            here = out.alive[i] = self._present[i]
            self._legal[i].fill(False)
            if not here:
                self._obs[i].fill(0)
                continue
            found = obs[about.agent]
            about.write_obs(found, self._obs[i])
            if about.mask_key is not None:
                about.write_legal(found[about.mask_key], about.mask_key, self._legal[i])
            elif self._info_key is not None and not out.truncated:  # where nobody moves any more
                self._write_from_info(i, self._info_key, infos.get(about.agent, {}))
            else:
                self._legal[i][: about.num_actions] = True
        if self._fill_legal is not None:
            self._fill_legal(self._present)

    def _write_from_info(self, i: int, key: str, info: Any) -> None:
        about = self._seats[i]
        if key not in check_info(info, f"the info of agent {about.agent!r}"):
            raise GameError(
                f"agent {about.agent!r}: expected {key!r} in its info, as before in this episode, "
                f"found {listed(map(str, info))}"
            )
        about.write_legal(info[key], key, self._legal[i])

    def _check_dictionary(self, what: str, found: Any) -> None:
        if not isinstance(found, dict):
            raise GameError(
                f"expected a dictionary with the {what} of each agent, found {type(found).__name__}"
            )

    def _check_names(self, what: str, found: Any, wanted: Sequence[str]) -> None:
        self._check_dictionary(what, found)
        for agent in wanted:
            if agent not in found:
                raise GameError(f"agent {agent!r} has no {what}; the game gave some to: "
                                f"{listed(map(str, found))}")  # fmt: skip
        if len(found) > len(wanted):
            for agent in found:
                if agent not in self._agents:
                    raise self._stranger(what, agent)

    def render(self):
        return picture(self._about, self._game, self._moves_made, self._out)

    def close(self) -> None:
        self._game.close()
