"""The model of observations: who moves is told apart, what is not there teaches nothing."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from models.world_games import Written, window

from counterplay.models import twohot
from counterplay.models.raw import FORMS, Raw, raw_loss, raw_of
from counterplay.models.windows import Window
from counterplay.types import NO_MOVE

SIZES: dict[str, Any] = {"hidden": 16, "width": 32, "token": 16, "bins": 9, "reach": 1.0}
SMALL: dict[str, Any] = {"hidden": 5, "width": 7, "token": 3, "bins": 5}
GAME = Written(obs_shape=(2,), obs_dtype=np.dtype(np.uint8))
THREE = Written(num_seats=3, obs_shape=(4,), obs_dtype=np.dtype(np.uint8))
OVER = {
    "alive": [[1, 1], [1, 1], [1, 0], [1, 1]],
    "continues": [[1, 1], [1, 0], [0, 0], [1, 1]],
    "actions": [[0, 1], [1, 1], [1, -1], [0, 0]],
    "reward": [[0, 0], [0, 4], [1, 0], [0, 0]],
    "time": [0, 1, 2, 0],
    "obs": np.arange(16).reshape(4, 2, 2) % 2,
}
"""Seat 1 leaves in slot 1, seat 0 ends the episode in slot 2, slot 3 is of the next."""


@cache
def model(form: str = "bernoulli", env: Written = GAME) -> Raw:
    return raw_of(env, form, jr.key(0), **SMALL)


@cache
def program(form: str):
    def loss(raw: Raw, w: Window):
        sums, counts = raw_loss(GAME, raw, w)
        return sum(sums.values()), (sums, counts)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def parts(w: Window, form: str = "bernoulli"):
    return program(form)(model(form), w)


@pytest.mark.parametrize("form", FORMS)
def test_one_joint_move_is_what_the_table_says(form):
    raw, o = model(form, THREE), jnp.array([0.0, 1.0, 1.0, 0.0])
    for joint in ([0, 1, 1], [NO_MOVE, 0, NO_MOVE]):
        told, again = raw.expect(o, jnp.array(joint)), raw.step(raw.table(o), jnp.array(joint))
        for a, b in zip(told, again, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert told.reward.shape == (5,) and told.alive.shape == (3,)
    assert told.legal.shape == (2,) and told.obs.shape == (4,)
    shown = raw.shown(told)
    assert np.array_equal(shown, jax.nn.sigmoid(told.obs) if form == "bernoulli" else told.obs)


def exchanged(raw: Raw) -> Raw:
    """The model to which players 1 and 2 are 2 and 1: it tells them apart by their marks alone."""
    order = np.array([0, 2, 1])
    players = raw.players.weight.reshape(5, 3, -1)[:, order].reshape(5, -1)
    bins = raw.sizes[0]
    columns = np.arange(raw.heads.bias.size)
    columns[bins : bins + 3] = bins + order
    where = lambda r: (r.players.weight, r.heads.weight, r.heads.bias)
    what = players, raw.heads.weight[:, columns], raw.heads.bias[columns]
    return eqx.tree_at(where, raw, what)


def test_players_may_change_places():
    raw, o = model("bernoulli", THREE), jnp.array([1.0, 0.0, 1.0, 1.0])
    raw = eqx.tree_at(lambda r: r.shift, raw, jr.normal(jr.key(3), raw.shift.shape))
    other = exchanged(raw)
    for joint in ([0, 1, 0], [1, NO_MOVE, 0]):
        a = raw.expect(o, jnp.array(joint))
        b = other.expect(o, jnp.array(joint)[np.array([0, 2, 1])])
        np.testing.assert_allclose(a.alive, b.alive[np.array([0, 2, 1])], atol=1e-5)
        for one, two in ((a.obs, b.obs), (a.reward, b.reward), (a.legal, b.legal)):
            np.testing.assert_allclose(one, two, atol=1e-5)
        unchanged = other.expect(o, jnp.array(joint))
        assert not np.allclose(a.obs, unchanged.obs, atol=1e-4), "they are told apart"


def test_two_who_move_are_not_one():
    """Tokens are added, never averaged: where all have one token, two of it are twice as much."""
    raw, o = model("bernoulli", THREE), jnp.array([1.0, 0.0, 1.0, 1.0])
    table = raw.table(o)
    one = table._replace(tokens=jnp.zeros_like(table.tokens).at[0, 0].set(2.0))
    two = table._replace(tokens=jnp.zeros_like(table.tokens).at[:2, 0].set(1.0))
    joint = jnp.array([0, 0, NO_MOVE])
    for a, b in zip(raw.step(one, joint), raw.step(two, joint), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    alone = raw.step(two, jnp.array([0, 1, NO_MOVE]))
    assert not np.allclose(alone.obs, raw.step(two, joint).obs, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_is_that_of_slots_that_follow_and_moves_that_were_made(form):
    """Worked slot by slot from the heads, with the formulas written out."""
    w = window(GAME, 0, 4, **OVER)
    (_, (sums, counts)), _ = parts(w, form)
    assert {k: int(x) for k, x in counts.items()} == {
        "next": 2, "next_legal": 2, "reward": 4, "alive": 4,
    }  # fmt: skip
    raw, off = model(form), 0.0
    told = [raw.expect(o.astype(jnp.float32), m) for o, m in zip(w.obs, w.joint, strict=True)]
    for slot in (0, 1):
        x, z = np.float64(w.obs[slot + 1]), np.float64(told[slot].obs)
        p = 1 / (1 + np.exp(-z))
        nats = -(x * np.log(p) + (1 - x) * np.log(1 - p))
        off += nats.sum() if form == "bernoulli" else ((z - x) ** 2).sum() / 2
    assert float(sums["next"]) == pytest.approx(off, rel=1e-5)
    stays = [[1, 1], [1, 0], [0, None], [1, 1]]
    nats = 0.0
    for slot, flags in enumerate(stays):
        p = jax.nn.sigmoid(told[slot].alive)
        nats -= sum(np.log(p[j] if x else 1 - p[j]) for j, x in enumerate(flags) if x is not None)
    assert float(sums["alive"]) == pytest.approx(nats, rel=1e-4)
    bins = twohot.bins(5, 5.0)
    paid = [twohot.two_hot_loss(told[i].reward, w.reward[i], bins) for i in range(4)]
    assert float(sums["reward"]) == pytest.approx(float(sum(paid)), rel=1e-5)


def test_whatever_stands_where_nobody_is_changes_nothing():
    """A seat that was not shown anything, an absent player, slots that are not filled: NaN too."""
    filled = {"filled": [1, 1, 1, 0]}
    w = window(GAME, 0, 4, **(OVER | filled))
    spoilt = w._replace(
        obs=w.obs.astype(jnp.float32).at[3].set(jnp.nan),
        reward=w.reward.at[3].set(jnp.nan),
        joint=w.joint.at[3].set(1),
        legal=w.legal.at[3].set(~w.legal[3]),
        continues=w.continues.at[2, 1].set(True).at[3].set(True),
    )
    clean = w._replace(obs=w.obs.astype(jnp.float32))
    (loss, _), grad = parts(clean)
    (again, _), spoilt_grad = parts(spoilt)
    assert float(loss) == float(again) and np.isfinite(loss)
    for a, b in zip(jax.tree.leaves(grad), jax.tree.leaves(spoilt_grad), strict=True):
        assert np.array_equal(a, b) and np.isfinite(a).all()


def test_who_is_absent_has_no_gradient():
    """Seat 1 never plays: tokens of its moves, and whether it plays on, are not learnt of."""
    alone = {
        "alive": [[1, 0]] * 3,
        "continues": [[1, 0]] * 3,
        "actions": [[0, -1]] * 3,
        "obs": np.ones((3, 2, 2)),
    }
    _, grad = parts(window(GAME, 0, 3, **alone))
    assert (grad.gain[1] == 0).all() and (grad.shift[1] == 0).all(), "nobody makes that move"
    assert (grad.gain[2] != 0).any(), "that it makes no move is told"
    assert (grad.gain[0] != 0).any()
    bins = model().sizes[0]
    assert (grad.heads.weight[:, bins + 1] == 0).all() and grad.heads.bias[bins + 1] == 0
    assert (grad.heads.weight[:, bins] != 0).any()
    nobody = window(GAME, 0, 3, alive=np.zeros((3, 2)), continues=np.zeros((3, 2)))
    (loss, _), grad = parts(nobody)
    assert float(loss) == 0 and all((x == 0).all() for x in jax.tree.leaves(grad))


def ring(env: Written, cells: int):
    """I stand in one of so many cells and go on by one, or stay; the other doubles my step."""

    def play(key) -> Window:
        start, moves = jr.split(key)
        joint = jr.randint(moves, (4, 2), 0, 2)
        steps = joint[:, 0] * (1 + joint[:, 1])
        went = jnp.append(jnp.zeros(1, jnp.int32), jnp.cumsum(steps)[:-1])
        place = (jr.randint(start, (), 0, cells) + went) % cells
        w = window(env, 0, 4)
        return w._replace(
            obs=jax.nn.one_hot(place, cells), joint=joint, reward=steps.astype(jnp.float32) / 2
        )

    return play


def learnt(env: Written, form: str, play: Any, updates: int) -> Raw:
    raw, adam = raw_of(env, form, jr.key(0), **SIZES), optax.adam(1e-2)

    def loss(raw: Raw, windows: Window):
        sums, counts = jax.vmap(lambda w: raw_loss(env, raw, w))(windows)
        means = jax.tree.map(lambda s, n: s.sum() / jnp.maximum(n.sum(), 1), sums, counts)
        return sum(means.values())

    def update(carry: Any, key) -> Any:
        raw, state = carry
        step, state = adam.update(jax.grad(loss)(raw, jax.vmap(play)(jr.split(key, 32))), state)
        return (optax.apply_updates(raw, step), state), None

    start = raw, adam.init(raw)  # type: ignore[arg-type]
    keys = jr.split(jr.key(1), updates)
    return jax.jit(lambda s: jax.lax.scan(update, s, keys)[0][0])(start)


@pytest.mark.parametrize("form", FORMS)
def test_what_always_comes_is_foreseen(form):
    """Four cells: every place, every joint move, the next place and what it earned."""
    env = Written(obs_shape=(4,), obs_dtype=np.dtype(np.uint8))
    raw = learnt(env, form, ring(env, 4), 300)
    for place, mine, other in np.ndindex(4, 2, 2):
        told = raw.expect(jax.nn.one_hot(place, 4), jnp.array([mine, other]))
        step = mine * (1 + other)
        want = np.eye(4)[(place + step) % 4]
        np.testing.assert_allclose(raw.shown(told), want, atol=0.2)
        assert abs(float(raw.earned(told)) - step / 2) < 0.1
        assert (told.alive > 0).all() and (told.legal > 0).all()


def test_a_blank_board_is_nearly_right_by_squared_error_and_wrong_everywhere():
    """One mark in 64 cells, 100 updates of either loss, the same network, the same play.

    The mean squared error of zeros is 1 / 64, and half of a squared error is all that a mark costs.
    """
    env = Written(obs_shape=(64,), obs_dtype=np.dtype(np.uint8))
    play, found = ring(env, 64), {}
    for form in FORMS:
        raw = learnt(env, form, play, 100)
        windows = jax.vmap(play)(jr.split(jr.key(9), 256))
        foretold = lambda o, joint, raw=raw: raw.shown(raw.expect(o, joint))
        read = jax.vmap(jax.vmap(foretold))(windows.obs, windows.joint)[:, :-1]
        after = windows.obs[:, 1:]
        exact = (abs(read - after) < 0.5).all(-1).mean()
        found[form] = float(jnp.square(read - after).mean()), float(exact)
    error, exact = found["squared"]
    assert 0.9 / 64 < error < 1 / 64 and exact < 0.02
    assert found["bernoulli"][1] > 0.2, "and no more is needed for some boards to be known"


def test_chances_are_of_numbers_in_0_to_1():
    with pytest.raises(ValueError, match=r"bernoulli gives each number .* shows float32"):
        raw_of(Written(), "bernoulli", jr.key(0), **SMALL)
    assert raw_of(Written(), "squared", jr.key(0), **SMALL).form == "squared"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hidden": 0}, "raw: hidden must be at least 1"),
        ({"bins": 4}, "odd"),
        ({"form": "bernouli"}, "unknown form of a raw model 'bernouli'"),
    ],
)
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Raw(3, 2, 2, **({"form": "squared", "key": jr.key(0)} | wrong))
