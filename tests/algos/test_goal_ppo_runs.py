"""Trainings of goal_ppo: their settings, what they leave behind, and how they go on."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import Cue, Departure, Probe

from counterplay import envs, keeper, verbs
from counterplay.algos import Update, goal_ppo
from counterplay.algos.goal_ppo import Config
from counterplay.bench.faults import left_by
from counterplay.pools import roster_of
from counterplay.runs import load_policy
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import View
from counterplay.views import view_shapes

SMALL: dict[str, Any] = {
    "lanes": 4, "slots": 6, "widths": (6,), "minibatches": 2, "epochs": 1, "told_width": 5,
    "reader_widths": (6,), "reader_gru": 4, "reader_minibatches": 1,
}  # fmt: skip
HUNT = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
AGAINST = ("nearest_stag", "nearest_hare")


def config(iterations: int, **more: Any) -> Config:
    usual = SMALL | more
    return Config(steps=iterations * usual["lanes"] * usual["slots"], **usual)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"types": 0}, "goal_ppo: types must be 1 to 64, found 0"),
        ({"types": 65}, "goal_ppo: types must be 1 to 64, found 65"),
        ({"mix": 0.0}, "goal_ppo: mix must be 1e-06 to below 1, found 0.0"),
        ({"drift": -0.1}, "goal_ppo: drift must be 0 to below 1, found -0.1"),
        ({"habit": 1.0}, "goal_ppo: habit must be 0 to below 1, found 1.0"),
        ({"decay": float("nan")}, "goal_ppo: decay must be 0 to below 1, found nan"),
        ({"reader_widths": ()}, "reader_widths must be at least 1 each, found ()"),
        ({"reader_gru": -1}, "reader_gru must be 0 or more units, found -1"),
        ({"reader_rate": 0.0}, "reader_rate must be positive, found 0.0"),
        ({"reader_places": 0}, "reader_places must be at least 1, found 0"),
        ({"told_width": 0}, "told_width must be at least 1, found 0"),
        ({"apart": True, "gru": 3}, "apart and gru exclude each other, found gru 3"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(ValueError) as error:
        Config(**settings)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "found", "words"),
    [
        ("goals", "event", "unknown goals 'event' (did you mean 'events'?); expected one of: ev"),
        ("goal_input", "mode", "unknown goal_input 'mode'; expected one of: belief, map, sample"),
        ("action_input", "mean", "unknown action_input 'mean'"),
        ("belief", "none", "unknown belief 'none'"),
    ],
)
def test_choices_that_there_are_not_are_refused(name, found, words):
    """As a config.json that was written by hand may hold them."""
    settings = Config()
    object.__setattr__(settings, name, found)  # past the type checker of the tests
    with pytest.raises(ValueError) as error:
        settings.__post_init__()
    assert words in str(error.value)


def against(number: int) -> Roster:
    """One learner, and so many opponents that nobody need to know better."""
    names = tuple(f"rule{i}" for i in range(number))
    kinds = (Kind("self", learner=True),) + ((Kind("all", first_id=1, names=names),) * (number > 0))
    return Roster(kinds, ((Chair(0, 0), Chair(int(number > 0), 0)),))


def test_types_are_the_opponents_unless_others_are_asked_for():
    assert [Config().among(against(n)).types for n in (0, 1, 3)] == [1, 1, 3]
    assert Config(types=1).among(against(70)).types == 1
    assert Config(types=5).among(against(3)).types == 5
    two = replace(against(3), tables=((Chair(0, 0), Chair(0, 0)), (Chair(0, 0), Chair(1, 0))))
    assert Config().among(two).types == 4, "and who learns, where learners meet"
    again = Config().among(against(3))
    assert again.among(against(3)) == again
    with pytest.raises(ValueError, match="1, or at least 3 for all opponents here, found 2"):
        Config(types=2).among(against(3))
    with pytest.raises(ValueError, match="there are 65 opponents, and types are 64 at most: --ty"):
        Config().among(against(65))


class Left(NamedTuple):
    folder: Path
    nets: Any
    """Of the last iteration, leaves [seeds, members, ...]."""


def train(chosen: verbs.Train, until: int = 10**9) -> Left:
    """Trains, up to an iteration."""
    kept, learn, follow = [], goal_ppo.train, keeper.Keeper.follow

    def watched(*args):
        for update in learn(*args):
            kept.append(jax.tree.map(np.asarray, update.nets))
            yield update

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(goal_ppo, "train", watched)
        patch.setattr(keeper.Keeper, "follow", short)
        return Left(verbs.run_training("goal_ppo", chosen, quiet=True).folder, kept[-1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, compiled_once) -> Left:
    """Two iterations against two rules, with memory and matches of two episodes."""
    out = str(tmp_path_factory.mktemp("runs") / "whole")
    asked = config(2, gru=3, match=2, around=True, goal_quantile=0.5)
    return train(verbs.Train(asked, env=HUNT, against=AGAINST, out=out))


def test_types_stand_in_the_settings_of_the_run(whole):
    row = json.loads((whole.folder / "config.json").read_text())
    assert row["config"]["types"] == 2 and row["opponents"][1:] == [*AGAINST]


def test_a_training_that_goes_on_is_the_whole_one_to_the_last_bit(whole, tmp_path):
    asked = config(2, gru=3, match=2, around=True, goal_quantile=0.5)
    chosen = verbs.Train(asked, env=HUNT, against=AGAINST, out=str(tmp_path / "halves"))
    train(chosen, until=1)
    half = left_by(Path(str(chosen.out)))
    assert len(half.metrics) == 1 and half.state != left_by(whole.folder).state
    train(replace(chosen, out=None, resume=chosen.out))
    assert left_by(Path(str(chosen.out))) == left_by(whole.folder)


def some_view(env: Any) -> View:
    """Of one who has seen the other move."""
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(env))
    return replace(blank, moved=jnp.array([4, 2], jnp.int32), event=jnp.full(2, -1, jnp.int32))


def test_a_frozen_run_plays_predicts_and_believes_as_the_agent_in_training(whole):
    env = envs.make(HUNT)
    frozen = load_policy(str(whole.folder), env, 1)
    net = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), whole.nets[0])

    @jax.jit
    def told(agent, view):
        memory = agent.begin(jax.random.key(0), None)
        for key in jax.random.split(jax.random.key(1), 2):
            act = agent.act(key, memory, view, False)
            memory = act.memory
        names = "log_probs", "predict", "types"
        return act, {name: getattr(agent, name)(memory, view) for name in names}

    view = some_view(env)
    mine, theirs = told(goal_ppo.Agent(net), view), told(frozen, view)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        assert np.array_equal(a, b)
    act, said = theirs
    assert said["types"].shape == (1, 2) and said["predict"].shape == (1, 7)
    belief = jax.jit(lambda agent, *x: agent.belief(*x))(frozen, act.memory, view)
    assert belief.shape == (1, 2)
    for row in (belief, said["types"], jnp.exp(said["predict"])):
        np.testing.assert_allclose(row.sum(1), 1, atol=1e-5)


def trained(env: Probe, who: str, iterations: int, **more: Any) -> list[Update]:
    roster = roster_of(env, dict.fromkeys(range(env.num_seats), who))
    updates = goal_ppo.train(config(iterations, **more), env, roster)
    return [jax.tree.map(np.asarray, u._replace(going=None)) for u in updates]


@pytest.mark.parametrize(
    ("env", "who", "more"),
    [
        (Departure(), "own", {"apart": True, "belief": "amortised"}),
        (Cue(), "self", {"goal_input": "sample", "action_input": "argmax"}),
    ],
    ids=["independent learners", "alone"],
)
def test_anybody_may_learn_with_anybody_or_alone(env, who, more):
    *_, last = trained(env, who, 1, **more)
    for name in ("policy_loss", "value_loss", "moves_loss", "goals_loss", "types_loss"):
        assert np.isfinite(last.metrics[name]).all(), name
    assert last.metrics["bad_updates"].sum() == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(last.nets))
    members = env.num_seats if who == "own" else 1
    assert last.nets[0].policy.other.bias.shape[:2] == (1, members)
    if env.num_seats == 1:
        assert last.metrics["moves_loss"] == 0, "there is nobody to be read"


def test_nothing_is_compiled_after_warming_up(caplog):
    """In self-play, where everybody is of one type."""
    env = Departure()
    training = goal_ppo.train(config(5), env, roster_of(env, {0: "self", 1: "self"}))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        warm = [next(training) for _ in range(2)]
        assert "ompil" in caplog.text, "compilation is noticed"
        caplog.clear()
        more = list(training)
    assert len(warm) + len(more) == 5
    assert not [r.getMessage() for r in caplog.records if "ompil" in r.getMessage()]
    assert more[-1].nets[0].reader.model.type.shape[-1] == 1
    losses = [float(u.metrics["moves_loss"][0]) for u in (*warm, *more)]
    assert np.isfinite(losses).all() and (np.array(losses) > 0).all()
