"""Earlier selves in a learner's seats: their share, what they are, and what is learnt beside."""

from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.algos import Options, Update, loops, ppo, snapshots
from counterplay.algos.goal_settings import opponent_ids
from counterplay.algos.labels import types_of
from counterplay.algos.loops import Spec, seated
from counterplay.algos.snapshots import joined, with_snapshots
from counterplay.pools import roster_against, roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.runs.checkpoints import jr_data
from counterplay.seats import Chair, Kind, Roster

PD = envs.make("matrix:pd,horizon=5")
LANES, SLOTS, COUNT, EVERY, MATCH = 12, 6, 3, 2, 1000
SMALL: dict[str, Any] = {"lanes": LANES, "slots": SLOTS, "widths": (4,), "minibatches": 2}
SMALL |= {"epochs": 1, "snapshot_count": COUNT, "snapshot_every": EVERY}


def config(iterations: int, **more: Any) -> ppo.Config:
    return ppo.Config(**{**SMALL, "steps": iterations * LANES * SLOTS, "snapshots": 0.25, **more})


def selves(number: int) -> Roster:
    """So many seats of one learner; nothing is asked of the game."""
    table = tuple(Chair(0, 0) for _ in range(number))
    return Roster((Kind("self", learner=True),), (table,), ("a",))


PAIR = roster_of(PD, {0: "self", 1: "self"})
DEALT = with_snapshots(PAIR, 0.25, COUNT)


SHARES = [
    (2, "1/4", 1), (2, "1/4", 4), (2, "1/10", 2), (2, "1/2", 4), (2, "7/20", 2),
    (3, "1/4", 4), (3, "1/3", 4), (3, "1/2", 2), (3, "2/3", 3),
    (4, "1/4", 4), (4, "1/3", 2), (4, "1/2", 4), (4, "3/4", 5), (4, "1/64", 1),
]  # fmt: skip


