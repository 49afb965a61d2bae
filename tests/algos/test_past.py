"""Earlier play, read back from a replay, is what it was when it was the latest."""

from dataclasses import replace
from functools import cache
from typing import Any

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

CHUNKS, DRAWS = 6, 8
KEPT = replace(CONFIG, replay=4 * SLOTS * SEATING.lanes)
"""Four chunks, of which three can be read once all are full."""
COMPARED = ("obs", "seen", "acting", "contact", "moves", "there", "opponent", "event", "goal",
            "reward", "rewards", "time", "goes_on", "theirs", "memory")  # fmt: skip


@cache
def played() -> tuple[Any, list[Any]]:
    """Studies of every chunk, leaves [C, P, T, ...]; and after each chunk what is read back."""

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
            told = studies(SEATING, 0, chunk)._replace(record={}), read, latest(past.replay)
            return (lanes, past), told

        keys = jr.split(jr.key(5), CHUNKS)
        return jax.lax.scan(step, (lanes, state.past), keys)[1]

    lived, read, readable = jax.tree.map(np.asarray, play())
    member = lambda tree, at: jax.tree.map(lambda x: x[at], tree)
    return member(lived, np.s_[:, 0]), [
        (member(read, np.s_[i, :, 0]), (int(readable[0][i]), int(readable[1][i])))
        for i in range(CHUNKS)
    ]


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)


def of(study: Any, at: tuple[int, ...]) -> list[Any]:
    return [jax.tree.map(lambda x: x[at], getattr(study, name)) for name in COMPARED]


@pytest.mark.parametrize("last", range(CHUNKS))
def test_every_lane_shows_a_chunk_that_it_was_in(last):
    lived, found = played()
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


def test_nothing_is_kept_unless_asked_for():
    agents = goal_ppo.policy(CONFIG, goal_ppo.init(CONFIG, SPEC, jr.key(0)))
    assert CONFIG.replay == 0 and past_of(CONFIG, ENV, SEATING, agents) is None
    with pytest.raises(ValueError, match="replay must be 0 or more"):
        replace(CONFIG, replay=-1)


def test_what_is_kept_holds_an_episode_of_every_lane():
    agents = goal_ppo.policy(CONFIG, goal_ppo.init(CONFIG, SPEC, jr.key(0)))
    past: Any = past_of(replace(CONFIG, replay=1), ENV, SEATING, agents)
    assert isinstance(past, Past) and past.replay.capacity >= ENV.horizon + SLOTS
    assert past.replay.capacity % SLOTS == 0
    assert jnp.shape(jax.tree.leaves(past.starts)[0])[0] == past.replay.capacity // SLOTS
