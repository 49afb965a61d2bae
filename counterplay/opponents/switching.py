"""Opponents that change: one rule first, another one later in the match.

``switch:at=50,first=grim,then=always_defect``. Settings of the two rules are joined by a plus sign:
``switch:rate=.02,first=k_cleaner:k=2+tremble=.1,then=free_rider``. A switcher is one opponent with
one opponent_id; ``mode`` tells which rule plays. Hernandez-Leal et al. (2017) study such opponents.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.opponents.rule import Rule
from counterplay.types import Env, Memory, View

FIRST, THEN = range(2)
NEVER = 2**31 - 1


class Course(NamedTuple):
    """How far a match has come, and what both rules remember of it."""

    moves: Int[Array, ""]
    """Own moves so far."""
    episode: Int[Array, ""]
    turn: Int[Array, ""]
    """Own moves before the change, drawn when the match began where it is left to chance."""
    memories: tuple[Memory, Memory]


class Switch(eqx.Module):
    """Plays ``rules[0]`` for so many moves or episodes of a match, ``rules[1]`` from then on.

    With a ``rate`` each move after the first is the other rule's first one that often. Both rules
    watch and remember from first contact.
    """

    rules: tuple[Rule, Rule]
    at: int = eqx.field(static=True, default=NEVER)
    episode: int = eqx.field(static=True, default=NEVER)
    rate: float = eqx.field(static=True, default=0.0)

    def begin(self, key: PRNGKeyArray, memory: Course | None) -> Course:
        turn_key, *keys = jr.split(key, 3)
        kept = (None, None) if memory is None else memory.memories
        each = zip(self.rules, keys, kept, strict=True)
        first, then = (rule.begin(k, m) for rule, k, m in each)
        if memory is None:
            return Course(jnp.int32(0), jnp.int32(0), self._turn(turn_key), (first, then))
        return memory._replace(episode=memory.episode + 1, memories=(first, then))

    def remember(self, memory: Course, view: View) -> Course:
        each = zip(self.rules, memory.memories, strict=True)
        first, then = (rule.remember(m, view) for rule, m in each)
        return memory._replace(moves=memory.moves + 1, memories=(first, then))

    def mode(self, memory: Course) -> Int[Array, ""]:
        """The rule of the next move, FIRST or THEN, before the view of it is taken in."""
        return self._mode(memory, memory.moves)

    def log_probs(self, memory: Course, view: View) -> Float[Array, " A"]:
        each = zip(self.rules, memory.memories, strict=True)
        first, then = (rule.distribution(m, view) for rule, m in each)
        # remembering has counted the move that is being chosen
        return jnp.where(self._mode(memory, memory.moves - 1) == THEN, then, first)

    def intent(self, memory: Course, view: View) -> Int[Array, ""]:
        each = zip(self.rules, memory.memories, strict=True)
        first, then = (rule.goal(m, view) for rule, m in each)
        return jnp.where(self._mode(memory, memory.moves - 1) == THEN, then, first)

    def _mode(self, memory: Course, moves: Int[Array, ""]) -> Int[Array, ""]:
        over = (moves >= memory.turn) | (memory.episode >= self.episode)
        return jnp.where(over, THEN, FIRST)

    def _turn(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """Geometric: k moves of the first rule have chance rate (1 - rate)^(k - 1)."""
        if not self.rate:
            return jnp.int32(self.at)
        chance = jnp.float32(self.rate)
        return jr.geometric(key, chance).astype(jnp.int32)


def switch(
    env: Env,
    at: int = 0,
    rate: float = 0.0,
    episode: int = 0,
    first: str = "random",
    then: str = "random",
) -> Rule:
    """A change after ``at`` own moves, by chance at ``rate``, or from ``episode`` on (0 is first).

    Without any of the three it comes at half the horizon.
    """
    from counterplay.opponents import make

    if sum(map(bool, (at, rate, episode))) > 1:
        raise ValueError(f"switch: give one of at={at}, rate={rate} and episode={episode}")
    if at < 0 or episode < 0 or not 0 <= rate <= 1:
        raise ValueError(
            "switch: at and episode count from 1 and rate is a probability, found "
            f"at={at}, rate={rate}, episode={episode}"
        )
    for text in (first, then):
        if text.partition(":")[0].strip() == "switch":
            raise ValueError(f"switch: changes between two rules, not switchers, found {text!r}")
    rules = make(first.replace("+", ","), env), make(then.replace("+", ","), env)
    if episode or rate:
        return Rule(Switch(rules, episode=episode or NEVER, rate=rate))
    return Rule(Switch(rules, at=at or max(env.horizon // 2, 1)))


def modes_of(text: str) -> tuple[str, ...]:
    """The rules between which a text changes, FIRST and THEN; for any other rule, itself."""
    name, _, settings = (part.strip() for part in text.partition(":"))
    if name != "switch":
        return (text,)
    given = dict(piece.split("=", 1) for piece in settings.split(",") if "=" in piece)
    return tuple(given.get(k, "random").replace("+", ",") for k in ("first", "then"))
