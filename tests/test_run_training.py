"""What a training leaves behind, told apart from learning itself, for which a script stands in."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import counterplay
from counterplay import cli, console, envs, verbs
from counterplay.algos import Update, ppo
from counterplay.runs.session import Session

PD = "matrix:pd,horizon=4"


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(verbs, "use_all_cores", lambda game="": None)


def strict(text: str) -> dict[str, Any]:
    """Reads JSON, in which there is no NaN."""
    return json.loads(text, parse_constant=pytest.fail)


def updates(asked: list[int], count: int = 5, ended: float = 2.0) -> Any:
    """Stands in for a training: metrics of one seed, no episode ended in the first iteration."""
    env: Any = envs.make(PD)
    net = ppo.init_learner(ppo.Config(widths=(2,)), env, 1, jax.random.key(0)).net
    for i in range(count):
        asked.append(i)
        here = ended * i
        sums = {"learner_return_sum": 3 * here, "learner_episodes": here, "length_sum": 4 * here}
        sums |= {"episodes": here, "busy_slots": 6.0, "slots": 8.0, "live_seats": 4.0}
        sums |= {"seats": 16.0, "dropped_episodes": 0.0}
        found = {name: np.array([x]) for name, x in sums.items()}
        nets = (jax.tree.map(lambda x, i=i: np.full((1, *x.shape), i, np.float32), net),)
        yield Update(8 * (i + 1), nets, found, 0.25, i + 1, {"played": np.int32(i)})


def test_metrics_are_read_while_the_next_iteration_runs(tmp_path, monkeypatch):
    """And all of them before a save, and at the end."""
    asked: list[int] = []
    told: list[tuple[int, int]] = []
    record = Session.record

    def noted(session, update):
        told.append((update.steps, len(asked)))
        return record(session, update)

    monkeypatch.setattr(Session, "record", noted)
    monkeypatch.setattr(ppo, "train", lambda *args: updates(asked))
    verbs.run_training("ppo", settings(tmp_path / "lagging"), quiet=True)
    assert told == [(8, 2), (16, 3), (24, 4), (32, 5), (40, 5)]
    asked.clear()
    told.clear()
    verbs.run_training("ppo", replace(settings(tmp_path), save_seconds=0), quiet=True)
    assert told == [(8, 1), (16, 2), (24, 3), (32, 4), (40, 5)]


def settings(tmp_path: Path, steps: int = 40, against: tuple[str, ...] = ()) -> verbs.Train:
    config = ppo.Config(widths=(2,), steps=steps)
    return verbs.Train(config, env=PD, against=against, out=str(tmp_path / "run"))


def test_means_are_over_episodes_and_none_where_none_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(ppo, "train", lambda *args: updates([]))
    done = verbs.run_training("ppo", settings(tmp_path), quiet=True)
    rows = [strict(line) for line in (done.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["return"] for row in rows] == [[None], [3.0], [3.0], [3.0], [3.0]]
    assert [row["length"] for row in rows] == [[None], [4.0], [4.0], [4.0], [4.0]]
    assert rows[0]["busy_share"] == [0.75] and rows[0]["live_share"] == [0.25]
    assert (done.steps, done.returns, done.compile_seconds) == (40, [3.0], 0.25)
    (last,) = (done.folder / "checkpoints").iterdir()
    checkpoint = load_file(last / "policy.safetensors")
    assert last.name == "000000000040"
    assert {float(x.ravel()[0]) for x in checkpoint.values()} == {4.0}, "that of the last update"


def test_a_training_stops_when_its_time_is_over(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(ppo, "train", lambda *args: updates(asked, count=1000))
    done = verbs.run_training("ppo", settings(tmp_path), quiet=True, seconds=0)
    assert done.steps == 8 and len(asked) == 1
    assert (done.folder / "checkpoints" / "000000000008").exists()


def test_the_settings_say_what_was_run_and_on_what(tmp_path, monkeypatch):
    monkeypatch.setattr(ppo, "train", lambda *args: updates([]))
    done = verbs.run_training("ppo", settings(tmp_path, against=("grim", "bully")), quiet=True)
    row = strict((done.folder / "config.json").read_text())
    assert (row["seat"], row["against"]) == ([], ["grim", "bully"])
    assert set(row["versions"]) == {"counterplay", "jax", "jaxlib"}
    assert row["versions"]["counterplay"] == counterplay.__version__
    assert row["versions"]["jax"] == jax.__version__
    assert row["device"] == jax.devices()[0].device_kind and row["cores"] == console.cores()
    assert (row["config"]["lanes"], row["config"]["slots"]) == (512, 16), "those that were used"
    asked = verbs.Train(ppo.Config(), PD, ("0=self", "1=grim"), out=str(tmp_path / "other"))
    done = verbs.run_training("ppo", asked, quiet=True)
    row = strict((done.folder / "config.json").read_text())
    assert (row["seat"], row["against"]) == (["0=self", "1=grim"], [])


def test_the_settings_that_were_saved_are_those_that_are_trained_with(tmp_path, monkeypatch):
    given = []

    def train(config, env, roster, options):
        given.append(config)
        return updates([])

    monkeypatch.setattr(ppo, "train", train)
    verbs.run_training("ppo", settings(tmp_path), quiet=True)
    assert (given[0].lanes, given[0].slots) == (512, 16)


def test_no_return_is_told_before_an_episode_ended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ppo, "train", lambda *args: updates([], ended=0.0))
    command = f"train ppo --env {PD} --out {tmp_path}"
    assert cli.main([*f"{command}/json".split(), "--json"]) == 0
    assert strict(capsys.readouterr().out)["returns"] == [None]
    assert cli.main(f"{command}/text".split()) == 0
    out = capsys.readouterr().out
    assert "mean return while training: no episode ended yet" in out and "0.000" not in out


def test_time_is_taken_from_the_start_of_the_command(tmp_path, monkeypatch, capsys):
    """With what is imported before anything is trained."""
    monkeypatch.setattr(verbs, "use_all_cores", lambda game="": time.sleep(0.3))
    monkeypatch.setattr(ppo, "train", lambda *args: updates([]))
    assert cli.main(f"train ppo --env {PD} --out {tmp_path}/run --json".split()) == 0
    assert strict(capsys.readouterr().out)["seconds"] >= 0.3


def test_progress_ends_at_all_of_it(tmp_path, monkeypatch):
    """Whole iterations are trained: 37 steps asked for are 40."""
    told = []

    class Told(console.Meter):
        def update(self, done, note="", total=None):
            super().update(done, note, total)
            told.append((done, self.total))

    monkeypatch.setattr(verbs, "Meter", Told)
    monkeypatch.setattr(ppo, "train", lambda *args: updates([]))
    verbs.run_training("ppo", settings(tmp_path, steps=37), quiet=True)
    assert told == [(done, 40) for done in (8, 16, 24, 32, 40)]
