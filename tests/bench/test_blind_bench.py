"""``counterplay bench blind``: where exact gradients lead a blind player."""

import json

import numpy as np
import pytest

from counterplay.bench import blind, study_tables
from counterplay.evaluate import tabular
from counterplay.evaluate.references import known_in
from counterplay.evaluate.scenarios import scenario_of


@pytest.fixture(scope="module")
def found():
    return blind.reached(scenario_of("matrix:stag-v2"), starts=6, seed=1)


def test_even_chances_lead_to_defecting_and_some_random_tables_further(found):
    scenario = scenario_of("matrix:stag-v2")
    of = known_in(scenario)
    defects = np.zeros(tabular.uniform(of).shape)
    defects[..., 1] = 1
    always = tabular.value(of, defects) / scenario.match
    assert found["even"] == pytest.approx(always, rel=1e-3)
    assert found["random"] < found["even"] < max(found["starts"])
    assert found["even"] < found["urged"] <= 1.01 * max(found["certain"], *found["starts"])
    best = max(found["even"], found["urged"], found["certain"], *found["starts"])
    assert found["as_far"] == sum(x >= 0.99 * best for x in found["starts"])


def test_the_table_tells_what_was_found(found):
    (row,) = study_tables.blind({"rows": [found]})
    assert row["gradients from them"] == f"{found['even']:.3f}"
    assert row["and a bonus for entropy"] == f"{found['urged']:.3f}"
    assert row["best of these"] == f"{max(found['starts']):.3f}"
    assert row["within 1% of the best"] == f"{found['as_far']} of 6"


def test_the_command_prints_json(monkeypatch, capsys):
    monkeypatch.setattr(blind, "use_all_cores", lambda *_: None)
    monkeypatch.setattr(blind, "reached", lambda scenario, starts, seed: [scenario.name, starts])
    assert blind.main(["--json", "--starts", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == [["matrix:pd-v2", 3], ["matrix:stag-v2", 3]] and told["seed"] == 0


def test_scenarios_without_tables_are_refused_by_name():
    with pytest.raises(ValueError, match=r"have tables.*pd-v2.*found race-v2"):
        blind.Blind(scenarios=("race-v2",))
    with pytest.raises(ValueError, match="starts"):
        blind.Blind(starts=0)
