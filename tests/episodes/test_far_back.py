"""Episodes that hardly count, those that are not there, and those too long to be read as ones."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from streams import AGENTS
from test_replay import SPAN, filled_to

from counterplay.episodes import Field, Replay, Scheme


def aged(episodes: int) -> tuple[Replay, int]:
    """Three hundred or so episodes of one slot each, which tell by a constant which they are."""
    scheme = Scheme({
        "obs": Field((), np.int32),
        "terminated": Field((), np.bool_),
        "who": Field((), np.int32, constant=True),
    })  # fmt: skip
    sizes = {"lanes": 1, "slots": 400, "chunk": 300, "horizon": 1, "episodes": episodes}
    replay = Replay.empty(scheme, **sizes)
    number = np.arange(1, 301, dtype=np.int32)[None]
    replay = replay.write({"obs": number, "who": number, "terminated": np.ones((1, 300), bool)})
    return replay, 300


@pytest.mark.parametrize("half_life", [1.0, 1e-3, 1e-38, 5.0])
def test_many_half_lives_ago_is_still_an_episode(half_life):
    """However little it counts: never one that is not there, and the newer before the older."""
    replay, ended = aged(episodes=5000)
    batch = replay.episodes(jr.key(0), 200, half_life=half_life)
    assert batch.filled.any(1).all()
    assert np.array_equal(batch["who"], batch["obs"][:, 0])
    assert len(np.unique(np.asarray(batch["who"]))) == 200
    if half_life in (1.0, 1e-3):  # beyond 30 half-lives of the newest 200 there is no chance
        assert int(batch["who"].min()) > ended - 200 - 30
    inside = jax.jit(lambda r, k: r.episodes(k, 310, half_life=half_life))(replay, jr.key(1))
    assert int((inside.length > 0).sum()) == ended


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_a_half_life_that_is_none_is_refused(half_life):
    with pytest.raises(ValueError, match="half_life should be above 0, found"):
        aged(episodes=50)[0].episodes(jr.key(0), 2, half_life=half_life)


@pytest.mark.parametrize("strata", [None, "matchup"])
def test_a_row_that_is_not_there_shows_nothing_of_another(strata):
    replay, _ = filled_to(4)
    have = int(replay.ended)
    batch = jax.jit(lambda r, k: r.episodes(k, have + 5, strata=strata))(replay, jr.key(0))
    lacks = np.asarray(batch.length) == 0
    assert lacks.sum() == 5
    gone = batch[np.flatnonzero(lacks).tolist()]
    assert not any(np.asarray(x).any() for x in (*gone.data.values(), *gone.constants.values()))
    assert (np.asarray(gone.left_at) == -1).all()
    before = np.array(replay.slots["label"])
    values = jnp.full((5, SPAN, AGENTS), 9, jnp.int8)
    after = replay.relabel(gone.where, "label", values, jnp.ones((5, SPAN), bool))
    assert np.array_equal(after.slots["label"], before)


def test_slots_beyond_the_horizon_are_followed_by_the_next_ones():
    """An episode that is too long for a row is still a row of transitions."""
    scheme = Scheme({"obs": Field((), np.int32), "terminated": Field((), np.bool_)})
    replay = Replay.empty(scheme, lanes=1, slots=16, chunk=8, horizon=3)
    ends = np.arange(16)[None] == 12
    for part in (slice(0, 8), slice(8, 16)):
        obs = np.arange(16, dtype=np.int32)[None, part]
        replay = replay.write({"obs": obs, "terminated": ends[:, part]})
    pairs = replay.transitions(jr.key(0), 15)
    now, after = np.asarray(pairs.now["obs"]), np.asarray(pairs.after["obs"])
    assert pairs.ok.all()
    assert np.array_equal(after, np.where(now == 12, 0, now + 1))
