"""Learning from what is only imagined: what counts, what is left alone, and that it is learning."""

from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from meadow import spoilt
from meadow_play import ENV, KINDS, ROSTER, SEATING, SMALL, SPEC, varied
from models.world_games import Written, learnt, window

from counterplay.algos import counterplay
from counterplay.algos.counterplay import Config
from counterplay.algos.dreaming import dream, dreams, fit_policy, starts_of
from counterplay.algos.imagining import model_loss, stretches
from counterplay.algos.labels import prepared
from counterplay.algos.loops import Spec
from counterplay.algos.study import studies
from counterplay.algos.thinking import Mind, Node
from counterplay.models.world_loss import posterior
from counterplay.planning import Arrival
from counterplay.rollout import collect, open_lanes

SIZES: dict[str, Any] = {"latent": 16, "world_width": 32, "world_token": 8}
TINY: dict[str, Any] = SMALL | SIZES | {"value_width": 8, "world_minibatches": 2, "gru": 0}
MATCHING = Written(num_goals=1)


@cache
def matching() -> Any:
    """The world of a game of one move, in which I earn 1 by doing as the other does."""
    rows = 4

    def play(key):
        joint = jr.randint(key, (rows, 2), 0, 2)
        base = window(MATCHING, 0, rows, contact=np.ones(rows), time=np.zeros(rows))
        reward = (joint[:, 0] == joint[:, 1]).astype(jnp.float32)
        gone = jnp.zeros((rows, 2), bool)
        return base._replace(joint=joint, reward=reward, continues=gone)

    world = learnt(MATCHING, play, 300, hidden=16, groups=0)
    w = play(jr.key(7))
    return world, posterior(world, w, w.obs, None, None)[0][0]


def test_to_do_as_the_other_will_is_learnt_without_a_single_real_move():
    """Type 0 makes move 0, type 1 move 1. The policy is told the belief, and learns in dreams
    alone to do the like of whoever it is told it plays."""
    world, e = matching()
    config = Config(
        types=2, widths=(16,), told_width=8, minibatches=1, real_ratio=0.5, world_steps=1,
        learning_rate=0.02, entropy=0.0, **SIZES,
    )  # fmt: skip
    learner = counterplay.init_learner(config, MATCHING, 1, jr.key(0))
    net = jax.tree.map(lambda x: x[0], learner.net)
    head = net.model.ahead
    goals = head.bias.shape[1]
    ways = jnp.zeros((2, goals, 2)).at[jnp.arange(2), :, jnp.arange(2)].set(5.0)  # [Y, G, A]
    ahead = eqx.tree_at(lambda a: (a.bias, a.move), head, (ways, jnp.zeros_like(head.move)))
    model = eqx.tree_at(lambda m: (m.world, m.ahead), net.model, (world, ahead))
    spec = Spec(MATCHING, SPEC.seating, None)
    node = Node(e, jnp.ones(1, bool), jnp.ones((1, 2), bool), None)
    even = jnp.full((1, 1, 1, goals), 1 / goals)
    beliefs = jnp.log(jnp.eye(2)[:, None, :, None] * even + 1e-9)

    @jax.jit
    def update(carry, key):
        mine, opt = carry
        dream_key, learn_key = jr.split(key)
        mind = Mind(model, net.slow, net.reader, jax.tree.map(lambda x: x[0], mine))
        keys = jr.split(dream_key, (2, 64))
        one = lambda log_b, k: dream(mind, node, log_b, jnp.ones(2, bool), k, (1, 1.0, 1.0))
        dreamt = jax.vmap(jax.vmap(one, (None, 0)))(beliefs, keys)
        dreamt = jax.tree.map(lambda x: x[None], dreamt)
        net_now = eqx.tree_at(lambda n: n.policy, learner.net, mine)
        now = learner._replace(net=net_now, optimiser=opt)
        fitted, _ = fit_policy(config, spec, now, dreamt, jnp.float32(0), learn_key)
        return (fitted.net, fitted.optimiser), dreamt.target.mean()

    (mine, _), earned = jax.lax.scan(
        update, (learner.net.policy, learner.optimiser), jr.split(jr.key(1), 60)
    )
    mind = Mind(model, net.slow, net.reader, jax.tree.map(lambda x: x[0], mine))
    chances = jnp.exp(jax.vmap(lambda b: mind.prior_of(node, b))(beliefs))
    assert (jnp.diagonal(chances) > 0.9).all(), chances
    assert earned[0] < 0.65 and earned[-1] > 0.9


