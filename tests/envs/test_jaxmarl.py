"""JaxMARL's games through our adapter: they play as they do bare; ends are told apart."""

import json
import subprocess
import sys
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, verbs
from counterplay.envs import jaxmarl

pytest.importorskip("jaxmarl")


@pytest.fixture(autouse=True)
def ranks():
    """JaxMARL's games add arrays of different rank, which our tests forbid to our own code."""
    with jax.numpy_rank_promotion("allow"):
        yield


OVERCOOKED = "jaxmarl:overcooked,layout=cramped_room,max_steps=7"
PARTICLES = "jaxmarl:MPE_simple_spread_v3,max_steps=6"
TAG = "jaxmarl:MPE_simple_tag_v3,max_steps=5"
COINS = "jaxmarl:coin_game,num_inner_steps=4,num_outer_steps=2"
STORM = "jaxmarl:storm_2p,num_inner_steps=9"
CROWD = "jaxmarl:storm_np,num_inner_steps=8"  # shows one array, a row for each player
BATTLE = "jaxmarl:SMAX,scenario=3m,max_steps=25"
SCRIPTED = "jaxmarl:HeuristicEnemySMAX,scenario=3m,max_steps=30"
LENGTHS = {
    OVERCOOKED: 7,
    PARTICLES: 7,  # some of JaxMARL's games make one move more than they say
    TAG: 6,
    COINS: 8,
    STORM: 9,
    CROWD: 8,
    BATTLE: 26,
}


@cache
def made(text) -> tuple[Any, Any, Any]:
    """The game, and its reset and step compiled once for all tests."""
    env = envs.make(text)
    return env, jax.jit(env.reset), jax.jit(env.step)


def laid_flat(env, found):
    rows = np.zeros((env.num_seats, *env.obs_shape), env.obs_dtype)
    for i, agent in enumerate(env.game.agents):
        flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(found[agent])])
        rows[i, : len(flat)] = flat
    return rows


def random_moves(env, shown, seed):
    chance = np.random.default_rng(seed)
    legal, alive = np.asarray(shown.legal), np.asarray(shown.alive)
    moves = [chance.choice(np.flatnonzero(row)) if here else -1
             for row, here in zip(legal, alive, strict=True)]  # fmt: skip
    return np.asarray(moves, np.int32)


@pytest.mark.parametrize("text", LENGTHS)
def test_it_plays_as_the_bare_game_does(text):
    """Same keys, same moves: observations, rewards, legal moves, and where it is done."""
    env, reset, step = made(text)
    bare_step = jax.jit(env.game.step_env)
    state, shown = reset(jr.key(3))
    obs, bare = env.game.reset(jr.split(jr.key(3))[0])
    for slot in range(LENGTHS[text]):
        assert not shown.terminated and not shown.truncated
        here = np.asarray(shown.alive)
        assert here.all() or "SMAX" in text
        rows = laid_flat(env, obs)
        np.testing.assert_array_equal(np.asarray(shown.obs)[here], rows[here])
        assert shown.obs.dtype == env.obs_dtype
        if "SMAX" in text:
            offered = env.game.get_avail_actions(bare)
            for i in np.flatnonzero(here):
                np.testing.assert_array_equal(shown.legal[i], offered[env.game.agents[i]] != 0)
        moves = random_moves(env, shown, slot)
        told = [jnp.int32(4 if move < 0 else move) for move in moves]  # the dead may only stop
        by_name = dict(zip(env.game.agents, told, strict=True))
        named = tuple(told) if "storm" in text else by_name
        key = jr.fold_in(state.key, slot)
        obs, bare, reward, done, _ = bare_step(key, bare, named)
        state, shown = step(state, moves)
        paid = [float(reward[agent]) for agent in env.game.agents]
        np.testing.assert_array_equal(np.asarray(shown.reward)[here], np.asarray(paid, "f4")[here])
        assert bool(shown.terminated | shown.truncated) == bool(done["__all__"])
        if shown.terminated:
            break
    assert step._cache_size() == 1
    if "SMAX" not in text:
        assert shown.truncated and not shown.terminated and shown.alive.all()


