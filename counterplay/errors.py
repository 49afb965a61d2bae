"""Errors that are nobody's typing mistake; those are ValueError."""


class GameError(RuntimeError):
    """A game broke a promise while it was running; the text says which, and what to look for."""