class Clockwork(Mind):
    """A world of a clock. Type 0 always makes move 0, type 1 move 1; a move at hour t pays 2 ** t;
    playing on from it is worth 10 t, and 100 times how much type 0 is believed, by the lower head.
    """

    def chances(self, node):
        return jnp.eye(2)[None, :, None]

    def step(self, key, node, action, others):
        after = node._replace(e=node.e + 1)
        legal = jnp.ones(2, bool)
        return Arrival(after, 2.0 ** node.e[0], jnp.ones(()), legal, node.there)

    def told(self, node, belief):
        return node.e, jnp.zeros((1, 1))


def test_targets_of_dreams_are_lambda_returns_with_the_lower_head_and_the_belief_of_then():
    lower = lambda e, rows: 10 * e[0] + 100 * rows[0, 1]
    rates: Any = SimpleNamespace(least=lower, mean=lambda e, rows: lower(e, rows) + 1000)
    reader: Any = SimpleNamespace(temper=None)
    policy: Any = lambda x, memory: (jnp.zeros(2), jnp.float32(0), memory)
    mind = Clockwork(cast(Any, None), rates, reader, policy)
    node = Node(jnp.zeros(1), jnp.ones(1, bool), jnp.ones((1, 2), bool), None)
    belief, legal = jnp.log(jnp.full((1, 2, 1), 0.5)), jnp.ones(2, bool)
    gamma, lam, seen = 0.5, 0.9, set()
    play = jax.jit(lambda key: dream(mind, node, belief, legal, key, (3, gamma, lam)))
    for seed in range(8):
        found = play(jr.key(seed))
        first = float(found.rows[1, 0, 1])  # one move shows which type it is
        seen.add(round(first))
        assert first == pytest.approx(round(first), abs=1e-6)
        worth = [50.0] + [10 * t + 100 * round(first) for t in (1, 2, 3)]
        ahead = worth[3]
        for t in (2, 1, 0):
            ahead = 2.0**t + gamma * ((1 - lam) * worth[t + 1] + lam * ahead)
            assert float(found.target[t]) == pytest.approx(ahead, rel=1e-5)
        np.testing.assert_allclose(found.worth, worth[:3], rtol=1e-5)
    assert seen == {0, 1}


DREAMING = Config(**TINY, real_ratio=0.5, world_steps=3).among(ROSTER)


