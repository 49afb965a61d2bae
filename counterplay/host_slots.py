"""What the hosted loop keeps from slot to slot, and how slots are made of it, in NumPy.

The same turns and the same fields as in ``rollout``; a test plays a game through both loops.
"""

from typing import Any, NamedTuple

import jax.random as jr
import numpy as np

from counterplay.envs.hosting import HostGame, blank
from counterplay.types import NO_EVENT, NO_MOVE, View

NOBODY = np.zeros(0, int)
PAID_NOTHING, NOTHING_HAPPENED = np.float32(0), np.int32(NO_EVENT)
LEFT_OUT = {
    **dict.fromkeys(("filled", "alive", "continues", "left", "terminated", "truncated"), False),
    **dict.fromkeys(("obs", "reward", "returns"), 0),
    "actions": NO_MOVE,
    "event": NO_EVENT,
    "goal": NO_EVENT,
}
"""What slots hold of an episode in which the game broke: nobody was there, nothing happened."""


class Now(NamedTuple):
    """All that changes from slot to slot beside the games; fields as in ``Lanes`` and ``Last``."""

    shown: Any
    """What every game shows, a ``HostStep``; copies write into it directly if they can."""
    moves: Any
    reward: Any
    event: Any
    visible: Any
    time: Any
    first: Any
    contact: Any
    closing: Any
    episode: Any
    returns: Any
    ids: Any
    key: Any
    """Key data of this slot, [3, K, P, ...] a kind of policy."""


class Decided(NamedTuple):
    """What the policies decided in a slot; kinds in ordinary Python get their views instead."""

    action: Any
    goal: Any
    ids: Any
    """opponent_id and type_id, [L, N, 2]."""
    mode: Any
    fair: Any
    """The action is legal, or nobody acts here, or a bot has yet to choose."""
    records: tuple[dict[str, Any], ...]
    views: tuple[View | None, ...]


def start(game: HostGame, lanes: int, shapes: tuple[tuple[int, ...], ...]) -> Now:
    """Every match at first contact, nothing shown yet; ``shapes`` are [K, P] of every kind."""
    n, words = game.num_seats, jr.key_data(jr.key(0)).shape
    full = lambda value, dtype, *shape: np.full((lanes, *shape), value, dtype)
    return Now(
        shown=blank(game, lanes),
        moves=full(NO_MOVE, np.int32, n),
        reward=full(0, np.float32, n),
        event=full(NO_EVENT, np.int32, n),
        visible=full(False, bool, n, n),
        time=full(0, np.int32),
        first=full(True, bool),
        contact=full(True, bool),
        closing=full(False, bool),
        episode=full(0, np.int32),
        returns=full(0, np.float32, n),
        ids=full(0, np.int16, n, 2),
        key=tuple(np.zeros((3, *shape, *words), np.uint32) for shape in shapes),
    )


def turn(now: Now, action: np.ndarray, match: int, cut: bool, broken: np.ndarray) -> np.ndarray:
    """The next slot: play on, show where a truncated episode stopped, or begin another.

    Lanes whose game is ``broken``, [L], begin another match: nobody remembers what was dropped, or
    what came before it. Returns the lanes whose games have yet to be reset.
    """
    after, closing = now.shown, now.closing
    moved = action != NO_MOVE
    reward = np.where(moved, after.reward, PAID_NOTHING)
    event = np.where(moved, after.event, NOTHING_HAPPENED)
    now.returns[...] += reward
    now.time[...] += 1
    done = after.terminated | closing | broken
    truncated = after.truncated & ~done
    if not (cut or done.any() or truncated.any()):  # most slots: nothing ends, nothing to select
        now.moves[...], now.reward[...], now.event[...] = action, reward, event
        now.visible[...] = after.visible
        now.first.fill(False)
        now.contact.fill(False)
        return NOBODY
    stepped = ~closing[:, None]  # a closing slot moved nobody
    np.copyto(now.moves, action, where=stepped)
    np.copyto(now.reward, reward, where=stepped)
    np.copyto(now.event, event, where=stepped)
    np.copyto(now.visible, after.visible, where=stepped[:, :, None])
    if cut:
        truncated = ~done
        now.episode[...] = match - 1
    over = done & ~broken
    contact = over & (now.episode + 1 >= match) | broken
    now.first[...], now.contact[...], now.closing[...] = done, contact, truncated
    now.episode[...] = np.where(contact, 0, now.episode + over)
    now.time[done], now.returns[done] = 0, 0
    now.moves[contact], now.reward[contact] = NO_MOVE, 0
    now.event[contact], now.visible[contact] = NO_EVENT, False
    return np.flatnonzero(done)


def spoil(now: Now, before: Now) -> None:
    """Makes the return of an open episode NaN where somebody was shown what is not finite.

    ``before`` holds the slots of a chunk, [T, L, ...].
    """
    bad = (before.shown.alive & ~np.isfinite(before.shown.obs).all(-1)).any(-1)
    if bad.any():
        last = len(bad) - 1 - np.argmax(bad[::-1], axis=0)  # how late in the chunk
        now.returns[bad.any(0) & (now.time >= len(bad) - last)] = np.nan


def leave_out(slots: dict[str, np.ndarray], broken: np.ndarray) -> dict[str, np.ndarray]:
    """Nothing stays in the slots, [T, L, ...], of an episode that was ``broken`` in one, [T, L]."""
    for t, lane in np.argwhere(broken).tolist():
        whole = slice(max(t - int(slots["time"][t, lane]), 0), t + 1)
        for name, nothing in LEFT_OUT.items():
            slots[name][whole, lane] = nothing
    return slots


def stream(
    before: Now, after: Now, made: Decided, cut: bool, broken: np.ndarray
) -> dict[str, np.ndarray]:
    """The slots, [T, L, ...], from all that was there before and after the moves of each.

    Nothing is left of an episode whose game is ``broken`` in a slot, [T, L].
    """
    shown, result, closing = before.shown, after.shown, before.closing
    acting = shown.alive & ~closing[:, :, None]
    over = result.terminated | closing
    terminated, truncated = result.terminated & ~closing, result.truncated & ~over
    if cut:
        truncated[-1] = ~over[-1]
    reward = np.where(acting, result.reward, np.float32(0))
    slots = {
        "obs": shown.obs,
        "actions": made.action,
        "avail_actions": shown.legal,
        "reward": reward,
        "terminated": terminated,
        "truncated": truncated,
        "continues": acting & result.alive & ~terminated[:, :, None],
        "alive": acting,
        "closing": closing,
        "filled": np.ones_like(closing),
        "time": before.time,
        "contact": before.contact,
        "event": np.where(acting, result.event, np.int32(NO_EVENT)),
        "left": acting & ~result.alive,
        "visible": result.visible,
        "goal": made.goal,
        "opponent_id": made.ids[..., 0],
        "type_id": made.ids[..., 1],
        "mode": made.mode,
        "returns": before.returns + reward,
        # both loops have these fields; this one stops at the first such move instead
        "stuck": np.zeros_like(acting),
        "unfair": np.zeros_like(acting),
    }
    return leave_out(slots, broken)
