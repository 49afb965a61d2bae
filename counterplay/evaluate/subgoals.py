"""Whether decoded subgoals come true: the hit ratio, and its lift over three cheap guesses.

A state is the other's own features in a slot, one cell an object: [..., T, F] of integers, such as
its own cell and that of the prey it is after. Rows are segments from slot 0 on, ``present`` till
the other left.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from counterplay.evaluate.curves import masked_mean


class Hits(NamedTuple):
    """Hit ratios over the slots after which the state still changes."""

    model: float
    copy_present: float
    """Guesses the present state: 0, since a subgoal must differ from the present."""
    random_future: float
    """Guesses a state from later in some other segment."""
    most_frequent: float
    """Guesses the commonest state of training that is not the present one."""
    lift: float
    """The model's ratio less the best of the three: the figure to report."""
    slots: int


def most_likely_cells(logits: Float[np.ndarray, "*b T F C"]) -> Int[np.ndarray, "*b T F"]:
    """The state that a decoder holds likeliest, object by object; ties go to the lowest cell."""
    return logits.argmax(-1)


def hits(
    guess: Int[np.ndarray, "*b T F"],
    state: Int[np.ndarray, "*b T F"],
    present: Bool[np.ndarray, "*b T"],
) -> Float[np.ndarray, "*b T"]:
    """1 where the guess of slot t is the state in some later slot of the segment, and not in t.

    All objects have to be right together. NaN where the other is absent, and where no later state
    differs from the present one, so that no guess could have been right.
    """
    guess, state, present, shape = _rows(guess), _rows(state), present, present.shape
    there = present.reshape(-1, shape[-1])
    found = np.full(there.shape, np.nan)
    for t in range(shape[-1] - 1):
        later = there[:, t + 1 :]
        differs = (state[:, t + 1 :] != state[:, t, None]).any(-1) & later
        same = (state[:, t + 1 :] == guess[:, t, None]).all(-1) & later
        hit = (same & differs).any(-1)  # a state that is the present one never counts
        found[:, t] = np.where(there[:, t] & differs.any(-1), hit, np.nan)
    return found.reshape(shape)


def random_future(
    state: Int[np.ndarray, "*b T F"], present: Bool[np.ndarray, "*b T"], seed: int = 0
) -> Int[np.ndarray, "*b T F"]:
    """For every slot t the state of a random later slot of a random other segment.

    Where that segment is over by then, its last state; of an only segment, -1, which never hits.
    """
    rng = np.random.default_rng(seed)
    shape, slots = present.shape, present.shape[-1]
    rows, there = _rows(state), present.reshape(-1, present.shape[-1])
    full = np.flatnonzero(there.any(-1))
    if len(full) < 2:
        return np.full_like(state, -1)
    place = np.zeros(len(rows), np.int64)
    place[full] = np.arange(len(full))
    other = (place[:, None] + rng.integers(1, len(full), (len(rows), slots))) % len(full)
    other = full[other]
    last = slots - 1 - there[:, ::-1].argmax(-1)
    low = np.minimum(np.arange(slots) + 1, last[other])
    at = low + (rng.random(low.shape) * (last[other] - low + 1)).astype(np.int64)
    return rows[other, at].reshape(*shape, -1)


def most_frequent(
    train_state: Int[np.ndarray, "V F"], state: Int[np.ndarray, "*b T F"]
) -> Int[np.ndarray, "*b T F"]:
    """The commonest state of training, or where that is the present one, the next."""
    if not len(train_state):
        raise ValueError("expected states of training to count, found none")
    states, count = np.unique(train_state, axis=0, return_counts=True)
    order = states[np.argsort(-count, kind="stable")]
    first, second = order[0], order[min(1, len(order) - 1)]
    return np.where((state == first).all(-1, keepdims=True), second, first)


def subgoal_hits(
    logits: Float[np.ndarray, "*b T F C"],
    state: Int[np.ndarray, "*b T F"],
    present: Bool[np.ndarray, "*b T"],
    train_state: Int[np.ndarray, "V F"],
    *,
    asked: Bool[np.ndarray, "*b T"] | None = None,
    seed: int = 0,
) -> Hits:
    """Hit ratio of decoded subgoals, and of copy-present, random future and most frequent.

    ``logits`` decode the subgoal held in each slot, F objects of C cells. ``train_state`` is states
    of training, one a row. Only slots that are ``asked`` count, by default all. ValueError where
    the state never changes, so nothing can be hit.
    """
    guesses = (
        most_likely_cells(logits),
        state,
        random_future(state, present, seed),
        most_frequent(train_state, state),
    )
    each = [hits(guess, state, present) for guess in guesses]
    if asked is not None:
        each = [np.where(asked, x, np.nan) for x in each]
    slots = int((~np.isnan(each[0])).sum())
    if not slots:
        raise ValueError(
            "no slot is followed by another state in its segment: present all False, or features "
            "that do not move?"
        )
    model, copied, future, frequent = (float(masked_mean(x.ravel())) for x in each)
    return Hits(model, copied, future, frequent, model - max(copied, future, frequent), slots)


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, *x.shape[-2:])
