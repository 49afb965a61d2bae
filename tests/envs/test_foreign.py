"""Legal moves of foreign games that tell them late, and pictures that are none."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from counterplay import envs
from counterplay.errors import GameError

make: Any = envs.make
FIRST = np.array([1, 0], np.int8)


class Late:
    """Two players whose infos are empty at reset, and tell legal moves from the first move on."""

    possible_agents = ("a", "b")
    max_cycles = 4

    def __init__(self, forgets: bool = False):
        self.forgets = forgets

    def observation_space(self, agent):
        return spaces.Box(0, 9, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.time = list(self.possible_agents), 0
        return self.all(np.zeros(1, np.float32)), {}

    def step(self, actions):
        self.time += 1
        told = {"action_mask": FIRST} if self.time == 1 or not self.forgets else {}
        no = self.all(False)
        return self.all(np.zeros(1, np.float32)), self.all(0.0), no, no, self.all(told)

    def all(self, x: Any) -> dict[str, Any]:
        return dict.fromkeys(self.possible_agents, x)

    def close(self):
        pass


class LateAlone(gymnasium.Env):
    """The same by Gymnasium's rules: for one player, or for two."""

    horizon = 4

    def __init__(self, forgets: bool = False, several: bool = False):
        self.late, self.several = Late(forgets), several
        seen, acts = spaces.Box(0, 9, (1,), np.float32), spaces.Discrete(2)
        self.observation_space = spaces.Tuple((seen, seen)) if several else seen
        self.action_space = spaces.Tuple((acts, acts)) if several else acts

    def reset(self, *, seed=None, options=None):
        return self.told(self.late.reset()[0]), {}

    def step(self, action):
        obs, rewards, *_, infos = self.late.step(action)
        info = {key: [x, x] if self.several else x for key, x in infos["a"].items()}
        return self.told(obs), self.told(rewards), False, False, info

    def told(self, found):
        return tuple(found.values()) if self.several else found["a"]


KINDS = ["Late", "LateAlone", "LateAlone,several=true"]
name = lambda kind: f"{__file__}:{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_legal_moves_that_are_told_from_the_first_move_on_are_obeyed(kind):
    game = make(name(kind))
    copy, moves = game.open(), [0] * game.num_seats
    for _ in range(2):
        assert copy.reset(0).legal.all(), "nothing is known of it yet"
        for _ in range(3):
            assert copy.step(moves).legal.tolist() == [[True, False]] * game.num_seats


@pytest.mark.parametrize("kind", KINDS)
def test_once_told_they_must_be_told_throughout(kind):
    game = make(name(kind) + ",forgets=true")
    copy, moves = game.open(), [0] * game.num_seats
    copy.reset(0)
    copy.step(moves)
    with pytest.raises(GameError, match=r"'action_mask' in .*info, as before .*found none"):
        copy.step(moves)


class Offering(Late):
    """It has legal moves as a member, which misses somebody."""

    action_mask: Any = None

    def reset(self, seed=None, options=None):
        type(self).action_mask = {"a": FIRST}
        return super().reset(seed)


def test_a_member_with_legal_moves_must_hold_everyones():
    with pytest.raises(GameError, match=r"action_mask must hold the .* of 'b', found {'a'"):
        make(name("Offering")).open().reset(0)


class Drawing(LateAlone):
    """It draws what it is told to."""

    pixels: Any = None

    def __init__(self, render_mode: str | None = None):
        super().__init__()
        self.render_mode = render_mode

    def render(self):
        return self.pixels


def drawn(pixels: Any) -> np.ndarray:
    make(name("Drawing")).build.pixels = pixels
    copy = make(name("Drawing")).open(pictures=True)
    copy.reset(0)
    picture = copy.render()
    assert picture.pixels.dtype == np.uint8 and picture.pixels.shape[2] == 3
    return picture.pixels


def test_pictures_are_read_as_red_green_and_blue():
    good = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert np.array_equal(drawn(good), good)
    assert np.array_equal(drawn(np.dstack([good, np.full((4, 5), 9, np.uint8)])), good)
    assert np.array_equal(drawn((good / 255).astype(np.float32)), good)
    assert np.array_equal(drawn(good / 255), good)


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 1), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.full((4, 5, 3), 7.0),
        np.full((4, 5, 3), np.nan),
        np.zeros((4, 5, 3), np.int64),
        np.full((4, 5, 3), "x"),
        None,
    ],
    ids=lambda x: "none" if x is None else f"{x.dtype}{x.shape}{x.ravel()[:1]}",
)
def test_what_is_no_picture_gives_way_to_what_is_seen(odd):
    assert min(drawn(odd).shape[:2]) > 50