@pytest.mark.parametrize(
    ("text", "seats", "actions", "width", "kind", "horizon"),
    [
        (OVERCOOKED, 2, 6, 520, "uint8", 7),
        (PARTICLES, 3, 5, 18, "float32", 7),
        (TAG, 4, 5, 16, "float32", 6),
        (COINS, 2, 5, 36, "int8", 8),
        (STORM, 2, 5, 256, "float32", 9),
        (CROWD, 2, 8, 350, "float32", 8),
        (BATTLE, 6, 8, 75, "float32", 26),
        (SCRIPTED, 3, 8, 75, "float32", 31),
    ],
)
def test_sizes(text, seats, actions, width, kind, horizon):
    env, _, _ = made(text)
    assert (env.num_seats, env.num_actions, env.obs_shape) == (seats, actions, (width,))
    assert (env.obs_dtype, env.horizon) == (np.dtype(kind), horizon)
    assert env == envs.make(text) and hash(env) == hash(envs.make(text))
    assert env != envs.make(text + ",see_moves=false")


def test_narrower_players_are_padded():
    """In tag the one who flees sees two numbers less than those who chase."""
    env, reset, _ = made(TAG)
    _, shown = reset(jr.key(0))
    assert env.sizes.widths == (16, 16, 16, 14)
    assert np.all(np.asarray(shown.obs)[3, 14:] == 0)


def test_actions_beyond_a_players_own_are_illegal():
    env: Any = envs.make("jaxmarl:SMAX,num_allies=2,num_enemies=4")
    _, shown = env.reset(jr.key(0))
    assert env.sizes.actions == (9, 9, 7, 7, 7, 7)
    assert not np.asarray(shown.legal)[2:, 7:].any()
    assert np.asarray(shown.legal)[:, :5].all()


def battle(alive, step, health=45.0):
    """A state of a battle of three against three in which only these are alive."""
    _, reset, advance = made(BATTLE)
    state, _ = reset(jr.key(0))
    alive = jnp.asarray(alive, bool)
    game = state.game.replace(
        unit_alive=alive, unit_health=jnp.where(alive, health, 0.0), step=jnp.asarray(step)
    )
    idle = jnp.where(alive, 0, 4)  # the dead may only stop
    return advance, state._replace(game=game, alive=alive, idle=idle, time=jnp.int32(step))


def test_the_dead_have_left_and_earn_nothing():
    advance, state = battle([1, 0, 1, 1, 1, 1], 3)
    _, shown = advance(state, jnp.array([4, -1, 4, 4, 4, 4]))
    assert shown.alive.tolist() == [True, False, True, True, True, True]
    assert not shown.legal[1].any() and not shown.obs[1].any() and shown.reward[1] == 0
    assert not shown.terminated and not shown.truncated


@pytest.mark.parametrize(
    ("alive", "terminated"), [([1, 1, 1, 0, 0, 0], True), ([1, 0, 1, 1, 1, 1], False)]
)
def test_at_the_time_limit_the_games_own_end_counts(alive, terminated):
    advance, state = battle(alive, 25)
    _, shown = advance(state, jnp.where(jnp.asarray(alive, bool), 4, -1))
    assert bool(shown.terminated) is terminated and bool(shown.truncated) is not terminated
    assert shown.alive.tolist() == [bool(here) for here in alive]


@pytest.mark.parametrize(("said", "terminated"), [("in the room", True), ("outside", False)])
@pytest.mark.parametrize(
    "text", ["jaxmarl:switch_riddle", "jaxmarl:switch_riddle,reward_all_die=0"]
)
def test_a_riddle_told_with_the_last_move_has_ended(text, said, terminated):
    env, reset, step = made(text)
    state, shown = reset(jr.key(0))
    for _ in range(5):
        assert not shown.terminated and not shown.truncated
        state, shown = step(state, jnp.zeros(3, jnp.int32))
    inside = jnp.arange(3) == state.game.agent_in_room
    tell = env.game.game_actions["TELL"]
    _, shown = step(state, jnp.where(inside == (said == "in the room"), tell, 0))
    assert bool(shown.terminated) is terminated and bool(shown.truncated) is not terminated


