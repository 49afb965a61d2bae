"""Run folders: never shared, never part written, loaded to the bit or refused in words."""

import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest
from safetensors.numpy import load_file

from counterplay import envs, runs
from counterplay.algos import ppo
from counterplay.runs import checkpoints, disk, folder

make: Any = envs.make
HUNT, PD = "stag_hunt:4x4", "matrix:pd,horizon=4"
TINY = ppo.Config(widths=(8,), seeds=2)
EVERYONE = [{"name": "self", "members": 1, "seats": [0, 1, 2, 3]}]
BOTH_ALONE = [{"name": "own", "members": 2, "seats": [0, 1]}]


def fresh(config: ppo.Config, env: Any, kinds: list[dict], seed: int = 0) -> tuple:
    """Networks as a training yields them: one entry a kind, leaves [seeds, members, ...]."""
    one = lambda kind, key: ppo.init_learner(config, env, kind["members"], key).net
    keys = jr.split(jr.key(seed), (len(kinds), config.seeds))
    return tuple(
        jax.vmap(lambda k, kind=kind: one(kind, k))(ks)
        for kind, ks in zip(kinds, keys, strict=True)
    )


def save(
    folder: Path, game: str, kinds: list[dict], config: ppo.Config = TINY, nets: Any = None
) -> tuple:
    folder.mkdir(exist_ok=True)
    nets = fresh(config, make(game), kinds) if nets is None else nets
    runs.save_config(folder, "ppo", game, kinds, config)
    runs.save_policy(folder, nets)
    return nets


def policy_of(folder: Path) -> Path:
    """The networks in the latest checkpoint of a run."""
    path, *_ = sorted((folder / "checkpoints").iterdir(), reverse=True)
    return path / "policy.safetensors"


@pytest.fixture
def hunt(tmp_path):
    save(tmp_path / "hunt", HUNT, EVERYONE)
    return tmp_path / "hunt"


def test_folders_made_in_the_same_instant_are_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "20261124-120000")
    made = [runs.new_folder(None, "ppo-matrix") for _ in range(1000)]
    assert len({path.resolve() for path in made}) == 1000
    assert all(path.is_dir() and path.parent == Path("runs") for path in made)
    assert all(path.name.startswith("ppo-matrix-20261124-120000-") for path in made)


def test_a_folder_that_exists_by_chance_is_not_taken_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "now")
    monkeypatch.setattr(folder.secrets, "token_hex", lambda size: "same")
    runs.new_folder(None, "ppo")
    with pytest.raises(ValueError, match="runs/ppo-now-same: a run is there already"):
        runs.new_folder(None, "ppo")


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_a_run_that_is_there_is_refused_and_left_as_it_is(hunt):
    (hunt / "metrics.jsonl").write_text('{"steps": 1}\n')
    before = contents(hunt)
    with pytest.raises(ValueError, match=f"--out {hunt}: a run is there already; choose another"):
        runs.new_folder(str(hunt), "ppo")
    (hunt / "metrics.jsonl").unlink()
    with pytest.raises(ValueError, match="a run is there already"):
        runs.new_folder(str(hunt), "ppo")
    del before["metrics.jsonl"]
    assert contents(hunt) == before


def test_of_two_that_begin_at_once_one_gets_the_folder(tmp_path):
    out = str(tmp_path / "deep" / "mine")
    assert runs.new_folder(out, "ppo").is_dir()
    with pytest.raises(ValueError, match="a run is there already"):
        runs.new_folder(out, "ppo")  # before the first has written its settings


def test_an_empty_folder_may_be_used_and_a_file_or_nothing_may_not(tmp_path):
    (tmp_path / "empty").mkdir()
    assert runs.new_folder(str(tmp_path / "empty"), "ppo") == tmp_path / "empty"
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/below"):
        with pytest.raises(ValueError, match=f"cannot make the run folder .*{out}: "):
            runs.new_folder(str(tmp_path / out), "ppo")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ValueError, match="--out wants the name of a folder"):
        runs.new_folder(" ", "ppo")


