"""What verbs share: devices, reading settings, progress and tables for people."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from counterplay import envs, opponents
from counterplay.grammar import ALIKE
from counterplay.names import did_you_mean
from counterplay.settings import check
from counterplay.terminal import tell, writable

T = TypeVar("T")
QUIET_SECONDS = 10.0
"""Between two lines of progress where there is no terminal to redraw."""
MOST_COLUMNS = 10_000
NAMED = "NPROC" in os.environ
"""The environment names the number of XLA's threads."""


def use_all_cores(game: str = "") -> None:
    """One XLA device a core, unless the environment says otherwise.

    Call before anything uses JAX. On a machine with a GPU, JAX uses that instead. A ``game`` in
    ordinary Python is played on one core, with many small programs.
    """
    if game.startswith(envs.FOREIGN):
        run_where_called()
        return
    set_threads()
    import jax

    jax.config.update("jax_num_cpu_devices", cores())
    if _is_hosted(game):
        with suppress(RuntimeError):  # its file has used JAX by now, and so chosen for itself
            run_where_called()


def _is_hosted(game: str) -> bool:
    """Whether a game of one's own is in ordinary Python, which only making it tells.

    What is wrong with it is told where it is made to be played.
    """
    try:
        if not game or game.startswith(envs.JAXMARL) or envs.look_up(game) is not None:
            return False
        from counterplay.envs.making import is_hosted

        return is_hosted(game)
    except Exception:
        return False


def run_where_called() -> None:
    """Runs every program on the thread that calls it, on one device.

    Handing a small one to another thread and waiting takes longer than it runs. With several
    devices that sum over each other this must not be: they would wait for one another. JAX raises
    RuntimeError once it has been used.
    """
    set_threads(1)
    import jax

    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def set_threads(count: int | None = None) -> None:
    """XLA's threads, unless the environment names a number; read when JAX is first used.

    As many as cores: more get in each other's way.
    """
    if not NAMED:
        os.environ["NPROC"] = str(count or cores())


def cores() -> int:
    """Those this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return here or 1


def read(kind: Callable[..., T], args: list[str], program: str, default: T | None = None) -> T:
    """Settings of a verb from the command line; exits 2 with a suggestion for a mistyped one.

    What is not given is as in ``default``, where there is one.
    """
    title, config = f"counterplay {program}", (tyro.conf.OmitArgPrefixes,)
    more: dict[str, Any] = {} if default is None else {"default": default}
    fill = partial(tyro.cli, kind, prog=title, config=config, **more)
    if "-h" in args or "--help" in args:
        _show_help(fill)
    words, drawn = check(kind, args, program), io.StringIO()
    try:
        with redirect_stderr(drawn):  # tyro draws a box around its errors
            return fill(args=words)
    except SystemExit as end:
        refused = end.__context__
    while refused and not isinstance(refused, ValueError):
        refused = refused.__context__  # down to what the settings themselves said
    raise ValueError(str(refused or drawn.getvalue())) from None


def _show_help(fill: Callable[..., Any]) -> NoReturn:
    """What tyro says of the settings, in colour only where that is wanted; ends the program."""
    text = io.StringIO()
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    with redirect_stdout(text if plain else sys.stdout), suppress(SystemExit):
        fill(args=["--help"])
    sys.stdout.write(text.getvalue())
    raise SystemExit(0)


def check_names(game: str, seats: Iterable[str], against: Iterable[str]) -> None:
    """Refuses an unknown game, preset or rule before JAX is loaded, which takes its time.

    Comma lists, files and what takes a game of others to tell are checked when they are made.
    """
    found = envs.look_up(game)
    for text in (*against, *(seat.partition("=")[2] for seat in seats)):
        who = text.strip().removeprefix(ALIKE).partition(":")[0].strip()
        if found and who.isidentifier() and not did_you_mean(who, ("self", "own", "run", "pool")):
            opponents.check_name(who, found[0])


def given(args: list[str], flag: str) -> list[str]:
    """The values of a flag among arguments that have not been read yet."""
    values, taking = [], False
    for arg in args:
        name, equals, value = arg.partition("=")
        if arg.startswith("--"):
            taking = name == flag and not equals
            values += [value] if name == flag and equals else []
        elif taking:
            values.append(arg)
    return values


class Stop:
    """Takes the first SIGINT or SIGTERM as a wish to stop at the next safe point.

    A second one ends the process at once.
    """

    def __init__(self):
        self.signal = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # else it is not ours to handle
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: Any) -> None:
        self.signal = number
        for again in self.before:  # at once also where Python waits for a compiled program
            signal.signal(again, signal.SIG_DFL)
        name = signal.Signals(number).name
        text = f"counterplay: {name}: saving at the next safe point; once more leaves at once\n"
        with suppress(OSError):  # nobody listens, and the training is to be saved all the same
            os.write(2, text.encode())


class Meter:
    """A progress bar with steps a second; without a terminal, a line now and then."""

    def __init__(self, title: str, total: int, unit: str = "steps", quiet: bool = False):
        self.title, self.total, self.unit = title, total, unit
        self.console = Console(stderr=True)
        dumb = self.console.is_dumb_terminal  # it cannot redraw a line
        self.live = self.console.is_terminal and not dumb and not quiet
        self.quiet = quiet
        self.first: tuple[float, int] | None = None
        self.spoke = time.perf_counter()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(title, total=total, note="compiling")

    def __enter__(self) -> "Meter":
        if self.live:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live:
            self.bar.stop()

    def update(self, done: int, note: str = "", total: int | None = None) -> None:
        """Shows how much is done and how fast it goes; the clock starts with the first call.

        So the speed leaves out what came before, compilation above all. ``total`` is given where
        only playing tells it.
        """
        now = time.perf_counter()
        self.total = total or self.total
        if self.first is None:
            self.first = (now, done)
        began, base = self.first
        if done > base and now > began:
            note = f"{(done - base) / (now - began):,.0f} {self.unit}/s  {note}".rstrip()
        if self.live:
            here = min(done, self.total)
            self.bar.update(self.task, completed=here, total=self.total, note=note)
        elif not self.quiet and (now - self.spoke > QUIET_SECONDS):
            self.spoke = now
            share = 100 * min(done / self.total, 1)
            tell(f"{self.title}: {share:.0f}%  {note}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table, numbers to the right; in a narrow window rows wrap and nothing is cut."""
    out = Table()
    for i, column in enumerate(columns):
        out.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        out.add_row(*(writable(str(cell)) for cell in row))
    width = Console(width=MOST_COLUMNS, markup=False).measure(out).maximum
    console = Console(width=width, soft_wrap=True, markup=False)
    with console.capture() as shown:  # printed by rich, a pipe that breaks would end the program
        console.print(title, style="bold", highlight=False)
        console.print(out)
    sys.stdout.write(shown.get())


def signed(mean: float, error: float, digits: int = 3) -> str:
    """A mean with its standard error, as people read it."""
    return f"{mean:.{digits}f} ± {error:.{digits}f}"
