"""Runs that plan, from the command line: what they play, what is marked, and what is counted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, runs
from counterplay.algos import goal_ppo
from counterplay.algos.searching import Searcher
from counterplay.episodes.files import read_rows
from counterplay.evaluate.marks import marks_of
from counterplay.evaluate.spent import Spent, spent_in
from counterplay.pools import find, roster_of
from counterplay.report.blocks import Table
from counterplay.report.contents import stored
from counterplay.report.read import read_run
from counterplay.rollout import Chunk
from counterplay.seats import Chair, Kind, Roster, needs_state
from counterplay.types import Simulator
from counterplay.views import view_shapes

HUNT = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
PLANNER = "mcts:sims=6,world=true,draws=4"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A fresh goal_ppo, as if it had been trained."""
    folder = tmp_path_factory.mktemp("runs") / "r1"
    folder.mkdir()
    sizes: Any = {"widths": (6,), "told_width": 5, "reader_widths": (6,), "reader_gru": 4}
    config = goal_ppo.Config(types=2, gamma=0.95, steps=64, **sizes)
    learner = goal_ppo.init_learner(config, envs.make(HUNT), 1, jr.key(0))
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "goal_ppo", HUNT, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], learner.net),))
    return folder


@pytest.fixture(scope="module")
def planned(run, tmp_path_factory) -> tuple[Any, Path]:
    """What an evaluation that plans found, and its folder."""
    folder = run / "evaluations" / "planned"
    patch = pytest.MonkeyPatch()
    patch.setattr(play, "use_all_cores", lambda game="": None)
    command = f"eval {run} --against nearest_stag random --episodes 32 --planner {PLANNER}"
    assert cli.main([*command.split(), "--out", str(folder)]) == 0
    patch.undo()
    return json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail), folder


def test_results_that_the_simulator_helped_to_are_marked(planned, run):
    found, folder = planned
    plans = f"{PLANNER}+run:{run}"
    assert found["marks"] == {plans: "S"} and found["planner"] == PLANNER
    assert plans in found["opponents"].values()
    assert [row["marks"] for row in found["rows"]] == ["S", "S"]
    assert set(read_rows(folder / "rows.parquet")["marks"]) == {"S"}
    assert found["runs"] == [str(run)] and list(found["checkpoints"]) == [f"run:{run}"]
    section = stored([read_run(run)])
    assert section is not None
    (caption,) = [block.caption for block in section.blocks if isinstance(block, Table)]
    assert f"; planner {PLANNER}; S: true simulator at play" in caption


def test_simulator_calls_are_counted(planned):
    """Every decision of the run in both tables, six calls each; nobody acts in closing slots."""
    found, folder = planned
    cost, rows = found["planning"], read_rows(folder / "rows.parquet")
    assert cost["simulator_calls"] == 6 * cost["decisions"] and cost["calls_a_decision"] == 6
    most = 4 * found["rows"][0]["episodes"] * 2
    assert len(rows["length"]) <= cost["decisions"]
    assert cost["decisions"] <= 4 * most


def test_without_a_planner_nothing_is_marked(run, capsys):
    assert cli.main(f"eval {run} --against random --episodes 8 --json".split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert not {"marks", "planner", "planning"} & {*found, *found["rows"][0]}
    assert "marks" not in read_rows(Path(found["saved"]) / "rows.parquet")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("eval {run} --planner mcts:sims=5", "a run of goal_ppo has no learned world model"),
        ("eval {run} --planner mtcs", "unknown planner 'mtcs' (did you mean 'mcts'?)"),
        ("eval --seat 0..1=random --planner mcts", "--planner mcts wants a run folder that is to"),
    ],
)
def test_planners_that_cannot_be_had_are_told(command, words, run, capsys):
    assert cli.main(command.format(run=run).split()) == 2
    assert words in capsys.readouterr().err


def test_a_run_that_plans_may_be_named_in_a_seat_beside_itself(run):
    env = envs.make(HUNT)
    roster = roster_of(env, {0: f"{PLANNER}+run:{run}", 1: f"run:{run}"})
    assert [needs_state(kind.policy) for kind in roster.kinds] == [True, False]
    assert set(roster.ids.values()) == {f"{PLANNER}+run:{run}", f"run:{run}"}
    assert marks_of(roster) == {f"{PLANNER}+run:{run}": "S"}


def test_the_agent_remembers_and_tells_what_it_does_without_a_plan(run):
    env = envs.make(HUNT)
    alone, plans = find(f"run:{run}", env, 0), find(f"{PLANNER}+run:{run}", env, 0)
    assert isinstance(plans, Searcher) and plans.trained_gamma == 0.95
    key, memory = jr.key(0), alone.begin(jr.key(1), None)
    state, shown = env.reset(jr.key(2))
    view = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), view_shapes(env, state=True))
    view = replace(
        view,
        obs=env.encode(shown.obs[0]),
        legal=shown.legal[0],
        alive=shown.alive,
        public_legal=shown.legal,
        state=Simulator(state, jnp.int32(0)),
    )
    one = jax.jit(lambda policy, view: policy.act(key, memory, view, False))
    mine, theirs = one(plans, view), one(alone, replace(view, state=None))
    for a, b in zip(*map(jax.tree.leaves, (mine.memory, theirs.memory)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)  # another program may round otherwise
    assert bool(view.legal[mine.action]) and mine.record["simulator_calls"] == 6
    assert np.asarray(mine.record["weights"])[~np.asarray(view.legal)].max() == 0
    told = plans.predict(memory, view), alone.predict(memory, view)
    assert np.array_equal(np.asarray(told[0]), np.asarray(told[1]))
    assert not hasattr(plans, "log_probs")


def test_only_decisions_of_those_who_plan_and_are_there_are_counted():
    """Two lanes of two seats, three slots: the planner sits at seat 1, then at seat 0."""
    kinds = Kind("plain"), Kind("plans")
    tables = (Chair(0, 0), Chair(1, 0)), (Chair(1, 0), Chair(0, 0))
    seating = Roster(kinds, tables).seating(2)
    alive = jnp.array([[[1, 1], [1, 1], [1, 0]], [[0, 1], [1, 1], [1, 1]]], bool)
    calls = jnp.array([[[5, 5, 5], [6, 6, 6]]])
    chunk = Chunk({"alive": alive}, ({}, {"simulator_calls": calls}), (), (), ())
    found = spent_in(seating, chunk)
    assert (int(found["decisions"]), int(found["simulator_calls"])) == (4, 5 + 5 + 6 + 6)
    assert spent_in(seating, chunk._replace(records=({}, {}))) == {}


def test_the_first_chunk_is_counted_and_not_timed():
    spent = Spent()
    assert spent.told()["decisions_a_second"] is None
    spent.add(10, 50)
    assert spent.told() == {
        "decisions": 10, "simulator_calls": 50, "calls_a_decision": 5.0, "decisions_a_second": None,
    }  # fmt: skip
    spent.began = 0.0 if spent.began is None else spent.began - 2
    spent.add(30, 150)
    assert spent.told()["decisions_a_second"] == pytest.approx(15, rel=0.01)
