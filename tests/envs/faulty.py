"""Small games that keep every promise, and what they do in some episodes instead.

A fault is chosen by name with ``ask_for``. It shows in the episodes BAD, counted over all copies;
what a player sees is the number of its episode, the moves made and who it is.
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 3
"""Moves of an episode."""
BAD = (3, 6)


class Returned(NamedTuple):
    """What a good step returns."""

    obs: dict[str, Any]
    rewards: dict[str, Any]
    terminations: dict[str, Any]
    truncations: dict[str, Any]
    infos: dict[str, Any]


def put(field: str, agent: str, value: Any) -> Callable[[Any, Returned], Any]:
    return lambda game, good: good._replace(**{field: {**getattr(good, field), agent: value}})


def drop(field: str, agent: str) -> Callable[[Any, Returned], Any]:
    def edit(game: Any, good: Returned) -> Returned:
        rest = {name: x for name, x in getattr(good, field).items() if name != agent}
        return good._replace(**{field: rest})

    return edit


def fail(*_: Any) -> Any:
    raise ZeroDivisionError("no luck")


def leave(*_: Any) -> Any:
    raise SystemExit(0)


def hang(*_: Any) -> Any:
    while True:
        time.sleep(0.01)


def hang_on(*_: Any) -> Any:
    while True:
        try:
            while True:
                pass
        except Exception:  # noqa: S110
            pass


def names(game: Any, *agents: str) -> None:
    game.agents = list(agents)


def away(game: Any, good: Returned) -> Returned:
    names(game, "a")
    return good


def strange(game: Any, good: Returned) -> Returned:
    names(game, "a", "b", "c")
    return put("obs", "c", good.obs["a"])(game, good)


def stays(game: Any, good: Returned) -> Returned:
    """A player that terminated is still named."""
    return put("terminations", "a", True)(game, good)


def mask(*entries: int) -> dict[str, Any]:
    return {"action_mask": np.array(entries, np.int8)}


STEP: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "raises": (fail, "after move 2: ZeroDivisionError: no luck"),
    "leaves the program": (leave, "after move 2: SystemExit"),
    "hangs": (hang, "after move 2: it did not return within 0.2 s .--env-timeout"),
    "hangs whatever is raised": (hang_on, "after move 2: it did not return within 0.2 s"),
    "obs of another shape": (
        put("obs", "a", np.zeros(4, np.float32)),
        r"'a': expected an observation float32.3., found float32.4.",
    ),
    "obs of another dtype": (put("obs", "b", np.zeros(3)), "'b'.*float64.*missing .astype"),
    "obs is nothing": (put("obs", "a", None), r"'a': expected an observation .*3., found None, wh"),
    "obs in words": (put("obs", "a", "here"), r"'a': expected an observation .*, found str, which"),
    "obs missing": (drop("obs", "b"), "agent 'b' has no observation"),
    "obs for a stranger": (
        put("obs", "c", np.zeros(3, np.float32)),
        "observation for 'c', who is not among possible_agents",
    ),
    "obs in a list": (
        lambda game, good: good._replace(obs=list(good.obs.values())),
        "expected a dictionary with the observation of each agent, found list",
    ),
    "reward missing": (drop("rewards", "a"), "agent 'a' has no reward"),
    "reward is nothing": (put("rewards", "a", None), "'a': expected a number .* found None"),
    "reward in words": (put("rewards", "b", "1"), "'b': expected a number as reward, found '1'"),
    "reward complex": (put("rewards", "b", 1j), "'b': expected a number as reward, found 1j"),
    "reward for a stranger": (put("rewards", "c", 1.0), "reward for 'c', who is not among"),
    "termination a number": (
        put("terminations", "a", 1),
        "'a': expected True or False for termination, found 1",
    ),
    "termination missing": (drop("terminations", "b"), "agent 'b' has no termination"),
    "truncation missing": (drop("truncations", "b"), "agent 'b' has no truncation"),
    "truncation in words": (
        put("truncations", "b", "no"),
        "'b': expected True or False for truncation, found 'no'",
    ),
    "agents shrink": (away, "agent 'b' is no longer among .*neither terminated nor truncated"),
    "agents with a stranger": (strange, "agents for 'c', who is not among possible_agents"),
    "agents keep who left": (stays, "agent 'a' was terminated .* but is still among"),
    "four things": (lambda game, good: tuple(good)[:4], "step must return .* found 4 things"),
    "nothing returned": (lambda game, good: None, "step must return .* found NoneType"),
    "mask too short": (put("infos", "a", mask(1, 1)), "'a': action_mask must hold a 0 or 1 for"),
    "mask of other numbers": (put("infos", "b", mask(1, 2, 0)), "'b': action_mask must hold"),
    "mask of nothing": (
        put("infos", "b", mask(0, 0, 0)),
        "before move 3: seat 1 .agent 'b'. is present but has no legal action",
    ),
    "mask missing": (put("infos", "a", {}), "'a': expected 'action_mask' in its info"),
    "info is nothing": (put("infos", "a", None), "dictionary as the info of agent 'a', found None"),
    "infos are nothing": (
        lambda game, good: good._replace(infos=None),
        "expected a dictionary with the info of each agent, found NoneType",
    ),
    "infos in a list": (
        lambda game, good: good._replace(infos=list(good.infos.values())),
        "expected a dictionary with the info of each agent, found list",
    ),
    "mask ragged": (
        put("infos", "a", {"action_mask": [[1], [0, 1]]}),
        "'a': action_mask must hold a 0 or 1 for each of 3 actions, found",
    ),
    "obs not a number": (
        put("obs", "a", np.full(3, np.nan, np.float32)),
        "after move 2: seat 0 .agent 'a'.: the observation holds a NaN",
    ),
    "reward infinite": (put("rewards", "b", np.inf), "'b'.: the reward holds a NaN or an infinity"),
}
"""In a step: what it does, and what is said of it."""
ODD = ("obs not a number", "reward infinite")
"""These are for --on-nonfinite: the number is found after the game has gone on."""

RESET: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "reset raises": (fail, "at reset: ZeroDivisionError: no luck"),
    "reset hangs": (hang, "at reset: it did not return within 0.2 s"),
    "reset without infos": (lambda game, good: good[0], "reset must return observations, infos"),
    "reset with infos of nothing": (
        lambda game, good: (good[0], None),
        "at reset: expected a dictionary with the info of each agent, found NoneType",
    ),
    "reset with an info of nothing": (
        lambda game, good: (good[0], good[1] | {"b": None}),
        "at reset: expected a dictionary as the info of agent 'b', found None",
    ),
    "nobody at reset": (
        lambda game, good: (names(game), good)[1],
        "at reset: nobody is there when an episode begins",
    ),
    "a stranger at reset": (
        lambda game, good: (names(game, "a", "c"), good)[1],
        "agents for 'c', who is not among possible_agents",
    ),
    "somebody twice at reset": (
        lambda game, good: (names(game, "a", "a"), good)[1],
        "agents name somebody twice: a, a",
    ),
    "obs missing at reset": (
        lambda game, good: ({"a": good[0]["a"]}, good[1]),
        "at reset: agent 'b' has no observation",
    ),
}
"""The same at reset."""

OTHER: dict[str, str] = {
    "making raises": "when it was made: ZeroDivisionError: no luck",
    "other actions": r"at reset: agent 'a': expected actions in Discrete.3. .*found Discrete.2.",
}


class Record:
    """What happened in all copies of a game."""

    episode: int
    steps: ClassVar[dict[str, tuple[Callable[[Any, Any], Any], str]]]
    resets: ClassVar[dict[str, tuple[Callable[[Any, Any], Any], str]]]
    """What it may do, and what is said of it: faults by name."""
    fault: ClassVar[str] = ""
    made: ClassVar[int] = 0
    begun: ClassVar[int] = 0
    spoilt: ClassVar[list[int]] = []
    """Numbers of the episodes in which the fault showed, 0 for a copy that was not made."""

    @classmethod
    def ask_for(cls, fault: str) -> None:
        cls.fault, cls.made, cls.begun, cls.spoilt = fault, 0, 0, []

    @classmethod
    def make(cls) -> None:
        cls.made += 1
        if cls.fault == "making raises" and cls.made == 3:  # the first told of its spaces
            cls.spoilt.append(0)
            fail()

    @classmethod
    def begin(cls) -> int:
        cls.begun += 1
        return cls.begun

    @classmethod
    def shows(cls, episode: int, where: Any) -> bool:
        """Whether the fault is to show now; if so, it is written down."""
        found = cls.fault in where and episode in BAD
        if found:
            cls.spoilt.append(episode)
        return found

    def bent(self, where: dict[str, tuple[Callable[[Any, Any], Any], str]], good: Any) -> Any:
        """What is returned in place of what would be good."""
        return where[self.fault][0](self, good) if self.shows(self.episode, where) else good


class Pair(Record):
    """Players a and b, of whom each earns 1 a move."""

    steps, resets = STEP, RESET
    possible_agents = ("a", "b")
    max_cycles = 9

    def __init__(self):
        self.make()
        self.episode = 0

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def action_space(self, agent: str) -> spaces.Space:
        other = self.episode and agent == "a" and self.shows(self.episode, ("other actions",))
        return spaces.Discrete(2 if other else 3)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.episode, self.time, self.agents = self.begin(), 0, ["a", "b"]
        good = self.seen(), self.infos()
        return self.bent(self.resets, good)

    def step(self, actions: dict[str, int]) -> Any:
        assert set(actions) == set(self.agents) and set(actions.values()) <= {0, 2}
        self.time += 1
        over = dict.fromkeys(actions, self.time == LENGTH)
        good = Returned(
            self.seen(),
            dict.fromkeys(actions, 1.0),
            over,
            dict.fromkeys(actions, False),
            self.infos(),
        )
        if self.time == LENGTH:
            self.agents = []
        return self.bent(self.steps, good) if self.time == 2 else good

    def seen(self) -> dict[str, Any]:
        here = enumerate(self.agents)
        return {a: np.array([self.episode, self.time, i], np.float32) for i, a in here}

    def infos(self) -> dict[str, Any]:
        return {agent: mask(1, 0, 1) for agent in self.agents}

    def close(self) -> None:
        raise RuntimeError("nobody is to hear of this")


def part(index: int, value: Any) -> Callable[[Any, tuple], Any]:
    return lambda game, good: (*good[:index], value, *good[index + 1 :])


ALONE: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "raises": (fail, "after move 2: ZeroDivisionError: no luck"),
    "hangs": (hang, "after move 2: it did not return within 0.2 s"),
    "obs of another shape": (part(0, np.zeros(2, np.float32)), "found float32.2."),
    "obs of another dtype": (part(0, np.zeros(3)), "float64.*missing .astype"),
    "obs is nothing": (part(0, None), "expected an observation .*3., found None, which"),
    "reward is nothing": (part(1, None), "expected a number as reward, found None"),
    "reward in words": (part(1, "1"), "expected a number as reward, found '1'"),
    "reward complex": (part(1, 1j), "expected a number as reward, found 1j"),
    "termination a number": (part(2, 1), "expected one True or False .* found 1"),
    "truncation is nothing": (part(3, None), "expected one True or False .* found None"),
    "four things": (lambda game, good: good[:4], "step must return .* found 4 things"),
    "mask missing": (part(4, {}), "expected 'action_mask' in the info"),
    "info is nothing": (part(4, None), "expected a dictionary as the info, found None"),
    "info in a list": (part(4, [{}]), "expected a dictionary as the info, found .{}."),
    "mask of nothing": (part(4, mask(0, 0, 0)), "before move 3: seat 0 .* has no legal action"),
}


ALONE_RESET: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "reset with an info of nothing": (part(1, None), "at reset: expected a dictionary as the info"),
    "reset with nothing seen": (part(0, None), "at reset: .*expected an observation .*found None"),
}


class Alone(Record, gymnasium.Env):
    """The same for one player."""

    steps, resets = ALONE, ALONE_RESET

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Discrete(3)
    horizon = 9

    def __init__(self):
        self.make()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.episode, self.time = self.begin(), 0
        return self.bent(self.resets, (self.seen(), mask(1, 0, 1)))

    def step(self, action: int) -> Any:
        self.time += 1
        good = self.seen(), 1.0, self.time == LENGTH, False, mask(1, 0, 1)
        return self.bent(self.steps, good) if self.time == 2 else good

    def seen(self) -> Any:
        return np.array([self.episode, self.time, 0], np.float32)
