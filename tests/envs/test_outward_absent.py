"""Our games as PettingZoo games where nobody is there for a while."""

import warnings
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from pettingzoo.utils import parallel_to_aec
from probes import Departure

from counterplay import envs

with warnings.catch_warnings():  # it imports one of its own games in a way that it has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import parallel_seed_test, seed_test


@dataclass(frozen=True)
class Break(Departure):
    """Nobody is there in the slots away; seat 1 comes back a slot later than seat 0, if at all."""

    length: int = 6
    away: tuple[int, ...] = (1, 2)
    back: bool = True

    def shows(self, state):
        out = jnp.isin(state.time, jnp.array(self.away))
        late = jnp.isin(state.time - 1, jnp.array(self.away)) | (not self.back)
        alive = jnp.array([True, False]) & ~out | jnp.array([False, True]) & ~out & ~late
        return super().shows(state) | {"alive": alive, "legal": jnp.stack([alive, alive], axis=1)}


def test_a_game_goes_on_by_itself_while_nobody_is_there():
    game: Any = envs.to_pettingzoo(Break())
    game.reset(seed=0)
    both = {"seat_0", "seat_1"}
    assert {*game.agents} == both
    observations, rewards, ended, cut, infos = game.step(dict.fromkeys(both, 0))
    assert game._copy._state.time == 3, "slots 1 and 2 have passed"
    assert ended == {"seat_0": False, "seat_1": True} and not any(cut.values())
    assert rewards.keys() == both and rewards["seat_0"] == 1, "of the first move alone"
    assert game.agents == ["seat_0"] and infos["seat_0"]["action_mask"].all()
    assert observations["seat_0"].argmax() == 3
    ended = game.step({"seat_0": 0})[2]
    assert ended == {"seat_0": False} and {*game.agents} == both
    game.step(dict.fromkeys(both, 0))
    assert all(game.step(dict.fromkeys(both, 0))[2].values()) and game.agents == []


def test_nobody_may_be_there_when_an_episode_begins_or_until_it_ends():
    game: Any = envs.to_pettingzoo(Break(away=(0, 3, 4, 5), back=False))
    observations, infos = game.reset(seed=0)
    assert game.agents == ["seat_0"] and observations.keys() == infos.keys() == {"seat_0"}
    assert game._copy._state.time == 1
    assert game.step({"seat_0": 0})[2] == {"seat_0": False}
    _, _, ended, cut, _ = game.step({"seat_0": 0})
    assert ended == {"seat_0": True} and cut == {"seat_0": False} and game.agents == []


def test_the_tests_of_pettingzoo_pass_where_nobody_is_there_for_a_while():
    parallel_seed_test(lambda: envs.to_pettingzoo(Break()))
    seed_test(lambda: parallel_to_aec(envs.to_pettingzoo(Break())))
