"""What events paid of late, of which a quantile makes goals: noted over iterations and cores."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from meadow_play import CONFIG, SEATING, SPEC, played

from counterplay.algos import goal_ppo, labels
from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import Paid, noted, paid_at_first, prepared
from counterplay.algos.study import Study, studies
from counterplay.types import NO_EVENT

MADE: Any = Study
UPPER = Config(goal_quantile=0.75)
PLACES, SLOTS = 4, 3


def study(paid: Any) -> Study:
    """One other, [1, PLACES, SLOTS, 1], with an event wherever it was paid."""
    pay = jnp.asarray(paid, jnp.float32)[None, :, :, None]
    fields: dict[str, Any] = {
        "event": jnp.where(pay > 0, 1, NO_EVENT), "rewards": pay, "reward": pay[..., 0] + 10,
        "there": jnp.ones(pay.shape, bool), "goes_on": jnp.ones(pay.shape, bool),
    }  # fmt: skip
    return MADE(**(dict.fromkeys(Study._fields) | fields))


FIRST = study([[1, 0, 5], [2, 0, 0], [3, 0, 6], [4, 0, 0]])
NONE = study(np.zeros((PLACES, SLOTS)))


@jax.jit
def note(told: Study, paid: Any) -> Any:
    return noted(UPPER, told, paid)


def latest(paid: Paid | None, member: int = 0) -> list[float]:
    assert paid is not None
    return np.asarray(paid.rewards)[member][np.asarray(paid.there)[member]].tolist()


def test_events_are_noted_in_the_order_of_play_and_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(labels, "LATEST", 8)
    paid = note(FIRST, paid_at_first(UPPER, 1))
    assert latest(paid) == [1, 2, 3, 4, 5, 6]
    assert latest(note(NONE, paid)) == [1, 2, 3, 4, 5, 6]
    assert latest(note(FIRST, paid)) == [5, 6, 1, 2, 3, 4, 5, 6]
    mine = noted(replace(UPPER, reward_of="mine"), FIRST, paid_at_first(UPPER, 1))
    assert latest(mine) == [11, 12, 13, 14, 15, 16]
    assert (
        paid_at_first(Config(goal_reward=1.0), 1) is None and noted(Config(), FIRST, None) is None
    )


def test_what_an_event_must_pay_stays_where_an_iteration_has_few():
    """The one event of an iteration is the upper quarter of itself."""
    few = study([[0, 0, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    paid = note(FIRST, paid_at_first(UPPER, 1))
    label = lambda told, paid: np.asarray(prepared(UPPER, told, paid).label)[0, 0, :, 0].tolist()
    assert label(few, note(few, paid_at_first(UPPER, 1))) == [1, 1, 1] == label(few, None)
    assert label(few, note(few, paid)) == [NO_EVENT] * 3, "3 is paid by more than a quarter"


def test_cores_that_learn_together_note_the_events_of_all():
    halves = jax.tree.map(lambda x: jnp.stack(jnp.split(x, 2, axis=1)), FIRST)
    before = note(FIRST, paid_at_first(UPPER, 1))
    core: Any = lambda told: noted(UPPER, told, before, "cores")
    together = jax.vmap(core, axis_name="cores")(halves)
    whole = note(FIRST, before)
    for i in range(2):
        assert np.array_equal(together.rewards[i], whole.rewards)
        assert np.array_equal(together.number[i], whole.number)


def test_a_training_carries_them_along():
    """Every member its own, from the events of the others that it plays with."""
    asked = replace(CONFIG, goal_quantile=0.5)
    here, learn = played(), jax.jit(partial(goal_ppo.learn, asked))
    state = goal_ppo.init(asked, SPEC, jax.random.key(3))
    first, _ = learn(state, here.before)
    second, metrics = learn(first, here.chunk)
    wanted: Any = noted(asked, studies(SEATING, 0, here.before), paid_at_first(asked, 1))
    assert np.array_equal(first.learners[0].kept.rewards, wanted.rewards)
    wanted = noted(asked, studies(SEATING, 0, here.chunk), wanted)
    kept = second.learners[0].kept
    assert np.array_equal(kept.rewards, wanted.rewards) and (kept.number == wanted.number).all()
    assert 0 < int(first.learners[0].kept.number[0]) < int(kept.number[0])
    assert metrics["bad_updates"].sum() == 0
