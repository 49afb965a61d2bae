"""What the value of the agent that plans learns: what its own policy would have earned."""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from meadow_play import ENV, SEATING, SPEC
from test_counterplay import CONFIG, played

from counterplay.algos import counterplay
from counterplay.algos.counterplay import Agent
from counterplay.algos.imagining import stretches
from counterplay.algos.labels import prepared
from counterplay.algos.study import studies


def expected(reward, discount, value, last, closing, ratio, lam):
    """Backward, slot by slot, in doubles."""
    target, ahead, later = np.zeros(len(reward)), last, last
    for t in reversed(range(len(reward))):
        rho = min(ratio[t], 1.0)
        own = value[t] + rho * (reward[t] + discount[t] * later - value[t])
        target[t] = own + lam * rho * discount[t] * (ahead - later)
        target[t] = value[t] if closing[t] else target[t]
        ahead, later = target[t], value[t]
    return target


def test_targets_are_of_the_policy_and_trust_is_of_what_happened(monkeypatch):
    """Plans had half a say in the moves, so the chances of the policy are others than the true
    ones, on either side. Targets weigh the slots by that; what plans are judged by does not."""
    state, chunk = played()
    learner, record = state.learners[0], chunk.records[0]

    def fit(loss, how, spec, model, opt, stretch, *_):
        told = {"bad_updates": jnp.zeros(1), "legal_wrong": jnp.zeros(1), "target": stretch.target}
        return model, opt, told | {"alive_wrong": jnp.zeros(1)}

    def judge(config, gain, happened, *_):
        one = jnp.ones(1)
        return one, {"spread": one, "sound": one, "happened": happened, "gain": gain}

    monkeypatch.setattr(counterplay, "fit_reader", fit)
    monkeypatch.setattr(counterplay, "judged", judge)

    @jax.jit
    def learned():
        study = prepared(CONFIG, studies(SEATING, 0, chunk))
        more = partial(counterplay.learn_more, CONFIG, SPEC, 0, learner)
        told = more(study, chunk, jnp.float32(0.5), jr.key(0))[1]
        each = jax.vmap(jax.vmap(lambda n, *x: Agent(n).worth(*x), (None, 0, 0)))
        last = each(learner.net, chunk.next_memories[0], chunk.next_views[0])
        stretch = stretches(ENV, SEATING, 0, chunk, study, jr.key(0))
        return told, last, stretch.window, stretch.closing, stretch.acting[0]

    told, last, window, closing, acting = jax.tree.map(np.asarray, learned())
    own, mine = (np.where(acting, record[name], 0.0) for name in ("own", "log_pi"))
    ratio = np.exp(own - mine)
    assert (ratio[0][acting] < 0.98).any() and (ratio[0][acting] > 1.02).any()
    np.testing.assert_array_equal(told["gain"], record["gain"])
    differ = 0
    for place in np.flatnonzero(acting.any(1)):
        at = lambda x, place=place: np.asarray(x[0, place], float)
        discount = CONFIG.gamma * at(window.continues)[:, 0]
        parts = at(window.reward), discount, at(record["worth"]), at(last), at(closing)
        own = expected(*parts, at(ratio), CONFIG.lam)
        real = expected(*parts, np.ones(len(own)), CONFIG.lam)
        here = acting[place]
        np.testing.assert_allclose(told["target"][0, place][here], own[here], atol=1e-5)
        np.testing.assert_allclose(told["happened"][0, place][here], real[here], atol=1e-5)
        differ += int(np.abs(own - real)[here].max() > 1e-3)
    assert differ > 3
