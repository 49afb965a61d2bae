"""Switchers as a protocol plays them: the exact filter expects changes, and notices them."""

from typing import Any

import pytest

from counterplay import envs
from counterplay.evaluate import by_protocol
from counterplay.evaluate.by_protocol import drift_of, meet
from counterplay.evaluate.scenarios import SCENARIOS, Scenario

FILTER = "exact filter"
PURSUIT = Scenario("", "pursuit:11x11,size=5,horizon=6", 20, reader=SCENARIOS["pursuit-v1"].reader)
MATRIX = Scenario("", "matrix:pd,horizon=90", 1)


def met(scenario: Scenario, policy: str, matches: int) -> Any:
    env: Any = envs.make(scenario.game)
    alone = lambda done, total: None
    return meet(env, scenario, policy, "switch-known", "sampled", matches, 0, alone, [])


@pytest.mark.parametrize(("scenario", "policy"), [(MATRIX, "random"), (PURSUIT, "random")])
def test_the_filter_expects_the_changes_it_is_measured_by(scenario, policy, monkeypatch):
    """With a drift of 0, as a slip in ``drift_of`` or on the way from there, it misses most."""
    env: Any = envs.make(scenario.game)
    assert drift_of(env, scenario) == pytest.approx(1 / (scenario.match * env.horizon))
    asked = met(scenario, policy, 40).model["switch"]
    monkeypatch.setattr(by_protocol, "drift_of", lambda env, scenario: 0.0)
    rigid = met(scenario, policy, 40).model["switch"]
    assert asked["known"] and asked["switches"] == rigid["switches"] >= 20
    assert asked[FILTER]["missed"] < rigid[FILTER]["missed"] - 0.2


def test_only_switchers_are_expected_to_switch(monkeypatch):
    monkeypatch.setattr(by_protocol, "drift_of", lambda env, scenario: 1 / 0)
    env: Any = envs.make(MATRIX.game)
    found = meet(env, MATRIX, "random", "train", "sampled", 12, 0, lambda done, total: None, [])
    assert found.model["switch"] is None
