"""What happens after an other switches: how soon it is noticed, how soon return recovers.

Rows are matches, [..., T] slots; ``mode`` is what the other plays in each slot, -1 where it was
absent or the match was over. A stretch is what lies between two switches, or the match's ends.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.evaluate.predicted import policy_entropy
from counterplay.types import NO_MOVE


class Delays(NamedTuple):
    """One entry a switch, in the order of rows and slots."""

    delay: np.ndarray
    """Slots from the switch to the detection, 1 where the first move told; NaN where none came."""
    missed: np.ndarray
    """True where the next switch, or the end of the match, came before the detection."""
    row: np.ndarray
    """Which row, leading axes counted in a line."""
    slot: np.ndarray
    """The first slot of the new mode."""


class Alarms(NamedTuple):
    """False alarms."""

    per_1000: float
    """Per 1,000 slots in which nothing had switched since the last detection; NaN without one."""
    alarms: int
    slots: int


def switches(mode: Int[np.ndarray, "*b T"]) -> Bool[np.ndarray, "*b T"]:
    """The first slot of every new mode; what is played at contact is no switch."""
    there = mode >= 0
    place = np.maximum.accumulate(np.where(there, np.arange(mode.shape[-1]), -1), -1)
    before = np.concatenate([np.full_like(place[..., :1], -1), place[..., :-1]], -1)
    last = np.take_along_axis(mode, np.maximum(before, 0), -1)
    return there & (before >= 0) & (mode != last)


def leader_holds(
    log_after: Float[np.ndarray, "*b T Y"], mode: Int[np.ndarray, "*b T"]
) -> Bool[np.ndarray, "*b T"]:
    """Whether the mode played now leads the posterior after the slot's move."""
    return log_after.argmax(-1) == mode


def leader_alarms(
    log_after: Float[np.ndarray, "*b T Y"], mode: Int[np.ndarray, "*b T"]
) -> Bool[np.ndarray, "*b T"]:
    """Whether the leader of the posterior changed in the slot, and to a mode not played."""
    leader = log_after.argmax(-1)
    changed = np.zeros(mode.shape, bool)
    changed[..., 1:] = leader[..., 1:] != leader[..., :-1]
    return changed & (leader != mode) & (mode >= 0)


def surprise_alarms(
    log_predicted: Float[np.ndarray, "*b T A"],
    moves: Int[np.ndarray, "*b T"],
    *,
    threshold: float = 5.0,
    allowance: float = 0.25,
) -> Bool[np.ndarray, "*b T"]:
    """Change points of the NLL of the next move: for models without types.

    S[t] = max(0, S[t-1] - log p(move[t]) - H(p[t]) - allowance), in nats, and an alarm where it
    exceeds the threshold, after which it is 0. While the predictions are right the NLL is their
    entropy H on average, so S falls by the allowance a move. Page (1954), the one-sided cumulative
    sum. A slot without a move changes nothing; rows are whole matches.
    """
    if threshold <= 0 or allowance < 0:
        raise ValueError(
            f"expected a threshold above 0 and an allowance of 0 or more nats, found {threshold} "
            f"and {allowance}"
        )
    made = np.take_along_axis(log_predicted, np.maximum(moves, 0)[..., None], -1)[..., 0]
    surprise = -np.asarray(made, np.float64) - policy_entropy(log_predicted, moves) - allowance
    total = np.zeros(moves.shape[:-1])
    alarms = np.zeros(moves.shape, bool)
    for t in range(moves.shape[-1]):
        seen = moves[..., t] != NO_MOVE
        total = np.where(seen, np.maximum(total + np.where(seen, surprise[..., t], 0.0), 0), total)
        alarms[..., t] = total > threshold
        total = np.where(alarms[..., t], 0.0, total)
    return alarms


