"""No opponent that is held out, and no game of an evaluation, is one of a training."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Probe, State

from counterplay import cli, verbs
from counterplay.algos import Options, dqn, ppo
from counterplay.episodes import from_rollout
from counterplay.episodes.files import read_rows
from counterplay.evaluate.disjoint import check, family, marks, opponent_digest, start_key
from counterplay.evaluate.returns import evaluate
from counterplay.opponents.sets import NAMES, SETS
from counterplay.pools import roster_of
from counterplay.runs import checkpoints, read_config
from counterplay.runs.buffers import stores_of

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


@pytest.mark.parametrize(
    ("name", "texts", "said"),
    [
        # another setting of a rule of train is near, and never held out
        ("held-out", ("gradual", "grim:tremble=.1"), "train and held-out have families .*: grim"),
        ("validation", ("generous_tit_for_tat:tremble=.2",), "train and validation .*: tit_for"),
        ("held-out", ("majority", "tit_for_two_tats:tats=4"), "validation and held-out .*: tit_"),
        ("near", ("gradual:tremble=.3",), "near and held-out have families in common: gradual"),
        ("switch-unknown", ("switch:at=9,first=gradual,then=bully",), "and switch-unk.*: bully"),
        ("switch-known", ("switch:at=9,first=gradual,then=bully",), "and switch-known .*: gradual"),
        ("switch-unknown", SETS["matrix"]["switch-known"][:1], "switch-known and .* opponents"),
    ],
)
def test_what_is_called_new_and_is_not_is_told(name, texts, said):
    with pytest.raises(ValueError, match=said):
        check(marks(SETS["matrix"] | {name: texts}, "matrix"))


@pytest.mark.parametrize(
    ("sets", "seeds", "said"),
    [
        ({"train": ("grim",), "heldout": ("grim",)}, (0,), "unknown set of opponents 'heldout'"),
        ({"validation": ("grim",), "held-out": ("bully",)}, (0,), "train: expected opponents"),
        ({"train": ("grim",), "held-out": ()}, (0,), "held-out: expected opponents and starts"),
        ({"train": ("grim",), "held-out": ("bully",)}, (), "train, held-out: expected opponents"),
    ],
)
def test_what_would_prove_nothing_is_refused(sets, seeds, said):
    with pytest.raises(ValueError, match=said):
        check(marks(sets, "matrix", seeds))


def test_the_family_of_a_run_is_its_algorithm_game_and_partners(tmp_path):
    """Another seed of one training is of its family; other partners make another."""
    made = {
        "one": {"against": ["grim"], "config": {"seed": 0, "seeds": 1}},
        "seed": {"against": ["grim"], "config": {"seed": 7, "seeds": 1}},
        "other": {"against": ["bully"], "config": {"seed": 0, "seeds": 1}},
        "self": {"config": {"seed": 0, "seeds": 1}},
    }
    for name, row in made.items():
        (tmp_path / name).mkdir()
        learners = [{"name": "self", "members": 1, "seats": [0]}]
        whole = {"run_id": "0", "algorithm": "ppo", "env": "matrix:pd", "learners": learners} | row
        (tmp_path / name / "config.json").write_text(json.dumps(whole))
    of = {name: family(f"run:{tmp_path / name}#0", None) for name in made}
    assert of["one"] == of["seed"] == {"ppo in matrix:pd with grim"}
    assert len({of["one"], of["other"], of["self"]}) == 3


def test_starts_in_two_sets_are_told():
    found = marks(SETS["matrix"], "matrix", seeds=(0, 1))
    found["held-out"] = found["held-out"]._replace(starts=found["train"].starts)
    with pytest.raises(ValueError, match=r"train and held-out have start keys in common: 0, 1"):
        check(found)


LINE = (
    "train dqn --env matrix:pd,horizon=4 --lanes 12 --slots 8 --steps 1920 --widths 4 --replay 4096"
    " --start 96 --passes 1 --batch 8 --seat 0=self --json"
)


def trained(name: str, folder: Path, patch: pytest.MonkeyPatch) -> tuple[set[str], set[str]]:
    """Names of all who are in the buffer of a training against a set, and of all in its rows.

    A buffer keeps no numbers of opponents: they are written down as it is filled, with the moves,
    by which it is known again.
    """
    moves, ids = [], []

    def note(made: Any, who: Any) -> None:
        moves.append(np.asarray(made))
        ids.append(np.asarray(who))

    def told(scheme: Any, slots: Any, **more: Any) -> Any:
        jax.debug.callback(note, slots["actions"], slots["opponent_id"])
        return from_rollout(scheme, slots, **more)

    patch.setattr(dqn, "from_rollout", told)
    patch.setattr(verbs, "use_all_cores", lambda game="": None)
    assert cli.main(f"{LINE} --seat 1=pool:{name} --out {folder}".split()) == 0
    jax.effects_barrier()
    row = read_config(folder)
    found = checkpoints.latest(folder, row["run_id"], (checkpoints.BUFFER,), lambda text: None)
    assert found is not None
    (store,) = stores_of(found).values()
    kept = np.squeeze(np.asarray(store.slots["actions"]))  # [L, T, N], of one seed
    written = np.concatenate(moves, -2)
    whole = written.shape[-2]
    np.testing.assert_array_equal(kept[:, :whole], written.reshape(kept[:, :whole].shape))
    assert np.asarray(store.slots["filled"]).sum() == kept[:, :whole, 0].size
    columns: dict[str, Any] = {}
    for file in sorted((folder / "episodes.parquet").glob("*.parquet")):
        for column, x in read_rows(file).items():
            columns.setdefault(column, []).extend(np.asarray(x).tolist())
    rows = {i for column, x in columns.items() if column.startswith("opponent_id") for i in x}
    names = row["opponents"]
    return {names[i] for i in np.unique(np.concatenate(ids, -2))}, {names[i] for i in rows}


@pytest.mark.parametrize("name", ["train", "held-out"])
def test_what_a_training_keeps_is_of_its_set_alone(name, tmp_path, monkeypatch):
    """No episode of another set is in its buffer or its rows; one of held-out rules is caught."""
    buffer, rows = trained(name, tmp_path / "run", monkeypatch)
    assert "self" in buffer and buffer == rows
    others = buffer - {"self"}
    assert others == set(SETS["matrix"][name]), "all of six were met, nobody else"
    digests = {opponent_digest(text, "matrix") for text in others}
    kept_out = {
        opponent_digest(text, "matrix")
        for other, texts in SETS["matrix"].items()
        for text in texts
        if other != "train"
    }
    assert len(digests) == 6
    families_met = frozenset().union(*(family(text, "matrix") for text in others))
    held_out = frozenset().union(*(family(t, "matrix") for t in SETS["matrix"]["held-out"]))
    if name == "train":
        assert not digests & kept_out and not families_met & held_out
    else:
        assert digests <= kept_out and families_met <= held_out


def test_one_rule_has_one_digest_however_it_is_written():
    assert opponent_digest("grim", "matrix") == opponent_digest("grim:tremble=0.05", "matrix")
    assert opponent_digest("grim", "matrix") != opponent_digest("grim:tremble=.1", "matrix")


def test_a_file_is_told_by_what_it_says(tmp_path):
    for name, text in (("a", "class One: ..."), ("b", "class One: ..."), ("c", "class One: 1")):
        (tmp_path / f"{name}.py").write_text(text)
    one, copy, other = (opponent_digest(f"{tmp_path}/{n}.py:One", None) for n in "abc")
    assert one == copy != other
    assert opponent_digest(f"{tmp_path}/a.py:Two", None) != one
