"""What is planned with: a learned world, moves expected in it, beliefs that follow, and a value."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from counterplay.algos.goal_ppo import GoalReader
from counterplay.maths import bayes_update
from counterplay.models.ahead import Ahead
from counterplay.models.beliefs import Held, heard_together, told_of, under_each
from counterplay.models.conditioned import Conditioned
from counterplay.models.twohot import symexp
from counterplay.models.values import Values
from counterplay.models.world import World
from counterplay.planning import Arrival, Functions, Joint


class Model(eqx.Module):
    """All that is imagined with; learnt together."""

    world: World
    ahead: Ahead
    values: Values


class Node(NamedTuple):
    """A situation, seen or imagined."""

    e: Float[Array, " E"]
    there: Bool[Array, " M"]
    """Who of the others is."""
    legal: Bool[Array, "M A"]
    """Their moves, as far as they can be known."""
    moves: Float[Array, "M Y G A"] | None
    """Probabilities of theirs, in a situation that was seen."""


class Together(NamedTuple):
    """A belief over others whose types are inferred together (``hypotheses``)."""

    each: Float[Array, "*b M Y G"]
    """Log-probabilities of type and goal of each; types follow from ``joint``."""
    joint: Float[Array, "*b H"]
    """Log-weights of all assignments of types to the others."""


Belief = Float[Array, "M Y G"] | Together
"""Over each other for itself, or over all together."""


def each_of(belief: Belief) -> Float[Array, "M Y G"]:
    """What is believed of each other for itself."""
    return belief.each if isinstance(belief, Together) else belief


def rows_of(belief: Belief, there: Bool[Array, " M"]) -> Float[Array, "M R"]:
    """What the value is told of the others: that one is there, its types and its goals."""
    b = jnp.exp(each_of(belief))
    rows = jnp.concatenate([there[:, None], b.sum(2), b.sum(1)], 1)
    return jnp.where(there[:, None], rows, 0.0)


def root_of(e: Float[Array, " E"], held: Held, alive: Bool[Array, " N"]) -> tuple[Node, Belief]:
    """The situation that is seen now, and what is believed in it."""
    joint, each = held.joint, held.log_belief
    belief = each if joint is None else Together(each, joint)
    return Node(e, alive[1:], held.moves.any((1, 2)), held.moves), belief


class Mind(NamedTuple):
    """All that planning in a learned world takes, its methods the functions of planners."""

    model: Model
    slow: Values
    """Rates where one comes to."""
    reader: GoalReader
    policy: Conditioned
    arriving: bool = False
    """What coming there has earned counts, too."""
    eager: bool = False
    """Imagined situations hold the others' chances, as those that were seen do."""

    @property
    def functions(self) -> Functions:
        return Functions(self.step, self.actions, self.update, self.value, self.prior_of)

    def chances(self, node: Node) -> Float[Array, "M Y G A"]:
        """Of the others' moves, given type and goal; zeros for the absent."""
        if node.moves is not None:
            return node.moves
        mix, legal = self.reader.rates.mix, node.legal
        even = legal / jnp.maximum(legal.sum(-1, keepdims=True), 1)
        log_pi = self.model.ahead(node.e, legal)
        made = (1 - mix) * jnp.exp(log_pi) + mix * even[:, None, None]
        return jnp.where(node.there[:, None, None, None], made, 0.0)

    def actions(self, node: Node, belief: Belief) -> Joint | Float[Array, "M A"]:
        if isinstance(belief, Together):
            return Joint(jnp.exp(belief.joint), under_each(belief.each, self.chances(node)))
        return (jnp.exp(belief)[..., None] * self.chances(node)).sum((1, 2))

    def update(self, belief: Belief, node: Node, others: Int[Array, " M"]) -> Belief:
        made = others[:, None] == jnp.arange(node.legal.shape[-1])[None]
        told = jnp.where(made[:, None, None], self.chances(node), 0.0).sum(-1)
        told = jnp.where(made.any(-1)[:, None, None], jnp.log(told + 1e-9), 0.0)
        told = told if self.reader.temper is None else self.reader.temper * told
        if isinstance(belief, Together):
            joint, each = heard_together(belief.joint, belief.each, told, made.any(-1))
            return Together(each, joint)
        flat = lambda x: x.reshape(x.shape[0], x.shape[1] * x.shape[2])
        return bayes_update(flat(belief), flat(told)).reshape(belief.shape)

    def step(
        self, key: PRNGKeyArray, node: Node, action: Int[Array, ""], others: Int[Array, " M"]
    ) -> Arrival:
        world, joint = self.model.world, jnp.concatenate([jnp.reshape(action, (1,)), others])
        h, prior = world.step(node.e, world.table(node.e), joint)
        e = world.arrive(key, h, prior)
        told = world.read(e, shown=False)
        alive, legal = jax.nn.sigmoid(told.alive), told.legal
        there = node.there & (alive[1:] > 0.5)
        mine = (legal > 0) | (legal == legal.max())  # some move is
        public = told.public_legal > 0 if world.public else jnp.ones_like(node.legal)
        public |= ~public.any(-1, keepdims=True)
        after = Node(e, there, public, None)
        after = after._replace(moves=self.chances(after)) if self.eager else after
        return Arrival(after, world.earned(told), alive[0], mine, there)

    def value(self, node: Node, belief: Belief) -> Float[Array, ""]:
        rate = self.slow.arriving if self.arriving else self.slow.mean
        return rate(node.e, rows_of(belief, node.there))

    def told(self, node: Node, belief: Belief) -> tuple[Float[Array, " F"], Float[Array, "M C"]]:
        """What the policy reads: what the world says would be seen, and what the reader would tell
        it, the likeliest where that is drawn."""
        world, reader, there = self.model.world, self.reader, node.there[:, None]
        told = world.read(node.e)
        shown = jax.nn.sigmoid(told.obs) if world.binary else symexp(told.obs)
        log_b = each_of(belief)
        held = Held(log_b, self.chances(node), jnp.zeros_like(log_b[:, 0]))
        none = [jnp.zeros((len(log_b), log_b[0].size)), jnp.zeros(node.legal.shape)]
        parts = told_of(held, none, reader.goal_input, reader.action_input)
        return shown, jnp.where(there, jnp.concatenate([there, *parts], 1), 0.0)

    def prior_of(self, node: Node, belief: Belief) -> Float[Array, " A"]:
        """The policy's moves; a recurrent one remembers nothing."""
        memory = jnp.zeros(self.policy.gru)
        return jax.nn.log_softmax(self.policy(self.told(node, belief), memory)[0])


def make_model(config: Any, world: World, sizes: tuple, key: PRNGKeyArray) -> Model:
    """A fresh one; ``sizes`` are those of the action model."""
    keys = jr.split(key, 2)
    others, types, goals, _ = sizes
    ahead = Ahead(world.size, sizes, config.value_width, keys[0])
    values = Values(world.size, others, 1 + types + goals, config.value_width, keys[1])
    return Model(world, ahead, values)
