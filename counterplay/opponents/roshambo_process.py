"""The RoShamBo bots of OpenSpiel, each in a process of its own; run as a program, it loads no more.

    python -P roshambo_process.py NAME SEED THROWS    a bot: digits out, the other's digits in
    python -P roshambo_process.py                     a referee: a match a line in, a score out

The bots are C programs with state in static variables, so no process ever holds two of them, nor
one for two matches. Most draw from the C library's ``random``. OpenSpiel never seeds that, and
every fresh process would repeat one stream, so ``srandom`` seeds it before the bot is made.
A match of fewer throws is one of the tournament's that is broken off: told of another length when
they are made, some of the bots read outside their arrays.
"""

import ctypes
import os
import sys
from collections.abc import Generator
from typing import IO

DRAW, WIN, LOSS = 0, 1, -1
TOURNAMENT = 1000
"""Throws of a match for which the bots are written."""
PAYOFF = (DRAW, WIN, LOSS)
"""By (mine - other's) modulo 3: rock 0, paper 1, scissors 2."""


def throws_of(name: str, seed: int) -> Generator[int, int, None]:
    """A generator of throws that is sent the other's after each."""
    import pyspiel

    ctypes.CDLL(None).srandom(ctypes.c_uint(seed))
    bot = pyspiel.make_roshambo_bot(0, name, TOURNAMENT)
    game = f"repeated_game(stage_game=matrix_rps(),num_repetitions={TOURNAMENT})"
    state = pyspiel.load_game(game).new_initial_state()
    for _ in range(TOURNAMENT):
        mine = bot.step(state)  # it reads the whole history from the state
        other = yield mine
        state.apply_actions([mine, other])


def serve(name: str, seed: int, throws: int, heard: IO[bytes], said: IO[bytes]) -> None:
    """Says its throw, then hears the other's, until all are thrown or nobody is there."""
    bot = throws_of(name, seed)
    mine = next(bot)
    for left in range(throws, 0, -1):
        said.write(b"%d" % mine)
        said.flush()
        other = heard.read(1) if left > 1 else b""  # nobody waits to hear the last
        if not other:
            return
        mine = bot.send(int(other))


def match(first: tuple[str, int], second: tuple[str, int], throws: int) -> int:
    """What the first earns of the second; each a name and a seed, in a process of its own.

    The second is a child of this process, which must be the first's alone.
    """
    (here_in, there_out), (there_in, here_out) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with open(there_in, "rb", 0) as heard, open(there_out, "wb", 0) as said:
            os.close(here_in)
            os.close(here_out)
            serve(*second, throws, heard, said)
        os._exit(0)
    os.close(there_in)
    os.close(there_out)
    total, bot = 0, throws_of(*first)
    mine = next(bot)
    with open(here_in, "rb", 0) as heard, open(here_out, "wb", 0) as said:
        for left in range(throws, 0, -1):
            other = int(heard.read(1))
            total += PAYOFF[(mine - other) % 3]
            if left > 1:
                said.write(b"%d" % mine)
                mine = bot.send(other)
    os.waitpid(child, 0)
    return total


def referee(asked: IO[str], told: IO[str]) -> None:
    """Plays ``NAME SEED NAME SEED THROWS`` of every line, each match in fresh processes.

    Only these are forked: this process has loaded OpenSpiel and made no bot.
    """
    import pyspiel  # noqa: F401  (once, for all its children)

    for line in asked:
        name, seed, other, other_seed, throws = line.split()
        child = os.fork()
        if not child:
            told.write(f"{match((name, int(seed)), (other, int(other_seed)), int(throws))}\n")
            told.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"the match {line.strip()} ended with status {status}")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        referee(sys.stdin, sys.stdout)
    else:
        serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.stdin.buffer, sys.stdout.buffer)
