"""What goal_dqn stores, learns and leaves alone, against plain loops and itself."""

from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from meadow import SEATS, spoilt
from meadow_play import ENV, KINDS, ROSTER, SEATING, SPEC, varied
from recorded import same

from counterplay.algos import dqn, goal_dqn
from counterplay.algos.offpolicy import draw, encoded, rows_of
from counterplay.models.q import ConditionedQ, unroll
from counterplay.rollout import Chunk, collect, open_lanes

SMALL: dict[str, Any] = {
    "lanes": 4, "slots": 9, "match": 2, "widths": (8,), "replay": 108, "start": 1, "passes": 2,
    "batch": 6, "n_step": 2, "target_every": 2, "window": 7, "burn_in": 2, "steps": 400,
    "told_width": 6, "reader_widths": (8,), "reader_gru": 5, "reader_minibatches": 2,
}  # fmt: skip
TYPES, GOALS, ACTIONS = 3, 3, 3  # of types two opponents and who learns
GRUS = pytest.mark.parametrize("gru", [0, 4])


class Played(NamedTuple):
    config: goal_dqn.Config
    state: dqn.State
    chunks: tuple[Chunk, Chunk]
    """One after the other, played greedily."""


@cache
def played(gru: int) -> Played:
    config = goal_dqn.Config(**SMALL, gru=gru).among(ROSTER)

    @jax.jit
    def play():
        state = goal_dqn.init(config, SPEC, jr.key(3))
        net = jax.tree.map(varied, state.learners[0].net)
        state = eqx.tree_at(lambda s: s.learners[0].net, state, net)
        (agent,) = goal_dqn.policy(config, state)
        agent = eqx.tree_at(lambda a: a.epsilon, agent, jnp.zeros(1))
        policies = (agent, *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        lanes, one = collect(ENV, SEATING, policies, lanes, jr.key(1), slots=9, match=2)
        return state, (one, collect(ENV, SEATING, policies, lanes, jr.key(14), slots=9, match=2)[1])

    state, chunks = play()
    assert (~chunks[1].slots["alive"]).any() and chunks[1].slots["closing"].any()
    return Played(config, state, jax.tree.map(np.asarray, chunks))


@cache
def learning(gru: int) -> Any:
    """Of both chunks, from other networks or chunks if need be."""
    here = played(gru)
    step = jax.jit(partial(goal_dqn.learn, here.config))

    def learned(state: Any = None, chunks: Any = None):
        state, told = state or here.state, {}
        for chunk in chunks or here.chunks:
            state, told = step(state, chunk)
        return state, told

    return learned


@cache
def learned(gru: int) -> tuple[dqn.State, dict[str, Any]]:
    return learning(gru)()


@GRUS
def test_what_is_stored_is_what_was_told(gru):
    here, (after, _) = played(gru), learned(gru)
    told = np.concatenate([chunk.records[0]["told"] for chunk in here.chunks], 2)
    assert told.shape[3:] == goal_dqn.told_of(here.config, ENV) == (2, 1 + TYPES + GOALS + ACTIONS)
    ring, met = np.asarray(after.replay.slots["told"]), 0
    for lane, seat in np.ndindex(4, SEATS):
        at = np.flatnonzero(SEATING.places[0][0] == lane * SEATS + seat)
        wanted = told[0, at[0]] if len(at) else np.zeros_like(told[0, 0])
        assert np.array_equal(ring[lane, :18, seat], wanted), (lane, seat)
        met += len(at)
    assert met == len(SEATING.places[0][0]) and len({*told.ravel().tolist()}) > 100
    there = np.concatenate([chunk.slots["alive"] for chunk in here.chunks], 1)
    assert (ring[:, :18][there] != 0).any()
    assert not ring[:, 18:].any()


@GRUS
def test_decisions_are_rated_with_what_was_told_in_their_slot(gru):
    here, (after, _) = played(gru), learned(gru)
    drawn = draw(after.replay, jr.key(0), 8, dqn.window_of(here.config))
    cut = here.config.gamma, here.config.n_step, jnp.float32(1), gru > 0, here.config.burn_in
    rows = rows_of(jax.tree.map(lambda x: x[None], drawn), SEATING, 0, *cut)
    obs, told = jax.tree.map(np.asarray, rows.obs)
    ring, where = after.replay.slots, drawn.where
    row = 0
    for b, lane in enumerate(np.asarray(where.lane)):
        for seat in range(SEATS):
            if lane * SEATS + seat not in SEATING.places[0][0]:
                continue
            for t in np.flatnonzero(rows.alive[0, row, : obs.shape[2] if gru else 1]):
                slot = int(where.slot[b]) + t
                assert np.array_equal(told[0, row, t], ring["told"][lane, slot, seat])
                assert np.array_equal(obs[0, row, t], ring["obs"][lane, slot, seat])
            row += 1
    assert row == told.shape[1] and rows.alive.any()
    absent = ~np.asarray(rows.alive[0]) & (obs[0] == 0).all(-1)
    assert absent.any() and not told[0][absent].any()


@GRUS
def test_what_the_absent_hold_changes_nothing(gru):
    """Not in the last bit."""
    (clean, told), before = learned(gru), played(gru).state
    odd, also = learning(gru)(chunks=[spoilt(SEATING, c) for c in played(gru).chunks])
    assert same(clean.learners, odd.learners)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(clean.learners[0].net))
    for part in ("policy", "reader"):
        old, new = (getattr(s.learners[0].net, part) for s in (before, clean))
        assert not same(old, new), part
    for name in ("td_loss", "q", "moves_loss", "goals_loss", "types_loss", "others_nll"):
        assert np.isfinite(told[name]) and told[name] == also[name], name
    assert told["bad_updates"].tolist() == also["bad_updates"].tolist() == [0]
    assert told["updates"] == 2 and told["others_nll"] > 0


