"""What PPO agents share that read the others: a policy that is told what its reader makes of them.

The policy learns as PPO does, from what it was told while it played, so no gradient passes from it
to the reader. The reader learns apart, from stretches of play of one place each. An algorithm gives
the reader, its loss and its settings; see ``naive_om`` for the shortest.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import Options, Update, loops, ppo
from counterplay.algos.adam import optimiser
from counterplay.algos.fitting import fit_reader, share
from counterplay.algos.folding import Reading
from counterplay.algos.informed_settings import Config
from counterplay.algos.loops import Spec
from counterplay.algos.onpolicy import rows_of
from counterplay.algos.past import Again, again, past_of, written
from counterplay.algos.study import Study, judged, paid_more, studies
from counterplay.maths import chosen, masked_log_softmax, masked_mean, sample_action
from counterplay.models.conditioned import Conditioned
from counterplay.models.history import features_of
from counterplay.rollout import Chunk, summary
from counterplay.seats import Roster
from counterplay.spread import shard_key
from counterplay.types import Act, Env, Memory, View

DEFAULTS = Options()


class Sight(NamedTuple):
    """What a reader makes of one slot."""

    told: Float[Array, "R C"]
    """What the policy is told, a row each other or one in all; rows of zeros for the absent."""
    memory: Memory
    record: dict[str, Array]
    """What its learning wants back, and ``predicted``, log-probabilities [M, A], if it predicts."""


class Reader(Protocol):
    """Reads the others, from one seat of one lane."""

    @property
    def told(self) -> tuple[int, int]:
        """Rows and numbers a row that the policy is told."""
        ...

    def begin(self, memory: Memory | None) -> Memory: ...
    def look(self, key: PRNGKeyArray, memory: Memory, view: View) -> Sight: ...


class Net(eqx.Module):
    """All that is learnt."""

    policy: Conditioned
    reader: Any


class Agent(eqx.Module):
    """The policy that is trained; its memory, the policy's and the reader's, lasts for a match."""

    net: Net

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        if memory is None:
            return jnp.zeros(self.net.policy.gru), self.net.reader.begin(None)
        return memory[0], self.net.reader.begin(memory[1])

    def sight(self, memory: Memory, view: View, key: PRNGKeyArray | None = None) -> Sight:
        """What the reader makes of this slot. Without a key, samples are always the same."""
        return self.net.reader.look(jr.key(0) if key is None else key, memory[1], view)

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        return self.decided(key, memory, view, greedy)[0]

    def decided(
        self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool
    ) -> tuple[Act, Float[Array, " A"]]:
        """A move, and the log-probabilities from which it was drawn."""
        sight = self.sight(memory, view, jr.fold_in(key, 1))
        logits, value, kept = self.net.policy((view.obs, sight.told), memory[0])
        log_pi = masked_log_softmax(logits, view.legal)
        action = jnp.argmax(log_pi).astype(jnp.int32) if greedy else sample_action(key, log_pi)
        record = {"log_pi": chosen(log_pi, action), "value": value, "told": sight.told}
        return Act(action, (kept, sight.memory), record | sight.record), log_pi

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        told = self.sight(memory, view).told
        logits = self.net.policy((view.obs, told), memory[0])[0]
        return masked_log_softmax(logits, view.legal)

    def value(self, memory: Memory, view: View) -> Float[Array, ""]:
        return self.net.policy((view.obs, self.sight(memory, view).told), memory[0])[1]


class Predictor(Agent):
    """The same; its reader expects moves of the others, and this tells which."""

    def predict(self, memory: Memory, view: View) -> Float[Array, "M A"]:
        """Log-probabilities of the others' moves in this slot."""
        return self.sight(memory, view).record["predicted"]


class Learner(NamedTuple):
    """What one kind of learner keeps, leaves [K, ...]: K = 1 shared, else one net a seat."""

    net: Net
    optimiser: Any
    reading: Any
    """Of the reader's optimiser."""
    kept: Any = None
    """What labels go by, of the iterations before."""


