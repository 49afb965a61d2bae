"""A run goes on with its own settings: others are refused by name before anything is computed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from going_on import PD, files, settings, train

from counterplay import cli, verbs
from counterplay.algos import ALGORITHMS, ppo
from counterplay.errors import SaveError
from counterplay.runs import disk
from counterplay.runs.lock import Lock

SEATS = ("0=self", "1=grim,random")


@pytest.fixture(scope="module", autouse=True)
def one_device():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "use_all_cores", lambda game="": None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train(settings(tmp_path_factory.mktemp("settings") / "run", 2, seat=SEATS))


def asked(folder, more: str) -> int:
    return cli.main(["train", "ppo", "--resume", str(folder), *more.split()])


OTHERS = {
    "--learning-rate 0.1": "--learning-rate was 0.002 in that run, found 0.1",
    "--env stag_hunt:4x4": f"--env was '{PD}' in that run, found 'stag_hunt:4x4'",
    "--seat 0=self --seat 1=grim": "--seat was ('0=self', '1=grim,random') in that run, found",
    "--against grim": "--against was () in that run, found ('grim',)",
    "--seeds 2": "--seeds was 1 in that run, found 2",
    "--seed 1": "--seed was 0 in that run, found 1",
    "--steps 9999": "--steps was 64 in that run, found 9999",
    "--lanes 8": "--lanes was 4 in that run, found 8",
    "--widths 4 4": "--widths was (4,) in that run, found (4, 4)",
    "--on-nonfinite drop-episode": "--on-nonfinite was 'stop' in that run, found 'drop-episode'",
    "--out elsewhere": "goes on in its own folder: leave --out away",
}


@pytest.mark.parametrize("more", OTHERS)
def test_other_settings_are_refused_by_name(more, folder, capsys, monkeypatch):
    monkeypatch.setattr(ppo, "train", lambda *args: pytest.fail("it went on to train"))
    before = files(folder)
    assert asked(folder, more) == 2
    said = capsys.readouterr().err
    assert f"--resume {folder}" in said and OTHERS[more] in said
    assert said.count("\n") == 1, "a sentence, and no traceback"
    assert files(folder) == before


def test_another_algorithm_is_refused(folder, capsys, monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "other", ALGORITHMS["ppo"])
    assert cli.main(f"train other --resume {folder}".split()) == 2
    assert f"--resume {folder}: that run is of ppo, not of other" in capsys.readouterr().err


def test_what_is_no_run_cannot_go_on(tmp_path, capsys):
    assert asked(tmp_path / "nothing", "") == 2
    assert f"{tmp_path}/nothing is no run folder" in capsys.readouterr().err


def test_the_same_settings_may_be_given_again(folder, capsys):
    """Also without naming the game, though only there are such rules known."""
    before = files(folder)
    same = "--seat 0=self --seat 1=grim,random --learning-rate 2e-3 --widths 4 --on-nonfinite stop"
    assert asked(folder, same) == 0
    assert asked(folder, f"--env {PD} --keep 1 --save-seconds 5") == 0
    assert asked(folder, "--on-env-error restart --env-timeout 5") == 0
    assert "was trained to its end already" in capsys.readouterr().err
    assert files(folder) == before


def test_a_run_in_use_is_left_alone(folder, capsys):
    before = files(folder)
    with Lock(folder):
        held = files(folder)
        assert asked(folder, "") == 2
        assert f"{folder} is in use by process" in capsys.readouterr().err
        assert files(folder) == held
    assert files(folder) == before


@pytest.mark.parametrize("changed", ["devices", "platform"])
def test_another_machine_is_refused(changed, folder, capsys, monkeypatch):
    from counterplay.runs import session

    now = session.here() | {changed: 7}
    monkeypatch.setattr(session, "here", lambda: now)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("told since\n")
    before = files(folder)
    assert asked(folder, "") == 2
    assert f"{changed} were" in capsys.readouterr().err
    assert files(folder) == before


def test_other_versions_are_told_of(folder, capsys, monkeypatch):
    from counterplay.runs import session

    now = session.here() | {"versions": {"jax": "1.2.3"}}
    monkeypatch.setattr(session, "here", lambda: now)
    assert asked(folder, "") == 0
    assert "versions changed since step 64 was saved" in capsys.readouterr().err


def test_a_full_disk_ends_a_training_with_words(tmp_path, capsys, monkeypatch):
    """Exit code 1, what was saved before is whole, and the folder is given back."""
    chosen = settings(tmp_path / "run", 4)
    train(chosen, until=2)
    room = [10**9]
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=room[-1]))
    real = disk._write
    monkeypatch.setattr(disk, "_write", lambda path, data: (real(path, data), room.append(0)))
    before = files(tmp_path / "run" / "checkpoints")
    capsys.readouterr()
    assert asked(tmp_path / "run", "") == 1
    out, err = capsys.readouterr()
    # a slow machine shows progress, whose line may come before
    progress = "ppo on matrix:pd,horizon=4: "
    told = [line for line in err.splitlines() if not line.startswith(progress)]
    assert len(told) == 1 and "the checkpoint of step 128 was not saved: " in told[0]
    assert str(tmp_path / "run") in err and "needs 1.1 MB, 0.0 MB are free" in err
    assert out == "" and files(tmp_path / "run" / "checkpoints") == before
    assert not (tmp_path / "run" / "lock").exists()
    assert asked(tmp_path / "run", "") == 1, "no room at all"
    assert "needs 1.0 MB, 0.0 MB are free" in capsys.readouterr().err


def test_settings_that_cannot_be_written_leave_nothing_locked(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_write", full)
        with pytest.raises(OSError, match="No space left"):
            train(settings(tmp_path / "run", 1))
    assert not (tmp_path / "run" / "lock").exists()
    with pytest.raises(ValueError, match=r"choose another folder, or remove .*metrics.jsonl, if"):
        train(settings(tmp_path / "run", 1))
    (tmp_path / "run" / "metrics.jsonl").unlink()
    train(settings(tmp_path / "run", 1))


def test_a_save_that_fails_is_never_called_saved(tmp_path, monkeypatch):
    from counterplay.runs import checkpoints

    def refuse(*args):
        raise SaveError("no")

    monkeypatch.setattr(checkpoints, "write_folder", refuse)
    with pytest.raises(SaveError, match="no"):
        train(replace(settings(tmp_path / "run", 2), save_seconds=0))
    assert checkpoints.steps_of(tmp_path / "run") == []
