"""Whether the places that a policy foresees of the others come true, in matches that were played.

A policy of a game on a board may have ``foresee``: to which cell each other is on its way. The
state of ``subgoals`` is then one object, the other's own cell; a segment is an episode.

Axes: ``B`` matches, ``E`` episodes of one, ``M`` others, ``H`` slots of an episode.
"""

from typing import Any

import numpy as np

from counterplay.evaluate.subgoals import Hits, subgoal_hits
from counterplay.evaluate.watching import Watching


def came_true(w: Watching, cells: int | None, why: dict[str, str]) -> dict[str, Any] | None:
    """Hit ratio, the three cheap guesses and the lift, as JSON has them.

    ``cells`` are those of the board, None where the game has none. None where nothing is foreseen;
    where that cannot be measured, ``why`` says why. Slots count in which both players act. The
    commonest cell is that of the other half of the matches: even ones tell it for odd ones.
    """
    if w.foresee is None or w.place is None:
        return None
    width = w.foresee.shape[-1]
    if width != cells:
        board = "no board" if cells is None else f"a board of {cells}"
        why["subgoals"] = f"the policy foresees one of {width} cells, and the game has {board}"
        return None
    present, asked = w.alive[..., 1:], w.alive[..., 1:] & w.alive[..., :1]
    if np.isnan(w.foresee[asked]).any():
        why["subgoals"] = "some of those under evaluation foresee no cells"
        return None
    logits = by_episode(w, w.foresee)[..., None, :]
    state = by_episode(w, w.place.astype(np.int64))[..., None]
    there, counted = by_episode(w, present), by_episode(w, asked)
    parts = []
    for half in (0, 1):
        seen = state[1 - half :: 2][there[1 - half :: 2]]
        guess, true, here, own = (x[half::2] for x in (logits, state, there, counted))
        try:
            parts.append(subgoal_hits(guess, true, here, seen, asked=own, seed=half))
        except ValueError as error:
            why["subgoals"] = str(error)
            return None
    return _together(parts)


def by_episode(w: Watching, x: np.ndarray) -> np.ndarray:
    """[B, T, M, ...] -> [B, E, M, H, ...], with zeros where no slot of the match is."""
    match, slot = np.nonzero(w.valid)
    episode, time = w.episode[match, slot], w.time[match, slot]
    size = len(x), int(episode.max()) + 1, int(time.max()) + 1
    out = np.zeros((*size, *x.shape[2:]), x.dtype)
    out[match, episode, time] = x[match, slot]
    return np.moveaxis(out, 3, 2)


def _together(parts: list[Hits]) -> dict[str, Any]:
    """Both halves as one, each by its slots."""
    slots = [part.slots for part in parts]
    ratio = lambda name: float(np.average([getattr(p, name) for p in parts], weights=slots))
    told = {name: ratio(name) for name in ("model", "copy_present", "random_future")}
    told["most_frequent"] = ratio("most_frequent")
    best = max(x for name, x in told.items() if name != "model")
    return told | {"lift": told["model"] - best, "slots": sum(slots)}
