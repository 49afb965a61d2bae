"""Populations: pools that are split by generator, and a manifest that tells every member."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from counterplay import cli, envs, population, verbs
from counterplay.evaluate.returns import evaluate
from counterplay.grammar import split_list
from counterplay.jobs import path_of
from counterplay.pools import roster_against
from counterplay.population import Make, jobs_of, split

GAME = "matrix:pd,horizon=4"
SMALL = ("--set", "lanes=4", "slots=4", "widths=2", "minibatches=1", "batch=4", "start=16")
GRID = ("--algorithm", "ppo", "dqn", "--partners", "self", "always_defect")
ORDER = ("population", "make", "--env", GAME, "--steps", "64", "--at", ".5", "1")


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(population, "use_all_cores", lambda game="": None)
    monkeypatch.setattr(verbs, "use_all_cores", lambda game="": None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "population"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "use_all_cores", lambda game="": None)
        line = [*ORDER, *GRID, "--seeds", "2", "--near", "1", "--out", str(folder), *SMALL]
        assert cli.main(line) == 0
    return folder


def members(made: Path) -> list[dict[str, Any]]:
    return json.loads((made / "manifest.json").read_text())["members"]


def test_every_member_is_in_one_pool_that_its_generator_decides(made):
    pools = {name: split_list(f"pool:{made}/{name}.txt") for name in population.POOLS}
    assert {name: len(texts) for name, texts in pools.items()} == {
        "train": 4,  # two generators, one of two seeds, two checkpoints
        "near": 4,
        "validation": 4,
        "held-out": 4,
    }
    rows = members(made)
    assert len(rows) == 16
    assert sorted(r["policy"] for r in rows) == sorted(t for texts in pools.values() for t in texts)
    found = {(row["generator"], row["pool"], row["seed"]) for row in rows}
    assert found == {
        ("ppo/self", "train", 0),
        ("ppo/self", "near", 1),
        ("ppo/always_defect", "train", 0),
        ("ppo/always_defect", "near", 1),
        ("dqn/self", "validation", 0),
        ("dqn/self", "validation", 1),
        ("dqn/always_defect", "held-out", 0),
        ("dqn/always_defect", "held-out", 1),
    }


def test_the_manifest_has_the_sum_of_every_checkpoint(made):
    for row in members(made):
        run, _, step = row["policy"].removeprefix("run:").partition("@")
        checkpoint = Path(run, "checkpoints", f"{int(step):012d}", "policy.safetensors")
        assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() == row["sha256"]
        assert int(step) == row["steps"] >= row["share"] * 64
    assert len({row["sha256"] for row in members(made)}) == 16, "no two learnt the same"
    assert {row["share"] for row in members(made)} == {0.5, 1.0}


def test_a_training_leaves_the_checkpoints_of_its_members_alone(made):
    for run in (made / "runs").iterdir():
        kept = sorted(int(path.name) for path in (run / "checkpoints").iterdir())
        assert kept == [32, 64]
        row = json.loads((run / "config.json").read_text())
        assert row["config"]["steps"] == 64 and row["config"]["lanes"] == 4
        assert row["against"] == ([] if "self" in run.name else ["always_defect"])


def test_a_pool_plays(made):
    env = envs.make(GAME)
    rows = evaluate(env, roster_against(env, "always_defect", (f"pool:{made}/train.txt",)), 16)
    assert [row.episodes >= 16 for row in rows] == [True]


def test_the_same_command_trains_nothing_again(made, monkeypatch, capsys):
    monkeypatch.setattr(population, "run_training", lambda *a, **k: pytest.fail("trained again"))
    before = members(made)
    line = [*ORDER, *GRID, "--seeds", "2", "--near", "1", "--out", str(made), *SMALL, "--json"]
    assert cli.main(line) == 0
    assert json.loads(capsys.readouterr().out)["pools"]["train"] == split_list(
        f"pool:{made}/train.txt"
    )
    assert members(made) == before


def test_a_training_that_was_ended_is_begun_anew(made, monkeypatch, tmp_path):
    """Its buffers were not kept, so that to go on would not be the same training."""
    chosen = Make(env=GAME, algorithm=("ppo",), partners=("self",), steps=64, seeds=1, at=(1.0,))
    (job,) = jobs_of(chosen)
    left = tmp_path / path_of(job, tmp_path).stem
    left.mkdir()
    (left / "metrics.jsonl").touch()

    def ended(name: str, asked: Any, quiet: bool) -> Any:
        assert Path(asked.out) == left and not left.exists()
        return type("Done", (), {"stopped": 2})

    monkeypatch.setattr(population, "run_training", ended)
    with pytest.raises(KeyboardInterrupt):
        population.train(job, tmp_path)


def make(**more: Any) -> Make:
    grid: dict[str, Any] = {"algorithm": ("ppo", "dqn"), "partners": ("self", "random")}
    return Make(**grid | more)


def test_who_is_held_out_may_be_named():
    found = split(make(held_out=("ppo/self",), validation=("ppo/random",)))
    assert found == {
        "ppo/self": "held-out",
        "ppo/random": "validation",
        "dqn/self": "train",
        "dqn/random": "train",
    }
    assert split(make(held_out=("dqn/self",)))["dqn/random"] == "validation"


def test_settings_go_to_the_algorithms_that_have_them():
    found = {job.config["algorithm"]: job.config["settings"] for job in jobs_of(make(
        set=("epochs=3", "gamma=.5", "widths=8,4", "anneal=false")
    ))}  # fmt: skip
    assert found["ppo"]["epochs"] == 3 and "epochs" not in found["dqn"]
    assert found["ppo"]["gamma"] == found["dqn"]["gamma"] == 0.5
    assert found["ppo"]["widths"] == (8, 4)
    assert found["dqn"]["anneal"] is False


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"algorithm": ("ppo",)}, r"want a generator each, found ppo/self, ppo/random"),
        (
            {"held_out": ("ppo/slef",)},
            r"generator of held-out 'ppo/slef' \(did you mean 'ppo/self'",
        ),
        (
            {"held_out": ("ppo/self",), "validation": ("ppo/self",)},
            r"generator ppo/self cannot be in validation and in held-out",
        ),
        (
            {"held_out": ("ppo/self", "ppo/random"), "validation": ("dqn/self", "dqn/random")},
            r"no generator is left for train",
        ),
        ({"at": (0.0, 1.0)}, r"--at wants shares of a training, 0.001 to 1, found \(0.0, 1.0\)"),
        ({"partners": ("self", "self")}, r"--partners wants one or more, each once"),
        ({"near": 4}, r"--near must be 0 to 3 of the seeds, found 4"),
        ({"set": ("lane=4",)}, r"unknown setting of --set 'lane' \(did you mean 'lanes'\?\)"),
        ({"set": ("gamma=often",)}, r"gamma"),
        ({"algorithm": ("ppo", "dqm")}, r"unknown algorithm 'dqm' \(did you mean 'dqn'\?\)"),
    ],
)
def test_what_cannot_be_made_is_explained(more, said):
    with pytest.raises(ValueError, match=said):
        chosen = make(**more)
        split(chosen)
        list(jobs_of(chosen))
