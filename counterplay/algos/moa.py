"""PPO beside a model of other agents' next moves, and paid, if wished, for influence on them.

Jaques et al. (2019), section 4: MOA. What I see in slot t and what everybody does in it predict
what the others do in slot t + 1. The policy is not told the predictions, only who is there. What
the model says of moves that I did not make tells how much mine matters: the influence reward.
Reads top to bottom: settings, model, reader, its loss, influence, the agent.
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from counterplay.algos import informed
from counterplay.algos.informed import Sight, System
from counterplay.algos.informed_settings import Config as Settings
from counterplay.algos.study import Study
from counterplay.maths import chosen, masked_sum
from counterplay.models.abreast import abreast
from counterplay.models.actions import over_legal
from counterplay.models.history import Seen, as_record, features_of, inputs, seen_in, width
from counterplay.models.nets import Dense, Trunk
from counterplay.types import NO_MOVE, Act, Env, Memory, View
from counterplay.views import select


@dataclass(frozen=True)
class Config(Settings):
    """Settings of MOA."""

    influence: float = 0.0
    """Weight of the influence reward, per nat; 0 for none."""

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.influence < float("inf"):
            raise ValueError(f"moa: influence must be 0 or more, found {self.influence}")


class MoveModel(eqx.Module):
    """p(a_j of slot t + 1 | what I saw up to slot t, all moves of slot t), for every other j.

    The moves come in last, after the recurrent layer, so that others can be put in their place.
    """

    trunk: Trunk
    history: Dense
    now: Dense
    joint: Dense
    own: Dense
    other: Float[Array, "M W"]
    """What marks which other it is."""
    move: Dense

    def __init__(
        self,
        inputs: int,
        others: int,
        actions: int,
        widths: tuple[int, ...],
        gru: int,
        key: PRNGKeyArray,
    ):
        keys, wide = jr.split(key, 7), widths[-1]
        self.trunk = Trunk(inputs, widths, keys[0], gru=gru, light=True)
        self.history = Dense(self.trunk.width, wide, 1.0, keys[1])
        self.now = Dense(inputs, wide, 1.0, keys[2])
        self.joint = Dense((others + 1) * actions, wide, 1.0, keys[3])
        self.own = Dense(actions, wide, 1.0, keys[4])
        self.other = jr.normal(keys[5], (others, wide))
        self.move = Dense(wide, actions, 0.1, keys[6])

    def scene(self, x: Float[Array, " I"], e: Float[Array, " E"]) -> Float[Array, " W"]:
        """What it keeps of a slot, from what is seen and what the trunk made of all."""
        return self.history(e) + self.now(x)

    def __call__(self, scene: Float[Array, " W"], moved: Int[Array, " N"]) -> Float[Array, "M A"]:
        """Log-probabilities of the next moves; in ``moved`` I come first, NO_MOVE is unknown."""
        return jax.nn.log_softmax(self.logits(scene, moved))

    def logits(self, scene: Float[Array, " W"], moved: Int[Array, " N"]) -> Float[Array, "M A"]:
        actions = self.move.bias.shape[-1]
        hot = (moved[:, None] == jnp.arange(actions)[None]).astype(jnp.float32)
        own = jax.vmap(self.own)(hot[1:])
        each = (scene + self.joint(hot.ravel()))[None] + own + self.other
        return jax.vmap(self.move)(jax.nn.relu(each))


class MoaReader(eqx.Module):
    """Predicts this slot's moves from the slot before, and keeps this one for the next.

    Its memory is that of the recurrent layer, and what was kept of the last slot in which I moved:
    nothing when a match begins.
    """

    model: MoveModel
    goals: int = eqx.field(static=True)
    """Of the game, whose events are among what is seen."""

    @property
    def told(self) -> tuple[int, int]:
        return len(self.model.other), 1

    def begin(self, memory: Memory | None) -> Memory:
        if memory is None:
            return jnp.zeros(self.model.trunk.gru), jnp.zeros(self.model.other.shape[-1])
        return memory

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        kept, scene = memory
        seen = seen_in(view)
        logits = self.model.logits(scene, self.known(seen))
        log_pi = abreast(over_legal)(logits, seen.legal)
        x = self.inputs(view.obs, seen)
        e, kept = self.model.trunk(x, kept)
        there = view.alive[1:, None].astype(jnp.float32)
        record = as_record(seen) | {"predicted": log_pi}
        return Sight(there, (kept, self.model.scene(x, e)), record)

    def inputs(self, obs: Float[Array, " F"], seen: Seen) -> Float[Array, " I"]:
        return inputs(obs, seen, self.model.move.bias.shape[-1], self.goals)

    def moves(self, scene: Float[Array, " W"], seen: Seen) -> Float[Array, "M A"]:
        """Log-probabilities of the moves of this slot, from what was kept of the one before."""
        return self.model(scene, self.known(seen))

    def legal_moves(self, scene: Float[Array, " W"], seen: Seen) -> Float[Array, "M A"]:
        """The same, over the moves that are known to be legal."""
        return over_legal(self.model.logits(scene, self.known(seen)), seen.legal)

    def known(self, seen: Seen) -> Int[Array, " N"]:
        """The last joint move, as far as it follows what was kept.

        Who left an episode early kept an earlier slot than that of the last joint move, so the two
        do not belong together: a joint move without mine counts as unknown.
        """
        return jnp.where(seen.moved[0] != NO_MOVE, seen.moved, NO_MOVE)


def make_reader(config: Config, env: Env, key: PRNGKeyArray) -> MoaReader:
    n, actions = env.num_seats, env.num_actions
    size = width(features_of(env), n, actions, env.num_goals)
    model = MoveModel(size, n - 1, actions, config.reader_widths, config.reader_gru, key)
    return MoaReader(model, env.num_goals)


def scenes(env: Env, reader: MoaReader, study: Study) -> Float[Array, "T W"]:
    """What is kept of every slot of one place."""
    model = reader.model
    x = jax.vmap(lambda obs, seen: reader.inputs(env.encode(obs), seen))(study.obs, study.seen)
    e = model.trunk.along(x, study.contact, study.acting, study.memory[0])
    return jax.vmap(model.scene)(x, e)


def reader_loss(
    config: Config, env: Env, reader: MoaReader, study: Study
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cross-entropy of every move that I saw of others, in nats, from the slot before it.

    Over the moves that are known to be legal. Over all where influence is paid: which are legal
    after a move of mine that was not made nobody knows, so the model learns that, too.
    """

    def before(kept, slot):
        scene, contact, acting = slot
        kept = jnp.where(contact, 0.0, kept)
        return jnp.where(acting, scene, kept), kept

    slots = scenes(env, reader, study), study.contact, study.acting
    _, kept = lax.scan(before, study.memory[1], slots)
    over = reader.moves if config.influence else reader.legal_moves
    log_pi = jax.vmap(over)(kept, study.seen)
    counts = study.moves != NO_MOVE
    sums = {"moves_loss": -masked_sum(chosen(log_pi, study.moves), counts)}
    return sums, {"moves_loss": counts.sum().astype(jnp.float32)}


