"""Episodes in files: they come back to the bit, and what is damaged or foreign is named."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import SCHEME, Stream

from counterplay.episodes import EpisodeBatch, Field, Scheme
from counterplay.episodes.batch import Where, align
from counterplay.episodes.export import joined
from counterplay.episodes.files import read_noted, write_rows
from counterplay.episodes.npz import read_npz, write_npz
from counterplay.episodes.parquet import read_parquet, write_parquet
from counterplay.episodes.scheme_text import STORED, difference, scheme_of, text_of

WAYS = {".parquet": (write_parquet, read_parquet), ".npz": (write_npz, read_npz)}
ALL = Scheme(
    {name: Field((2,), np.dtype(name).type, "agents") for name in STORED}
    | {"nothing": Field((0,), np.float32), "image": Field((2, 3), np.uint8)}
    | {"file": Field((), np.int8), "who": Field((2, 0), np.int8, constant=True)}
    | {"matchup": Field((), np.int32, constant=True, fill=-1)},
    {"agents": 3},
)


def batch_of(stream: Stream, slots: int) -> EpisodeBatch:
    """The episodes of a stream, padded by hand."""
    whole = [e for e in stream.episodes if e.length <= slots]
    rows, data, constants = len(whole), {}, {}
    for name in (*SCHEME.slotwise, "time"):
        field = SCHEME.fields.get(name)
        shape = SCHEME.shape(name) if field else ()
        source = {**stream.slots, "time": stream.time}.get(name)
        data[name] = np.zeros((rows, slots, *shape), field.dtype if field else np.int32)
        for i, e in enumerate(whole):
            here = -1 if source is None else source[e.lane, e.start : e.stop]
            data[name][i, : e.length] = here
    for name in SCHEME.constants:
        last = [stream.slots[name][e.lane, e.stop - 1] for e in whole]
        shape = (rows, *SCHEME.shape(name))
        constants[name] = np.array(last).reshape(shape).astype(SCHEME.fields[name].dtype)
    length = np.array([e.length for e in whole], np.int32)
    left = data["left"]
    left_at = np.where(left.any(1), left.argmax(1), -1).astype(np.int32)
    return made(data, constants, length, left_at, SCHEME)


def made(data, constants, length, left_at, scheme) -> EpisodeBatch:
    slots = data["time"].shape[1]
    lot = jnp.asarray(np.zeros(len(length), np.int32))
    return EpisodeBatch(
        {name: jnp.asarray(x) for name, x in data.items()},
        {name: jnp.asarray(x) for name, x in constants.items()},
        jnp.asarray(np.arange(slots) < np.array(length, np.int32).reshape(-1, 1)),
        jnp.asarray(left_at),
        Where(lot, lot),
        scheme,
    )


def random_batch(seed: int, length: list[int], slots: int) -> EpisodeBatch:
    """Any bits there are, in every type there is."""
    draw, rows = np.random.default_rng(seed), len(length)
    inside = np.arange(slots)[None] < np.array(length, int).reshape(-1, 1)

    def bits(name: str, lead: tuple[int, ...]) -> np.ndarray:
        dtype, shape = np.dtype(ALL.fields[name].dtype), (*lead, *ALL.shape(name))
        if dtype.kind == "b":
            return draw.random(shape) < 0.5
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(draw.bytes(size), dtype).reshape(shape).copy()

    data = {name: bits(name, (rows, slots)) for name in ALL.slotwise}
    data["time"] = np.tile(np.arange(slots, dtype=np.int32), (rows, 1)) + 2
    for array in data.values():
        array[~inside] = 0
    constants = {name: bits(name, (rows,)) for name in ALL.constants}
    left_at = draw.integers(-1, 5, (rows, 3)).astype(np.int32)
    return made(data, constants, length, left_at, ALL)


def same(one: EpisodeBatch, other: EpisodeBatch) -> None:
    """To the bit, NaNs included."""
    assert one.scheme == other.scheme
    pairs = [(one.filled, other.filled), (one.left_at, other.left_at)]
    for a, b in ((one.data, other.data), (one.constants, other.constants)):
        assert a.keys() == b.keys()
        pairs += [(a[name], b[name]) for name in a]
    for a, b in pairs:
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("end", WAYS)
@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.lists(st.integers(1, 6), max_size=5),
    spare=st.integers(0, 3),
)
def test_any_numbers_come_back_to_the_bit(end, tmp_path_factory, seed, length, spare):
    path = tmp_path_factory.getbasetemp() / f"any{end}"
    write, read = WAYS[end]
    batch = random_batch(seed, length, max(length, default=1) + spare)
    write(path, batch)
    same(read(path), batch)


@pytest.mark.parametrize("end", WAYS)
def test_episodes_of_a_stream_come_back(end, tmp_path):
    batch = batch_of(Stream(3, 3, 60, 6), 9)
    write, read = WAYS[end]
    write(tmp_path / f"all{end}", batch)
    same(read(tmp_path / f"all{end}"), batch)
    assert [*tmp_path.iterdir()] == [tmp_path / f"all{end}"]
    onehot = read(tmp_path / f"all{end}")["actions_onehot"]
    assert np.array_equal(onehot, batch["actions_onehot"])


def test_the_two_forms_are_those_that_are_promised(tmp_path):
    batch = batch_of(Stream(3, 3, 60, 6), 9)
    write_npz(tmp_path / "all.npz", batch)
    with np.load(tmp_path / "all.npz") as found:  # nothing in it needs pickle
        assert (found["filled"].shape, found["filled"].dtype) == ((len(batch.length), 9, 1), "i8")
        assert found["obs"].shape == (len(batch.length), 9, 3, 2)
        assert not found["obs"][found["filled"][:, :, 0] == 0].any()
        assert found["matchup"].shape == (len(batch.length),)
        assert json.loads(str(found["scheme"])) == json.loads(text_of(SCHEME))
    write_parquet(tmp_path / "all.parquet", batch)
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.num_rows == int(batch.length.sum())
    assert str(table.schema.field("obs").type) == "fixed_size_list<element: int32>[6]"
    rows = np.repeat(np.arange(len(batch.length)), batch.length)
    assert np.array_equal(table["episode"].to_numpy(), rows)
    assert np.array_equal(table["matchup"].to_numpy(), np.asarray(batch["matchup"])[rows])
    assert b"fields" in table.schema.metadata[b"counterplay_scheme"]


def test_rows_without_a_slot_and_what_stands_outside_episodes_are_left_out(tmp_path):
    batch = random_batch(0, [3, 0, 2], 4)
    dirty = {name: jnp.full_like(x, 1) for name, x in batch.data.items()}
    inside = batch.filled
    keep = lambda x: inside.reshape(inside.shape + (1,) * (x.ndim - 2))
    dirty = {n: jnp.where(keep(x), x, dirty[n]) for n, x in batch.data.items()}
    for end, (write, read) in WAYS.items():
        write(tmp_path / f"a{end}", EpisodeBatch(dirty, batch.constants, batch.filled,
              batch.left_at, batch.where, batch.scheme))  # fmt: skip
        same(read(tmp_path / f"a{end}"), batch[[0, 2]])


def test_exports_are_copies(tmp_path):
    from counterplay.episodes.export import exported

    batch = batch_of(Stream(3, 3, 60, 6), 9)
    export = exported(batch)
    obs = export.data["obs"]
    assert obs.ctypes.data != batch.data["obs"].unsafe_buffer_pointer()
    before = obs.copy()
    batch.data["obs"].delete()
    assert np.array_equal(obs, before)


def test_batches_that_are_not_as_their_scheme_says_are_refused(tmp_path):
    batch = batch_of(Stream(3, 3, 60, 6), 9)
    apart = [batch.segments(agent) for agent in range(2)]
    same(joined([batch[:2], batch[2:]]), batch)
    for end, (write, read) in WAYS.items():
        with pytest.raises(ValueError, match="these episodes: unknown field of their scheme 'pres"):
            write(tmp_path / f"a{end}", align(apart))
        with pytest.raises(ValueError, match="a gap in filled"):
            gap = EpisodeBatch(batch.data, batch.constants, batch.filled.at[:, 0].set(False),
                               batch.left_at, batch.where, SCHEME)  # fmt: skip
            write(tmp_path / f"a{end}", gap)
        write(tmp_path / f"s{end}", apart[0])
        came = apart[0].length > 0
        assert np.array_equal(read(tmp_path / f"s{end}").length, apart[0].length[came])
        assert not (tmp_path / f"a{end}").exists()


def test_a_scheme_is_told_in_text():
    assert scheme_of(text_of(ALL), "here") == ALL
    assert scheme_of(text_of(SCHEME), "here") == SCHEME
    for text, says in {
        "": "its scheme should be JSON",
        "[]": "its scheme should be JSON",
        '{"fields": {}, "groups": {}}': "'views' is missing",
        text_of(SCHEME).replace("int16", "object"): "type of field 'opponent_id' should be one of",
        text_of(SCHEME).replace('"agents": 3', '"agents": -3'): "whole numbers, found -3",
    }.items():
        with pytest.raises(ValueError, match=re.escape(says)) as error:
            scheme_of(text, "here")
        assert str(error.value).startswith("here: ")


def test_the_field_in_which_schemes_differ_is_named():
    assert difference(SCHEME, SCHEME) is None
    less = SCHEME.only(*(name for name in SCHEME.fields if name != "label"))
    assert difference(SCHEME, less) is None, "the store fills it"
    told = difference(less, SCHEME)
    assert told == "field 'label': expected no such field, found int8[3] of agents"
    more = Scheme({**SCHEME.fields, "obs": Field((3,), np.int32, "agents")}, SCHEME.groups)
    told = difference(SCHEME, more)
    assert told == "field 'obs': expected int32[3, 2] of agents, found int32[3, 3] of agents"


def npz_with(path: Path, changes: dict) -> Path:
    write_npz(path, batch_of(Stream(3, 3, 60, 6), 9))
    with np.load(path) as whole:
        arrays = {name: whole[name] for name in whole.files} | changes
    np.savez(path, **{name: x for name, x in arrays.items() if x is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"filled": None}, "expected an array 'filled'"),
        ({"filled": np.ones((3, 3, 3, 3))}, "'filled' should be numbers [B, T, 1], found float64"),
        ({"reward": None}, "field 'reward' should be float32["),
        ({"reward": np.zeros(3)}, ", 9, 3], found float64[3]"),
        ({"extra": np.zeros(3)}, "unknown field of their scheme 'extra'"),
        ({"left_at": np.zeros(3)}, "'left_at' should be int32["),
        ({"scheme": np.zeros(3)}, "'scheme' should be text, found float64[3]"),
        ({"scheme": np.array("{}")}, "its scheme should be JSON as this library writes it, found"),
        ({"obs": np.array([{}], object)}, "Object arrays cannot be loaded when allow_pickle=False"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changes, says, tmp_path):
    path = npz_with(tmp_path / "a.npz", changes)
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        read_npz(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("reward", lambda x: None, "column 'reward' should be float32["),
        ("reward", lambda x: x.astype(np.float64), ", 3], found float64["),
        ("obs", lambda x: x[:, :5], ", 6], found int32["),
        ("more", lambda x: x, "found ['more'] besides"),
        ("episode", lambda x: x[::-1].copy(), "column 'episode' should count 0, 1, 2 and so on"),
        ("time", lambda x: np.sort(x), "column 'time' should go up by one"),
        ("label", lambda x: ["text"] * len(x), "column 'label' should hold a number"),
        ("time", lambda x: [None, *x[1:].tolist()], "in every row; found 1 missing"),
    ],
)
def test_columns_that_do_not_fit_are_named(name, change, says, tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, batch_of(Stream(3, 3, 60, 6), 9))
    columns, notes = read_noted(path)
    changed = change(columns.get(name, columns["episode"]))
    columns = {k: x for k, x in {**columns, name: changed}.items() if x is not None}
    write_rows(path, columns, notes)
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        read_parquet(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("note", "text", "says"),
    [
        ("counterplay_scheme", None, "expected a note 'counterplay_scheme', found"),
        ("counterplay_scheme", "{}", "its scheme should be JSON"),
        ("counterplay_slots", "-1", "note 'counterplay_slots' should be a number, found '-1'"),
        ("counterplay_slots", "2", "expected at most 2 slots an episode, found"),
        ("counterplay_agents", "2", "column 'left_at' should be int32["),
    ],
)
def test_notes_that_do_not_fit_are_named(note, text, says, tmp_path):
    path = tmp_path / "a.parquet"
    write_parquet(path, batch_of(Stream(3, 3, 60, 6), 9))
    columns, notes = read_noted(path)
    write_rows(path, columns, {k: x for k, x in {**notes, note: text}.items() if x is not None})
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        read_parquet(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("end", WAYS)
def test_damaged_files_are_a_value_error_or_as_they_were(end, tmp_path):
    """Cut anywhere, or with a byte changed: never another kind of error, and never a crash."""
    write, read = WAYS[end]
    batch, path = batch_of(Stream(3, 2, 30, 6), 7), tmp_path / f"a{end}"
    write(path, batch)
    whole, draw, harmless = path.read_bytes(), np.random.default_rng(0), 0
    for cut in draw.integers(0, len(whole), 60):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read(path)
    for place in draw.integers(0, len(whole), 150):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        path.write_bytes(bytes(changed))
        try:
            same(read(path), batch)
            harmless += 1
        except ValueError as error:
            assert str(path) in str(error)
    assert harmless < 75, "dates, statistics and other places that nobody reads"
    with pytest.raises(ValueError, match="No such file"):
        read(tmp_path / f"nowhere{end}")


def test_files_of_others_are_read_with_a_scheme_of_their_own(tmp_path):
    """As PyMARL keeps its batches: every field with an axis more, counts as int64."""
    draw, lead = np.random.default_rng(0), (4, 6)
    length = np.array([6, 2, 0, 3])
    filled = (np.arange(6)[None] < length[:, None]).astype(np.int64)[:, :, None]
    arrays = {
        "obs": draw.random((*lead, 2, 5)).astype(np.float32),
        "actions": draw.integers(0, 3, (*lead, 2, 1)),
        "avail_actions": draw.integers(0, 2, (*lead, 2, 3)).astype(np.int32),
        "state": draw.random((*lead, 7)),
        "reward": draw.random((*lead, 1)).astype(np.float32),
        "terminated": (np.arange(6)[None] == length[:, None] - 1).astype(np.uint8)[:, :, None],
        "seed": np.arange(4),
    }
    np.savez(tmp_path / "theirs.npz", filled=filled, **arrays)
    batch = read_npz(tmp_path / "theirs.npz")
    some = length > 0
    assert batch.length.tolist() == [6, 2, 3]
    assert batch.scheme.groups == {"agents": 2}
    assert batch.scheme.fields["actions"] == Field((1,), np.int32, "agents")
    assert batch.scheme.fields["terminated"] == Field((), np.bool_)
    assert batch.scheme.fields["seed"] == Field((), np.int32, constant=True)
    inside = filled[some][:, :, 0] != 0
    for name, array in arrays.items():
        found, wanted = np.asarray(batch[name]), array[some]
        if name == "seed":
            assert found.tolist() == [0, 1, 3]
            continue
        assert np.array_equal(
            found[inside], wanted.reshape(found.shape)[inside].astype(found.dtype)
        )
        assert not found[~inside].any()
    assert batch["time"][0].tolist() == [*range(6)]
    for end, (write, read) in WAYS.items():
        write(tmp_path / f"a{end}", batch)
        same(read(tmp_path / f"a{end}"), batch)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"obs": np.zeros((3, 4, 2))}, "field 'obs' should be [2, 4, '...'] as 'filled' is, or"),
        ({"obs": np.zeros((2, 4), complex)}, "should be numbers or truths, found complex128[2, 4]"),
        ({"seed": np.array([1, 2**40])}, "should fit into int32, found 1 to 1099511627776"),
        ({"filled": np.array([[0, 1, 1, 1], [1, 1, 0, 1]])}, "found a gap in row 0"),
    ],
)
def test_what_others_wrote_and_cannot_be_read_is_named(arrays, says, tmp_path):
    np.savez(tmp_path / "a.npz", **{"filled": np.ones((2, 4, 1)), **arrays})
    with pytest.raises(ValueError, match=re.escape(says)):
        read_npz(tmp_path / "a.npz")


def test_names_that_a_file_keeps_to_itself_are_refused(tmp_path):
    for end, name in ((".npz", "scheme"), (".parquet", "episode"), (".npz", "left_at")):
        scheme = Scheme({name: Field()})
        data = {name: np.zeros((1, 2), np.float32), "time": np.arange(2, dtype=np.int32)[None]}
        batch = made(data, {}, [2], np.zeros((1, 0), np.int32), scheme)
        with pytest.raises(ValueError, match=f"field '{name}': the file has"):
            WAYS[end][0](tmp_path / f"a{end}", batch)


def test_zip_members_are_what_numpy_itself_writes(tmp_path):
    write_npz(tmp_path / "a.npz", batch_of(Stream(3, 3, 60, 6), 9))
    with zipfile.ZipFile(tmp_path / "a.npz") as whole:
        assert all(name.endswith(".npy") for name in whole.namelist())
        assert whole.testzip() is None


def test_npz_files_are_written_and_read_without_pyarrow(tmp_path):
    code = """
import sys
sys.modules["pyarrow"] = None  # as where it is not installed
from counterplay.episodes import Field, Replay, Scheme
from counterplay.episodes.npz import read_npz, write_npz
import numpy as np
scheme = Scheme({"terminated": Field((), np.bool_)})
replay = Replay.empty(scheme, lanes=1, slots=4, chunk=2, horizon=2)
write_npz(sys.argv[1], replay.write({"terminated": np.ones((1, 2), bool)}).whole())
assert read_npz(sys.argv[1]).batch_size == 2
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.npz"], check=True)
