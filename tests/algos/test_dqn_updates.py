"""What an update of DQN may depend on: absent players, illegal moves, other seats, burn-in."""

from functools import partial
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


WAYS = [("self", {}), ("own", {}), ("self", {"priority": 0.6}), ("self", {"gru": 4})]


@pytest.mark.parametrize("rude", [np.nan, 1e30])
@pytest.mark.parametrize(("who", "more"), WAYS)
def test_what_stands_in_slots_that_never_happened_changes_no_bit_of_an_update(who, more, rude):
    here = stored(who, over=False, **more)
    before = here.learned(here.chunks[:2])
    ring = before.replay.slots
    gone = jnp.zeros_like(ring["filled"]).at[::2, 7:11].set(True).at[1, 17:20].set(True)
    filled = ring["filled"] & ~gone
    assert (ring["filled"] & gone).sum() == 15 and (~ring["filled"]).any()

    def dirt(name, x):
        if name == "filled":
            return filled
        if name == "contact":  # tells of a match that began with an episode that was dropped
            return x | ~ring["filled"]
        value = True if x.dtype == bool else rude if jnp.issubdtype(x.dtype, jnp.inexact) else 1
        return jnp.where(filled.reshape(*filled.shape, *(1,) * (x.ndim - 2)), x, value)

    held = lambda slots: eqx.tree_at(lambda s: s.replay.slots, before, slots)
    clean = held(ring | {"filled": filled})
    dirty = held({name: dirt(name, x) for name, x in ring.items()})
    step = jax.jit(lambda state: dqn.learn(here.config, state, here.chunks[2])[0])
    after = step(clean)
    assert same(after.learners, step(dirty).learners)
    assert distance(after.learners[0].net, before.learners[0].net) > 1e-3, "something is learned"


@pytest.mark.parametrize("gru", [0, 4])
def test_who_is_absent_throughout_gives_no_gradient(gru):
    here = stored("self", over=False, gru=gru)
    state = here.learned()
    drawn = draw(state.replay, jr.key(0), 24, dqn.window_of(here.config))
    nobody = {name: jnp.zeros_like(drawn.slots[name]) for name in ("alive", "continues")}
    rude = {name: jnp.full_like(drawn.slots[name], np.nan) for name in ("obs", "reward")}
    for gradient in jax.tree.leaves(here.gradient(state, here.cut(drawn))):
        assert (gradient != 0).any()
    rows = here.cut(drawn._replace(slots=drawn.slots | nobody | rude))
    for gradient in jax.tree.leaves(here.gradient(state, rows)):
        assert (gradient == 0).all()


@pytest.mark.parametrize("gru", [0, 4])
@pytest.mark.parametrize("double", [True, False])
def test_what_is_forbidden_is_not_in_the_target(double, gru):
    here = stored("self", over=False, gru=gru, double=double)
    state = here.learned()
    rows, learner = jax.tree.map(lambda x: x[0], (here.rows(state), state.learners[0]))

    def worth(high):
        """Of the slots that bootstraps may be of, [R, U], where all think so highly of action 2."""
        lift = lambda net: eqx.tree_at(
            lambda n: n.action.bias, net, net.action.bias.at[2].add(high)
        )
        nets = lift(learner.net), lift(learner.target)
        return np.asarray(dqn.values(here.config, here.env, *nets, rows)[1])

    plain, tremendous = worth(0.0), worth(1e6)
    legal = np.asarray(rows.legal[:, -plain.shape[1] :, 2])
    used = np.asarray(rows.valid & (rows.weight > 0))
    bootstrap = np.take_along_axis(legal, np.asarray(rows.at), axis=1)
    assert (bootstrap & used).any() and (~bootstrap & used).any()
    assert np.array_equal(plain[~legal], tremendous[~legal])
    assert (tremendous[legal] > plain[legal] + 1e5).all()


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


@pytest.mark.parametrize("larger", [0, 1])
def test_of_several_errors_of_a_slot_the_largest_becomes_its_priority(larger):
    here = stored("own", priority=1.0)
    state = here.learned()
    drawn = draw(state.replay, jr.key(0), 24, 3, 1.0)
    number = jnp.arange(24)
    ok = drawn.ok.at[0].set(False)
    # two members draw the same windows, in which there is a seat of each, and one twice
    where = jax.tree.map(lambda x: x.at[5].set(x[4]), drawn.where)
    both = jax.tree.map(lambda x: jnp.stack([x, x]), drawn._replace(where=where, ok=ok))
    error = jnp.stack([1.0 + number] * 2).at[larger].add(30.0)
    counts = jnp.ones((2, 24, 1), bool).at[larger, 7].set(False)
    at = np.asarray(where.lane), np.asarray(where.slot % state.replay.capacity)
    wanted, drawn_ok = np.array(state.replay.slots["priority"]), np.asarray(ok)
    replay = reprioritised(state.replay, both, error[..., None], counts)
    wanted[at[0][drawn_ok], at[1][drawn_ok]] = 0
    sizes = np.where(counts[..., 0], error, 0.0).max(0) + 1e-3
    np.maximum.at(wanted, (at[0][drawn_ok], at[1][drawn_ok]), sizes[drawn_ok])
    np.testing.assert_allclose(replay.slots["priority"], wanted)


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


@pytest.mark.parametrize("kind", [0, 1])
def test_what_one_kind_of_learners_learns_depends_on_its_own_keys_and_seats_only(kind, monkeypatch):
    here = stored("self own own")
    names = [one.name for one in here.seating.kinds]
    assert names == ["self", "own"] and [one.members for one in here.seating.kinds] == [1, 2]
    plain, used = dqn.pass_of, []

    def other_keys(config, spec, index, learner, replay, keys, *more):
        jax.debug.callback(lambda x: used.extend(map(tuple, np.asarray(x))), jr.key_data(keys))
        turned = jax.vmap(partial(jr.fold_in, data=1))(keys) if index == kind else keys
        return plain(config, spec, index, learner, replay, turned, *more)

    once = here.learned()
    seats = [0] if kind == 0 else [1, 2]
    change = lambda c: c._replace(
        slots=c.slots | {"reward": c.slots["reward"].at[:, :, jnp.array(seats)].multiply(-3.0)}
    )
    rewarded = here.learned(tuple(map(change, here.chunks)))
    monkeypatch.setattr(dqn, "pass_of", other_keys)
    drawn = here.learned()
    jax.effects_barrier()
    close = lambda *pair: all(map(partial(np.allclose, atol=1e-6), *map(jax.tree.leaves, pair)))
    for again, like in ((rewarded, same), (drawn, close)):  # another program may round otherwise
        alike = [like(x, y) for x, y in zip(once.learners, again.learners, strict=True)]
        assert alike == [i != kind for i in range(2)]
    assert len(used) == len({*used}) == int(once.updates) * 3, "every learner has keys of its own"
