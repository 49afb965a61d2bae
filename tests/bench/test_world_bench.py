"""The benchmark of the model of the game in miniature."""

import json
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import bench, envs, runs
from counterplay.algos import counterplay
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


def test_the_world_of_a_run_is_measured_as_it_is(tmp_path, monkeypatch):
    game = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
    env, folder = envs.make(game), tmp_path / "plans"
    folder.mkdir()
    small: Any = {"widths": (4,), "told_width": 3, "reader_widths": (4,), "reader_gru": 3}
    small |= {"latent": 5, "world_width": 6, "world_token": 3, "value_width": 4, "types": 2}
    config = counterplay.Config(**small)
    net = counterplay.init_learner(config, env, 1, jr.key(0)).net
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "counterplay", game, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
    worlds = []
    monkeypatch.setattr(
        world, "_measured", lambda bench, env, learning, *_: worlds.append(learning.world)
    )
    sizes: Any = {"updates": 2, "batch": 4, "lanes": 4, "window": 3, "ahead": 2, "held_out": 16}
    told = world.World(run=str(folder), env=game, seat=("0..1=random",), **sizes)
    assert world.measure(told)["loss"].keys() == {"probe"}
    was = jax.tree.leaves(jax.tree.map(lambda x: x[0], net.model.world))
    for found in worlds:
        for a, b in zip(jax.tree.leaves(found), was, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="nowhere is no run folder"):
        world.measure(world.World(run=str(tmp_path / "nowhere"), env=game))