@pytest.mark.parametrize(("seats", "share", "count"), SHARES)
def test_every_seat_is_a_snapshot_in_exactly_that_share_of_the_lanes(seats, share, count):
    roster = with_snapshots(selves(seats), float(Fraction(share)), count)
    lanes = roster.lanes_for(40)
    seating = roster.seating(lanes)
    self_at, frozen_at = seating.places
    assert frozen_at.shape[0] == count, "every place of the ring sits equally often"
    at = [int((frozen_at % seats == seat).sum()) for seat in range(seats)]
    assert [Fraction(n, lanes) for n in at] == [Fraction(share)] * seats
    each = np.unique(frozen_at // seats, return_counts=True)[1]
    assert each.max() < seats, "somebody learns at every table"
    several = np.bincount(frozen_at.ravel() // seats, minlength=lanes)
    assert several.max() - several.min() <= 1
    by_seat = [[(places % seats == s).sum() for s in range(seats)] for places in frozen_at]
    assert len(np.unique(by_seat)) == 1, "no snapshot is known by where it sits"
    assert self_at.size + frozen_at.size == lanes * seats


@pytest.mark.parametrize(
    ("seats", "share", "count", "words"),
    [
        (2, 0.75, 4, "--snapshots 0.75 of 2 seats with --snapshot-count 4.*near it: 0.5 (1/2)$"),
        (4, 0.9, 4, "a learner at each of them; possible near it: 0.75 (3/4)$"),
        (2, 0.37, 4, "possible near it: 0.36957 (17/46) and 0.37037 (10/27)$"),
        (3, 0.25, 500, "near it: nothing, with so many opponents: fewer snapshots take fewer"),
    ],
)
def test_shares_that_cannot_be_had_are_refused_with_what_is_possible(seats, share, count, words):
    escaped = words.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=escaped):
        with_snapshots(selves(seats), share, count)


def test_written_shares_are_the_fractions_that_they_mean():
    third = with_snapshots(selves(3), 1 / 3, 2)
    assert with_snapshots(selves(3), 0.3333, 2).tables == third.tables


def test_others_keep_their_seats_and_numbers():
    mixed = Roster(
        (Kind("self", learner=True), Kind("rule", policy=(), first_id=1, names=("x", "y"))),
        ((Chair(0, 0), Chair(1, 0), Chair(0, 0)), (Chair(1, 0), Chair(0, 0), Chair(0, 0))),
        ("a", "b"),
    )
    found = with_snapshots(mixed, 0.5, 2)
    snaps = {3: "snapshot 0", 4: "snapshot 1"}
    assert found.ids == {0: "self", 1: "x", 2: "y"} | snaps
    assert found.others == ((),), "policies from outside alone"
    assert len(found.tables) == len(found.labels) == 8
    assert {t[1] for t in found.tables[:4]} == {t[0] for t in found.tables[4:]} == {Chair(1, 0)}
    assert found.labels == ("a",) * 4 + ("b",) * 4
    assert joined(config(1, snapshots=0.5), found) is found, "once is enough"


def test_rosters_without_a_shared_learner_are_refused():
    at = lambda *names: roster_of(PD, dict(enumerate(names)))
    for names, words in (
        (("own", "own"), "one learner that several seats share, self; found own"),
        (("self", "own"), "found self, own"),
        (("self", "random"), "as many at every table; found 1"),
        (("random", "random"), "found nobody who learns"),
    ):
        with pytest.raises(ValueError, match=words):
            with_snapshots(at(*names), 0.25, 2)
    with pytest.raises(ValueError, match="as many at every table; found 1 or 2"):
        with_snapshots(roster_against(PD, "self", ("self", "random")), 0.25, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"snapshots": 1.0}, "snapshots must be 0 to below 1, found 1.0"),
        ({"snapshots": -0.1}, "snapshots must be 0 to below 1, found -0.1"),
        ({"snapshots": float("nan")}, "snapshots must be 0 to below 1, found nan"),
        ({"snapshot_count": 0}, "snapshot_count must be at least 1, found 0"),
        ({"snapshot_every": 0}, "snapshot_every must be at least 1, found 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        config(1, **settings)


def told(config: Any, state: Any, chunk: Any) -> Any:
    """``ppo.learn``, which also tells what it learnt from."""
    state, metrics = ppo.learn(config, state, chunk)
    seen = {name: chunk.slots[name] for name in ("contact", "opponent_id", "truncated", "closing")}
    return state, metrics | {f"seen_{name}": x for name, x in seen.items()}


SPY: Any = SimpleNamespace(init=ppo.init, policy=ppo.policy, learn=told)


@pytest.fixture(scope="module")
def updates() -> list[Update]:
    """Nine iterations of two seeds with memory, in matches that never end by themselves."""
    asked = config(9, gru=2, match=MATCH, seeds=2, seed=3)
    training = loops.train(asked, PD, PAIR, SPY, Options())
    return [on_host(update) for update in training]


def on_host(update: Update) -> Update:
    """Keys as numbers, and all of it copied before the next iteration takes it."""
    going = jax.tree.map(lambda x: np.asarray(jr_data(x)), update.going)
    nets, metrics = jax.tree.map(np.asarray, (update.nets, update.metrics))
    return update._replace(nets=nets, metrics=metrics, going=going, episodes=None)


def ring_of(update: Update) -> Any:
    """Networks of the ring, leaves [seeds, K, ...]."""
    return jax.tree.map(lambda x: x[:, 0], update.going[0].frozen.policy.net)


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_a_snapshot_is_the_policy_of_the_iteration_in_which_it_was_taken(updates):
    """Three places, every other iteration: after the eighth the first gave way again."""
    nets = {u.iteration: jax.tree.map(lambda x: x[:, 0], u.nets[0]) for u in updates}
    first = jax.tree.map(lambda x: x[:, 0], ring_of(updates[0]))
    for update in updates:
        taken = range(EVERY, update.iteration + 1, EVERY)
        expected = [first] * COUNT
        for i, n in enumerate(taken):
            expected[i % COUNT] = nets[n]
        for place, net in enumerate(expected):
            found = jax.tree.map(lambda x, k=place: x[:, k], ring_of(update))
            assert same(found, net), (update.iteration, place)
    assert not same(nets[2], nets[4]) and not same(first, nets[1]), "it learns"
    assert updates[-1].going[0].frozen.played.ravel().tolist() == [9, 9]


def test_they_begin_as_the_policy_does(updates):
    spec = Spec(PD, DEALT.seating(LANES), None)
    for i, seed in enumerate((3, 4)):
        state = ppo.init(config(9, gru=2), spec, jr.split(jr.key(seed), 3)[0])
        ring = jax.tree.map(lambda x, i=i: x[i], ring_of(updates[0]))
        pairs = jax.tree.leaves(state.learners[0].net), jax.tree.leaves(ring)
        for new, old in zip(*pairs, strict=True):
            np.testing.assert_allclose(np.broadcast_to(new, old.shape), old, rtol=1e-4, atol=1e-6)


def test_every_seed_has_its_own(updates):
    one, two = (jax.tree.map(lambda x, i=i: x[i], ring_of(updates[-1])) for i in range(2))
    assert (one.policy.weight != two.policy.weight).all()


def test_matches_end_where_a_snapshot_is_renewed_and_nowhere_else(updates):
    """First contact comes after the closing slot that truncated episodes have."""
    for update in updates:
        contact, closing = update.metrics["seen_contact"], update.metrics["seen_closing"]
        truncated = update.metrics["seen_truncated"]
        n = update.iteration
        fresh = [0] if n == 1 else [1] if n % EVERY == 1 else []
        assert {*np.argwhere(contact)[:, -1]} == {*fresh}, n
        assert contact[..., fresh].all(), "everywhere at once"
        assert truncated[..., -1].all() if n % EVERY == 0 else not truncated.any(), n
        assert closing[..., 0].all() if fresh == [1] else not closing.any(), n


def test_a_quarter_of_the_places_is_theirs_by_number(updates):
    opponent = updates[4].metrics["seen_opponent_id"]  # [seeds, L, T, N]
    assert opponent.shape == (2, LANES, SLOTS, 2)
    ids, counts = np.unique(opponent[:, :, -1], return_counts=True)
    quarter = 2 * LANES * 2 // 4
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {0: 3 * quarter} | {
        1 + k: quarter // COUNT for k in range(COUNT)
    }


@pytest.fixture(scope="module")
def played() -> tuple[Any, Any, list[Any]]:
    """The state at the start, and for each place of the ring a chunk in which that one always
    makes move 1, the others move 0."""
    spec, asked = Spec(PD, DEALT.seating(LANES), None), config(1)
    state = ppo.init(asked, spec, jr.key(0))
    learning = ppo.policy(asked, state)
    frozen = snapshots.begun(spec.seating, learning)
    assert isinstance(frozen, snapshots.Snapshots)
    play, chunks = jax.jit(partial(collect, PD, spec.seating, slots=SLOTS)), []
    for place in range(COUNT):
        bias = 50.0 * jnp.eye(2)[(jnp.arange(COUNT) == place).astype(int)]
        sure = eqx.tree_at(lambda agent: agent.net.policy.bias, frozen.policy, bias)
        policies = seated(spec.seating, learning, (), frozen._replace(policy=sure))
        lanes = open_lanes(PD, spec.seating, policies, jr.key(1))
        chunks.append(play(policies, lanes, jr.key(2))[1])
    return spec, state, chunks


def test_a_label_is_the_place_in_the_ring(played):
    spec, _, chunks = played
    ids = tuple(opponent_ids(spec.seating.kinds))
    assert ids == (1, 2, 3)
    for odd, chunk in enumerate(chunks):
        kind, known, moves = labelled(ids, chunk)
        assert (known == (np.asarray(chunk.slots["opponent_id"]) > 0).reshape(-1, 2)).all()
        for place in range(COUNT):
            here = (kind[..., place] == 1) & (moves >= 0)
            assert here.sum() > 4 and (moves[here] == (place == odd)).all(), (place, odd)
        assert (kind[~known] == np.float32(1 / COUNT)).all()


def labelled(ids: tuple[int, ...], chunk: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chances of types [L * T, N, Y], whether they are known, and moves."""
    kind, known = types_of(ids, chunk.slots["opponent_id"].reshape(-1, 2), COUNT)
    return np.asarray(kind), np.asarray(known), np.asarray(chunk.slots["actions"]).reshape(-1, 2)


def test_their_places_are_in_no_loss(played):
    """To the bit, whatever is written there."""
    spec, state, (chunk, *_) = played
    frozen = np.asarray(chunk.slots["opponent_id"] > 0)  # [L, T, N]
    own = spec.seating.places[0].size * SLOTS
    assert (~frozen).sum() == own == 3 * LANES * 2 * SLOTS // 4
    learn = jax.jit(partial(ppo.learn, config(1)))
    spoilt = {
        name: jnp.where(frozen if x.ndim == 3 else frozen[..., None], bad, x).astype(x.dtype)
        for name, bad in (("reward", 7.0), ("obs", 1), ("actions", 1), ("avail_actions", True))
        for x in [chunk.slots[name]]
    }
    records = (chunk.records[0], jax.tree.map(lambda x: x + 5, chunk.records[1]))
    after, metrics = learn(state, chunk)
    again, others = learn(state, chunk._replace(slots=chunk.slots | spoilt, records=records))
    assert same(after.learners, again.learners)
    assert not same(after.learners, state.learners) and float(metrics["policy_loss"]) != 0
    for name in ("policy_loss", "value_loss", "entropy"):
        assert np.array_equal(metrics[name], others[name]), name
    away = chunk.slots["reward"] + jnp.where(frozen, 0.0, 7.0 * jr.normal(jr.key(1), frozen.shape))
    moved = learn(state, chunk._replace(slots=chunk.slots | {"reward": away}))[0]
    assert not same(after.learners, moved.learners), "what is written elsewhere counts"
