"""Hindsight labels by hand, against plain loops, and of games that were played."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from counterplay.models import events
from counterplay.types import NO_EVENT

SLOTS, SEATS, GOALS = 9, 2, 3
NONE = NO_EVENT

hindsight, censored = jax.jit(events.hindsight), jax.jit(events.censored)
segments, soft_labels = jax.jit(events.segments), jax.jit(events.soft_labels)
extremum = jax.jit(events.extremum, static_argnums=(2, 3))
best_within = jax.jit(events.best_within, static_argnums=4)
quantile_of = jax.jit(events.quantile_of, static_argnums=2)


def looked_up(event, acting, over) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and which slots have none since all ended or since the stretch did: by looking."""
    label = np.full(event.shape, NONE)
    ended, cut = np.zeros(event.shape, bool), np.zeros(event.shape, bool)
    for place in zip(*np.nonzero(acting), strict=True):
        start, *seat = place
        for t in range(start, event.shape[0]):
            now = (t, *seat)
            if acting[now] and event[now] != NONE:
                label[place] = event[now]
                break
            if over[now]:
                ended[place] = True
                break
        else:
            cut[place] = True
    return label, ended, cut


# Three seats in eleven slots: an episode that ends in slot 4, one of another match that is
# interrupted in slot 7 and shown in slot 8, and one that the stretch cuts off.
# Seat 0 stays to the ends; seat 1 leaves in slot 1 with an event, seat 2 in slot 3 without.
EVENT = np.array([
    [NONE, NONE, NONE], [NONE, 0, NONE], [1, 1, NONE], [NONE, 0, NONE], [NONE, 0, 1],
    [NONE, NONE, 1], [NONE, NONE, 0], [0, NONE, NONE], [1, 1, 1],
    [NONE, 1, NONE], [NONE, NONE, 1],
])  # fmt: skip
"""Some of absent players and of the slot that only shows, which nobody may read."""
SLOTS_BY_HAND = {
    "alive": np.array([
        [1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 0, 0],
        [1, 1, 1], [1, 1, 1], [1, 1, 1], [0, 0, 0],
        [1, 1, 1], [1, 1, 1],
    ], bool),
    "left": np.zeros((11, 3), bool),
    "terminated": np.arange(11) == 4,
    "truncated": np.arange(11) == 7,
    "closing": np.arange(11) == 8,
    "filled": np.ones(11, bool),
}  # fmt: skip
SLOTS_BY_HAND["left"][[1, 3], [1, 2]] = True


def by_hand() -> tuple:
    acting, over = events.presence({k: jnp.asarray(x) for k, x in SLOTS_BY_HAND.items()})
    return jnp.asarray(EVENT, jnp.int8), acting, over


def test_labels_by_hand():
    label = hindsight(*by_hand())
    assert label.dtype == jnp.int8
    assert label[:, 0].tolist() == [1, 1, 1, NONE, NONE, 0, 0, 0, NONE, NONE, NONE]
    assert label[:, 1].tolist() == [0, 0, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 1, NONE]
    assert label[:, 2].tolist() == [NONE] * 5 + [1, 0, NONE, NONE, 1, 1]


def test_why_there_is_no_label_by_hand():
    ended, cut = censored(*by_hand())
    where = lambda marks: [np.flatnonzero(marks[:, seat]).tolist() for seat in range(3)]
    assert where(ended) == [[3, 4], [5, 6, 7], [0, 1, 2, 3, 7]]
    assert where(cut) == [[9, 10], [10], []]


def test_segments_by_hand():
    number = segments(*by_hand())
    assert number[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 4]
    assert number[:, 1].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 5]
    assert number[:, 2].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 6]


