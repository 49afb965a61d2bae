"""LIAM: what the decoder is asked, what the policy may know, and a rule that can be learnt."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from read_chunks import (
    LANES,
    SEATS,
    SLOTS,
    against_tit_for_tat,
    moves_loss,
    read,
    same_bits,
    spoilt,
)

from counterplay.algos import liam


def decoded(reader: Any, z: np.ndarray) -> np.ndarray:
    """Observations of the others, by matrix products: [..., Z] -> [..., M, F]."""
    layer = lambda dense, x: x @ np.asarray(dense.weight) + np.asarray(dense.bias)
    obs = layer(reader.obs, np.maximum(layer(reader.hidden, z), 0))
    return obs.reshape(*z.shape[:-1], reader.sizes[0], -1)


def test_the_losses_are_those_of_what_was_told_while_playing():
    here = read("liam")
    study = here.study()
    sums, counts, _ = here.loss(study)
    total, count = moves_loss(study, np.asarray(study.record["predicted"]))
    assert counts["moves_loss"] == count and sums["moves_loss"] == pytest.approx(total, rel=1e-4)
    said = decoded(here.reader, np.asarray(study.record["told"])[:, :, 0])
    obs = np.asarray(here.chunk.slots["obs"])  # [L, T, N, D]
    alive = np.asarray(here.chunk.slots["alive"])
    error, seen = 0.0, 0
    for lane, t, i, m in np.ndindex(LANES, SLOTS, SEATS, SEATS - 1):
        j = (i + m + 1) % SEATS
        if alive[lane, t, i] and alive[lane, t, j]:
            error += ((said[lane * SEATS + i, t, m] - obs[lane, t, j]) ** 2).mean()
            seen += 1
    assert counts["observations_loss"] == seen > 50
    assert sums["observations_loss"] == pytest.approx(error, rel=1e-4)


def test_nothing_of_the_absent_is_read():
    here = read("liam")
    assert same_bits(here.loss(here.study()), here.loss(here.study(spoilt(here))))


def test_the_others_are_known_while_training_and_not_while_acting():
    """Whatever is changed of the others, the embedding and the policy stay as they are."""
    here = read("liam")
    agent = liam.Agent(jax.tree.map(lambda x: x[0], here.net))
    first = lambda tree: jax.tree.map(lambda x: x[0, 0], tree)
    memory, view = first(here.chunk.next_memories[0]), first(here.chunk.next_views[0])
    assert view.alive.any()
    other = replace(
        view,
        alive=view.alive.at[1:].set(~view.alive[1:]),
        moved=view.moved.at[1:].set(2 - view.moved[1:]),
        event=view.event.at[1:].set(5),
        public_legal=view.public_legal.at[1:].set(~view.public_legal[1:]),
    )
    act = jax.jit(lambda view: agent.act(jr.key(0), memory, view, False))
    a, b = act(view), act(other)
    assert a.action == b.action and same_bits(a.memory, b.memory)
    assert same_bits(*[[x.record["told"], x.record["value"]] for x in (a, b)])
    mine = replace(view, moved=view.moved.at[0].set((view.moved[0] + 1) % 3))
    assert not jnp.array_equal(act(mine).record["told"], a.record["told"]), "my own last move is"
    study = here.study()
    sums = here.loss(study._replace(theirs=study.theirs + 1.0))[0]
    assert sums["observations_loss"] != here.loss(study)[0]["observations_loss"]


def test_the_others_observations_and_moves_reach_the_encoder():
    """Both losses train it."""
    here = read("liam")
    study = here.study()
    blind = study._replace(moves=jnp.full_like(study.moves, -1))
    for one in (blind, study._replace(there=jnp.zeros_like(study.there))):
        grad = here.loss(one)[2]
        assert np.abs(grad.embed.weight).max() > 0
        assert np.abs(grad.trunk.layers[0].weight).max() > 0
    nobody = blind._replace(there=jnp.zeros_like(study.there))
    assert all(not np.any(x) for x in jax.tree.leaves(here.loss(nobody)[2])), "exactly zero"


def test_a_rule_is_learnt():
    first, last = against_tit_for_tat("liam")
    assert first["others_nll"] > 0.4 and last["others_nll"] < 0.05
    assert last["observations_loss"] < 0.3 * first["observations_loss"]
    assert last["entropy"] > 0.6, "I move at random"


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="liam: embedding must be at least 1, found 0"):
        liam.Config(embedding=0)
    with pytest.raises(ValueError, match="reader_rate must be positive"):
        liam.Config(reader_rate=float("nan"))


def test_the_policy_is_told_as_many_numbers_as_asked_for():
    config = liam.Config(embedding=7)
    reader = jax.eval_shape(lambda: liam.make_reader(config, read("liam").env, jr.key(0)))
    assert reader.told == (1, 7) and read("liam").reader.told == (1, 20)
