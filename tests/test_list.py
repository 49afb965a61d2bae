"""``list`` and ``doctor``: what there is, and what is missing."""

import json
import re
import tomllib
from pathlib import Path

from counterplay import __version__, algos, cli, envs, opponents
from counterplay.evaluate.scenarios import SCENARIOS
from counterplay.opponents.sets import SETS


def test_list_tells_what_there_is(capsys):
    assert cli.main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["algorithms"] == list(algos.ALGORITHMS)
    assert [row["game"] for row in found["games"]] == envs.names()
    for row in found["games"]:
        assert row["rules"] == opponents.names(row["game"])
        assert row.get("bots", []) == opponents.bots(row["game"])
        assert row.get("sets", []) == list(SETS.get(row["game"], {}))
        assert row["presets"] == list(envs.PRESETS_OF[row["game"]]) and row["about"]
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    names = [n for row in found["games"] for n in (row["game"], *row["presets"], *row["rules"])]
    names += [*opponents.bots("matrix"), *SCENARIOS, "pool:held-out"]
    assert found["scenarios"] == list(SCENARIOS)
    assert "roshambo:greenberg" in names and all(name in text for name in names)


def test_the_doctor_counts_what_is_there_and_what_is_not(capsys, monkeypatch):
    assert cli.main(["doctor", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["counterplay"] == __version__ and row["needed"]["jax"] and row["cores"] >= 1
    there = cli._version
    monkeypatch.setattr(cli, "_version", lambda name: None if name == "optax" else there(name))
    assert cli.main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "optax        MISSING" in out and "install what is missing: optax" in err
    assert cli.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["needed"]["optax"] is None


def test_the_doctor_looks_for_all_that_is_required(capsys):
    assert cli.main(["doctor", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    required = {re.split(r"[<>=~ ]", line)[0] for line in project["dependencies"]}
    assert required and required <= set(row["needed"])
