"""The filter by hand, against plain loops in float64, and against exact inference of rules."""

from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, PRNGKeyArray

from counterplay import envs, opponents
from counterplay.evaluate.bayes import Watcher
from counterplay.evaluate.reading import SLACK
from counterplay.models import beliefs
from counterplay.models.actions import Reading
from counterplay.models.beliefs import Held, Rates, over_goals, over_types, predicted
from counterplay.opponents.rule import Mixture
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import NO_EVENT, NO_MOVE, Act, Memory, View

NONE = NO_EVENT
PLAIN = Rates(mix=0.0, drift=0.0)


def view(moved, event=None, alive=None, first=False, legal=None, actions: int = 2) -> View:
    """Me first; events, presence and legal moves of everybody, by default none, all and all."""
    n = len(moved)
    can = jnp.ones((n, actions), bool) if legal is None else jnp.asarray(legal)
    return View(
        obs=jnp.zeros(1),
        legal=can[0],
        alive=jnp.ones(n, bool) if alive is None else jnp.asarray(alive),
        moved=jnp.asarray(moved, jnp.int32),
        public_legal=can,
        reward=jnp.float32(0),
        event=jnp.full(n, NONE) if event is None else jnp.asarray(event, jnp.int32),
        time=jnp.int32(0),
        first=jnp.asarray(first),
        told=jnp.zeros(0),
    )


def reading(ones, goals, types=None) -> Reading:
    """Of chances [M, Y, G] that a move is 1, of two moves, and of goals [M, Y, G]."""
    ones, goals = jnp.asarray(ones, jnp.float32), jnp.asarray(goals, jnp.float32)
    kinds = jnp.full(goals.shape[:2], 1 / goals.shape[1]) if types is None else jnp.asarray(types)
    return Reading(jnp.log(jnp.stack([1 - ones, ones], -1)), jnp.log(goals), jnp.log(kinds))


@partial(jax.jit, static_argnums=(3, 4))
def step(held: Held, seen: View, made: Reading, rates: Rates, amortised: bool = False) -> Held:
    """One slot, as a reader has it."""
    return beliefs.looked(beliefs.heard(held, seen, rates), seen, made, rates, amortised)


ONES, GOALS = [[[0.8, 0.4], [0.4, 0.2]]], [[[0.5, 0.5], [0.9, 0.1]]]
EVEN = [[[0.5, 0.5], [0.5, 0.5]]]


def test_two_types_and_two_goals_by_hand():
    """First slot, a move, drift, a move that completes goal 1, and habit."""
    rates = Rates(mix=0.0, drift=0.2, habit=0.25, decay=0.5)
    contact = view([NO_MOVE, NO_MOVE], first=True)
    held = step(beliefs.held_at_first((1, 2, 2, 2)), contact, reading(ONES, GOALS), PLAIN)
    near = partial(np.testing.assert_allclose, rtol=2e-6)
    near(jnp.exp(held.log_belief), [[[0.25, 0.25], [0.45, 0.05]]])
    near(predicted(held), [[0.51, 0.49]])
    near(over_goals(held), [[0.7, 0.3]])
    near(over_types(held), [[0.5, 0.5]])
    held = step(held, view([0, 1]), reading(ONES, EVEN), rates)
    # .25 * .8, .25 * .4, .45 * .4, .05 * .2 over .49; then a fifth of each type's goals is even
    near(jnp.exp(held.log_belief) * 0.49, [[[0.19, 0.11], [0.163, 0.027]]])
    near(predicted(held)[0, 1] * 0.49, 0.19 * 0.8 + 0.11 * 0.4 + 0.163 * 0.4 + 0.027 * 0.2)
    held = step(held, view([1, 0], event=[NONE, 1]), reading(ONES, GOALS), rates)
    types = np.array([0.00038 + 0.06666, 0.000978 + 0.021816])
    types /= types.sum()
    # goals begin anew: 3/4 what is said, 1/4 habit, which was even and is now 1/4 and 3/4
    near(held.habit, [[0.25, 0.75]])
    goals = np.array([[0.4375, 0.5625], [0.7375, 0.2625]])
    near(jnp.exp(held.log_belief)[0], types[:, None] * goals)


