"""Our games as PettingZoo games: its tests, what those miss, and the way back to us."""

import re
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pettingzoo.utils import parallel_to_aec
from probes import Departure

from counterplay import envs
from counterplay.envs import hosting
from counterplay.envs import pettingzoo as adapter
from counterplay.envs.hosting import NativeCopy
from counterplay.types import NO_MOVE

with warnings.catch_warnings():  # it imports one of its own games in a way that it has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test, seed_test
    from pettingzoo.test.state_test import state_test

LISTED = [f"{name}:{preset}" for name in envs.GAMES for preset in envs.PRESETS_OF[name]]
VARIED = ["stag_hunt:4x4,view=2", "matrix:pd,horizon=3"]
PROBES = Path(__file__).parent.parent / "probes.py"
FILED = [f"{PROBES}:Departure", f"{PROBES}:Chain", f"{__file__}:Return"]


@dataclass(frozen=True)
class Return(Departure):
    """Seat 1 is away in slot 1, and back in slot 2."""

    def shows(self, state):
        alive = jnp.array([True, False]) | (state.time != 1)
        return super().shows(state) | {"alive": alive, "legal": jnp.stack([alive, alive], axis=1)}


@pytest.mark.parametrize("text", LISTED + VARIED)
def test_the_tests_of_pettingzoo_pass(text):
    make = partial(envs.to_pettingzoo, text)
    parallel_api_test(make())
    parallel_seed_test(make)
    sequential = lambda: parallel_to_aec(make())
    api_test(sequential())
    seed_test(sequential)
    state_test(sequential(), make())


@pytest.mark.parametrize("text", LISTED + VARIED)
def test_500_moves_are_sound_and_repeat_with_the_seed(text):
    check_seeds(partial(envs.to_pettingzoo, text), alike(envs.make(text), *range(7, 23)))


def check_seeds(make: Any, all_alike: bool) -> None:
    """Sound games that repeat with their seed, and differ with another but for ``all_alike``."""
    one, same, other = (played(make(), seed) for seed in (7, 7, 8))
    assert all(map(np.array_equal, one, same)) and len(one) == len(same), "the same seed"
    assert all(map(np.array_equal, one, other)) == all_alike, "another seed"


def alike(env: Any, *seeds: int) -> bool:
    """Whether the game starts alike from these seeds, as a matrix game always does."""
    copy, starts = NativeCopy(env, encoded=True), []
    for seed in seeds:
        copy.reset(seed)
        starts.append(jax.tree.leaves(copy._state))
    first, *others = starts
    return all(np.array_equal(a, b) for start in others for a, b in zip(first, start, strict=True))


def test_seeds_matter():
    assert not alike(envs.make("stag_hunt"), 7, 8) and alike(envs.make("matrix"), 7, 8)


def played(game: Any, seed: int) -> list[np.ndarray]:
    """All that 500 moves show, each checked; episodes follow one another without another seed."""
    rng, found = np.random.default_rng(0), []
    observations, infos = game.reset(seed=seed)
    for _ in range(500):
        before = set(game.agents)
        for agent in before:
            space, seen = game.observation_space(agent), observations[agent]
            assert (seen.shape, seen.dtype) == (space.shape, space.dtype), "as declared"
            assert np.isfinite(seen).all() and seen in space, "finite"
            found += [seen, infos[agent]["action_mask"]]
        legal = {a: np.flatnonzero(infos[a]["action_mask"]) for a in game.agents}
        observations, rewards, ended, cut, infos = game.step(
            {agent: int(rng.choice(moves)) for agent, moves in legal.items()}
        )
        assert observations.keys() == rewards.keys() == ended.keys() == cut.keys() == before, "who"
        assert all(type(x) is float and np.isfinite(x) for x in rewards.values()), "paid"
        assert set(game.agents) == {a for a in before if not ended[a] and not cut[a]}, "left"
        found.append(np.array([[rewards[a], ended[a], cut[a]] for a in sorted(before)]))
        if not game.agents:
            observations, infos = game.reset()
    return found


