"""``train``: from settings to a run folder."""

import json
import re
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from counterplay import algos, envs
from counterplay.console import (
    Meter,
    Stop,
    check_names,
    cores,
    given,
    read,
    set_threads,
    use_all_cores,
)
from counterplay.keeper import Keeper, Trained
from counterplay.rosters import learners_of, opponents_of, same_opponents
from counterplay.settings import check, misspelt
from counterplay.terminal import say

C = TypeVar("C")
FREE = (
    "save_seconds", "keep", "keep_every", "checkpoint_buffer", "on_env_error", "env_timeout",
)  # fmt: skip
"""Settings that a run goes on with and that may be others from now on."""
LONGEST_TIMEOUT = 1_000_000
Seats = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]


@dataclass(frozen=True)
class Train(Generic[C]):
    """Train agents and leave a run folder behind."""

    config: C
    """Settings of the algorithm."""
    env: str = "stag_hunt:4x4"
    """The game, as GAME[:PRESET][,setting=value...]; see counterplay list."""
    seat: Seats = ()
    """Who sits where, as 0=self or 1..3=random; may be given several times. self is one learner
    for all such seats, own an independent one for each. Default: all self."""
    against: tuple[str, ...] = ()
    """The learner takes every seat in turn, each of these fills the others in turn."""
    out: str | None = None
    """Folder of the run; by default a new one under runs/."""
    resume: str | None = None
    """Go on with this run folder, from its latest whole checkpoint, with its own settings."""
    save_seconds: float = 60.0
    """Seconds between checkpoints; 0 saves one after every iteration. One is saved at the end."""
    keep: int = 3
    """Checkpoints that stay: the latest so many."""
    keep_every: int | None = None
    """Beside those, the first checkpoint at or after each multiple of so many steps stays."""
    checkpoint_buffer: str = "full"
    """What checkpoints hold of the episodes that a learner keeps: full, none, or last:K, the newest
    K slots of every lane."""
    buffer_from: str | None = None
    """Begin with the episodes of another run, or of a .npz or .parquet file."""
    on_nonfinite: Literal["stop", "drop-episode"] = "stop"
    """Where a game shows a reward or an observation that is not finite: end the training before
    anything is learnt from it, or leave the episode out and count it."""
    on_env_error: Literal["stop", "restart"] = "stop"
    """Where a game in ordinary Python raises, hangs or shows what it did not declare: end the
    training, or drop the episode, count it and go on with a fresh copy of the game."""
    env_timeout: float = 60.0
    """Seconds that one move or reset of such a game may take; 0 for as long as it likes."""
    json: bool = False
    """Print one JSON object instead of text."""

    def __post_init__(self):
        check_timeout(self.env_timeout)
        if not self.save_seconds >= 0:
            raise ValueError(f"--save-seconds must be 0 or more, found {self.save_seconds}")
        for name, number in (("keep", self.keep), ("keep-every", self.keep_every)):
            if number is not None and number < 1:
                raise ValueError(f"--{name} must be at least 1, found {number}")
        if not re.fullmatch(r"full|none|last:0*[1-9]\d{0,8}", self.checkpoint_buffer):
            raise ValueError(
                "--checkpoint-buffer must be full, none, or last:K with K slots of every lane, "
                f"found {self.checkpoint_buffer!r}"
            )


def check_timeout(seconds: float) -> None:
    """Refuses what no game can be given."""
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise ValueError(f"--env-timeout must be 0 to {LONGEST_TIMEOUT:,} s, found {seconds}")


def train(args: list[str]) -> int:
    """``counterplay train ALGORITHM ...``"""
    if not args or args[0] in ("-h", "--help"):
        known = ", ".join(algos.ALGORITHMS)
        print(f"usage: counterplay train ALGORITHM [settings]\n\nalgorithms: {known}")
        return 0 if args else 2
    began = time.perf_counter()
    name, *rest = args
    module_name = algos.module_of(name)
    game = [Train.env, *given(rest, "--env")][-1]
    resumed = given(rest, "--resume")  # with names that were checked when it began
    if not resumed and not misspelt(Train, rest):  # an unread --evn would blame a seat's rule
        check_names(game, given(rest, "--seat"), given(rest, "--against"))
    set_threads(1 if game.startswith(envs.FOREIGN) else None)
    kind = Train[import_module(module_name).Config]
    if not {"-h", "--help"} & set(rest):
        check(kind, rest, f"train {name}")
    if resumed:
        chosen = _asked_again(name, Path(resumed[-1]), rest)
    else:
        use_all_cores(game)
        chosen = read(kind, rest, f"train {name}")
    done = run_training(name, chosen, began=began)
    _tell(name, done, chosen.json)
    return 128 + done.stopped if done.stopped else 0


