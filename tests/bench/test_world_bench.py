"""The benchmark of the model of the game in miniature."""

import json

import pytest

from counterplay import bench
from counterplay.bench import planning_tables, world

TINY = "--updates 2 --batch 4 --lanes 4 --window 3 --ahead 2 --held-out 16 --hidden 4 --groups 2"
TINY += " --classes 2 --width 6 --token 2"


def test_it_tells_shares_by_moves_ahead(monkeypatch, capsys):
    monkeypatch.setattr(world, "run_where_called", lambda: None)
    assert bench.main(["world", *TINY.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["updates"] == 4, "whole passes over what was played: 16 windows by 4"
    assert found["loss"]["probe"] > 0 and found["parameters"] > 0 and found["seconds"] > 0
    for way in ("likeliest", "drawn"):
        for name in ("state", "rollout", "alive", "legal", "ghosts"):
            assert len(found[way][name]) == 2
            assert all(x is None or 0 <= x <= 1 for x in found[way][name])
    rows = planning_tables.world(found)
    assert [(r["latents"], r["moves ahead"]) for r in rows[:2]] == [
        ("likeliest", "1"),
        ("likeliest", "2"),
    ]


def test_looking_out_of_the_window_is_refused():
    with pytest.raises(ValueError, match="--ahead 8 moves lead out of windows of 8 slots"):
        bench.main(["world", "--ahead", "8"])