@cache
def dreamer() -> Any:
    """A chunk that begins inside matches, and what is imagined from it."""

    @jax.jit
    def play():
        state = counterplay.init(DREAMING, SPEC, jr.key(3))
        net = varied(state.learners[0].net)
        net = eqx.tree_at(lambda n: n.sound, net, jnp.ones_like(net.sound))
        state = eqx.tree_at(lambda s: s.learners[0].net, state, net)
        policies = (*counterplay.policy(DREAMING, state), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        chunk = collect(ENV, SEATING, policies, lanes, jr.key(14), slots=SMALL["slots"], match=2)[1]
        study = prepared(DREAMING, studies(SEATING, 0, chunk))
        stretch = stretches(ENV, SEATING, 0, chunk, study, jr.key(0))
        net, record = state.learners[0].net, chunk.records[0]
        dreamt = dreams(DREAMING, net, SPEC, record, stretch, jr.key(5))
        unsound = eqx.tree_at(lambda n: n.sound, net, jnp.zeros_like(net.sound))
        none = dreams(DREAMING, unsound, SPEC, record, stretch, jr.key(5)).there

        def taught(dreamt):
            """What the place that dreams most is taught."""
            some = stretch._replace(dreamt=dreamt)
            at = jnp.argmax(dreams_of.sum((0, 2, 3)))
            one = jax.tree.map(lambda x: x[0, at], some)
            model = jax.tree.map(lambda x: x[0], net.model)
            loss = lambda m: sum(model_loss((4, 7), DREAMING, ENV, m, one)[0].values())
            return jax.grad(loss)(model)

        dreams_of = dreamt.there
        away = dreamt._replace(there=jnp.zeros_like(dreamt.there))
        return state, chunk, dreamt, none, (taught(dreamt), taught(away))

    return play()


def test_dreams_teach_the_value_and_nothing_of_the_world():
    with_dreams, without = dreamer()[4]
    for part, alike in (("world", True), ("ahead", True), ("values", False)):
        pairs = zip(
            *(jax.tree.leaves(getattr(m, part)) for m in (with_dreams, without)), strict=True
        )
        assert all(np.array_equal(a, b) for a, b in pairs) == alike, part


def test_nothing_is_dreamt_in_a_world_that_is_not_known():
    assert dreamer()[2].there.any() and not dreamer()[3].any()


def test_where_nothing_is_dreamt_nothing_moves_not_even_by_its_momentum():
    state, _, dreamt, *_ = dreamer()
    learner = state.learners[0]
    moving = jax.tree.map(lambda x: x + 0.1 if x.dtype == jnp.float32 else x, learner.optimiser)
    learner = learner._replace(optimiser=moving)
    fit = jax.jit(partial(fit_policy, DREAMING, SPEC))
    for there, same in ((jnp.zeros_like(dreamt.there), True), (dreamt.there, False)):
        part = dreamt._replace(there=there)
        fitted, told = fit(learner, part, jnp.float32(0), jr.key(0))
        before, after = (learner.net.policy, moving), (fitted.net, fitted.optimiser)
        pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs) == same
        assert not told["bad_updates"].any()


def test_dreams_begin_where_somebody_was_and_hold_legal_moves():
    dreamt = dreamer()[2]
    there = np.asarray(dreamt.there)
    assert there.any() and not there[..., 0].all()
    assert (there[..., :-1] | ~there[..., 1:]).all(), "nobody comes back"
    made = jnp.take_along_axis(dreamt.legal, dreamt.action[..., None], -1)[..., 0]
    assert np.asarray(made)[there].all()
    starts = starts_of(DREAMING, SMALL["slots"])
    assert dreamt.there.shape[2:] == (starts, 3)
    assert np.isfinite(np.asarray(dreamt.target)[there]).all()


def test_as_many_are_imagined_as_the_ratio_says():
    for ratio, starts in ((0.5, 3), (0.25, 10), (0.8, 1), (1 / 6, 16)):
        assert starts_of(replace(DREAMING, real_ratio=ratio, world_steps=5), 16) == starts


def test_what_the_absent_hold_changes_nothing_that_is_dreamt():
    """Not in the last bit; the policy learns from dreams, which are not those of others."""
    state, chunk, *_ = dreamer()
    learn = jax.jit(partial(counterplay.learn, DREAMING))
    chunk = jax.tree.map(np.asarray, chunk)
    (clean, told), (odd, also) = learn(state, chunk), learn(state, spoilt(SEATING, chunk))
    for a, b in zip(*(jax.tree.leaves(s.learners[0].net) for s in (clean, odd)), strict=True):
        assert np.isfinite(a).all() and np.array_equal(a, b)
    for name in ("dreamt_return", "dreamt_kl", "dreamt_there", "later_loss"):
        assert np.isfinite(told[name]).all() and np.array_equal(told[name], also[name]), name
    assert 0 < told["dreamt_there"] < 1 and told["bad_updates"].sum() == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"real_ratio": 0.1}, "real_ratio must be 0.167 to 1, as 5 moves"),
        ({"real_ratio": 0.5, "gru": 8}, "found gru 8 and real_ratio 0.5"),
    ],
)
def test_what_cannot_be_imagined_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Config(**settings)