def influence(
    model: MoveModel,
    scene: Float[Array, " W"],
    moved: Int[Array, " N"],
    log_pi: Float[Array, " A"],
) -> Float[Array, " M"]:
    """KL(p(a_j | a_i, s) || sum_a~ p(a_j | a~, s) pi(a~ | s)) of every other j, in nats.

    ``moved`` holds the moves of a slot, mine first, ``log_pi`` my policy in it. Jaques et al.
    (2019), equation 2, with the model's next moves as in section 4.
    """
    acts = jnp.arange(log_pi.shape[0])
    given = jax.vmap(lambda a: model(scene, moved.at[0].set(a.astype(moved.dtype))))(acts)
    mine = jnp.where((acts == moved[0])[:, None, None], given, 0.0).sum(0)  # [M, A]
    mean = jax.nn.logsumexp(given + log_pi[:, None, None], axis=0)
    return (jnp.exp(mine) * (mine - mean)).sum(-1)


def influence_reward(
    config: Config, env: Env, readers: MoaReader, studies: Study
) -> Float[Array, "K P T"] | None:
    """Weighted influence of every move of mine on all who play on; None where none is paid.

    Nor is it for a move by which I leave: what others do then is never seen, so never learnt.
    """
    if config.influence == 0:
        return None

    def place(reader: MoaReader, study: Study) -> Float[Array, " T"]:
        action, log_pi = study.record["action"], study.record["policy"]
        log_pi = select(study.acting, log_pi, jnp.zeros_like(log_pi))  # unread where I do not act
        moved = jnp.concatenate([action[:, None].astype(study.moves.dtype), study.moves], 1)
        each = lambda *slot: influence(reader.model, *slot)
        found = jax.vmap(each)(scenes(env, reader, study), moved, log_pi)
        counts = (study.acting & study.stays)[:, None] & study.there & study.goes_on
        return config.influence * jnp.where(counts, found, 0.0).sum(1)

    return jax.vmap(jax.vmap(place, (None, 0)))(readers, studies)


class Agent(informed.Predictor):
    """The policy that is trained; it records all of its policy, which influence needs."""

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        act, log_pi = self.decided(key, memory, view, greedy)
        more = {"action": act.action, "policy": log_pi}
        return act._replace(record=act.record | more)


init_learner, init, policy, learn, train = informed.functions(
    System(make_reader, reader_loss, Agent, influence_reward), __name__
)