def _asked_again(name: str, folder: Path, rest: list[str]) -> Train:
    """The settings of a run that goes on; ValueError where others are asked for."""
    from counterplay import runs

    row = runs.read_config(folder)
    if row["algorithm"] != name:
        raise ValueError(f"--resume {folder}: that run is of {row['algorithm']}, not of {name}")
    use_all_cores(row["env"])
    config = runs.config_of(folder, row)
    lists = {"seat": tuple(row.get("seat", ())), "against": tuple(row.get("against", ()))}
    fixed = {"on_nonfinite": row.get("on_nonfinite", "stop"), "buffer_from": row.get("buffer_from")}
    was = Train(config, row["env"], **fixed)
    was = replace(was, **lists, **{name: row[name] for name in FREE if name in row})
    # a list is added to: so what was given is compared with what was there
    asked = read(Train[type(config)], rest, f"train {name}", default=replace(was, seat=()))
    if not asked.seat:
        asked = replace(asked, seat=was.seat)
    pairs = [(f, getattr(was.config, f), getattr(asked.config, f)) for f in row["config"]]
    pairs += [(f, getattr(was, f), getattr(asked, f)) for f in ("env", *lists, *fixed)]
    for field, old, new in pairs:
        if old != new:
            flag = field.replace("_", "-")
            raise ValueError(
                f"--resume {folder}: --{flag} was {old!r} in that run, found {new!r}; a run goes "
                "on with its own settings, and another one starts with --out"
            )
    if asked.out is not None:
        raise ValueError(f"--resume {folder} goes on in its own folder: leave --out away")
    return asked


def _tell(name: str, done: Trained, as_json: bool) -> None:
    row = {
        "run": str(done.folder),
        "steps": done.steps,
        "seconds": round(done.seconds, 2),
        "compile_seconds": round(done.compile_seconds, 2),
        "steps_per_second": round((done.steps - done.before) * len(done.returns) / done.seconds),
        "returns": [None if r is None else round(r, 4) for r in done.returns],
        "busy_share": round(done.busy_share, 4),
        "live_share": round(done.live_share, 4),
        "logging_share": round(done.logging_share, 4),
        "saving_share": round(done.saving_share, 4),
        "env_errors": done.env_errors,
        "stopped": done.stopped,
    }
    if as_json:
        print(json.dumps(row))
        return
    print(
        f"{done.steps:,} steps in {done.seconds:.0f} s, {done.compile_seconds:.0f} s of them "
        f"compiling ({row['steps_per_second']:,} steps/s in all)"
    )
    print(f"{done.busy_share:.1%} of lane-slots busy, {done.live_share:.1%} of seat-slots live")
    returns = ["no episode ended yet" if r is None else f"{r:.3f}" for r in done.returns]
    print(f"mean return while training: {', '.join(returns)}")
    tell_breaks(done.env_errors)
    print(f"run folder: {done.folder}")
    if done.stopped:
        print(f"stopped and saved; to go on: counterplay train {name} --resume {done.folder}")


def tell_breaks(count: int) -> None:
    """Says how often a game was restarted, if one was."""
    if count:
        print(f"games that broke and were restarted, their episodes dropped: {count:,}")


def seats_of(chosen: Any, env: Any, focal: str) -> tuple[Any, Any]:
    """The roster that --seat or --against asks for, and the game as it can play it."""
    from counterplay.pools import read_seats, roster_against, roster_of, stage

    if chosen.seat and chosen.against:
        raise ValueError("give --seat or --against, not both")
    if chosen.against:
        roster = roster_against(env, focal, chosen.against)
    else:
        entries = chosen.seat or (f"0..{env.num_seats - 1}={focal}",)
        roster = roster_of(env, read_seats(entries, env.num_seats))
    return roster, stage(env, roster)


