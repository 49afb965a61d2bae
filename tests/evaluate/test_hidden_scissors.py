"""The filter of scissors against an enumeration of everything the other may hold and have in mind,
which asks the game itself what would have been seen; its calibration; what pruning costs."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hidden_matches import check_calibration, play

from counterplay import envs, opponents
from counterplay.envs.scissors import CHALLENGE, HOLDINGS, State
from counterplay.evaluate.hidden_scissors import scissors_filter
from counterplay.opponents.scissors import AIMS, Plan, wanted
from counterplay.opponents.sets import SETS
from counterplay.types import NO_EVENT, NO_MOVE, View
from counterplay.views import Last, cut_views

ENV: Any = envs.make("scissors")
FULL: Any = envs.make("scissors:9x9,view=0,horizon=15")
TRAIN = SETS["scissors"]["train"]
CELL, CODE = np.divmod(np.arange(81 * 35), 35)
HELD = np.array(HOLDINGS)[CODE]


def meeting(view: Any) -> Any:
    """Logits of a player of seat 0 who collects rocks as the rule does, and slips at times."""
    me = jnp.argmax(view.obs[:81]).astype(jnp.int32)
    held = jnp.round(view.obs[243:246] * 4).astype(jnp.int32)
    moves = wanted(jnp.int32(0), me, held, view.legal)
    return jnp.where(view.legal, jnp.where(moves, 2.0, 0.0), -jnp.inf)


def pool(env: Any, tremble: str = "") -> list[Any]:
    return [opponents.make(name + tremble, env) for name in TRAIN]


@cache
def moved_on(env: Any) -> Any:
    """From every state of the other and every move of it: (states, shown), [states, 6]."""

    def one(mine, held, time, action, place, things, move):
        unseen = jnp.full(2, 255, jnp.int32)
        state = State(jnp.stack([mine, place]), jnp.stack([held, things]), unseen, unseen, time)
        return env.step(state, jnp.stack([action, move]))

    moves = jax.vmap(one, (None, None, None, None, None, None, 0))
    states = jax.vmap(moves, (None, None, None, None, 0, 0, None))
    constant = jnp.asarray(CELL, jnp.int32), jnp.asarray(HELD, jnp.int32), jnp.arange(6)
    whole: Any = states  # takes what it was made of, and an axis more
    return jax.jit(lambda *mine: whole(*mine, *constant))


class Enumeration:
    """Float64: P(type, aim, state, all that was seen), for the player of seat 0."""

    def __init__(self, env: Any, rules: Any):
        self.env, self.rules, self.event, self.fresh = env, rules, np.zeros(2, int), True
        chances = [[self._rows(rules[0], aim, may) for may in (False, True)] for aim in range(4)]
        self.chances = np.array(chances)  # [aim, may challenge, state, move]

    def _rows(self, rule: Any, aim: int, may: bool) -> np.ndarray:
        def one(cell, held):
            row, col, zero = cell // 9, cell % 9, jnp.int32(0)
            start = jnp.stack([cell, zero, zero])
            obs = jnp.concatenate([start, held, jnp.stack([zero, zero])]).astype(jnp.uint8)
            legal = jnp.stack([row > 0, row < 8, col > 0, col < 8, row >= 0, (row >= 0) & may])
            view = View(self.env.encode(obs), legal, jnp.ones(2, bool), jnp.full(2, NO_MOVE),
                        jnp.ones((2, 6), bool), jnp.array(0.0), jnp.full(2, NO_EVENT), zero,
                        jnp.array(False), jnp.zeros(0))  # fmt: skip
            return jnp.exp(rule.log_probs(Plan(jnp.int32(aim), zero, jnp.array(False)), view))

        states = jnp.asarray(CELL, jnp.int32), jnp.asarray(HELD, jnp.int32)
        return np.asarray(jax.jit(jax.vmap(one))(*states), np.float64)

    def begin(self):
        prior = np.zeros((len(self.rules), 4))
        for y, rule in enumerate(self.rules):
            if self.fresh:
                for drawn in range(3):
                    prior[y, int(rule.behaviour.first(jnp.int32(drawn)))] += 1 / 3 / len(self.rules)
                continue
            for aim in range(4):
                public = jnp.int32(self.event[1]), jnp.int32(self.event[0])
                turned = int(rule.behaviour.following(jnp.int32(aim), *public))
                prior[y, turned] += self.joint[y, aim].sum()
        self.fresh = False
        start = (CELL == 80) & (HOLDINGS.index((0, 0, 0)) == CODE)
        self.joint = prior[:, :, None] * start

    def update(self, before, action, after):
        obs, size = np.asarray(before.obs), 81
        mine, held = int(np.argmax(obs[:size])), np.round(obs[243:246] * 4).astype(np.int32)
        out = moved_on(self.env)(jnp.int32(mine), jnp.asarray(held), before.time, action)
        states, shown = jax.device_get(out)
        may = int(before.legal[CHALLENGE])
        weight = self.joint[..., None] * self.chances[None, :, may]  # [Y, aim, state, move]
        to = states.players[..., 1] * 35 + np.asarray([HOLDINGS.index(tuple(h)) for h in
                states.held[..., 1, :].reshape(-1, 3).tolist()]).reshape(-1, 6)  # fmt: skip
        sight = np.where(shown.visible[..., 0, 1], np.arange(6)[None], NO_MOVE)
        same = sight == int(after.moved[1])
        if after.first:
            same &= shown.terminated & (shown.event == np.asarray(after.event)).all(-1)
            self.event = np.asarray(after.event)
        else:
            other = np.asarray(after.obs[size : 2 * size])
            cell = int(np.argmax(other)) if other.any() else 255
            same &= ~shown.terminated & (shown.obs[..., 0, 1] == cell)
        new = np.zeros_like(self.joint)
        states_at, moves_at = np.nonzero(same)
        part = weight[:, :, states_at, moves_at]
        for y in range(len(new)):
            for aim in range(4):
                np.add.at(new[y, aim], to[states_at, moves_at], part[y, aim])
        self.joint = new / new.sum()

    def told(self):
        joint = self.joint.sum(2)
        return np.concatenate([joint.sum(1), joint.sum(0)])

    def holdings(self):
        return np.bincount(CODE, self.joint.sum((0, 1)), minlength=35)


def play_match(env: Any, rule: Any, seed: int, episodes: int) -> Any:
    """One match; yields ("begin",) and ("slot", before, action, after) as they happen."""
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    cut, logits = jax.jit(lambda *x: cut_views(env, *x)), jax.jit(meeting)
    act, draw = jax.jit(lambda k, m, v: rule.act(k, m, v, False)), np.random.default_rng(seed)
    key = lambda: jr.key(draw.integers(2**31))
    memory, (state, shown), time = None, reset(key()), 0
    views = cut(shown, Last.nothing(2), jnp.int32(0), jnp.array(True))
    for _ in range(episodes):
        memory, over = rule.begin(key(), memory), False
        yield ("begin",)
        while not over:
            mine, theirs = (jax.tree.map(lambda x, i=i: x[i], views) for i in range(2))
            move = jr.categorical(key(), logits(mine)).astype(jnp.int32)
            done = act(key(), memory, theirs)
            memory, joint = done.memory, jnp.stack([move, done.action])
            state, shown = step(state, joint)
            last = Last(joint, shown.reward, shown.event, shown.visible)
            over = bool(shown.terminated)
            state, shown = reset(key()) if over else (state, shown)
            time = 0 if over else time + 1
            views = cut(shown, last, jnp.int32(time), jnp.array(over))
            yield "slot", mine, move, jax.tree.map(lambda x: x[0], views)


@pytest.mark.parametrize(("env", "who", "seed"), [(ENV, 3, 0), (ENV, 4, 1), (FULL, 5, 2)])
def test_equals_the_enumeration(env, who, seed):
    rules = pool(env, ":tremble=.2")
    exact, slow = scissors_filter(env, rules, least=0.0), Enumeration(env, rules)
    begin, update = jax.jit(lambda c: exact.begin(c)), jax.jit(lambda *x: exact.update(*x))
    carry, slots = None, 0
    for kind, *told in play_match(env, rules[who], seed, 3):
        if kind == "begin":
            carry = begin(carry)
            slow.begin()
        else:
            carry = update(carry, *told)
            slow.update(*told)
            slots += 1
        np.testing.assert_allclose(exact.told(carry), slow.told(), atol=5e-5)
        np.testing.assert_allclose(exact.holdings(carry), slow.holdings(), atol=5e-5)
    assert slots >= 24


class Drifting(Enumeration):
    """The same where after every episode somebody else may play, who has watched so far."""

    drift, slots, idle = 0.02, 0, np.zeros(0)

    def begin(self):
        fresh, turned = self.fresh, np.zeros((len(self.rules), 4))
        for y, rule in enumerate(self.rules if not fresh else ()):
            for aim in range(4):
                public = jnp.int32(self.event[1]), jnp.int32(self.event[0])
                turned[y, int(rule.behaviour.following(jnp.int32(aim), *public))] += self.idle[
                    y, aim
                ]
        super().begin()
        self.idle = self.joint.sum(2) * len(self.rules) if fresh else turned

    def update(self, before, action, after):
        super().update(before, action, after)
        self.slots += 1
        if after.first:
            stays = (1 - self.drift) ** self.slots
            both = stays * self.joint.sum(2) + (1 - stays) * self.idle / len(self.rules)
            self.joint[:], self.slots = 0, 0
            self.joint[:, :, 0] = both


@pytest.mark.parametrize("who", [4, 6])
def test_with_drift_it_equals_the_enumeration(who):
    rules = pool(ENV, ":tremble=.2")
    exact = scissors_filter(ENV, rules, least=0.0, drift=Drifting.drift)
    slow, carry, rigid = Drifting(ENV, rules), None, scissors_filter(ENV, rules, least=0.0)
    begin, update = jax.jit(lambda c: exact.begin(c)), jax.jit(lambda *x: exact.update(*x))
    for kind, *told in play_match(ENV, rules[who], 1, 4):
        if kind == "begin":
            carry = begin(carry)
            slow.begin()
        else:
            carry = update(carry, *told)
            slow.update(*told)
        np.testing.assert_allclose(exact.told(carry), slow.told(), atol=5e-5)
    assert rigid.drift == 0 and exact.drift == Drifting.drift


@pytest.mark.parametrize(("drift", "noticed"), [(0.0, False), (0.01, True)])
def test_a_change_is_noticed_with_drift(drift, noticed):
    """Of two kinds, seen wherever they go, the second takes over after six episodes."""
    rules = [opponents.make(f"{name}:tremble=.2", FULL) for name in ("rock", "mixed")]
    text = "switch:episode=6,first=rock:tremble=.2,then=mixed:tremble=.2"
    exact = scissors_filter(FULL, rules, mix=0.01, drift=drift)
    begin, update = jax.jit(lambda c: exact.begin(c)), jax.jit(lambda *x: exact.update(*x))
    carry, ends = None, []
    for kind, *seen in play_match(FULL, opponents.make(text, FULL), 1, 8):
        carry = begin(carry) if kind == "begin" else update(carry, *seen)
        if seen and seen[-1].first:
            ends.append(float(exact.told(carry)[1]))
    assert ends[5] < 0.1 and len(ends) == 8
    assert ends[7] > 0.9 if noticed else ends[7] < 0.1


@cache
def watched() -> Any:
    """1,000 matches of the training pool, their states pruned as usual."""
    rules = pool(ENV)
    return play(ENV, scissors_filter(ENV, rules), rules, meeting, 1000, 60)


@pytest.mark.parametrize("slot", [12, 30, 59])
def test_calibrated_though_pruned(slot):
    played = watched()
    types, goals = np.split(played.told[slot], [len(TRAIN)], axis=1)
    check_calibration(types, played.member[slot])
    coded = [HOLDINGS.index(aim) for aim in AIMS]
    check_calibration(goals, np.array([coded.index(goal) for goal in played.intent[slot]]))


def test_calibrated_in_the_other_seat():
    rules = pool(ENV)
    exact = scissors_filter(ENV, rules, seat=1)
    played = play(ENV, exact, rules, meeting, 500, 40, seat=1)
    check_calibration(played.told[39, :, : len(TRAIN)], played.member[39])
    assert (played.cell[0] == 0).all()


def test_what_pruning_costs():
    rules = pool(ENV)
    pruned, exact = (
        play(ENV, scissors_filter(ENV, rules, least=least), rules, meeting, 40, 50)
        for least in (1e-6, 0.0)
    )
    np.testing.assert_array_equal(pruned.cell, exact.cell)
    np.testing.assert_allclose(pruned.told, exact.told, atol=0.01)
    assert abs(pruned.told - exact.told).mean() < 1e-5


def test_learns_the_type_from_episode_to_episode():
    played = watched()
    right = np.take_along_axis(played.told, played.member[:, :, None], axis=2)[:, :, 0].mean(1)
    assert right[0] == pytest.approx(1 / 7)
    assert right[59] > right[30] > right[0] and right[59] > 0.4


def test_first_aims_are_known_from_the_pool_alone():
    # four types of one aim each, three that draw any kind: (1 + 1) / 7 each, mixed 1 / 7
    expected = [*[1 / 7] * 7, *[2 / 7] * 3, 1 / 7]
    np.testing.assert_allclose(watched().told[0], [expected] * 1000, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "names", "settings", "said"),
    [
        ("scissors", (), {}, r"needs one rule or more, found none"),
        ("scissors", ("random",), {}, r"expected rules that collect, found Random"),
        ("scissors", ("rock", "paper:tremble=0"), {}, r"tremble alike, expected 0.05, found 0.0"),
        ("scissors:9x9,view=1", ("rock",), {}, r"view must be 0, or 2 at least, found 1"),
        ("scissors", ("rock",), {"seat": 2}, r"seat must be 0 or 1, found 2"),
        ("scissors", ("rock",), {"mix": 1.5}, r"mix and least are shares, found 1.5 and 1e-06"),
    ],
)
def test_what_it_cannot_follow_is_refused(text, names, settings, said):
    env: Any = envs.make(text)
    rules = [opponents.make(name, env) for name in names]
    with pytest.raises(ValueError, match=said):
        scissors_filter(env, rules, **settings)