def check_the_way_back(text: str, encoded: bool, masked: bool = False) -> None:
    """The game and the game exported and wrapped again play alike, episode for episode.

    What departed players would see is left out: to the adapter they are gone.
    """
    env: Any = envs.make(text)
    build = partial(envs.to_pettingzoo, env, encoded=encoded, masked=masked)
    around = adapter.describe("around", build, {}, None, True)
    assert (around.num_seats, around.num_actions) == (env.num_seats, env.num_actions)
    assert around.horizon == env.horizon
    ours, theirs, rng = NativeCopy(env, encoded), around.open(), np.random.default_rng(1)
    for seed in range(3):
        native, back = ours.reset(seed), theirs.reset(seed)
        for _ in range(env.horizon):
            assert np.array_equal(back.alive, native.alive)
            assert np.array_equal(back.legal, native.legal)
            assert np.array_equal(back.obs[native.alive], native.obs[native.alive])
            options = map(np.flatnonzero, native.legal)
            moves = [int(rng.choice(x)) if len(x) else NO_MOVE for x in options]
            native, back = ours.step(moves), theirs.step(moves)
            assert np.array_equal(back.reward, native.reward)
            assert (back.terminated, back.truncated) == (native.terminated, native.truncated)
            if native.terminated or native.truncated:
                break
        assert native.terminated or native.truncated


@pytest.mark.parametrize("text", LISTED + VARIED + FILED, ids=lambda x: Path(x).name)
def test_a_game_that_goes_out_and_comes_back_is_the_same(text):
    check_the_way_back(text, encoded=True)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("text", ["stag_hunt", "matrix"])
def test_so_is_one_with_compact_observations_or_masks_among_them(text, masked):
    check_the_way_back(text, encoded=False, masked=masked)


@pytest.mark.parametrize("text", envs.GAMES)
def test_encoded_observations_are_what_a_network_reads(text):
    env: Any = envs.make(text)
    plain, encoded = NativeCopy(env).reset(3), NativeCopy(env, encoded=True).reset(3)
    assert plain.obs.dtype == env.obs_dtype and encoded.obs.dtype == np.float32
    assert np.array_equal(encoded.obs, jax.vmap(env.encode)(plain.obs))
    observations, _ = envs.to_pettingzoo(env, encoded=False).reset(seed=3)
    assert np.array_equal(np.stack([*observations.values()]), plain.obs)


def test_masks_are_legal_moves_and_samples_obey_them():
    game = envs.to_pettingzoo("stag_hunt", masked=True)
    observations, infos = game.reset(seed=0)
    legal = NativeCopy(envs.make("stag_hunt"), encoded=True).reset(0).legal
    for agent, mask in zip(game.agents, legal, strict=True):
        space, seen = game.observation_space(agent), observations[agent]
        assert seen in space and np.array_equal(seen["action_mask"], mask)
        assert np.array_equal(infos[agent]["action_mask"], mask)
        assert mask[game.action_space(agent).sample(seen["action_mask"])]


def test_who_leaves_is_terminated_and_moves_no_more():
    game = envs.to_pettingzoo(FILED[0])
    assert game.reset(seed=0)[0].keys() == {"seat_0", "seat_1"}
    _, rewards, ended, cut, infos = game.step({"seat_0": 0, "seat_1": 1})
    assert rewards == {"seat_0": 1, "seat_1": 5} and ended == {"seat_0": False, "seat_1": True}
    assert not any(cut.values()) and infos.keys() == ended.keys() and game.agents == ["seat_0"]
    _, rewards, ended, *_ = game.step({"seat_0": 0})
    assert rewards == {"seat_0": 1} and ended == {"seat_0": False}
    ended = game.step({"seat_0": 0})[2]
    assert ended == {"seat_0": True} and game.agents == []
    assert game.step({}) == ({},) * 5


def test_who_comes_back_moves_again():
    game = envs.to_pettingzoo(Return())
    game.reset(seed=0)
    both = {"seat_0", "seat_1"}
    assert game.step(dict.fromkeys(both, 0))[2] == {"seat_0": False, "seat_1": True}
    observations, rewards, ended, cut, infos = game.step({"seat_0": 0})
    assert {*game.agents} == observations.keys() == infos.keys() == both
    assert rewards.keys() == ended.keys() == cut.keys() == {"seat_0"}
    assert infos["seat_1"]["action_mask"].all()
    _, rewards, ended, *_ = game.step(dict.fromkeys(both, 0))
    assert rewards.keys() == both and all(ended.values()) and game.agents == []


def test_a_game_cut_short_is_truncated_for_everyone_left():
    game = envs.to_pettingzoo(FILED[1])
    game.reset(seed=0)
    results = [game.step({"seat_0": 0}) for _ in range(4)]
    assert [(r[2], r[3]) for r in results] == [({"seat_0": False}, {"seat_0": i == 3})
                                               for i in range(4)]  # fmt: skip
    assert game.agents == []


