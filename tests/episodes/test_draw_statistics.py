"""What is drawn is as likely as it says: chi-square tests over about a million draws each.

Keys are fixed, so a test passes always or never; a right sampler passes for 998 keys of 1,000.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import chi2
from streams import AGENTS, SCHEME, Stream

from counterplay.episodes import Field, Replay, Scheme, draw

BAND = (0.001, 0.999)
"""Of the chance that counts at least as uneven come of the stated chances."""


def p_value(counts, chances, spread: float = 1.0) -> float:
    """Of counts whose variance is ``spread`` times that of independent draws."""
    counts, chances = np.asarray(counts, float), np.asarray(chances, float)
    expected = counts.sum() * chances / chances.sum()
    assert expected.min() > 5, "too few draws for a chi-square test"
    statistic = ((counts - expected) ** 2 / expected).sum() / spread
    return float(chi2.sf(statistic, len(counts) - 1))


def within(p: float) -> bool:
    return BAND[0] < p < BAND[1]


def many(draw_one, keys: int, seed: int = 0):
    """One compiled program for all keys."""
    drawn = jax.jit(jax.vmap(draw_one))(jr.split(jr.key(seed), keys))
    return jax.tree.map(np.asarray, drawn)


@pytest.mark.parametrize("size", [2, 3, 7, 64])
def test_first_draws_and_pairs_of_distinct(size):
    found = many(lambda k: draw.distinct(k, 2, jnp.int32(size)), 500_000)
    assert within(p_value(np.bincount(found[:, 0], minlength=size), np.ones(size)))
    pairs = np.bincount(found[:, 0] * size + found[:, 1], minlength=size**2)
    pairs = pairs.reshape(size, size)
    other = ~np.eye(size, dtype=bool)
    assert not pairs[~other].any()
    assert size == 2 or within(p_value(pairs[other], np.ones(size**2 - size)))


def test_all_of_a_draw_from_thousands():
    size, n = 5000, 32
    found = many(lambda k: draw.distinct(k, n, jnp.int32(size)), 31_250)
    assert all(len(set(row)) == n for row in found.tolist())
    counts = np.bincount(found.reshape(-1), minlength=size)
    # without replacement counts vary less
    assert within(p_value(counts, np.ones(size), (size - n) / (size - 1)))


def test_every_order_of_a_whole_draw():
    found = many(lambda k: draw.distinct(k, 4, jnp.int32(4)), 240_000)
    orders = np.unique(found @ 4 ** np.arange(4), return_counts=True)[1]
    assert len(orders) == 24
    assert within(p_value(orders, np.ones(24)))


def held(gaps: bool = False, chunks: int = 60, capacity: int = 120) -> tuple[Replay, Stream]:
    stream = Stream(3, 3, chunks * 4, 6, gaps)
    replay = Replay.empty(SCHEME, lanes=3, slots=capacity, chunk=4, horizon=6, episodes=200)
    for i in range(chunks):
        replay = replay.write(stream.chunk(i, 4))
    return replay, stream


def counts_of(where, replay: Replay) -> np.ndarray:
    """How often each slot of the ring was the first of what was drawn, [lanes * capacity]."""
    place = where.lane * replay.capacity + where.slot % replay.capacity
    return np.bincount(place.reshape(-1), minlength=replay.lanes * replay.capacity)


@pytest.mark.parametrize("what", ["episodes", "transitions", "windows"])
def test_whatever_is_read_is_as_likely_as_the_rest(what):
    replay, stream = held()
    more = (5,) if what == "windows" else ()
    n = 16
    where = many(lambda k: getattr(replay, what)(k, n, *more).where, 1_000_000 // n)
    counts = counts_of(where, replay)
    if what == "episodes":
        live = stream.live(240, replay.capacity, 7, 200)
        can = np.zeros(len(counts), bool)
        can[[e.lane * replay.capacity + e.start % replay.capacity for e in live]] = True
    else:  # all but the newest slots, which lack some that follow
        lacking = {"transitions": 1, "windows": 4}[what]
        can = np.arange(len(counts)) % replay.capacity < replay.capacity - lacking
    assert not counts[~can].any()
    size = int(can.sum())
    assert within(p_value(counts[can], np.ones(size), (size - n) / (size - 1)))


WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 4.0, 0.0, 1.0], np.float32)


def test_weighted_draws_come_one_after_another_by_their_weights():
    found = many(lambda k: draw.weighted(k, 2, jnp.log(WEIGHT)), 400_000)
    some, first, second = WEIGHT > 0, *found.T
    assert within(p_value(np.bincount(first, minlength=7)[some], WEIGHT[some]))
    pairs = np.bincount(first * 7 + second, minlength=49).reshape(7, 7)
    chances = WEIGHT[:, None] * WEIGHT[None] / (WEIGHT.sum() - WEIGHT)[:, None]
    possible = (chances > 0) & ~np.eye(7, dtype=bool)
    assert not pairs[~possible].any()
    assert within(p_value(pairs[possible], chances[possible]))


def test_an_episode_counts_half_as_much_as_one_a_half_life_later():
    replay, stream = held(chunks=12, capacity=48)
    live = stream.live(48, 48, 7, 200)
    where = many(lambda k: replay.episodes(k, 1, half_life=8.0).where, 200_000)
    counts = counts_of(where, replay)
    place = [e.lane * 48 + e.start % 48 for e in live]
    chances = 2.0 ** (-np.arange(len(live))[::-1] / 8.0)
    assert counts[place].sum() == 200_000
    assert within(p_value(counts[place], chances))


@pytest.mark.parametrize("strata", ["matchup", ("opponent_id", 1), "opponent_id"])
def test_all_strata_come_equally_often(strata):
    replay, stream = held(chunks=12, capacity=48)
    live = stream.live(48, 48, 7, 200)
    where = many(lambda k: replay.episodes(k, 1, strata=strata).where, 200_000)
    name, member = strata if isinstance(strata, tuple) else (strata, slice(None))
    of = [
        np.atleast_1d(np.atleast_1d(stream.slots[name][e.lane, e.stop - 1])[member]) for e in live
    ]
    _, stratum, sizes = np.unique(np.array(of), axis=0, return_inverse=True, return_counts=True)
    counts = counts_of(where, replay)[[e.lane * 48 + e.start % 48 for e in live]]
    assert len(sizes) > 2 and counts.sum() == 200_000
    assert within(p_value(counts, 1 / sizes[stratum.reshape(-1)]))


def test_half_life_and_strata_together():
    replay, stream = held(chunks=12, capacity=48)
    live = stream.live(48, 48, 7, 200)
    where = many(lambda k: replay.episodes(k, 1, half_life=8.0, strata="matchup").where, 200_000)
    of = np.array([stream.slots["matchup"][e.lane, e.stop - 1] for e in live])
    chances = 2.0 ** (-np.arange(len(live))[::-1] / 8.0) / np.bincount(of)[of]
    counts = counts_of(where, replay)[[e.lane * 48 + e.start % 48 for e in live]]
    assert within(p_value(counts, chances))


PRIORITY = np.random.default_rng(0).gamma(1.0, size=200).astype(np.float32) + 0.01
PRIORITY[::7] = 0.0


@pytest.mark.parametrize("n", [1, 32])
def test_prioritised_draws_have_the_chances_they_state(n):
    at, chance = many(lambda k: draw.prioritised(k, n, jnp.asarray(PRIORITY)), 480_000 // n)
    counts, some = np.bincount(at.reshape(-1), minlength=200), PRIORITY > 0
    assert not counts[~some].any()
    np.testing.assert_allclose(chance, PRIORITY[at] / PRIORITY.sum(), rtol=1e-5)
    p = p_value(counts[some], PRIORITY[some])
    # one draw from each n-th part spreads less than independent draws do
    assert within(p) if n == 1 else p > BAND[0]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_prioritised_transitions(alpha):
    fields = dict(SCHEME.fields) | {"priority": Field((), fill=-1.0)}
    stream, lanes = Stream(5, 3, 40, 6, gaps=True), {"agents": AGENTS}
    replay = Replay.empty(Scheme(fields, lanes), lanes=3, slots=24, chunk=4, horizon=6)
    for i in range(10):
        given = np.random.default_rng(i).gamma(1.0, size=(3, 4)).astype(np.float32)
        given[0, 0] = -1.0
        replay = replay.write({**stream.chunk(i, 4), "priority": given})
    drawn = many(
        lambda k: (lambda p: (p.where, p.chance, p.ok))(
            replay.transitions(k, 1, priority="priority", alpha=alpha)
        ),
        200_000,
    )
    where, chance, ok = drawn
    ring = {name: np.asarray(replay.slots[name]) for name in ("priority", "filled", "closing")}
    can = ring["filled"] & ~ring["closing"] & (np.arange(24) != 39 % 24)
    stored = np.where(ring["priority"] < 0, ring["priority"][can].max(), ring["priority"])
    chances = np.where(can, stored**alpha, 0).reshape(-1)
    counts = counts_of(where, replay)
    assert ok.all() and not counts[~can.reshape(-1)].any()
    assert within(p_value(counts[can.reshape(-1)], chances[can.reshape(-1)]))
    # so that a mean weighted by the inverse is that of uniform draws
    assert abs((1 / chance).mean() - 1) < 0.01


def test_a_million_windows_are_stretches_of_the_stream():
    scheme = Scheme({"count": Field((), np.int32), "terminated": Field((), np.bool_)})
    replay = Replay.empty(scheme, lanes=4, slots=64, chunk=8, horizon=10)
    rng = np.random.default_rng(0)
    for i in range(30):
        count = np.arange(4)[:, None] * 10_000 + np.arange(i * 8, i * 8 + 8)[None]
        ended = rng.random((4, 8)) < 0.2
        replay = replay.write({"count": count.astype(np.int32), "terminated": ended})
    n = 32
    rows = many(lambda k: (lambda r: (r["count"], r.ok))(replay.windows(k, n, 6)), 31_250)
    assert rows[1].all()
    assert (np.diff(rows[0], axis=-1) == 1).all()
    first = rows[0][..., 0].reshape(-1)
    assert (first % 10_000).min() == 240 - 64 and (first % 10_000).max() == 240 - 6
