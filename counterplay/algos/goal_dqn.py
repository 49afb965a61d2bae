"""DQN that knows whom it plays: infers each other's type and goal, predicts its next move, and
rates its own moves accordingly.

``Q(a_i | o_i, b_j, a_j')``: ``goal_ppo``'s reader beside ``dqn``. What the policy was told is kept
in the replay beside what it saw, so no gradient passes to the reader, which learns apart, from
every chunk of play while it is fresh. Reads top to bottom: settings, the agent, one iteration.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import Options, Update, dqn, dqn_settings, goal_ppo, loops
from counterplay.algos.adam import optimiser
from counterplay.algos.fitting import fit_reader
from counterplay.algos.goal_ppo import GoalReader, make_reader, reader_loss
from counterplay.algos.goal_settings import GoalSettings, opponent_ids
from counterplay.algos.informed_settings import ReaderSettings
from counterplay.algos.labels import noted, paid_at_first, prepared
from counterplay.algos.loops import Spec
from counterplay.algos.offpolicy import TOLD
from counterplay.algos.study import judged, studies
from counterplay.maths import epsilon_soft, sample_action
from counterplay.models.history import features_of
from counterplay.models.q import ConditionedQ
from counterplay.rollout import Chunk
from counterplay.seats import Roster, Seating
from counterplay.types import Act, Env, Memory, View

DEFAULTS = Options()


@dataclass(frozen=True)
class Config(GoalSettings, ReaderSettings, dqn_settings.Config):
    """Settings of DQN that infers goals and predicts moves."""

    window: int = 32
    """Slots of a window, for recurrent networks."""
    code_window: int = 8
    """Slots of an episode for which a code holds: goal_ppo's window."""
    reader_grad_norm: float = 0.5
    """Longer gradients of the reader are shortened to this norm: goal_ppo's max_grad_norm."""

    NAME: ClassVar[str] = "goal_dqn"

    def __post_init__(self):
        super().__post_init__()
        self.check_reader()
        self.check_goals()
        if self.code_window < 1:
            raise ValueError(f"goal_dqn: code_window must be at least 1, found {self.code_window}")
        if not 0 < self.reader_grad_norm < float("inf"):
            raise ValueError(
                f"goal_dqn: reader_grad_norm must be positive, found {self.reader_grad_norm}"
            )

    @property
    def reading(self) -> goal_ppo.Config:
        """What the reader is made of and learns by: goal_ppo's settings of the same names."""
        names = [f.name for kind in (ReaderSettings, GoalSettings) for f in fields(kind)]
        own: dict[str, Any] = {name: getattr(self, name) for name in names}
        own |= {"window": self.code_window, "max_grad_norm": self.reader_grad_norm}
        return goal_ppo.Config(**own)


class Net(eqx.Module):
    """All that plays."""

    policy: ConditionedQ
    reader: GoalReader


class Agent(goal_ppo.Agent):
    """The policy that is trained; it tells what it believes of the others and expects of them.

    Its memory, the policy's and the reader's, lasts for a match.
    """

    net: Net
    epsilon: Float[Array, "*k"] = eqx.field(default_factory=lambda: jnp.float32(0.05))
    """Chance of a random legal move; none in greedy play."""

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        sight = self.sight(memory, view, jr.fold_in(key, 1))
        q, kept = self.net.policy((view.obs, sight.told), memory[0])
        epsilon = jnp.zeros_like(self.epsilon) if greedy else self.epsilon
        action = sample_action(key, epsilon_soft(q, view.legal, epsilon))
        return Act(action, (kept, sight.memory), {"told": sight.told} | sight.record)

    def values(self, memory: Memory, view: View) -> Float[Array, " A"]:
        """Of every move."""
        return self.net.policy((view.obs, self.sight(memory, view).told), memory[0])[0]

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        return epsilon_soft(self.values(memory, view), view.legal, self.epsilon)

    def value(self, memory: Memory, view: View) -> Float[Array, ""]:
        """Of playing on by these chances."""
        q, log_pi = self.values(memory, view), self.log_probs(memory, view)
        return jnp.where(view.legal, jnp.exp(log_pi) * q, 0.0).sum()


class Learner(NamedTuple):
    """What one kind of learner keeps, leaves [K, ...]: K = 1 shared, else one net a seat."""

    net: Net
    target: ConditionedQ
    optimiser: Any
    reading: Any
    """Of the reader's optimiser."""
    kept: Any = None
    """What labels go by, of the iterations before."""

    @property
    def rating(self) -> dqn.Learner:
        """The part that DQN teaches."""
        return dqn.Learner(self.net.policy, self.target, self.optimiser)


