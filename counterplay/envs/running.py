"""Copies of one hosted game side by side, stepped together, with every fault named."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from counterplay.envs.hosting import HostCopy, HostGame, HostStep
from counterplay.errors import GameError


@dataclass(eq=False)
class Running:
    """One copy a lane. What they show goes into ``shown``, leading axis L."""

    game: HostGame
    copies: list[HostCopy]
    shown: HostStep
    time: np.ndarray
    """Slots since the episode of each lane began; kept by the rollout, read for messages."""
    random: np.random.Generator
    """Seeds of episodes."""

    @classmethod
    def open(
        cls, game: HostGame, shown: HostStep, time: np.ndarray, seed: int, pictures: bool
    ) -> "Running":
        copies = [game.open(pictures) for _ in range(len(time))]
        for lane, copy in enumerate(copies):
            if hasattr(copy, "write_into"):
                copy.write_into(_lane(shown, lane))  # type: ignore[attr-defined]
        running = cls(game, copies, shown, time, np.random.default_rng(seed))
        running.reset(range(len(copies)))
        return running

    def step(self, action: np.ndarray, closing: np.ndarray) -> None:
        """Moves every game, actions [L, N], except those whose closing slot this is."""
        idle, home, lane = closing.tolist(), self.shown.obs.base, 0
        try:
            for lane, (copy, moves) in enumerate(zip(self.copies, action.tolist(), strict=True)):
                if not idle[lane]:
                    step = copy.step(moves)
                    if step.obs.base is not home:
                        self._copy_in(lane, step)
        except Exception as error:
            raise self._broken(lane, int(self.time[lane]) + 1, error) from error

    def reset(self, lanes: Iterable[Any], finite: bool = True) -> None:
        """Begins another episode in each of these lanes; ``finite`` asks for numbers that are."""
        lane = -1
        try:
            for lane in map(int, lanes):
                step = self.copies[lane].reset(self.draw_seed())
                if step.obs.base is not self.shown.obs.base:
                    self._copy_in(lane, step)
        except Exception as error:
            raise self._broken(lane, 0, error) from error
        if lane >= 0 and finite:
            self.check_finite(self.shown, self.time, 0)

    def draw_seed(self) -> int:
        return int(self.random.integers(2**31))

    def unfair(self, lane: int, seat: int, answer: Any) -> Exception:
        """The error for an answer, or for one of the answers [L, N], that is no legal action."""
        answer = int(answer[lane, seat]) if isinstance(answer, np.ndarray) else answer
        legal = np.flatnonzero(self.shown.legal[lane, seat]).tolist()
        where = f"{name_of(self.game)}: {self._who(seat)} of lane {lane} in slot {self.time[lane]}"
        if not legal:
            return GameError(f"{where} is present but has no legal action: the game must offer one")
        return ValueError(f"{where} answered {answer!r}; legal are the whole numbers {legal}")

    def close(self) -> None:
        for copy in self.copies:
            copy.close()

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
                raise self._broken(lane, int(time[(*slot, lane)]) + moved, error)

    def _broken(self, lane: int, move: int, error: Exception) -> GameError:
        kind = "" if isinstance(error, GameError) else f"{type(error).__name__}: "
        when = f"after move {move}" if move else "at reset"
        return GameError(f"{name_of(self.game)} broke in lane {lane} {when}: {kind}{error}")

    def _who(self, seat: int) -> str:
        seats = getattr(self.game, "seats", None)
        return f"seat {seat}" + (f" (agent {seats[seat].agent!r})" if seats else "")


def name_of(game: HostGame) -> str:
    return getattr(game, "name", type(game).__name__)


def _lane(shown: HostStep, lane: int) -> HostStep:
    return HostStep(*(x[lane, ...] for x in shown))
