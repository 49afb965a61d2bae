"""The benchmark of cross-play in miniature: networks that differ, a process of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

from counterplay import bench, envs
from counterplay.bench import xplay
from counterplay.runs import load_policy

PD = "matrix:pd,horizon=4"


def test_it_runs_and_tells_what_it_did(capsys):
    command = f"xplay --policies 3 --episodes 4 --env {PD} --seed 1"
    assert bench.main([*command.split(), "--json"]) == 0
    row = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert row.pop("seconds") > row.pop("compile_seconds") > 0
    assert row.pop("steps_per_second") > 0
    assert row == {
        "bench": "xplay",
        "env": PD,
        "policies": 3,
        "architectures": 2,
        "episodes": 4,
        "seed": 1,
        "steps": 9 * 4 * 4,
    }


def test_people_read_a_table(capsys, monkeypatch):
    found = {"compile_seconds": 2.0, "steps": 4_000_000}
    monkeypatch.setattr(xplay, "_timed", lambda command: (8.0, found))
    monkeypatch.setattr(xplay, "_untrained", lambda chosen, scratch: [Path("a"), Path("b")])
    assert bench.main(["xplay", "--policies", "2"]) == 0
    out = capsys.readouterr().out
    assert "xplay on stag_hunt:4x4: 2 policies, 4,096 episodes a cell" in out
    assert all(text in out for text in ("8.0", "2.0", "4,000,000", "500,000"))


def test_networks_are_of_two_shapes_and_all_different(tmp_path):
    chosen = xplay.CrossPlay(policies=4, env=PD)
    nets = [
        load_policy(str(folder), envs.make(PD), 0).net
        for folder in xplay._untrained(chosen, tmp_path)
    ]
    assert [len(net.trunk.layers[0].bias) for net in nets] == [128, 64, 128, 64]
    for one, other in ((0, 2), (1, 3)):
        assert not np.array_equal(nets[one].policy.weight, nets[other].policy.weight)


def test_a_matrix_that_fails_is_told():
    with pytest.raises(ValueError, match=r"counterplay xplay failed: .*unknown game 'nowhere'"):
        xplay._timed(["xplay", "stay", "--env", "nowhere"])
