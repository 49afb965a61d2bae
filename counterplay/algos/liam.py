"""LIAM: PPO told an embedding that can be decoded into what the others see and do.

Papoudakis et al. (2021), section 4. A recurrent encoder reads my own observations and moves alone;
a decoder must tell from its embedding what every other was shown and how it moved. The policy is
told the embedding, and no gradient passes from it to the encoder.

Privilege: training reads the observations of the others (marked O), which players do not see. To
act takes nothing but my own. Reads top to bottom: settings, reader, its loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import informed
from counterplay.algos.informed import Sight, System
from counterplay.algos.informed_settings import Config as Settings
from counterplay.algos.study import Study
from counterplay.maths import chosen, masked_sum
from counterplay.models.abreast import abreast
from counterplay.models.actions import over_legal
from counterplay.models.history import Seen, as_record, features_of, seen_in
from counterplay.models.nets import Dense, Trunk
from counterplay.types import NO_MOVE, Env, Memory, View


@dataclass(frozen=True)
class Config(Settings):
    """Settings of LIAM."""

    embedding: int = 20
    """Numbers that the policy is told of all the others together."""

    @staticmethod
    def privileges(settings: Mapping[str, Any], num_goals: int) -> str:
        """The others' observations, whatever the settings."""
        return "O"

    def __post_init__(self):
        super().__post_init__()
        if self.embedding < 1:
            raise ValueError(f"liam: embedding must be at least 1, found {self.embedding}")
        if not self.marks:
            raise ValueError("liam: marks tell rows of others apart, and the policy is told one "
                             "row of all of them: leave marks out")  # fmt: skip


class Decoded(NamedTuple):
    """What an embedding says of every other."""

    obs: Float[Array, "M F"]
    """Encoded."""
    logits: Float[Array, "M A"]
    """Of its move."""


class LiamReader(eqx.Module):
    """Encodes my own trajectory, and decodes the others'."""

    trunk: Trunk
    embed: Dense
    hidden: Dense
    obs: Dense
    moves: Dense
    sizes: tuple[int, int, int] = eqx.field(static=True)
    """Others, numbers of an encoded observation, and actions."""

    def __init__(
        self,
        features: int,
        others: int,
        actions: int,
        embedding: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
    ):
        keys, wide = jr.split(key, 5), widths[-1]
        self.sizes = others, features, actions
        self.trunk = Trunk(features + actions, widths, keys[0], gru=gru, light=True)
        self.embed = Dense(self.trunk.width, embedding, 1.0, keys[1])
        self.hidden = Dense(embedding, wide, 2**0.5, keys[2])
        self.obs = Dense(wide, others * features, 1.0, keys[3])
        self.moves = Dense(wide, others * actions, 0.1, keys[4])

    @property
    def told(self) -> tuple[int, int]:
        return 1, self.embed.bias.shape[-1]

    def begin(self, memory: Memory | None) -> Memory:
        return jnp.zeros(self.trunk.gru) if memory is None else memory

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        seen = seen_in(view)
        e, memory = self.trunk(self.inputs(view.obs, seen), memory)
        z = self.embed(e)
        log_pi = abreast(over_legal)(self.decode(z).logits, seen.legal)
        return Sight(z[None], memory, as_record(seen) | {"predicted": log_pi})

    def inputs(self, obs: Float[Array, " F"], seen: Seen) -> Float[Array, " I"]:
        """My observation and my own last move; all else that was seen is left out."""
        moved = seen.moved[0] == jnp.arange(self.sizes[2])
        return jnp.concatenate([obs, moved.astype(jnp.float32)])

    def decode(self, z: Float[Array, " Z"]) -> Decoded:
        h, (others, features, actions) = jax.nn.relu(self.hidden(z)), self.sizes
        logits = self.moves(h).reshape(others, actions)
        return Decoded(self.obs(h).reshape(others, features), logits)


def make_reader(config: Config, env: Env, key: PRNGKeyArray) -> LiamReader:
    sizes = features_of(env), env.num_seats - 1, env.num_actions
    return LiamReader(*sizes, config.embedding, config.reader_widths, config.reader_gru, key)


def reader_loss(
    config: Config, env: Env, reader: LiamReader, study: Study
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Squared error of what every present other was shown, and cross-entropy of how it moved.

    The error is a mean over the numbers of an encoded observation; moves are in nats, of those
    that I saw. Papoudakis et al. (2021), equation 1, which sums over agents.
    """
    x = jax.vmap(lambda obs, seen: reader.inputs(env.encode(obs), seen))(study.obs, study.seen)
    e = reader.trunk.along(x, study.contact, study.acting, study.memory)
    decoded = jax.vmap(lambda e: reader.decode(reader.embed(e)))(e)
    theirs = jax.vmap(jax.vmap(env.encode))(study.theirs)
    log_pi = jax.vmap(over_legal)(decoded.logits, study.seen.legal)
    parts = {
        "observations_loss": ((decoded.obs - theirs) ** 2).mean(-1),
        "moves_loss": -chosen(log_pi, study.moves),
    }
    masks = {
        "observations_loss": study.acting[:, None] & study.there,
        "moves_loss": study.moves != NO_MOVE,
    }
    number = {name: mask.sum().astype(jnp.float32) for name, mask in masks.items()}
    return {name: masked_sum(x, masks[name]) for name, x in parts.items()}, number


Agent = informed.Predictor
init_learner, init, policy, learn, train = informed.functions(
    System(make_reader, reader_loss, Agent), __name__
)
