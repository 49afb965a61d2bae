"""The heuristics of level-based foraging, by hand and beside those of lbforaging."""

import importlib
import sys
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.board import GONE
from counterplay.envs.foraging import DOWN, LEFT, LOAD, RIGHT, STAY, UP, State
from counterplay.types import NO_EVENT, NO_MOVE, View

NAMES = ("h1", "h2", "h3", "h4")
ENV: Any = envs.make("foraging,size=5,foods=2")


def view_of(env: Any, obs: Any, legal: Any) -> View:
    """What the rules read of one slot; the rest is blank."""
    return View(
        obs=env.encode(obs),
        legal=legal,
        alive=jnp.ones(env.players, bool),
        moved=jnp.full(env.players, NO_MOVE),
        public_legal=jnp.ones((env.players, 6), bool),
        reward=jnp.array(0.0),
        event=jnp.full(env.players, NO_EVENT),
        time=jnp.int32(0),
        first=jnp.array(False),
        told=jnp.zeros(0),
    )


def seen(players, foods, food_levels, levels=(1, 2)) -> View:
    """What the first player sees on a 5x5 board, cells numbered row by row."""
    fields = (players, levels, foods, food_levels, 0)
    state = State(*(jnp.asarray(field, jnp.int32) for field in fields))
    _, shown = ENV.step(state, jnp.full(2, STAY))
    return view_of(ENV, shown.obs[0], shown.legal[0])


def moves(name: str, view: View) -> tuple[set[int], int]:
    """The moves it may make, all equally likely, and the food it is after."""
    rule = opponents.make(name, ENV)
    chances = np.exp(np.asarray(rule.log_probs((), view)))
    there = np.flatnonzero(chances)
    np.testing.assert_allclose(chances[there], 1 / len(there), rtol=1e-6)
    return {*there.tolist()}, int(rule.intent((), view))


CASES = {
    # I am on cell 0, the other on 24; foods on 7 (row 1, column 2) and 16 (row 3, column 1)
    "to the nearest": ("h1", ((0, 24), (7, 16), (3, 1)), {DOWN}, 0),
    "to the one near the middle": ("h2", ((4, 20), (7, 16), (3, 1)), {DOWN}, 0),
    "by my own level": ("h3", ((0, 24), (7, 16), (3, 1)), {DOWN}, 1),
    "by all levels": ("h4", ((0, 24), (7, 16), (4, 3)), {DOWN}, 1),
    "loads beside it": ("h1", ((2, 24), (7, 16), (3, 1)), {LOAD}, 0),
    "passes by another": ("h3", ((2, 24), (7, 16), (3, 1)), {LEFT}, 1),
    "across when level with it": ("h1", ((5, 24), (7, 16), (1, 1)), {RIGHT}, 0),
    "up before left": ("h1", ((14, 24), (7, GONE), (1, 1)), {UP}, 0),
    "anything when none will do": ("h3", ((0, 24), (7, 16), (2, 2)), {DOWN, RIGHT, STAY}, NO_EVENT),
    "anything when none is left": ("h1", ((0, 24), (GONE,) * 2, (2, 2)), {DOWN, RIGHT, STAY}, -1),
}


@pytest.mark.parametrize(("name", "board", "may", "goal"), CASES.values(), ids=CASES)
def test_by_hand(name, board, may, goal):
    assert moves(name, seen(*board)) == (may, goal)


def test_anything_when_the_way_is_blocked():
    """Straight below me is a food that I cannot load, and behind it the one I want."""
    view = seen((2, 24), (7, 17), (3, 1))
    assert moves("h3", view) == ({LEFT, RIGHT, STAY, LOAD}, 1)


@pytest.fixture
def heuristics(monkeypatch) -> Any:
    """Their module, which wants a package of another name, without the rest of their agents."""
    pytest.importorskip("lbforaging")
    environment = importlib.import_module("lbforaging.foraging.environment")
    agents: Any = ModuleType("lbforaging.agents")
    agents.__path__ = [f"{sys.modules['lbforaging'].__path__[0]}/agents"]
    for name, module in {
        "foraging": sys.modules["lbforaging.foraging"],
        "foraging.environment": environment,
        "lbforaging.agents": agents,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    found = importlib.import_module("lbforaging.agents.heuristic_agent")
    monkeypatch.setattr(found.random, "choice", lambda moves: None)
    yield found
    for name in ("lbforaging.agents.heuristic_agent", "lbforaging.agents.agent"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "text",
    [
        "foraging:8x8-2p-3f",
        "foraging:2s-8x8-2p-2f-coop",
        "foraging,size=7,players=5,foods=4,view=3",
        "foraging,size=6,players=4,foods=3,view=2,max_level=3",
    ],
)
def test_moves_are_those_of_lbforaging(text, heuristics):
    """In every slot of many episodes, for every seat; theirs is None where it draws any move."""
    from foraging_peer import OURS, peer_of, play_theirs, replay

    env: Any = envs.make(text)
    peer, draw = peer_of(text, env), np.random.default_rng(1)
    types = [getattr(heuristics, name.upper()) for name in NAMES]
    wanted = []

    def watch(peer):
        told = []
        for player in peer.players:
            seen = peer._make_obs(player)
            each = [kind(player)._step(seen) for kind in types]
            told.append([-1 if move is None else OURS[move.value] for move in each])
        wanted[-1].append(told)

    def episode():
        wanted.append([])
        return play_theirs(peer, draw, watch)

    played = [episode() for _ in range(60)]
    joint = np.full((len(played), env.horizon, env.players), STAY)
    for row, (_, theirs) in zip(joint, played, strict=True):
        row[: len(theirs["moves"])] = theirs["moves"]
    _, shown = replay(env, [start for start, _ in played], joint)
    rules = [opponents.make(name, env) for name in NAMES]

    def chances(obs, legal):
        view = view_of(env, obs, legal)
        return jnp.stack([jnp.exp(rule.log_probs((), view)) for rule in rules])

    flat = lambda array: array.reshape(-1, *array.shape[3:])
    found = jax.jit(jax.vmap(chances))(flat(shown.obs), flat(shown.legal))
    found = np.asarray(found).reshape(*shown.legal.shape[:3], len(NAMES), env.num_actions)
    seen = np.zeros((len(NAMES), 7), int)
    for b, slots in enumerate(wanted):
        for t, told in enumerate(slots):
            uniform = shown.legal[b, t] / shown.legal[b, t].sum(1, keepdims=True)
            one = np.eye(7)[np.array(told)][..., :6]
            drawn = np.array(told)[..., None] == -1
            expected = np.where(drawn, uniform[:, None], one)
            np.testing.assert_allclose(found[b, t], expected, atol=1e-6, err_msg=f"{b}, {t}")
            np.add.at(seen, (np.arange(len(NAMES))[None], np.array(told)), 1)
    counts = np.delete(seen.sum(0), STAY)
    assert (counts > 0).all(), "each of their moves occurred, and those drawn at random"
