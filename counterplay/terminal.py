"""Standard output and error as they are found: a window, a pipe, a full disk, or not there."""

import codecs
import os
import re
import shutil
import sys
import textwrap
from typing import TextIO

NARROWEST = 20
PLAIN = {"±": "+-", "…": "...", "→": "->", "≥": ">=", "≤": "<="}
"""What is written where the encoding lacks a sign."""


def prepare() -> None:
    """Makes writing safe: nothing is written to a stream that was closed, and every sign to others.

    A closed stream's number would go to the next file that is opened, such as a checkpoint, which
    anything that prints then damages.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            free = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(free, True)
    codecs.register_error("counterplay", _in_plain_signs)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="counterplay")


def say(text: str) -> None:
    """Tells a person something on standard error, in one paragraph; never fails.

    In a window it is wrapped between words, so that names and paths stay whole; elsewhere it is one
    line, for programs that read lines.
    """
    text = "counterplay: " + re.sub(r"\s*\n\s*", " ", text.strip())
    try:
        if sys.stderr.isatty():
            width = max(shutil.get_terminal_size().columns, NARROWEST)
            text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
        tell(text)
    except ValueError:  # the stream is closed
        return


def tell(line: str) -> None:
    """Writes a line to standard error; where nobody listens any more, work goes on."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        leave(sys.stderr)


def writable(text: str) -> str:
    """The text in the signs that standard output has, so that its width can be counted."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    codecs.register_error("counterplay", _in_plain_signs)
    return text.encode(encoding, "counterplay").decode(encoding)


def flush() -> None:
    """Writes what still waits for standard output; where that fails, it does not wait for more."""
    try:
        sys.stdout.flush()
    except OSError as error:
        leave(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def leave(stream: TextIO) -> None:
    """Lets nobody read a stream any more, so that Python does not fail at it when it ends."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # it is no file
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    plain = (PLAIN.get(s) or s.encode("ascii", "backslashreplace").decode() for s in signs)
    return "".join(plain), error.end
