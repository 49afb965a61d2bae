"""A recorded episode: every state once, the last one too, and what each seat had earned by then."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from probes import Chain

from counterplay import envs
from counterplay.envs.matrix import Matrix
from counterplay.envs.stag_hunt import GONE, StagHunt
from counterplay.evaluate import recording
from counterplay.pools import roster_against, roster_of
from counterplay.seats import Chair, Kind, Roster

record: Any = recording.record
record_match: Any = recording.record_match


class Bare:
    """A game whose picture is its state."""

    def render(self, state: Any) -> Any:
        return jax.tree.map(np.asarray, state)


@dataclass(frozen=True)
class BareMatrix(Bare, Matrix):
    pass


@dataclass(frozen=True)
class BareHunt(Bare, StagHunt):
    pass


class BareChain(Bare, Chain):
    pass


def everybody(env: Any, who: str = "random") -> Roster:
    seats: dict[int, str] = dict.fromkeys(range(env.num_seats), who)
    return roster_of(env, seats)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_matrix_game_is_told_round_by_round(seed):
    env = BareMatrix(horizon=6)
    frames = record(env, everybody(env), seed)
    assert [int(f.picture.time) for f in frames] == list(range(7)), "six rounds and the end"
    assert (frames[0].picture.moves == -1).all() and frames[0].returns.tolist() == [0, 0]
    paid = {(0, 0): (3, 3), (0, 1): (0, 5), (1, 0): (5, 0), (1, 1): (1, 1)}
    total = np.zeros(2)
    for frame in frames[1:]:
        total += paid[tuple(frame.picture.moves.tolist())]
        assert frame.returns.tolist() == total.tolist() == frame.picture.totals.tolist()
    assert len({tuple(f.picture.moves.tolist()) for f in frames[1:]}) > 1


def test_rules_sit_where_the_roster_puts_them():
    env = BareMatrix(horizon=5)
    always = {0: "always_defect:tremble=0", 1: "always_cooperate:tremble=0"}
    native: Any = envs.make("matrix:pd")
    for seats, earned in ((always, [25, 0]), ({0: always[1], 1: always[0]}, [0, 25])):
        frames = record(env, roster_of(native, seats))
        assert len(frames) == 6 and frames[-1].returns.tolist() == earned


@pytest.mark.parametrize("seed", range(4))
def test_a_hunt_ends_with_the_last_catch_and_shows_it(seed):
    env, native = BareHunt(horizon=9), StagHunt(horizon=9)
    frames = record(env, everybody(native, "nearest_hare"), seed)
    states = [frame.picture for frame in frames]
    assert [int(s.time) for s in states] == list(range(len(frames)))

    def over(s: Any) -> bool:
        prey = (s.stags != GONE).any() or (s.hares != GONE).any()
        return s.time >= 9 or not prey or (s.players == GONE).all()

    assert [over(s) for s in states] == [False] * (len(frames) - 1) + [True]
    for frame, s in zip(frames, states, strict=True):
        caught = 10 * (s.stags == GONE).sum() + (s.hares == GONE).sum()
        assert frame.returns.sum() == pytest.approx(caught)
        assert ((frame.returns > 0) == (s.players == GONE)).all(), "who was paid has left"
    assert len(frames) > 1 and frames[-1].returns.sum() > 0


def test_pictures_of_a_native_game_are_drawn_for_every_state():
    env: Any = envs.make("stag_hunt:4x4,horizon=3")
    frames = record(env, everybody(env, "stay"))
    assert len(frames) == 4
    assert len({frame.picture.pixels.shape for frame in frames}) == 1
    assert all(len(np.unique(frame.picture.pixels)) > 5 for frame in frames)
    assert len({frame.picture.text for frame in frames}) == 4, "the time is told"


def test_an_interrupted_episode_ends_where_it_was_interrupted():
    env = BareChain(limit=2)
    frames = record(env, everybody(env))
    assert [int(f.picture.time) for f in frames] == [0, 1, 2]


def test_one_seed_gives_one_episode_and_another_another():
    env = BareHunt(horizon=6)
    cells = [
        [f.picture.players.tolist() for f in record(env, everybody(env), seed)]
        for seed in (0, 0, 1)
    ]
    assert cells[0] == cells[1] != cells[2]


def test_greedy_play_is_handed_on_to_the_policies():
    from counterplay.algos import ppo
    from counterplay.pools import bank

    env = BareMatrix(horizon=12)
    net = ppo.init_learner(ppo.Config(widths=(4,)), env, 1, jr.key(0)).net
    agent = bank([ppo.Agent(jax.tree.map(lambda x: x[0], net))])
    roster = Roster((Kind("net", policy=agent),), ((Chair(0, 0),) * 2,))
    moves = lambda greedy: np.array([f.picture.moves for f in record(env, roster, 3, greedy)[1:]])
    drawn, likely = moves(False), moves(True)
    assert (likely[:, 0] == likely[:, 1]).all(), "both seats see the same and do the same"
    assert (drawn[:, 0] != drawn[:, 1]).any()


def test_a_roster_of_several_tables_is_refused():
    env: Any = envs.make("matrix:pd")
    with pytest.raises(ValueError, match="one table at which every policy of the roster sits"):
        record(env, roster_against(env, "grim", ("bully", "random")))


def test_a_match_is_told_episode_by_episode():
    """Three episodes of four rounds: a picture of every state, and one row of the whole match."""
    env: Any = BareMatrix(horizon=4)
    native: Any = envs.make("matrix:pd,horizon=4")
    always = ("always_defect:tremble=0", "always_cooperate:tremble=0")
    roster = roster_of(native, dict(enumerate(always)))
    found = record_match(env, roster, 1, match=3)
    assert [int(f.picture.time) for f in found.frames] == [*range(5)] * 3
    assert [f.returns.tolist() for f in found.frames] == [[5 * k, 0] for k in range(5)] * 3
    shown = [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 11]
    assert found.slots == shown, "the end of an episode is where the next one begins"
    w = found.watching
    assert w.valid.shape == (1, 12) and w.valid.all() and w.ended.sum() == 3
    assert (w.actions[0] == [0, 1]).all(), "the seat under evaluation is first: it cooperates"
    assert w.episode[0].tolist() == [k // 4 for k in range(12)]


def test_a_match_may_be_cut_after_an_episode():
    env: Any = BareMatrix(horizon=4)
    native: Any = envs.make("matrix:pd,horizon=4")
    found = record_match(env, everybody(native), 0, match=9, most=5)
    assert found.watching.valid.shape == (1, 8), "the episode in which five are over is played on"


def test_the_slot_that_shows_a_cut_episode_is_no_slot_of_the_match():
    env: Any = BareChain(limit=2)
    found = record_match(env, everybody(env), 0, match=2)
    assert [int(f.picture.time) for f in found.frames] == [0, 1, 2] * 2
    assert found.slots == [0, 1, 2, 2, 3, 3]
