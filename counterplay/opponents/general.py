"""Rules for any game."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.opponents.rule import Rule
from counterplay.types import Env, Memory, View


class Random(eqx.Module):
    """Chooses among its legal moves, all equally likely."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return any_of(view.legal)


def any_of(moves: Bool[Array, " A"]) -> Float[Array, " A"]:
    """Log-probabilities of the moves that are True, all equally likely; -inf when none is."""
    return jnp.where(moves, -jnp.log(jnp.maximum(moves.sum(), 1).astype(jnp.float32)), -jnp.inf)


def random(env: Env, tremble: float = 0.0) -> Rule:
    return Rule(Random(), tremble)


class Fixed(eqx.Module):
    """Draws every move anew with the same chances, whatever happens: one mixed strategy."""

    chances: tuple[float, ...] = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return jnp.log(jnp.array(self.chances))