def test_types_drift_towards_even_ones():
    held = step(beliefs.held_at_first((1, 2, 1, 2)), view([NO_MOVE] * 2, first=True),
                reading([[[0.9], [0.1]]], [[[1.0], [1.0]]]), PLAIN)  # fmt: skip
    rates = Rates(mix=0.0, drift=0.0, type_drift=0.5)
    held = step(held, view([0, 1]), reading([[[0.9], [0.1]]], [[[1.0], [1.0]]]), rates)
    np.testing.assert_allclose(over_types(held), [[0.7, 0.3]], rtol=1e-6)


def test_likelihoods_hold_a_share_of_the_legal_moves():
    can = [[True] * 4, [True, True, False, False]]
    seen = view([NO_MOVE] * 2, first=True, legal=can, actions=4)
    moves = jnp.log(jnp.array([1.0, 0.0, 0.0, 0.0]))[None, None, None]
    said = Reading(moves, jnp.zeros((1, 1, 1)), jnp.zeros((1, 1)))
    held = step(beliefs.held_at_first((1, 1, 1, 4)), seen, said, Rates(mix=0.2))
    np.testing.assert_allclose(held.moves[0, 0, 0], [0.9, 0.1, 0, 0], rtol=1e-6)


def far(rates: Rates = PLAIN) -> Held:
    """Something to lose: uneven beliefs over two others, and moves that tell."""
    ones = [ONES[0], [[0.3, 0.6], [0.9, 0.5]]]
    first = view([NO_MOVE] * 3, first=True)
    goals = [GOALS[0], [[0.2, 0.8], [0.6, 0.4]]]
    held = step(beliefs.held_at_first((2, 2, 2, 2)), first, reading(ones, goals), rates)
    return step(held, view([0, 1, 0]), reading(ones, goals), rates)


SAID = reading([ONES[0], ONES[0]], [GOALS[0], GOALS[0]])


def test_whoever_is_absent_is_frozen_exactly():
    rates = Rates(drift=0.3, type_drift=0.3, habit=0.3)
    held = step(far(), view([0, NO_MOVE, 1], alive=[True, False, True]), SAID, rates)
    for name in ("log_belief", "habit"):
        assert np.array_equal(getattr(held, name)[0], getattr(far(), name)[0])
        if name == "log_belief":
            assert not np.array_equal(held.log_belief[1], far().log_belief[1])
    assert (held.moves[0] == 0).all() and (predicted(held)[0] == 0).all()
    later = held
    for _ in range(3):
        later = step(later, view([0, NO_MOVE, 1], alive=[True, False, True]), SAID, rates)
    assert np.array_equal(later.log_belief[0], far().log_belief[0])
    told = step(far(), view([0, NO_MOVE, 1], alive=[True, False, True]), SAID, rates, True)
    assert np.array_equal(told.log_belief[0], far().log_belief[0]), "amortised, too"


def test_a_move_that_was_not_seen_changes_nothing():
    held = step(far(), view([0, NO_MOVE, NO_MOVE]), SAID, PLAIN)
    np.testing.assert_allclose(held.log_belief, far().log_belief, atol=2e-6)


def test_moves_of_a_slot_in_which_i_did_not_move_are_none_that_i_had_expected():
    """I had left, and the last joint move of that episode is shown where the next one begins."""
    held = step(far(), view([NO_MOVE, 1, 1]), SAID, PLAIN)
    np.testing.assert_allclose(held.log_belief, far().log_belief, atol=2e-6)
    counted = step(far(), view([0, 1, 1]), SAID, PLAIN)
    assert (abs(counted.log_belief - far().log_belief) > 0.01).any((1, 2)).all()


def test_moves_that_no_type_makes_teach_nothing_and_those_of_one_rule_out_the_other():
    never = reading([[[0.0, 0.0], [0.0, 0.0]]], GOALS)
    held = step(beliefs.held_at_first((1, 2, 2, 2)), view([NO_MOVE] * 2, first=True), never, PLAIN)
    after = step(held, view([0, 1]), never, PLAIN)
    np.testing.assert_allclose(after.log_belief, held.log_belief, atol=1e-6)
    one = reading([[[0.0, 0.0], [0.5, 0.0]]], GOALS)
    held = step(beliefs.held_at_first((1, 2, 2, 2)), view([NO_MOVE] * 2, first=True), one, PLAIN)
    after = step(held, view([0, 1]), one, PLAIN)
    np.testing.assert_allclose(jnp.exp(after.log_belief), [[[0, 0], [1, 0]]], atol=1e-6)
    assert np.isfinite(after.log_belief).all()
    both = step(after, view([0, 1]), one, PLAIN)
    assert np.isfinite(both.log_belief).all()


