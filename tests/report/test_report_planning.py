"""The section on what an agent plans: which runs have it, what it draws and what it says."""

import io
from dataclasses import replace
from typing import Any

import fresh_planner
import jax
import numpy as np
import pytest
from fresh_planner import opposite_tit_for_tat
from matplotlib.axes import Axes
from PIL import Image
from synthetic_runs import iteration, make_run

from counterplay import envs
from counterplay.envs import scissors, snowdrift, stag_hunt
from counterplay.evaluate.planned import Planned, Rollout
from counterplay.report import boards, build, plan_strips, planning, rollouts, thinking
from counterplay.report import measure as m
from counterplay.report.blocks import Image as Picture
from counterplay.report.blocks import Note, Section
from counterplay.report.figures import DARK, LIGHT
from counterplay.report.measure import Film, Measured
from counterplay.report.naming import Board, board_of, board_shaped, goals_of, moves_of
from counterplay.report.read import Run, read_run
from counterplay.report.strips import Strip
from counterplay.report.thinking import Thought
from counterplay.types import NO_MOVE

PD = "matrix:pd,horizon=4"
HUNT = envs.make("stag_hunt:4x4")
TOLD = {"trust": [0.0, 0.4], "plan_rank": [-0.2, 0.2], "legal_right": [1, 1], "alive_right": [1, 1]}
NAN = float("nan")


def planned(slots: int = 4) -> Planned:
    """Three moves, of which the policy makes the first two alike; gone in the last slot."""
    worth = np.tile([1.0, 3.0, 7.0], (slots, 1))
    legal = np.tile([True, True, False], (slots, 1))
    log_pi = np.tile([np.log(0.5), np.log(0.5), -np.inf], (slots, 1))
    joint = np.tile([1, 0], (slots, 1))
    joint[-1] = NO_MOVE
    acting = joint[:, 0] != NO_MOVE
    zeros, some = np.zeros(slots), np.zeros((slots, 2))
    return Planned(
        worth, log_pi, legal, joint, acting, some, some, some, zeros, acting, zeros.astype(int)
    )


def hunted(ahead: int = 5) -> Rollout:
    """A real game whose players stay, imagined right but for one hunter, who is put elsewhere."""
    _, shown = HUNT.reset(jax.random.key(1))
    obs = np.asarray(HUNT.encode(shown.obs[0]))
    seen = np.tile(obs, (ahead + 1, 1))
    imagined = seen.copy()
    here = int(np.argmax(obs[:16]))
    imagined[2:, [here, (here + 1) % 16]] = [0.2, 0.7]
    seen[-1] = NAN
    on = np.array([[1.0] * (ahead - 1) + [0], [0.9] * (ahead - 1) + [0.1]])
    return Rollout(3, seen, imagined, np.arange(2.0 * ahead).reshape(2, ahead), on)


BELIEF = Strip(
    np.tile([0.2, 0.8], (4, 1)), np.ones(4, int), ("stag", "hare"), np.zeros(4, int),
    np.zeros(4, int), "belief",
)  # fmt: skip
BOARD = Board(("me", "other 1", "other 2", "other 3", "stags", "hares", "obstacles"), 4, 4)


def thought(**more: Any) -> Thought:
    usual = Thought(
        planned(), ("up", "down", "stay"), BELIEF, hunted(), BOARD, True, 0.25, "4 slots"
    )
    return usual._replace(**more)


def opened(picture: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(picture))
    assert found.format == "PNG" and 400 < found.width < 3000 and 150 < found.height < 3000
    assert 1_000 < len(picture) < 150_000
    return found


@pytest.fixture
def runs(tmp_path) -> dict[int, Run]:
    """One that plans, and one of PPO."""
    rows = [iteration(10, **TOLD), iteration(20, **TOLD)]
    folders = [make_run(tmp_path / "plans", rows), make_run(tmp_path / "ppo", [iteration(10)])]
    return dict(enumerate(map(read_run, folders)))


def test_a_run_that_plans_has_the_section_and_no_other(runs, monkeypatch):
    found = Measured(PD, (), {}, None, {}, 1, (), {0: thought()})
    document = build.build([runs[0]], [found], 0, "", "")
    (section,) = [s for s in document.sections if s.title == "What it plans"]
    pictures = [b for b in section.blocks if isinstance(b, Picture)]
    assert [b.file for b in pictures] == [
        "plan-gate-1.png", "plan-values-1.png", "plan-rollout-1.png"
    ]  # fmt: skip
    for b in pictures:
        assert b.data != b.dark and b.alt and b.caption
        for theme in (b.data, b.dark):
            opened(theme)
    alone = build.build([runs[1]], [Measured(PD, (), {}, None, {}, 1, ())], 0, "", "")
    assert "What it plans" not in [s.title for s in alone.sections]