@pytest.mark.filterwarnings("ignore:max_dist_to_goal", "ignore:scatter inputs")  # of its own doing
@pytest.mark.parametrize("evaporating", ["false", "true"])
def test_robots_who_are_all_out_with_the_last_move_have_ended(evaporating):
    """With a limit at the move that ends a long game, and with one a move before it."""
    text = f"jaxmarl:jaxnav,act_type=Discrete,evaporating={evaporating},max_steps="
    ahead = jnp.full(2, 12)

    def last(limit):
        env: Any = envs.make(f"{text}{limit}")
        state, shown = env.reset(jr.key(1))
        for moves in range(1, limit + 1):
            state, shown = step_of(env)(state, ahead)
            if shown.terminated or shown.truncated:
                return moves, bool(shown.terminated)
        raise AssertionError("the limit is no end")

    step_of = cache(lambda env: jax.jit(env.step))
    end, by_rules = last(300)
    assert by_rules and 1 < end < 300
    assert last(end) == (end, True) and last(end - 1) == (end - 1, False)


@pytest.mark.filterwarnings("ignore:max_dist_to_goal", "ignore:scatter inputs")  # of its own doing
def test_a_robot_that_evaporates_as_time_is_up_is_no_longer_there():
    """A long game in which a robot is out before the others, and one cut at that move."""
    text = "jaxmarl:jaxnav,act_type=Discrete,evaporating=true,max_steps="

    def shown_by(limit, until):
        env: Any = envs.make(f"{text}{limit}")
        step = jax.jit(env.step)
        state, shown = env.reset(jr.key(1))
        for moves in range(1, limit + 1):
            state, shown = step(state, jnp.full(2, 12))
            if until(shown):
                return moves, shown
        raise AssertionError("this never comes")

    move, early = shown_by(300, lambda shown: not shown.alive.all())
    assert early.alive.sum() == 1 and not early.terminated and not early.truncated
    _, late = shown_by(move, lambda shown: shown.terminated | shown.truncated)
    assert late.truncated and late.alive.tolist() == early.alive.tolist()


def test_a_game_is_asked_once_a_move_what_it_offers(monkeypatch):
    """And whoever has left is given the first of that."""
    env, reset, step = made(BATTLE)
    state, shown = reset(jr.key(0))
    slot = 0
    while shown.alive.all():
        state, shown = step(state, random_moves(env, shown, slot))
        slot += 1
    gone = ~np.asarray(shown.alive)
    assert not shown.terminated and (np.asarray(state.idle)[gone] == 4).all()
    offers, asked = env.game.get_avail_actions, []
    count = lambda state: (asked.append(1), offers(state))[1]
    monkeypatch.setattr(env.game, "get_avail_actions", count)
    jax.eval_shape(lambda *now: env.step(*now), state, jnp.zeros(6, jnp.int32))  # traced anew
    assert len(asked) == 1


def test_a_shorter_horizon_truncates():
    env = envs.make(PARTICLES + ",horizon=2")
    state, shown = env.reset(jr.key(0))
    step = jax.jit(env.step)
    for late in (False, True):
        state, shown = step(state, jnp.zeros(3, jnp.int32))
        assert bool(shown.truncated) is late and not shown.terminated and shown.alive.all()


