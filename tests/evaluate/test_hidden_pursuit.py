"""The filter of pursuit against an enumeration of everything an evader may have in mind, which asks
the game itself what the pursuer would have seen; and its calibration over whole matches."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hidden_matches import check_calibration, play, wandering

from counterplay import envs, opponents
from counterplay.envs.pursuit import State
from counterplay.evaluate.hidden_pursuit import pursuit_filter
from counterplay.opponents.pursuit import Plan, way_points
from counterplay.opponents.sets import SETS
from counterplay.types import NO_EVENT, NO_MOVE, View
from counterplay.views import Last, cut_views

BIG: Any = envs.make("pursuit")
OPEN: Any = envs.make("pursuit:11x11,size=9,view=0,horizon=20")
SMALL: Any = envs.make("pursuit:11x11,size=5,view=1,horizon=7")
POOL = ("north", "west", "detour", "cycle", "least_used", "stubborn")
TREMBLE = ":tremble=.2"


@cache
def games(env: Any) -> Any:
    """(reset, step, views), compiled."""
    views = jax.jit(lambda *x: cut_views(env, *x))
    return jax.jit(env.reset), jax.jit(env.step), views


def play_match(env: Any, rule: Any, seed: int, episodes: int) -> Any:
    """One match; yields ("begin", None) and ("slot", before, action, after) as they happen."""
    reset, step, cut = games(env)
    draw = np.random.default_rng(seed)
    memory, last = None, Last.nothing(2)
    act = jax.jit(lambda k, m, v: rule.act(k, m, v, False))
    state, shown = reset(jr.key(draw.integers(2**31)))
    time, views = 0, cut(shown, last, jnp.int32(0), jnp.array(True))
    for _ in range(episodes):
        memory = rule.begin(jr.key(draw.integers(2**31)), memory)
        yield ("begin",)
        over = False
        while not over:
            mine, theirs = (jax.tree.map(lambda x, i=i: x[i], views) for i in range(2))
            move = int(draw.choice(np.flatnonzero(mine.legal)))
            done = act(jr.key(draw.integers(2**31)), memory, theirs)
            memory, joint = done.memory, jnp.array([move, int(done.action)])
            state, shown = step(state, joint)
            last = Last(joint, shown.reward, shown.event, shown.visible)
            over, time = bool(shown.terminated), time + 1
            if over:
                state, shown = reset(jr.key(draw.integers(2**31)))
                time = 0
            views = cut(shown, last, jnp.int32(time), jnp.array(over))
            yield "slot", mine, jnp.int32(move), jax.tree.map(lambda x: x[0], views)


class Enumeration:
    """Float64: P(type, exit, way, passed, cell, all that was seen), one array entry each."""

    def __init__(self, env: Any, rules: Any):
        self.env, self.rules = env, rules
        self.types = np.full((len(rules), 4), np.nan)
        self.used, self.event, self.fresh = np.zeros(4, int), NO_EVENT, True
        self.chances = np.array([[self._rows(r, exit) for exit in range(4)] for r in rules])
        seen = lambda mine, evader, move, action: env.step(
            State(jnp.stack([mine, evader]), jnp.int32(255), jnp.int32(255), jnp.int32(0)),
            jnp.stack([action, move]),
        )
        cells, moves = jnp.arange(env.cells), jnp.arange(5)
        self.outcomes = jax.jit(
            lambda mine, action: jax.vmap(
                lambda c: jax.vmap(lambda m: seen(mine, c, m, action))(moves)
            )(cells)
        )

    def _rows(self, rule: Any, exit: int) -> np.ndarray:
        """P(move | way, passed, cell), asked of the rule itself, [4, 2, cells, 5]."""
        n = self.env.size

        def one(way, passed, cell):
            row, col = cell // n, cell % n
            zero = jnp.int32(0)
            plan = Plan(jnp.int32(exit), zero, way, passed, jnp.zeros(4, jnp.int32), passed & False)
            obs = jnp.stack([cell, zero, zero, zero, zero + 1, zero]).astype(jnp.uint8)
            legal = jnp.stack([row > 0, row < n - 1, col > 0, col < n - 1, row >= 0])
            view = View(self.env.encode(obs), legal, jnp.ones(2, bool), jnp.full(2, NO_MOVE),
                        jnp.ones((2, 5), bool), jnp.array(0.0), jnp.full(2, NO_EVENT), zero,
                        jnp.array(False), jnp.zeros(0))  # fmt: skip
            return jnp.exp(rule.log_probs(plan, view))

        over_cells = jax.vmap(one, (None, None, 0))
        over_flags = jax.vmap(over_cells, (None, 0, None))
        over_ways = jax.vmap(over_flags, (0, None, None))
        ways = jnp.array(way_points(n), jnp.int32)
        cells = jnp.arange(self.env.cells)
        return np.asarray(over_ways(ways, jnp.array([False, True]), cells), np.float64)

    def begin(self):
        prior = np.zeros((len(self.rules), 4))
        for y, rule in enumerate(self.rules):
            for drawn in range(4):
                d = jnp.int32(drawn)
                if self.fresh:
                    prior[y, int(rule.behaviour.first(d))] += 0.25 / len(self.rules)
                    continue
                for exit in range(4):
                    public = jnp.int32(self.event), jnp.asarray(self.used, jnp.int32)
                    turned = rule.behaviour.following(jnp.int32(exit), *public, d)
                    prior[y, int(turned)] += 0.25 * self.joint.sum((2, 3, 4))[y, exit]
        self.fresh = False
        self.joint = np.zeros((len(self.rules), 4, 4, 2, self.env.cells))
        for y, rule in enumerate(self.rules):
            around = bool(rule.behaviour.ways)
            for corner in self.env.corners:
                self.joint[y, :, :, int(not around), corner] = prior[y][:, None] / 16

    def update(self, before, action, after):
        cells, size = self.env.cells, self.env.size
        mine = int(np.argmax(before.obs[:cells]))
        states, shown = jax.device_get(self.outcomes(jnp.int32(mine), action))
        weight = self.joint[..., None] * self.chances
        now = np.asarray(before.obs[cells : 2 * cells])
        new = np.zeros_like(self.joint)
        for c in np.flatnonzero(self.joint.sum((0, 1, 2, 3))):
            for m in range(5):
                at = states.players[c, m, 1]
                if not self._same(c, m, now, mine, states, shown, before, after):
                    continue
                for w, way in enumerate(way_points(size)):
                    part = weight[:, :, w, :, c, m]
                    if way == at:
                        new[:, :, w, 1, at] += part.sum(-1)
                    else:
                        new[:, :, w, :, at] += part
        self.joint = new / new.sum()
        if after.first:
            self.event = int(after.event[1])
            self.used += np.arange(4) == self.event

    def _same(self, c, m, now, mine, states, shown, before, after) -> bool:
        """Whether the evader on c, moving m, would have shown what was seen."""
        ends, size = bool(shown.terminated[c, m]), self.env.size
        in_sight = max(abs(c // size - mine // size), abs(c % size - mine % size)) <= self.env.view
        if (now.any() and not now[c]) or (not now.any() and in_sight):
            return False
        if int(after.moved[1]) != (m if shown.visible[c, m, 0, 1] else NO_MOVE):
            return False
        if bool(after.first):
            return shown.event[c, m].tolist() == after.event.tolist()
        cells = self.env.cells
        shows = np.arange(cells) == shown.obs[c, m, 0, 1]
        return not ends and bool((shows == after.obs[cells : 2 * cells]).all())

    def told(self):
        joint = self.joint.sum((2, 3, 4))
        return np.concatenate([joint.sum(1), joint.sum(0)])

    def whereabouts(self):
        return self.joint.sum((0, 1, 2, 3))


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_equals_the_enumeration(seed):
    rules = [opponents.make(name + TREMBLE, SMALL) for name in POOL]
    exact, slow = pursuit_filter(SMALL, rules), Enumeration(SMALL, rules)
    begin, update = jax.jit(lambda c: exact.begin(c)), jax.jit(lambda *x: exact.update(*x))
    carry, slots = None, 0
    for kind, *told in play_match(SMALL, rules[seed % len(rules)], seed, 4):
        if kind == "begin":
            carry = begin(carry)
            slow.begin()
        else:
            carry = update(carry, *told)
            slow.update(*told)
            slots += 1
        np.testing.assert_allclose(exact.told(carry), slow.told(), atol=2e-5)
        if kind == "begin" or not told[-1].first:
            np.testing.assert_allclose(exact.whereabouts(carry), slow.whereabouts(), atol=2e-5)
    assert slots >= 4


def follow(exact: Any, told: list[Any], each: Any = lambda carry, kind: None) -> Any:
    """The carry after such a match; ``each`` is shown it on the way."""
    begin, update = jax.jit(lambda c: exact.begin(c)), jax.jit(lambda *x: exact.update(*x))
    carry = None
    for kind, *seen in told:
        carry = begin(carry) if kind == "begin" else update(carry, *seen)
        each(carry, kind if kind == "begin" else bool(seen[-1].first))
    return carry


class Drifting(Enumeration):
    """The same where after every slot somebody else may play, who has watched so far."""

    drift, idle = 0.02, np.zeros(0)
    joint: Any

    def begin(self):
        fresh = self.fresh
        if not fresh:
            self.idle = np.stack([self._turned(y) for y in range(len(self.rules))])
        super().begin()
        if fresh:
            self.idle = self.joint.sum((2, 3, 4)) * len(self.rules)

    def _turned(self, y):
        out = np.zeros(4)
        for exit in range(4):
            for drawn in range(4):
                seen = jnp.int32(exit), jnp.int32(self.event), jnp.asarray(self.used, jnp.int32)
                turned = self.rules[y].behaviour.following(*seen, jnp.int32(drawn))
                out[int(turned)] += self.idle[y, exit] / 4
        return out

    def update(self, before, action, after):
        super().update(before, action, after)
        here = self.joint.sum((0, 1, 2, 3))
        self.joint *= 1 - self.drift
        for y, rule in enumerate(self.rules):
            around = bool(rule.behaviour.ways)
            for w, way in enumerate(way_points(self.env.size)):
                passed = (np.arange(self.env.cells) == way) | (not around)
                new = self.drift / len(self.rules) / 4 * self.idle[y][:, None] * here
                self.joint[y, :, w, 0] += np.where(passed, 0.0, new)
                self.joint[y, :, w, 1] += np.where(passed, new, 0.0)


@pytest.mark.parametrize(
    ("names", "seed", "drift", "most"),
    [
        (("north", "south", "west"), 1, 0.02, 1e-5),  # each exit is of one type: nothing is shared
        (POOL, 2, 0.02, 0.02),
        (POOL, 4, 0.002, 0.002),
    ],
)
def test_with_drift_it_nearly_equals_the_enumeration(names, seed, drift, most, monkeypatch):
    rules = [opponents.make(name + TREMBLE, SMALL) for name in names]
    monkeypatch.setattr(Drifting, "drift", drift)
    exact, slow = pursuit_filter(SMALL, rules, drift=drift), Drifting(SMALL, rules)
    told = list(play_match(SMALL, rules[seed % len(rules)], seed, 5))
    turns = iter(told)

    def same(carry, kind):
        _, *seen = next(turns)
        slow.update(*seen) if seen else slow.begin()
        np.testing.assert_allclose(exact.told(carry), slow.told(), atol=most)
        if kind == "begin" or not seen[-1].first:
            np.testing.assert_allclose(exact.whereabouts(carry), slow.whereabouts(), atol=most)

    follow(exact, told, same)


def test_a_slot_by_hand():
    """After the first slot: what a filter without drift holds, and as much of the prior."""
    rules = [opponents.make(name + TREMBLE, SMALL) for name in POOL]
    told = list(play_match(SMALL, rules[0], 1, 1))[:2]
    filters = (pursuit_filter(SMALL, rules, drift=drift) for drift in (0.0, 0.05))
    rigid, drifting = (np.asarray(exact.told(follow(exact, told))) for exact in filters)
    # of six types one makes for the north and one for the west; four draw any exit
    prior = np.array([*[1 / 6] * 6, 2 / 6, 1 / 6, 1 / 6, 2 / 6])
    assert abs(rigid - prior).max() > 1e-3, "the slot tells something"
    np.testing.assert_allclose(drifting, 0.95 * rigid + 0.05 * prior, atol=1e-5)


@pytest.mark.parametrize(("drift", "noticed"), [(0.0, False), (0.02, True)])
def test_a_change_between_episodes_is_noticed_with_drift(drift, noticed):
    rules = [opponents.make(name + TREMBLE, SMALL) for name in ("north", "south")]
    whole = opponents.make("switch:episode=8,first=north:tremble=.2,then=south:tremble=.2", SMALL)
    exact, ends = pursuit_filter(SMALL, rules, drift=drift), []
    keep = lambda carry, over: ends.append(float(exact.told(carry)[1])) if over is True else None
    follow(exact, list(play_match(SMALL, whole, 1, 14)), keep)
    assert ends[7] < 0.1 and len(ends) == 14, "eight episodes of the first"
    assert ends[13] > 0.9 if noticed else ends[13] < 0.1


@pytest.mark.parametrize(("drift", "noticed"), [(0.0, False), (0.005, True)])
def test_a_change_within_an_episode_is_noticed_before_it_ends(drift, noticed):
    rules = [opponents.make(name + TREMBLE, OPEN) for name in ("north", "south")]
    whole = opponents.make("switch:at=30,first=north:tremble=.2,then=south:tremble=.2", OPEN)
    exact, held, ends = pursuit_filter(OPEN, rules, drift=drift), [], []

    def keep(carry: Any, over: Any) -> None:
        if over != "begin":
            held.append(float(exact.told(carry)[1]))
            ends.append(over)

    follow(exact, list(play_match(OPEN, whole, 1, 6)), keep)
    last = ends.index(True, 30)
    assert not any(ends[25:last]) and last == 34, "the change is in the middle of an episode"
    assert held[29] < 0.1
    assert held[last - 1] > 0.9 if noticed else held[last - 1] < 0.1


@cache
def watched() -> tuple[Any, Any]:
    """2,000 matches of the training pool in the full game."""
    rules = [opponents.make(name, BIG) for name in SETS["pursuit"]["train"]]
    return rules, play(BIG, pursuit_filter(BIG, rules), rules, wandering, 2000, 80)


@pytest.mark.parametrize("slot", [15, 40, 79])
def test_calibrated(slot):
    rules, played = watched()
    types, goals = np.split(played.told[slot], [len(rules)], axis=1)
    check_calibration(types, played.member[slot])
    check_calibration(goals, played.intent[slot])


def test_learns_the_type_from_episode_to_episode():
    rules, played = watched()
    right = np.take_along_axis(played.told, played.member[:, :, None], axis=2)[:, :, 0].mean(1)
    assert right[0] == pytest.approx(1 / len(rules))
    assert right[79] > 0.6 and right[79] > right[40] > right[15] > right[0]


def test_nothing_is_known_of_what_no_move_has_shown():
    _, played = watched()
    # four fixed exits of one type each, three types that draw any: alike for each exit
    np.testing.assert_allclose(played.told[0], [[*[1 / 7] * 7, *[1 / 4] * 4]] * 2000, atol=1e-6)


def test_mixing_is_a_hand_that_trembles_more():
    rules = [opponents.make(name, SMALL) for name in ("north", "detour")]
    mixed, other = pursuit_filter(SMALL, rules, mix=0.01), pursuit_filter(SMALL, rules)
    uniform = pursuit_filter(SMALL, rules, mix=1.0)
    expected = 0.99 * other.chances + 0.01 * uniform.chances
    np.testing.assert_allclose(mixed.chances, expected, atol=1e-6)
    np.testing.assert_allclose(uniform.chances[0, :, 12], 0.2, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "mix", "said"),
    [
        ((), 0.0, r"needs one rule or more, found none"),
        (("random",), 0.0, r"expected rules that evade, found Random"),
        (("north", "east:tremble=.1"), 0.0, r"tremble alike, expected 0.05, found 0.1"),
        (("north",), 1.5, r"mix is a share, 0 to 1, found 1.5"),
    ],
)
def test_pools_it_cannot_follow_are_refused(names, mix, said):
    rules = [opponents.make(name, SMALL) for name in names]
    with pytest.raises(ValueError, match=said):
        pursuit_filter(SMALL, rules, mix)


def test_no_chance_of_a_change_is_refused():
    with pytest.raises(ValueError, match=r"drift is the chance of a change.* found 1\.5"):
        pursuit_filter(SMALL, [opponents.make("north", SMALL)], drift=1.5)