def section(runs: dict[int, Run], **more: Any) -> Section:
    found = planning.what_it_plans(runs, {0: thought(**more)}, {0: "A", 1: "B"})
    assert found is not None
    return found


def test_the_gate_tells_means_over_seeds_and_its_line(runs, monkeypatch):
    drawn: list[Any] = []
    keep = lambda lines, axis, theme, level: drawn.append((lines, level)) or b""
    monkeypatch.setattr(planning.figures, "learning_curve", keep)
    gate = planning.gate(runs[0], "A", "x.png")
    lines, level = drawn[0]
    assert [line.mean.tolist() for line in lines] == [[0.2, 0.2], [0, 0], [1, 1], [1, 1]]
    assert level == 0.99 and "w: 0.200" in gate.alt and "bands" in gate.caption


def test_what_cannot_be_drawn_is_said(runs):
    found = section({0: runs[0]}, plans=False, rollout=None)
    assert [type(b) for b in found.blocks[2:]] == [Note, Note]
    assert "--plan none" in str(found.blocks[2])
    assert "an episode of 6 slots, and the longest stay in one was 3" in str(found.blocks[3])
    assert planning.what_it_plans({1: runs[1]}, {}, {1: "B"}) is None


def nothing(*asked: Any) -> list[Any]:
    return []


@pytest.mark.parametrize("gated", [True, False])
def test_only_a_run_with_a_gate_is_played_to_be_read(runs, monkeypatch, tmp_path, gated):
    """And what stands in the way of it becomes a sentence of the report."""
    monkeypatch.setattr(m, "film", lambda *args: Film(b"", b"", ""))
    monkeypatch.setattr(m, "cross_play", lambda *args: None)
    monkeypatch.setattr(m, "_against", lambda *args: ())
    monkeypatch.setattr(m, "policy_of", lambda run, seed: "grim")
    asked: list[Any] = []
    monkeypatch.setattr(thinking, "plans", lambda agent: not asked.append(agent))
    monkeypatch.setattr(thinking.pools, "stage", lambda env, roster: hosted)
    hosted = type("Hosted", (), {"open": None})
    found = m.measure(
        PD, envs.make(PD), {0: runs[0 if gated else 1]}, ("grim",), nothing, tmp_path, 0
    )
    said = [note for note in found.notes if "what it plans" in note]
    assert len(asked) == len(said) == int(gated) and not found.thoughts
    assert list(found.alone) == ([0] if gated else []), "and by its policy alone"
    assert all("left out: plans are read inside JAX only" in note for note in said)


def test_a_run_that_plans_is_played_and_told(runs, monkeypatch):
    """By a fresh agent, in one episode of seven rounds, of which five are imagined."""
    config = runs[0].config | {"learners": [{"name": "self", "members": 1, "seats": [1]}]}
    run = replace(runs[0], config=config)
    monkeypatch.setattr(thinking.pools, "roster_of", lambda env, seats: opposite_tit_for_tat())
    found = thinking.thought_of(fresh_planner.ENV, run, {}, ["tit_for_tat", "mine"], 0)
    assert found is not None and found.rollout is not None
    assert found.told == "7 slots of a match; who sat where: 0 tit_for_tat, 1 mine"
    assert found.moves == ("cooperate", "defect") and found.trust == 0.5 and found.plans
    assert found.belief is None and found.board is None, "the game has neither goals nor a board"
    assert found.planned.worth.shape == (7, 2) and found.rollout.slot in range(3)
    assert found.binary and found.rollout.imagined.shape == (6, 7)
    pictures = planning.shown(found, "A", 1)
    assert [type(b) for b in pictures] == [Picture, Picture]
    assert "7 slots, moves: 2" in str(pictures[0]) and "a say of 0.50" in str(pictures[0])


def test_cells_of_a_plan_are_its_advantages_and_frames_its_moves(monkeypatch):
    """1 and 3 with even chances: 1 less and 1 more than their mean; the third is illegal."""
    seen: dict[str, list[Any]] = {"imshow": [], "add_patch": [], "text": []}
    for name, calls in seen.items():
        true = getattr(Axes, name)

        def spy(self, *args, _true=true, _calls=calls, **how):
            _calls.append(args)
            return _true(self, *args, **how)

        monkeypatch.setattr(Axes, name, spy)
    told = planned()
    opened(plan_strips.plan_strip(told, ("a", "b", "c"), None))
    cells = np.ma.filled(seen["imshow"][0][0], NAN)
    here = [[-1.0] * 3 + [NAN], [1.0] * 3 + [NAN], [NAN] * 4]
    np.testing.assert_allclose(cells, here)
    frames = [(a[0].get_x(), a[0].get_width(), a[0].get_y()) for a in seen["add_patch"]]
    assert [np.round(f).tolist() for f in frames] == [[0, 3, 1]], "three slots of the second move"
    assert [a[2] for a in seen["text"]] == ["-1.00", "+1.00"] * 3
    words = plan_strips.told(told, ("a", "b", "c"), BELIEF)
    assert "In 3 of 3 slots" in words and "up to 1.00 more" in words and "Made: b, b, b." in words