Loss = Callable[[Any, Env, Any, Study], tuple[dict[str, Array], dict[str, Array]]]
"""(config, env, reader, one place's study) -> parts of the loss, summed over its slots, and how
many entries each is the sum of."""


class System(NamedTuple):
    """What an algorithm is made of."""

    reader: Callable[[Any, Env, PRNGKeyArray], Any]
    loss: Loss
    agent: Callable[[Net], Any] = Agent
    reward: Callable[..., Array | None] | None = None
    """(config, env, readers [K], studies [K, P, T]) -> added to the reward [K, P, T], or None."""
    keeps: Callable[[Any, int], Any] = lambda config, members: None
    """(config, members) -> what labels go by before anything was played, leaves [K, ...]."""
    note: Callable[..., Any] = lambda config, study, kept, axis: kept
    """(config, studies [K, P, T], what labels go by, name of shards that learn together) -> what
    they go by from these studies on, the same on every shard."""
    prepare: Callable[[Any, Study, Any], Study] = lambda config, study, kept: study
    """(config, studies [K, P, T], what labels go by) -> the studies with labels."""
    more: Callable[..., tuple[Any, dict[str, Array]]] | None = None
    """(config, spec, index, learner, studies, chunk, progress, key, earlier play) -> the learner,
    and metrics: what else it learns."""


class Functions(NamedTuple):
    """What the module of an algorithm has beside ``Config`` and ``Agent``."""

    init_learner: Callable[..., Any]
    init: Callable[..., Any]
    policy: Callable[..., Any]
    learn: Callable[..., Any]
    train: Callable[..., Iterator[Update]]


def functions(system: System, module: str) -> Functions:
    """Those of an algorithm that is made of these parts; ``module`` is its ``__name__``."""
    return Functions(
        partial(init_learner, system),
        partial(init, system),
        partial(policy, system),
        partial(learn, system),
        partial(train, sys.modules[module]),
    )


def init_learner(
    system: System, config: Config, env: Env, members: int, key: PRNGKeyArray
) -> Learner:
    """Fresh networks, one a member."""

    def one(key):
        policy_key, reader_key = jr.split(key)
        reader = system.reader(config, env, reader_key)
        sizes = features_of(env), env.num_actions, config.widths, config.gru
        rows, row = reader.told
        more = config.activation, rows, row, config.told_width, config.apart, config.first_policy
        return Net(Conditioned(*sizes, policy_key, *more, config.marks), reader)

    net = jax.vmap(one)(jr.split(key, members))
    policy_opt, reader_opt = (fresh_optimiser(config, part) for part in (net.policy, net.reader))
    return Learner(net, policy_opt, reader_opt, system.keeps(config, members))


def fresh_optimiser(config: Config, nets: Any) -> Any:
    """Of nets with leaves [K, ...], one each."""
    start: Any = optimiser(config).init
    return jax.vmap(lambda part: start(eqx.filter(part, eqx.is_inexact_array)))(nets)


def init(
    system: System, config: Config, spec: Spec, key: PRNGKeyArray, fresh: Any = init_learner
) -> ppo.State:
    """Fresh networks, the same on every shard; ``fresh`` makes those of one kind of learner."""
    net_key, key = jr.split(key)
    kinds = [kind for kind in spec.seating.kinds if kind.learner]
    keys = jr.split(net_key, len(kinds))
    make = partial(fresh, system, config, spec.env)
    learners: Any = tuple(make(kind.members, k) for kind, k in zip(kinds, keys, strict=True))
    agents = [system.agent(learner.net) for learner in learners]
    slots = share(config.replay, spec)
    chunk: Any = config.slots  # filled in by now
    past = past_of(slots, chunk, spec.env, spec.seating, agents, config.seeds)
    return ppo.State(learners, jnp.float32(0), shard_key(key, spec.axis), spec, past)


def policy(system: System, config: Config, state: ppo.State) -> tuple[Any, ...]:
    """What plays while learning: one policy a kind of learner, leaves [K, ...]."""
    return tuple(system.agent(learner.net) for learner in state.learners)


def train(
    algorithm: Any, config: Config, env: Env, roster: Roster, options: Options = DEFAULTS
) -> Iterator[Update]:
    """Trains every seed; yields once an iteration. ``algorithm`` is the module of one."""
    return loops.train(config, env, roster, algorithm, options)


