"""Copies of one hosted game side by side, stepped together, with every fault named."""

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np

from counterplay.envs.hosting import HostGame, HostStep, NativeHost, blank
from counterplay.envs.watching import FOREVER, Hung, Watch
from counterplay.errors import GameError
from counterplay.terminal import say

FAULTS = (Exception, SystemExit, Hung)
"""What may come out of a game; some leave the program when a window is closed."""
STOP, RESTART = "stop", "restart"
"""What may be done about it."""
IN_A_ROW = 3
"""Faults in one lane, with no episode played to its end between them, that are too many."""
BRIEF = 0.2
"""Seconds in which a copy is closed that hung before, or any once one has hung in that."""
TOLD = 3
"""Faults that a line on standard error tells of; more are counted only."""


@dataclass(eq=False)
class Breaks:
    """What to do where a game breaks, and how often one did."""

    restart: bool = False
    """Drop the episode and go on with a fresh copy of the game, rather than ending it all."""
    timeout: float = 0.0
    """Seconds that one call of a game may take; 0 for as long as it likes."""
    finite: bool = True
    """What games show as they are opened must be finite; else it spoils that episode only."""
    count: int = 0
    hung_closing: bool = False
    """A copy hung as it was closed: nobody waits as long for another."""


class Running:
    """One copy a lane. What they show goes into ``shown``, leading axis L.

    ``time`` [L] are slots since the episode of each lane began; kept by the rollout, read for
    messages. ``seed`` is that of the episodes' seeds.
    """

    def __init__(
        self,
        game: HostGame,
        shown: HostStep,
        time: np.ndarray,
        seed: int,
        pictures: bool = False,
        breaks: Breaks | None = None,
    ):
        self.game, self.shown, self.time, self.pictures = game, shown, time, pictures
        self.breaks = breaks or Breaks()
        ours = isinstance(game, NativeHost)  # it cannot hang, and compiling takes its time
        self.watch = Watch(0 if ours else self.breaks.timeout, name_of(game))
        self.copies: list[Any] = [None] * len(time)
        self.random = np.random.default_rng(seed)
        self.broken = np.zeros(len(time), bool)
        """Lanes whose game broke in this slot: they show nothing until they are reset."""
        self.any_broken = False
        """Spares the others a look at each of them."""
        self._in_a_row = np.zeros(len(time), int)
        self._hung = np.zeros(len(time), bool)
        try:
            with self.watch:
                self.reset(range(len(time)), self.breaks.finite)
        except BaseException:
            self.close()
            raise

    def step(self, action: np.ndarray, closing: np.ndarray) -> None:
        """Moves every game, actions [L, N], except those whose closing slot this is."""
        idle = (closing | self.broken if self.any_broken else closing).tolist()
        home, lane = self.shown.obs.base, 0
        turns = enumerate(zip(self.copies, action.tolist(), strict=True))
        watch = self.watch
        while True:
            try:
                for lane, (copy, moves) in turns:
                    if not idle[lane]:
                        watch.began = now = monotonic()
                        if now >= watch.due:
                            watch.put_off()
                        step = copy.step(moves)
                        if step.obs.base is not home:
                            self._copy_in(lane, step)
                watch.began = FOREVER
                return
            except FAULTS as error:
                self._break(lane, f"after move {int(self.time[lane]) + 1}", error)

    def reset(self, lanes: Iterable[Any], finite: bool = True) -> None:
        """Begins another episode in each of these lanes; ``finite`` asks for numbers that are."""
        lane = -1
        for lane in map(int, lanes):
            self.watch.put_off()
            if not self.broken[lane]:
                self._in_a_row[lane] = 0
            while not self._begin(lane):
                pass
        if lane < 0:
            return
        self.broken.fill(False)
        self.any_broken = False
        if finite:
            self.check_finite(self.shown, self.time, 0)

    def _begin(self, lane: int) -> bool:
        """Resets a lane's game, made anew where there is none; False where it broke."""
        when = "when it was made"
        try:
            self.watch.began = monotonic()
            if self.copies[lane] is None:
                self.copies[lane] = self.game.open(self.pictures)
                if hasattr(self.copies[lane], "write_into"):
                    self.copies[lane].write_into(_lane(self.shown, lane))
            when = "at reset"
            step = self.copies[lane].reset(self.draw_seed())
            if step.obs.base is not self.shown.obs.base:
                self._copy_in(lane, step)
            self.watch.began = FOREVER
            return True
        except FAULTS as error:
            self._break(lane, when, error)
            return False

    def _break(self, lane: int, when: str, error: BaseException) -> None:
        """Ends it all with GameError, or closes the copy; the lane is to be reset."""
        self.watch.began = FOREVER
        self._in_a_row[lane] += 1
        self._hung[lane] = isinstance(error, Hung)
        told = self._told(lane, when, error)
        if not self.breaks.restart:
            raise told from error
        if self._in_a_row[lane] >= IN_A_ROW:
            raise GameError(
                f"{told}; that was {IN_A_ROW} times in a row in this lane without an episode "
                "played to its end, so it is not restarted once more"
            ) from error
        self.breaks.count += 1
        if self.breaks.count <= TOLD:
            last = "; further ones are counted only" if self.breaks.count == TOLD else ""
            say(f"{told}; its episode is dropped and a fresh copy takes its place{last}")
        self.watch.rest()
        self.watch.put_off()
        self._shut(lane)
        for x, nothing in zip(_lane(self.shown, lane), blank(self.game), strict=True):
            x[...] = nothing
        self.broken[lane] = self.any_broken = True

    def check_legal(self, closing: np.ndarray) -> None:
        """Somebody present without a legal action is a fault of the game, found before it moves."""
        stuck = self.shown.alive & ~closing[:, None] & ~self.shown.legal.any(-1)
        for lane in np.flatnonzero(stuck.any(1)).tolist():
            who = self._who(int(np.argmax(stuck[lane])))
            error = GameError(f"{who} is present but has no legal action: the game must offer one")
            self._break(lane, f"before move {int(self.time[lane]) + 1}", error)

    def draw_seed(self) -> int:
        return int(self.random.integers(2**31))

    def unfair(self, lane: int, seat: int, answer: Any) -> ValueError:
        """The error for an answer, or for one of the answers [L, N], that is no legal action."""
        answer = int(answer[lane, seat]) if isinstance(answer, np.ndarray) else answer
        legal = np.flatnonzero(self.shown.legal[lane, seat]).tolist()
        where = f"{name_of(self.game)}: {self._who(seat)} of lane {lane} in slot {self.time[lane]}"
        return ValueError(f"{where} answered {answer!r}; legal are the whole numbers {legal}")

    def close(self) -> None:
        """Ends every copy; what goes wrong in that is nobody's loss.

        Those that hang take the time of one call between them, and BRIEF each.
        """
        with self.watch:
            for lane in range(len(self.copies)):
                self.watch.put_off()
                self._shut(lane)

    def _shut(self, lane: int) -> None:
        copy, self.copies[lane] = self.copies[lane], None
        if copy is None:
            return
        brief = self._hung[lane] or self.breaks.hung_closing
        self.watch.begin(BRIEF if brief else self.watch.seconds)
        self._hung[lane] = False
        try:
            copy.close()
        except Hung:
            self.breaks.hung_closing = True
        except FAULTS:
            pass
        self.watch.began = FOREVER

    def _copy_in(self, lane: int, step: HostStep) -> None:
        """Copies what a game shows that did not write it where it belongs."""
        for name, found, out in zip(HostStep._fields, step, _lane(self.shown, lane), strict=True):
            found = np.asarray(found)
            if found.shape != out.shape or not np.can_cast(found.dtype, out.dtype, "same_kind"):
                raise GameError(
                    f"{name}: expected {out.dtype}{list(out.shape)}, found "
                    f"{found.dtype}{list(found.shape)}; the sizes it declares are not what it shows"
                )
            out[...] = found

    def check_finite(self, shown: HostStep, time: np.ndarray, moved: int = 1) -> None:
        """Raises GameError on a NaN or an infinity in what was shown, [*t, L, ...], earliest first.

        Not part of ``step``: once for many slots costs no more than once for one.
        """
        for name, array in (("observation", shown.obs), ("reward", shown.reward)):
            good = np.isfinite(array)
            if not good.all():
                *slot, lane, seat = np.argwhere(~good)[0][: time.ndim + 1].tolist()
                error = GameError(
                    f"{self._who(seat)}: the {name} holds a NaN or an infinity; "
                    "train has --on-nonfinite drop-episode to leave such episodes out"
                )
                move = int(time[(*slot, lane)]) + moved
                raise self._told(lane, f"after move {move}" if move else "at reset", error)

    def _told(self, lane: int, when: str, error: BaseException) -> GameError:
        kind = "" if isinstance(error, GameError | Hung) else f"{type(error).__name__}: "
        return GameError(f"{name_of(self.game)} broke in lane {lane} {when}: {kind}{error}")

    def _who(self, seat: int) -> str:
        seats = getattr(self.game, "seats", None)
        return f"seat {seat}" + (f" (agent {seats[seat].agent!r})" if seats else "")


def close_all(several: Iterable[Running]) -> None:
    """Closes them in turn; where one hangs nobody waits as long for another."""
    hung = False
    for games in several:
        games.breaks.hung_closing |= hung
        games.close()
        hung = games.breaks.hung_closing


def name_of(game: HostGame) -> str:
    return getattr(game, "name", type(game).__name__)


def _lane(shown: HostStep, lane: int) -> HostStep:
    return HostStep(*(x[lane, ...] for x in shown))
