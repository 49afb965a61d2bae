"""MOA: moves predicted one slot ahead, and influence of known size."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from read_chunks import against_tit_for_tat, moves_loss, read, same_bits, seen_of, spoilt

from counterplay.algos import moa
from counterplay.algos.study import studies
from counterplay.types import NO_MOVE

POLICY = np.array([0.5, 0.2, 0.3])
ACTIONS, OTHERS, WIDE = 3, 2, 6


def model(copies: float = 0.0) -> moa.MoveModel:
    """Both others do next what I do now, the surer the larger ``copies``; with 0 they ignore me."""
    made = moa.MoveModel(5, OTHERS, ACTIONS, (WIDE,), 0, jr.key(0))
    zero = jax.tree.map(jnp.zeros_like, made)
    own = jnp.zeros_like(made.joint.weight).at[:ACTIONS, :ACTIONS].set(copies * jnp.eye(ACTIONS))
    to = jnp.zeros_like(made.move.weight).at[:ACTIONS].set(jnp.eye(ACTIONS))
    return eqx.tree_at(lambda m: (m.joint.weight, m.move.weight), zero, (own, to))


influence = jax.jit(moa.influence)


def test_who_ignores_me_is_not_influenced():
    found = influence(model(), jnp.ones(WIDE), jnp.array([1, 0, 2]), jnp.log(POLICY))
    np.testing.assert_allclose(found, [0.0, 0.0], atol=1e-6)
    deaf = moa.MoveModel(5, OTHERS, ACTIONS, (WIDE,), 0, jr.key(3))  # of me, not of each other
    deaf = eqx.tree_at(lambda m: m.joint.weight, deaf, deaf.joint.weight.at[:ACTIONS].set(0.0))
    found = influence(deaf, jnp.ones(WIDE), jnp.array([1, 0, 2]), jnp.log(POLICY))
    np.testing.assert_allclose(found, [0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("action", range(ACTIONS))
def test_who_copies_me_is_influenced_by_how_unlikely_my_move_was(action):
    """p(a_j | a_i) is one at a_j = a_i and the mean is pi, so KL = -log pi(a_i)."""
    moved = jnp.array([action, 0, NO_MOVE])
    found = influence(model(50.0), jnp.zeros(WIDE), moved, jnp.log(POLICY))
    np.testing.assert_allclose(found, [-np.log(POLICY[action])] * 2, rtol=1e-5)


def test_influence_is_that_of_the_formula():
    """Against loops, for a model of any kind and a policy to which a move is forbidden."""
    some = moa.MoveModel(5, OTHERS, ACTIONS, (WIDE,), 0, jr.key(2))
    some = eqx.tree_at(lambda m: m.move.weight, some, 30 * some.move.weight)
    scene, moved, pi = jr.normal(jr.key(4), (WIDE,)), [2, 1, 0], np.array([0.6, 0.0, 0.4])
    given = [np.asarray(jnp.exp(some(scene, jnp.array([a, *moved[1:]])))) for a in range(ACTIONS)]
    for j in range(OTHERS):
        mean = np.sum([pi[a] * given[a][j] for a in range(ACTIONS)], 0)
        kl = sum(p * np.log(p / q) for p, q in zip(given[2][j], mean, strict=True))
        log_pi = jnp.where(pi > 0, jnp.log(jnp.maximum(pi, 1e-9)), -jnp.inf)
        found = float(influence(some, scene, jnp.array(moved), log_pi)[j])
        assert found == pytest.approx(kl, rel=1e-3) and found > 1e-3


@eqx.filter_jit
def step(reader: Any, memory: Any, obs: Any, seen: Any) -> Any:
    """What acting does in one slot at every place, without the mask of legal moves."""

    def one(memory, obs, seen):
        x = reader.inputs(obs, seen)
        e, kept = reader.model.trunk(x, memory[0])
        return reader.moves(memory[1], seen), (kept, reader.model.scene(x, e))

    return jax.vmap(one)(memory, obs, seen)


def test_the_loss_is_that_of_predictions_made_slot_by_slot():
    """Memory begins afresh at first contact and stands still while somebody is absent. Over legal
    moves, but over all where influence asks what others would do after moves that were not made.
    """
    here = read("moa")
    study, seen = here.study(), seen_of(here)
    memory: Any = jax.tree.map(np.asarray, study.memory)
    assert np.any(memory[0]) and np.any(memory[1])
    log_pi = []
    for t in range(study.acting.shape[1]):
        over = np.asarray(study.contact)[:, t, None]
        memory = jax.tree.map(lambda x, over=over: np.where(over, 0, x), memory)
        now = jax.tree.map(lambda x, t=t: x[:, t], seen)
        found, after = step(here.reader, memory, np.asarray(study.obs)[:, t], now)
        acts = np.asarray(study.acting)[:, t, None]
        memory = jax.tree.map(lambda a, b, acts=acts: np.where(acts, a, b), after, memory)
        log_pi.append(np.asarray(found))
    log_pi = np.stack(log_pi, 1)
    legal = np.asarray(seen.legal) | ~np.asarray(seen.legal).any(-1, keepdims=True)
    chances = np.where(legal, np.exp(log_pi), 0)
    chances /= chances.sum(-1, keepdims=True)
    paid = here._replace(config=replace(here.config, influence=0.1))
    with np.errstate(divide="ignore"):
        over_legal = moves_loss(study, np.log(chances))
    over_all = moves_loss(study, log_pi)
    for asked, (total, count) in ((here, over_legal), (paid, over_all)):
        sums, counts, _ = asked.loss(study)
        assert counts["moves_loss"] == count > 50
        assert sums["moves_loss"] == pytest.approx(total, rel=1e-4)
    assert over_legal[0] < 0.9 * over_all[0], "some moves are known to be illegal"
    acts = np.asarray(study.acting)
    recorded = np.exp(np.asarray(study.record["predicted"]))
    np.testing.assert_allclose(recorded[acts], chances[acts], atol=1e-5)


def test_nothing_of_the_absent_is_read():
    here = read("moa")
    assert same_bits(here.loss(here.study()), here.loss(here.study(spoilt(here))))


def test_a_joint_move_without_mine_is_unknown():
    """Who left early comes back to moves that belong to a later slot than what he remembers."""
    here = read("moa")
    seen = jax.tree.map(lambda x: x[0, 0], seen_of(here))
    said = lambda *moved: here.reader.moves(
        jnp.ones(8), seen._replace(moved=jnp.array(moved, jnp.int16))
    )
    assert jnp.array_equal(said(NO_MOVE, 0, 1), said(NO_MOVE, 2, NO_MOVE))
    assert not jnp.array_equal(said(0, 0, 1), said(0, 2, NO_MOVE))
    assert not jnp.array_equal(said(0, 0, 1), said(1, 0, 1))


def paid(here: Any, chunk: Any, weight: float) -> np.ndarray:
    config = moa.Config(influence=weight)

    @jax.jit
    def found(readers, chunk):
        study = studies(here.seating, 0, chunk)
        return moa.influence_reward(config, here.env, readers, study)

    return np.asarray(found(here.net.reader, chunk)[0])


def test_influence_is_paid_for_moves_that_others_are_there_to_answer():
    here = read("moa")
    study, found = here.study(), paid(here, here.chunk, 0.5)
    mine = np.asarray(here.chunk.slots["continues"])  # [L, T, N]
    stays = np.asarray(here.seating.take(jnp.moveaxis(jnp.asarray(mine), 2, 1), 0))[0]
    answered = np.asarray(study.acting[:, :, None] & study.there & study.goes_on)
    last = answered.any(-1) & ~stays
    assert last.any() and (found[last] == 0).all(), "nobody sees who answers when I have left"
    answered = answered & stays[:, :, None]
    assert (found[answered.any(-1)] > 0).all() and (found[~answered.any(-1)] == 0).all()
    assert answered.any(-1).any() and (~answered.any(-1) & np.asarray(study.acting)).any()
    assert np.array_equal(found, paid(here, spoilt(here), 0.5)), "the absent are not read"
    assert moa.influence_reward(moa.Config(), here.env, here.reader, study) is None


def test_influence_is_paid_in_the_slot_of_the_move():
    """By hand, in the first slot of the chunk."""
    here = read("moa")
    study, found = here.study(), paid(here, here.chunk, 0.5)
    reader, place = here.reader, int(np.argmax(study.goes_on[:, 0].all(-1) & study.stays[:, 0]))
    now: Any = jax.tree.map(lambda x: x[place, 0], study._replace(memory=()))
    assert now.acting and now.stays and now.goes_on.all()
    fresh = jnp.where(now.contact, 0.0, study.memory[0][place])
    x = reader.inputs(now.obs, now.seen)
    scene = reader.model.scene(x, reader.model.trunk(x, fresh)[0])
    moved = jnp.concatenate([now.record["action"][None], now.moves])
    one = influence(reader.model, scene, moved, now.record["policy"])
    assert found[place, 0] == pytest.approx(0.5 * float(one.sum()), rel=1e-3) and one.min() > 0


def test_a_rule_is_learnt_and_copying_me_is_paid_for():
    """Tit for tat answers every move but the last of five, and my policy is nearly even: so a move
    earns .1 log 2 four times in five."""
    first, last = against_tit_for_tat("moa", influence=0.1)
    assert first["others_nll"] > 0.4 and last["others_nll"] < 0.05
    assert first["added_reward"] < 0.01
    assert last["added_reward"] == pytest.approx(0.1 * np.log(2) * 4 / 5, rel=0.1)


def test_the_policy_is_told_who_is_there_and_no_more():
    here = read("moa")
    record = here.chunk.records[0]
    assert jnp.array_equal(record["told"][..., 0] > 0, record["seen_alive"][..., 1:])
    assert record["told"].shape[-1] == 1


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_settings_that_cannot_be_are_refused(weight):
    with pytest.raises(ValueError, match=f"moa: influence must be 0 or more, found {weight}"):
        moa.Config(influence=weight)