def detection_delays(detected: Bool[np.ndarray, "*b T"], mode: Int[np.ndarray, "*b T"]) -> Delays:
    """Slots from every switch to the first ``detected`` of its stretch, that of the switch is 1.

    ``detected`` is ``leader_holds`` of a posterior, or ``surprise_alarms``.
    """
    detected, mode = _rows(detected), _rows(mode)
    found = []
    for row, slot in np.argwhere(switches(mode)).tolist():
        end = _end(mode[row], slot)
        hits = np.flatnonzero(detected[row, slot:end])
        found.append((row, slot, hits[0] + 1 if hits.size else np.nan))
    row, slot, delay = np.array(found, float).reshape(-1, 3).T
    return Delays(delay, np.isnan(delay), row.astype(int), slot.astype(int))


def quiet_slots(
    detected: Bool[np.ndarray, "*b T"],
    mode: Int[np.ndarray, "*b T"],
    *,
    from_contact: bool,
) -> Bool[np.ndarray, "*b T"]:
    """Slots in which an alarm is false: those of a stretch after its first detection.

    With ``from_contact`` the whole stretch from contact on is quiet, as for surprise, where nothing
    needs to be detected first; without, it is so after its first detection, as for a posterior.
    """
    shape, detected, mode = mode.shape, _rows(detected), _rows(mode)
    stretch = np.cumsum(switches(mode), -1)
    quiet = np.zeros(mode.shape, bool)
    for s in range(int(stretch.max(initial=0)) + 1):
        here = stretch == s
        before = np.cumsum(detected & here, -1) - (detected & here) > 0
        quiet |= here & (before | (from_contact and s == 0))
    return (quiet & (mode >= 0)).reshape(shape)


def false_alarms(alarms: Bool[np.ndarray, "*b T"], quiet: Bool[np.ndarray, "*b T"]) -> Alarms:
    """Alarms per 1,000 quiet slots."""
    count, slots = int((alarms & quiet).sum()), int(quiet.sum())
    return Alarms(1000 * count / slots if slots else np.nan, count, slots)


def recovery(
    returns: Float[np.ndarray, "*b T"],
    mode: Int[np.ndarray, "*b T"],
    *,
    within: float,
    window: int = 1,
) -> Delays:
    """Episodes, or slots, from every switch until return is back near its level before it.

    The level is the mean of the ``window`` entries before the switch, and return is back where the
    mean of ``window`` entries after it is at least level - ``within``; the delay counts up to the
    end of the first such window. ``returns`` and ``mode`` are by episode or by slot alike; a window
    does not cross another switch, and a switch with fewer entries before it is left out. Where the
    new mode allows less than the old, give the return less the oracle's.
    """
    if window < 1 or within < 0:
        raise ValueError(
            f"expected a window of 1 or more and within 0 or more, found {window} and {within}"
        )
    returns, mode = _rows(returns), _rows(mode)
    starts = switches(mode)
    found = []
    for row, slot in np.argwhere(starts).tolist():
        begun = np.flatnonzero(starts[row, :slot])
        if slot - (begun[-1] if begun.size else 0) < window:
            continue
        level = returns[row, slot - window : slot].mean()
        after = returns[row, slot : _end(mode[row], slot)]
        means = (
            np.convolve(after, np.full(window, 1 / window), "valid") if len(after) >= window else []
        )
        back = np.flatnonzero(np.asarray(means) >= level - within - 1e-12)
        found.append((row, slot, back[0] + window if back.size else np.nan))
    row, slot, delay = np.array(found, float).reshape(-1, 3).T
    return Delays(delay, np.isnan(delay), row.astype(int), slot.astype(int))


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def _end(mode: np.ndarray, slot: int) -> int:
    """The slot after a stretch that begins at ``slot``: of the next switch, or of the end."""
    later = np.flatnonzero(switches(mode[None])[0, slot + 1 :])
    there = np.flatnonzero(mode >= 0)
    return slot + 1 + int(later[0]) if later.size else int(there[-1]) + 1