def test_presence_by_hand():
    _, acting, over = by_hand()
    assert np.array_equal(acting, SLOTS_BY_HAND["alive"])
    where = [np.flatnonzero(over[:, seat]).tolist() for seat in range(3)]
    assert where == [[4, 7, 8], [1, 4, 7, 8], [3, 4, 7, 8]]
    few = {"alive": jnp.ones((4, 2), bool), "terminated": jnp.array([False, True, False, False])}
    filled = jnp.array([True, True, True, False])
    acting, over = events.presence({**few, "filled": filled})
    assert acting.tolist() == [[True] * 2] * 3 + [[False] * 2]
    assert over.tolist() == [[False] * 2, [True] * 2, [False] * 2, [True] * 2]
    acting, _ = events.presence({**few, "dropped": ~filled})
    assert acting.tolist() == [[True] * 2] * 3 + [[False] * 2], "a broken game teaches nothing"
    with pytest.raises(ValueError, match=r"'alive'.*expected one of: terminated"):
        events.presence({"terminated": few["terminated"]})


marks = arrays(bool, (SLOTS, SEATS))
happenings = arrays(np.int8, (SLOTS, SEATS), elements=st.integers(-1, GOALS - 1), fill=st.just(-1))


@given(happenings, marks, marks)
def test_labels_are_those_of_looking_ahead_slot_by_slot(event, acting, over):
    label, ended, cut = looked_up(event, acting, over)
    assert np.array_equal(hindsight(event, acting, over), label)
    found = censored(event, acting, over)
    assert np.array_equal(found.ended, ended) and np.array_equal(found.cut, cut)
    assert np.array_equal(found.ended | found.cut, acting & (label == NONE))


@given(happenings, marks, marks)
def test_segments_are_what_lies_between_events_and_ends(event, acting, over):
    number = np.asarray(segments(event, acting, over))
    for seat in range(SEATS):
        now = 0
        for t in range(SLOTS):
            assert number[t, seat] == now < SLOTS
            now += bool(over[t, seat] or (acting[t, seat] and event[t, seat] != NONE))


@given(
    arrays(np.float32, SLOTS, elements=st.sampled_from([-np.inf, -1, 0, 1, 2])),
    arrays(bool, SLOTS),
    st.sampled_from([1, 3, 20]),
    st.booleans(),
)
def test_the_extremum_is_that_of_looking_at_every_slot_of_the_window(value, over, horizon, best):
    found = np.asarray(extremum(value, over, horizon, best))
    for t in range(SLOTS):
        wanted, u = t, t
        while not over[u] and u + 1 < SLOTS and u < t + horizon:
            u += 1
            better = value[u] > value[wanted] if best else value[u] < value[wanted]
            wanted = u if wanted == t or better else wanted
        assert found[t] == wanted


def test_the_extremum_by_hand():
    nan = jnp.nan
    value = jnp.array([nan, 3.0, 1.0, 2.0, nan, 5.0, 4.0])
    over = jnp.array([False, False, False, True, False, False, False])
    assert extremum(value, over, 2, True).tolist() == [1, 3, 3, 3, 5, 6, 6]
    assert extremum(value, over, 2, False).tolist() == [2, 2, 3, 3, 6, 6, 6]
    assert extremum(value, over, 10, False).tolist() == [2, 2, 3, 3, 6, 6, 6]
    with pytest.raises(ValueError, match="horizon counts slots, at least 1, found 0"):
        events.extremum(value, over, 0, True)


def test_events_count_where_they_paid():
    event = jnp.array([[0, 1], [NONE, 2], [1, 0]])
    own = jnp.array([[0.5, 1.0], [9.0, 0.9], [jnp.nan, 3.0]])
    assert events.rewarded(event, own, 1.0).tolist() == [[NONE, 1], [NONE, NONE], [NONE, 0]]
    mine = own[:, 1:]
    assert events.rewarded(event, mine, 1.0).tolist() == [[0, 1], [NONE, NONE], [1, 0]]


