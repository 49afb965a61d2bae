"""How much a move should count, where what is expected of types is surer than it should be."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from meadow import spoilt
from meadow_play import CONFIG, ENV, KINDS, ROSTER, SEATING, SMALL, SPEC, played, study_of

from counterplay.algos import goal_ppo
from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import as_shown, begun, followed, tempered
from counterplay.algos.study import Study, studies
from counterplay.models.actions import Reading
from counterplay.models.beliefs import Rates, heard, held_at_first
from counterplay.models.history import Seen, inputs
from counterplay.rollout import collect, open_lanes
from counterplay.types import NO_EVENT, NO_MOVE, View

ANY: Any = None
SAID = jnp.log(jnp.array([[0.9, 0.1], [0.1, 0.9]]))
"""[Y, A]: what is expected of either type."""
FRESH = held_at_first((1, 2, 1, 2))


def told(
    temper, moves, kind: int, before=(0.5, 0.5), last=NO_MOVE, contact=(0,), mix=0.0, said=SAID,
    fresh=FRESH,
):  # fmt: skip
    """Of one other, of two types, whose moves [T] are seen, and ``last`` before them."""
    slots = len(moves)
    shown = jnp.concatenate([jnp.array([last], jnp.int32), moves[:-1]])
    seen = Seen(
        moved=jnp.stack([jnp.where(shown == NO_MOVE, NO_MOVE, 0), shown], 1).astype(jnp.int16),
        event=jnp.full((slots, 2), NO_EVENT, jnp.int16),
        alive=jnp.ones((slots, 2), bool),
        reward=jnp.zeros(slots),
        first=jnp.isin(jnp.arange(slots), jnp.array(contact)),
        legal=jnp.ones((slots, 1, 2), bool),
    )
    held = FRESH._replace(
        log_belief=jnp.log(jnp.array(before))[None, :, None], moves=jnp.exp(SAID)[None, :, None]
    )
    there, one = jnp.ones((slots, 1), bool), jnp.ones(slots, bool)
    fields: dict[str, Any] = dict.fromkeys(Study._fields) | {"seen": seen, "there": there}
    fields |= {"contact": seen.first, "acting": one, "time": jnp.arange(slots)}
    some: Any = Study
    study = some(**fields | {"memory": (ANY, held)})
    likely = jnp.broadcast_to(said[None, None, :, None], (slots, 1, 2, 1, 2))
    reading = Reading(likely, jnp.zeros((slots, 1, 2, 1)), jnp.zeros((slots, 1, 2)))
    true = jnp.broadcast_to(jnp.arange(2) == kind, (slots, 1, 2)).astype(jnp.float32)
    return tempered(temper, Rates(mix=mix), fresh, study, reading, true, there)


def test_each_belief_is_held_against_the_truth():
    """Type 0 made move 0, then 0, 0 and 1; then a match begins."""
    moves = jnp.array([0, 0, 1, 0])
    sums, count = told(jnp.float32(0.5), moves, 0, (0.2, 0.8), last=0, contact=(3,))
    odds = 3.0  # sqrt(.9 / .1): what half a move says
    ratios = np.array([0.25 * odds, 0.25 * odds**2, 0.25 * odds**3, 1.0])
    assert count == 4
    np.testing.assert_allclose(sums, np.log1p(1 / ratios).sum(), rtol=1e-5)


def test_a_uniform_share_bounds_what_a_move_says():
    sums, _ = told(jnp.float32(1.0), jnp.array([0, 0]), 1, mix=0.5)
    np.testing.assert_allclose(sums, np.log(2) - np.log(0.3 / (0.7 + 0.3)), rtol=1e-5)


def test_what_is_learnt_is_how_sure_moves_should_make():
    """They are said to tell types apart 9 to 1, and do so 3 to 2."""
    right, said = np.log(0.6 / 0.4), np.log(0.9 / 0.1)
    moves = jr.bernoulli(jr.key(0), 0.4, (4096, 6)).astype(jnp.int32)  # of type 0

    def loss(temper):
        return jax.vmap(lambda m: told(temper, m, 0)[0])(moves).mean()

    step = jax.jit(lambda t: t - 0.02 * jax.grad(loss)(t))
    temper = jnp.float32(1.0)
    for _ in range(60):
        temper = step(temper)
    np.testing.assert_allclose(temper, right / said, atol=0.03)


def test_nothing_else_learns_of_it():
    """What is expected of moves and goals is given, and what is held before."""
    moves, temper = jnp.array([0, 1]), jnp.float32(1.0)
    loss = lambda said, fresh, before: told(temper, moves, 0, before, said=said, fresh=fresh)[0]
    for grad in jax.grad(loss, (0, 1, 2))(SAID, FRESH, jnp.array([0.5, 0.5])):
        assert all((x == 0).all() for x in jax.tree.leaves(grad))


def test_beliefs_go_on_as_they_do_at_play():
    """Over a chunk, with several goals, events, and some who leave or meet another opponent."""
    state, before, chunk = played()
    reader, study = state.learners[0].net.reader, study_of(before)

    def one(reader, study):
        x = jax.vmap(lambda obs, seen: inputs(ENV.encode(obs), seen, reader.model.sizes[-1],
                                              reader.goals))(study.obs, study.seen)  # fmt: skip
        e = reader.model.trunk.along(x, study.contact, study.acting, study.memory[0])
        reading = jax.vmap(reader.model)(x, e, study.seen.legal)
        fresh = held_at_first(reader.model.sizes, reader.prior, reader.vanish)
        return followed(jnp.float32(1.0), reader.rates, fresh, study, reading)[0]

    end = jax.jit(jax.vmap(jax.vmap(one, (None, 0))))(reader, study)
    held = studies(SEATING, 0, chunk).memory[1]
    for found, known in zip(jax.tree.leaves(end), jax.tree.leaves(held), strict=True):
        np.testing.assert_allclose(found, known, atol=1e-5)
    assert np.std(held.log_belief) > 0.1 and (study.event != NO_EVENT).any()
    assert not study.acting.all() and study.contact[:, :, 1:].any()


def test_a_stretch_begins_with_what_the_last_move_before_it_said():
    """Which is seen in the first slot that is played."""
    _, _, chunk = played()
    study = jax.tree.map(lambda x: x[0], study_of(chunk))
    rates = played().state.learners[0].net.reader.rates
    made = jax.jit(jax.vmap(lambda study: begun(study, rates)))(study)
    changed = 0
    for place in range(len(study.acting)):
        one = jax.tree.map(lambda x, i=place: x[i], study)
        if not one.acting.any():
            continue
        first = int(np.flatnonzero(one.acting)[0])
        view = jax.tree.map(lambda x, i=first: x[i], as_shown(one))
        known = heard(one.memory[1], view, rates)
        for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(known), strict=True):
            np.testing.assert_allclose(a[place], b, atol=1e-6)
        changed += not np.allclose(known.log_belief, one.memory[1].log_belief, atol=1e-4)
    assert changed, "somebody's last move said something"


@pytest.mark.parametrize("temper", [0.5, 1.0])
def test_a_belief_hears_a_move_as_often_as_it_counts(temper):
    held = held_at_first((1, 2, 1, 2))
    held = held._replace(moves=jnp.exp(SAID)[None, :, None])
    view = View(
        obs=jnp.zeros(1), legal=jnp.ones(2, bool), alive=jnp.ones(2, bool),
        moved=jnp.zeros(2, jnp.int32), public_legal=jnp.ones((2, 2), bool),
        event=jnp.full(2, NO_EVENT), first=jnp.bool_(False), time=jnp.int32(1),
        reward=jnp.float32(0), told=jnp.zeros(0),
    )  # fmt: skip
    after = heard(held, view, Rates(mix=0.0, drift=0.0), jnp.float32(temper))
    odds = 9.0**temper
    np.testing.assert_allclose(jnp.exp(after.log_belief[0, 0, 0]), odds / (1 + odds), rtol=1e-5)


@pytest.mark.parametrize("settings", [{"types_from": "moves", "types": 3}, {"belief": "amortised"}])
def test_there_must_be_a_filter_over_known_types(settings):
    with pytest.raises(ValueError, match="temper makes a filter's belief over known types right"):
        Config(temper=True, **settings)


def test_a_reader_learns_it_from_play():
    """Whatever is shown to the absent changes nothing of it."""
    config = replace(CONFIG, temper=True).among(ROSTER)
    state = goal_ppo.init(config, SPEC, jr.key(3))

    def play():
        policies = (*goal_ppo.policy(config, state), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        how = {"slots": SMALL["slots"], "match": 2}
        return collect(ENV, SEATING, policies, lanes, jr.key(1), **how)[1]

    learn = jax.jit(partial(goal_ppo.learn, config))
    chunk = jax.tree.map(np.asarray, jax.jit(play)())
    (after, told), (odd, _) = learn(state, chunk), learn(state, spoilt(SEATING, chunk))
    heat = after.learners[0].net.reader.heat
    assert np.isfinite(heat).all() and (heat != 0).all() and told["bad_updates"].sum() == 0
    assert np.array_equal(heat, odd.learners[0].net.reader.heat)
    assert told["temper_loss"] > 0