def test_settings_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    disk.write_whole(path, "old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        disk.write_whole(path, "new")
    assert path.read_text() == "old"


def test_parameters_come_back_to_the_bit(tmp_path):
    config = ppo.Config(widths=(5, 3), gru=4, seeds=2)
    odd = np.array([-0.0, 1e-45, np.nan, np.inf, 1 / 3], np.float32)

    def spoil(x):
        return np.resize(odd, x.shape) if x.ndim == 3 else np.asarray(x)

    nets = jax.tree.map(spoil, fresh(config, make(PD), BOTH_ALONE))
    save(tmp_path, PD, BOTH_ALONE, config, nets)
    found = runs.load_nets(tmp_path, runs.read_config(tmp_path), make(PD))
    assert jax.tree.structure(found) == jax.tree.structure(nets)
    for was, now in zip(jax.tree.leaves(nets), jax.tree.leaves(found), strict=True):
        assert was.dtype == now.dtype and was.tobytes() == np.asarray(now).tobytes()


def test_a_checkpoint_holds_numbers_and_nothing_to_execute(hunt):
    data = policy_of(hunt).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    assert header and {entry["dtype"] for entry in header.values()} == {"F32"}
    spans = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    assert [0, *(stop for _, stop in spans[:-1])] == [start for start, _ in spans]
    assert 8 + size + spans[-1][1] == len(data), "nothing but the arrays follows the header"
    assert all(4 * np.prod(e["shape"]) == -np.subtract(*e["data_offsets"]) for e in header.values())
    assert {path.name for path in hunt.iterdir()} == {"config.json", "checkpoints"}
    inside = {"manifest.json", "policy.safetensors", "state.safetensors"}
    assert {path.name for path in policy_of(hunt).parent.iterdir()} == inside


DAMAGE: dict[str, tuple[Any, str]] = {
    "missing": (None, "cannot read .*policy.safetensors: No such file"),
    "empty": (lambda data: b"", r"policy.safetensors is damaged: \d+ bytes written, 0 there"),
    "junk": (lambda data: b"no arrays in here", r"is damaged: \d+ bytes written, 17 there"),
    "cut": (lambda data: data[:-5], "policy.safetensors is damaged: "),
    "longer": (lambda data: data + b"more", "policy.safetensors is damaged: "),
    "header": (lambda data: data[:9] + b"#" + data[10:], "damaged: its SHA-256 is not that of"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_refused(damage, hunt):
    change, sentence = DAMAGE[damage]
    path = policy_of(hunt)
    data = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(data))
    with pytest.raises(ValueError, match=f"{hunt} has no whole checkpoint: .*{sentence}"):
        runs.load(hunt)


def test_an_array_that_is_missing_or_of_another_shape_is_named(hunt):
    path = policy_of(hunt)
    arrays = load_file(path)
    name = next(name for name in arrays if name.endswith("policy/weight"))
    rows = arrays[name].shape
    assert rows == (2, 1, 8, 7)
    about = {"run_id": runs.read_config(hunt)["run_id"], "steps": 0}
    for other, found in (
        (arrays[name][:, :, :5], r"found float32\[2, 1, 5, 7\]"),
        (arrays[name].astype(np.float16), r"found float16\[2, 1, 8, 7\]"),
        (None, "found nothing"),
    ):
        rest = {key: value for key, value in arrays.items() if key != name}
        checkpoints.save(hunt, rest | ({} if other is None else {name: other}), {}, about)
        with pytest.raises(
            ValueError, match=rf"{path}: {name} should be float32\[2, 1, 8, 7\].*{found}"
        ):
            runs.load(hunt)


def test_a_run_does_not_play_another_game(hunt):
    with pytest.raises(ValueError) as refused:
        runs.load_policy(str(hunt), make(PD), 0)
    assert (
        f"{hunt}: trained on {HUNT} (observations of 113 numbers, 7 actions), asked to play "
        "Matrix(" in str(refused.value)
    )
    assert str(refused.value).endswith("(observations of 7 numbers, 2 actions)")
    with pytest.raises(ValueError, match=r"113 numbers, 7 actions.* play StagHunt.* 449 numbers"):
        runs.load_policy(str(hunt), make("stag_hunt:8x8"), 0)


def edit(**changes: Any) -> Any:
    return lambda row: json.dumps({k: v for k, v in (row | changes).items() if v is not None})


BROKEN: dict[str, tuple[Any, str]] = {
    "cut": (lambda row: json.dumps(row)[:30], "is damaged: "),
    "list": (lambda row: "[]", "is damaged: "),
    "no game": (edit(env=None), "is damaged: 'env' is missing"),
    "no algorithm": (edit(algorithm=None), "is damaged: 'algorithm' is missing"),
    "no learners": (edit(learners=None), "is damaged: 'learners' is missing"),
    "nobody learns": (edit(learners=[]), "is damaged: it says nothing of seeds or learners"),
    "no settings": (edit(config=None), "is damaged: 'config' is missing"),
    "no seeds": (edit(config={}), "is damaged: it says nothing of seeds or learners"),
    "game is a number": (edit(env=3), "is damaged: expected a name, found 3"),
    "no members": (edit(learners=[{"name": "x", "seats": [0]}]), "'members' is missing"),
    "odd seats": (
        edit(learners=[{"name": "x", "members": 1, "seats": ["0"]}]),
        "expected a whole number, found '0'",
    ),
    "unknown game": (edit(env="stag_hnt"), "unknown game 'stag_hnt' .did you mean 'stag_hunt'"),
    "unknown algorithm": (edit(algorithm="pp0"), "unknown algorithm 'pp0'"),
    "unknown setting": (edit(config={"seeds": 1, "hidden": 2}), r"unknown settings \['hidden'\]"),
    "wrong setting": (edit(config={"seeds": 1, "widths": 8}), "settings of the wrong kind"),
    "refused setting": (edit(config={"seeds": 0}), "seeds must be at least 1, found 0"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_damaged_settings_are_refused(damage, hunt):
    change, sentence = BROKEN[damage]
    path = hunt / "config.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(ValueError, match=sentence):
        runs.load(hunt)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=rf"{tmp_path} is no run folder: expected .*config.json"):
        runs.load(tmp_path)
    with pytest.raises(ValueError, match="run: wants a run folder"):
        runs.load("")


def first_weights(policy: Any) -> np.ndarray:
    return np.asarray(policy.net.policy.weight)


def test_every_seed_and_every_seat_has_its_own_network(tmp_path):
    (nets,) = save(tmp_path, PD, BOTH_ALONE)
    env, weights = make(PD), np.asarray(nets.policy.weight)
    assert weights.shape == (2, 2, 8, 2) and len(np.unique(weights)) == weights.size
    for seed in (0, 1):
        for seat in (0, 1):
            policy = runs.load_policy(f"{tmp_path}#{seed}", env, seat)
            assert np.array_equal(first_weights(policy), weights[seed, seat])
    player = runs.load(f"{tmp_path}#1", seat=1)
    assert np.array_equal(first_weights(player.policy), weights[1, 1])
    with pytest.raises(ValueError, match="#2: the run has seeds 0 to 1"):
        runs.load(f"{tmp_path}#2")
    with pytest.raises(ValueError, match="after # goes the index of a seed, found 'one'"):
        runs.load(f"{tmp_path}#one")


def test_one_learner_plays_at_any_seat_and_several_only_at_their_own(tmp_path):
    one = {"name": "self", "members": 1, "seats": [2]}
    several = {"name": "own", "members": 2, "seats": [0, 3]}
    env = make(HUNT)
    save(tmp_path / "one", HUNT, [one])
    assert runs.load_policy(f"{tmp_path}/one", env, 0)
    own, shared = save(tmp_path / "both", HUNT, [several, one])
    for seat, net in ((0, own.policy.weight[0, 0]), (3, own.policy.weight[0, 1])):
        assert np.array_equal(first_weights(runs.load_policy(f"{tmp_path}/both", env, seat)), net)
    found = first_weights(runs.load_policy(f"{tmp_path}/both", env, 2))
    assert np.array_equal(found, shared.policy.weight[0, 0])
    with pytest.raises(ValueError, match="no learner of this run sat at seat 1"):
        runs.load_policy(f"{tmp_path}/both", env, 1)
    save(tmp_path / "own", HUNT, [several])
    with pytest.raises(ValueError, match=r"trained at seats \[0, 3\], has nobody for seat 1"):
        runs.load_policy(f"{tmp_path}/own", env, 1)
