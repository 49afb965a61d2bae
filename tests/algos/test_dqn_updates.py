"""What an update of DQN may depend on: absent players, illegal moves, other seats, burn-in."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import same
from stored import LANES, SEATS, SLOTS, stored

from counterplay.algos import dqn
from counterplay.algos.offpolicy import draw, reprioritised, seats_of
from counterplay.maths import epsilon_soft, huber, n_step_returns
from counterplay.models.q import unroll
from counterplay.pools import roster_against, roster_of
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Roster

TURN = [2, 0, 1]
"""Seat j of the turned world holds what seat TURN[j] held."""


def loop_returns(reward, discount, acts, closing, value, n):
    """(target, known) of every slot, as one would write it down."""
    targets, last = [], len(reward) - 1
    for t in range(len(reward)):
        total, weight, at = 0.0, 1.0, t
        known = bool(acts[t]) and not closing[t] and t < last
        for _ in range(n):
            if weight == 0 or at == last or closing[at]:
                break
            known = known and bool(acts[at])
            total, weight, at = total + weight * reward[at], weight * discount[at], at + 1
        targets.append((total + (weight * value[at] if weight else 0.0), known))
    return targets


@given(st.integers(0, 2**16), st.sampled_from([1, 2, 3, 7]), st.integers(2, 12))
def test_n_step_returns_are_those_of_a_loop(seed, n, slots):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=(2, slots)).astype(np.float32)
    discount = (0.9 * (rng.random(slots) < 0.8)).astype(np.float32)
    acts, closing = rng.random(slots) < 0.9, rng.random(slots) < 0.15
    parts = [jnp.asarray(x) for x in (reward, discount, acts, closing)]
    found = n_step_returns(parts[0], parts[1], parts[2], parts[3], n)
    paid, weight, at, known = map(np.asarray, found)
    expected = loop_returns(reward, discount, acts, closing, value, n)
    assert known.tolist() == [k for _, k in expected]
    np.testing.assert_allclose(paid + weight * value[at], [t for t, _ in expected], atol=1e-5)


def test_maths_by_hand():
    assert huber(jnp.array([-3.0, 0.5, 1.0])).tolist() == [2.5, 0.125, 0.5]
    q, legal = jnp.array([9.0, 1.0, 2.0]), jnp.array([False, True, True])
    chance = jnp.exp(epsilon_soft(q, legal, jnp.float32(0.2)))
    np.testing.assert_allclose(chance, [0, 0.1, 0.9], rtol=1e-6)
    greedy = epsilon_soft(q, legal, jnp.float32(0))
    assert greedy.tolist() == [-np.inf, -np.inf, 0]
    assert (epsilon_soft(q, legal & False, jnp.float32(0.2)) == -jnp.inf).all()


def turned(chunk: Chunk) -> Chunk:
    """The seats of every lane renamed."""
    slots = {k: x[:, :, jnp.array(TURN)] if x.ndim > 2 else x for k, x in chunk.slots.items()}
    return chunk._replace(slots=slots)


def distance(a: Any, b: Any) -> float:
    """The largest difference relative to the largest entry, over all arrays."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(abs(x - y).max() / abs(x).max()) for x, y in pairs)


@pytest.mark.parametrize("gru", [0, 4])
def test_renaming_seats_leaves_what_a_shared_learner_learns(gru):
    here = stored("self", over=False, gru=gru)
    once = here.learned()
    again = here.learned(tuple(turned(chunk) for chunk in here.chunks))
    assert distance(once.learners[0].net, here.state.learners[0].net) > 1e-3
    assert distance(once.learners[0].net, again.learners[0].net) < 1e-3


def test_an_independent_learner_learns_the_same_wherever_it_sits():
    here = stored("own", over=False)
    chairs = tuple(Chair(0, member) for member in TURN)
    seating = Roster(here.seating.kinds, (chairs,)).seating(LANES)
    moved = tuple(turned(chunk) for chunk in here.chunks)
    once = here.learned().learners
    assert same(once, here.learned(moved, seating).learners)
    assert not same(once, here.learned(moved).learners), "the test sees a mix-up"


@pytest.mark.parametrize("seat", range(SEATS))
def test_an_independent_learner_learns_from_its_own_seat_only(seat):
    here = stored("own", over=False)
    change = lambda c: c._replace(
        slots=c.slots | {"reward": c.slots["reward"].at[:, :, seat].multiply(-3.0)}
    )
    before, after = here.learned(), here.learned(tuple(map(change, here.chunks)))
    for member in range(SEATS):
        pick = lambda tree, m=member: jax.tree.map(lambda x: x[m], tree)
        first, second = pick(before.learners[0].net), pick(after.learners[0].net)
        assert same(first, second) == (member != seat)


