"""What is not finite is found before anything is learnt from it, wherever it stands."""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Leavers
from recorded import SEATS, played, same

from counterplay import verbs
from counterplay.algos import Options, guards, ppo
from counterplay.algos.loops import Spec
from counterplay.errors import GameError, LearningError
from counterplay.pools import roster_of

ODD = (np.nan, np.inf, -np.inf)
PLACES = 25
HOSTED = f"{Path(__file__).parents[1] / 'envs' / 'test_hosting.py'}:Leavers"
TINY: dict[str, Any] = {"lanes": 8, "slots": 8, "widths": (4,), "minibatches": 2, "epochs": 1}


@cache
def learning(who: str, gru: int, policy: str) -> Any:
    """A state before, and a jitted ``guards.learn`` that goes on from it."""
    was = played(who, over=False, gru=gru)
    spec = Spec(was.env, was.seating, None)
    state = ppo.State(was.learners, jnp.float32(0.25 * was.config.steps), jr.key(5), spec)
    learn = partial(ppo.learn, was.config)
    return was, state, jax.jit(lambda s, chunk: guards.learn(learn, s, chunk, policy, None))


def data(state: Any) -> Any:
    return jax.tree.map(lambda x: jr.key_data(x) if x.dtype == state.key.dtype else x, state)


def spoilt(chunk: Any, field: str, place: tuple[int, ...], value: float) -> Any:
    """The chunk with something odd at a place [L, T, N]; in observations, in one number of it."""
    slots = {name: np.array(x) for name, x in chunk.slots.items()}
    slots[field][(*place, 1) if field == "obs" else place] = value
    return chunk._replace(slots={name: jnp.asarray(x) for name, x in slots.items()})


