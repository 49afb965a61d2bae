"""A frozen policy as a behaviour: what a run would do, as rules say what they would.

So exact inference may know learned opponents as it knows rules.
"""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.types import Memory, View


class Frozen(eqx.Module):
    """Plays as a policy does that has ``log_probs``, whose memory must not depend on what it drew.

    Memory is the policy's (before this slot, after it).
    """

    policy: Any

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        begun = self.policy.begin(key, None if memory is None else memory[1])
        return begun, begun

    def remember(self, memory: Memory, view: View) -> Memory:
        return memory[1], self.policy.act(jax.random.key(0), memory[1], view, True).memory

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return self.policy.log_probs(memory[0], view)
