"""Streams as users have them: pipes, closed, full, narrow, without signs; and read-only places."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from counterplay import cli, terminal
from counterplay.console import table

PROGRAM = (sys.executable, "-m", "counterplay")
ROOT = Path(terminal.__file__).parents[1]
PLAY = ("eval", "--env", "matrix:pd", "--seat", "0..1=grim", "--episodes", "8")
HEAVY = ("jax", "pyarrow", "matplotlib", "scipy", "tensorboardX", "equinox", "gymnasium")
LIGHT = ((), ("--help",), ("list",), ("doctor",), ("lst",), ("train", "pp0"), ("bench", "stp"))
LIGHT += (("list", "--jsn"), ("train", "ppo", "--env", "stag_hnt"))


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def shell(line: str, cwd: Any = None, **more: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which ``counterplay`` is this one."""
    call = f'counterplay() {{ "{PROGRAM[0]}" -m counterplay "$@"; }}; {line}'
    settings: dict[str, Any] = {"text": True, "capture_output": True, "timeout": 120, "cwd": cwd}
    return subprocess.run(["/bin/sh", "-c", call], env=environment(**more), **settings)


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_names_and_lists_load_nothing_heavy(words):
    program = (
        "import sys\nfrom counterplay.cli import main\ncode = main(sys.argv[2:])\n"
        "found = set(sys.argv[1].split()) & {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(found), code, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, " ".join(HEAVY), *words]
    done = subprocess.run(command, env=environment(), text=True, capture_output=True, timeout=60)
    code = 0 if done.stdout else 2
    assert done.stderr.splitlines()[-1] == f"[] {code}", done.stderr


@pytest.mark.parametrize("line", ["counterplay list >&-", "counterplay list >&- 2>&-"])
def test_a_closed_output_is_written_to_nobody(line):
    done = shell(line)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_error_does_not_turn_into_output():
    done = shell("counterplay lst 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path):
    program = (
        "from counterplay import terminal; terminal.prepare()\n"
        f"file = open({str(tmp_path / 'precious')!r}, 'w')\n"
        "assert file.fileno() > 2\n"
    )
    done = shell(f'"{PROGRAM[0]}" -c "$PROGRAM" <&- >&- 2>&-', PROGRAM=program)
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(("line", "code"), [("list >/dev/full", 1), ("lst 2>/dev/full", 2)])
def test_a_full_disk_behind_a_stream_is_told(line, code):
    done = shell(f"counterplay {line}")
    assert done.returncode == code
    assert done.stderr.count("\n") == 2 - code
    assert code == 2 or "No space left on device" in done.stderr


@pytest.mark.parametrize("words", ["train ppo --help", " ".join(PLAY)])
def test_a_reader_that_has_left_ends_nothing_badly(words):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*PROGRAM, *words.split()]
    settings: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "timeout": 120}
    done = subprocess.run(command, stdout=write_end, env=environment(), **settings)
    os.close(write_end)
    assert done.returncode == 0 and "Broken" not in done.stderr and "Trace" not in done.stderr


def test_progress_that_nobody_reads_ends_no_work(monkeypatch):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        terminal.tell("ppo: 10%")
        terminal.tell("ppo: 20%")
        terminal.say("stopped")


def test_without_signs_a_table_is_still_one(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.prepare()
    table("é", ("who", "mean"), [("grim", "1.0 ± 0.5"), ("run:é", "10.0 ± 0.5")])
    stream.flush()
    raw: Any = stream.buffer
    title, *lines = raw.getvalue().decode("ascii").splitlines()
    assert title == "\\xe9" and len({len(line) for line in lines}) == 1
    assert "| 10.0 +- 0.5 |" in lines[4] and "run:\\xe9" in lines[4]


PLAIN = ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"})


@pytest.mark.parametrize("more", PLAIN)
def test_bare_surroundings_are_enough(more, tmp_path):
    """No home, no folder for temporary files, no input, no colour, no signs."""
    words = " ".join(PLAY)
    more |= {"TMPDIR": str(tmp_path / "none"), "TERM": "dumb", "COLUMNS": "20"}
    done = shell(f"unset HOME; counterplay {words} <&-", tmp_path, **more)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 grim" in done.stdout and "\x1b" not in done.stdout


def test_a_place_that_cannot_be_written_is_named():
    if not Path("/proc/self").exists():
        pytest.skip("no folder here that even root cannot write")
    for words in ("train ppo --out /proc/x", "bench figures --render --results /proc/x"):
        done = shell(f"counterplay {words}")
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1
        assert "/proc/x" in done.stderr and "Errno" not in done.stderr


def in_window(words: list[str], columns: int, **more: str) -> str:
    """What a command shows in a terminal window of so many columns."""
    window, inside = pty.openpty()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
    surroundings = environment(COLUMNS=str(columns), **more)
    with subprocess.Popen([*PROGRAM, *words], env=surroundings, **streams):
        os.close(inside)
        text = b""
        while True:
            try:
                some = os.read(window, 4096)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            text += some
    os.close(window)
    return text.decode()


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_an_error_is_wrapped_in_a_window_and_nowhere_else(columns):
    lines = in_window(["list", "--jsn"], columns).splitlines()
    whole = shell("counterplay list --jsn").stderr
    assert whole.count("\n") == 1
    assert " ".join(lines) == whole.strip() and max(map(len, lines)) <= columns


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_help_has_no_colour_where_none_is_wanted(more):
    text = in_window(["bench", "rules", "--help"], 80, **more)
    assert "--episodes INT" in text and "\x1b" not in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileNotFoundError(2, "No such file or directory", "a/b"),
            "a/b: No such file or directory",
        ),
        (MemoryError(), "memory is full; fewer --lanes take less: no more could be had"),
        (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), "memory is full; fewer --lanes"),
        (OSError("one\n  two"), "counterplay: one two\n"),
    ],
)
def test_what_the_world_refuses_is_one_paragraph(error, said, monkeypatch, capsys):
    def fails(args: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "show_list", fails)
    assert cli.main(["list"]) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_says_so_in_its_exit_status(number, tmp_path):
    words = "train ppo --env matrix:pd --seat 0=self --seat 1=grim --widths 8 --lanes 4 --slots 4"
    command = [*PROGRAM, *words.split(), "--steps=1000000000", "--out=-a folder", "--json"]
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    work = subprocess.Popen(command, cwd=tmp_path, env=environment(), **settings)
    rows = tmp_path / "-a folder" / "metrics.jsonl"
    until = time.monotonic() + 100
    while not (rows.exists() and rows.stat().st_size) and time.monotonic() < until:
        time.sleep(0.1)
    work.send_signal(number)
    out, err = work.communicate(timeout=60)
    assert work.returncode == 128 + number and "Traceback" not in err
    assert json.loads(out)["stopped"] == number
    assert list((tmp_path / "-a folder" / "checkpoints").iterdir())
