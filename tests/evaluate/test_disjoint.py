"""No opponent that is held out, and no game of an evaluation, is one of a training."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Probe, State

from counterplay.algos import Options, ppo
from counterplay.evaluate.disjoint import check, marks, opponent_digest, start_key
from counterplay.evaluate.returns import evaluate
from counterplay.opponents.sets import NAMES, SETS
from counterplay.pools import roster_of

TOLD: set[bytes] = set()


@dataclass(frozen=True)
class Told(Probe):
    """Two slots; every key that a start state is drawn by is written down."""

    horizon: int = 2

    def reset(self, key):
        jax.debug.callback(lambda data: TOLD.add(data.tobytes()), jr.key_data(key))
        return super().reset(key)

    def earns(self, state: State, actions):
        return jnp.zeros(1)

    def shows(self, state: State) -> dict[str, Any]:
        return {"obs": state.lot[None, None], "terminated": state.time >= 2}


def starts(play: Any) -> set[bytes]:
    """The keys of all start states that are drawn meanwhile."""
    TOLD.clear()
    play()
    jax.effects_barrier()
    return set(TOLD)


def train(seed: int) -> None:
    config = ppo.Config(lanes=4, slots=4, steps=64, seed=seed, widths=(2,), minibatches=1)
    list(ppo.train(config, Told(), roster_of(Told(), {0: "self"}), Options()))


def test_start_keys_of_training_and_evaluation_never_meet():
    met = starts(lambda: train(3))
    assert len(met) >= 64, "four lanes, four iterations, four starts a lane"
    again = starts(lambda: train(3))
    assert again == met, "keys that differ between two equal trainings would prove nothing"
    seen = starts(lambda: evaluate(Told(), roster_of(Told(), {0: "random"}), 256, seed=3))
    assert len(seen) >= 256
    assert not met & seen


@pytest.mark.parametrize("evaluation", [False, True])
def test_the_keys_that_are_told_are_those_that_games_begin_with(evaluation):
    """The first start states, of four lanes or more, are drawn by keys split from the root."""
    data = np.frombuffer(bytes.fromhex(start_key(3, evaluation)), np.uint32)
    root = jr.wrap_key_data(jnp.asarray(data))
    lane_key = jr.split(root, 2)[0] if evaluation else jr.split(root, 3)[1]
    lanes, policies = (256, 1) if evaluation else (4, 1)
    first = jr.split(jr.split(lane_key, 1 + policies)[0], lanes)
    play = lambda: evaluate(Told(), roster_of(Told(), {0: "random"}), 256, seed=3)
    seen = starts(play if evaluation else lambda: train(3))
    assert {jr.key_data(key).tobytes() for key in first} <= seen


@pytest.mark.parametrize("game", SETS)
def test_no_opponent_or_start_of_train_is_in_another_set(game):
    found = marks(SETS[game], game, seeds=range(20))
    assert tuple(found) == NAMES
    check(found)
    for name, mark in found.items():
        assert len({*mark.opponents.values()}) == len(SETS[game][name]), "two are the same"
        assert len({*mark.starts.values()}) == 20


@pytest.mark.parametrize(
    ("name", "texts", "said"),
    [
        ("held-out", ("gradual", "grim:tremble=.05"), r"train and held-out .*: grim"),
        ("near", ("bully",), r"train and near have opponents in common: bully"),
        ("validation", ("gradual",), r"validation and held-out have opponents in .*: gradual"),
    ],
)
def test_opponents_in_two_sets_are_told(name, texts, said):
    sets = SETS["matrix"] | {name: texts}
    with pytest.raises(ValueError, match=said):
        check(marks(sets, "matrix"))


def test_starts_in_two_sets_are_told():
    found = marks(SETS["matrix"], "matrix", seeds=(0, 1))
    found["held-out"] = found["held-out"]._replace(starts=found["train"].starts)
    with pytest.raises(ValueError, match=r"train and held-out have start keys in common: 0, 1"):
        check(found)


def test_one_rule_has_one_digest_however_it_is_written():
    assert opponent_digest("grim", "matrix") == opponent_digest("grim:tremble=0.05", "matrix")
    assert opponent_digest("grim", "matrix") != opponent_digest("grim:tremble=.1", "matrix")


def test_a_file_is_told_by_what_it_says(tmp_path):
    for name, text in (("a", "class One: ..."), ("b", "class One: ..."), ("c", "class One: 1")):
        (tmp_path / f"{name}.py").write_text(text)
    one, copy, other = (opponent_digest(f"{tmp_path}/{n}.py:One", None) for n in "abc")
    assert one == copy != other
    assert opponent_digest(f"{tmp_path}/a.py:Two", None) != one
