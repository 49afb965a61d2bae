"""The ordinary loop makes the slots of the jitted one, from foreign games and with foreign bots."""

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.algos import ppo
from counterplay.algos.loops import Spec
from counterplay.envs.hosting import host_native
from counterplay.envs.matrix import COOPERATE, DEFECT
from counterplay.errors import GameError
from counterplay.evaluate.records import recorded
from counterplay.packing import Layout
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.rollout_host import HostSeat, collect_host, open_host
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import NO_MOVE, Act

make: Any = envs.make
SCRIPTED = Path(__file__).parent / "envs" / "test_hosting.py"
FORAGING = "lbforaging:Foraging-5x5-2p-1f-coop-v3"


@dataclass(frozen=True)
class Same:
    """A hunt that always starts alike, and is cut short where seat 1 stands on an even cell."""

    env: Any
    limit: int

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "env"), name)

    def reset(self, key):
        return self.env.reset(jr.key(7))

    def step(self, state, actions):
        state, shown = self.env.step(state, actions)
        cut = (state.time >= self.limit) & (state.players[1] % 2 == 0)
        return state, replace(shown, truncated=~shown.terminated & cut)


def one(policy):
    return jax.tree.map(lambda x: jnp.asarray(x)[None], policy)


def everyone(game, policy, lanes):
    kind = Kind("everyone", policy=policy)
    return Roster((kind,), ((Chair(0, 0),) * game.num_seats,)).seating(lanes), (policy,)


def play(game, slots, lanes=2, **settings):
    seating, policies = everyone(game, one(opponents.make("random", game)), lanes)
    games = open_host(game, seating, policies, 0)
    games, chunk = collect_host(game, seating, policies, games, 1, slots=slots, **settings)
    games.close()
    return {name: np.asarray(x) for name, x in chunk.slots.items()}


def test_both_loops_make_the_same_chunks():
    hunt = make("stag_hunt:4x4,horizon=7")
    env: Any = Same(hunt, 4)
    learner = partial(ppo.init_learner, ppo.Config(gru=4, widths=(4,)), hunt, 2)
    net = ppo.Agent(jax.jit(learner)(jr.key(3)).net)
    rule = Kind("rule", policy=one(opponents.make("nearest_stag", hunt)))
    table = (Chair(0, 0), Chair(1, 0), Chair(1, 0), Chair(0, 1))
    roster = Roster((Kind("net", 2, policy=net), rule), (table, table[::-1]))
    seating, game = roster.seating(4), host_native(env)
    lanes = jax.jit(partial(open_lanes, env, seating))(roster.others, jr.key(5))
    games = open_host(game, seating, roster.others, 5)
    seen = []
    jitted = jax.jit(partial(collect, env, seating, slots=15, match=2))
    for i, cut in enumerate((False, True, False)):
        lanes, chunk = jitted(roster.others, lanes, jr.key(i), cut=cut)
        games, ours = collect_host(
            game, seating, roster.others, games, i, slots=15, match=2, cut=cut
        )
        assert chunk.slots.keys() == ours.slots.keys()
        assert jax.tree.structure(chunk) == jax.tree.structure(ours)
        for (path, x), y in zip(
            jax.tree.leaves_with_path(chunk), jax.tree.leaves(ours), strict=True
        ):
            assert (x.shape, x.dtype) == (y.shape, y.dtype), path
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6, err_msg=str(path))
        seen.append(ours.slots)
    joined = {name: np.concatenate([s[name] for s in seen], axis=1) for name in seen[0]}
    for name in ("closing", "terminated", "truncated", "left", "contact"):
        assert joined[name].any() and not joined[name].all(), name


def test_players_who_left_earn_nothing_and_do_nothing():
    slots = play(make(f"{SCRIPTED}:Leavers"), 4)
    assert slots["alive"][0].tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert slots["actions"][0, :3].tolist() == [[0, 0, 0], [-1, 0, 0], [-1, -1, 0]]
    assert slots["returns"][0, 2].tolist() == [1, 3, 6]
    assert slots["left"][0, 0].tolist() == [True, False, False]
    assert slots["terminated"][0].tolist() == [False, False, True, False]
    assert slots["continues"][0, :3].tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert not slots["closing"].any()


def test_players_who_come_and_go_are_there_when_they_are():
    slots = play(make(f"{SCRIPTED}:Guests"), 6)
    alive = [[1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0]]
    assert slots["alive"][0].tolist() == alive
    assert slots["left"][0].tolist() == [
        [False, True, False],
        [False, False, False],
        [False, False, False],
        [False, False, True],
        [True, True, False],
        [False, True, False],
    ]
    assert (slots["continues"] == slots["alive"] & ~slots["left"]).all()
    assert (slots["actions"][~slots["alive"]] == NO_MOVE).all()
    assert slots["returns"][0, 4].tolist() == [5, 30, 200]
    assert slots["terminated"][0].tolist() == [False] * 4 + [True, False]
    assert slots["time"][0].tolist() == [0, 1, 2, 3, 4, 0]