@GRUS
def test_neither_policy_nor_reader_learns_from_what_the_other_learns_from(gru):
    """No gradient passes from the values of moves to the reader, nor does any pass back."""
    here, (once, _) = played(gru), learned(gru)
    net = lambda state: state.learners[0].net

    def changed(**more):
        return [
            c._replace(slots=c.slots | {"reward": -3 * c.slots["reward"]}) if "reward" in more
            else c._replace(records=({**c.records[0], "told": 1 - c.records[0]["told"]},
                                     *c.records[1:]))
            for c in here.chunks
        ]  # fmt: skip

    paid, _ = learning(gru)(chunks=changed(reward=True))
    said, _ = learning(gru)(chunks=changed(told=True))
    for after in (paid, said):
        assert same(net(after).reader, net(once).reader)
        assert not same(net(after).policy, net(once).policy)
    other = jax.tree.map(lambda x: 1.5 * x, net(here.state).reader)
    read, _ = learning(gru)(eqx.tree_at(lambda s: net(s).reader, here.state, other))
    assert same(read.learners[0].rating, once.learners[0].rating)
    assert not same(net(read).reader, net(once).reader)


def test_unrolling_repeats_what_was_thought_when_acting():
    """Across first contacts, later episodes of a match, closing slots, absences and chunks."""
    here, policy = played(4), played(4).state.learners[0].net.policy
    slots = {k: np.concatenate([c.slots[k] for c in here.chunks], 1) for k in here.chunks[0].slots}
    assert slots["contact"][:, 1:].any() and ((slots["time"] == 0) & ~slots["contact"]).any()
    at = lambda x: SEATING.take(jnp.moveaxis(jnp.asarray(x), 2, 1), 0)[0]
    everyone = np.broadcast_to(slots["contact"][:, :, None], slots["alive"].shape)
    obs, alive, contact, legal, actions = map(
        at, (slots["obs"], slots["alive"], everyone, slots["avail_actions"], slots["actions"])
    )
    told = jnp.concatenate([c.records[0]["told"][0] for c in here.chunks], 1)
    net = jax.tree.map(lambda x: x[0], policy)

    @jax.jit
    def along(obs, told, contact, alive):
        seen = jax.vmap(jax.vmap(partial(encoded, ENV)))((obs, told))
        return jax.vmap(partial(unroll, net))(seen, contact, alive)

    q = np.where(legal, along(obs, told, contact, alive), -np.inf)
    alive = np.asarray(alive)
    assert np.array_equal(q.argmax(-1)[alive], np.asarray(actions)[alive])
    assert len({*np.asarray(actions)[alive].tolist()}) > 1


@pytest.mark.parametrize("duelling", [False, True])
def test_rows_of_others_are_read_by_one_layer_and_added_up(duelling):
    net = ConditionedQ(2, 3, (4,), 0, jr.key(0), "relu", duelling, rows=2, row=3, width=5)
    net = jax.tree.map(lambda x: varied(x[None])[0], net)
    obs, told = np.array([0.5, -1.0]), np.array([[1.0, 0.2, 0.8], [1.0, 0.6, 0.4]])
    weight, bias = np.asarray(net.other.weight), np.asarray(net.other.bias)
    total = np.zeros(5)
    for j in range(2):
        total += np.maximum(told[j] @ weight[:3] + weight[3 + j] + bias, 0)
    wanted = net.core(jnp.asarray([*obs, *total], jnp.float32), jnp.zeros(0))[0]
    rate = lambda told: net((jnp.asarray(obs), jnp.asarray(told)), jnp.zeros(0))[0]
    np.testing.assert_allclose(rate(told), wanted, rtol=1e-5)
    assert abs(rate(told[::-1]) - wanted).max() > 1e-3, "who is who"
    first, none = rate(told * [[1], [0]]), rate(0 * told)
    alone = np.maximum(told[0] @ weight[:3] + weight[3] + bias, 0)
    wanted = net.core(jnp.asarray([*obs, *alone], jnp.float32), jnp.zeros(0))[0]
    np.testing.assert_allclose(first, wanted, rtol=1e-5)
    blind = net.core(jnp.asarray([*obs, *np.zeros(5)], jnp.float32), jnp.zeros(0))[0]
    assert np.array_equal(none, blind), "the absent add nothing, not even a bias"
