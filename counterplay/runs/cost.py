"""What a training takes beside time."""

import sys

import jax

from counterplay.algos import Update

try:
    import resource
except ImportError:  # Windows has no such count
    resource = None


def peak_memory() -> float | None:
    """The most main memory that this process has held so far, in MB; None where nobody counts."""
    if resource is None:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1e6 if sys.platform == "darwin" else 1e3), 1)


def parameters(update: Update, seeds: int) -> int:
    """Numbers in the networks of one seed, of all that play or plan."""
    return sum(x.size for x in jax.tree.leaves(update.nets)) // seeds