def places(slots: dict[str, Any], count: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """Where somebody is present, and a field and a value for each."""
    draw = np.random.default_rng(seed)
    present = np.argwhere(np.asarray(slots["alive"]))
    chosen = [tuple(present[draw.integers(len(present))].tolist()) for _ in range(count)]
    return [(p, ("reward", "obs")[i % 2], ODD[draw.integers(3)]) for i, p in enumerate(chosen)]


SIDES = [("self", 0), ("self", 8), ("own", 0), ("own", 8)]


@pytest.mark.parametrize(("who", "gru"), SIDES)
def test_with_stop_not_a_bit_is_learnt_and_the_place_is_named(who, gru):
    was, before, learn = learning(who, gru, guards.STOP)
    after, clean = learn(before, was.chunk)
    assert not same(data(before), data(after)) and int(clean["bad_reward"]) == 0
    roster = roster_of(was.env, {seat: str(who) for seat in range(SEATS)})
    shape = was.chunk.slots["alive"].shape
    for place, field, value in places(was.chunk.slots, PLACES):
        after, found = learn(before, spoilt(was.chunk, field, place, value))
        assert same(data(before), data(after)), (place, field, value)
        name = "observation" if field == "obs" else field
        told = {k: np.asarray(v)[None] for k, v in found.items()}
        lane, slot, seat = place
        said = rf"Leavers.*: the {name} of seat {seat} is not finite at iteration 7 .*lane {lane}, "
        with pytest.raises(GameError, match=rf"{said}slot {slot}\).*--on-nonfinite drop-episode"):
            guards.blame(was.env, roster, told, guards.STOP, "iteration 7", shape)


def test_what_an_absent_player_holds_is_nobodys_fault():
    was, before, learn = learning("self", 0, guards.STOP)
    wanted, _ = learn(before, was.chunk)
    slots = {name: np.array(x) for name, x in was.chunk.slots.items()}
    shown = slots["closing"][:, :, None] & slots["avail_actions"].any(-1)  # where it stopped
    absent = ~slots["alive"] & ~shown
    assert (absent & slots["closing"][:, :, None]).any(), "somebody left before it stopped"
    assert absent.any()
    slots["reward"][absent], slots["obs"][absent] = np.nan, np.inf
    after, found = learn(before, was.chunk._replace(slots=slots))
    assert int(found["bad_reward"]) == int(found["bad_observation"]) == 0
    assert same(data(wanted), data(after))


def absent(chunk: Any, lane: int, slot: int) -> Any:
    """The chunk with nobody present in the episode of a slot; worked out one slot at a time."""
    slots = {name: np.array(x) for name, x in chunk.slots.items()}
    time = slots["time"][lane]
    begin = slot
    while begin > 0 and time[begin] != 0:
        begin -= 1
    end = slot + 1
    while end < len(time) and time[end] != 0:
        end += 1
    for name in ("alive", "continues", "left", "reward", "returns"):
        slots[name][lane, begin:end] = 0
    slots["dropped"] = np.zeros(slots["alive"].shape[:2], bool)
    slots["dropped"][lane, begin:end] = True
    return chunk._replace(slots={name: jnp.asarray(x) for name, x in slots.items()})


def close(a: Any, b: Any) -> bool:
    """Equal but for how another program rounds."""
    near = partial(np.allclose, rtol=1e-5, atol=1e-6, equal_nan=True)
    return all(map(near, jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.mark.parametrize(("who", "gru"), SIDES)
def test_with_drop_the_rest_is_learnt_as_if_the_episode_were_absent(who, gru):
    was, before, learn = learning(who, gru, guards.DROP)
    plain = jax.jit(lambda s, chunk: ppo.learn(was.config, s, chunk))
    whole, ended = plain(before, was.chunk)[0], 0
    for place, field, value in places(was.chunk.slots, PLACES, seed=1):
        rest = absent(was.chunk, *place[:2])
        wanted, sums = plain(before, rest)
        after, found = learn(before, spoilt(was.chunk, field, place, value))
        assert close(data(after), data(wanted)), (place, field, value)
        assert not close(data(after), data(whole))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(data(after)))
        for name, x in sums.items():
            assert close(found[name], x), name
        ended += int(found["dropped_episodes"])
        assert np.isfinite(found["learner_return_sum"])
    assert ended > PLACES // 2, "an episode counts where it ends"


def test_a_loss_that_is_not_finite_moves_nobody_and_the_learner_is_named():
    was, before, learn = learning("own", 0, guards.STOP)
    slots = {name: np.array(x) for name, x in was.chunk.slots.items()}
    slots["reward"][..., 1] = np.where(slots["alive"][..., 1], 3e38, 0)
    after, found = learn(before, was.chunk._replace(slots=slots))
    assert int(found["bad_reward"]) == 0, "each of them is a number"
    assert (np.asarray(found["bad_updates"]) > 0).tolist() == [False, True, False]
    for member in range(3):
        mine = lambda state, m=member: jax.tree.map(lambda x: x[m], state.learners)
        assert same(mine(before), mine(after)) == (member == 1)
    roster = roster_of(was.env, dict.fromkeys(range(SEATS), "own"))
    told = {k: np.asarray(v)[None] for k, v in found.items()}
    for policy in guards.ON_NONFINITE:
        with pytest.raises(
            LearningError, match=r"gradient of learner own\[1\] is not finite at it"
        ):
            guards.blame(was.env, roster, told, policy, "it", was.chunk.slots["alive"].shape)


@dataclass(frozen=True)
class Holes(Leavers):
    """In one game of three the reward or the observation of seat 1 in slot 1 is not a number."""

    field: str = "reward"

    def earns(self, state, actions):
        earned = super().earns(state, actions)
        bad = self._bad(state) & self._alive(state)
        return jnp.where(bad, jnp.nan, earned) if self.field == "reward" else earned

    def shows(self, state):
        shown = super().shows(state)
        if self.field == "observation":
            shown["obs"] = jnp.where(self._bad(state)[:, None], jnp.inf, shown["obs"])
        return shown

    def _bad(self, state):
        return (state.lot < 0.3) & (state.time == 1) & (jnp.arange(3) == 1)


def updates_of(env: Any, policy: str, iterations: int, **more: Any) -> Any:
    config = ppo.Config(**{**TINY, "steps": 64 * iterations, **more})
    return ppo.train(config, env, roster_of(env, {0: "self", 1: "self", 2: "own"}), Options(policy))


def trained(env: Any, policy: str, **more: Any) -> list[Any]:
    return list(updates_of(env, policy, 4, **more))


@pytest.mark.parametrize("field", ["reward", "observation"])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_training_ends_and_says_where(field, seeds):
    said = rf"Holes.*: the {field} of seat 1 is not finite at iteration 1, before step 64 .*lane"
    with pytest.raises(GameError, match=said):
        trained(Holes(field=field), guards.STOP, seeds=seeds)


@pytest.mark.parametrize("field", ["reward", "observation"])
@pytest.mark.parametrize("gru", [0, 3])
def test_a_training_goes_on_without_such_episodes(field, gru):
    updates = trained(Holes(field=field), guards.DROP, gru=gru)
    assert len(updates) == 4
    assert all(np.isfinite(x).all() for update in updates for x in jax.tree.leaves(update.nets))
    lost = sum(int(np.sum(update.metrics["dropped_episodes"])) for update in updates)
    kept = sum(int(np.sum(update.metrics["episodes"])) for update in updates)
    assert lost > 5 and kept > lost
    assert all(np.isfinite(update.metrics["learner_return_sum"]).all() for update in updates)
    first, last = (jax.tree.leaves(updates[i].nets) for i in (0, -1))
    assert not same(first, last), "the others are learnt from"


def test_a_learning_rate_out_of_all_proportion_is_caught_and_named():
    got = []
    with pytest.raises(
        LearningError, match=r"gradient of learner (self|own) is not finite at iteration"
    ):
        for update in updates_of(Leavers(), guards.STOP, 9, epochs=4, learning_rate=1e30):
            got.append(update)
    assert got, "it is told of when the next iteration runs"
    assert all(np.isfinite(x).all() for update in got for x in jax.tree.leaves(update.nets))


def hosted(tmp_path: Path, policy: Any, fault: str) -> Any:
    config = ppo.Config(**TINY, steps=128)
    game = f"{HOSTED},fault={fault}" if fault else HOSTED
    chosen = verbs.Train(config, game, out=str(tmp_path / "run"), on_nonfinite=policy)
    return verbs.run_training("ppo", chosen, quiet=True)


def test_games_in_ordinary_python_are_watched_as_well(tmp_path):
    said = r"Leavers.*lane 0 after move 1: seat 0 .agent 'a'.: the reward holds a NaN"
    with pytest.raises(GameError, match=said):
        hosted(tmp_path, guards.STOP, "hole")
    assert not list((tmp_path / "run").glob("checkpoints/0*")), "there was nothing to save"


def test_games_in_ordinary_python_may_lose_episodes(tmp_path):
    done = hosted(tmp_path, guards.DROP, "hole")
    assert done.returns == [None] and done.steps == 128
    done = hosted(tmp_path / "well", guards.DROP, "")
    assert done.returns[0] is not None
