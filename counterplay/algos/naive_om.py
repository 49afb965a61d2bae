"""PPO that is told what each other player will probably do next, and nothing else of them.

A model of the others' moves, given what I saw so far, learns beside the policy; its predictions are
appended to the observation. No types, no goals, no search: the plainest opponent model there is,
and the file to start from with another. Reads top to bottom: settings, reader, its loss.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.algos import informed
from counterplay.algos.informed import Sight, System
from counterplay.algos.informed_settings import Config as Settings
from counterplay.algos.study import Study
from counterplay.maths import chosen, masked_sum
from counterplay.models.abreast import abreast
from counterplay.models.actions import ActionModel, Heads, read
from counterplay.models.history import Seen, as_record, features_of, inputs, or_all, seen_in, width
from counterplay.types import NO_MOVE, Env, Memory, View


@dataclass(frozen=True)
class Config(Settings):
    """Settings of PPO that is told predicted moves."""


class MoveReader(eqx.Module):
    """Predicts the others' moves in this slot."""

    model: ActionModel
    goals: int = eqx.field(static=True)
    """Of the game, whose events are among what is seen."""

    @property
    def told(self) -> tuple[int, int]:
        others, _, _, actions = self.model.sizes
        return others, 1 + actions

    def begin(self, memory: Memory | None) -> Memory:
        return jnp.zeros(self.model.trunk.gru) if memory is None else memory

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        seen = seen_in(view)
        x = self.inputs(view.obs, seen)
        e, memory = self.model.trunk(x, memory)
        log_pi, told = abreast(_told)(self.model.heads(x, e), seen.legal, view.alive[1:])
        return Sight(told, memory, as_record(seen) | {"predicted": log_pi})

    def inputs(self, obs: Float[Array, " F"], seen: Seen) -> Float[Array, " I"]:
        return inputs(obs, seen, self.model.sizes[-1], self.goals)

    def moves(
        self, x: Float[Array, " I"], e: Float[Array, " E"], seen: Seen
    ) -> Float[Array, "M A"]:
        return _moves(self.model.heads(x, e), seen.legal)


def _moves(heads: Heads, legal: Bool[Array, "M A *b"]) -> Float[Array, "M A *b"]:
    """Log-probabilities; of somebody absent, whose legal moves nobody knows, over all."""
    return read(heads, or_all(legal, 1)).moves[:, 0, 0]


def _told(
    heads: Heads, legal: Bool[Array, "M A *b"], there: Bool[Array, "M *b"]
) -> tuple[Float[Array, "M A *b"], Float[Array, "M C *b"]]:
    """The same, and what the policy is told: who is there, and the chances of their moves."""
    log_pi, there = _moves(heads, legal), there[:, None]
    return log_pi, jnp.where(there, jnp.concatenate([there, jnp.exp(log_pi)], 1), 0.0)


def make_reader(config: Config, env: Env, key: PRNGKeyArray) -> MoveReader:
    n, actions = env.num_seats, env.num_actions
    size = width(features_of(env), n, actions, env.num_goals)
    sizes = size, n - 1, actions, 1, 1, config.reader_widths, config.reader_gru
    return MoveReader(ActionModel(*sizes, key), env.num_goals)


def reader_loss(
    config: Config, env: Env, reader: MoveReader, study: Study
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cross-entropy of every move that I saw of others, in nats."""
    x = jax.vmap(lambda obs, seen: reader.inputs(env.encode(obs), seen))(study.obs, study.seen)
    e = reader.model.trunk.along(x, study.contact, study.acting, study.memory)
    log_pi = jax.vmap(reader.moves)(x, e, study.seen)
    counts = study.moves != NO_MOVE
    sums = {"moves_loss": -masked_sum(chosen(log_pi, study.moves), counts)}
    return sums, {"moves_loss": counts.sum().astype(jnp.float32)}


Agent = informed.Predictor
init_learner, init, policy, learn, train = informed.functions(
    System(make_reader, reader_loss, Agent), __name__
)
