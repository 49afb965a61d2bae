"""What slots and records tell of who sits where: types, modes, and what metrics may ask."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.deciding import WATCHED, can
from counterplay.opponents.general import Random
from counterplay.opponents.rule import Mixture, Rule
from counterplay.pools import roster_alone, roster_of
from counterplay.rollout import collect, open_lanes
from counterplay.seats import bank
from counterplay.types import NO_TYPE, Act

PLACE = list(opponents.RULES["matrix"]).index


def chunk_of(text: str, seats: dict[int, str], lanes: int = 8, slots: int = 12, **how):
    env = envs.make(text)
    roster = roster_of(env, seats)
    seating = roster.seating(lanes)
    opened = open_lanes(env, seating, roster.others, jr.key(0))
    play = lambda lanes, key: collect(env, seating, roster.others, lanes, key, slots=slots, **how)
    return seating, jax.jit(play)(opened, jr.key(1))[1]


def test_slots_tell_the_type_of_everyone_for_the_whole_match():
    seats = {0: "tit_for_tat", 1: "grim,bully"}
    _, chunk = chunk_of("matrix:pd,horizon=3", seats, match=2)
    types = np.asarray(chunk.slots["type_id"])
    assert (types[:, :, 0] == PLACE("tit_for_tat")).all()
    assert set(types[:, :, 1].ravel().tolist()) == {PLACE("grim"), PLACE("bully")}
    by_match = types[:, :, 1].reshape(8, 2, 6)
    assert (by_match == by_match[:, :, :1]).all(), "a match is with one opponent"
    own = np.asarray(chunk.slots["opponent_id"])[:, :, 1]
    assert len({*zip(own.ravel().tolist(), types[:, :, 1].ravel().tolist(), strict=True)}) == 2


def test_a_closing_slot_still_belongs_to_the_old_match():
    env = envs.make("matrix:pd,horizon=9")
    roster = roster_of(env, {0: "tit_for_tat", 1: "grim,bully"})
    seating = roster.seating(8)
    lanes = open_lanes(env, seating, roster.others, jr.key(0))
    play = jax.jit(lambda x, k: collect(env, seating, roster.others, x, k, slots=4, cut=True))
    lanes, first = play(lanes, jr.key(1))
    _, second = play(lanes, jr.key(2))
    assert np.asarray(first.slots["truncated"])[:, -1].all()
    assert np.asarray(second.slots["closing"])[:, 0].all()
    old = np.asarray(first.slots["type_id"])[:, -1]
    np.testing.assert_array_equal(np.asarray(second.slots["type_id"])[:, 0], old)
    assert (np.asarray(second.slots["type_id"])[:, 1] != old).any(), "another match has begun"


def test_slots_tell_which_rule_a_switcher_is_in():
    switcher = "switch:at=4,first=grim,then=bully"
    _, chunk = chunk_of("matrix:pd,horizon=6", {0: "grim", 1: switcher}, match=2)
    mode = np.asarray(chunk.slots["mode"])
    assert (mode[:, :, 1] == np.array([0] * 4 + [1] * 8)[None]).all()
    assert (mode[:, :, 0] == 0).all()


class Quiet(eqx.Module):
    """Has data by the names of what metrics may ask, and tells nothing."""

    types: jax.Array
    mode: int = eqx.field(static=True, default=3)

    def begin(self, key, memory):
        return ()

    def act(self, key, memory, view, greedy):
        return Act(jnp.argmax(view.legal).astype(jnp.int32), memory, {})


def test_data_by_the_name_of_a_method_is_not_called():
    policy = Quiet(jnp.zeros(2))
    assert not can(policy, "types") and not can(policy, "mode")
    assert can(Rule(Random()), "log_probs")


def test_who_declares_nothing_has_no_type_and_no_mode(tmp_path):
    path = tmp_path / "quiet.py"
    path.write_text(
        "import equinox as eqx\nimport jax.numpy as jnp\nfrom counterplay.types import Act\n\n\n"
        "class Quiet(eqx.Module):\n"
        "    def begin(self, key, memory):\n        return ()\n"
        "    def act(self, key, memory, view, greedy):\n"
        "        return Act(jnp.argmax(view.legal).astype(jnp.int32), memory, {})\n"
    )
    _, chunk = chunk_of("matrix:pd,horizon=3", {0: f"{path}:Quiet", 1: "grim"})
    assert (np.asarray(chunk.slots["type_id"])[:, :, 0] == NO_TYPE).all()
    assert (np.asarray(chunk.slots["mode"])[:, :, 0] == NO_TYPE).all()


def test_watching_adds_to_records_and_changes_nothing_else():
    seats = {0: "tit_for_tat", 1: "grim,bully"}
    seating, plain = chunk_of("matrix:pd,horizon=3", seats)
    _, watched = chunk_of("matrix:pd,horizon=3", seats, watch=True)
    for name, field in plain.slots.items():
        np.testing.assert_array_equal(field, watched.slots[name], err_msg=name)
    for before, after in zip(plain.records, watched.records, strict=True):
        assert set(after) - set(before) <= set(WATCHED) and "log_probs" in after
    told = seating.put([r["log_probs"] for r in watched.records])  # [L, N, T, A]
    moves = np.asarray(watched.slots["actions"]).swapaxes(1, 2)[..., None]
    taken = np.take_along_axis(np.asarray(told), moves, -1)[..., 0]
    own = seating.put([r["log_pi"] for r in watched.records])
    np.testing.assert_allclose(taken, own, rtol=1e-6)


def test_a_bank_tells_what_its_policies_tell():
    env = envs.make("matrix:pd")
    pool = Mixture((opponents.make("grim", env), opponents.make("bully", env)))
    banked = bank([pool, pool])
    assert can(banked, "log_probs") and can(banked, "type_id") and not can(banked, "predict")
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        banked.colour  # noqa: B018


def test_a_set_by_name_is_one_policy_in_a_matrix_of_everyone():
    env = envs.make("matrix:pd")
    roster = roster_alone(env, ("pool:train", "grim"))
    assert len(roster.tables) == 2
