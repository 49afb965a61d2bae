"""The documentation is true: its code runs, its tables are those that were measured."""

import json
import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest

from counterplay import envs
from counterplay.bench.figures import SUITE, TABLES, fill
from counterplay.cli import VERBS
from counterplay.evaluate.returns import evaluate
from counterplay.pools import roster_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.S)


def test_the_opponent_of_the_guide_plays(tmp_path):
    (code,) = [b for b in python_blocks(ROOT / "docs/guide.md") if "class Wary" in b]
    (tmp_path / "bot.py").write_text(code)
    env = envs.make("matrix:pd,horizon=10")
    seats = {0: "always_defect:tremble=0", 1: f"{tmp_path}/bot.py:Wary"}
    (row,) = evaluate(env, roster_of(env, seats), 8)
    # it cooperates once (5 to 0), then both defect nine times (1 to 1)
    assert row.mean.tolist() == [14.0, 9.0]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_tables_are_the_measured_ones(path):
    text = path.read_text()
    assert fill(text, ROOT / "benchmarks") == text, "run: counterplay bench figures --render"


def test_every_table_has_a_command_and_results():
    named = {n for p in PAGES for n in re.findall(r"<!-- figures:(\w+) -->", p.read_text())}
    assert named <= set(SUITE) == set(TABLES)
    for name in named:
        found = json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())
        assert found["command"] == f"counterplay {SUITE[name]}"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_commands_in_the_pages_exist(path):
    blocks = re.findall(r"```\n(.*?)```", path.read_text(), flags=re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["counterplay"]:
            assert words[1] in VERBS, line


def test_links_between_the_pages_lead_somewhere():
    for path in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_encoded_observations_are_what_the_pages_say():
    env = envs.make("stag_hunt:4x4")
    _, shown = env.reset(jax.random.key(0))
    width = (4 + 3) * 16 + 1  # me, three others, stags, hares, obstacles; time
    assert np.asarray(env.encode(shown.obs[0])).shape == (width,)
