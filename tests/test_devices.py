"""Which devices and threads a command chooses for its game, before JAX is used."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from counterplay import console

HERE = Path(__file__).parent
FILES = {
    "hosted": "from faulty import Pair as Game",
    "hosted_in_jax": "import jax.numpy\nfrom faulty import Pair as Game",
    "native": "from probes import Clock as Game",
    "early": "import jax.numpy as jnp\nsome = jnp.zeros(3)\nfrom faulty import Pair as Game",
    "broken": "import nothing_of_that_name",
    "open": """
from probes import Clock
class Game(Clock):
    def open(self, pictures=False):
        raise NotImplementedError
""",
}
PROGRAM = """
import json, os, sys
from counterplay import console, envs
envs.register("named", "hosted:Game")
console.set_threads()
console.use_all_cores(sys.argv[1])
import jax
chosen = jax.config.jax_num_cpu_devices, jax.config.read("jax_cpu_enable_async_dispatch")
print(json.dumps([*chosen, os.environ["NPROC"], console.cores(), jax.device_count()]))
"""


def chosen(game: str, folder: Path, **more: str) -> list[Any]:
    """Devices and asynchronous dispatch as set, threads, cores, devices there are."""
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    kept = {name: x for name, x in os.environ.items() if name not in ("NPROC", "PYTHONPATH")}
    paths = [str(HERE.parent), str(HERE), str(HERE / "envs"), str(folder)]
    env = kept | {"PYTHONPATH": os.pathsep.join(paths)} | more
    words = [sys.executable, "-c", PROGRAM, game]
    done = subprocess.run(words, env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "game",
    [
        "hosted.py:Game",
        "hosted_in_jax.py:Game,horizon=4",
        "open.py:Game",
        "named",
        "gymnasium:X-v1",
    ],
)
def test_a_game_in_ordinary_python_is_played_where_it_is_called(game, tmp_path):
    *found, cores, devices = chosen(game, tmp_path)
    assert found == [1, False, "1"] and devices == 1 and cores >= 1


@pytest.mark.parametrize(
    "game", ["native.py:Game", "early.py:Game", "broken.py:Game", "matrix:pd", "nobodys", ""]
)
def test_any_other_on_all_cores_and_so_one_whose_file_used_jax_at_once(game, tmp_path):
    devices, dispatched, threads, cores, there = chosen(game, tmp_path)
    assert (devices, dispatched, there) == (cores, True, cores)
    assert int(threads) == (1 if game.startswith("early") else cores)


def test_a_number_of_threads_in_the_environment_stays(tmp_path):
    assert chosen("hosted.py:Game", tmp_path, NPROC="3")[:3] == [1, False, "3"]


def test_a_game_that_is_looked_at_is_closed(tmp_path, monkeypatch):
    """It is made once to see what it is, and what is wrong with it is told later."""
    monkeypatch.syspath_prepend(str(HERE / "envs"))
    (tmp_path / "seen.py").write_text(
        "from faulty import Pair\nclosed = []\n"
        "class Game(Pair):\n    def close(self):\n        closed.append(self)\n"
    )
    assert console._is_hosted(f"{tmp_path}/seen.py:Game")
    module = next(m for name, m in sys.modules.items() if name.endswith("seen.py"))
    assert len(module.closed) == 1
    assert not console._is_hosted(f"{tmp_path}/seen.py:Gam")
