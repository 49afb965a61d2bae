"""What a store would read wrongly, or not at all, is named before anything is made or written."""

import re

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from test_replay import CHUNK, LANES, SPAN, filled_to

from counterplay.episodes import Field, Replay, Scheme

SIZES = {"lanes": 1, "slots": 16, "chunk": 4, "horizon": 4}
OVER = Field((), np.bool_)


def store(**fields: Field) -> Replay:
    return Replay.empty(Scheme({"terminated": OVER, **fields}), **SIZES)


def chunk(**arrays):
    return {"terminated": np.zeros((1, 4), bool), **arrays}


NARROWING = [
    (np.int8, np.array([[200, 300, 1, 2]]), "200 does not fit"),
    (np.int8, np.array([[0, 127, 128, 0]], np.uint8), "128 does not fit"),
    (np.uint8, np.array([[0, -1, 0, 0]], np.int32), "-1 does not fit"),
    (np.int32, np.array([[0, 2**31, 0, 0]]), "2147483648 does not fit"),
    (np.float16, np.array([[0.5, 1e6, 0, 0]]), "1000000.0 does not fit"),
    (np.float16, np.array([[1, 70_000, 0, 0]], np.int32), "70000 does not fit"),
    (np.float32, np.array([[0.5, 1e300, 0, 0]]), "1e+300 does not fit"),
]


@pytest.mark.parametrize(("stored", "given", "says"), NARROWING)
def test_numbers_that_do_not_fit_their_field_are_refused(stored, given, says):
    replay, told = store(x=Field((), stored)), np.dtype(stored)
    said = f"field 'x': the scheme wants {told}[1, 4], found {given.dtype}[1, 4]; {says}"
    with pytest.raises(ValueError, match=re.escape(said)):
        replay.write(chunk(x=given))
    if given.dtype.itemsize < 8:
        with pytest.raises(ValueError, match=re.escape(says)):
            replay.write(chunk(x=jnp.asarray(given)))
    assert int(replay.written) == 0


@pytest.mark.parametrize(("stored", "given", "says"), NARROWING)
def test_numbers_of_a_wider_type_that_all_fit_are_stored_as_they_are(stored, given, says):
    fitting = np.where(np.abs(given.astype(float)) < 100, np.abs(given), 7).astype(given.dtype)
    replay = store(x=Field((), stored)).write(chunk(x=fitting))
    assert np.array_equal(replay.slots["x"][:, :4], fitting)
    replay = replay.write(chunk(x=jnp.asarray(fitting[:, ::-1])))
    assert np.array_equal(replay.slots["x"][:, 4:8], fitting[:, ::-1])


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (np.int8, jnp.int32),
        (np.int8, jnp.uint8),
        (np.float16, jnp.float32),
        (np.float16, jnp.int32),
    ],
)
def test_inside_jit_nothing_is_narrowed_that_was_not_cast(stored, given):
    x = jnp.ones((1, 4), given)
    ended = jnp.zeros((1, 4), bool)
    write = lambda r, x: r.write({"x": x, "terminated": ended})
    with pytest.raises(ValueError, match="inside jit nobody sees whether they fit: cast them"):
        jax.jit(write)(store(x=Field((), stored)), x)
    cast = jax.jit(lambda r, x: write(r, x.astype(stored)))(store(x=Field((), stored)), x)
    assert np.asarray(cast.slots["x"])[:, :4].tolist() == [[1] * 4]


@pytest.mark.parametrize("given", [jnp.int8, jnp.int16, jnp.int32, jnp.float16])
def test_inside_jit_what_float32_holds_goes_into_it(given):
    write = jax.jit(lambda r, x: r.write({"x": x, "terminated": jnp.zeros((1, 4), bool)}))
    assert int(write(store(x=Field()), jnp.ones((1, 4), given)).written) == 4


