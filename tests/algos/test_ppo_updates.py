"""What an update of PPO may depend on: labels, absent players, other seats, minibatches, shards."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from recorded import LANES, SEATS, Played, played, same

from counterplay.algos import ppo
from counterplay.algos.folding import plain
from counterplay.rollout import Chunk
from counterplay.seats import Chair, Roster

TURN = [2, 0, 1]
"""Seat j of the turned world holds what seat TURN[j] held."""


def distance(a: Any, b: Any) -> float:
    """The largest difference relative to the largest entry, over all arrays."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(abs(x - y).max() / abs(x).max()) for x, y in pairs)


def turned_slots(chunk: Chunk) -> dict[str, jax.Array]:
    """The seats of every lane renamed."""
    return {k: x[:, :, jnp.array(TURN)] if x.ndim > 2 else x for k, x in chunk.slots.items()}


def turned(chunk: Chunk) -> Chunk:
    """The chunk of a shared learner with the seats of every lane renamed."""

    def places(x):  # [1, L * N, ...]
        by_lane = x.reshape(1, LANES, SEATS, *x.shape[2:])
        return by_lane[:, :, jnp.array(TURN)].reshape(x.shape)

    return Chunk(turned_slots(chunk), *jax.tree.map(places, chunk[1:]))


def test_renaming_seats_leaves_the_gradient_of_a_shared_learner():
    here = played("self", over=False)
    first = here.gradients(here.rows())
    assert distance(first, here.gradients(here.rows(turned(here.chunk)))) < 1e-6
    mixed = here.chunk.slots | {"reward": turned_slots(here.chunk)["reward"]}
    wrong = here.chunk._replace(slots=mixed)
    assert distance(first, here.gradients(here.rows(wrong))) > 1e-2, "the test sees a mix-up"


def test_renaming_seats_leaves_the_gradient_in_double_precision():
    here = played("self", over=False)
    with jax.enable_x64(True):
        double = lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
        parts = jax.tree.map(double, (here.learners, here.chunk))
        exact = here._replace(learners=parts[0], chunk=parts[1])
        first = exact.gradients(exact.rows())
        assert first.policy.weight.dtype == jnp.float64
        assert distance(first, exact.gradients(exact.rows(turned(exact.chunk)))) < 1e-12


def test_an_independent_learner_learns_the_same_wherever_it_sits():
    here = played("own", over=False)
    chairs = tuple(Chair(0, member) for member in TURN)
    seating = Roster(here.seating.kinds, (chairs,)).seating(LANES)
    moved = here.chunk._replace(slots=turned_slots(here.chunk))
    rows = here.rows()
    assert same(rows, here.rows(moved, seating))
    assert not same(rows, here.rows(moved)), "the test sees a mix-up"


@pytest.mark.parametrize("seat", range(SEATS))
def test_an_independent_learner_learns_from_its_own_seat_only(seat):
    here = played("own", over=False)
    reward = here.chunk.slots["reward"].at[:, :, seat].multiply(-3.0)
    other = here.chunk._replace(slots=here.chunk.slots | {"reward": reward})
    before, after = here.improved(here.chunk)[0], here.improved(other)[0]
    for member in range(SEATS):
        pick = lambda tree, m=member: jax.tree.map(lambda x: x[m], tree)
        assert same(pick(before), pick(after)) == (member != seat)


def poisoned(here: Played, rude: float) -> Chunk:
    """Rubbish in every slot that the player of a seat did not play, and in views of the absent."""
    slots, record, view = here.chunk.slots, here.chunk.records[0], here.chunk.next_views[0]
    absent = ~slots["alive"]
    # a closing slot lends its value to who would have played on; nothing else of it is read
    played_on = jnp.pad(slots["continues"], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    useless = absent & ~(slots["closing"][:, :, None] & played_on)
    at_places = lambda x: here.seating.take(jnp.moveaxis(x, 2, 1), 0)
    slots = slots | {
        "obs": jnp.where(absent[..., None], rude, slots["obs"]),
        "reward": jnp.where(absent, rude, slots["reward"]),
        "actions": jnp.where(absent, 1, slots["actions"]),
        "avail_actions": slots["avail_actions"] | absent[..., None],
    }
    record = {
        "log_pi": jnp.where(at_places(absent), rude, record["log_pi"]),
        "value": jnp.where(at_places(useless), rude, record["value"]),
    }
    obs = jnp.where(view.alive[..., :1], view.obs, rude)
    views = (eqx.tree_at(lambda v: v.obs, view, obs),)
    return here.chunk._replace(slots=slots, records=(record,), next_views=views)


@pytest.mark.parametrize(
    ("who", "over", "gru"), [("self", True, 0), ("own", False, 0), ("own", False, 8)]
)
def test_what_the_absent_hold_changes_no_bit_of_an_update(who, over, gru):
    here = played(who, over, gru)
    clean = here.improved(here.chunk)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(clean))
    assert not same(clean[0], here.learners), "something is learned"
    for rude in (np.nan, 1e30, -np.inf):
        assert same(clean, here.improved(poisoned(here, rude)))


