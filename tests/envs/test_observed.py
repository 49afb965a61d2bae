"""Games that do not draw themselves are drawn as what their players see."""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

from counterplay.envs import pettingzoo
from counterplay.envs.observed import observed_picture


class Bare(ParallelEnv[str, Any, Any]):
    """Two players, no picture of any kind; the second sees one number less."""

    def __init__(self):
        self.possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return Box(-1, 1, (3 if agent == "a" else 2,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def _seen(self, value):
        return {a: np.full(self.observation_space(a).shape, value, np.float32) for a in self.agents}

    def reset(self, seed=None, options=None):
        self.agents = ["a", "b"]
        return self._seen(0.5), {"a": {}, "b": {}}

    def step(self, actions):
        flags = {"a": False, "b": True}
        seen, told = self._seen(-0.25), {a: {} for a in self.agents}
        self.agents = ["a"]
        return seen, dict.fromkeys(flags, 0.0), flags, dict.fromkeys(flags, False), told


class NoScreen(Bare):
    """It would draw, but not here; nor does it know this mode."""

    def __init__(self, render_mode=None):
        if render_mode is not None:
            raise RuntimeError("no such mode")
        super().__init__()

    def render(self):
        raise OSError("no display")


class Words(Bare):
    """What it draws is no picture."""

    def render(self) -> Any:
        return "two players"


@pytest.mark.parametrize("build", [Bare, NoScreen, Words])
def test_games_without_pictures_of_their_own(build):
    game = pettingzoo.describe("bare", build, {}, 10, True)
    copy = game.open(pictures=True)
    copy.reset(0)
    first = copy.render()
    assert first.text.splitlines() == [
        "bare: move 0 of 10",
        "0 sees 0.5 0.5 0.5",
        "1 sees 0.5 0.5",
    ]
    copy.step([0, 1])
    second = copy.render()
    assert second.text.splitlines()[1:] == ["0 sees -0.25 -0.25 -0.25", "1 has left"]
    assert first.pixels.shape == second.pixels.shape and (first.pixels != second.pixels).any()
    assert first.pixels.dtype == np.uint8


def test_one_that_draws_is_left_to_it():
    drawn = np.full((4, 5, 3), 7, np.uint8)
    build = type("Drawn", (Bare,), {"render": lambda self: drawn})
    copy = pettingzoo.describe("drawn", build, {}, 10, True).open(pictures=True)
    copy.reset(0)
    copy.step([0, 1])
    picture = copy.render()
    assert picture.pixels is not drawn and (picture.pixels == drawn).all()
    assert picture.text == "drawn: 1 moves made, seats present: 0"


def test_wide_observations_and_what_is_not_finite():
    picture = observed_picture("wide", [np.arange(300), [np.nan, np.inf]], [True, True], 1, 2)
    lines = picture.text.splitlines()
    assert lines[1].endswith(" 255 and 44 more") and lines[2] == "1 sees nan inf"
    assert picture.pixels.shape[0] < 400 and picture.pixels.std() > 5
