"""Earlier play, read back from a replay, is what it was when it was the latest."""

from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from meadow_play import CONFIG, ENV, KINDS, SEATING, SLOTS, SPEC, varied

from counterplay.algos import goal_ppo
from counterplay.algos.past import Past, again, latest, past_of, written
from counterplay.algos.study import studies
from counterplay.rollout import collect, open_lanes
from counterplay.runs.buffers import parted, put_back

CHUNKS, DRAWS = 6, 8
KEPT = replace(CONFIG, replay=4 * SLOTS * SEATING.lanes)
"""Four chunks, of which three can be read once all are full."""
COMPARED = ("obs", "seen", "acting", "contact", "moves", "there", "opponent", "event", "goal",
            "reward", "rewards", "time", "goes_on", "stays", "theirs", "memory")  # fmt: skip


class Lived(NamedTuple):
    studies: Any
    """Of every chunk, leaves [C, P, T, ...]."""
    read: list[Any]
    """After each chunk what is read back, leaves [DRAWS, P, T, ...], and which could be."""
    past: Any
    """After the last."""
    after: Any
    """A chunk that came then."""


@cache
def played() -> Lived:

    @jax.jit
    def play():
        state = goal_ppo.init(KEPT, SPEC, jr.key(3))
        net = jax.tree.map(varied, state.learners[0].net)
        state = eqx.tree_at(lambda s: s.learners[0].net, state, net)
        policies = (*goal_ppo.policy(KEPT, state), *(kind.policy for kind in KINDS[1:]))
        lanes = open_lanes(ENV, SEATING, policies, jr.key(0))

        def step(carry, key):
            lanes, past = carry
            lanes, chunk = collect(ENV, SEATING, policies, lanes, key, slots=SLOTS, match=2)
            past = written(past, SEATING, chunk)
            draw = lambda key: again(past, ENV, SEATING, 0, chunk, key).study
            read = jax.vmap(draw)(jr.split(jr.fold_in(key, 1), DRAWS))
            told = studies(SEATING, 0, chunk)._replace(record={}), read, latest(past)
            return (lanes, past), told

        keys = jr.split(jr.key(5), CHUNKS)
        (lanes, past), told = jax.lax.scan(step, (lanes, state.past), keys)
        return past, collect(ENV, SEATING, policies, lanes, keys[0], slots=SLOTS, match=2)[1], told

    past, after, (lived, read, readable) = jax.tree.map(np.asarray, play())
    member = lambda tree, at: jax.tree.map(lambda x: x[at], tree)
    found = [
        (member(read, np.s_[i, :, 0]), (int(readable[0][i]), int(readable[1][i])))
        for i in range(CHUNKS)
    ]
    return Lived(member(lived, np.s_[:, 0]), found, past, after)


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)


def of(study: Any, at: Any) -> list[Any]:
    return [jax.tree.map(lambda x: x[at], getattr(study, name)) for name in COMPARED]


@pytest.mark.parametrize("last", range(CHUNKS))
def test_every_lane_shows_a_chunk_that_it_was_in(last):
    lived, found, *_ = played()
    read, (first, beyond) = found[last]
    assert (first, beyond) == (max(last - 2, 0), last + 1), "three of the four that are kept"
    lane_of, drawn = SEATING.places[0][0] // SEATING.num_seats, set()
    for draw, lane in np.ndindex(DRAWS, SEATING.lanes):
        places = np.flatnonzero(lane_of == lane)
        fits = [
            chunk
            for chunk in range(first, beyond)
            if all(same(of(read, (draw, p)), of(lived, (chunk, p))) for p in places)
        ]
        assert len(fits) == 1, f"lane {lane} shows none of chunks {first} to {beyond - 1}"
        drawn.add(fits[0])
    assert drawn == set(range(first, beyond)), "all of them are drawn"


def test_a_store_of_which_the_newest_slots_were_kept_goes_on_with_its_own_memories():
    """As a checkpoint may keep it: its slots count anew, and of the first nobody knows what was
    before."""
    lived, _, past, after = played()
    parts = parted(past, 2 * SLOTS)
    shapes = jax.eval_shape(lambda: past)
    kept: Any = jax.tree.map(jnp.asarray, put_back(shapes, *parts, "here"))
    assert int(kept.replay.written) == 2 * SLOTS < int(past.replay.written)
    assert [int(x) for x in latest(kept)] == [1, 2]
    read = jax.jit(again, static_argnums=(1, 2, 3))(kept, ENV, SEATING, 0, after, jr.key(2)).study
    assert same(of(read, np.s_[0]), of(lived, np.s_[-1])), "the last chunk, with its memories"
    kept = written(kept, SEATING, after)
    assert [int(x) for x in latest(kept)] == [1, 3]


def test_readers_and_models_are_given_what_is_kept():
    """The same chunk teaches another reader once there are earlier ones to draw from."""
    _, _, past, after = played()
    config = replace(KEPT, reader_epochs=4)  # enough that some of what differs is drawn
    state = jax.jit(partial(goal_ppo.init, config, SPEC))(jr.key(3))
    full = eqx.tree_at(lambda s: s.past, state, jax.tree.map(jnp.asarray, past))
    learn = jax.jit(partial(goal_ppo.learn, config))
    (one, told), (other, also) = learn(state, after), learn(full, after)
    assert int(one.past.chunks) == 1 and int(other.past.chunks) == CHUNKS + 1
    assert (
        np.isfinite(told["moves_loss"]).all() and (told["moves_loss"] != also["moves_loss"]).all()
    )
    of_part = lambda state, part: jax.tree.leaves(getattr(state.learners[0].net, part))
    alike = lambda part: all(map(np.array_equal, of_part(one, part), of_part(other, part)))
    assert alike("policy"), "which learns from the latest alone"
    assert not alike("reader")


def test_nothing_is_kept_unless_asked_for():
    agents = goal_ppo.policy(CONFIG, goal_ppo.init(CONFIG, SPEC, jr.key(0)))
    assert CONFIG.replay == 0 and past_of(0, SLOTS, ENV, SEATING, agents) is None
    with pytest.raises(ValueError, match="replay must be 0 or more"):
        replace(CONFIG, replay=-1)


def test_what_is_kept_holds_an_episode_of_every_lane():
    agents = goal_ppo.policy(CONFIG, goal_ppo.init(CONFIG, SPEC, jr.key(0)))
    past: Any = past_of(1, SLOTS, ENV, SEATING, agents)
    assert isinstance(past, Past) and past.replay.capacity >= ENV.horizon + SLOTS
    assert past.replay.capacity % SLOTS == 0
    assert jnp.shape(jax.tree.leaves(past.starts)[0])[0] == past.replay.capacity // SLOTS
