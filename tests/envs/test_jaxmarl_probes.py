"""Games of our own by JaxMARL's rules: who goes and comes back, what is told in order, the end."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay.envs import jaxmarl, jaxmarl_games
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes


class Door:
    """Two players by JaxMARL's rules, of whom the second goes out for the moves 2 and 3."""

    agents = ("a", "b")
    max_steps = 6

    def action_space(self, agent):
        return SimpleNamespace(n=2)

    def reset(self, key):
        state = jnp.int32(0)
        return self.get_obs(state), state

    def get_obs(self, state):
        return {agent: jnp.full(2, state, jnp.uint8) for agent in self.agents}

    def step_env(self, key, state, actions):
        state, over = state + 1, state + 1 >= self.max_steps
        out = {"a": over, "b": over | ((state >= 2) & (state < 4)), "__all__": over}
        paid = {"a": jnp.float32(1), "b": jnp.float32(10) + actions["b"]}
        return self.get_obs(state), state, paid, out, {}


class InOrder(Door):
    """It tells everything in the order of its players, who have names."""

    def get_obs(self, state):
        return tuple(super().get_obs(state).values())

    def step_env(self, key, state, actions):
        obs, state, paid, out, _ = super().step_env(key, state, actions)
        info = {"shaped_reward": (jnp.float32(4), jnp.float32(0))}
        return obs, state, tuple(paid.values()), (out["a"], out["b"]), info

    def get_avail_actions(self, state):
        return tuple(jnp.array([1, 0]) for _ in self.agents)


def opened(door: Any, shaped: float = 0.0) -> Any:
    return jaxmarl.JaxMarl("door", (), 6, True, shaped, door, jaxmarl_games.sizes_of(door, "door"))


def test_a_game_may_tell_everything_in_order():
    named, ordered = opened(Door()), opened(InOrder(), shaped=0.5)
    (state, _), (other, shown) = (env.reset(jr.key(0)) for env in (named, ordered))
    for _ in range(6):
        assert shown.legal.tolist() == [[bool(here), False] for here in shown.alive]
        state, wanted = named.step(state, jnp.zeros(2, jnp.int32))
        other, shown = ordered.step(other, jnp.zeros(2, jnp.int32))
        for name in ("obs", "alive", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(shown, name), getattr(wanted, name))
        assert (shown.reward - wanted.reward).tolist() == [2, 0]
    assert shown.truncated


@pytest.mark.parametrize(
    ("place", "found", "said"),
    [
        (2, (jnp.float32(1),), "rewards of 2 players, by name or in order, found 1 of them"),
        (2, {"a": jnp.float32(1)}, "rewards of 2 players, by name or in order, found none for 'b'"),
        (2, jnp.float32(1), "rewards of 2 players, by name or in order, found"),
        (3, (jnp.array(True),) * 3, "ends of 2 players, by name or in order, found 3 of them"),
        (0, {"b": jnp.zeros(2)}, "observations of 2 players, by name .* found none for 'a'"),
    ],
)
def test_a_game_that_leaves_somebody_out_is_refused_as_it_is_made(place, found, said):
    class Short(Door):
        def step_env(self, key, state, actions):
            good = super().step_env(key, state, actions)
            return (*good[:place], found, *good[place + 1 :])

    with pytest.raises(ValueError, match=f"door does not run: ValueError: expected {said}"):
        opened(Short())


def test_whom_the_last_move_puts_out_is_not_there_when_time_is_up(monkeypatch):
    """At its limit the door reports everyone out, and b is by the rules."""
    ask = lambda game: lambda before, moves, after: jnp.array([False, True])
    monkeypatch.setattr(jaxmarl, "own_end", ask)
    door = opened(Door())
    state, shown = door.reset(jr.key(0))
    for _ in range(6):
        assert not shown.truncated
        state, shown = door.step(state, jnp.zeros(2, jnp.int32))
    assert shown.truncated and not shown.terminated and shown.alive.tolist() == [True, False]
    assert not shown.obs[1].any() and shown.reward.tolist() == [1, 10]


def test_a_player_may_go_and_come_back():
    env = opened(Door())
    roster = roster_of(env, dict.fromkeys(range(2), "random"))
    seating, policies = roster.seating(1), roster.others
    lanes = open_lanes(env, seating, policies, jr.key(0))
    _, chunk = collect(env, seating, policies, lanes, jr.key(1), slots=14)
    slots = {name: np.asarray(x)[0] for name, x in chunk.slots.items()}
    here = [True, True, False, False, True, True, False]  # the last slot only shows
    assert slots["alive"][:, 1].tolist() == here * 2
    assert slots["alive"][:, 0].tolist() == ([True] * 6 + [False]) * 2
    assert slots["left"][:, 1].tolist() == [False, True, False, False, False, False, False] * 2
    assert slots["closing"].tolist() == ([False] * 6 + [True]) * 2
    assert slots["continues"][:, 1].tolist() == [True, False, False, False, True, True, False] * 2
    absent = ~slots["alive"][:, 1]
    assert (slots["actions"][absent, 1] == -1).all() and (slots["reward"][absent, 1] == 0).all()
    assert (slots["reward"][~absent, 1] == 10 + slots["actions"][~absent, 1]).all()
    assert slots["obs"][:, 1, 0].tolist() == [0, 1, 0, 0, 4, 5, 6] * 2
