"""The agent that plans: what has a say in its moves, and what nobody may learn from."""

from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from meadow import spoilt
from meadow_play import ENV, KINDS, ROSTER, SEATING, SMALL, SPEC, varied

from counterplay.algos import counterplay
from counterplay.algos.counterplay import Agent, Config
from counterplay.algos.imagining import earlier, judged, model_loss, stretches
from counterplay.algos.labels import prepared
from counterplay.algos.looking import Alone
from counterplay.algos.past import Again
from counterplay.algos.study import studies
from counterplay.maths import masked_log_softmax
from counterplay.models.world_loss import posterior
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.views import Last, cut_views

TINY: dict[str, Any] = SMALL | {
    "latent": 6, "world_width": 12, "world_token": 4, "value_width": 8,
    "world_minibatches": 2, "samples": 2,
}  # fmt: skip
CONFIG = Config(**TINY).among(ROSTER)
SLOTS = SMALL["slots"]


class Played(NamedTuple):
    state: Any
    chunk: Chunk


def trusting(net: Any, trust: float) -> Any:
    return eqx.tree_at(lambda n: n.trust, net, jnp.full_like(net.trust, trust))


@cache
def played() -> Played:
    """A chunk that begins inside matches, by an agent with a half trust in its plans."""

    @jax.jit
    def play():
        state = counterplay.init(CONFIG, SPEC, jr.key(3))
        net = trusting(jax.tree.map(varied, state.learners[0].net), 0.5)
        state = eqx.tree_at(lambda s: s.learners[0].net, state, net)
        policies = (*counterplay.policy(CONFIG, state), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        how = {"slots": SLOTS, "match": 2}
        lanes, _ = collect(ENV, SEATING, policies, lanes, jr.key(1), **how)
        return Played(state, collect(ENV, SEATING, policies, lanes, jr.key(14), **how)[1])

    done = play()
    assert (~done.chunk.slots["alive"]).any() and done.chunk.slots["closing"].any()
    return done


_learn = jax.jit(partial(counterplay.learn, CONFIG))


@cache
def learned(odd: bool) -> Any:
    chunk = jax.tree.map(np.asarray, played().chunk)
    return _learn(played().state, spoilt(SEATING, chunk) if odd else chunk)


def test_what_the_absent_hold_changes_nothing_that_is_learnt():
    """Not in the last bit."""
    (clean, told), (odd, also) = learned(False), learned(True)
    before = played().state
    for part in ("policy", "reader", "model", "slow"):
        old, new, same = (
            jax.tree.leaves(getattr(s.learners[0].net, part)) for s in (before, clean, odd)
        )
        assert all(np.isfinite(x).all() for x in new), part
        assert any(not np.array_equal(a, b) for a, b in zip(old, new, strict=True)), part
        assert all(np.array_equal(a, b) for a, b in zip(new, same, strict=True)), part
    names = ("plan_loss", "value_loss", "later_loss", "ahead_loss", "imagined_reward",
             "dynamics", "plan_rank",
             "legal_right", "alive_right", "spread", "leaving_loss", "arriving_loss")  # fmt: skip
    for name in names:
        assert np.isfinite(told[name]).all() and np.array_equal(told[name], also[name]), name
    assert told["bad_updates"].sum() == also["bad_updates"].sum() == 0


def test_what_is_learnt_from_are_the_latents_that_play_kept():
    """Through departures, matches that begin and episodes that are cut short."""
    state, chunk = played()
    learner = state.learners[0].net

    @jax.jit
    def relived(world):
        study = prepared(CONFIG, studies(SEATING, 0, chunk))
        s = stretches(ENV, SEATING, 0, chunk, study, jr.key(0))
        obs = jax.vmap(jax.vmap(jax.vmap(ENV.encode)))(jnp.nan_to_num(s.window.obs))
        one = lambda window, obs, start: posterior(world, window, obs, start, None)[0]
        e = jax.vmap(jax.vmap(one))(s.window, obs, s.start)
        return e, s.window.acting

    e, acting = relived(jax.tree.map(lambda x: x[0], learner.model.world))
    last = SLOTS - 1 - jnp.argmax(acting[..., ::-1], -1)  # where each acted last
    ended = jnp.take_along_axis(e, last[..., None, None], axis=2)[:, :, 0]
    began = played().chunk.slots["contact"][jnp.asarray(SEATING.places[0]) // 3]
    since = jnp.arange(SLOTS)[None, None] > last[..., None]
    whole = ~(began & since).any(-1) & acting.any(-1)
    assert whole.sum() > 3
    kept = chunk.next_memories[0][2]
    np.testing.assert_allclose(ended[whole], kept[whole], atol=1e-5)


FRESH = ("later_loss", "arriving_loss", "leaving_loss", "alive_wrong", "legal_wrong")


def test_earlier_play_teaches_the_game_and_the_others_moves_but_no_value():
    """Read back, it loses as much as it did when it was the latest, and none of that to values."""
    state, chunk = played()
    ids = tuple(counterplay.goal_ppo.opponent_ids(SEATING.kinds))

    @jax.jit
    def losses(model):
        study = prepared(CONFIG, studies(SEATING, 0, chunk))
        fresh = stretches(ENV, SEATING, 0, chunk, study, jr.key(0))
        old = earlier(ENV, SEATING, 0, Again(chunk, study), fresh, jr.key(1))
        old = old._replace(key=fresh.key)  # the same draws
        of = lambda s: jax.vmap(partial(model_loss, ids, CONFIG, ENV, model))(
            jax.tree.map(lambda x: x[0], s)
        )
        return of(fresh), of(old)

    (sums, counts), (old, number) = losses(
        jax.tree.map(lambda x: x[0], state.learners[0].net.model)
    )
    assert set(FRESH) < set(sums)
    for name in sums:
        if name in FRESH:
            assert counts[name].sum() > 0 and not number[name].any() and not old[name].any(), name
        else:
            assert np.array_equal(old[name], sums[name]), name
            assert np.array_equal(number[name], counts[name]) and counts[name].sum() > 0, name


def views():
    """What seats are shown in fresh games, leaves [L, N, ...]."""

    def look(key):
        _, shown = ENV.reset(key)
        return cut_views(ENV, shown, Last.nothing(3), jnp.int32(0), jnp.bool_(True))

    return jax.vmap(look)(jr.split(jr.key(5), 8))


@cache
def agent(trust: float) -> Agent:
    net = jax.tree.map(lambda x: x[0], played().state.learners[0].net)
    return Agent(trusting(net, trust))


@jax.jit
def thought(agent: Agent, key: Any) -> Any:
    """What it makes of the views, plans, and plays by; and what it says that it plays by."""

    def one(key, view):
        memory = agent.begin(key, None)
        slot = agent.see(key, memory, view)
        planned = agent.planned(key, slot, view)
        return slot.log_pi, planned.q, agent.plays(planned, view), agent.log_probs(memory, view)

    each = jax.vmap(jax.vmap(one, (None, 0)))
    return each(jr.split(key, 8), views())


def test_without_trust_it_plays_as_its_policy_alone():
    log_pi, _, log_mu, _ = thought(agent(0.0), jr.key(0))
    np.testing.assert_allclose(np.exp(log_mu), np.exp(log_pi), atol=1e-5)
    alone = Alone().seated(agent(1.0), ENV, {})
    log_pi, _, log_mu, _ = thought(alone, jr.key(0))
    np.testing.assert_allclose(np.exp(log_mu), np.exp(log_pi), rtol=1e-6)


def test_trusted_plans_tilt_the_policy_and_every_legal_move_stays_possible():
    log_pi, q, log_mu, log_probs = thought(agent(1.0), jr.key(0))
    legal = views().legal
    assert (np.ptp(np.asarray(q), axis=-1) > 1e-4).any()
    wanted = masked_log_softmax(log_pi + q / 0.25, legal)
    even = np.asarray(legal) / np.asarray(legal).sum(-1, keepdims=True)
    np.testing.assert_allclose(np.exp(log_mu), np.exp(wanted), atol=1e-5)
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1.0, rtol=1e-5)
    learning = replace(agent(1.0), learning=True)  # who is frozen explores no more
    log_mu = thought(learning, jr.key(0))[2]
    np.testing.assert_allclose(np.exp(log_mu), 0.98 * np.exp(wanted) + 0.02 * even, atol=1e-5)


def test_a_greedy_move_is_the_likeliest():
    ask = jax.vmap(lambda key, v: agent(1.0).act(key, agent(1.0).begin(key, None), v, True))
    view = jax.tree.map(lambda x: x[:, 0], views())
    act = jax.jit(ask)(jr.split(jr.key(2), 8), view)
    assert (act.action >= 0).all() and view.legal[np.arange(8), act.action].all()


def test_trust_follows_what_plans_were_worth():
    """Gains that rank as they were planned are trusted once the model knows the rules."""
    shape = 1, 2, 5
    acting, gain = jnp.ones(shape, bool), jr.normal(jr.key(0), shape)
    right = {"legal_right": jnp.ones(1), "alive_right": jnp.ones(1)}

    def tell(target: jax.Array, info: dict, progress: float) -> float:
        told = gain, target, jnp.zeros(shape), acting, info, jnp.float32(progress)
        return float(judged(CONFIG, *told, lambda x: x)[0][0])

    late = 0.5
    assert tell(gain, right, late) == 1.0
    assert tell(-gain, right, late) == 0.0
    assert tell(gain, right, 0.05) == 0.0, "nothing is trusted while it warms up"
    for name in right:
        assert tell(gain, right | {name: jnp.array([0.98])}, late) == 0.0, name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depth": 0}, "--depth must be at least 1, found 0"),
        ({"samples": -1}, "--samples must be at least 0, found -1"),
        ({"temperature": 0.0}, "temperature must be positive, found 0.0"),
        ({"warm": 1.0}, "warm must be 0 to below 1, found 1.0"),
        ({"distil": -0.5}, "distil must be 0 or more, found -0.5"),
        ({"types_from": "moves", "types": 2}, "counterplay: types are who sits there"),
        ({"plan": "tree"}, "unknown plan 'tree'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(ValueError) as error:
        Config(**{k: v for k, v in settings.items() if k != "plan"})
        odd = Config()
        object.__setattr__(odd, "plan", settings["plan"])
        odd.__post_init__()
    assert words in str(error.value)
