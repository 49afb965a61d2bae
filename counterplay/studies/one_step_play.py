"""How right a model of a game is one move ahead, and a policy that plans that move in it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.evaluate.world import tolerances
from counterplay.maths import finite, masked_sum
from counterplay.models.windows import Window
from counterplay.planning import Arrival
from counterplay.planning.latent import plan
from counterplay.studies.one_step import Lesson, Nets, expected, player, worth_of
from counterplay.studies.one_step_models import MODELS
from counterplay.types import Act, Env, View

APART = 1_000
"""Of the keys of a seed, one that no learning had: a split gives those of small numbers."""


def measured(env: Env, lesson: Lesson, nets: Nets, seed: int) -> dict[str, float | None]:
    """How right the model is one move ahead of the true joint moves, on games nobody learnt from.

    ``nonzero``: share of numbers shown that are not 0. ``loss``: of the next observation, in the
    model's own unit, a slot. ``error``: its mean squared error a number; ``blank``: that of zeros.
    ``marks``: share of its numbers beyond .5 that are read so. ``exact``: share of observations
    of which every number is right. ``reward``: mean absolute error.
    """
    tests = _tests(env, lesson, jr.fold_in(jr.key(seed), APART))
    shown = np.unique(np.asarray(tests.obs)[np.asarray(tests.shown)], axis=0)
    features = np.asarray(jax.vmap(env.encode)(jnp.asarray(shown)))
    tolerance = jnp.asarray(tolerances(features, binary=True))
    foretold = MODELS[lesson.model].foretold

    def one(window: Window) -> dict[str, tuple[Array, Array]]:
        obs, follows = jax.vmap(env.encode)(finite(window.obs)), window.follows
        read, off, earned = foretold(env, nets.model, window)
        after = jnp.roll(obs, -1, axis=0)
        each = jnp.broadcast_to(follows[:, None], after.shape)
        marks = each & (after > 0.5)
        return {
            "nonzero": (obs != 0, jnp.broadcast_to(window.shown[:, None], obs.shape)),
            "loss": (off, follows),
            "error": (jnp.square(read - after), each),
            "blank": (jnp.square(after), each),
            "marks": (read > 0.5, marks),
            "exact": ((abs(read - after) < tolerance[None]).all(-1), follows),
            "reward": (abs(earned - window.reward), window.acting),
        }

    def tallied(window: Window) -> dict[str, tuple[Array, Array]]:
        count = lambda x, mask: (masked_sum(x.astype(jnp.float32), mask), mask.sum())
        return {name: count(*pair) for name, pair in one(window).items()}

    sums = jax.jit(lambda x: lax.map(tallied, x, batch_size=64))(tests)
    total = jax.tree.map(lambda x: np.asarray(x, np.float64).sum(), sums)
    return {name: float(s / n) if n else None for name, (s, n) in total.items()}


def _tests(env: Env, lesson: Lesson, key: PRNGKeyArray) -> Window:
    """Windows; the first of each game are left out, since all of them begin with an episode."""
    begin, play = player(env, lesson.behaviour, lesson.against, lesson.lanes, lesson.window)
    begin_key, first_key, key = jr.split(key, 3)
    lanes, _ = play(begin(begin_key), first_key)
    found = []
    for i in range(-(-lesson.held_out // lesson.lanes)):
        lanes, windows = play(lanes, jr.fold_in(key, i))
        found.append(windows)
    return jax.tree.map(lambda *x: jnp.concatenate(x)[: lesson.held_out], *found)


class OneStep(eqx.Module):
    """The policy that makes the best of all moves, looking one ahead in a model."""

    nets: Nets
    model: str = eqx.field(static=True)
    gamma: float = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    """Draws of the others' moves for each of mine."""

    def begin(self, key: PRNGKeyArray, memory: Any) -> Float[Array, " X"]:
        """Matches are single episodes."""
        return MODELS[self.model].begin(self.nets.model)

    def act(self, key: PRNGKeyArray, memory: Array, view: View, greedy: bool) -> Act:
        """The move of the largest reward and value of what it leads to, on average over what the
        others are expected to do; nothing is drawn but their moves."""
        functions, nets = MODELS[self.model], self.nets
        x = functions.see(nets.model, memory, view)
        chances = jnp.exp(expected(nets.moves, view.obs, view.public_legal[1:]))

        def step(key: PRNGKeyArray, x: Array, mine: Array, others: Int[Array, " M"]) -> Arrival:
            ahead = functions.step(nets.model, x, jnp.concatenate([mine[None], others]))
            legal, there = ahead.legal > 0, view.alive[1:] & (ahead.alive[1:] > 0.5)
            return Arrival(ahead.x, ahead.reward, ahead.alive[0], legal, there)

        planned = plan(
            step,
            lambda x, belief: jnp.where(view.alive[1:, None], chances, 0.0),
            lambda belief, x, others: belief,
            lambda x, belief: worth_of(nets.value(x)),
            x, (), jnp.zeros_like(view.legal, jnp.float32), view.legal, view.alive, key,
            gamma=self.gamma, samples=self.samples, temperature=0.0,
        )  # fmt: skip
        return Act(jnp.argmax(planned.weights).astype(jnp.int32), x, {})
