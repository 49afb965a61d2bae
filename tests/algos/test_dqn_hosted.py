"""DQN on games in ordinary Python: the replay is handed from one time of learning to the next."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from counterplay import envs
from counterplay.algos import dqn
from counterplay.pools import roster_of

GAME = f"{Path(__file__).parents[1] / 'envs' / 'test_hosting.py'}:Leavers"
ITERATIONS = 4


def trained() -> tuple[list[Any], list[Any]]:
    """The networks after every iteration, copied at once, and what each goes on from."""
    env = envs.make(GAME)
    config = dqn.Config(
        seeds=2, steps=ITERATIONS * 32, lanes=4, slots=8, replay=96, start=32, passes=2, batch=4,
        widths=(4,), priority=0.6,
    )  # fmt: skip
    nets, going = [], []
    for update in dqn.train(
        config, env, roster_of(env, dict.fromkeys(range(env.num_seats), "own"))
    ):
        nets.append(jax.tree.map(np.asarray, (update.nets, update.metrics)))
        going.append(update.going)
    return nets, going


def stores(going: Any) -> list[jax.Array]:
    return [x for training in going[0] for x in training["state"].replay.slots.values()]


def test_the_replay_is_not_copied_to_learn_and_what_is_learnt_is_the_same(monkeypatch):
    given, going = trained()
    gone = [all(x.is_deleted() for x in stores(one)) for one in going]
    assert gone == [True] * (ITERATIONS - 1) + [False], "each goes into the next, the last stays"
    assert not any(x.is_deleted() for x in jax.tree.leaves(going[-1])), "it can be saved"
    jit = jax.jit
    kept = lambda f, donate_argnums=(), **options: jit(f, **options)
    monkeypatch.setattr(jax, "jit", kept)
    copied, going = trained()
    assert not any(x.is_deleted() for one in going for x in stores(one))
    assert len(given) == ITERATIONS
    for one, other in zip(jax.tree.leaves(given), jax.tree.leaves(copied), strict=True):
        assert np.array_equal(one, other)
    first, last = (jax.tree.leaves(given[i][0]) for i in (0, -1))
    assert not any(map(np.array_equal, first, last)), "something is learnt"
