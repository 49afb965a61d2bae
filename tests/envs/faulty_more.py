"""More small games that keep every promise but one: legal moves among observations, and several
players by Gymnasium's rules."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from faulty import LENGTH, Alone, Pair, part, put
from gymnasium import spaces

Edits = dict[str, tuple[Callable[[Any, Any], Any], str]]
EVERYTHING = spaces.Dict(
    {
        "observation": spaces.Box(-np.inf, np.inf, (3,), np.float32),
        "action_mask": spaces.Box(0, 1, (3,), np.int8),
    }
)
LEGAL = np.array([1, 0, 1], np.int8)
BARE = {"observation": np.ones(3, np.float32)}

MASKED: Edits = {
    "obs without its mask": (
        put("obs", "a", BARE),
        "'a': expected 'action_mask' in its observation, as observation_space says, found observ",
    ),
    "obs is nothing": (
        put("obs", "b", None),
        "'b': expected a dictionary with 'action_mask' as observation, .* found None",
    ),
    "obs is an array": (
        put("obs", "b", BARE["observation"]),
        "'b': expected a dictionary with 'action_mask' as observation, .* found array",
    ),
    "obs with half of it": (
        put("obs", "b", {"action_mask": LEGAL}),
        "'b': expected an observation in Dict.*, found {}",
    ),
}


MASKED_RESET: Edits = {
    "reset with nothing seen": (
        lambda game, good: (good[0] | {"a": None}, good[1]),
        "at reset: agent 'a': expected a dictionary with 'action_mask' as observation",
    )
}


class Masked(Pair):
    """Players a and b are told their legal moves in what they see."""

    steps: Any = MASKED
    resets: Any = MASKED_RESET

    def observation_space(self, agent: str) -> spaces.Space:
        return EVERYTHING

    def seen(self) -> dict[str, Any]:
        return {a: {"observation": x, "action_mask": LEGAL} for a, x in super().seen().items()}

    def infos(self) -> dict[str, Any]:
        return {agent: {} for agent in self.agents}


SEVERAL: Edits = {
    "too few obs": (part(0, (np.zeros(3, np.float32),)), "2 observations, .* found a tuple of 1"),
    "too many obs": (part(0, [np.zeros(3)] * 3), "2 observations, .* found a list of 3"),
    "obs by number": (
        part(0, dict.fromkeys(range(2), np.zeros(3, np.float32))),
        "expected 2 observations, one for each player in a tuple or a list, found {0: array",
    ),
    "obs are nothing": (part(0, None), "expected 2 observations, .* found None"),
    "one obs is nothing": (
        part(0, (np.zeros(3, np.float32), None)),
        "'player 1': expected an observation .* found None, which holds no numbers",
    ),
    "too few rewards": (part(1, [1.0]), "expected 2 rewards, .* found a list of 1"),
    "too many rewards": (part(1, np.ones(3)), "expected 2 rewards, .* found a ndarray of 3"),
    "rewards by number": (part(1, {0: 7.0, 1: -3.0}), "expected 2 rewards, .* found {0: 7.0, 1"),
    "rewards in a set": (part(1, {1.0, 2.0}), "expected 2 rewards, .* found {1.0, 2.0}"),
    "rewards in words": (part(1, "ab"), "expected 2 rewards, .* found 'ab'"),
    "rewards are nothing": (part(1, None), "expected 2 rewards, .* found None"),
    "one reward for all": (part(1, 1.0), "expected 2 rewards, .* found 1.0"),
    "an array of no axis": (part(1, np.array(1.0)), r"expected 2 rewards, .* found array.1\."),
    "one reward is nothing": (part(1, (1.0, None)), "'player 1': expected a number .* found None"),
    "ends in a list": (
        part(2, [False, False]),
        "one True or False .* found .False, False",
    ),
    "ends that differ": (part(2, (True, False)), "expected one True or False .* PettingZoo games"),
    "cuts in a list": (
        part(3, [False, False]),
        "one True or False .* found .False, False",
    ),
    "info is nothing": (part(4, None), "expected a dictionary as the info, found None"),
    "infos in a list": (part(4, [{}, {}]), "expected a dictionary as the info, found .{}, {}"),
    "mask missing": (part(4, {}), "expected 'action_mask' in the info, as before .* found none"),
    "one mask for two": (
        part(4, {"action_mask": [LEGAL]}),
        "expected 2 entries in 'action_mask' of the info, .* found a list of 1",
    ),
    "masks are nothing": (
        part(4, {"action_mask": None}),
        "expected 2 entries in 'action_mask' of the info, .* found None",
    ),
    "three things": (lambda game, good: good[:3], "step must return .* found 3 things"),
}


SEVERAL_RESET: Edits = {
    "reset with an info of nothing": (part(1, None), "at reset: expected a dictionary as the "),
    "reset with nothing seen": (part(0, None), "at reset: expected 2 observations, .* None"),
    "reset with things by number": (part(0, {0: 1, 1: 2}), "at reset: expected 2 observations"),
    "reset without info": (
        lambda game, good: good[0][0],
        "reset must return observation, info",
    ),
}


class Several(Alone):
    """Two players by Gymnasium's rules, of whom each earns 1 a move."""

    steps: Any = SEVERAL
    resets: Any = SEVERAL_RESET
    observation_space: Any = spaces.Tuple((Alone.observation_space,) * 2)
    action_space: Any = spaces.Tuple((Alone.action_space,) * 2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.episode, self.time = self.begin(), 0
        return self.bent(self.resets, (self.seen(), {"action_mask": [LEGAL] * 2}))

    def step(self, action: Any) -> Any:
        assert len(action) == 2
        self.time += 1
        over = self.time == LENGTH
        good = self.seen(), [1.0, 1.0], over, False, {"action_mask": [LEGAL] * 2}
        return self.bent(self.steps, good) if self.time == 2 else good

    def seen(self) -> Any:
        return tuple(np.array([self.episode, self.time, i], np.float32) for i in range(2))


assert issubclass(Several, gymnasium.Env)
