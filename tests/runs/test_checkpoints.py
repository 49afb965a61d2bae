"""Checkpoints: every damaged bit is noticed, and what was whole before is used instead."""

import shutil
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from saved import RUN_ID, body_of, reseal, save, state_of

from counterplay.bench import faults
from counterplay.runs import checkpoints
from counterplay.runs.checkpoints import BUFFER, MANIFEST, POLICY, STATE, filled

FILES = (POLICY, STATE, BUFFER)


def whole(path: Any) -> Any:
    return checkpoints.open_checkpoint(path, RUN_ID, FILES)


@pytest.fixture
def run(tmp_path):
    """Three checkpoints, and what is said of them."""
    for steps in (128, 256, 384):
        save(tmp_path, steps)
    return tmp_path


def test_arrays_of_every_type_come_back_to_the_bit(run):
    found = checkpoints.arrays_of(whole(checkpoints.folder_of(run, 384)), STATE)
    wanted = state_of(384)
    assert found.keys() == wanted.keys()
    for name, was in wanted.items():
        assert (found[name].dtype, found[name].shape) == (was.dtype, was.shape), name
        assert found[name].tobytes() == was.tobytes(), name
    assert body_of(checkpoints.folder_of(run, 384))["state_sha256"] == checkpoints.digest(found)


def test_trees_come_back_with_their_keys(run):
    tree = {"keys": jr.split(jr.key(3), 2), "deep": [(np.int8(3),), {"x": np.zeros((0, 2))}]}
    tree = jax.tree.map(jax.numpy.asarray, tree)
    path = checkpoints.save(run, {}, checkpoints.named(tree), {"run_id": RUN_ID, "steps": 9}).path
    back = filled(jax.eval_shape(lambda: tree), checkpoints.arrays_of(whole(path), STATE), "here")
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert jr.key_data(back["keys"]).tolist() == jr.key_data(tree["keys"]).tolist()
    assert jr.uniform(back["keys"][1]) == jr.uniform(tree["keys"][1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": None}, r"here: steps should be float32\[\], found nothing"),
        ({"ids": np.zeros(4, np.int16)}, r"ids should be int16\[5\], found int16\[4\]"),
        ({"ids": np.zeros(5, np.int32)}, r"ids should be int16\[5\], found int32\[5\]"),
        ({"count": np.zeros(1, np.int32)}, r"count should be int32\[\], found int32\[1\]"),
    ],
)
def test_what_does_not_fit_is_named(change, sentence):
    arrays = {k: v for k, v in (state_of() | change).items() if v is not None}
    with pytest.raises(ValueError, match=sentence):
        filled(state_of(), arrays, "here")


def test_a_digest_depends_on_names_types_shapes_and_bytes():
    x = np.arange(4, dtype=np.int32)
    others = [
        {"a": x},
        {"b": x},
        {"a": x.view(np.uint32)},
        {"a": x.reshape(2, 2)},
        {"a": x.reshape(4, 1)},
        {"a": x + 1},
        {"a": np.asarray(x[1])},
        {"a": x[1:2]},
        {"a": x[:3]},
        {"a": x, "c": x[:0]},
        {"a": np.array([0.0, 1], np.float32)},
        {"a": np.array([-0.0, 1], np.float32)},
        {},
    ]
    assert len({checkpoints.digest(arrays) for arrays in others}) == len(others)
    assert checkpoints.digest({"a": x, "c": x}) == checkpoints.digest({"c": x, "a": x.copy()})
    turned = np.asfortranarray(x.reshape(2, 2))
    assert checkpoints.digest({"a": turned}) == checkpoints.digest({"a": x.reshape(2, 2)})


def test_every_cut_is_noticed(run):
    """The manifest at every place, other files at a hundred."""
    path = checkpoints.folder_of(run, 384)
    made, found = faults.cut(path, RUN_ID, 100, seed=1)
    assert made == found == 100 + len((path / MANIFEST).read_bytes())
    assert whole(path), "and all is as it was"


def test_every_flipped_bit_is_noticed(run):
    path = checkpoints.folder_of(run, 384)
    assert faults.flipped(path, RUN_ID, 200, seed=2) == 200
    data = (path / MANIFEST).read_bytes()
    assert data.endswith(b"}\n") and b'\n "' in data
    for place in (len(data) - 1, data.index(b"\n "), data.index(b"\n ") + 1):  # blanks, too
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with faults.changed(path / MANIFEST, bytes(changed)):
                assert faults.noticed(path, RUN_ID), (place, bit)