def test_many_moves_become_few_rows():
    values = np.zeros((3, 9))
    values[:, 4], values[1, 8] = 5.0, NAN
    rows = plan_strips.rows_of(values, np.array([7, 7, NO_MOVE]), 3)
    assert rows.tolist() == [0, 4, 7], "made, best, and the first of the rest"
    assert plan_strips.rows_of(values, np.array([8, 7, 7])).tolist() == list(range(9))
    wide = Planned(*(np.repeat(x, 30, 1) if x.ndim == 2 else x for x in planned()))
    wide = wide._replace(joint=planned().joint)
    opened(plan_strips.plan_strip(wide, moves_of(HUNT) * 13, None, DARK))


def test_boards_show_what_is_seen_and_frame_what_is_wrong(monkeypatch):
    shown = hunted()
    used = boards.used(shown, BOARD)
    assert used.names == ("me", "other 1", "other 2", "other 3", "stags", "hares")
    wrong = boards.wrong(used.seen, used.imagined).any(1)
    assert wrong.sum((1, 2)).tolist() == [0, 0, 2, 2, 2, 0], "where it is and where it is not"
    assert np.isnan(used.imagined[-1]).all(), "the world holds that the game is over"
    frames: list[Any] = []
    true = Axes.add_patch
    monkeypatch.setattr(Axes, "add_patch", lambda self, p: frames.append(p) or true(self, p))
    opened(rollouts.rollout(shown, BOARD))
    assert len(frames) == 6
    words = rollouts.told(shown, BOARD, True)
    assert "Of 64 cells seen after a move 6 are imagined wrongly" in words
    assert "Rewards: 0.00, 1.00, 2.00, 3.00, 4.00; imagined 5.00" in words


@pytest.mark.parametrize("binary", [True, False])
def test_what_is_no_board_is_a_heat_map(binary):
    shown = hunted()
    scale = 1 if binary else 500
    flat = shown._replace(seen=shown.seen[:, :30] * scale, imagined=shown.imagined[:, :30] * scale)
    light, dark = (rollouts.rollout(flat, None, t, binary=binary) for t in (LIGHT, DARK))
    assert light != dark and opened(light).size == opened(dark).size
    assert ("logarithmic" in rollouts.caption(flat, None, binary)) == (not binary)
    assert ("imagined wrongly" in rollouts.told(flat, None, binary)) == binary


def test_large_boards_are_wider_than_a_phone():
    big = board_of(envs.make("pursuit"), 3 * 121 + 3)
    assert big is not None and rollouts.width_of(hunted(), big) > rollouts.width_of(hunted(), BOARD)
    seen = np.random.default_rng(0).random((6, 366))
    opened(rollouts.rollout(hunted()._replace(seen=seen, imagined=seen[::-1]), big))


def test_moves_goals_and_planes_have_the_names_of_the_game():
    for game in envs.GAMES:
        env = envs.make(game)
        assert len(moves_of(env)) == env.num_actions and len(goals_of(env)) == env.num_goals
    assert moves_of(HUNT)[stag_hunt.HUNT_HARE] == "hunt hare"
    assert (
        moves_of(HUNT)[stag_hunt.STAY] == "stay" and goals_of(HUNT)[stag_hunt.CAUGHT_STAG] == "stag"
    )
    assert moves_of(envs.make("snowdrift"))[snowdrift.CLEAR] == "clear"
    assert moves_of(envs.make("scissors"))[scissors.CHALLENGE] == "challenge"
    assert moves_of(envs.make("matrix:pd")) == ("cooperate", "defect")
    assert board_of(envs.make("race"), 70) is None and board_of(envs.make(PD), 7) is None


def test_planes_are_those_of_the_encoded_observation():
    state, shown = HUNT.reset(jax.random.key(4))
    assert board_of(HUNT, 113) == BOARD
    planes = BOARD.planes(np.asarray(HUNT.encode(shown.obs[1])))
    assert planes.shape == (7, 4, 4)
    for name, cells in {
        "me": state.players[1:2],
        "stags": state.stags,
        "hares": state.hares,
    }.items():
        found = np.flatnonzero(planes[BOARD.names.index(name)])
        np.testing.assert_array_equal(found, np.unique(cells))


@pytest.mark.parametrize(
    ("shape", "first"), [((3, 5, 5), True), ((4, 5, 26), False), ((5, 5, 5), False)]
)
def test_planes_of_other_games_come_first_or_last(shape, first):
    board = board_shaped(shape)
    assert board is not None and board.last is not first
    x = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(board.planes(x.ravel()), x if first else np.moveaxis(x, -1, 0))
    assert board_shaped(shape[:2]) is None
