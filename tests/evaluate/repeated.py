"""Repeated games of two actions against simple strategies, played in NumPy: data with known truth.

I play at random; the other goes by the last joint move, and its hand trembles.
"""

from typing import NamedTuple

import numpy as np

C, D = 0, 1
TREMBLE = 0.05
COOPERATES = np.array(
    [  # first, then after (mine, its) = CC, CD, DC, DD: its chance to cooperate
        [1, 1, 1, 1, 1],  # always cooperates
        [0, 0, 0, 0, 0],  # always defects
        [1, 1, 1, 0, 0],  # tit for tat
        [1, 1, 0, 0, 1],  # win-stay, lose-shift
        [0, 0, 0, 1, 1],  # bully
    ],
    float,
)
TYPES = len(COOPERATES)


class Played(NamedTuple):
    moves: np.ndarray
    """Its moves, [B, T]."""
    mine: np.ndarray
    """My moves, [B, T]."""
    mode: np.ndarray
    """Which strategy it followed, [B, T]."""
    log_likelihood: np.ndarray
    """What every strategy would have done, [B, T, Y, A]."""
    log_true: np.ndarray
    """What its own would, [B, T, A]."""
    legal: np.ndarray
    """All of them, [B, T, A]."""


def play(mode: np.ndarray, seed: int = 0, tremble: float = TREMBLE) -> Played:
    """Plays every row of modes, [B, T]; rounds of a row are one match."""
    rng = np.random.default_rng(seed)
    chance = (1 - tremble) * COOPERATES + tremble / 2
    rows, slots = mode.shape
    moves, mine = np.empty_like(mode), rng.integers(0, 2, mode.shape)
    cooperates = np.empty((rows, slots, TYPES))
    last = np.zeros(rows, int)
    for t in range(slots):
        cooperates[:, t] = chance[:, last].T
        p = np.take_along_axis(cooperates[:, t], mode[:, t, None], 1)[:, 0]
        moves[:, t] = np.where(rng.random(rows) < p, C, D)
        last = 1 + 2 * mine[:, t] + moves[:, t]
    log_likelihood = np.log(np.stack([cooperates, 1 - cooperates], -1))
    log_true = np.take_along_axis(log_likelihood, mode[..., None, None], 2)[:, :, 0]
    return Played(moves, mine, mode, log_likelihood, log_true, np.ones((rows, slots, 2), bool))


def fixed(rows: int, slots: int, seed: int = 0) -> np.ndarray:
    """Modes that last for a match, drawn uniformly: [rows, slots]."""
    drawn = np.random.default_rng([seed, 1]).integers(0, TYPES, rows)
    return np.repeat(drawn[:, None], slots, 1)


def sharpened(log_p: np.ndarray, power: float) -> np.ndarray:
    """Log-probabilities raised to a power: over-confident above 1."""
    raised = power * log_p
    most = raised.max(-1, keepdims=True)
    return raised - most - np.log(np.exp(raised - most).sum(-1, keepdims=True))
