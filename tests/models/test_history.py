"""What readers take in, by hand, and through the stream and back."""

import jax
import jax.numpy as jnp
import numpy as np

from counterplay.models import history
from counterplay.types import NO_EVENT, NO_MOVE, View


def seen_by_one_of_three() -> View:
    return View(
        obs=jnp.array([0.5, 2.0]),
        legal=jnp.array([True, False]),
        alive=jnp.array([True, True, False]),
        moved=jnp.array([1, 0, NO_MOVE], jnp.int32),
        public_legal=jnp.array([[True, False], [True, True], [False, False]]),
        reward=jnp.float32(2.5),
        event=jnp.array([NO_EVENT, 2, NO_EVENT], jnp.int32),
        time=jnp.int32(3),
        first=jnp.array(True),
        told=jnp.zeros(0),
    )


def test_inputs_by_hand():
    view = seen_by_one_of_three()
    x = history.inputs(view.obs, history.seen_in(view), 2, 3)
    moves, events = [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert x.tolist() == [0.5, 2.0, *moves, *events, 1, 1, 0, 2.5, 1]
    assert len(x) == history.width(2, 3, 2, 3) and x.dtype == jnp.float32


def test_games_without_goals_have_no_room_for_events():
    view = seen_by_one_of_three()
    x = history.inputs(view.obs, history.seen_in(view), 2, 0)
    assert x.tolist() == [0.5, 2.0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 2.5, 1]
    assert len(x) == history.width(2, 3, 2, 0)


def test_only_what_the_others_may_do_is_kept_of_legal_moves():
    seen = history.seen_in(seen_by_one_of_three())
    assert seen.legal.tolist() == [[True, True], [False, False]]
    assert seen.moved.dtype == seen.event.dtype == jnp.int16


def test_records_are_read_back_as_they_were():
    seen = history.seen_in(seen_by_one_of_three())
    record = history.as_record(seen)
    assert set(record) == {
        "seen_moved", "seen_event", "seen_alive", "seen_reward", "seen_first", "seen_legal",
    }  # fmt: skip
    back = history.from_record({"value": jnp.zeros(()), **record})
    for a, b in zip(jax.tree.leaves(seen), jax.tree.leaves(back), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def test_a_reward_that_is_not_finite_is_read_as_none():
    seen = history.seen_in(seen_by_one_of_three())
    for odd in (jnp.nan, jnp.inf):
        x = history.inputs(jnp.zeros(2), seen._replace(reward=jnp.float32(odd)), 2, 3)
        assert np.isfinite(x).all() and x[-2] == 0