def test_relabelled_numbers_have_to_fit_as_well():
    replay, _ = filled_to(6)
    batch = replay.episodes(jr.key(1), 2)
    values = jnp.full((2, SPAN, 3), 300)
    with pytest.raises(ValueError, match="relabel 'label': expected int8, found int32; 300 does"):
        replay.relabel(batch.where, "label", values, batch.filled)
    after = replay.relabel(batch.where, "label", values // 100, batch.filled)
    assert int(after.slots["label"].max()) == 3


@pytest.mark.parametrize("wide", [np.float64, np.int64, np.uint64, int, float])
def test_types_that_jax_would_store_as_others_are_refused(wide):
    said = f"field 'x': expected a type of 32 bits or fewer, found {np.dtype(wide)}[]"
    with pytest.raises(ValueError, match=re.escape(said)):
        store(x=Field((), wide))
    with pytest.raises(ValueError, match=re.escape(said)):
        store().with_field("x", Field((), wide))


AGENTS = {"agents": 2}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {},
            "field 'terminated': a store wants bool[], true in the last slot of an episode; found",
        ),
        ({"terminated": Field((1,), np.bool_)}, "'terminated': a store wants bool[] a slot, found"),
        ({"terminated": Field((), np.uint8)}, "wants bool[] a slot, found uint8[]"),
        (
            {"terminated": OVER, "closing": Field((), np.bool_, "agents")},
            "'closing': a store wants",
        ),
        ({"terminated": OVER, "truncated": Field((), np.float32)}, "'truncated': a store wants"),
        ({"terminated": Field((), np.bool_, constant=True)}, "found bool[], one an episode"),
        ({"terminated": OVER, "left": Field((3,), np.bool_, "agents")}, "found bool[2, 3]"),
        ({"terminated": OVER, "left": Field((), np.int8, "agents")}, "bool[] or bool[2] a slot"),
        ({"terminated": OVER, "alive": Field((), np.int8, "agents")}, "'alive': a store wants"),
        (
            {"terminated": OVER, "left": Field((), np.bool_, "agents"), "alive": OVER},
            "field 'alive': a store wants bool[2] a slot, found bool[]",
        ),
    ],
)
def test_fields_that_mean_something_to_a_store_have_their_form(fields, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Replay.empty(Scheme(fields, AGENTS), **SIZES)


def test_who_leaves_cannot_come_later():
    with pytest.raises(ValueError, match="'left': who leaves has to be there from the start"):
        store().with_field("left", Field((2,), np.bool_, fill=0))
    with pytest.raises(ValueError, match="'closing': a store wants"):
        store().with_field("closing", Field((2,), np.bool_, fill=0))


@pytest.mark.parametrize(
    ("strata", "says"),
    [
        ("reward", "unknown constant to draw by 'reward'; expected one of: matchup, opponent_id"),
        ("match_up", "unknown constant to draw by 'match_up' (did you mean 'matchup'?)"),
        (("opponent_id", 7), "strata 'opponent_id': members are 0 to 2, found 7"),
        (("opponent_id", -1), "strata 'opponent_id': members are 0 to 2, found -1"),
        (("matchup", 1), "strata 'matchup': members are 0 to 0, found 1"),
    ],
)
def test_strata_that_are_none_are_named(strata, says):
    replay, _ = filled_to(6)
    with pytest.raises(ValueError, match=re.escape(says)):
        replay.episodes(jr.key(0), 1, strata=strata)


def test_an_empty_store_holds_nothing_of_anything():
    replay = store()
    for read, more in (("transitions", ()), ("windows", (3,)), ("episodes", ())):
        with pytest.raises(ValueError, match=f"asked for 1 {read}, holds 0: ask can_sample"):
            getattr(replay, read)(jr.key(0), 1, *more)


@pytest.mark.parametrize("chunks", [0, 1, 3, 9])
def test_can_sample_knows_every_reading(chunks):
    replay, _ = filled_to(chunks)
    held = min(chunks * CHUNK, 24)
    counts = {
        ("episodes", None): int(replay.ended),
        ("transitions", None): LANES * max(held - 1, 0),
        ("windows", 5): LANES * max(held - 4, 0),
        ("windows", 24): LANES * (held == 24),
    }
    for (of, length), have in counts.items():
        more = {} if length is None else {"length": length}
        assert bool(replay.can_sample(have, of, **more))
        assert not bool(replay.can_sample(have + 1, of=of, **more))
    inside = jax.jit(lambda r: r.can_sample(4, of="windows", length=5))(replay)
    assert bool(inside) == (counts["windows", 5] >= 4)


def test_can_sample_of_what_is_not_read_is_refused():
    replay, _ = filled_to(1)
    with pytest.raises(ValueError, match=r"unknown reading 'window' \(did you mean 'windows'"):
        replay.can_sample(1, of="window")
    for length in (None, 0, 25):
        with pytest.raises(ValueError, match=f"length must be 1 to 24, found {length}"):
            replay.can_sample(1, of="windows", length=length)


def test_padding_is_not_written_over_the_episodes_that_follow():
    replay, _ = filled_to(6)
    batch = replay.episodes(jr.key(1), 4)
    marks = jnp.full((4, SPAN, 3), 9, jnp.int8)
    with pytest.raises(ValueError, match=re.escape("want ok [4, 7], found none; padding would be")):
        replay.relabel(batch.where, "label", marks)
    with pytest.raises(ValueError, match=re.escape("ok should be [4, 7], found [7]")):
        replay.relabel(batch.where, "label", marks, batch.filled[0])
    after = replay.relabel(batch.where, "label", marks, batch.filled)
    assert int((after.slots["label"] == 9).sum()) == 3 * int(batch.filled.sum())


def test_pairs_and_rows_are_relabelled_one_number_each():
    replay, _ = filled_to(6)
    pairs = replay.transitions(jr.key(2), 4)
    mark = jnp.full((4, 3), 9, jnp.int8)
    after = replay.relabel(pairs.where, "label", mark, jnp.arange(4) < 3)
    assert int((after.slots["label"] == 9).sum()) == 3 * 3
    after = after.relabel(pairs.where, "label", mark)
    assert int((after.slots["label"] == 9).sum()) == 3 * 4