def learn(
    system: System, config: Config, state: ppo.State, chunk: Chunk
) -> tuple[ppo.State, dict[str, Array]]:
    """Every kind of learner learns from its own places of a chunk: its policy, then its reader."""
    spec, (key, learn_key) = state.spec, jr.split(state.key)
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    progress = jnp.minimum(state.steps / float(config.steps), 1.0)
    indices = [i for i, kind in enumerate(spec.seating.kinds) if kind.learner]
    past = state.past and written(state.past, spec.seating, chunk)
    after, infos, bad = [], [], []
    each = zip(indices, state.learners, jr.split(learn_key, len(indices)), strict=True)
    for i, learner, k in each:
        old = past and again(past, spec.env, spec.seating, i, chunk, jr.fold_in(k, 3))
        learner, info = _learn_one(system, config, spec, i, learner, chunk, progress, k, old)
        bad.append(info.pop("bad_updates"))
        after.append(learner)
        infos.append(jax.tree.map(jnp.mean, info))
    metrics = jax.tree.map(lambda *x: sum(x) / len(x), *infos)
    metrics |= jax.tree.map(total, summary(spec.seating, chunk))
    metrics["bad_updates"] = jnp.concatenate(bad)
    return ppo.State(tuple(after), state.steps + metrics["slots"], key, spec, past), metrics


def _learn_one(
    system: System,
    config: Config,
    spec: Spec,
    index: int,
    learner: Any,
    chunk: Chunk,
    progress: Float[Array, ""],
    key: PRNGKeyArray,
    old: Again | None,
) -> tuple[Any, dict[str, Array]]:
    total = (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    ppo_key, reader_key = jr.split(key)
    net, env, record = learner.net, spec.env, chunk.records[index]
    study = studies(spec.seating, index, chunk)
    kept = system.note(config, study, learner.kept, spec.axis)
    study = system.prepare(config, study, kept)
    old = old and old._replace(study=system.prepare(config, old.study, kept))
    more = system.reward and system.reward(config, env, net.reader, study)
    if more is not None:
        chunk = paid_more(spec.seating, index, chunk, more)
    value = jax.vmap(jax.vmap(lambda n, *x: system.agent(n).value(*x), (None, 0, 0)))
    last = value(net, chunk.next_memories[index], chunk.next_views[index])
    own = chunk._replace(memories=_first_of(chunk.memories, index))
    how = config.gamma, config.lam, total, config.gru
    drawn_to = record.get("plan"), record.get("pull")
    rows = rows_of(last, spec.seating, index, own, *how, record["told"], *drawn_to)
    reading = Reading(lambda x: (env.encode(x[0]), x[1]), lambda n: n)
    fitted, info = ppo.fit(
        config, reading, rows, ppo.Learner(net.policy, learner.optimiser), progress, ppo_key,
        spec.axis,
    )  # fmt: skip
    reader, reader_opt, told = fit_reader(
        system.loss, config, spec, net.reader, learner.reading, study._replace(record={}),
        progress, reader_key, old and old.study,
    )  # fmt: skip
    info["bad_updates"] = info["bad_updates"] + told.pop("bad_updates")
    info |= told | judged(study, record, total)
    if more is not None:
        info["added_reward"] = masked_mean(more, study.acting)
    net = eqx.tree_at(lambda n: (n.policy, n.reader), net, (fitted.net, reader))
    learner = learner._replace(net=net, optimiser=fitted.optimiser, reading=reader_opt, kept=kept)
    if system.more is None:
        return learner, info
    more_key = jr.fold_in(key, 2)  # a split has given the two before
    parts = study, chunk, progress, more_key, old
    learner, told = system.more(config, spec, index, learner, *parts)
    info["bad_updates"] = info["bad_updates"] + told.pop("bad_updates")
    return learner, info | told


def _first_of(memories: tuple, index: int) -> tuple:
    """The policy's own memory, in place of the policy's and the reader's."""
    return tuple(m[0] if i == index else m for i, m in enumerate(memories))
