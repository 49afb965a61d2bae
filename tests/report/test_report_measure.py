"""What a report measures: who plays whom, how answers are put together, what is left out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic_runs import ROWS, make_run

from counterplay import envs
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.tally import Row
from counterplay.report import build, figures
from counterplay.report import measure as m
from counterplay.report.blocks import Section, Table
from counterplay.report.measure import Cell, Film, Measured, default_opponents, measure
from counterplay.report.playing import cross, earned, returns
from counterplay.report.read import Evaluation, Run, read_run

PD = "matrix:pd,horizon=4"
ALL_C, ALL_D = "always_cooperate:tremble=0", "always_defect:tremble=0"


@pytest.fixture
def runs(tmp_path) -> dict[int, Run]:
    """Two runs of two seeds, and one of one."""
    seeds = {"one": 2, "two": 2, "three": 1}
    made = [read_run(make_run(tmp_path / n, ROWS if s == 2 else [], s)) for n, s in seeds.items()]
    return dict(enumerate(made))


@pytest.fixture
def stand_ins(monkeypatch):
    """The first seed of a run cooperates, the second defects: no training is needed."""
    stand_in = lambda run, seed: ALL_D if seed else ALL_C
    monkeypatch.setattr(m, "policy_of", stand_in)


@pytest.fixture(autouse=True)
def no_film(request, monkeypatch):
    """Drawing is slow and has a test of its own."""
    if "film" not in request.node.name and "outside_jax" not in request.node.name:
        monkeypatch.setattr(m, "film", lambda *args: Film(b"", b"", ""))


def exactly(title: str, env: Any, roster: Any, match: int, *more: Any) -> list[Row]:
    return evaluate(env, roster, 4, match=match)


def numbered(title: str, env: Any, roster: Any, match: int, *more: Any) -> list[Row]:
    """Row k of a call tells k."""
    labels = list(dict.fromkeys(roster.labels))
    zero = np.zeros(2)
    return [Row(x, 4, 4, zero, zero, 1.0, float(k), 0.5) for k, x in enumerate(labels)]


def test_returns_and_cross_play_are_those_of_the_game(runs, stand_ins, tmp_path):
    """Four rounds: 12 each when both cooperate, 20 and 0, 4 each when both defect."""
    env = envs.make(PD)
    two = {0: runs[0], 2: runs[2]}
    found = measure(PD, env, two, (ALL_C, ALL_D), exactly, tmp_path, 0)
    means = {i: [[c.mean for c in row] for row in cells] for i, cells in found.returns.items()}
    assert means == {0: [[12, 0], [20, 4]], 2: [[12, 0]]}
    assert found.cross is not None and found.cross.trained == ((0, 0), (0, 1), (2, 0))
    told = [[cell.mean for cell in row] for row in found.cross.cells]
    kind, nasty = [12, 0, 12, 12, 0], [20, 4, 20, 20, 4]
    assert told == [kind, nasty, kind, kind, nasty]
    assert found.notes == ()


def test_known_returns_are_not_played_again(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(m, "policy_of", lambda run, seed: ALL_C)
    rosters: list[Any] = []

    def play(title: str, env: Any, roster: Any, match: int, *more: Any) -> list[Row]:
        rosters.append(roster)
        return numbered(title, env, roster, match, *more)

    measure(PD, envs.make(PD), {0: runs[0]}, (ALL_D, "grim"), play, tmp_path, 0)
    labels = [list(dict.fromkeys(roster.labels)) for roster in rosters]
    assert labels[:2] == [[ALL_D, "grim"]] * 2, "one call a seed, and nobody twice"
    assert f"{ALL_C} | {ALL_D}" not in labels[2] and f"{ALL_D} | {ALL_C}" in labels[2]
    assert labels[3] == [f"{a} | {b}" for a in (ALL_D, "grim") for b in (ALL_D, "grim")]


def test_an_opponent_may_be_a_run_of_the_report(runs, stand_ins, tmp_path):
    against = (ALL_C, "grim:tremble=0", ALL_C)
    found = measure(PD, envs.make(PD), {2: runs[2]}, against, exactly, tmp_path, 0)
    assert found.opponents == against[:2] and found.notes == () and found.cross is not None
    assert [[cell.mean for cell in row] for row in found.cross.cells] == [[12] * 3] * 3


def test_no_more_than_some_seeds_enter_the_cross_play(tmp_path, monkeypatch):
    made = [read_run(make_run(tmp_path / str(n), [], n)) for n in (12, 3)]
    names = [f"always_cooperate:tremble=.{i:02}" for i in range(24)]
    monkeypatch.setattr(m, "policy_of", lambda run, seed: names[seed + 12 * (run.seeds == 3)])
    found = measure(PD, envs.make(PD), dict(enumerate(made)), ("grim",), numbered, tmp_path, 0)
    assert found.cross is not None
    assert found.cross.trained == (*((0, s) for s in range(5)), (1, 0), (1, 1), (1, 2))
    assert [len(row) for row in found.cross.cells] == [9] * 9
    section = cross(found, {0: "A", 1: "B"}, "")
    assert section is not None and "7 further seeds are left out" in str(section.blocks[0])


def test_a_run_that_cannot_play_is_told_and_the_others_go_on(runs, tmp_path, monkeypatch):
    def policy(run: Run, seed: int) -> str:
        return ALL_C if run.name == "one" else f"run:{run.folder}#{seed}"

    monkeypatch.setattr(m, "policy_of", policy)
    found = measure(PD, envs.make(PD), runs, (ALL_D,), exactly, tmp_path, 0)
    assert list(found.returns) == list(found.films) == [0] and found.cross is not None
    assert [note.partition(" left out: ")[0] for note in found.notes] == [
        "two: returns",
        "three: returns",
    ]
    assert all("checkpoint" in note or "unknown settings" in note for note in found.notes)


@pytest.mark.parametrize("game", ["gymnasium:CartPole-v1", "lbforaging:Foraging-5x5-2p-1f-v3"])
def test_what_a_game_outside_jax_cannot_do_is_told(game, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(m, "policy_of", lambda run, seed: "random")
    env = envs.make(game)
    found = measure(game, env, {0: runs[2]}, (), numbered_alone, tmp_path, 0)
    assert len(found.returns[0][0]) == 1 and found.films == {}
    assert found.notes[-1] == "three: an episode as pictures left out: the game draws no pictures"
    if env.num_seats == 1:
        assert found.opponents == () and found.cross is None
        assert "has one seat: no opponents and no cross-play" in found.notes[0]
    else:
        assert found.opponents == ("random",) and found.cross is not None


def numbered_alone(title: str, env: Any, roster: Any, match: int, *more: Any) -> list[Row]:
    rows = numbered(title, env, roster, match)
    return [row._replace(focal_mean=1.0) for row in rows]


def test_the_usual_opponents_are_the_rules_that_can_play():
    assert default_opponents(envs.make("matrix:rps")) == ("random",)
    hunt = default_opponents(envs.make("stag_hunt:4x4"))
    assert hunt[-1] == "random" and {"nearest_stag", "nearest_hare", "adaptive"} < set(hunt)
    pd = default_opponents(envs.make("matrix:pd"))
    assert len(pd) == len(set(pd)) == m.MOST_OPPONENTS and "tit_for_tat" in pd


def test_walkers_to_a_cell_are_no_usual_opponents_and_random_always_is(monkeypatch):
    many = {f"cell_{i}": "x:y" for i in range(9)} | {f"rule{i}": "x:y" for i in range(9)}
    monkeypatch.setattr(m.opponents, "names", lambda game: [*many, "random"])
    monkeypatch.setattr(m.opponents, "make", lambda name, env: name)
    found = default_opponents(envs.make("stag_hunt:4x4"))
    assert found == (*(f"rule{i}" for i in range(7)), "random")


def test_a_film_shows_the_whole_episode(runs, stand_ins, tmp_path):
    path = tmp_path / "film.gif"
    film = m.film(envs.make(PD), runs[0], (ALL_D,), 0, path)
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == 5
    assert film.gif == path.read_bytes() and film.still[:4] == b"\x89PNG"
    assert "0 ppo 0.0" in film.told and f"1 {ALL_D} 20.0" in film.told and "4 slots" in film.told


def cells(*rows: tuple[float, ...]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(Cell(mean, 0.3, 8) for mean in row) for row in rows)


def test_intervals_of_returns_are_over_seeds():
    """Seeds earn 1 and 3 against the first: 2 ± 12.7062; 2 and 2 against the second: 2 ± 0."""
    found = earned(cells((1.0, 2.0), (3.0, 2.0)))
    assert found.over == "2 seeds" and found.interval.mean.tolist() == [2, 2, 2]
    reach = np.array([12.7062047, 0, 12.7062047 / 2])
    assert found.interval.high == pytest.approx(2 + reach)
    assert found.interval.low == pytest.approx(2 - reach)


def test_one_seed_has_only_its_episodes():
    """An error of .3 each: ± 1.959964 x .3, and for their mean that / sqrt(2)."""
    found = earned(cells((1.0, 2.0)))
    assert found.over == "episodes of one seed" and found.interval.mean.tolist() == [1, 2, 1.5]
    half = 1.959964 * 0.3
    reach = np.array([half, half, half / np.sqrt(2)])
    assert found.interval.high - found.interval.mean == pytest.approx(reach)


def test_the_table_of_returns_holds_what_was_measured(runs):
    both = {0: cells((1.0, 2.0), (3.0, 2.0)), 2: cells((0.125, -7.5))}
    found = Measured(PD, ("grim", "bully"), both, None, {}, 1, ())
    section = returns(found, runs, {0: "A", 1: "B", 2: "C"}, 5, "")
    assert section is not None
    text, table, picture, _, pairs = section.blocks
    assert pairs.rows[0] == ("A - C", "grim", "0.875", "too few pairs", "1")  # pyright: ignore
    assert table.rows[:2] == (  # pyright: ignore
        ("grim", "2.000", "-10.706 to 14.706", "0.125", "-0.463 to 0.713"),
        ("bully", "2.000", "2.000 to 2.000", "-7.500", "-8.088 to -6.912"),
    )
    assert table.columns[1:3] == ("A, mean return", "A, 95% over 2 seeds")  # pyright: ignore
    off = returns(
        found._replace(alone={2: cells((4.0, 6.0))}), runs, {0: "A", 1: "B", 2: "C"}, 5, ""
    )
    assert off is not None and isinstance(off.blocks[1], Table)
    assert off.blocks[1].columns[5] == "C without plans, mean return"
    assert [row[5] for row in off.blocks[1].rows] == ["4.000", "6.000", "5.000"]
    assert "at least 8 episodes" in text.words and "evaluation seed 5" in text.words  # pyright: ignore
    assert "three: one seed has no interval over seeds" in text.words  # pyright: ignore
    assert "grim 0.125, bully -7.500" in picture.alt  # pyright: ignore


def test_a_run_that_could_not_play_keeps_its_colour(runs, monkeypatch):
    """Or the second run would look like the first did in the figure before."""
    found = Measured(PD, ("grim", "bully"), {1: cells((1.0, 2.0))}, None, {}, 1, ())
    drawn: list[Any] = []
    monkeypatch.setattr(
        figures, "return_bars", lambda names, bars, theme: drawn.append(bars) or b""
    )
    assert returns(found, runs, {0: "A", 1: "B", 2: "C"}, 0, "") is not None
    assert [bars.name for bars in drawn[0]] == [
        "A: one (could not play)", "B: two", "C: three (could not play)"
    ]  # fmt: skip
    assert np.isnan(drawn[0][0].mean).all() and drawn[0][1].mean.tolist() == [1, 2]


def test_the_table_of_cross_play_holds_what_was_measured():
    values = tuple(tuple(Cell(10.0 * i + k, 0.25, 4) for k in range(3)) for i in range(3))
    found = Measured(
        PD, ("grim", "bully"), {0: cells((1, 2))}, m.CrossPlay(((0, 0),), values), {}, 1, ()
    )
    section = cross(found, {0: "ppo"}, "-2")
    assert section is not None
    _, picture, table = section.blocks
    assert table.columns == ("who earns", "ppo #0", "grim", "bully")  # pyright: ignore
    assert table.rows[1] == ("grim", *(f"{v}.000 ± 0.250" for v in (10, 11, 12)))  # pyright: ignore
    assert picture.file == "cross-play-2.png"  # pyright: ignore
    assert "highest is 22.000: bully among bully" in picture.alt  # pyright: ignore


def test_matches_are_as_long_as_the_longest_training_had(tmp_path, monkeypatch):
    made = [
        read_run(make_run(tmp_path / str(i), [], 1, config={"match": match}))
        for i, match in enumerate((1, 3, "many"))
    ]
    monkeypatch.setattr(m, "policy_of", lambda run, seed: ALL_C)
    seen: list[int] = []

    def play(title: str, env: Any, roster: Any, match: int, *more: Any) -> list[Row]:
        seen.append(match)
        return numbered(title, env, roster, match, *more)

    runs = dict(enumerate(made))
    found = measure(PD, envs.make(PD), runs, ("grim",), play, Path(tmp_path), 0)
    assert found.match == 3 and set(seen) == {3}
    section = returns(found, runs, dict.fromkeys(range(3), "A"), 0, "")
    assert section is not None and "in matches of 3 episodes" in str(section.blocks[0])


def test_a_film_of_a_run_with_protocols_shows_what_was_believed(runs, stand_ins, tmp_path):
    """Nobody but exact inference believes anything here: it knows who always defects."""
    told = replace(runs[0], protocols=(Evaluation("x", {"protocol": "seen-v1", "plays": {}}),))
    path = tmp_path / "film.gif"
    film = m.film(envs.make(PD), told, ("always_defect:tremble=.05",), 0, path)
    assert film.strip is not None and film.strip.source == "exact filter"
    assert film.strip.posterior.shape == (4, 6) and "always_defect" in film.strip.names
    assert {film.strip.names[k] for k in film.strip.truth} == {"always_defect"}
    assert film.strip.posterior[0] == pytest.approx(1 / 6, abs=1e-6)
    assert film.strip.posterior[3, film.strip.truth[3]] > 0.3
    plain = m.film(envs.make(PD), runs[0], (ALL_D,), 0, tmp_path / "plain.gif")
    assert plain.strip is None
    with Image.open(path) as one, Image.open(tmp_path / "plain.gif") as other:
        assert getattr(one, "n_frames", 1) == getattr(other, "n_frames", 1) == 5
        assert one.height > other.height + 6 * 15, "six rows below the board"
    section = episodes_of({0: told}, film)
    assert [b.file for b in section.blocks[1:]] == ["episode-1.gif", "film-strip-1.png"]  # pyright: ignore


def episodes_of(runs: dict[int, Run], film: Film) -> Section:
    return build.films(Measured(PD, (), {}, None, {0: film}, 1, ()), runs, {0: "ppo"})