@dataclass(frozen=True)
class Interrupted(Departure):
    """Cut short by the move with which seat 1 leaves."""

    def shows(self, state):
        return super().shows(state) | {"terminated": state.time < 0, "truncated": state.time > 0}


def test_who_leaves_as_the_game_is_cut_short_is_terminated_all_the_same():
    game = envs.to_pettingzoo(Interrupted())
    game.reset(seed=0)
    _, _, ended, cut, _ = game.step({"seat_0": 0, "seat_1": 0})
    assert ended == {"seat_0": False, "seat_1": True} and game.agents == []
    assert cut == {"seat_0": True, "seat_1": False}
    about = {"name": "Interrupted", "render_modes": ["rgb_array", "ansi"]}
    assert game.metadata == about | {"is_parallelizable": True} and str(game) == "Interrupted"


def test_what_was_shown_is_the_readers_to_keep():
    game = envs.to_pettingzoo("stag_hunt", encoded=False)
    first, _ = game.reset(seed=0)
    kept = first["seat_0"].copy()
    first["seat_1"][:] = 9
    second = game.step(dict.fromkeys(game.agents, 4))[0]
    assert np.array_equal(first["seat_0"], kept) and not np.shares_memory(
        first["seat_0"], second["seat_0"]
    )
    assert np.array_equal(game.state(), np.concatenate([second[a] for a in game.possible_agents]))


def test_copies_of_equal_games_compile_once():
    compiled: Any = hosting._step
    before = compiled._cache_size()
    for _ in range(2):
        game = envs.to_pettingzoo("matrix:rps,horizon=5")
        game.reset(seed=0)
        game.step({"seat_0": 0, "seat_1": np.int32(2)})
    assert compiled._cache_size() == before + 1


def test_pictures_and_words():
    game = envs.to_pettingzoo("stag_hunt", "rgb_array")
    game.reset(seed=0)
    pixels: Any = game.render()
    assert pixels.dtype == np.uint8 and pixels.ndim == 3
    game = envs.to_pettingzoo("stag_hunt", "ansi")
    game.reset(seed=0)
    picture = envs.make("stag_hunt").render(game._copy._state)
    assert game.render() == picture.text and np.array_equal(pixels, picture.pixels)
    with pytest.warns(UserWarning, match="stag_hunt draws nothing.*rgb_array, ansi"):
        assert envs.to_pettingzoo("stag_hunt").render() is None
    build = partial(envs.to_pettingzoo, "stag_hunt")
    copy = adapter.describe("around", build, {}, None, True).open(pictures=True)
    copy.reset(0)
    assert np.array_equal(copy.render().pixels, pixels)


@pytest.mark.parametrize(
    ("text", "render_mode", "sentence"),
    [
        ("gymnasium:CartPole-v1", None, "CartPole-v1 runs in ordinary Python already"),
        ("stag_hunt:4x5", None, "unknown preset of stag_hunt '4x5'"),
        ("matrix:pd", "human", "unknown render_mode of matrix:pd 'human'; .*rgb_array, ansi"),
    ],
)
def test_what_cannot_be_exported_is_refused(text, render_mode, sentence):
    with pytest.raises(ValueError, match=sentence):
        envs.to_pettingzoo(text, render_mode)


def test_misuse_is_refused_in_words():
    game = envs.to_pettingzoo("matrix:pd")
    for early in (game.state, partial(game.step, {})):
        with pytest.raises(ValueError, match="matrix:pd: call reset first"):
            early()
    with pytest.raises(ValueError, match="a seed is 0 to 4294967295, found -1"):
        game.reset(seed=-1)
    game.reset(seed=0)
    for actions, sentence in [
        ({"seat_0": 0}, "everyone present (seat_0, seat_1), found those of seat_0;"),
        (
            {"seat_0": 0, "seat_1": 2},
            "the action of seat_1 must be a whole number, 0 to 1, found 2",
        ),
        (
            {"seat_0": None, "seat_1": 1},
            "the action of seat_0 must be a whole number, 0 to 1, foun",
        ),
        ({"seat_0": 0, "seat_1": 0, "seat_2": 0}, "found those of seat_0, seat_1, seat_2;"),
    ]:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            game.step(actions)
    game.close()
    with pytest.raises(ValueError, match="call reset first"):
        game.state()