@pytest.mark.parametrize("name", [MANIFEST, POLICY, STATE, BUFFER])
def test_a_missing_file_is_noticed(name, run):
    path = checkpoints.folder_of(run, 384)
    (path / name).unlink()
    with pytest.raises(ValueError, match=f"{path / name}.*No such file"):
        whole(path)


@pytest.mark.parametrize("name", [MANIFEST, POLICY, STATE, BUFFER])
def test_a_file_of_another_checkpoint_is_noticed(name, run):
    path = checkpoints.folder_of(run, 384)
    shutil.copy(checkpoints.folder_of(run, 256) / name, path / name)
    with pytest.raises(ValueError, match=r"384.*(is damaged|and was moved here)"):
        whole(path)


def test_a_checkpoint_of_another_run_or_step_is_noticed(run, tmp_path_factory):
    other = save(tmp_path_factory.mktemp("other"), 512, run_id="b" * 32)
    shutil.copytree(other, checkpoints.folder_of(run, 512))
    with pytest.raises(ValueError, match=f"is of step 512 of the run {'b' * 32}, and was moved"):
        whole(checkpoints.folder_of(run, 512))
    renamed = checkpoints.folder_of(run, 640)
    checkpoints.folder_of(run, 384).rename(renamed)
    with pytest.raises(ValueError, match=r"000000000640 is of step 384 of the run a{32}, and was"):
        whole(renamed)


def test_a_manifest_that_names_other_files_is_noticed(run):
    path = checkpoints.folder_of(run, 384)
    body = body_of(path)
    body["files"][STATE]["bytes"] += 1
    reseal(path, body)
    with pytest.raises(ValueError, match=f"{path / STATE} is damaged: "):
        whole(path)


def test_the_one_before_is_used_and_the_reason_told_once(run):
    told: list[str] = []
    (checkpoints.folder_of(run, 384) / STATE).write_bytes(b"")
    found = checkpoints.latest(run, RUN_ID, FILES, told.append)
    assert found is not None and found.steps == 256
    (said,) = told
    assert f"{STATE} is damaged: " in said and said.endswith(
        "using the checkpoint of step 256 instead"
    )
    told.clear()
    found = checkpoints.latest(run, RUN_ID, (POLICY,), told.append)
    assert found is not None and found.steps == 384 and not told, "it can still play"
    for steps in (128, 256, 384):
        (checkpoints.folder_of(run, steps) / MANIFEST).write_bytes(b"{}\n")
    with pytest.raises(ValueError, match=f"{run} has no whole checkpoint: .*384.*; .*256.*; .*128"):
        checkpoints.latest(run, RUN_ID, FILES, told.append)
    assert checkpoints.latest(run / "nothing", RUN_ID, FILES, told.append) is None


def test_a_step_is_found_or_those_there_are_named(run):
    assert checkpoints.at_step(run, RUN_ID, 256, FILES).steps == 256
    with pytest.raises(ValueError, match="no checkpoint of step 200; there are: 128, 256, 384"):
        checkpoints.at_step(run, RUN_ID, 200, FILES)
    with pytest.raises(ValueError, match="no checkpoint of step 200; there are: none"):
        checkpoints.at_step(run / "nothing", RUN_ID, 200, FILES)


def steps_left(run: Any, *settings: Any) -> list[int]:
    checkpoints.prune(run, *settings)
    assert not list((run / "checkpoints").glob(".*"))
    return checkpoints.steps_of(run)[::-1]


def test_the_latest_stay_and_those_that_pass_a_mark(tmp_path):
    for steps in range(100, 1300, 100):
        save(tmp_path, steps)
    assert steps_left(tmp_path, 12) == list(range(100, 1300, 100))
    assert steps_left(tmp_path, 3, 250) == [300, 500, 800, 1000, 1100, 1200]
    assert steps_left(tmp_path, 3, 250) == [300, 500, 800, 1000, 1100, 1200], "once and for all"
    assert steps_left(tmp_path, 1) == [1200]


def test_damaged_ones_of_later_steps_do_not_push_out_whole_ones(run):
    """After falling back to an earlier one, what is saved next is not at once removed again."""
    for steps in (256, 384):
        (checkpoints.folder_of(run, steps) / STATE).write_bytes(b"")
    save(run, 200)
    assert steps_left(run, 1, None, 200) == [200, 256, 384]
    assert whole(checkpoints.folder_of(run, 200))
    save(run, 384)
    assert steps_left(run, 1, None, 384) == [384]
    assert whole(checkpoints.folder_of(run, 384))
