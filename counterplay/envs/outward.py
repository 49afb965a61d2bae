"""Games in JAX for programs of others: each as a PettingZoo ``ParallelEnv``.

Legal moves come in ``infos[agent]["action_mask"]``, which PettingZoo's own tests read, and so does
``counterplay.envs.pettingzoo``. A player who leaves is terminated by the move with which it left;
one who comes, or comes back, is among the agents from then on. Where nobody is there the game moves
on by itself until somebody is: to PettingZoo's programs an episode without agents is over.
"""

from typing import Any

import jax
import numpy as np
from gymnasium import logger, spaces
from jaxtyping import Int8, Shaped
from pettingzoo import ParallelEnv

from counterplay.envs.hosting import HostStep, NativeCopy
from counterplay.names import listed, unknown
from counterplay.types import NO_MOVE, Env

MODES = ("rgb_array", "ansi")
MOST_SEED = 2**32 - 1


class Exported(ParallelEnv[str, Any, Any]):
    """One running copy of a game. Copies of equal games share what was compiled.

    Rows of what was shown are copied, so an observation may be kept and written to.
    """

    def __init__(
        self, game: Env, name: str, render_mode: str | None, encoded: bool, masked: bool
    ) -> None:
        if render_mode is not None and render_mode not in MODES:
            raise unknown(f"render_mode of {name}", render_mode, MODES)
        self.metadata = {"name": name, "render_modes": [*MODES], "is_parallelizable": True}
        self.render_mode, self.game, self.horizon = render_mode, game, game.horizon
        self.possible_agents = [f"seat_{i}" for i in range(game.num_seats)]
        self.agents = []
        stored = jax.ShapeDtypeStruct(game.obs_shape, game.obs_dtype)
        row = jax.eval_shape(game.encode, stored) if encoded else stored
        # a space for each agent: everyone samples moves from a generator of its own
        self.observation_spaces = {
            agent: _observed(row.shape, row.dtype, game.num_actions if masked else 0)
            for agent in self.possible_agents
        }
        self.action_spaces = {a: spaces.Discrete(game.num_actions) for a in self.possible_agents}
        self.state_space = _anything((game.num_seats * row.shape[0],), row.dtype)
        self._copy, self._masked = NativeCopy(game, encoded), masked
        self._shown: HostStep | None = None
        self._random = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begins an episode; there are no options.

        Without a seed, 0 to 2**32 - 1, this episode's is drawn: after a reset with a seed the same
        sequence again.
        """
        if seed is None:
            seed = int(self._random.integers(MOST_SEED, endpoint=True))
        elif 0 <= seed <= MOST_SEED:
            self._random = np.random.default_rng(seed)
        else:
            raise ValueError(f"{self}: a seed is 0 to {MOST_SEED}, found {seed}")
        self._shown = self._until_somebody_is_there(self._copy.reset(seed))
        everyone = zip(self.possible_agents, self._shown.alive.tolist(), strict=True)
        self.agents = [agent for agent, here in everyone if here]
        return self._tell(self.agents)

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        """Moves everyone present at once. A move the mask forbids does what the game makes of it:
        in the games of this package, nothing. After the end nobody moves and nothing is shown."""
        self._need_episode()
        self._check(actions)
        movers = self.agents
        if not movers:
            return {}, {}, {}, {}, {}
        moves = [int(actions.get(agent, NO_MOVE)) for agent in self.possible_agents]
        shown = self._copy.step(moves)
        # what is paid while nobody is there is nobody's
        paid = dict(zip(self.possible_agents, shown.reward.tolist(), strict=True))
        shown = self._shown = self._until_somebody_is_there(shown)
        alive = dict(zip(self.possible_agents, shown.alive.tolist(), strict=True))
        ended, cut = shown.terminated.item(), shown.truncated.item()
        self.agents = [] if ended or cut else [a for a in self.possible_agents if alive[a]]
        observations, infos = self._tell(list(dict.fromkeys([*movers, *self.agents])))
        return (
            observations,
            {agent: paid[agent] for agent in movers},
            {agent: ended or not alive[agent] for agent in movers},
            {agent: cut and alive[agent] for agent in movers},
            infos,
        )

    def state(self) -> Shaped[np.ndarray, " ND"]:
        """What all seats observe, one after the other."""
        return self._need_episode().obs.flatten()

    def render(self) -> np.ndarray | str | None:
        """The position as ``render_mode`` says: pixels, uint8 [height, width, 3], or words."""
        if self.render_mode is None:
            logger.warn(f"{self} draws nothing: make it with a render_mode, {listed(MODES)}")
            return None
        self._need_episode()
        picture = self._copy.render()
        return picture.pixels if self.render_mode == "rgb_array" else picture.text

    def close(self) -> None:
        self._copy.close()
        self.agents, self._shown = [], None

    def _until_somebody_is_there(self, shown: HostStep) -> HostStep:
        """What the game shows once there is somebody to move, or once it is over.

        Who was away in between only, and moved before, has not left to those who watch.
        """
        nobody = [NO_MOVE] * len(self.possible_agents)
        for _ in range(self.horizon):  # longer than that no game lasts
            if shown.alive.any() or shown.terminated or shown.truncated:
                break
            shown = self._copy.step(nobody)
        return shown

    def _need_episode(self) -> HostStep:
        if self._shown is None:
            raise ValueError(f"{self}: call reset first, no episode has begun")
        return self._shown

    def _check(self, actions: dict[str, Any]) -> None:
        if actions.keys() != set(self.agents):
            raise ValueError(
                f"{self}: expected an action of everyone present ({listed(self.agents)}), found "
                f"those of {listed(map(str, actions))}; who has left moves no more"
            )
        for agent, action in actions.items():
            if not self.action_spaces[agent].contains(action):
                most = self.game.num_actions - 1
                raise ValueError(f"{self}: the action of {agent} must be a whole number, 0 to "
                                 f"{most}, found {action!r}")  # fmt: skip

    def _tell(
        self, agents: list[str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Int8[np.ndarray, " A"]]]]:
        """Observations and infos of those who have just moved, or are about to."""
        shown = self._need_episode()
        rows = dict(zip(self.possible_agents, np.array(shown.obs), strict=True))
        masks = dict(zip(self.possible_agents, shown.legal.astype(np.int8), strict=True))
        infos = {agent: {"action_mask": masks[agent]} for agent in agents}
        if self._masked:
            return {a: {"observation": rows[a], "action_mask": masks[a]} for a in agents}, infos
        return {agent: rows[agent] for agent in agents}, infos


def _observed(shape: tuple[int, ...], dtype: np.dtype, num_actions: int) -> spaces.Space:
    """The space of an observation; with a number of actions, of one beside its mask."""
    row = _anything(shape, dtype)
    if not num_actions:
        return row
    return spaces.Dict(
        {"observation": row, "action_mask": spaces.Box(0, 1, (num_actions,), np.int8)}
    )


def _anything(shape: tuple[int, ...], dtype: np.dtype) -> spaces.Box:
    """All that a type can hold: games declare no bounds, and infinite ones pass no API test."""
    if np.issubdtype(dtype, np.bool_):
        return spaces.Box(0, 1, shape, np.bool_)  # type: ignore[arg-type]  (it takes them)
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    return spaces.Box(limits.min, limits.max, shape, dtype)


def export(game: Env, name: str, render_mode: str | None, encoded: bool, masked: bool) -> Exported:
    """A running copy, of a game in JAX only."""
    if hasattr(game, "open"):
        raise ValueError(
            f"{name} runs in ordinary Python already; only games in JAX are made PettingZoo games"
        )
    return Exported(game, name, render_mode, encoded, masked)
