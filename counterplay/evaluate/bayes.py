"""``bayes``: a hand-written agent that infers exactly who the others are, and replies to that.

It knows the rules of the game's training set, each as likely as another at first, and gets nothing
but its own views. Where everybody sees everything it works out what the others see and lets every
rule watch from there (``reading.Public``); where not, the filter of the game does it. What it does
with the posterior is written game by game, in the files whose names begin with ``bayes_``.
"""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay import opponents
from counterplay.envs import game_of
from counterplay.evaluate.other_views import all_views
from counterplay.evaluate.reading import SLACK, Beliefs, Public
from counterplay.opponents.rule import Mixture, draw
from counterplay.opponents.sets import members
from counterplay.types import NO_MOVE, NO_TYPE, Act, Env, Memory, View


@runtime_checkable
class Mind(Protocol):
    """An exact inference from the views of one seat, and what follows from it.

    ``look`` takes in a view; the others read what is known then.
    """

    def begin(self, carry: Any) -> Any: ...
    def look(self, carry: Any, view: View) -> Any: ...
    def types(self, carry: Any) -> Float[Array, "M Y"]: ...
    def moves(self, carry: Any, view: View) -> Float[Array, "M A"]:
        """Probabilities of the others' moves in this slot."""
        ...

    def goals(self, carry: Any, view: View) -> Float[Array, "M G"]: ...


class Reply(Protocol):
    """What to do about it: log-probabilities of my moves, from what the mind holds."""

    def log_probs(self, mind: Any, carry: Any, view: View) -> Float[Array, " A"]: ...


class Bayes(eqx.Module):
    """A policy that sits alone in its seat; ``greedy`` changes nothing about it.

    The mind's likelihoods hold ``SLACK`` of a uniform legal move already, and beliefs are mixed
    with as much of uniform ones, so that whoever is not of the known pool can surprise it, but not
    beyond measure.
    """

    mind: Any
    reply: Any
    type_of: int = eqx.field(static=True, default=NO_TYPE)
    """Its place among what can play its game."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return self.mind.begin(memory)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        seen = self.mind.look(memory, view)
        log_probs = self.reply.log_probs(self.mind, seen, view)
        action, log_pi = draw(key, log_probs, view.legal)
        return Act(action, seen, {"log_pi": log_pi})

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return self.reply.log_probs(self.mind, self.mind.look(memory, view), view)

    def types(self, memory: Memory, view: View) -> Float[Array, "M Y"]:
        """The posterior over each other's rule, in the order of the training set."""
        return self.mind.types(self.mind.look(memory, view))

    def predict(self, memory: Memory, view: View) -> Float[Array, "M A"]:
        """Log-probabilities of the others' moves in this slot, under the posterior.

        -inf for a move known to be illegal; uniform for who is away, or has done what no rule does.
        """
        moves = self.mind.moves(self.mind.look(memory, view), view)
        lost = moves.sum(1, keepdims=True) == 0
        return jnp.log(jnp.where(lost, 1 / moves.shape[1], moves))

    def type_id(self, memory: Memory) -> Int[Array, ""]:
        return jnp.int32(self.type_of)


class BayesOfGoals(Bayes):
    """The same in a game that has goals."""

    def belief(self, memory: Memory, view: View) -> Float[Array, "M G"]:
        """Over the goal of each other, as the rules declare theirs."""
        return blurred(self.mind.goals(self.mind.look(memory, view), view))


def blurred(chances: Float[Array, "M K"]) -> Float[Array, "M K"]:
    return (1 - SLACK) * chances + SLACK / chances.shape[1]


class Watcher(eqx.Module):
    """The mind for games where everybody sees everything: me first, then the others."""

    known: Mixture
    env: Any = eqx.field(static=True)

    @property
    def reader(self) -> Public:
        return Public(self.known, tuple(range(1, self.env.num_seats)), self.env.num_actions)

    def begin(self, carry: Beliefs | None) -> Beliefs:
        return self.reader.begin(carry)

    def look(self, carry: Beliefs, view: View) -> Beliefs:
        # a joint move after I had left is one of which the likelihoods that are carried are not
        moved = jnp.where(view.moved[0] == NO_MOVE, NO_MOVE, view.moved)
        return self.reader.look(self.reader.moved(carry, moved), all_views(self.env, view))

    def types(self, carry: Beliefs) -> Float[Array, "M Y"]:
        return jnp.exp(carry.log_posterior)

    def moves(self, carry: Beliefs, view: View) -> Float[Array, "M A"]:
        return self.reader.told(carry)[1]

    def goals(self, carry: Beliefs, view: View) -> Float[Array, "M G"]:
        """An undecided rule may mean any goal."""
        views, goals = all_views(self.env, view), jnp.arange(self.env.num_goals)
        rows = []
        for k, memories in enumerate(carry.memories, start=1):
            other = jax.tree.map(lambda x, k=k: x[k], views)
            pairs = zip(self.known.rules, memories, strict=True)
            meant = jnp.stack([rule.goal(memory, other) for rule, memory in pairs])[:, None]
            rows.append(jnp.where(meant < 0, 1 / goals.shape[0], meant == goals[None]))
        return (self.types(carry)[:, :, None] * jnp.stack(rows)).sum(1)


def known_rules(env: Env) -> Mixture:
    """The training set of a game."""
    return Mixture(tuple(opponents.make(m, env) for m in members(game_of(env), "train")))


def bayes(env: Any, episodes: int = 1) -> Bayes:
    """The agent for matrix games of two actions, race, coordination, pursuit or scissors.

    In a matrix game it plans for a match of so many episodes. ValueError for a game that it does
    not know.
    """
    game = game_of(env)
    if episodes < 1 or (episodes > 1 and game != "matrix"):
        raise ValueError(
            f"bayes: episodes must be 1 or more, and 1 but in matrix games, found {episodes}: "
            "elsewhere it replies to one episode at a time"
        )
    if game in ("race", "coordination"):
        from counterplay.evaluate.bayes_corridors import Corridors

        return BayesOfGoals(Watcher(known_rules(env), env), Corridors(env))
    if game == "matrix":
        from counterplay.evaluate.bayes_matrix import lookahead

        known = known_rules(env)
        return Bayes(Watcher(known, env), lookahead(env, known.rules, episodes=episodes))
    if game == "pursuit":
        from counterplay.evaluate.bayes_pursuit import pursuer

        return BayesOfGoals(*pursuer(env, known_rules(env).rules))
    if game == "scissors":
        from counterplay.evaluate.bayes_scissors import collector

        return BayesOfGoals(*collector(env, known_rules(env).rules))
    raise ValueError(
        f"bayes: expected matrix, race, coordination, pursuit or scissors, found {game or env}"
    )