def init_learner(config: Config, env: Env, members: int, key: PRNGKeyArray) -> Learner:
    """Fresh networks, one a member."""

    def one(key: PRNGKeyArray) -> Net:
        policy_key, reader_key = jr.split(key)
        reader = make_reader(config.reading, env, reader_key)
        sizes = features_of(env), env.num_actions, config.widths, config.gru
        more = config.activation, config.duelling, *reader.told, config.told_width, config.marks
        return Net(ConditionedQ(*sizes, policy_key, *more), reader)

    net = jax.vmap(one)(jr.split(key, members))
    start: Any = optimiser(config).init
    each = jax.vmap(lambda part: start(eqx.filter(part, eqx.is_inexact_array)))
    target = jax.tree.map(jnp.copy, net.policy)
    kept = paid_at_first(config, members)
    return Learner(net, target, each(net.policy), each(net.reader), kept)


def told_of(config: Config, env: Env) -> tuple[int, int]:
    """Rows and numbers a row that the policy is told; ``config`` knows who plays."""
    return jax.eval_shape(partial(make_reader, config.reading, env), jr.key(0)).told


def init(config: Config, spec: Spec, key: PRNGKeyArray) -> dqn.State:
    """Fresh networks, the same on every shard, and an empty replay."""
    return dqn.init(config, spec, key, init_learner, told_of(config, spec.env))


def policy(config: Config, state: dqn.State) -> tuple[Agent, ...]:
    """What plays while learning: one policy a kind of learner, leaves [K, ...]."""
    return dqn.policy(config, state, Agent)


def stored(seating: Seating, chunk: Chunk) -> Float[Array, "L T N M C"]:
    """What every player was told; zeros for those who do not learn."""
    told = {i: chunk.records[i]["told"] for i, _ in dqn.learning(seating)}
    *_, slots, rows, row = next(iter(told.values())).shape
    nothing = lambda places: jnp.zeros((*places.shape, slots, rows, row))
    parts = [told.get(i, nothing(places)) for i, places in enumerate(seating.places)]
    return jnp.moveaxis(seating.put(parts), 1, 2)


def learn(config: Config, state: dqn.State, chunk: Chunk) -> tuple[dqn.State, dict[str, Array]]:
    """Every kind of learner learns to rate moves from the replay, and to read from this chunk."""
    spec, (key, rate_key, read_key) = state.spec, jr.split(state.key, 3)
    progress, kinds = dqn.progress_of(config, state), dqn.learning(spec.seating)
    rated = tuple(learner.rating for learner in state.learners)
    before = dqn.State(rated, state.replay, state.steps, state.updates, rate_key, spec)
    after, metrics = dqn.learn(config, before, chunk, **{TOLD: stored(spec.seating, chunk)})
    keys, learners, infos, bad = jr.split(read_key, len(kinds)), [], [], []
    for (index, _), old, new, k in zip(kinds, state.learners, after.learners, keys, strict=True):
        reader, opt, kept, info = read(config, spec, index, old, chunk, progress, k)
        learners.append(Learner(Net(new.net, reader), new.target, new.optimiser, opt, kept))
        bad.append(info.pop("bad_updates"))
        infos.append(jax.tree.map(jnp.mean, info))
    metrics |= jax.tree.map(lambda *x: sum(x) / len(x), *infos)
    metrics["bad_updates"] = metrics["bad_updates"] + jnp.concatenate(bad)
    state = dqn.State(tuple(learners), after.replay, after.steps, after.updates, key, spec)
    return state, metrics


def read(
    config: Config,
    spec: Spec,
    index: int,
    learner: Learner,
    chunk: Chunk,
    progress: Float[Array, ""],
    key: PRNGKeyArray,
) -> tuple[GoalReader, Any, Any, dict[str, Array]]:
    """The readers of one kind of learner, having learnt from a chunk, their optimisers, what
    labels go by, metrics."""
    study = studies(spec.seating, index, chunk)
    kept = noted(config, study, learner.kept, spec.axis)
    study = prepared(config.reading, study, kept)
    loss = partial(reader_loss, tuple(opponent_ids(spec.seating.kinds)))
    parts = learner.net.reader, learner.reading, study, progress, key
    reader, opt, info = fit_reader(loss, config.reading, spec, *parts)
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    return reader, opt, kept, info | judged(study, chunk.records[index], total)


def describe(config: Config, env: Env, roster: Roster, lent: bool = False) -> str:
    """As ``dqn.describe``; ``config`` knows who plays."""
    return dqn.describe(config, env, roster, lent, told_of(config, env))


def train(
    config: Config, env: Env, roster: Roster, options: Options = DEFAULTS
) -> Iterator[Update]:
    """Trains every seed; yields once an iteration."""
    if not (options.lend or options.resume):
        loops.resolved(config, env).check_start()
    return loops.train(config, env, roster, sys.modules[__name__], options)
