"""Our agent: infers whom it plays, expects their moves, learns the game, and plans in that.

``tau -> (k_j, g_j) -> a_j'``, ``pi(a_i | e, b, a_j')``, ``e = f(o)``, ``P(e' | e, a_i, a_-i)``, and
``argmax over a_i of sum P (r + gamma V(e', b'))`` in place of a search through a simulator. It is
``goal_ppo`` in whose moves what was planned has as much of a say as plans have earned: the policy
alone learns as there, and from the plans. Reads top to bottom: what is learnt, how it acts, what
it learns from an iteration.
"""

import sys
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from counterplay.algos import goal_ppo, informed, ppo
from counterplay.algos.counterplay_settings import Config
from counterplay.algos.dreaming import dreams, dreamt_from, fit_policy
from counterplay.algos.fitting import fit_reader, here, minibatches_of
from counterplay.algos.imagining import earlier, judged, model_loss, modelling, stretches
from counterplay.algos.informed import Sight, System
from counterplay.algos.replanning import optimiser_of, replanned
from counterplay.algos.thinking import Belief, Mind, Model, Node, make_model, root_of, rows_of
from counterplay.maths import chosen, masked_log_softmax, sample_action, v_trace
from counterplay.models.beliefs import doubt_of
from counterplay.models.conditioned import Conditioned
from counterplay.models.history import from_record
from counterplay.models.values import Values
from counterplay.models.world import world_of
from counterplay.planning import Functions, Plan
from counterplay.planning.latent import ignoring, likeliest, plan, staying
from counterplay.planning.simulator import Thought
from counterplay.types import Act, Env, Memory, View


class Planning(NamedTuple):
    """How it plans."""

    form: str
    depth: int
    samples: int
    gamma: float
    temperature: float
    explore: float
    distil: float
    dreams: bool
    """It imagines, to learn from that, from what it keeps of each slot."""


class Net(eqx.Module):
    """All that is learnt, and what it was found to be worth."""

    policy: Conditioned
    reader: goal_ppo.GoalReader
    model: Model
    slow: Values
    """The value that plans: follows the one that learns."""
    trust: Float[Array, "*k"]
    """How much of a say plans have, 0 to 1."""
    sound: Float[Array, "*k"]
    """Whether dreams are learnt from: 1 where the model knows the rules, else 0."""
    spread: Float[Array, "*k"]
    """Of what moves are worth, from the 5th to the 95th of a hundred."""
    how: Planning = eqx.field(static=True)


class Seeing(NamedTuple):
    """What it makes of one slot, before it plans."""

    sight: Sight
    e: Float[Array, " E"]
    log_pi: Float[Array, " A"]
    """Of the policy alone."""
    value: Float[Array, ""]
    """By the policy's own critic."""
    rows: Float[Array, "M R"]
    """What the value that plans is told of the others."""
    kept: Array
    """The policy's memory."""

    @property
    def memory(self) -> Memory:
        return self.kept, self.sight.memory, self.e


