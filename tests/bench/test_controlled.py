"""What agents under control are shown: nothing of the past, or that of another lane's match."""

from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs
from counterplay.algos import counterplay, goal_ppo
from counterplay.algos.loops import Spec
from counterplay.bench.controlled import (
    SETTINGS,
    Forgetful,
    controlled,
    with_foreign_moves,
    with_foreign_past,
)
from counterplay.models.windows import window_of
from counterplay.models.world import world_of
from counterplay.models.world_loss import posterior
from counterplay.pools import roster_of
from counterplay.rollout import Chunk, collect, open_lanes
from counterplay.types import NO_MOVE
from counterplay.views import view_shapes

ENV = envs.make("race:narrow")
LANES, SLOTS, OTHERS = 6, 25, 2
RIVALS = "always_left,always_right,cycle"
ROSTER = roster_of(ENV, {0: "self", 1: RIVALS, 2: RIVALS})
SEATING = ROSTER.seating(LANES)
SPEC = Spec(ENV, SEATING, None)
SMALL: dict[str, Any] = {
    "lanes": LANES, "slots": SLOTS, "match": 2, "widths": (8,), "epochs": 1, "minibatches": 2,
    "told_width": 6, "reader_widths": (8,), "reader_gru": 5, "reader_minibatches": 2,
}  # fmt: skip
WORLD: dict[str, Any] = {
    "latent": 6, "world_width": 12, "world_token": 4, "value_width": 8, "world_minibatches": 2,
}  # fmt: skip


class Played(NamedTuple):
    state: Any
    chunk: Chunk


def speaking(x: Any) -> Any:
    """Weights that begin as zeros, or nearly so, are made to tell types and goals apart."""
    if not (eqx.is_inexact_array(x) and x.ndim > 2):
        return x
    return jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape)


@cache
def played(control: str | None, algorithm: Any = goal_ppo) -> Played:
    """Two and a half episodes of a fresh agent in each lane, from first contact on."""
    module: Any = controlled(algorithm, control)
    config = config_of(control, algorithm)

    @jax.jit
    def play():
        state = module.init(config, SPEC, jr.key(3))
        reader = jax.tree.map(speaking, state.learners[0].net.reader)
        state = eqx.tree_at(lambda s: s.learners[0].net.reader, state, reader)
        policies = (*module.policy(config, state), *ROSTER.others)
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))
        how = {"slots": SLOTS, "match": 2, "watch": True}
        return Played(state, collect(ENV, SEATING, policies, lanes, jr.key(1), **how)[1])

    return play()


def config_of(control: str | None, algorithm: Any = goal_ppo) -> Any:
    world = WORLD if algorithm is counterplay else {}
    return algorithm.Config(**SMALL | world | SETTINGS.get(control or "", {})).among(ROSTER)


def record(control: str | None) -> dict[str, np.ndarray]:
    """Of the learner, arrays [P, T, ...]."""
    return {name: np.asarray(x[0]) for name, x in played(control).chunk.records[0].items()}


def test_the_prior_is_believed_in_every_slot_whatever_was_played():
    found = record("prior")
    types, goals = found["types"], found["belief"]
    assert types.shape == (LANES, SLOTS, OTHERS, 3) and goals.shape == (LANES, SLOTS, OTHERS, 3)
    there = found["seen_alive"][..., 1:]
    assert there.any() and np.ptp(played("prior").chunk.slots["actions"][:, :, 1:]) > 0
    np.testing.assert_allclose(types, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(goals, 1 / 3, atol=1e-6)
    plain = record(None)
    assert np.ptp(plain["types"], axis=(0, 1)).max() > 0.2, "without the control they are learnt"


def test_under_the_prior_expectations_follow_from_what_is_seen_now():
    """Every episode of a race begins alike; only who remembers tells the second from the first."""
    first = np.asarray(played("prior").chunk.slots["time"]) == 0
    assert first.sum() > 2 * LANES - 1
    spread = lambda control: np.ptp(np.exp(record(control)["predict"][first]), axis=0).max()
    assert spread("prior") < 1e-6 < 0.05 < spread(None)
    seen = record("prior")
    assert (seen["seen_moved"] == NO_MOVE).all() and (seen["seen_reward"] == 0).all()
    assert not seen["seen_first"].any()


def test_permuted_moves_are_those_of_the_lane_before_and_nothing_else_changes():
    chunk, found = played("permuted").chunk, record("permuted")
    slots = {name: np.asarray(x) for name, x in chunk.slots.items()}
    shown, made = found["seen_moved"][:, 1:], slots["actions"][:, :-1]
    begins = np.roll(slots["contact"], 1, axis=0)[:, 1:]  # the lane before forgets there
    assert begins.any() and not begins.all()
    expected = np.where(begins[..., None], NO_MOVE, np.roll(made, 1, axis=0))
    np.testing.assert_array_equal(shown, expected)
    assert (np.roll(made, 1, axis=0)[..., 1:] != made[..., 1:]).any(), "they are others"
    np.testing.assert_array_equal(found["seen_alive"], slots["alive"])
    step = jax.jit(jax.vmap(ENV.step))
    state, shown = jax.vmap(ENV.reset)(jr.split(jr.key(9), LANES))
    for t in range(10):  # one episode, played again with what is stored
        np.testing.assert_array_equal(slots["obs"][:, t], shown.obs)
        state, shown = step(state, jnp.asarray(slots["actions"][:, t]))
        np.testing.assert_array_equal(slots["reward"][:, t], shown.reward * slots["alive"][:, t])


def test_a_belief_over_permuted_moves_is_about_the_other_match():
    """Who is met in the lane before decides what is believed, not who is met here."""
    told, slots = record("permuted")["types"], played("permuted").chunk.slots
    assert np.ptp(told, axis=(0, 1)).max() > 0.1
    foreign = with_foreign_moves(SEATING, played("permuted").chunk)
    moved, before = np.asarray(foreign.slots["actions"]), np.asarray(slots["actions"])
    rolled, can = np.roll(before, 1, axis=0), np.asarray(slots["avail_actions"])
    for lane, t, seat in np.ndindex(before.shape):
        move = before[lane, t, 0] if seat == 0 else rolled[lane, t, seat]
        fair = seat == 0 or (move != NO_MOVE and can[lane, t, seat, move])
        assert moved[lane, t, seat] == (move if fair else NO_MOVE)
    same = set(slots) - {"actions", "event"}
    assert all(foreign.slots[name] is slots[name] for name in same)
    events = np.asarray(slots["event"])
    assert (events != np.roll(events, 1, axis=0)).any()
    np.testing.assert_array_equal(foreign.slots["event"][..., 0], events[..., 0])
    np.testing.assert_array_equal(foreign.slots["event"][..., 1:], np.roll(events, 1, 0)[..., 1:])


def test_who_plays_alone_is_shown_no_past_of_itself():
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(ENV))
    for view in (with_foreign_past(blank), jax.vmap(with_foreign_past)(blank_of_one(blank))):
        assert (view.moved == NO_MOVE).all() and (view.reward == 0).all()
        assert view.first.all() and view.obs.all()


