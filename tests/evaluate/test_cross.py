"""Cross-play: cells that are known by hand, in every seat, however they are dealt."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, pools, runs
from counterplay.algos import ppo
from counterplay.evaluate import cross, returns
from counterplay.evaluate.cross import Crossed, cross_play
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows

PD = "matrix:pd,horizon=4"
NICE, NASTY = "always_cooperate:tremble=0", "always_defect:tremble=0"
KNOWN = [[12.0, 0.0], [20.0, 4.0]]
"""Four rounds: 3 each, 0 to 5, 5 to 0, 1 each."""
BOT = """
class Nasty:
    def begin(self, seed, new_match):
        pass

    def act(self, view):
        return 1
"""
COUNTED = """
import equinox as eqx
import jax.numpy as jnp
from counterplay.types import Act

CALLS = []


class Net(eqx.Module):
    weight: object

    def __init__(self):
        self.weight = jnp.ones(3)

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        CALLS.append(self.weight.shape)
        return Act((self.weight.sum() > 0).astype(jnp.int32), memory, {})


def One():
    return Net()


def Two():
    return eqx.tree_at(lambda net: net.weight, Net(), -jnp.ones(3))


def Three():
    return eqx.tree_at(lambda net: net.weight, Net(), 2 * jnp.ones(3))
"""


def means(crossed: Crossed) -> Any:
    return [[cell.focal_mean for cell in row] for row in crossed.cells]


def write_run(folder: Path, game: str, seed: int) -> str:
    env, config = envs.make(game), ppo.Config(widths=(4,))
    kinds = [{"name": "self", "members": 1, "seats": list(range(env.num_seats))}]
    net = ppo.init_learner(config, env, 1, jr.key(seed)).net
    folder.mkdir()
    runs.save_config(folder, "ppo", game, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
    return f"run:{folder}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    at = tmp_path_factory.mktemp("nets")
    return [write_run(at / f"net{seed}", PD, seed) for seed in range(4)]


def test_cells_are_those_known_by_hand():
    crossed = cross_play(envs.make(PD), (NICE, NASTY), 8)
    assert means(crossed) == KNOWN and crossed.names == (NICE, NASTY)
    assert crossed.opponents == {0: NICE, 1: NASTY}
    assert all(cell.focal_error == 0 and cell.episodes == 8 for r in crossed.cells for cell in r)


def test_one_policy_is_played_against_itself():
    assert means(cross_play(envs.make(PD), (NASTY,), 2)) == [[4.0]]


def test_a_list_is_one_policy_that_plays_as_each_of_its_members():
    """Half of the matches are a nice one's: against the nasty one 0 or 4, and so on."""
    crossed = cross_play(envs.make(PD), (f"{NICE},{NASTY}", NASTY), 4000, names=("both", "nasty"))
    (both, mixed), (among, nasty) = means(crossed)
    assert nasty == 4.0 and crossed.names == ("both", "nasty")
    for found, expected in ((mixed, 2.0), (among, 12.0), (both, 9.0)):
        assert abs(found - expected) < 0.6


def test_networks_of_a_list_play_equally_often(folders):
    pair = f"{folders[0]},{folders[1]}"
    rows = EpisodeRows()
    crossed = cross_play(envs.make(PD), (pair, NICE), 64, names=("pair", "nice"), rows=rows)
    columns = {name: np.array(x) for name, x in rows.columns().items()}
    here = columns["label"] == "pair | nice"
    seat = columns["focal"][here]
    own = np.where(seat == 0, columns["opponent_id_0"][here], columns["opponent_id_1"][here])
    numbers, each = np.unique(own, return_counts=True)
    assert [crossed.opponents[i] for i in numbers.tolist()] == folders[:2]
    assert each[0] == each[1] == here.sum() / 2 >= 32


@pytest.mark.parametrize("most", [4, 6])
def test_parts_make_the_same_matrix(most, monkeypatch, folders):
    """However few tables are dealt at once; numbers and labels are those of the whole."""
    env, policies = envs.make(PD), (NICE, folders[0], NASTY)
    whole = cross_play(env, policies, 400, names="abc")
    monkeypatch.setattr(cross, "rosters_across", partial(pools.rosters_across, most=most))
    rows, told = EpisodeRows(), []
    tell = lambda done, total: told.append((done, total))
    parts = cross_play(env, policies, 400, names="abc", rows=rows, progress=tell)
    assert parts.opponents == whole.opponents and parts.names == whole.names
    pair: Any
    for pair in zip(sum(whole.cells, ()), sum(parts.cells, ()), strict=True):
        one, other = pair
        assert one.label == other.label and one.episodes == other.episodes
        apart = abs(one.focal_mean - other.focal_mean)
        assert apart <= 5 * np.hypot(one.focal_error, other.focal_error)
    assert told == sorted(told) and told[-1] == (9 * 400, 9 * 400)
    columns = rows.columns()
    assert {*columns["label"]} == {f"{a} | {b}" for a in "abc" for b in "abc"}
    for label, seat, first, second in zip(
        *(columns[name] for name in ("label", "focal", "opponent_id_0", "opponent_id_1")),
        strict=True,
    ):
        pair = [policies["abc".index(name)] for name in label.split(" | ")]
        found = [parts.opponents[int(i)] for i in (first, second)]
        assert pair == (found if seat == 0 else found[::-1])


