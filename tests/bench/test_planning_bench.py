"""``bench planning``: rows that were asked for, and none that there is not."""

import json

import pytest

from counterplay import cli
from counterplay.bench import planning


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