def blank_of_one(view: Any) -> Any:
    return jax.tree.map(lambda x: x[None], view)


@pytest.mark.parametrize(
    ("algorithm", "control"),
    [(goal_ppo, "permuted"), (counterplay, "prior")],
)
def test_learning_goes_on_under_control(algorithm, control):
    module: Any = controlled(algorithm, control)
    state, chunk = played(control, algorithm)
    learn = partial(module.learn, config_of(control, algorithm))
    after, metrics = jax.jit(learn)(state, chunk)
    net, before = after.learners[0].net, state.learners[0].net
    assert type(net.reader) is type(before.reader) is not goal_ppo.GoalReader
    assert np.isfinite(metrics["moves_loss"]) and not metrics["bad_updates"].any()
    assert (net.reader.model.move != before.reader.model.move).any()
    if algorithm is counterplay:
        assert isinstance(net.model.world, Forgetful)
        assert (net.model.world.eye[0].weight != before.model.world.eye[0].weight).any()


@pytest.mark.parametrize("control", SETTINGS)
def test_learning_is_from_permuted_moves_where_they_are_permuted(control):
    chunk, spec = played("permuted").chunk, SimpleNamespace(spec=SPEC)
    fake = SimpleNamespace(Config=None, Agent=None, policy=None, learn=lambda c, s, chunk: chunk)
    found = controlled(fake, control).learn(None, spec, chunk)
    expected = with_foreign_moves(SEATING, chunk) if control == "permuted" else chunk
    for name in ("actions", "event"):
        np.testing.assert_array_equal(found.slots[name], expected.slots[name])


def test_the_latent_of_the_world_is_of_the_present_slot_in_play_and_in_training():
    chunk = played("permuted").chunk
    window = window_of(ENV, {name: x[0] for name, x in chunk.slots.items()}, 0)
    obs = jax.vmap(ENV.encode)(window.obs)
    plain = world_of(ENV, jr.key(2), hidden=6, groups=0, classes=8, width=12, token=4)
    forgetful, elsewhere = Forgetful(plain), jnp.full(plain.size, 0.7)
    along = lambda world, start: np.asarray(posterior(world, window, obs, start, None)[0])
    see = lambda world, t, e: world.see(
        None, e, world.inputs(obs[t], seen := jax.tree.map(lambda x: x[t], window.seen)), seen
    )
    latents = along(forgetful, None)
    np.testing.assert_allclose(latents[4], see(forgetful, 4, elsewhere), atol=1e-6)
    np.testing.assert_allclose(latents[4], see(forgetful, 4, forgetful.begin()), atol=1e-6)
    assert abs(latents[4] - latents[5]).max() > 1e-3, "it tells one slot from another"
    assert abs(along(plain, None)[4] - see(plain, 4, plain.begin())).max() > 1e-3


def test_settings_by_which_the_past_comes_in_are_refused():
    module: Any = controlled(goal_ppo, "prior")
    with pytest.raises(ValueError, match=r"the control prior wants .* found .*'reader_gru': 5"):
        module.init(module.Config(**SMALL).among(ROSTER), SPEC, jr.key(0))
    with pytest.raises(ValueError, match="unknown control 'piror'"):
        controlled(goal_ppo, "piror")
    assert controlled(goal_ppo, None) is goal_ppo
