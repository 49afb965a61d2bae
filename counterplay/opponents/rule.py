"""What makes a player of a behaviour: a trembling hand, a sampled move and its log-probability.

A behaviour is written in ten lines or so and says only what it would do. ``Rule`` adds what all
of them share; ``Mixture`` draws one of several rules for each match.
"""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.maths import sample_action
from counterplay.types import NO_EVENT, NO_MOVE, NO_TYPE, Act, Memory, View


@runtime_checkable
class Behaviour(Protocol):
    """What a rule would do. It may also have, each from the memory before this slot's moves:

    - ``remember(memory, view) -> memory``: what it takes in before it chooses
    - ``intent(memory, view) -> Int[]``: the goal it pursues

    A switcher also has ``mode(memory) -> Int[]``, from the memory before ``remember``.
    """

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory: ...

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]: ...


class Rule(eqx.Module):
    """Plays a behaviour whose hand trembles: with that probability the move is any legal one.

    What a behaviour gives to illegal moves goes to the legal ones in proportion, and to all of
    them alike when it gives them nothing.
    """

    behaviour: Any
    tremble: float = eqx.field(static=True, default=0.0)
    type_of: int = eqx.field(static=True, default=NO_TYPE)
    """Its place among the rules of its game."""

    def __check_init__(self):
        if not 0 <= self.tremble <= 1:
            raise ValueError(f"tremble is a probability, 0 to 1, found {self.tremble}")

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return self.behaviour.begin(key, memory)

    def remember(self, memory: Memory, view: View) -> Memory:
        """The memory with which it chooses in this slot."""
        if hasattr(self.behaviour, "remember"):
            return self.behaviour.remember(memory, view)
        return memory

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        """The distribution it draws from; all -inf when nothing is legal."""
        return self.distribution(self.remember(memory, view), view)

    def distribution(self, remembered: Memory, view: View) -> Float[Array, " A"]:
        """The same with the memory of ``remember``."""
        raw = self.behaviour.log_probs(remembered, view)
        wanted = jnp.where(view.legal, jnp.exp(raw), 0.0)
        total, uniform = wanted.sum(), view.legal / jnp.maximum(view.legal.sum(), 1)
        steady = jnp.where(total > 0, wanted / jnp.where(total > 0, total, 1.0), uniform)
        mixed = (1 - self.tremble) * steady + self.tremble * uniform
        return jnp.where(mixed > 0, jnp.log(jnp.where(mixed > 0, mixed, 1.0)), -jnp.inf)

    def type_id(self, memory: Memory) -> Int[Array, ""]:
        return jnp.int32(self.type_of)

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return self.goal(self.remember(memory, view), view)

    def goal(self, remembered: Memory, view: View) -> Int[Array, ""]:
        """The intent with the memory of ``remember``."""
        if hasattr(self.behaviour, "intent"):
            return self.behaviour.intent(remembered, view)
        return jnp.int32(NO_EVENT)

    def mode(self, memory: Memory) -> Int[Array, ""]:
        """Which of the rules between which it switches plays in this slot; 0 where it does not."""
        if hasattr(self.behaviour, "mode"):
            return self.behaviour.mode(memory)
        return jnp.int32(0)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        """A rule is its distribution, so ``greedy`` changes nothing."""
        action, log_pi = draw(key, self.log_probs(memory, view), view.legal)
        return Act(action, self.remember(memory, view), {"log_pi": log_pi})


class Mixture(eqx.Module):
    """Draws one of its rules, all equally likely, when a match begins, and keeps it throughout.

    All of them watch and remember; memory is (which one plays, the memory of each).
    """

    rules: tuple[Rule, ...]

    def __check_init__(self):
        if not self.rules:
            raise ValueError("a mixture needs one rule or more, found none")

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        choice_key, *keys = jr.split(key, len(self.rules) + 1)
        if memory is None:
            choice, memories = jr.randint(choice_key, (), 0, len(self.rules)), [None] * len(keys)
        else:
            choice, memories = memory
        begun = (r.begin(k, m) for r, k, m in zip(self.rules, keys, memories, strict=True))
        return choice, tuple(begun)

    def member(self, memory: Memory) -> Int[Array, ""]:
        """Which of its rules plays this match."""
        return memory[0]

    def type_id(self, memory: Memory) -> Int[Array, ""]:
        each = [rule.type_id(m) for rule, m in zip(self.rules, memory[1], strict=True)]
        return self._chosen(memory, each)

    def mode(self, memory: Memory) -> Int[Array, ""]:
        """That of the rule that plays this match."""
        each = [r.mode(m) for r, m in zip(self.rules, memory[1], strict=True)]
        return self._chosen(memory, each)

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return self._chosen(memory, self._each(memory, view))

    def hypotheses(self, memory: Memory, view: View) -> Float[Array, "Y A"]:
        """What each of its rules would do here, in their order."""
        return jnp.stack(self._each(memory, view))

    def intent(self, memory: Memory, view: View) -> Int[Array, ""]:
        return self._chosen(memory, self._aims(memory, view))

    def intents(self, memory: Memory, view: View) -> Int[Array, " Y"]:
        """What each of its rules would be after here, in their order."""
        return jnp.stack(self._aims(memory, view))

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        action, log_pi = draw(key, self.log_probs(memory, view), view.legal)
        kept = tuple(r.remember(m, view) for r, m in zip(self.rules, memory[1], strict=True))
        return Act(action, (memory[0], kept), {"log_pi": log_pi})

    def _each(self, memory: Memory, view: View) -> list[Float[Array, " A"]]:
        return [r.log_probs(m, view) for r, m in zip(self.rules, memory[1], strict=True)]

    def _aims(self, memory: Memory, view: View) -> list[Int[Array, ""]]:
        return [r.intent(m, view) for r, m in zip(self.rules, memory[1], strict=True)]

    def _chosen(self, memory: Memory, each: list[Array]) -> Array:
        out = each[0]
        for i, candidate in enumerate(each[1:], start=1):
            out = jnp.where(memory[0] == i, candidate, out)
        return out


def draw(
    key: PRNGKeyArray, log_probs: Float[Array, " A"], legal: Bool[Array, " A"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """A move and its log-probability; NO_MOVE and 0 when nothing is legal."""
    sampled = sample_action(key, log_probs)
    log_pi = jnp.where(jnp.arange(legal.shape[0]) == sampled, log_probs, 0.0).sum()
    present = legal.any()
    return jnp.where(present, sampled, NO_MOVE), jnp.where(present, log_pi, 0.0)
