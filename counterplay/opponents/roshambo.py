"""The 43 RoShamBo bots that OpenSpiel ships, as players of ``matrix:rps``: ``roshambo:NAME``.

Billings (2000), The First International RoShamBo Programming Competition, ICGA Journal 23(1), with
Greenberg, the winner of the second; as a population Lanctot et al. (2023), Population-based
Evaluation in Repeated Rock-Paper-Scissors. Listing them loads neither OpenSpiel nor JAX.
"""

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from counterplay.names import unknown

if TYPE_CHECKING:
    import numpy as np

    import counterplay.types

NAMES = (
    "actr_lag2_decay", "adddriftbot2", "addshiftbot3", "antiflatbot", "antirotnbot", "biopic",
    "boom", "copybot", "debruijn81", "driftbot", "flatbot3", "foxtrotbot", "freqbot2", "granite",
    "greenberg", "halbot", "inocencio", "iocainebot", "marble", "markov5", "markovbails",
    "mixed_strategy", "mod1bot", "multibot", "peterbot", "phasenbott", "pibot", "piedra",
    "predbot", "r226bot", "randbot", "robertot", "rockbot", "rotatebot", "russrocker4", "shofar",
    "sunCrazybot", "sunNervebot", "sweetrock", "switchalot", "switchbot", "textbot", "zq_move",
)  # fmt: skip
THROWS = 1000
"""Of a match of the tournament; the bots' own arrays are no longer."""
PROGRAM = Path(__file__).with_name("roshambo_process.py")
DRAW, WIN, LOSS = 0.0, 1.0, -1.0
PAYOFFS = ((DRAW, LOSS, WIN), (WIN, DRAW, LOSS), (LOSS, WIN, DRAW))
"""Rock, paper, scissors, as OpenSpiel numbers them too."""


class RoshamboBot:
    """One bot in a process of its own, a fresh one for every episode: it recalls none before.

    It is told what both threw and nothing else, and its process ends with the last throw, or when
    it is closed.
    """

    def __init__(self, name: str, throws: int):
        self.name, self.throws, self.seed = name, throws, 0
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, seed: int, new_match: bool) -> None:
        self.close()
        self.seed = seed

    def act(self, view: "dict[str, np.ndarray]") -> int:
        if self._process is None:
            self._process = run(self.name, str(self.seed), str(self.throws))
        else:
            self._tell(self._process, int(view["moved"][1]))
        thrown = pipe(self._process.stdout).read(1)
        if not thrown:
            raise RuntimeError(
                f"roshambo:{self.name} threw nothing, and its process ended with status "
                f"{self._process.wait()}: it plays {self.throws} throws, one a slot"
            )
        return int(thrown)

    def _tell(self, process: "subprocess.Popen[bytes]", theirs: int) -> None:
        if theirs not in range(len(PAYOFFS)):
            raise ValueError(f"roshambo:{self.name} wants to see a throw, 0 to 2, found {theirs}")
        with suppress(BrokenPipeError):  # that nobody is there is told when it should throw
            pipe(process.stdin).write(b"%d" % theirs)

    def close(self) -> None:
        """Ends its process, which goes when it has nothing to hear any more."""
        if self._process is not None:
            pipe(self._process.stdin).close()
            pipe(self._process.stdout).close()
            self._process.wait()
        self._process = None

    def __del__(self):
        self.close()


def pipe(end: IO[Any] | None) -> IO[Any]:
    """One end of a pipe that was asked for."""
    assert end is not None  # noqa: S101
    return end


def run(*words: str) -> "subprocess.Popen[bytes]":
    """Starts the program of the bots, with pipes to and from it.

    In a session of its own: an interrupt from the keyboard is for us, and lets it play on.
    """
    command = [sys.executable, "-P", str(PROGRAM), *words]
    return subprocess.Popen(  # noqa: S603  (our own program)
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


def check_installed(owner: str) -> None:
    """ValueError where OpenSpiel is missing."""
    if find_spec("pyspiel") is None:
        raise ValueError(
            f"{owner} needs the package 'pyspiel', which is not installed; it comes with: "
            "pip install 'counterplay[openspiel]'"
        )


def check_game(env: "counterplay.types.Env", owner: str) -> None:
    """ValueError for any game but plain rock, paper, scissors."""
    found = getattr(env, "payoffs", None), getattr(env, "other_payoffs", None)
    if found not in ((PAYOFFS, None), (PAYOFFS, PAYOFFS)):
        raise ValueError(
            f"{owner} plays rock, paper, scissors for a point a throw: use matrix:rps; found {env}"
        )


def make(env: "counterplay.types.Env", name: str) -> RoshamboBot:
    """The bot of a name, for a game of this length."""
    owner = f"roshambo:{name}"
    if name not in NAMES:
        raise unknown("RoShamBo bot", name, NAMES)
    check_game(env, owner)
    if env.horizon > THROWS:
        raise ValueError(
            f"{owner} plays matches of {THROWS} throws at most, and this game has "
            f"{env.horizon}: use matrix:rps,horizon={THROWS}"
        )
    check_installed(owner)
    return RoshamboBot(name, env.horizon)
