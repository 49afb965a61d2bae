"""What happens in watched matches where an opponent changes: is it noticed, and at what price?"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.evaluate.curves import curve, masked_mean
from counterplay.evaluate.exact_filter import Filtered
from counterplay.evaluate.others import Others, number
from counterplay.evaluate.switching import (
    Delays,
    detection_delays,
    false_alarms,
    leader_alarms,
    leader_holds,
    quiet_slots,
    recovery,
    surprise_alarms,
    switches,
)
from counterplay.evaluate.watching import Watching
from counterplay.types import NO_TYPE

MARGIN = 0.1
"""Of the spread of returns, the 10th to the 90th percentile: so near the old level is back."""
WINDOW = {"episodes": 3, "slots": 10}
AROUND = 10
"""Units before and after a switch that a curve shows."""


def after_switches(
    w: Watching, rows: Others, held: Filtered | None, log_after: np.ndarray | None
) -> dict[str, Any] | None:
    """Delays, false alarms and recovery; None where nobody changes.

    ``log_after`` is what the policy's posterior over types was after every slot. Of a posterior the
    leader counts, which needs modes that are known rules; of predictions the surprise.
    """
    if not switches(rows.mode).any():
        return None
    known = bool(((rows.type >= 0) | (rows.mode < 0)).all())
    held_types = held.log_after if held is not None and known else None
    own = log_after if known else None
    filter_says = None if held is None else held.log_predicted
    return {
        "switches": int(switches(rows.mode).sum()),
        "known": known,
        "exact filter": _by_leader(held_types, rows.type),
        "types": _by_leader(own, rows.type),
        "exact filter, surprise": _by_surprise(filter_says, rows),
        "surprise": _by_surprise(rows.predict, rows),
        "recovery": recovered(w),
        "curve": around(w),
    }


def _by_leader(
    log_after: Float[np.ndarray, "R T Y"] | None, truth: Int[np.ndarray, "R T"]
) -> dict[str, Any] | None:
    if log_after is None:
        return None
    holds = leader_holds(log_after, truth)
    quiet = quiet_slots(holds, truth, from_contact=False)
    return _told(holds, leader_alarms(log_after, truth), quiet, truth)


def _by_surprise(
    log_predicted: Float[np.ndarray, "R T A"] | None, rows: Others
) -> dict[str, Any] | None:
    """None also where a move was predicted with probability 0: its surprise is not finite."""
    if log_predicted is None:
        return None
    moves = np.where(rows.asked, rows.moves, -1)
    made = np.take_along_axis(log_predicted, np.maximum(moves, 0)[..., None], -1)[..., 0]
    if not np.isfinite(made[moves >= 0]).all():
        return None
    # where nothing was asked nothing is read, and a policy that was not told NaN
    safe = np.where((moves >= 0)[..., None], log_predicted, 0.0)
    alarms = surprise_alarms(safe, moves)
    quiet = quiet_slots(alarms, rows.mode, from_contact=True)
    return _told(alarms, alarms, quiet, rows.mode)


def _told(
    detected: Bool[np.ndarray, "R T"],
    alarms: Bool[np.ndarray, "R T"],
    quiet: Bool[np.ndarray, "R T"],
    mode: Int[np.ndarray, "R T"],
) -> dict[str, Any]:
    false = false_alarms(alarms, quiet)
    return _delays(detection_delays(detected, mode)) | {
        "false_alarms_per_1000": number(false.per_1000),
        "quiet_slots": false.slots,
    }


def _delays(found: Delays) -> dict[str, Any]:
    """Median over all switches, a missed one being later than any; the mean over the others."""
    if not len(found.delay):
        return {"switches": 0, "missed": None, "median": None, "mean_of_detected": None}
    there = found.delay[~found.missed]
    return {
        "switches": len(found.delay),
        "missed": number(found.missed.mean()),
        "median": number(np.median(np.where(found.missed, np.inf, found.delay))),
        "mean_of_detected": number(there.mean()) if len(there) else None,
    }


def around(w: Watching, most: int = AROUND) -> dict[str, Any] | None:
    """Mean return by the distance from a switch, by episodes or by slots as in ``recovered``.

    Points reach ``most`` units before and after it, and no further than the stretches that meet
    there; each is a mean over matches with Student's 95%. None where nobody changes.
    """
    unit, returns, mode = _by_unit(w)
    starts = switches(mode)
    if not starts.any():
        return None
    stretch = np.cumsum(starts, 1)
    aligned = np.full((int(starts.sum()), 2 * most), np.nan)
    row, at = np.nonzero(starts)
    for k, place in enumerate(np.arange(-most, most)):
        t = at + place
        inside = (t >= 0) & (t < mode.shape[1])
        t = np.clip(t, 0, mode.shape[1] - 1)
        here = stretch[row, t] == stretch[row, at] - (place < 0)
        there = inside & here & (mode[row, t] >= 0)
        aligned[there, k] = returns[row, t][there]
    of_match = np.full((len(mode), 2 * most), np.nan)
    for match in np.unique(row):
        of_match[match] = masked_mean(aligned[row == match], 0)
    line = curve(of_match)
    points = [
        {"x": int(x), "matches": int(line.count[k])}
        | {"mean": number(line.estimate[k]), "low": number(line.low[k])}
        | {"high": number(line.high[k])}
        for k, x in enumerate(range(-most, most))
        if line.count[k]
    ]
    return {"unit": unit, "points": points}


def recovered(w: Watching) -> dict[str, Any] | None:
    """How long until returns are back near their level before a switch of any of the others.

    By episodes where a match has several, else by slots. None where no switch has enough before it.
    """
    unit, returns, mode = _by_unit(w)
    low, high = np.quantile(returns[mode >= 0], [0.1, 0.9])
    within = float(MARGIN * (high - low))
    found = recovery(returns, mode, within=within, window=WINDOW[unit])
    if not len(found.delay):
        return None
    return _delays(found) | {"unit": unit, "window": WINDOW[unit], "within": within}


def _by_unit(w: Watching) -> tuple[str, Float[np.ndarray, "B U"], Int[np.ndarray, "B U"]]:
    """Returns and what all others play, by episodes where a match has several, else by slots."""
    episodes = int(w.episode[w.valid].max()) + 1
    joint = _joint(w)
    if episodes == 1:
        return "slots", np.where(w.valid, w.reward[..., 0], 0.0), joint
    at = np.argwhere(w.ended)
    returns, mode = (np.zeros((len(w.valid), episodes), d) for d in (float, np.int64))
    places = at[:, 0], w.episode[tuple(at.T)]
    returns[places] = w.returns[..., 0][tuple(at.T)]
    mode[:] = NO_TYPE
    mode[places] = joint[tuple(at.T)]  # an episode is of the mode in which it ends
    return "episodes", returns, mode


def _joint(w: Watching) -> Int[np.ndarray, "B T"]:
    """One number for the modes of all others, those of who has left as they were last."""
    mode = np.where(w.alive[..., 1:], w.mode[..., 1:], NO_TYPE).astype(np.int64)
    place = np.maximum.accumulate(np.where(mode >= 0, np.arange(mode.shape[1])[:, None], 0), 1)
    held = np.maximum(np.take_along_axis(mode, place, 1), 0)
    weight = (int(held.max(initial=0)) + 1) ** np.arange(held.shape[2])
    return np.where(w.valid, (held * weight).sum(2), NO_TYPE)