def test_the_best_paid_event_within_a_horizon_by_hand():
    """Goal 1 pays more than 0, and 2 most of all, in the next episode."""
    event = jnp.array([NONE, 0, NONE, 1, NONE, 0, 2])
    pay = jnp.array([9.0, 1.0, 9.0, 3.0, 0.0, 1.0, 8.0])
    acting, over = jnp.ones(7, bool), jnp.array([False] * 5 + [True, False])
    best = lambda acting, horizon: best_within(event, pay, acting, over, horizon).tolist()
    assert best(acting, 1) == [0, 0, 1, 1, 0, 0, NONE]
    assert best(acting, 2) == [0, 1, 1, 1, 0, 0, NONE]
    assert best(acting, 3) == [1, 1, 1, 1, 0, 0, NONE], "after the last slot nobody knows"
    assert best(acting.at[3].set(False), 3) == [0, 0, 0, NONE, 0, 0, NONE]
    assert best(acting.at[5].set(False), 3)[4:] == [NONE, NONE, NONE]
    whole = best_within(event, pay, acting, over, 2).tolist()
    cut = best_within(event[:4], pay[:4], acting[:4], over[:4], 2).tolist()
    assert cut == [*whole[:2], NONE, NONE], "a cut says nothing else than the whole"
    with pytest.raises(ValueError, match="horizon counts slots, at least 1, found 0"):
        best(acting, 0)


QUANTILES = (0.0, 0.3, 0.5, 0.9, 0.95, 1.0)


@pytest.mark.parametrize("values", [7, 2, 1, 1000], ids=lambda n: f"{n} values")
@pytest.mark.parametrize("q", QUANTILES)
def test_a_quantile_is_the_least_that_a_share_reaches_at_most(q, values):
    """By looking at every reward, of none and of many that are the same."""
    rng = np.random.default_rng(values)
    rewards = rng.integers(values, size=(4, 10)).astype(np.float32)
    mask = rng.random((4, 10)) < 0.6
    found = quantile_of(jnp.where(mask, rewards, jnp.nan), mask, q)
    masked = rewards[mask]
    most = np.floor((1 - q) * len(masked) + 1e-4)
    few = [x for x in masked if (masked >= x).sum() <= most]
    assert float(found) == (min(few) if few else masked.max())


def test_of_rewards_that_are_the_same_no_more_are_kept_than_were_asked_for():
    """Steps that pay .02, and targets, as in a dense race: the upper twentieth are targets alone,
    however many there are."""
    for targets in (10, 5, 1):
        paid = jnp.array([1.0] * targets + [0.02] * (100 - targets))
        least = quantile_of(paid, jnp.ones(100, bool), 0.95)
        assert float(least) == 1 and int((paid >= least).sum()) == targets
    assert float(quantile_of(jnp.full(100, 0.02), jnp.ones(100, bool), 0.95)) == np.float32(0.02)
    twenty = quantile_of(jnp.arange(20.0), jnp.ones(20, bool), 0.95)
    assert float(twenty) == 19, "a twentieth of them is one"


def test_a_quantile_of_nothing_is_never_reached_and_shares_are_shares():
    rewards = jnp.ones(3)
    assert events.quantile_of(rewards, jnp.zeros(3, bool), 0.5) == jnp.inf
    for q in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="q is a share, 0 to 1, found"):
            events.quantile_of(rewards, jnp.ones(3, bool), q)


def test_soft_labels_by_hand():
    # a known segment, a censored one with an absent slot inside, another censored one
    label = jnp.array([1, NONE, NONE, NONE, NONE])
    segment = jnp.array([0, 1, 1, 1, 2])
    acting = jnp.array([True, True, False, True, True])
    moves = jnp.array([[0.9, 0.1], [0.8, 0.4], [jnp.nan, jnp.nan], [0.5, 0.25], [0.1, 0.1]])
    prior = jnp.array([0.2, 0.8])
    q = soft_labels(label, segment, jnp.log(prior), jnp.log(moves), acting)
    half = 0.2 * 0.8 * 0.5, 0.8 * 0.4 * 0.25  # both .08
    assert half[0] == pytest.approx(half[1])
    wanted = [[0, 1], [0.5, 0.5], [0, 0], [0.5, 0.5], [0.2, 0.8]]
    np.testing.assert_allclose(q, wanted, atol=1e-6)
    assert q[2].tolist() == [0, 0] and q[0].tolist() == [0, 1]