def test_moves_can_be_hidden():
    _, shown = envs.make(PARTICLES + ",see_moves=false").reset(jr.key(0))
    assert shown.visible.tolist() == np.eye(3, dtype=bool).tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jaxmarl:overcookd", "unknown JaxMARL game 'overcookd' .did you mean 'overcooked'"),
        (
            "jaxmarl:overcooked,layout=cramped_rom",
            "unknown layout of overcooked 'cramped_rom' .did you",
        ),
        ("jaxmarl:SMAX,scenario=3n", "unknown scenario of SMAX '3n'.*3m"),
        ("jaxmarl:MPE_simple_spread_v3,max_stps=9", "unknown setting .* 'max_stps' .*'max_steps'"),
        ("jaxmarl:SMAX,alies=3", "jaxmarl:SMAX cannot be made with .*alies"),
        ("jaxmarl:hanabi", "does not say how long an episode may last.*jaxmarl:hanabi,horizon=100"),
        ("jaxmarl:SMAX,action_type=continuous", "acts in Box, expected Discrete"),
        ("jaxmarl:coin_game,shaped=1", "shaped is 1, but the game tells no rewards on the way"),
        ("jaxmarl:coin_game,horizon=0", "horizon is a number of moves, at least 1, found 0"),
        ("jaxmarl:coin_game,num_outer_steps=0", "jaxmarl:coin_game does not run: IndexError"),
        ("jaxmarl:storm", "jaxmarl:storm does not run: .* observations of 2 players, .*none for 0"),
    ],
)
def test_what_cannot_be_played_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        envs.make(text)


@pytest.mark.parametrize("text", [OVERCOOKED, TAG, COINS, STORM, BATTLE, SCRIPTED])
def test_pictures(text):
    env, reset, step = made(text)
    state, shown = reset(jr.key(1))
    first = env.render(state)
    state, _ = step(state, random_moves(env, shown, 0))
    second = env.render(state)
    assert first.pixels.dtype == np.uint8 and first.pixels.shape == second.pixels.shape
    assert first.pixels.std() > 5 and (first.pixels != second.pixels).any()
    assert f"move 1 of {env.horizon}" in second.text and "present: 0 1" in second.text


def test_a_game_nobody_drew_is_shown_as_what_its_players_see():
    env = envs.make("jaxmarl:switch_riddle")
    state, shown = env.reset(jr.key(0))
    drawn = env.render(state)
    assert drawn.pixels.std() > 5
    assert f"0 sees {' '.join(str(int(x)) for x in shown.obs[0])}" in drawn.text


def test_a_team_is_trained_and_evaluated_from_the_command_line(tmp_path, monkeypatch, capsys):
    for module in (verbs, play):
        monkeypatch.setattr(module, "use_all_cores", lambda game="": None)
    game, run = "jaxmarl:switch_riddle", str(tmp_path / "run")
    sizes = ["--lanes", "8", "--slots", "6", "--widths", "8", "--minibatches", "1"]
    learn = ["train", "ppo", "--env", game, *sizes, "--steps", "96", "--out", run, "--json"]
    assert cli.main(learn) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 96
    sit = ["--seat", f"0=run:{run}", "--seat", "1..2=random"]
    assert cli.main(["eval", "--env", game, *sit, "--episodes", "16", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    (row,) = rows
    assert len(row["mean"]) == 3 and all(-1 <= mean <= 1 for mean in row["mean"])
    assert 1 <= row["length"] <= 6


def test_a_game_that_does_not_tell_what_is_seen_is_drawn_without_it():
    env: Any = envs.make("jaxmarl:hanabi,horizon=9")
    alive = jnp.array([True, True])
    idle = jnp.zeros(2, jnp.int32)
    drawn = env.render(jaxmarl.State(jnp.int32(0), jr.key(0), jnp.int32(0), alive, idle))
    assert drawn.text.splitlines() == ["jaxmarl:hanabi: move 0 of 9", "0 sees ", "1 sees "]


def test_importing_it_says_nothing_and_leaves_the_output_alone():
    """JaxMARL prints, and puts the real output back in place of whatever was there."""
    program = (
        "import io, sys; sys.stdout = kept = io.StringIO(); sys.stderr = errors = io.StringIO()\n"
        "from counterplay import envs; envs.make('jaxmarl:switch_riddle')\n"
        "assert sys.stdout is kept and sys.stderr is errors and not kept.getvalue()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
