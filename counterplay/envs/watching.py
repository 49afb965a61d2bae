"""A watch over calls into other people's games: one that does not return is interrupted.

A timer of the operating system raises ``Hung`` in the call itself, so that waiting for a game costs
no hand-over; a call in time costs a look at the clock. A game that is stuck in compiled code never
comes back to Python and cannot be interrupted: some seconds later the process writes to standard
error which game that is and where it is stuck, as ``Timeout`` and the lines of Python that led
there, and ends with exit code 1. A thread says which game it is, so where compiled code lets no
thread run (it keeps Python's lock) only those lines are left, which need none.

Ctrl-Z stops the clock too. A stop that no program hears of (SIGSTOP, a container that is paused)
does not: one past a deadline is taken for a call that hangs, since the thread of the operating
system that ends the process wakes before any of ours.

There is nothing to do this with outside the main thread, on Windows, and where somebody else's
timer is running: there nothing is watched.
"""

import faulthandler
import math
import os
import signal
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

FOREVER = math.inf
AGAIN = 1.0
"""Seconds until a game that went on after being interrupted is interrupted again."""
GRACE = 5.0
"""Seconds after which the process ends where an interrupted call has not come back."""
LEAD = 0.5
"""Seconds before that in which it is said."""
PUT_OFF = 1.0
"""That end is put off at most this often, in seconds: each time takes as long as a move or two."""
STANDARD_ERROR = 2


class Hung(BaseException):
    """A call did not return in time. A game's own ``except Exception`` does not catch it."""


class Watch:
    """``with watch:`` around many calls; before each ``watch.began = monotonic()``, after it
    ``FOREVER``. A call of more than ``seconds`` raises Hung; 0 watches nothing.

    Also before each ``put_off()``, which may be left away until ``due``.
    """

    def __init__(self, seconds: float, name: str = "a game"):
        self.seconds, self.name, self.began, self.on = seconds, name, FOREVER, False
        self._before: Any = None
        self._may_pause = False
        """Ctrl-Z is nobody else's to answer."""
        self.due = 0.0
        """When the end of the process is to be put off again; 0 while it is not to end."""
        self._end = FOREVER
        """When it does."""
        self._over = threading.Event()

    def __enter__(self) -> "Watch":
        can = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        if self.seconds and can and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
            self._before = signal.signal(signal.SIGALRM, self._look)
            self.on, self.due = True, 0.0
            self._may_pause = signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
            if self._may_pause:
                signal.signal(signal.SIGTSTP, self._pause)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            self._over = threading.Event()
            threading.Thread(target=self._tell, args=(self._over,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.on:
            self.on, self.began = False, FOREVER
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before or signal.SIG_DFL)
            if self._may_pause:
                signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            self.rest()
            self._over.set()

    def begin(self, seconds: float) -> None:
        """Says that a call begins now which is given so many seconds, at most those of others."""
        self.began = monotonic() - max(self.seconds - seconds, 0.0)
        if self.on:
            signal.setitimer(signal.ITIMER_REAL, min(seconds, self.seconds))

    def put_off(self) -> None:
        """Says that the process is well; to be called now and then while games are played."""
        if self.on and (now := monotonic()) >= self.due:
            self.due, self._end = now + PUT_OFF, now + self.seconds + GRACE
            faulthandler.dump_traceback_later(self.seconds + GRACE, exit=True, file=STANDARD_ERROR)

    def rest(self) -> None:
        """Until games are played again, anything may take as long as it likes."""
        if self.due > 0:
            self.due, self._end = 0.0, FOREVER
            faulthandler.cancel_dump_traceback_later()

    def _tell(self, over: threading.Event) -> None:
        """Says shortly before the process ends why it does; at ease until then."""
        lead = min(LEAD, GRACE / 2)
        longest = left = self.seconds + GRACE - lead
        while not over.wait(min(left, longest)):
            left = self._end - lead - monotonic()
            if left <= 0:
                text = (
                    f"counterplay: {self.name} did not return within {self.seconds:g} s "
                    "(--env-timeout): it is stuck in compiled code, which cannot be interrupted, "
                    "so the process ends; what led there:\n"
                )
                with suppress(OSError):
                    os.write(STANDARD_ERROR, text.encode("ascii", "replace"))
                return

    def _pause(self, number: int, frame: Any) -> None:
        """Ctrl-Z: stops with no deadline running; all that run are put off by that time."""
        watched, began = self.due > 0, monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.rest()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # comes back when the process is told to go on
        signal.signal(signal.SIGTSTP, self._pause)
        if not self.on:  # the signal was under way when the watch ended
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            return
        self.began += monotonic() - began
        if watched:
            self.put_off()
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def _look(self, number: int, frame: Any) -> None:
        """Interrupts the call if it is late; else looks again when it would be."""
        if not self.on:  # the signal was under way when the watch ended
            return
        late = monotonic() - self.began
        if late >= self.seconds:
            signal.setitimer(signal.ITIMER_REAL, min(AGAIN, self.seconds))
            raise Hung(f"it did not return within {self.seconds:g} s (--env-timeout)")
        if self.due > 0:  # Python is running: what takes long is many calls, or none of them
            self.due = 0.0
            self.put_off()
        signal.setitimer(signal.ITIMER_REAL, min(self.seconds - late, self.seconds))