class Agent(goal_ppo.Agent):
    """The policy that is trained. Its memory lasts for a match: the policy's, the reader's, and
    the latent of the game."""

    net: Net
    learning: bool = eqx.field(static=True, default=False)
    """It explores."""
    counted: bool = eqx.field(static=True, default=False)
    """Its decisions are, as of somebody who was asked to plan."""

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        net = self.net
        if memory is None:
            return jnp.zeros(net.policy.gru), net.reader.begin(None), net.model.world.begin()
        return memory[0], net.reader.begin(memory[1]), memory[2]

    def see(self, key: PRNGKeyArray, memory: Memory, view: View) -> Seeing:
        """Sees, infers and expects."""
        see_key, look_key = jr.split(key)
        sight = self.sight(memory, view, look_key)
        world, seen = self.net.model.world, from_record(sight.record)
        e = world.see(see_key, memory[2], world.inputs(view.obs, seen), seen)
        logits, value, kept = self.net.policy((view.obs, sight.told), memory[0])
        log_pi = masked_log_softmax(logits, view.legal)
        rows = rows_of(sight.memory[1].log_belief, view.alive[1:])
        return Seeing(sight, e, log_pi, value, rows, kept)

    def planned(self, key: PRNGKeyArray, slot: Seeing, view: View) -> Plan:
        """What moves are worth, and how often each is made: as the policy would, tilted by that."""
        how, net = self.net.how, self.net
        f = self.functions(arriving=how.form == "arriving")
        if how.form == "none":
            return Plan(jnp.zeros_like(slot.log_pi), jnp.exp(slot.log_pi))
        rates = {"gamma": how.gamma, "reward_weight": 1.0}
        step, actions, update = f.step, f.actions, f.update
        if how.form == "even":
            actions, update = ignoring(actions, update)
        if how.form in ("likeliest", "letter", "arriving"):
            actions = likeliest(actions)
        if how.form in ("letter", "arriving"):
            rates = {"gamma": 1.0, "reward_weight": 0.0}
        if how.form == "arriving":
            step = staying(step)
        heat = how.temperature * jnp.maximum(net.spread, 1.0) / jnp.maximum(net.trust, 1e-6)
        root, belief = self.root(slot, view)
        return plan(
            step, actions, update, f.value, root, belief, slot.log_pi, view.legal,
            view.alive, key, depth=how.depth, samples=how.samples, temperature=heat, **rates,
        )  # fmt: skip

    def root(self, slot: Seeing, view: View) -> tuple[Node, Belief]:
        """Where planning begins, and what is believed there."""
        return root_of(slot.e, slot.sight.memory[1], view.alive)

    def functions(self, eager: bool = False, arriving: bool = False) -> Functions:
        """What it plans with; see ``Mind``."""
        net = self.net
        return Mind(net.model, net.slow, net.reader, net.policy, arriving, eager).functions

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        see_key, plan_key, act_key = jr.split(key, 3)
        slot = self.see(see_key, memory, view)
        planned = self.planned(plan_key, slot, view)
        log_mu = self.plays(planned, view)
        best = jnp.argmax(log_mu).astype(jnp.int32)
        action = best if greedy else sample_action(act_key, log_mu)
        record = {"log_pi": chosen(log_mu, action), "own": chosen(slot.log_pi, action)}
        record |= {"value": slot.value, "told": slot.sight.told, "rows": slot.rows}
        record |= {"worth": self.net.slow.mean(slot.e, slot.rows), "plan": planned.weights}
        gain = chosen(planned.q, action) - (jnp.exp(slot.log_pi) * planned.q).sum()
        record |= {"gain": gain, "pull": self.net.how.distil * self.net.trust}
        record |= {"doubt": doubt_of(slot.sight.memory[1])}
        if self.learning and self.net.how.dreams:
            record |= dreamt_from(slot.e, slot.sight.memory[1])
        record |= {"simulator_calls": jnp.int32(0)} if self.counted else {}
        return Act(action, slot.memory, record | slot.sight.record)

    def plays(self, planned: Plan, view: View) -> Float[Array, " A"]:
        """Log-probabilities: the plan, and while learning a share of all legal moves alike."""
        even = view.legal / jnp.maximum(view.legal.sum(), 1)
        explores = self.learning and self.net.how.form != "none"
        share = jnp.where(explores & (self.net.trust > 0), self.net.how.explore, 0.0)
        mu = (1 - share) * planned.weights + share * even
        return jnp.where(view.legal, jnp.log(mu), -jnp.inf)

    def log_probs(self, memory: Memory, view: View) -> Float[Array, " A"]:
        """Of its moves; what is drawn on the way is always the same."""
        slot = self.see(jr.key(0), memory, view)
        return self.plays(self.planned(jr.key(1), slot, view), view)

    def worth(self, memory: Memory, view: View) -> Float[Array, ""]:
        """What playing on from here is worth, by the value that plans."""
        slot = self.see(jr.key(0), memory, view)
        return self.net.slow.mean(slot.e, slot.rows)

    def thought(self, key: PRNGKeyArray, memory: Memory, view: View) -> Thought:
        """What a search in the true simulator is told: the same value, belief and expectations."""
        slot = self.see(key, memory, view)
        moves = self.expects(slot.sight, view.alive[1:])
        return Thought(slot.log_pi, self.net.slow.mean(slot.e, slot.rows), moves, slot.memory)


class Learner(NamedTuple):
    """What one kind of learner keeps, leaves [K, ...]: K = 1 shared, else one net a seat."""

    net: Net
    optimiser: Any
    reading: Any
    modelling: Any
    """Of the model's optimiser."""
    kept: Any = None
    """What labels go by, of the iterations before."""
    planning: Any = None
    """Of the optimiser that draws the policy to plans made anew."""


def make_net(config: Config, env: Env, parts: informed.Net, key: PRNGKeyArray) -> Net:
    """A policy and a reader, joined by what it plans with."""
    sizes = {"hidden": config.latent, "groups": config.groups, "classes": config.classes}
    sizes |= {"width": config.world_width, "token": config.world_token}
    world = world_of(env, key, **sizes)
    model = make_model(config, world, parts.reader.model.sizes, jr.fold_in(key, 1))
    how = Planning(config.plan, config.depth, config.samples, config.gamma, config.temperature,
                   config.explore, config.distil, config.real_ratio < 1)  # fmt: skip
    slow = jax.tree.map(jnp.copy, model.values)
    none, one = jnp.float32(0), jnp.float32(1)
    return Net(parts.policy, parts.reader, model, slow, none, none, one, how)


