"""What planning costs where it is evaluated: decisions, simulator calls inside searches, time.

A policy that plans records ``simulator_calls`` with every decision. Nothing is counted, and no
program changes, where nobody does.
"""

import time
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array

from counterplay.rollout import Chunk
from counterplay.seats import Seating

CALLS = "simulator_calls"


@dataclass
class Spent:
    """Sums over an evaluation. The first chunk, with which programs are compiled, is not timed."""

    decisions: int = 0
    simulator_calls: int = 0
    timed_decisions: int = 0
    seconds: float = 0.0
    began: float | None = None

    def add(self, decisions: int, calls: int) -> None:
        """Takes in a chunk that has been played just now."""
        now = time.perf_counter()
        if self.began is not None:
            self.seconds += now - self.began
            self.timed_decisions += decisions
        self.decisions += decisions
        self.simulator_calls += calls
        self.began = now

    def told(self) -> dict[str, float | int | None]:
        """As results have it; None where there was only one chunk, so that nothing was timed."""
        a_second = self.timed_decisions / self.seconds if self.timed_decisions else None
        return {
            "decisions": self.decisions,
            "simulator_calls": self.simulator_calls,
            "calls_a_decision": self.simulator_calls / max(self.decisions, 1),
            "decisions_a_second": a_second,
        }


def spent_in(seating: Seating, chunk: Chunk) -> dict[str, Array]:
    """Decisions of those who plan in a chunk, and simulator calls for them; else nothing."""
    here = [i for i, record in enumerate(chunk.records) if CALLS in record]
    if not here:
        return {}
    acts = jnp.moveaxis(chunk.slots["alive"], 1, 2)  # [L, N, T]
    decided = [seating.take(acts, i) for i in here]  # [K, P, T]
    calls = [jnp.where(d, chunk.records[i][CALLS], 0) for i, d in zip(here, decided, strict=True)]
    total = lambda parts: sum(part.sum() for part in parts)
    return {"decisions": total(decided), CALLS: total(calls)}
