"""PPO that knows whom it plays: infers each other's type and goal, predicts its next move, and
plays accordingly.

``tau -> (k_j, g_j) -> a_j'`` and ``pi(a_i | o_i, b_j, a_j')``. A belief over types and goals of
each other grows by Bayes' rule with the moves it makes, under a learned model of moves given type
and goal. Types are the opponents of the training; goals what they were seen to complete, with
hindsight, and where nothing was completed what their moves make likely. Reads top to bottom:
reader, its loss, the agent; settings are in ``goal_settings``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from counterplay.algos import informed
from counterplay.algos.goal_settings import GoalSettings, opponent_ids
from counterplay.algos.informed import Sight, System
from counterplay.algos.informed_settings import Config as Settings
from counterplay.algos.labels import (
    begun,
    goals_of,
    met_together,
    noted,
    paid_at_first,
    prepared,
    tempered,
    types_found,
    types_of,
)
from counterplay.algos.study import Study
from counterplay.maths import masked_sum
from counterplay.models.abreast import abreast
from counterplay.models.actions import ActionModel, Heads, read
from counterplay.models.beliefs import (
    Held,
    Rates,
    heard,
    held_at_first,
    log_of,
    looked,
    over_goals,
    over_types,
    predicted,
    together,
    told_of,
)
from counterplay.models.history import as_record, features_of, inputs, seen_in, width
from counterplay.models.hypotheses import assignments
from counterplay.planning import Joint
from counterplay.types import NO_MOVE, Env, Memory, View


@dataclass(frozen=True)
class Config(GoalSettings, Settings):
    """Settings of PPO that infers goals and predicts moves."""

    NAME: ClassVar[str] = "goal_ppo"

    def __post_init__(self):
        super().__post_init__()
        self.check_goals()


class GoalReader(eqx.Module):
    """Infers types and goals of the others, and predicts their moves."""

    model: ActionModel
    goals: int = eqx.field(static=True)
    """Of the game."""
    named: bool = eqx.field(static=True)
    """The goals that are inferred are those."""
    rates: Rates = eqx.field(static=True)
    amortised: bool = eqx.field(static=True)
    goal_input: str = eqx.field(static=True)
    action_input: str = eqx.field(static=True)
    prior: Float[Array, "*k H"] | None = None
    """Logits of all assignments of types to the others, where these are inferred together."""
    vanish: bool = eqx.field(static=True, default=False)
    heat: Float[Array, "*k"] | None = None
    """Minus the logarithm of ``temper``, where that is learnt."""

    @property
    def temper(self) -> Float[Array, ""] | None:
        """How many times the log-likelihood of a move counts; None for once."""
        return None if self.heat is None else jnp.exp(-self.heat)

    @property
    def told(self) -> tuple[int, int]:
        others, types, goals, actions = self.model.sizes
        return others, 1 + types + goals + actions

    def begin(self, memory: Memory | None) -> Memory:
        if memory is None:
            held = held_at_first(self.model.sizes, self.prior, self.vanish)
            return jnp.zeros(self.model.trunk.gru), held
        return memory

    def held(self, memory: Memory, view: View) -> tuple[Array, Held]:
        """What is held of the others before the moves of this slot."""
        kept, *parts = self._read(memory, view)
        return kept, abreast(self._holds)(*parts)

    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight:
        kept, *parts = self._read(memory, view)
        others, types, goals, actions = self.model.sizes
        keys, sizes = jr.split(key), ((others, types * goals), (others, actions))
        noise = [jr.gumbel(k, size) for k, size in zip(keys, sizes, strict=True)]
        held, told, expected = abreast(self._looks)(*parts, noise)
        return Sight(told, (kept, held), as_record(seen_in(view)) | {"predicted": expected})

    def _read(self, memory: Memory, view: View) -> tuple[Array, Held, View, Heads, Any]:
        """The trunk's memory, and what is to be computed abreast: small arrays alone."""
        kept, held = memory
        x = inputs(view.obs, seen_in(view), self.model.sizes[-1], self.goals)
        e, kept = self.model.trunk(x, kept)
        small = eqx.tree_at(lambda v: v.obs, view, jnp.zeros(0))
        return kept, held, small, self.model.heads(x, e), self.temper

    def _holds(self, held: Held, view: View, heads: Heads, temper: Any) -> Held:
        held = heard(held, view, self.rates, temper)
        reading = read(heads, view.public_legal[1:])
        return looked(held, view, reading, self.rates, self.amortised)

    def _looks(
        self, held: Held, view: View, heads: Heads, temper: Any, noise: list[Array]
    ) -> tuple[Held, Float[Array, "M C *b"], Float[Array, "M A *b"]]:
        """What is held, what of it is told, and log-probabilities of the next moves."""
        held, there = self._holds(held, view, heads, temper), view.alive[1:][:, None]
        told = told_of(held, noise, self.goal_input, self.action_input)
        told = jnp.concatenate([there, *told], 1)
        return held, jnp.where(there, told, 0.0), log_of(predicted(held), 1)


