"""Three stores feed one learner the same: else the study says so."""

import json

import numpy as np
import pytest

from counterplay import envs
from counterplay.studies import STUDIES, buffer, main
from counterplay.studies.stores import GLUE, STORES, Padded, Patched

SMALL = buffer.Buffer(episodes=60, rows=8, rounds=2, lanes=8)


@pytest.fixture(autouse=True)
def on_the_devices_there_are(monkeypatch):
    monkeypatch.setattr(buffer, "take_one_core", lambda: None)


def test_losses_are_equal_and_what_is_told_is_counted(capsys):
    words = ["--json", "--episodes=60", "--rows=8", "--rounds=2", "--lanes=8"]
    assert main(["buffer", *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["largest_difference"] < buffer.TOLERANCE
    assert [row["store"] for row in told["rows"]] == list(STORES)
    padded, patched, one = told["rows"]
    assert padded["bytes"] > one["bytes"] and patched["lines"] > padded["lines"] > one["lines"]


def test_transitions_have_as_many_slots_as_one_store_and_no_store_is_glue():
    sizes = envs.make(SMALL.env), 500, 8, 16, 3
    patched, one = (STORES[name](*sizes) for name in ("patched transitions", "one store"))
    slots = one.replay.lanes * one.replay.capacity
    assert {len(x) for x in patched.data.values()} == {slots}
    assert slots < 500 * sizes[0].horizon, "episodes are rarely so long"
    parts = {name: [part.__name__ for part in GLUE[name]] for name in STORES}
    assert parts == {
        "padded episodes": ["add", "batch"],
        "patched transitions": ["add", "columns", "batch"],
        "one store": ["add", "batch", "_decisions"],
    }


def test_a_store_that_errs_is_found(monkeypatch):
    def off_by_one(self, ages):
        return Padded.batch(self, (ages + 1) % 50)

    monkeypatch.setitem(STORES, "padded episodes", type("Off", (Padded,), {"batch": off_by_one}))
    with pytest.raises(ValueError, match="the stores disagree"):
        buffer.compare(SMALL)


def test_the_goal_of_a_decision_is_seen_by_who_is_still_there():
    env = envs.make(SMALL.env)
    chunks = buffer.play(SMALL, env)
    stores = [make(env, 60, 8, 16, 3) for make in (Padded, Patched)]
    for chunk in chunks:
        for store in stores:
            store.add(chunk)
    padded, patched = (store.batch(np.arange(20)) for store in stores)
    for name in ("obs", "goal", "reward", "next_obs", "next_legal"):
        rows, flat = getattr(padded, name)[padded.live], getattr(patched, name)[patched.live]
        assert np.array_equal(rows, flat), name
    obs, goal, live = (np.asarray(x) for x in (padded.obs, padded.goal, padded.live))
    for row, slot, agent in np.argwhere(live)[::17]:
        mine = np.flatnonzero(live[row, :, agent])
        last = mine[-1]
        assert np.array_equal(goal[row, slot, agent], obs[row, min(slot + 3, last), agent])


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def f():\n    return 1\n", 2),
        ('def f():\n    """Doc.\n\n    More."""\n    # why\n\n    return "text"\n', 2),
        ("def f():\n    return [\n        1,\n    ]\n", 4),
    ],
)
def test_lines_of_code_are_those_that_do_something(code, count, monkeypatch):
    monkeypatch.setattr(buffer.inspect, "getsource", lambda part: code)
    assert buffer.lines_of(None) == count


def test_studies_have_help_and_suggestions(capsys):
    assert main(["--help"]) == 0 and main([]) == 2
    shown = capsys.readouterr().out
    assert all(name in shown for name in STUDIES)
    with pytest.raises(ValueError, match=r"unknown study 'bufer'.*did you mean 'buffer'"):
        main(["bufer"])
    with pytest.raises(ValueError, match="--rows 9 is more than --episodes 8"):
        buffer.Buffer(rows=9, episodes=8)