def poisoned(chunk: Chunk, rude: float) -> Chunk:
    """Rubbish in every slot that the player of a seat did not play, but in bootstraps."""
    slots = chunk.slots
    absent = ~slots["alive"]
    played_on = jnp.pad(slots["continues"], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    begins = jnp.arange(absent.shape[1])[None, :, None] == 0  # may close what went before
    useless = absent & ~(slots["closing"][:, :, None] & (played_on | begins))
    return chunk._replace(
        slots=slots
        | {
            "obs": jnp.where(useless[..., None], rude, slots["obs"]),
            "reward": jnp.where(absent, rude, slots["reward"]),
            "actions": jnp.where(absent, 1, slots["actions"]),
            "avail_actions": slots["avail_actions"] | useless[..., None],
        }
    )


@pytest.mark.parametrize(
    ("who", "over", "gru"), [("self", True, 0), ("own", False, 0), ("own", False, 4)]
)
def test_what_the_absent_hold_changes_no_bit_of_an_update(who, over, gru):
    here = stored(who, over=over, gru=gru)
    clean = here.learned()
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(clean.learners))
    assert not same(clean.learners, here.state.learners), "something is learned"
    for rude in (np.nan, 1e30):
        dirty = tuple(poisoned(chunk, rude) for chunk in here.chunks)
        assert same(clean.learners, here.learned(dirty).learners)


def test_who_is_absent_throughout_gives_no_gradient():
    here = stored("self", over=False)
    rows = here.rows(here.learned())
    none = rows._replace(valid=rows.valid & False, obs=jnp.full_like(rows.obs, np.nan))
    none = none._replace(obs=jnp.where(rows.valid[..., None], 0.0, 0.0 * rows.obs))
    for gradient in jax.tree.leaves(here.gradient(here.state, none)):
        assert (gradient == 0).all()


def test_what_is_forbidden_is_not_in_the_target():
    here = stored("self", over=False)
    state = here.learned()
    rows = here.rows(state)
    forbidden = ~rows.legal[0, :, 1]
    used = rows.valid[0, :, 0] & (rows.weight[0, :, 0] > 0)
    assert (forbidden[:, 2] & used).any()
    picks = forbidden[:, 2] & used
    only = jax.tree.map(lambda x: x[:, picks], rows)
    learner = state.learners[0]

    def worth(high):
        lift = lambda net: eqx.tree_at(
            lambda n: n.action.bias, net, net.action.bias.at[:, 2].add(high)
        )
        nets = [jax.tree.map(lambda x: x[0], lift(n)) for n in (learner.net, learner.target)]
        one = jax.tree.map(lambda x: x[0], only)
        return np.asarray(dqn.values(here.config, here.env, nets[0], nets[1], one)[1])

    assert np.array_equal(worth(0.0), worth(1e6))
    assert not np.array_equal(worth(0.0), worth(-1e6) + 1), "values are there"


def test_burn_in_gives_no_gradient_but_memory():
    here = stored("own", over=False, gru=4)
    state = here.learned()
    rows = here.rows(state)
    burn_in, learner = here.config.burn_in, state.learners[0]
    assert not rows.valid[:, :, :burn_in].any() and rows.valid[:, :, burn_in:].any()

    def judge(obs):
        one = lambda net, target, rows: dqn.loss(
            here.config, here.env, jnp.float32(1), net, target, rows
        )[0]
        return jax.vmap(one)(learner.net, learner.target, rows._replace(obs=obs)).sum()

    gradient = jax.jit(jax.grad(judge))(rows.obs)
    assert (gradient[:, :, :burn_in] == 0).all() and (gradient[:, :, burn_in:] != 0).any()
    other = rows.obs.at[:, :, :burn_in].add(1.0)
    assert jax.jit(judge)(other) != jax.jit(judge)(rows.obs), "memory comes from there"


def test_unrolling_repeats_what_was_thought_when_acting():
    """Across first contacts, later episodes of a match, closing slots, absences and chunks."""
    here = stored("own", over=False, gru=4)
    agents = (dqn.Agent(here.state.learners[0].net, jnp.zeros(SEATS)),)

    @jax.jit
    def play(lanes, key):
        return collect(here.env, here.seating, agents, lanes, key, slots=SLOTS, match=2)

    lanes = open_lanes(here.env, here.seating, agents, jr.key(7))
    parts = []
    for i in range(3):
        lanes, chunk = play(lanes, jr.key(i))
        parts.append(chunk.slots)
    slots = {k: jnp.concatenate([p[k] for p in parts], 1) for k in parts[0]}
    contact = np.asarray(slots["contact"])
    assert contact[:, 1:].any() and (np.asarray(slots["time"] == 0) & ~contact).any()

    def values(net, obs, alive, contact):
        return unroll(net, obs, contact, alive)

    by_seat = jax.vmap(jax.vmap(values, (None, 0, 0, 0)), (0, 2, 2, None), 2)
    q = jax.jit(by_seat)(agents[0].net, slots["obs"], slots["alive"], slots["contact"])
    best = np.asarray(
        jnp.argmax(jnp.where(slots["avail_actions"], jnp.moveaxis(q, 2, 2), -jnp.inf), -1)
    )
    alive = np.asarray(slots["alive"])
    assert np.array_equal(best[alive], np.asarray(slots["actions"])[alive])