def make_reader(config: Config, env: Env, key: PRNGKeyArray) -> GoalReader:
    n, actions = env.num_seats, env.num_actions
    size = width(features_of(env), n, actions, env.num_goals)
    own = {"codes": config.codes, "none": 1, "rewards": actions}
    goals = own.get(config.goals, max(env.num_goals, 1))
    sizes = size, n - 1, actions, config.types or 1, goals, config.reader_widths, config.reader_gru
    model = ActionModel(*sizes, key, env if config.around else None)
    window = config.window if config.goals == "codes" else 0
    told = config.goals in ("events", "declared", "rewards")
    # who sees an event does not see what it paid another
    told &= not config.bounded or config.paid_me is not None
    speeds = config.mix, config.drift, config.type_drift, config.habit, config.decay
    rates = Rates(*speeds, window, told, config.paid_me, config.goals == "rewards")
    how = config.belief == "amortised", config.goal_input, config.action_input
    joint = config.belief == "joint"
    prior = jnp.zeros(len(assignments(n - 1, config.types or 1))) if joint else None
    named = config.game_goals and env.num_goals == goals
    heat = jnp.zeros(()) if config.temper else None
    return GoalReader(model, env.num_goals, named, rates, *how, prior, config.vanish, heat)


def reader_loss(
    ids: tuple[int, ...], config: Config, env: Env, reader: GoalReader, study: Study
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cross-entropies of moves, goals and types of every other present, in nats.

    Moves: -sum_g q(g) log pi(a_j | e, x_j, k, g) with q one goal where hindsight knows it, else
    what the moves of its stretch make likely. Who is of no known type teaches nothing where types
    are told apart.
    """
    model = reader.model
    along = lambda obs, seen: inputs(env.encode(obs), seen, model.sizes[-1], reader.goals)
    x = jax.vmap(along)(study.obs, study.seen)
    e = model.trunk.along(x, study.contact, study.acting, study.memory[0])
    reading = jax.vmap(model)(x, e, study.seen.legal)
    kind, typed = types_of(ids, study.opponent, model.sizes[1])
    counts = study.moves != NO_MOVE
    if config.types_from == "opponents":
        counts &= typed
    done = study.moves[..., None, None, None] == jnp.arange(model.sizes[-1])[None, None, None, None]
    log_pi = jnp.where(done & counts[..., None, None, None], reading.moves, 0.0).sum(-1)
    if config.types_from == "moves":
        before = over_types(begun(study, reader.rates))
        kind = types_found(study, jnp.log(before + 1e-9), reading, lax.stop_gradient(log_pi))
    of_kind = lambda x: (kind[..., None] * x).sum(2)  # [T, M, Y, G] -> [T, M, G]
    log_pi, log_goal = of_kind(log_pi), of_kind(reading.goals)
    q = goals_of(study, log_pi, log_goal)
    parts = {
        "moves_loss": -(q * log_pi).sum(-1),
        "goals_loss": -(q * log_goal).sum(-1),
        "types_loss": -(kind * reading.types).sum(-1),
    }
    number = dict.fromkeys(parts, counts.sum().astype(jnp.float32))
    sums = {name: masked_sum(x, counts) for name, x in parts.items()}
    if reader.prior is not None:
        sums["joint_loss"], number["joint_loss"] = met_together(reader.prior, study, kind, typed)
    if reader.temper is not None:
        fresh = held_at_first(model.sizes, reader.prior, reader.vanish)
        told = tempered(reader.temper, reader.rates, fresh, study, reading, kind, typed)
        sums["temper_loss"], number["temper_loss"] = told
    return sums, number


class Agent(informed.Agent):
    """The policy that is trained; it tells what it believes of the others and expects of them."""

    def predict(self, memory: Memory, view: View) -> Float[Array, "M A"]:
        """Log-probabilities of the others' moves in this slot."""
        return log_of(predicted(self.net.reader.held(memory[1], view)[1]))

    def types(self, memory: Memory, view: View) -> Float[Array, "M Y"]:
        """Over the opponents of the training, in the order in which they were named."""
        return over_types(self.net.reader.held(memory[1], view)[1])

    def decode(self, memory: Memory, view: View) -> Float[Array, "M Y A"]:
        """Log-probabilities of the others' moves, had each been of each type."""
        held = self.net.reader.held(memory[1], view)[1]
        goals = jax.nn.softmax(held.log_belief)  # given the type
        return log_of((goals[..., None] * held.moves).sum(2))

    def expects(self, sight: Sight, there: Bool[Array, " M"]) -> Joint | Float[Array, "M A"]:
        """The others' moves in a slot that was looked at, as planners take them: together where
        they are inferred together."""
        held = sight.memory[1]
        if held.joint is not None:
            return Joint(*together(held))
        return jnp.where(there[:, None], jnp.exp(sight.record["predicted"]), 0.0)

    def joint(self, memory: Memory, view: View) -> Joint:
        """What the others do in this slot under each hypothesis of their types, and how likely
        that is: a single one where each is inferred for itself."""
        return Joint(*together(self.net.reader.held(memory[1], view)[1]))

    @property
    def belief(self) -> Callable[[Memory, View], Float[Array, "M G"]]:
        """Over the goal of each other; there is none where those of the game are not inferred."""
        if not self.net.reader.named:
            raise AttributeError("belief: the game's goals are not inferred here")
        return lambda memory, view: over_goals(self.net.reader.held(memory[1], view)[1])


def system_of(ids: tuple[int, ...] = ()) -> System:
    """Its parts; ``ids`` are the opponents of a training."""
    labels = {"keeps": paid_at_first, "note": noted, "prepare": prepared}
    return System(make_reader, partial(reader_loss, ids), Agent, **labels)


init_learner, init, policy, _, train = informed.functions(system_of(), __name__)


def learn(config: Config, state: Any, chunk: Any) -> tuple[Any, dict[str, Array]]:
    """Every kind of learner learns from its own places of a chunk."""
    ids = tuple(opponent_ids(state.spec.seating.kinds))
    return informed.learn(system_of(ids), config, state, chunk)