@pytest.mark.parametrize("habit", [0.0, 0.5])
def test_events_of_a_game_whose_goals_are_not_inferred_change_nothing(habit):
    rates = Rates(drift=0.0, habit=habit, decay=0.5)
    said = reading([[[0.9], [0.1]]], [[[1.0], [1.0]]])
    held = step(beliefs.held_at_first((1, 2, 1, 2)), view([NO_MOVE] * 2, first=True), said, rates)
    quiet = step(held, view([0, 1]), said, rates)
    loud = step(held, view([0, 1], event=[NONE, 2]), said, rates)
    for _ in range(3):
        quiet = step(quiet, view([0, NO_MOVE]), said, rates)
        loud = step(loud, view([0, NO_MOVE], event=[NONE, 1]), said, rates)
    np.testing.assert_allclose(loud.log_belief, quiet.log_belief, atol=1e-6)
    np.testing.assert_allclose(over_types(loud).sum(1), 1, atol=1e-6)


def test_an_event_counts_where_it_paid_me_enough():
    """As if there were no event where it did not, and as any event where it did."""
    rates, any_event = Rates(drift=0.0, habit=0.3, pays=0.5), Rates(drift=0.0, habit=0.3)
    said = reading([[[0.9, 0.2]]], [[[0.7, 0.3]]])
    begun = step(beliefs.held_at_first((1, 1, 2, 2)), view([NO_MOVE] * 2, first=True), said, rates)
    quiet, loud = view([0, 1]), view([0, 1], event=[NONE, 1])
    paid = replace(loud, reward=jnp.float32(0.5))
    for seen, alike in ((loud, quiet), (paid, loud)):
        found, wanted = step(begun, seen, said, rates), step(begun, alike, said, any_event)
        for name in ("log_belief", "habit"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert not np.allclose(step(begun, paid, said, rates).habit, begun.habit)


def test_where_goals_are_moves_a_move_that_paid_is_one_reached_and_they_begin_anew():
    """A coin that falls on 1 seven times in ten, told apart only by what each goal does itself:
    between moves that pay nothing the belief stays, after one that pays the history speaks."""
    rates = Rates(mix=0.0, drift=0.0, pays=0.5, moves=True)
    said = reading([[[0.01, 0.99]]], [[[0.3, 0.7]]])
    held = step(beliefs.held_at_first((1, 1, 2, 2)), view([NO_MOVE] * 2, first=True), said, rates)
    np.testing.assert_allclose(predicted(held)[0, 1], 0.3 * 0.01 + 0.7 * 0.99, atol=1e-5)
    for move in (0, 1, 1, 0):
        seen = view([0, move])
        kept = step(held, seen, said, rates)
        assert over_goals(kept)[0, move] > 0.9, "nothing was paid, so it is still after that"
        held = step(held, replace(seen, reward=jnp.float32(1)), said, rates)
        np.testing.assert_allclose(over_goals(held)[0], [0.3, 0.7], atol=1e-5)
    gone = step(kept, view([NO_MOVE, 1]), said, rates._replace(pays=0.0))
    np.testing.assert_array_equal(gone.log_belief, kept.log_belief)  # I had left by then
    unseen = replace(view([0, NO_MOVE]), reward=jnp.float32(1))
    np.testing.assert_array_equal(step(kept, unseen, said, rates).log_belief, kept.log_belief)


def test_without_a_filter_beliefs_are_what_the_history_says():
    said = reading([ONES[0], ONES[0]], [GOALS[0], EVEN[0]], [[0.3, 0.7], [1.0, 0.0]])
    told = step(far(), view([0, 1, 1]), said, PLAIN, True)
    wanted = [[[0.15, 0.15], [0.63, 0.07]], [[0.5, 0.5], [0, 0]]]
    np.testing.assert_allclose(jnp.exp(told.log_belief), wanted, atol=1e-6)


class Slow:
    """The same filter of one other in probabilities, float64, two moves."""

    def __init__(self, types: int, goals: int):
        self.belief = np.full((types, goals), 1 / (types * goals))
        self.moves = np.zeros((types, goals, 2))
        self.habit = np.full(goals, 1 / goals)

    def step(self, move, event, mine, there, first, ones, said, rates: Rates) -> None:
        if move != NONE and mine != NONE:
            self.belief = self.belief * self.moves[:, :, move]
        if event != NONE:
            for g in range(len(self.habit)):
                self.belief[:, g] *= 1.01 if g == event else 0.01
                reached = 1.0 if g == event else 0.0
                self.habit[g] = rates.decay * self.habit[g] + (1 - rates.decay) * reached
        self.belief = self.belief / self.belief.sum()
        if not there:
            self.moves = np.zeros_like(self.moves)
            return
        for k in range(len(self.belief)):
            goals = self.belief[k] / self.belief[k].sum()
            fresh = (1 - rates.habit) * said[k] + rates.habit * self.habit
            drifted = (1 - rates.drift) * goals + rates.drift * fresh
            whole = self.belief[k].sum() * (1 - rates.type_drift)
            whole += rates.type_drift / len(self.belief)
            self.belief[k] = whole * (fresh if first or event != NONE else drifted)
        self.moves = (1 - rates.mix) * np.stack([1 - ones, ones], -1) + rates.mix / 2


ROWS = 6
chance = st.floats(0.015625, 0.984375, width=32)
slot = st.tuples(
    st.integers(-1, 1), st.integers(-1, 1), st.integers(-1, 1), st.booleans(), st.booleans(),
    st.lists(chance, min_size=4, max_size=4), st.lists(chance, min_size=2, max_size=2),
)  # fmt: skip
LIVELY = Rates(mix=0.05, drift=0.1, type_drift=0.02, habit=0.3, decay=0.7)


@given(st.lists(slot, min_size=ROWS, max_size=ROWS))
def test_any_sequence_gives_what_plain_loops_give_and_rows_sum_to_one(slots):
    held, slow = beliefs.held_at_first((1, 2, 2, 2)), Slow(2, 2)
    before = False  # whoever was away made no move
    for move, event, mine, there, first, ones, said in slots:
        move, event = (move, event) if before else (NONE, NONE)
        ones, goals = np.reshape(ones, (2, 2)), np.array([[p, 1 - p] for p in said])
        seen = view([mine, move], [NONE, event], [True, there], first)
        held = step(held, seen, reading(ones[None], goals[None]), LIVELY)
        slow.step(move, event, mine, there, first, ones, goals, LIVELY)
        np.testing.assert_allclose(jnp.exp(held.log_belief)[0], slow.belief, atol=1e-5)
        np.testing.assert_allclose(held.habit[0], slow.habit, atol=1e-6)
        for total in (over_goals(held).sum(1), over_types(held).sum(1)):
            np.testing.assert_allclose(total, 1, atol=1e-5)
        if there:
            np.testing.assert_allclose(predicted(held).sum(1), 1, atol=1e-5)
        before = there


class Both(eqx.Module):
    """Plays one of some rules, and infers the others twice: exactly, and by the filter."""

    plays: Mixture
    exact: Watcher

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        others, types, actions = self.exact.reader.shape
        return others, types, 1, actions

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        mine, exact, held = (None, None, beliefs.held_at_first(self.sizes)) if memory is None else (
            memory
        )  # fmt: skip
        return self.plays.begin(key, mine), self.exact.begin(exact), held

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        mine, exact, held = memory
        act, exact = self.plays.act(key, mine, view, greedy), self.exact.look(exact, view)
        legal = view.public_legal[1:].astype(jnp.float32)
        even = SLACK * legal / jnp.maximum(legal.sum(1, keepdims=True), 1)
        true = jnp.maximum(exact.moves - even[:, None], 0.0) / (1 - SLACK)
        others, types, goals, _ = self.sizes
        flat = jnp.zeros((others, types, goals))
        said = Reading(jnp.log(true)[:, :, None], flat, jnp.zeros((others, types)))
        rates = Rates(mix=SLACK, drift=0.0)
        held = beliefs.looked(beliefs.heard(held, view, rates), view, said, rates)
        record = {"likely": exact.moves, "exact": self.exact.types(exact)}
        record |= {"types": over_types(held), "moves": predicted(held)}
        return Act(act.action, (act.memory, exact, held), record)


class Played(NamedTuple):
    """Slots [L, T, N, ...] of matches in which everybody infers everybody."""

    slots: dict[str, Any]
    record: dict[str, Any]


RULES = {
    "matrix:pd,horizon=20": ("always_cooperate", "tit_for_tat", "grim", "bully"),
    "race:narrow": ("always_left:tremble=.3", "always_centre", "cycle", "win_stay_lose_next"),
    "race:slack2": ("always_left:tremble=.3", "always_centre", "cycle", "win_stay_lose_next"),
}
LANES, SLOTS = 6, 64


@cache
def played(game: str) -> Played:
    env = envs.make(game)
    rules = Mixture(tuple(opponents.make(name, env) for name in RULES[game]))
    policy, n = Both(rules, Watcher(rules, env)), env.num_seats
    kind = Kind("everybody", policy=policy)
    seating = Roster((kind,), ((Chair(0, 0),) * n,)).seating(LANES)

    @jax.jit
    def play() -> Chunk:
        many = (jax.tree.map(lambda x: x[None], policy),)
        lanes = open_lanes(env, seating, many, jr.key(0))
        return collect(env, seating, many, lanes, jr.key(1), slots=SLOTS, match=3)[1]

    chunk = jax.tree.map(np.asarray, play())

    def each(x: Array) -> np.ndarray:
        whole = np.asarray(x)[0]  # places are lanes times seats
        return np.moveaxis(whole.reshape(LANES, n, *whole.shape[1:]), 1, 2)

    return Played(chunk.slots, jax.tree.map(each, chunk.records[0]))


def by_loop(game: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Posterior [L, T, N, M, Y] and predictions before every slot in which I act, float64, and how
    many moves I did not get to see since I had left."""
    slots, record = played(game)
    posterior = np.full(record["types"].shape, np.nan)
    moves = np.full(record["moves"].shape, np.nan)
    lost = 0
    n = slots["alive"].shape[2]
    for lane, me, j in np.ndindex(LANES, n, n - 1):
        other, belief, mine, last = (me + 1 + j) % n, None, None, None
        for t in range(SLOTS):
            if slots["contact"][lane, t]:
                belief, mine, last = np.full(len(RULES[game]), 1 / len(RULES[game])), None, None
            if slots["alive"][lane, t, me]:
                if last is not None and slots["actions"][lane, last, other] != NO_MOVE:
                    if last == mine:  # I moved in that slot, and was about to see these moves
                        likely = record["likely"][lane, last, me, j].astype(float)
                        belief = belief * likely[:, slots["actions"][lane, last, other]]
                        belief = belief / belief.sum()
                    else:
                        lost += 1
                posterior[lane, t, me, j] = belief
                moves[lane, t, me, j] = belief @ record["likely"][lane, t, me, j]
                mine = t
            if slots["alive"][lane, t].any():
                last = t
    return posterior, moves, lost


@pytest.mark.parametrize("game", RULES)
def test_true_likelihoods_give_the_exact_posterior(game):
    slots, record = played(game)
    posterior, moves, lost = by_loop(game)
    acts = slots["alive"]
    np.testing.assert_allclose(record["types"][acts], posterior[acts], atol=1e-5)
    np.testing.assert_allclose(record["moves"][acts], moves[acts], atol=1e-5)
    assert slots["contact"][:, 1:].any() and (record["types"][acts].max(-1) > 0.9).any()
    if game == "race:slack2":  # whoever leaves first misses what the others do then
        assert (slots["left"] & acts.any(2, keepdims=True)).any() and lost > 0
    else:
        assert lost == 0
        np.testing.assert_allclose(record["types"][acts], record["exact"][acts], atol=1e-5)


def test_doubt_of_a_move_is_its_own_randomness_and_my_ignorance_apart():
    """Two types, one goal, two moves; the third of the others is not there."""
    sure = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # each type has a move of its own
    mixed = jnp.broadcast_to(jnp.array([0.3, 0.7]), (2, 1, 2))  # both throw the same dice
    moves = jnp.stack([sure, mixed, jnp.zeros((2, 1, 2))])
    even = jnp.log(jnp.full((3, 2, 1), 0.5))
    found = beliefs.doubt_of(Held(even, moves, jnp.zeros((3, 1))))
    dice = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    np.testing.assert_allclose(found, [[0, np.log(2)], [dice, 0], [0, 0]], atol=1e-6)
