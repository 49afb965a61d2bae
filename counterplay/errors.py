"""Errors that are nobody's typing mistake; those are ValueError."""


class GameError(RuntimeError):
    """A game broke a promise while it was running; the text says which, and what to look for."""


class LearningError(RuntimeError):
    """A loss or gradient was not finite; the text says whose, and when."""


class SaveError(RuntimeError):
    """Something could not be saved; the text says what, where and why. What was saved before is
    as it was."""


class JobError(RuntimeError):
    """Some jobs of a study failed, the text says which and why; the results of the others are
    kept."""