def test_absent_guests_teach_nothing():
    """Whatever their slots hold, what is learnt is the same to the bit."""
    game: Any = make(f"{SCRIPTED}:Guests")
    config = ppo.Config(lanes=2, slots=8, widths=(4,), gru=3, minibatches=2, epochs=1)
    roster = roster_of(game, {0: "own", 1: "own", 2: "own"})
    spec = Spec(game, roster.seating(2), None)
    state = jax.jit(partial(ppo.init, config, spec))(jr.key(0))
    policies = ppo.policy(config, state)
    games = open_host(game, spec.seating, policies, 0)
    _, chunk = collect_host(game, spec.seating, policies, games, 1, slots=8)
    slots = {name: np.array(x) for name, x in chunk.slots.items()}
    absent = ~slots["alive"]
    assert absent.any() and slots["left"].any()
    slots["obs"][absent], slots["reward"][absent], slots["actions"][absent] = np.nan, 1e30, 1
    learn = jax.jit(partial(ppo.learn, config))
    after = [learn(state, c)[0].learners for c in (chunk, chunk._replace(slots=slots))]
    assert jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), *after))
    moved = jax.tree.map(lambda x, y: not np.array_equal(x, y), state.learners, after[0])
    assert any(jax.tree.leaves(moved))


def test_an_episode_cut_short_shows_where_it_stopped():
    slots = play(make(f"{SCRIPTED}:Leavers,horizon=2"), 4)
    assert slots["truncated"][0].tolist() == [False, True, False, False]
    assert slots["closing"][0].tolist() == [False, False, True, False]
    assert slots["continues"][0, 1].tolist() == [False, False, True]
    assert slots["obs"][0, 2].tolist() == [[0, 0, 0], [0, 0, 0], [2, 0, 0]]
    assert slots["time"][0].tolist() == [0, 1, 2, 0]
    assert (slots["actions"][0, 2] == NO_MOVE).all() and not slots["alive"][0, 2].any()


@pytest.mark.parametrize(
    "text", [FORAGING, "pettingzoo:mpe2.simple_tag_v3", "gymnasium:CartPole-v1"]
)
def test_foreign_games_are_played_legally_and_the_same_again(text):
    game = make(text)
    slots = play(game, 60)
    taken = np.take_along_axis(slots["avail_actions"], slots["actions"][..., None], -1)[..., 0]
    assert taken[slots["alive"]].all()
    assert (slots["terminated"] | slots["truncated"]).any() and not slots["stuck"].any()
    again = play(game, 60)
    assert all(np.array_equal(slots[name], again[name]) for name in slots)


def test_broken_games_are_named():
    game = make(f"{SCRIPTED}:Leavers,fault=hole")
    with pytest.raises(RuntimeError, match=r"lane 0 after move 1: seat 0 .agent 'a'.: the reward"):
        play(game, 2)
    game = make(FORAGING)
    seating, policies = everyone(game, one(opponents.make("random", game)), 2)
    games = open_host(game, seating, policies, 0)
    games, _ = collect_host(game, seating, policies, games, 1, slots=3)
    broken: Any = games.games.copies[1]
    broken._game.unwrapped.players.pop()
    with pytest.raises(RuntimeError, match=r"Foraging.* broke in lane 1 after move 4: "):
        collect_host(game, seating, policies, games, 1, slots=3)


def test_a_hole_is_blamed_on_the_game_even_where_a_bot_stumbles_over_it_first():
    class Careful:
        def begin(self, seed, new_match):
            pass

        def act(self, view):
            assert np.isfinite(view["reward"]).all()
            return int(view["legal"].argmax())

    game = make(f"{SCRIPTED}:Leavers,fault=hole,stay=true")
    seating, policies = everyone(game, HostSeat(Careful), 1)
    games = open_host(game, seating, policies, 0)
    with pytest.raises(RuntimeError, match=r"lane 0 after move 1: .*the reward holds a NaN"):
        collect_host(game, seating, policies, games, 1, slots=3)


class Copycat:
    """Repeats what the other did; keeps a diary."""

    def __init__(self, diary, answer=None):
        self.diary, self.answer = diary, answer

    def begin(self, seed, new_match):
        self.diary.append(new_match)

    def act(self, view):
        assert set(view) >= {"obs", "legal", "alive", "moved", "reward", "time", "first"}
        assert all(isinstance(x, np.ndarray) for x in view.values())
        return max(int(view["moved"][1]), COOPERATE) if self.answer is None else self.answer