def test_every_seat_is_taken_equally_often_and_the_rest_is_filled(folders):
    env, rows = envs.make("stag_hunt:4x4"), EpisodeRows()
    names = ("stay", "random")
    crossed = cross_play(env, names, 16, rows=rows)
    columns = {name: np.array(x) for name, x in rows.columns().items()}
    ids = np.stack([columns[f"opponent_id_{seat}"] for seat in range(4)], axis=1)
    number = {name: i for i, name in crossed.opponents.items()}
    for label in set(columns["label"].tolist()):
        here = columns["label"] == label
        assert np.bincount(columns["focal"][here]).tolist() == [4, 4, 4, 4]
        me, other = label.split(" | ")
        for focal, seated in zip(columns["focal"][here], ids[here], strict=True):
            expected = [number[me if seat == focal else other] for seat in range(4)]
            assert seated.tolist() == expected


def test_all_cells_at_once_are_as_one_by_one():
    env, names = envs.make(PD), ("random", "tit_for_tat:tremble=.2")
    crossed = cross_play(env, names, 2000)
    for i, me in enumerate(names):
        for j, other in enumerate(names):
            alone: Any = evaluate(env, pools.roster_against(env, me, (other,)), 2000, seed=7)[0]
            cell: Any = crossed.cells[i][j]
            gap = np.hypot(cell.focal_error, alone.focal_error)
            assert abs(cell.focal_mean - alone.focal_mean) < 4.5 * gap, cell.label
            assert cell.focal_error == pytest.approx(alone.focal_error, rel=0.2)


def test_one_seed_gives_one_matrix_and_another_another(folders):
    env = envs.make(PD)
    once, again, other = (
        np.array(means(cross_play(env, (folders[0], "random"), 64, seed=seed)))
        for seed in (3, 3, 4)
    )
    assert np.array_equal(once, again) and (once != other).all()


def test_a_bot_in_ordinary_python_leaves_the_rest_in_its_fast_loop(tmp_path, monkeypatch):
    (tmp_path / "bots.py").write_text(BOT)
    played = []
    watch = lambda env, roster, *rest, **more: (
        played.append((hasattr(env, "open"), sorted(set(roster.labels)))),
        evaluate(env, roster, *rest, **more),
    )[1]
    monkeypatch.setattr(cross, "evaluate", watch)
    policies, rows = (NICE, NASTY, f"{tmp_path}/bots.py:Nasty"), EpisodeRows()
    crossed = cross_play(envs.make(PD), policies, 4, names="abc", rows=rows)
    assert means(crossed) == [[12, 0, 0], [20, 4, 4], [20, 4, 4]]
    bots = sorted({f"{a} | {b}" for a in "abc" for b in "abc" if "c" in (a, b)})
    assert played == [(False, ["a | a", "a | b", "b | a", "b | b"]), (True, bots)]
    assert len(rows.columns()["lane"]) == sum(c.episodes for row in crossed.cells for c in row)


def test_a_second_matrix_of_networks_of_the_same_shapes_compiles_nothing(
    folders, caplog, monkeypatch
):
    """Also with another seed and another number of episodes a lane."""
    monkeypatch.setattr(returns, "MOST_LANES", 8)
    env = envs.make(PD)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        first = cross_play(env, (folders[0], "grim", folders[1]), 16)
    assert "ompil" in caplog.text, "compilation is noticed"
    rosters = pools.rosters_across(env, (folders[2], "grim", folders[3]), "abc")
    monkeypatch.setattr(cross, "rosters_across", lambda *args: rosters)
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        second = cross_play(env, (folders[2], "grim", folders[3]), 32, names="abc", seed=5)
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]
    assert means(first)[0][0] != means(second)[0][0]


def test_networks_of_one_shape_are_called_once(tmp_path, monkeypatch):
    """However many there are: tracing a step calls each kind of policy once."""
    from counterplay.outside import from_file

    path = tmp_path / "nets.py"
    path.write_text(COUNTED)
    calls = from_file(str(path), "CALLS", "a list")
    monkeypatch.setattr(pools, "rehearse", lambda *args: None)
    counts = []
    for names in (("One",), ("One", "Two", "Three")):
        calls.clear()
        crossed = cross_play(envs.make(PD), [f"{path}:{name}" for name in names], 4, names=names)
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0
    assert means(crossed) == [[4, 20, 4], [0, 12, 0], [4, 20, 4]], "one and three defect"


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        ((), "wants one policy or more, found none"),
        (("grim", "self"), "'self' learns, and cross-play trains nobody"),
        (("own",), "'own' learns"),
        (("grim,self",), "'self' learns and cannot share a seat"),
        (("grimm",), "did you mean 'grim'"),
    ],
)
def test_who_cannot_play_is_refused(policies, sentence):
    env: Any = envs.make(PD)
    with pytest.raises(ValueError, match=sentence):
        cross_play(env, policies, 4)
