"""Trainings of those who read the others by PPO, stopped and gone on with, and loaded as frozen
runs."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from counterplay import algos, envs, keeper, verbs
from counterplay.bench.faults import left_by
from counterplay.runs import load_policy
from counterplay.views import view_shapes

SMALL: dict[str, Any] = {
    "lanes": 4, "slots": 6, "steps": 48, "match": 2, "widths": (6,), "minibatches": 2, "epochs": 1,
    "told_width": 5, "reader_widths": (6,), "reader_gru": 4, "reader_minibatches": 1,
}  # fmt: skip
HUNT = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
AGAINST = ("nearest_stag", "nearest_hare")
TRAININGS = [
    ("goal_ppo", {"belief": "joint", "temper": True, "vanish": True, "habit": 0.1, "replay": 48}),
    ("moa", {"gru": 4, "influence": 0.1, "replay": 48}),
    ("liam", {"replay": 48}),
    ("naive_om", {"marks": False}),
]


def train(name: str, chosen: verbs.Train, until: int = 10**9) -> tuple[Path, Any]:
    """Trains, up to an iteration: the run folder, and the nets in the end."""
    follow = keeper.Keeper.follow

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= until)

    module: Any = import_module(algos.module_of(name))
    kept, learn = [], module.train

    def watched(*args):
        for update in learn(*args):
            kept.append(jax.tree.map(np.asarray, update.nets[0]))
            yield update

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", watched)
        patch.setattr(keeper.Keeper, "follow", short)
        return verbs.run_training(name, chosen, quiet=True).folder, kept[-1]


@pytest.mark.parametrize(("name", "more"), TRAININGS, ids=[name for name, _ in TRAININGS])
def test_a_training_goes_on_to_the_last_bit_and_is_loaded(name, more, tmp_path, compiled_once):
    module: Any = import_module(algos.module_of(name))
    asked = module.Config(**SMALL | more)
    chosen = verbs.Train(asked, env=HUNT, against=AGAINST, out=str(tmp_path / "whole"))
    folder, nets = train(name, chosen)
    whole = left_by(folder)
    chosen = replace(chosen, out=str(tmp_path / "halves"))
    half = left_by(train(name, chosen, until=1)[0])
    assert len(half.metrics) == 1 and half.metrics == whole.metrics[:1]
    assert half.state != whole.state
    train(name, replace(chosen, out=None, resume=chosen.out))
    assert left_by(tmp_path / "halves") == whole

    env = envs.make(HUNT)
    frozen: Any = load_policy(str(folder), env, 1)
    for a, b in zip(jax.tree.leaves(frozen.net), jax.tree.leaves(nets), strict=True):
        assert np.array_equal(a, b[0, 0])
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(env))
    view = replace(blank, moved=jnp.array([4, 2], jnp.int32), event=jnp.full(2, -1, jnp.int32))
    memory = frozen.begin(jax.random.key(0), None)
    memory = frozen.act(jax.random.key(1), memory, view, False).memory
    expected = np.exp(np.asarray(frozen.predict(memory, view)))
    assert expected.shape == (1, 7)
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-5)
