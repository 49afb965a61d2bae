"""Foreign games: what they show is flat, padded and checked, and their ends are told apart."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from counterplay import envs
from counterplay.types import NO_MOVE

make: Any = envs.make
STAY = {"a": 1, "b": 2, "c": 3}
FAULTS = {
    "shape": (np.zeros(4, np.float32), "expected an observation float32.3., found float32.4."),
    "dtype": (np.zeros(3), "float64.*missing .astype"),
    "object": (None, "expected an observation float32.3., found None, which holds no numbers"),
}


class Leavers:
    """Players a, b, c leave after 1, 2 and 3 moves, or all stay; masks come in their infos."""

    possible_agents = tuple(STAY)
    widths, counts = {"a": 3, "b": 2, "c": 1}, {"a": 2, "b": 3, "c": 4}

    def __init__(self, limit: int = 9, fault: str = "", truncate: bool = False, stay: bool = False):
        self.max_cycles, self.fault, self.truncate, self.stay = limit, fault, truncate, stay

    def observation_space(self, agent):
        return spaces.Box(-9, 9, (self.widths[agent],), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(self.counts[agent])

    def reset(self, seed=None, options=None):
        self.agents, self.time = list(self.possible_agents), 0
        return self.show(self.agents), self.infos()

    def step(self, actions):
        moved, self.time = self.agents, self.time + 1
        assert set(actions) == set(moved)
        self.agents = [agent for agent in moved if self.stay or STAY[agent] > self.time]
        gone = {agent: agent not in self.agents for agent in moved}
        rewards = {agent: float(self.time) for agent in moved}
        if self.fault == "hole":
            rewards["a"] = np.nan
        if self.fault == "name":
            rewards["d"] = rewards.pop("a")
        no = dict.fromkeys(moved, False)
        return (
            self.show(moved),
            rewards,
            *((no, gone) if self.truncate else (gone, no)),
            self.infos(),
        )

    def show(self, agents):
        seen = {a: np.full(self.widths[a], self.time, np.float32) for a in agents}
        return seen | ({"a": FAULTS[self.fault][0]} if self.fault in FAULTS and self.time else {})

    def infos(self):
        first_only = {a: np.eye(self.counts[a], dtype=np.int8)[0] for a in self.agents}
        return {agent: {"action_mask": mask} for agent, mask in first_only.items()}

    def close(self):
        pass


class Guests:
    """Moves 0 to 4: a stays throughout, b is away in 1 and 2, c arrives in 2 and leaves after 3."""

    possible_agents = ("a", "b", "c")
    max_cycles = 9
    here = (("a", "b"), ("a",), ("a", "c"), ("a", "b", "c"), ("a", "b"), ())

    def observation_space(self, agent):
        return spaces.Box(0, 9, (1,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.time, self.agents = 0, list(self.here[0])
        return self.show(self.agents), {}

    def step(self, actions):
        moved, self.time = self.agents, self.time + 1
        assert set(actions) == set(moved)
        self.agents = list(self.here[self.time])
        gone = {agent: agent not in self.agents for agent in moved}
        rewards = {agent: 10.0 ** self.possible_agents.index(agent) for agent in moved}
        return self.show({*moved, *self.agents}), rewards, gone, dict.fromkeys(moved, False), {}

    def show(self, agents):
        return {agent: np.full(1, self.time, np.float32) for agent in agents}

    def close(self):
        pass


class Masked(gymnasium.Env):
    """One player; legal moves are an entry of its observation. Actions are pairs."""

    observation_space = spaces.Dict(
        {"observation": spaces.Discrete(3), "action_mask": spaces.Box(0, 1, (6,), np.int8)}
    )
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, seed=None, options=None):
        return {"observation": 2, "action_mask": np.array([0, 0, 0, 1, 0, 1], np.int8)}, {}

    def step(self, action):
        self.played = action.tolist()
        return self.reset()[0], float(action[1]), False, False, {}


def test_departed_players_are_absent_and_the_last_departure_ends_the_game():
    copy = make(f"{__file__}:Leavers").open()
    shown = copy.reset(0)
    assert shown.legal.sum(1).tolist() == [1, 1, 1] and shown.obs.shape == (3, 3)
    shown = copy.step([0, 0, 0])
    assert shown.alive.tolist() == [False, True, True] and shown.reward.tolist() == [1, 1, 1]
    assert shown.obs.tolist() == [[0, 0, 0], [1, 1, 0], [1, 0, 0]] and not shown.legal[0].any()
    shown = copy.step([NO_MOVE, 0, 0])
    assert not shown.terminated and shown.reward.tolist() == [0, 2, 2]
    shown = copy.step([NO_MOVE, NO_MOVE, 0])
    assert shown.terminated and not shown.truncated


def test_the_game_may_cut_an_episode_short_and_so_may_the_horizon():
    copy = make(f"{__file__}:Leavers,truncate=true").open()
    copy.reset(0)
    ends = [copy.step([0, 0, 0]).truncated.item() for _ in range(3)]
    assert ends == [False, False, True]  # c plays to the end and stays; the others left before
    copy = make(f"{__file__}:Leavers,horizon=2").open()
    copy.reset(0)
    assert not copy.step([0, 0, 0]).truncated and copy.step([0, 0, 0]).truncated


def test_masks_in_observations_and_products_of_actions():
    game = make(f"{__file__}:Masked,horizon=5")
    copy = game.open()
    shown = copy.reset(0)
    assert (game.num_seats, game.num_actions, game.obs_shape) == (1, 6, (3,))
    assert shown.obs.tolist() == [[0, 0, 1]] and shown.legal.tolist() == [[0, 0, 0, 1, 0, 1]]
    assert copy.step([5]).reward.tolist() == [2]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_its_space_is_refused(fault):
    copy = make(f"{__file__}:Leavers,stay=true,fault={fault}").open()
    copy.reset(0)
    with pytest.raises(RuntimeError, match="'a'.*" + FAULTS[fault][1]):
        copy.step([0, 0, 0])


class Unmasked(gymnasium.Env):
    """Legal moves come in its infos, but for the last of an episode."""

    observation_space, action_space = spaces.Box(0, 9, (1,), np.float32), spaces.Discrete(3)

    def __init__(self, over: bool):
        self.over, self.horizon = over, 2

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(1, np.float32), {"action_mask": [1, 0, 1]}

    def step(self, action):
        self.time += 1
        info = {"action_mask": [0, 1, 0]} if self.time < 2 else {}
        return np.full(1, self.time, np.float32), 0.0, self.over and not info, False, info


@pytest.mark.parametrize("over", ["true", "false"])
def test_where_an_episode_stops_no_mask_is_needed(over):
    copy = make(f"{__file__}:Unmasked,over={over}").open()
    assert copy.reset(0).legal.tolist() == [[True, False, True]]
    assert copy.step([0]).legal.tolist() == [[False, True, False]]
    shown = copy.step([1])
    assert (bool(shown.terminated), bool(shown.truncated)) == (over == "true", over == "false")
    assert shown.obs.tolist() == [[2]]


class Counted(Leavers):
    open_now = 0

    def __init__(self):
        super().__init__()
        type(self).open_now += 1

    def close(self):
        type(self).open_now -= 1


def test_what_was_made_to_read_its_spaces_is_closed():
    assert make(f"{__file__}:Counted").build.open_now == 0


def test_unknown_players_are_named():
    copy = make(f"{__file__}:Leavers,fault=name").open()
    copy.reset(0)
    with pytest.raises(RuntimeError, match="'a' has no reward; the game gave some to: b, c, d"):
        copy.step([0, 0, 0])


INSTALLED = [
    ("pettingzoo:mpe2.simple_spread_v3,N=2", 2, 5, (12, 12)),
    ("pettingzoo:mpe2.simple_spread_v3", 3, 5, (18, 18, 18)),
    ("pettingzoo:mpe2.simple_tag_v3", 4, 5, (16, 16, 16, 14)),
    ("pettingzoo:mpe2.simple_adversary_v3,max_cycles=30", 3, 5, (8, 10, 10)),
    ("gymnasium:CartPole-v1", 1, 2, (4,)),
    ("lbforaging:Foraging-5x5-2p-1f-coop-v3", 2, 6, (9, 9)),
    ("lbforaging:Foraging-8x8-3p-2f-v3", 3, 6, (15, 15, 15)),
    ("lbforaging:Foraging-2s-8x8-2p-2f-coop-v3", 2, 6, (12, 12)),  # who see two cells far
    ("gymnasium:rware-tiny-2ag-v2,max_steps=40", 2, 5, (71, 71)),
    ("gymnasium:rware-tiny-3ag-easy-v2,max_steps=30", 3, 5, (71, 71, 71)),
    ("gymnasium:rware-small-2ag-hard-v2,max_steps=30", 2, 5, (71, 71)),
]


@pytest.mark.parametrize(("text", "seats", "actions", "widths"), INSTALLED)
def test_installed_games(text, seats, actions, widths):
    game = make(text)
    assert (game.num_seats, game.num_actions, game.obs_shape) == (seats, actions, (max(widths),))
    assert game == make(text) and hash(game) == hash(make(text))
    copy, again, rng = game.open(), game.open(), np.random.default_rng(0)
    for seed in (3, 4):
        shown, moves, paid = copy.reset(seed), 0, 0.0
        assert np.array_equal(shown.obs, again.reset(seed).obs)
        while not (shown.terminated or shown.truncated):
            assert shown.alive.all() and shown.legal.any(1).all() and np.isfinite(shown.obs).all()
            for row, width in zip(shown.obs, widths, strict=True):
                assert row[:width].any() and not row[width:].any(), "padded with zeros"
            shown = copy.step([int(rng.choice(np.flatnonzero(legal))) for legal in shown.legal])
            assert shown.reward.dtype == np.float32 and np.isfinite(shown.reward).all()
            paid, moves = paid + float(abs(shown.reward).sum()), moves + 1
        own_end = text == "gymnasium:CartPole-v1"
        assert bool(shown.terminated) != bool(shown.truncated)
        assert bool(shown.terminated) == own_end or "Foraging" in text
        assert shown.terminated or moves == game.horizon
        assert paid or not any(part in text for part in ("CartPole", "spread", "adversary"))
    copy.close()
    again.close()


def test_players_come_and_go():
    copy = make(f"{__file__}:Guests").open()
    shown, alive = copy.reset(0), []
    while not shown.terminated:
        alive.append(shown.alive.tolist())
        assert not shown.obs[~shown.alive].any() and not shown.legal[~shown.alive].any()
        shown = copy.step([0 if here else NO_MOVE for here in shown.alive])
        assert (shown.reward > 0).tolist() == alive[-1]
    assert alive == [[agent in here for agent in "abc"] for here in Guests.here[:-1]]


def test_foraging_ends_itself_when_the_food_is_gone():
    copy = make("lbforaging:Foraging-5x5-2p-1f-coop-v3").open()
    copy.reset(0)
    inner = copy._game.unwrapped
    inner.field[:] = 0
    shown = copy.step([0, 0])
    assert shown.terminated and not shown.truncated
    inner.current_step = inner._max_episode_steps - 1
    inner.field[2, 2] = 1
    shown = copy.step([0, 0])
    assert shown.truncated and not shown.terminated


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gymnasium:CartPol-v1", "did you mean 'CartPole-v1'"),
        ("gymnasium:Blackjack-v1", "does not say how long an episode may last.*horizon=100"),
        ("gymnasium:Pendulum-v1", "only Discrete actions"),
        ("pettingzoo:mpe2.simple_sprad_v3", "did you mean 'simple_spread_v3'"),
        ("pettingzoo:nowhere.game_v1", r"needs the package 'nowhere'.*counterplay\[envs\]"),
        ("pettingzoo:mpe2.simple_spread_v3,M=2", "cannot be made with {'M': 2}"),
        ("gymnasium:CartPole-v1,horizon=0", "at least 1, found 0"),
        ("gymnasium:CartPole-v1,horizon=9,horizon=5", "setting 'horizon' is given twice"),
        (f"{__file__}:Leaver", "did you mean 'Leavers'"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(text)
