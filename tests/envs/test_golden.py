"""Recorded games play out as they did; ``golden.py`` beside this file says how to renew them."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from counterplay import envs

golden = runpy.run_path(str(Path(__file__).with_name("golden.py")))
FILES = sorted(golden["FOLDER"].glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plays_out_as_recorded(file):
    kept = json.loads(file.read_text())
    slots = golden["play"](envs.make(kept["env"]), kept["start"], kept["moves"])
    for time, (found, wanted) in enumerate(zip(slots, kept["slots"], strict=True)):
        for name, value in wanted.items():
            where = f"{name} after move {time}"
            np.testing.assert_allclose(found[name], value, 1e-6, err_msg=where)


def test_every_listed_game_has_its_file():
    assert [file.stem for file in FILES] == sorted(golden["GAMES"])
