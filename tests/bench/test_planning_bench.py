"""``bench planning``: rows that were asked for, and none that there is not."""

import json

import jax
import numpy as np
import pytest

from counterplay import cli
from counterplay.bench import planning, planning_tables


@pytest.fixture(autouse=True)
def no_affinity(monkeypatch):
    """Other tests of this process keep their cores."""
    monkeypatch.setattr(planning, "take_one_core", lambda: None)


def test_a_row_tells_its_speed(capsys):
    sizes = ["--batch", "2", "--simulations", "3", "--draws", "2", "--rounds", "1"]
    assert cli.main(["bench", "planning", *sizes, "--rows", "gumbel", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["rows"]
    assert row["planner"] == "gumbel" and row["decisions_a_second"] > 0
    assert row["decisions_a_processor_second"] > 0
    assert (found["batch"], found["simulations"], found["draws"]) == (2, 3, 2)


def test_the_table_tells_how_many_times_as_fast_as_searches():
    speeds = {"gumbel": 10.0, planning.HOP: 0.5, "latent, 4 draws": 1234.0}
    rows = [
        {"planner": name, "decisions_a_processor_second": speed} for name, speed in speeds.items()
    ]
    shown = planning_tables.planning({"beside": [*planning.BESIDE], "rows": rows})
    last = {"planner": "latent, 4 draws", "decisions/s": "1,234"}
    assert shown[-1] == last | {"times gumbel": "123.4", f"times {planning.HOP}": "2468.0"}
    assert set(planning.BESIDE) <= set(planning.ROWS)


def test_several_trees_agree_on_one_plan():
    chosen = planning.Planning(batch=2)
    subject = planning.networks(chosen)
    one = jax.tree.map(lambda x: x[0], subject.decisions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "HOP_SIMULATIONS", 4)
        plan = planning.of_several_trees(chosen)(subject.functions, *one, jax.random.key(0))
    assert plan.weights.shape == (planning.ACTIONS,)
    assert float(plan.weights.sum()) == pytest.approx(1, abs=1e-5)
    visits = np.asarray(plan.weights) * 4 * planning.HOP_TREES
    assert visits == pytest.approx(visits.round(), abs=1e-3), "shares of the visits of all trees"


def test_decisions_in_the_true_simulator_begin_where_games_do():
    subject = planning.game(planning.Planning(batch=3, env="stag_hunt:4x4,players=2"))
    e, _, prior, legal, alive = subject.decisions
    assert e.simulator.seat.tolist() == [0, 1, 0] and e.time.tolist() == [0, 0, 0]
    assert prior.shape == legal.shape == (3, 7) and alive.all()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("bench planning --rows gumble", "unknown row of bench planning 'gumble' (did you mean"),
        ("bench planning --batch 0", "--batch must be at least 1, found 0"),
    ],
)
def test_what_there_is_not_is_refused(command, words, capsys):
    assert cli.main(command.split()) == 2
    assert words in capsys.readouterr().err