def test_a_game_that_began_anew_between_chunks_gives_no_bootstrap():
    here = stored("self", over=False)
    fresh = here.chunks[1].slots | {"contact": here.chunks[1].slots["contact"].at[:, 0].set(True)}
    chunks = (here.chunks[0], here.chunks[1]._replace(slots=fresh))
    goes = here.chunks[0].slots["continues"][:, -1]
    assert goes.any()
    for cut, changed in ((here.chunks[:2], False), (chunks, True)):
        state = here.learned(cut)
        drawn = draw(state.replay, jr.key(0), LANES * (2 * SLOTS - 2), 3)
        rows = here.cut(drawn)
        at = (drawn.where.slot == SLOTS - 1) & drawn.ok
        lane = drawn.where.lane
        valid = rows.valid[0, :, 0].reshape(-1, SEATS)
        found = valid[at] & goes[lane[at]]
        assert found.any() != changed


def test_seats_of_a_learner_lane_by_lane():
    env = stored("self").env
    roster = roster_against(env, "self", ("random",))
    seats, sits = seats_of(roster.seating(6), 0)
    assert seats.shape == (1, 6, 1) and sits.all()
    assert seats[0, :, 0].tolist() == [0, 0, 1, 1, 2, 2]
    mixed = roster_of(env, {0: "self", 1: "random", 2: "self"}).seating(2)
    seats, sits = seats_of(mixed, 0)
    assert seats.tolist() == [[[0, 2], [0, 2]]] and sits.all()


def test_only_own_seats_are_learnt_from_where_tables_differ():
    here = stored("self", over=False)
    seating = roster_against(here.env, "self", ("random",)).seating(LANES)
    apart = here._replace(seating=seating)
    rows = apart.rows(here.learned(), n=30)
    assert rows.obs.shape[:2] == (1, 30)
    drawn = draw(here.learned().replay, jr.key(0), 30, 3)
    for r in range(30):
        seat = int(drawn.where.lane[r]) // 2
        assert rows.action[0, r, 0] == drawn.slots["actions"][r, 0, seat]


def test_large_errors_are_drawn_more_often_and_weigh_less():
    here = stored("self", priority=1.0)
    state = here.learned()
    stored_ones = state.replay.slots["priority"]
    assert (stored_ones > 0).any() and (stored_ones <= 0).any(), "learning writes some"
    drawn = draw(state.replay, jr.key(0), 24, 3, 1.0)
    count = len(drawn.ok)
    error = jnp.where(drawn.where.lane == 0, 5.0, 0.5)
    each = jnp.broadcast_to(error[None, :, None], (1, count, SEATS)).reshape(1, -1, 1)
    replay = reprioritised(state.replay, jax.tree.map(lambda x: x[None], drawn), each, each > 0)
    written = replay.slots["priority"][drawn.where.lane, drawn.where.slot % replay.capacity]
    np.testing.assert_allclose(written, error + 1e-3)
    many = draw(replay, jr.key(1), 170, 3, 1.0)
    rows = here.cut(many)
    importance = rows.importance.reshape(-1, SEATS)[:, 0]
    product = np.asarray(many.chance * importance)
    np.testing.assert_allclose(product, product[0], rtol=1e-4)
    assert importance.max() == 1


def test_windows_that_reach_beyond_the_newest_slot_are_not_learnt_from():
    here = stored("self", priority=1.0, n_step=4)
    state = here.learned()
    drawn = draw(state.replay, jr.key(0), 170, 5, 1.0)
    beyond = np.asarray(drawn.where.slot + 4 >= state.replay.written)
    assert beyond.any()
    rows = here.cut(drawn)
    valid = np.asarray(rows.valid).reshape(170, SEATS)
    reaches = np.asarray(rows.weight > 0).reshape(170, SEATS)
    assert not (valid & reaches)[beyond].any() and valid[~beyond].any()


def test_independent_learners_each_draw_with_a_key_of_their_own():
    here = stored("own")
    state = here.learned()
    one = jnp.float32(1)
    fixed = here.config, state.spec, 0, state.learners[0], state.replay
    once = jax.jit(lambda keys: dqn.pass_of(*fixed, keys, 0.01 * one, one, jnp.bool_(False))[0].net)
    keys = jr.split(jr.key(3), SEATS)
    apart = once(keys)
    for k in range(SEATS):
        alike = once(jnp.broadcast_to(keys[k], SEATS))
        pairs = list(zip(jax.tree.leaves(apart), jax.tree.leaves(alike), strict=True))
        same = [all(np.array_equal(x[i], y[i]) for x, y in pairs) for i in range(SEATS)]
        assert same == [i == k for i in range(SEATS)]
