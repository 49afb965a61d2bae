"""What every game promises, tested on each preset of each game in the registry."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.types import NO_EVENT, NO_MOVE

LANES = 32
LISTED = [f"{name}:{preset}" for name in envs.GAMES for preset in envs.PRESETS_OF[name]]
VARIED = [
    "stag_hunt:4x4,view=2",
    "stag_hunt:6x6,obstacles=5,horizon=9",
    "snowdrift:4x4,size=2,drifts=4,players=2,horizon=5",
    "matrix:pd,horizon=7",
    "race:slack2,players=2",
    "coordination,players=3,slack=1",
    "pursuit:11x11,size=5,view=1,horizon=9",
    "scissors:9x9,view=0,horizon=12",
    "foraging:2s-8x8-2p-2f-coop,size=5,players=3,view=1,penalty=.5,horizon=12",
]
ROLES = ("matrix:pennies", "pursuit")
"""Games whose seats are paid differently."""


@pytest.mark.parametrize("text", LISTED + VARIED)
def test_contract(text):
    env: Any = envs.make(text)
    assert hash(env) == hash(envs.make(text)), "settings can key a cache"
    assert env == envs.make(text)
    shown = play_lanes(env)
    check_arrays_are_as_declared(env, shown)
    check_encoding_is_finite_and_of_one_width(env, shown)
    check_present_players_can_move_and_absent_ones_take_no_part(shown)
    check_starts_quiet_and_ends_by_the_horizon(shown)
    check_reset_and_step_are_pure(env)
    if not text.startswith(ROLES):
        check_seats_are_labels(env)


def play_lanes(env: Any) -> Any:
    """LANES games of uniform legal moves, what slots 0 to horizon showed, [T + 1, L, ...]."""

    def play(key):
        start_key, *keys = jr.split(key, env.horizon + 1)

        def slot(carry, move_key):
            state, shown = carry
            sampled = jr.categorical(move_key, jnp.where(shown.legal, 0.0, -jnp.inf))
            state, after = env.step(state, jnp.where(shown.alive, sampled, NO_MOVE))
            return (state, after), after

        state, first = env.reset(start_key)
        _, rest = jax.lax.scan(slot, (state, first), jnp.stack(keys))
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)

    lanes = jax.jit(jax.vmap(play, out_axes=1))(jr.split(jr.key(0), LANES))
    return jax.tree.map(np.asarray, lanes)


def check_arrays_are_as_declared(env: Any, shown: Any) -> None:
    slots, seats, actions = env.horizon + 1, env.num_seats, env.num_actions
    assert shown.obs.shape == (slots, LANES, seats, *env.obs_shape)
    assert shown.obs.dtype == env.obs_dtype
    assert shown.legal.shape == (slots, LANES, seats, actions)
    assert shown.visible.shape == (slots, LANES, seats, seats)
    assert shown.reward.shape == shown.event.shape == shown.alive.shape == (slots, LANES, seats)
    assert shown.terminated.shape == shown.truncated.shape == (slots, LANES)
    assert shown.reward.dtype == np.float32
    assert shown.event.dtype == np.int32
    assert -1 <= shown.event.min() <= shown.event.max() < max(env.num_goals, 0)


def check_encoding_is_finite_and_of_one_width(env: Any, shown: Any) -> None:
    flat = jnp.asarray(shown.obs.reshape(-1, *env.obs_shape))
    encoded = jax.jit(jax.vmap(env.encode))(flat)
    assert encoded.dtype == jnp.float32
    assert encoded.ndim == 2
    assert np.isfinite(encoded).all()


def check_present_players_can_move_and_absent_ones_take_no_part(shown: Any) -> None:
    ended_before = np.cumsum(shown.terminated, axis=0) - shown.terminated
    running = (ended_before == 0) & ~shown.terminated
    assert (shown.legal.any(-1) == shown.alive)[running].all()
    assert not shown.legal[~shown.alive].any()
    away = ~shown.alive[:-1]
    assert not shown.alive[1:][away].any(), "who has left stays away"
    assert (shown.reward[1:][away] == 0).all()
    assert (shown.event[1:][away] == NO_EVENT).all()


def check_starts_quiet_and_ends_by_the_horizon(shown: Any) -> None:
    assert shown.alive[0].all()
    assert (shown.reward[0] == 0).all()
    assert (shown.event[0] == NO_EVENT).all()
    assert not shown.terminated[0].any()
    assert shown.terminated.any(0).all()
    assert not shown.truncated.any()


def check_reset_and_step_are_pure(env: Any) -> None:
    reset = jax.jit(env.reset)
    state, shown = reset(jr.key(3))
    before = jax.tree.map(np.array, state)
    moves = jnp.argmax(shown.legal, axis=1)
    plain = env.step(state, moves)
    assert_same(env.step(state, moves), plain)
    assert_same(jax.jit(env.step)(state, moves), plain)
    assert_same(state, before)
    assert_same(reset(jr.key(3)), (state, shown))


def check_seats_are_labels(env: Any) -> None:
    """The same game with its players in other seats shows each of them the same."""
    state, shown = jax.jit(env.reset)(jr.key(4))
    turn = np.roll(np.arange(env.num_seats), 1)
    by_seat = {"players", "levels", "moves", "totals", "held", "seen", "age"} & {*state._fields}
    turned = state._replace(**{name: getattr(state, name)[turn] for name in by_seat})
    moves = jnp.argmax(shown.legal, axis=1)
    step = jax.jit(env.step)
    after, after_turned = step(state, moves)[1], step(turned, moves[turn])[1]
    for name in ("obs", "legal", "alive", "reward", "event"):
        assert_same(getattr(after_turned, name), getattr(after, name)[turn])


def assert_same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_registry_tables_agree_with_the_games():
    assert envs.names() == list(envs.PRESETS_OF) == list(envs.ABOUT)
    for name, place in envs.GAMES.items():
        assert tuple(import_module(place.split(":")[0]).PRESETS) == envs.PRESETS_OF[name]
        assert envs.game_of(envs.make(name)) == name
    assert [row[0] for row in envs.describe()] == envs.names()


def test_listing_games_and_rules_starts_no_jax():
    program = (
        "import sys, counterplay.envs as e, counterplay.opponents as o; "
        "e.describe(), o.names('matrix'); assert not {'jax', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_first_preset_is_the_default_and_settings_override_it():
    assert envs.make("stag_hunt") == envs.make("stag_hunt:4x4")
    changed: Any = envs.make("stag_hunt:6x6, view=2,horizon=9")
    assert (changed.size, changed.view, changed.horizon) == (6, 2, 9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "stag_hant",
            r"unknown game 'stag_hant' \(did you mean 'stag_hunt'\?\); expected .*matrix",
        ),
        ("stag_hunt:4x5", r"preset of stag_hunt '4x5' \(did you mean '4x4'\?\); .* two-stags"),
        ("matrix:", r"preset of matrix ''; expected one of: pd"),
        ("matrix:pd,horizn=3", r"setting of matrix 'horizn' \(did you mean 'horizon'\?\)"),
        ("matrix,horizon=3.5", r"setting 'horizon' wants a whole number, found '3.5'"),
        ("stag_hunt,view", r"written name=value, found 'view'"),
        ("stag_hunt,view=1,view=2", r"'view' is given twice"),
        ("stag_hunt,size=16", r"size must be 2 to 15, found 16"),
        ("stag_hunt,size=2", r"5 prey need a free cell each, found 4 free of 4"),
        ("stag_hunt,obstacles=16", r"16 obstacles and one free cell need 17 cells, found 16"),
        ("matrix,horizon=65535", r"horizon must be 1 to 65534, found 65535"),
        ("race,slack=245", r"race: slack must be 0 to 244 steps, found 245: an episode of 10"),
        ("race,slack=-1", r"race: slack must be 0 to 244 steps, found -1"),
        ("race,players=1", r"race: players must be at least 2, found 1"),
        ("coordination,slack=244", r"coordination: slack must be 0 to 243 steps, found 244"),
        ("coordination,players=0", r"coordination: players must be at least 2, found 0"),
    ],
)
def test_what_cannot_be_made_is_explained(text, said):
    with pytest.raises(ValueError, match=said):
        envs.make(text)
