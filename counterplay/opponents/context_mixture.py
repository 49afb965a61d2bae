"""``context_mixture``: learns an opponent of rock, paper, scissors while it plays, from nothing.

Experts look at the last throws of one player or of both, from none to 20 of them, and say what
followed when these were seen before. What would give *me* away is asked too, for an opponent may be
reading me: what it expects of me, it beats, or beats what beats it. So every such prediction is
heard in all three rotations (Egnor 2000, Iocaine Powder, ICGA Journal 23(1)). The experts are mixed
by logistic mixing: weights in the exponent of a softmax that follow the gradient of the log loss
after every throw (Mattern 2012, Mixing Strategies in Data Compression; online convex optimisation
as in Cesa-Bianchi & Lugosi 2006, ch. 11). It throws what pays best against the mixture.

Its few settings, KEEP, PRIOR, RATE, GUESS_KEEP and GUESS_PRIOR, each one of three values or so,
were chosen by the mean return from one half of OpenSpiel's bots, every other one in alphabetical
order from the first. ``counterplay study roshambo`` reports this half and the other apart, but they
are no strangers: marble, zq_move, markovbails, boom and sweetrock are in the half that chose, their
near copies granite, markov5, robertot and piedra in the other.
"""

from typing import TYPE_CHECKING

import numpy as np

from counterplay.opponents.roshambo import check_game

if TYPE_CHECKING:
    import counterplay.types

THROWS = 3
OTHER, ME = range(2)
"""Whose next throw is predicted."""
PLAYERS = ((OTHER,), (ME,), (OTHER, ME))
"""Whose last throws an expert looks at."""
ORDERS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20)
"""How many of them."""
KEEP = 0.8
"""Of what was counted in a context when it is met again."""
PRIOR = 0.8
"""Added to each count, in throws."""
GUESS_KEEP, GUESS_PRIOR = 0.9, 0.5
"""The same of how far off the guesses of an expert were, after every throw."""
RATE = 0.01
"""Of the gradient that moves the weights, per throw."""
FIRST_WEIGHT = 0.1
"""Of each expert that predicts the other in so many words; all else begins at 0."""
NEVER = -1
"""In place of what followed a context, the first time."""

CONTEXTS = tuple((who, n) for n in ORDERS for who in PLAYERS if n or who == (OTHER,))
"""E of them."""
ROTATIONS = (np.arange(THROWS)[None] - np.arange(THROWS)[:, None]) % THROWS
"""Row r: where the log-probability of each throw stands, if all are r further."""


class ContextMixture:
    """Plays rock, paper, scissors; keeps what it learnt through a match, and nothing longer."""

    def begin(self, seed: int, new_match: bool) -> None:
        self._random = np.random.default_rng(seed)
        if not new_match:
            return
        size = len(CONTEXTS)
        self._thrown = [b"", b""]
        """By player, a byte a throw."""
        self._row_of: list[dict[bytes, int]] = [{} for _ in CONTEXTS]
        self._used = 0
        self._counts = np.zeros((2 * size, 2, THROWS))
        """What followed a context, by row and player, older times counted less."""
        self._last = np.full((2 * size, 2), NEVER)
        self._off = np.zeros((2 * size, THROWS))
        """How far from what followed last each next throw of the other's was, lately."""
        self._weights = np.zeros(6 * size)
        self._weights[:size] = FIRST_WEIGHT
        self._look()

    def act(self, view: dict[str, np.ndarray]) -> int:
        mine, theirs = (int(throw) for throw in view["moved"])
        if mine >= 0:
            self.learn(mine, theirs)
        return self.choose()

    def predict(self, view: dict[str, np.ndarray]) -> np.ndarray:
        """Log-probabilities [1, 3] of the throw that the other makes in the slot of the last act.

        It was expected before either threw: ``view`` tells no more.
        """
        return np.log(self.expected)[None]

    def choose(self) -> int:
        """The throw that pays best against what is expected; one of them at random in a tie."""
        p = self.expected
        worth = np.roll(p, 1) - np.roll(p, -1)  # paper is worth rock's share less scissors'
        return int(self._random.choice(np.flatnonzero(worth > worth.max() - 1e-12)))

    def learn(self, mine: int, theirs: int) -> None:
        """Takes in what both threw."""
        self._weights += RATE * (self._said[:, theirs] - self._said @ self.expected)
        rows, guess = self._rows, self._guess
        made = np.flatnonzero(guess != NEVER)
        self._off[made] *= GUESS_KEEP
        self._off[made, (theirs - guess[made]) % THROWS] += 1
        self._counts[rows] *= KEEP
        for player, throw in ((OTHER, theirs), (ME, mine)):
            self._counts[rows, player, throw] += 1
            self._last[rows, player] = throw
            self._thrown[player] += bytes([throw])
        self._look()

    def _look(self) -> None:
        """Finds the contexts there are now and what each says of the other's next throw."""
        self._rows = rows = np.array([self._row(*context) for context in enumerate(CONTEXTS)])
        counted = _centred(np.log(self._counts[rows] + PRIOR))  # [E, 2, 3]
        self._guess = guess = self._last[rows].T.ravel()
        off = _centred(np.log(self._off + GUESS_PRIOR))
        there = (np.arange(THROWS) - guess[:, None]) % THROWS
        guessed = np.where(guess[:, None] == NEVER, 0.0, np.take_along_axis(off, there, 1))
        rotated = counted[:, ME][:, ROTATIONS].reshape(-1, THROWS)
        self._said = np.concatenate([counted[:, OTHER], rotated, guessed])  # [6 E, 3]
        raw = self._weights @ self._said
        likely = np.exp(raw - raw.max())
        self.expected = likely / likely.sum()
        """Probabilities of the other's next throw."""

    def _row(self, number: int, context: tuple[tuple[int, ...], int]) -> int:
        """Where the table holds the last throws that this expert looks at."""
        players, order = context
        begin = max(len(self._thrown[ME]) - order, 0)
        seen = b"".join(self._thrown[player][begin:] for player in players)
        row = self._row_of[number].setdefault(seen, self._used)
        if row == self._used:
            self._used += 1
            if self._used == len(self._counts):
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
                self._last = np.concatenate([self._last, np.full_like(self._last, NEVER)])
        return row


def _centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(-1, keepdims=True)


def make(env: "counterplay.types.Env", rest: str) -> ContextMixture:
    """The player for ``matrix:rps``; it has no settings."""
    check_game(env, "context_mixture")
    if rest:
        raise ValueError(f"context_mixture has no settings, found {rest!r}")
    return ContextMixture()
