"""Run folders: made once, never shared, with the settings of the run in config.json."""

import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import counterplay
from counterplay import __version__
from counterplay.runs.disk import fsync_folder, write_whole

CONFIG = "config.json"
GIT_SECONDS = 10.0


def new_folder(out: str | None, name: str) -> Path:
    """Makes the folder of a run; without ``out`` a fresh one, never used before, under runs/."""
    if out is None:
        path = Path("runs") / f"{name}-{stamp()}"
    else:
        path = Path(out)
        if not out.strip():
            raise ValueError("--out wants the name of a folder, found nothing")
    try:
        path.mkdir(parents=True, exist_ok=out is not None)
        taken = (path / CONFIG).exists()
        if not taken:
            (path / "metrics.jsonl").touch(exist_ok=False)  # of two at once, one gets the folder
            fsync_folder(path.parent)
    except OSError as error:
        taken = path.is_dir() and isinstance(error, FileExistsError)
        if not taken:
            raise ValueError(
                f"cannot make the run folder {path}: {error.strerror}; --out names another"
            ) from error
    if taken:
        hint = f"go on with it: --resume {path}"
        if not (path / CONFIG).exists():  # ended before it had any, or is about to begin
            hint = f"remove {path / 'metrics.jsonl'}, if that run ended before it had settings"
        raise ValueError(f"--out {path}: a run is there already; choose another folder, or {hint}")
    return path


def stamp() -> str:
    """Now, and chance: a name that nobody else in this second finds."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}"


def here() -> dict[str, Any]:
    """What the same numbers come out of: versions, commit, platform, kind and number of devices."""
    device = jax.devices()[0]
    return {
        "versions": {"counterplay": __version__}
        | {name: metadata.version(name) for name in ("jax", "jaxlib")},
        "commit": commit(Path(counterplay.__file__).parents[1]),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
    }


@cache
def commit(checkout: Path) -> str:
    """The commit that git has checked out there, with ``-dirty`` behind it if files differ from it.

    Empty where that is no checkout, as of an installed package, or git cannot tell. Asked once.
    """
    if not (checkout / ".git").exists():  # a repository further up is somebody else's
        return ""
    command = ["git", "-C", str(checkout), "describe", "--always", "--abbrev=40", "--dirty"]
    command += ["--exclude=*"]  # no tag in its place
    aside = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        found = subprocess.run(  # noqa: S603  (nothing in it was typed)
            command, capture_output=True, text=True, timeout=GIT_SECONDS, env=aside
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def save_config(
    folder: Path, algorithm: str, env: str, kinds: list[dict], config: Any, **more: Any
) -> dict[str, Any]:
    """Everything needed to build the networks of a checkpoint again, and what it was made with."""
    row = {"run_id": secrets.token_hex(16), "algorithm": algorithm, "env": env}
    row |= {"learners": kinds, "config": asdict(config)} | more | here()
    row |= {"command": sys.argv, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    write_whole(folder / CONFIG, json.dumps(row, indent=2) + "\n")
    return row


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a run; ValueError where there is none or it is damaged."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: expected {path}")
    try:
        row = json.loads(path.read_text())
        if "seeds" not in row["config"] or not row["learners"]:
            raise ValueError("it says nothing of seeds or learners")
        for text in (
            row["run_id"],
            row["algorithm"],
            row["env"],
            *(k["name"] for k in row["learners"]),
        ):
            if not isinstance(text, str):
                raise ValueError(f"expected a name, found {text!r}")
        for number in (n for k in row["learners"] for n in (k["members"], *k["seats"])):
            if type(number) is not int:
                raise ValueError(f"expected a whole number, found {number!r}")
    except (ValueError, KeyError, TypeError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is damaged: {said}") from error
    return row
