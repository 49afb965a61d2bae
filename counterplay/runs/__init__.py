"""Run folders: settings, logs and checkpoints of a training; and runs as policies."""

from counterplay.runs.folder import new_folder, read_config, save_config
from counterplay.runs.policies import (
    Player,
    config_of,
    differs_by_seat,
    load,
    load_nets,
    load_policy,
    save_policy,
    split_run,
)

__all__ = [
    "Player",
    "config_of",
    "differs_by_seat",
    "load",
    "load_nets",
    "load_policy",
    "new_folder",
    "read_config",
    "save_config",
    "save_policy",
    "split_run",
]