def test_bots_sit_beside_jitted_policies():
    env, diary = make("matrix:pd,horizon=3"), []
    game, rule = host_native(env), opponents.make("always_defect:tremble=0", env)
    kinds = (Kind("bot", policy=HostSeat(lambda: Copycat(diary))), Kind("rule", policy=one(rule)))
    roster = Roster(kinds, ((Chair(0, 0), Chair(1, 0)), (Chair(1, 0), Chair(0, 0))))
    seating = roster.seating(2)
    games = open_host(game, seating, roster.others, 0)
    _, chunk = collect_host(game, seating, roster.others, games, 1, slots=7, match=2)
    moves = np.asarray(chunk.slots["actions"])
    # the second episode of a match remembers the last moves of the first, a new match does not
    want = [COOPERATE, DEFECT, DEFECT, DEFECT, DEFECT, DEFECT, COOPERATE]
    assert moves[0, :, 0].tolist() == moves[1, :, 1].tolist() == want
    assert (moves[0, :, 1] == DEFECT).all() and diary == [True, True, False, False, True, True]


class Clock(Copycat):
    """Expects a cooperation the less the later it is."""

    def predict(self, view):
        chance = 0.9 - 0.2 * view["time"]
        return np.log([[chance, 1 - chance]])


class Sure(eqx.Module):
    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        return Act(jnp.int32(DEFECT), memory, {})

    def predict(self, memory, view):
        return jnp.log(jnp.array([[0.25, 0.75]]))


def test_those_who_predict_are_heard_where_they_are_watched():
    game = host_native(make("matrix:pd,horizon=3"))
    bots = [HostSeat(lambda: Clock([])), HostSeat(lambda: Copycat([])), one(Sure())]
    kinds = tuple(Kind(str(i), policy=bot) for i, bot in enumerate(bots))
    roster = Roster(kinds, ((Chair(0, 0), Chair(2, 0)), (Chair(2, 0), Chair(1, 0))))
    seating = roster.seating(2)
    heard = []
    for watch in (False, True):
        games = open_host(game, seating, roster.others, 0)
        _, chunk = collect_host(game, seating, roster.others, games, 1, slots=4, watch=watch)
        heard.append(chunk)
        games.close()
    quiet, told = heard
    assert not any("predict" in record for record in quiet.records)
    same = jax.tree.map(lambda x, y: np.array_equal(x, y), quiet.slots, told.slots)
    assert all(same.values())
    clock = np.exp(np.asarray(recorded(seating, told.records, "predict", np.array([[0], [0]]))))
    np.testing.assert_allclose(clock[0, :, 0, 0, 0], [0.9, 0.7, 0.5, 0.9], atol=1e-6)
    np.testing.assert_allclose(clock[1, :, 0, 0, 0], 0.25, atol=1e-6)
    mixed = np.asarray(recorded(seating, told.records, "predict", np.array([[1], [1]])))
    assert not np.isnan(mixed[0]).any() and np.isnan(mixed[1]).all()  # the copycat tells nothing


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (np.log([0.5, 0.5]), r"\[1, 2\], a row an other, found \[2\]"),
        ([[0.5, 0.5]], "are these probabilities themselves"),
    ],
)
def test_what_is_no_prediction_is_refused(held, said):
    class Wrong(Copycat):
        def predict(self, view):
            return held

    game = host_native(make("matrix:pd"))
    seating, policies = everyone(game, HostSeat(lambda: Wrong([])), 1)
    games = open_host(game, seating, policies, 0)
    collect_host(game, seating, policies, games, 1, slots=1)  # nobody asks
    with pytest.raises(GameError, match=f"Wrong at seat 0 of lane 0 raised ValueError.*{said}"):
        collect_host(game, seating, policies, games, 1, slots=1, watch=True)


@pytest.mark.parametrize("answer", [2, -1, True, 1.0, None])
def test_illegal_answers_name_the_seat_and_what_is_legal(answer):
    class Wrong(Copycat):
        def act(self, view):
            return answer

    game = host_native(make("matrix:pd"))
    seating, policies = everyone(game, HostSeat(lambda: Wrong([])), 1)
    games = open_host(game, seating, policies, 0)
    with pytest.raises(ValueError, match=rf"seat 0 of lane 0 in slot 0 answered {answer}; .*0, 1"):
        collect_host(game, seating, policies, games, 1, slots=1)


def test_packed_trees_come_back():
    tree = {
        "a": np.array([[True, False, True]]),
        "b": (np.float32(-0.5), np.arange(5, dtype=np.uint8)),
        "c": np.array([-1, 300], np.int16),
        "d": np.zeros((2, 0), np.float32),
    }
    layout = Layout.of(tree)
    words = np.asarray(jax.jit(layout.pack)(jax.tree.map(jnp.asarray, tree)))
    for back in (layout.views(words), jax.jit(layout.read)(words)):
        assert jax.tree.all(jax.tree.map(lambda x, y: np.array_equal(x, y), tree, back))
        assert jax.tree.all(jax.tree.map(lambda x, y: x.dtype == y.dtype, tree, back))


def test_the_benchmark_compares_bare_and_hosted(capsys, monkeypatch):
    from counterplay.bench import host

    monkeypatch.setattr(host, "run_where_called", lambda: None)  # this process has its devices
    assert host.main(["--copies", "2", "--seconds", "0.2", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["rows"]) == {"random", "ppo"}