def test_advantages_are_normalised_over_live_decisions_of_each_member():
    here = played("own", over=False)
    rows = jax.tree.map(np.asarray, here.rows())
    value = np.asarray(here.chunk.records[0]["value"]).reshape(SEATS, -1, 1)
    for member in range(SEATS):
        alive = rows.alive[member]
        raw = rows.target[member][alive] - value[member][alive]
        expected = (raw - raw.mean()) / raw.std()
        np.testing.assert_allclose(rows.advantage[member][alive], expected, rtol=1e-4, atol=1e-5)
        assert (rows.advantage[member][~alive] == 0).all()


def test_the_loss_by_hand():
    here = played("self", over=False)
    rows = here.rows()
    net = jax.tree.map(lambda x: 1.5 * x[0], here.net)  # has moved since it played
    net = eqx.tree_at(lambda n: n.policy.weight, net, 40 * net.policy.weight)
    rows = jax.tree.map(lambda x: x[0], rows)
    count, bonus = jnp.float32(rows.alive.sum()), jnp.float32(0.1)
    total, parts = ppo.loss(here.config, plain(here.env), bonus, count, net, rows)
    live = np.asarray(rows.alive[:, 0])
    x = jax.tree.map(lambda x: np.asarray(x, np.float64)[live][:, 0], rows)
    logits, value = jax.vmap(lambda obs: net(obs, jnp.zeros(0))[:2])(rows.obs[live][:, 0])
    logits = np.where(x.legal, np.asarray(logits, np.float64), -np.inf)
    pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    ratio = pi[np.arange(len(pi)), x.action.astype(int)] / np.exp(x.log_pi)
    clip = here.config.clip
    policy = -np.minimum(ratio * x.advantage, np.clip(ratio, 1 - clip, 1 + clip) * x.advantage)
    entropy = -np.where(pi > 0, pi * np.log(np.where(pi > 0, pi, 1)), 0).sum(1)
    error = 0.5 * (np.asarray(value) - x.target) ** 2
    clipped = abs(ratio - 1) > clip
    assert 0.1 < clipped.mean() < 0.9, "both branches matter"
    expected = {"policy_loss": policy, "value_loss": error, "entropy": entropy, "clipped": clipped}
    for name, each in expected.items():
        assert parts[name] == pytest.approx(each.mean(), rel=1e-4), name
    whole = policy.mean() + here.config.value_weight * error.mean() - 0.1 * entropy.mean()
    assert total == pytest.approx(whole, rel=1e-4)


def batches(here: Played, rows: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """(alive, target) of every minibatch of one pass over the rows."""
    seen: list[tuple] = []
    take = lambda *x: seen.append(tuple(map(np.asarray, x)))
    real = ppo.loss

    def spy(config, reading, bonus, count, net, rows):
        jax.debug.callback(take, rows.alive, rows.target, count)
        return real(config, reading, bonus, count, net, rows)

    monkeypatch.setattr(ppo, "loss", spy)
    run = jax.jit(partial(ppo.fit, here.config, plain(here.env), axis=None))
    after = run(rows, here.learners[0], jnp.float32(0), jr.key(0))
    jax.block_until_ready(after)
    jax.effects_barrier()
    return seen


def numbered(rows: Any) -> Any:
    """Targets that tell the rows apart."""
    return rows._replace(target=jnp.arange(rows.target.size * 1.0).reshape(rows.target.shape))


def test_minibatches_hold_live_rows_only_and_each_at_most_once(monkeypatch):
    here = played("self").with_config(minibatches=6, epochs=1)
    rows = numbered(here.rows())
    live = np.asarray(rows.target)[np.asarray(rows.alive)]
    assert len(live) < 0.85 * rows.alive.size
    seen = batches(here, rows, monkeypatch)
    size = rows.alive.size // 6
    assert len(seen) == len(live) // size >= 2
    for alive, target, count in seen:
        assert alive.shape == (size, 1) and alive.all() and count == size
        assert np.isin(target, live).all()
    used = np.concatenate([target.ravel() for _, target, _ in seen])
    assert len(np.unique(used)) == len(used)


def test_fewer_live_rows_than_a_minibatch_are_all_used_and_nothing_else(monkeypatch):
    here = played("self").with_config(minibatches=6, epochs=1)
    rows = numbered(here.rows())
    some = rows.alive & (jnp.cumsum(rows.alive, axis=1) <= 7)
    live = np.sort(np.asarray(rows.target)[np.asarray(some)])
    ((alive, target, count),) = batches(here, rows._replace(alive=some), monkeypatch)
    assert count == 7 and np.array_equal(np.sort(target[alive]), live)


def test_rows_need_not_fill_the_minibatches(monkeypatch):
    here = played("self").with_config(minibatches=8, epochs=1)
    rows = numbered(jax.tree.map(lambda x: x[:, :20], here.rows()))  # eight of 3 would be 24
    live = int(rows.alive.sum())
    seen = batches(here, rows, monkeypatch)
    assert len(seen) == live // 3 >= 4
    assert all(alive.all() and count == 3 for alive, _, count in seen)


def test_lanes_on_two_devices_learn_as_on_one():
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, here / "two_devices.py"],
        env=os.environ | {"PYTHONPATH": paths, "NPROC": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