def init_learner(config: Config, env: Env, members: int, key: PRNGKeyArray) -> Learner:
    """Fresh networks, one a member."""
    parts_key, key = jr.split(key)
    parts = informed.init_learner(system_of(), config, env, members, parts_key)
    net = jax.vmap(partial(make_net, config, env))(parts.net, jr.split(key, members))
    model_opt = informed.fresh_optimiser(config, net.model)
    more = model_opt, parts.kept, optimiser_of(config, net.policy)
    return Learner(net, parts.optimiser, parts.reading, *more)


def learn_more(
    config: Config, spec: Any, index: int, learner: Learner, study: Any, chunk: Any,
    progress: Array, key: PRNGKeyArray, old: Any = None,
) -> tuple[Learner, dict[str, Array]]:  # fmt: skip
    """Beside policy and reader: the game, what is expected in it, and what it is worth."""
    seating, record = spec.seating, chunk.records[index]
    net, total = learner.net, (lambda x: lax.psum(x, spec.axis)) if spec.axis else (lambda x: x)
    each = jax.vmap(jax.vmap(lambda n, *x: Agent(n).worth(*x), (None, 0, 0)))
    last = each(net, chunk.next_memories[index], chunk.next_views[index])
    key, fit_key, dream_key, learn_key, again_key, plan_key = jr.split(key, 6)
    stretch = stretches(spec.env, seating, index, chunk, study, key)
    ratio = jnp.exp(record["own"] - record["log_pi"])
    window, each = stretch.window, jax.vmap(jax.vmap(partial(v_trace, lam=config.lam)))
    discount = config.gamma * window.continues[..., 0]
    told = window.reward, discount, record["worth"], last, stretch.closing
    target, happened = each(*told, ratio), each(*told, jnp.ones_like(ratio))
    keep = lambda x: jnp.where(window.shown, x, 0.0)  # not even a NaN of the absent can spread
    stretch = stretch._replace(target=keep(target), worth=keep(record["worth"]))
    dreamt = {}
    if config.real_ratio < 1:
        dreamt = dreams(config, net, spec, record, stretch, dream_key)
        stretch = stretch._replace(dreamt=dreamt)
        fitted, dreamt = fit_policy(config, spec, learner, dreamt, progress, learn_key)
        net = eqx.tree_at(lambda n: n.policy, net, fitted.net)
        learner = learner._replace(optimiser=fitted.optimiser)
    how, loss = modelling(config), partial(model_loss, (*goal_ppo.opponent_ids(seating.kinds),))
    before = old and earlier(spec.env, seating, index, old, stretch, again_key)
    model, opt, info = fit_reader(
        loss, how, spec, net.model, learner.modelling, stretch, progress, fit_key, before
    )
    bad = info.pop("bad_updates") + dreamt.pop("bad_updates", 0.0)
    wrong = {name: info.pop(f"{name}_wrong") for name in ("legal", "alive")}
    info |= {f"{name}_right": 1 - x for name, x in wrong.items()}
    found = record["gain"], keep(happened), stretch.worth, stretch.acting
    trust, told = judged(config, *found, info, progress, total)
    places = stretch.acting.shape[1], here(how, spec)
    kept = config.slow ** (
        config.world_epochs * minibatches_of(*places, config.world_minibatches)[1]
    )
    slow = jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, net.slow, model.values)
    where = lambda n: (n.model, n.slow, n.trust, n.sound, n.spread)
    spread = 0.9 * net.spread + 0.1 * told["spread"]
    net = eqx.tree_at(where, net, (model, slow, trust, told.pop("sound"), spread))
    learner = learner._replace(net=net, modelling=opt)
    anew = Agent, learner, before, old, progress, plan_key
    learner, anew = replanned(config, spec, index, *anew)
    return learner, info | told | dreamt | anew | {"bad_updates": bad + anew.pop("bad_updates", 0)}


def system_of(ids: tuple[int, ...] = ()) -> System:
    """Its parts; ``ids`` are the opponents of a training."""
    return goal_ppo.system_of(ids)._replace(agent=Agent, more=learn_more)


def init(config: Config, spec: Any, key: PRNGKeyArray) -> ppo.State:
    """Fresh networks, the same on every shard."""
    return informed.init(system_of(), config, spec, key, lambda system, *x: init_learner(*x))


def policy(config: Config, state: ppo.State) -> tuple[Agent, ...]:
    """What plays while learning: one policy a kind of learner, leaves [K, ...]."""
    return tuple(Agent(learner.net, learning=True) for learner in state.learners)


def learn(config: Config, state: Any, chunk: Any) -> tuple[Any, dict[str, Array]]:
    """Every kind of learner learns from its own places of a chunk."""
    ids = tuple(goal_ppo.opponent_ids(state.spec.seating.kinds))
    return informed.learn(system_of(ids), config, state, chunk)


train = partial(informed.train, sys.modules[__name__])