def run_training(
    name: str,
    chosen: Train,
    quiet: bool = False,
    seconds: float = float("inf"),
    began: float | None = None,
) -> Trained:
    """Trains, shows progress and writes the run folder; stops early when ``seconds`` are over.

    ``began`` is when the command did, as ``time.perf_counter`` has it; by default now.
    """
    began = time.perf_counter() if began is None else began
    from counterplay.algos import Options, loops, snapshots

    module: Any = import_module(algos.module_of(name))
    roster, env = seats_of(chosen, envs.make(chosen.env), "self")
    if not learners_of(roster):
        raise ValueError("nobody learns: put self or own in a seat")
    roster = snapshots.joined(chosen.config, roster)
    config = loops.resolved(chosen.config, env, roster)
    if hasattr(module, "describe"):  # what cannot fit is refused before there is a folder
        held = module.describe(config, env, roster, chosen.buffer_from is not None)
        if not (quiet or chosen.json):
            say(held)
    lend = _lent(name, chosen, config, env, roster, module)
    session, resume = _open(name, chosen, config, roster, hasattr(env, "open"), began)
    title, total = f"{name} on {chosen.env}", config.steps * config.seeds
    try:
        with Meter(title, total, quiet=quiet or chosen.json) as meter, Stop() as stop:
            fixes = chosen.on_env_error, chosen.env_timeout
            options = Options(chosen.on_nonfinite, resume, *fixes, lend)
            updates = module.train(config, env, roster, options)
            check_update = partial(loops.check, env, roster, options)
            keeper = Keeper(session, meter, config, check_update)
            keeper.follow(updates, lambda: stop.signal or time.perf_counter() - began > seconds)
        if keeper.last is None:
            say(f"{session.folder} was trained to its end already")
    finally:
        session.close()
    return keeper.trained(stop.signal, time.perf_counter() - began)


def _lent(name: str, chosen: Train, config: Any, env: Any, roster: Any, module: Any) -> Any:
    """What fills the buffers of a fresh training, once it is known to fit; None without any."""
    from counterplay.algos import loops
    from counterplay.runs import checkpoints, lent

    goes_on = chosen.resume and checkpoints.steps_of(Path(chosen.resume))
    if chosen.buffer_from is None or goes_on:
        return None

    found = lent.held_by(Path(chosen.buffer_from))
    lent.check(found, loops.state_shapes(config, env, roster, module), name, opponents_of(roster))
    return partial(lent.lend, found)


def _open(
    name: str, chosen: Train, config: Any, roster: Any, hosted: bool, began: float
) -> tuple[Any, Any]:
    """The run folder, new or to go on with, and where in the training that is."""
    from counterplay.runs import new_folder, save_config
    from counterplay.runs.lock import Lock
    from counterplay.runs.session import Saving, Session

    if chosen.resume is None:
        label = f"{name}-{chosen.env.split(',')[0].replace(':', '-').replace('/', '-')}"
        folder = new_folder(chosen.out, label)
    else:
        folder = Path(chosen.resume)
    lock = Lock(folder)
    try:
        if chosen.resume is None:
            asked = {"seat": chosen.seat, "against": chosen.against, "cores": cores()}
            asked |= {"on_nonfinite": chosen.on_nonfinite, "opponents": opponents_of(roster)}
            asked |= {name: getattr(chosen, name) for name in (*FREE, "buffer_from")}
            save_config(folder, name, chosen.env, learners_of(roster), config, **asked)
        else:
            same_opponents(folder, roster)
        kept = chosen.keep, chosen.keep_every, chosen.checkpoint_buffer
        saving = Saving(chosen.save_seconds, *kept)
        session = Session(folder, lock, saving, began)
        if chosen.resume and session.found is None:
            say(f"{folder} has no checkpoint yet: the training begins anew")
        if chosen.resume and hosted:
            say("games and bots in ordinary Python begin fresh episodes; all else goes on")
        return session, session.resume()
    except BaseException:
        lock.release()
        raise