def test_of_priors_a_slot_the_first_of_a_segment_counts():
    """Beliefs of later slots have seen its moves: counting these twice would overstate them."""
    label, segment = jnp.full(4, NONE), jnp.array([0, 0, 0, 1])
    acting = jnp.array([False, True, True, True])
    prior = jnp.array([[jnp.nan, jnp.nan], [0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
    moves = jnp.array([[jnp.nan, jnp.nan], [0.9, 0.1], [0.5, 0.5], [1.0, 1.0]])
    q = soft_labels(label, segment, jnp.log(prior), jnp.log(moves), acting)
    np.testing.assert_allclose(q, [[0, 0], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7]], atol=1e-6)


def test_goals_that_cannot_be_stay_out_and_no_move_rules_all_of_them_out():
    label, segment, acting = jnp.full(2, NONE), jnp.zeros(2, jnp.int32), jnp.ones(2, bool)
    no = -jnp.inf
    q = lambda prior, moves: soft_labels(label, segment, jnp.array(prior), jnp.array(moves), acting)
    vanished = q([no, 0.0], [[0.0, no], [0.0, no]])
    assert vanished.tolist() == [[0, 1]] * 2, "whatever the moves say"
    np.testing.assert_allclose(q([0.0, 0.0], [[no, no], [0.0, 0.0]]), [[0.5, 0.5]] * 2)
    np.testing.assert_allclose(q([no, no], [[0.0, 0.0], [0.0, no]]), [[1, 0]] * 2)


likely = st.floats(0.015625, 1, width=32)


@given(
    happenings.map(lambda x: x[:, 0]),
    marks.map(lambda x: x[:, 0]),
    marks.map(lambda x: x[:, 1]),
    arrays(np.float32, (SLOTS, GOALS), elements=likely),
    arrays(np.float32, GOALS, elements=likely),
)
def test_soft_labels_are_products_over_the_slots_of_a_segment(event, acting, over, moves, prior):
    label, number = hindsight(event, acting, over), segments(event, acting, over)
    held = np.where(acting[:, None], np.log(moves), np.nan)
    q = np.asarray(soft_labels(label, number, np.log(prior), held, acting))
    for t in range(SLOTS):
        if not acting[t]:
            assert (q[t] == 0).all()
        elif label[t] != NONE:
            assert (q[t] == np.eye(GOALS)[int(label[t])]).all()
        else:
            weight = prior.astype(float)
            for s in range(SLOTS):
                if number[s] == number[t] and acting[s]:
                    weight = weight * moves[s]
            np.testing.assert_allclose(q[t], weight / weight.sum(), atol=2e-6)


def test_what_the_absent_hold_has_no_gradient_and_soft_labels_have_none_at_all():
    event, acting, over = (x[:, 2] for x in by_hand())
    label, number = events.hindsight(event, acting, over), events.segments(event, acting, over)
    logits = jr.normal(jr.key(0), (11, GOALS))

    def loss(logits, there):
        """Cross-entropy of a model of moves, as an action model is trained."""
        held = jnp.where(there[:, None], jax.nn.log_sigmoid(logits), jnp.nan)
        q = events.soft_labels(label, number, jnp.zeros(GOALS), held, acting)
        return -jnp.where(q > 0, q * held, 0.0).sum(), q

    slope = jax.jit(jax.grad(loss, has_aux=True))
    gradient, q = slope(logits, acting)
    whole, same = slope(logits, jnp.ones_like(acting))
    assert np.isfinite(gradient).all() and (gradient[~acting] == 0).all()
    assert np.array_equal(gradient, whole) and np.array_equal(q, same)
    # the gradient is that of fixed labels: nothing passed through the labels themselves
    np.testing.assert_allclose(gradient, -q * jax.nn.sigmoid(-logits), atol=1e-6)
    assert (np.abs(gradient[acting]).sum(1) > 0).all(), "nor was any slot dropped"
