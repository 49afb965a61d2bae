"""The documentation is true: its code runs, its tables are those that were measured."""

import json
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import counterplay
from counterplay import envs, play, verbs
from counterplay.bench.figures import PEERS, SUITE, TABLES, command_of, fill
from counterplay.cli import VERBS
from counterplay.evaluate.returns import evaluate
from counterplay.pools import roster_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.S)


ONCE = """
class Once(Patient):  # defects in the fourth round, and only then
    def log_probs(self, memory, view):
        return jnp.where(jnp.arange(2) == jnp.where(view.time == 3, 1, 0), 0.0, -jnp.inf)
"""


@pytest.mark.parametrize(
    ("partner", "match", "means"),
    [
        # it cooperates twice (5 to 0), then both defect eight times (1 to 1), in every game anew
        ("always_defect:tremble=0", 1, [18, 8]),
        ("always_defect:tremble=0", 2, [18, 8]),
        # one defection passes (5 to 0), nine rounds they cooperate (3 to 3)
        ("Once", 1, [32, 27]),
        ("Once", 2, [32, 27]),
        # D, D against C, C; D against D; from then on the bully gives in seven times (0 to 5)
        ("bully:tremble=0", 1, [11, 36]),
    ],
)
def test_the_opponent_of_the_guide_plays(partner, match, means, tmp_path):
    (code,) = [b for b in python_blocks(ROOT / "docs/guide.md") if "class Patient" in b]
    (tmp_path / "bot.py").write_text(code + ONCE)
    env = envs.make("matrix:pd,horizon=10")
    bot = f"{tmp_path}/bot.py:"
    seats = {0: bot + partner if partner == "Once" else partner, 1: f"{bot}Patient"}
    (row,) = evaluate(env, roster_of(env, seats), 8, match=match)
    assert row.mean.tolist() == means and row.error.tolist() == [0, 0]


def test_the_game_of_the_guide_is_trained_on_and_evaluated_by_its_name(
    tmp_path, monkeypatch, capsys
):
    guide = ROOT / "docs/guide.md"
    (code,) = [b for b in python_blocks(guide) if "class Agree" in b]
    assert len(code.splitlines()) < 40
    (tmp_path / "agree.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    for module in (verbs, play):  # the devices of this process are chosen already
        monkeypatch.setattr(module, "use_all_cores", lambda game="": None)
    small = {"50000": "20 --lanes 2 --slots 5 --widths 4 --minibatches 1", "1000": "4"}
    commands = re.findall(r"^python (agree.py .*)$", guide.read_text(), flags=re.M)
    for command in commands:
        for large in small:
            command = command.replace(f" {large}", f" {small[large]}")
        monkeypatch.setattr(sys, "argv", command.split())
        with pytest.raises(SystemExit) as end:
            runpy.run_path("agree.py", run_name="__main__")
        assert end.value.code == 0, capsys.readouterr().err
    assert len(commands) == 2 and "random" in capsys.readouterr().out
    assert json.loads(Path("runs/agree/config.json").read_text())["env"] == "agree,rounds=5"
    assert envs.REGISTERED.pop("agree") == "__main__:Agree"


def test_the_game_of_the_guide_keeps_the_rules_of_pettingzoo(tmp_path):
    with warnings.catch_warnings():  # it imports a game of its own in a way that it has deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        from pettingzoo.test import parallel_api_test, parallel_seed_test
    (code,) = [b for b in python_blocks(ROOT / "docs/guide.md") if "class Agree" in b]
    (tmp_path / "agree.py").write_text(code)
    agree = runpy.run_path(str(tmp_path / "agree.py"))["Agree"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(agree(), num_cycles=100)
        parallel_seed_test(agree)


def test_the_export_of_the_guide_plays_to_the_end(tmp_path):
    (code,) = [b for b in python_blocks(ROOT / "docs/guide.md") if "to_pettingzoo" in b]
    (tmp_path / "out.py").write_text(code)
    held = runpy.run_path(str(tmp_path / "out.py"))
    assert held["picture"].dtype == np.uint8 and any(held["terminations"].values())


def test_the_files_of_the_data_page_are_written_and_read(tmp_path, monkeypatch):
    (code,) = python_blocks(ROOT / "docs/data.md")
    (tmp_path / "out.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    held = runpy.run_path("out.py")
    assert (tmp_path / "episodes.npz").exists() and held["other"].lanes == 3


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_tables_are_the_measured_ones(path):
    text = path.read_text()
    assert fill(text, ROOT / "benchmarks") == text, "run: counterplay bench figures --render"


def tables_of(path: Path) -> set[str]:
    return {*re.findall(r"<!-- figures:(\w+) -->", path.read_text())}


def test_every_table_has_a_command_and_results():
    named = set().union(*map(tables_of, PAGES))
    assert named == set(SUITE) == set(TABLES)
    for name in sorted(named):
        path = ROOT / "benchmarks" / f"{name}.json"
        if name != "tests" or path.exists():  # these tests cannot wait for their own result
            peer = " --peer PATH" if name in PEERS else ""
            command = json.loads(path.read_text())["command"]
            assert command in (command_of(name), command_of(name) + peer)


def test_the_tables_of_the_first_page_are_among_the_figures():
    assert tables_of(ROOT / "README.md") <= tables_of(ROOT / "docs/figures.md")


def test_python_runs_the_package():
    program = [sys.executable, "-m", "counterplay", "--version"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == counterplay.__version__


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_commands_in_the_pages_exist(path):
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), flags=re.S | re.M)
    lines = [line for kind, block in blocks if not kind for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["counterplay"]:
            assert words[1] in VERBS, line


def test_links_between_the_pages_lead_somewhere():
    for path in PAGES:
        for link, place in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", path.read_text()):
            page = path.parent / link if link else path
            assert page.exists(), f"{path.name}: {link}"
            if place:
                assert place in headings(page), f"{path.name}: {link}#{place}"


def headings(path: Path) -> set[str]:
    """What the headings of a page are linked as."""
    found = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in found}


@pytest.mark.parametrize(
    ("game", "width"),
    [
        ("stag_hunt:4x4", (4 + 3) * 16 + 1),  # me, three others, stags, hares, obstacles; time
        ("snowdrift:4x4", (4 + 1) * 16 + 1),  # me, three others, drifts; time
        ("race", 3 * 22 + 3 + 1),  # rows and columns of me and two others; targets; time
        ("coordination", 2 * 22 + 3 + 1),  # of me and one other; stags; time
        ("pursuit", 3 * 121 + 3),  # me, the other, where it was seen; how long ago, time, role
        ("scissors", 3 * 81 + 5),  # the same; what I hold, how long ago, time
        ("foraging", (2 + 1) * 64 + 2 + 3 + 1),  # me, the other, foods; levels of all; time
    ],
)
def test_encoded_observations_are_what_the_pages_say(game, width):
    env = envs.make(game)
    _, shown = env.reset(jax.random.key(0))
    assert np.asarray(env.encode(shown.obs[0])).shape == (width,)
