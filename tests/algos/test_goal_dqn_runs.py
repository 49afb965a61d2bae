"""Trainings of goal_dqn: their settings, what they learn, keep and lend, and how they go on."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Int, PRNGKeyArray
from probes import Cue, Probe, State

from counterplay import envs, keeper, verbs
from counterplay.algos import dqn, goal_dqn, goal_ppo, loops
from counterplay.algos.goal_dqn import Config
from counterplay.bench.faults import left_by
from counterplay.pools import roster_of
from counterplay.runs import lent, load_policy
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import Act, Memory, View
from counterplay.views import view_shapes

SMALL: dict[str, Any] = {
    "lanes": 4, "slots": 6, "widths": (6,), "replay": 96, "start": 24, "passes": 2, "batch": 4,
    "told_width": 5, "reader_widths": (6,), "reader_gru": 4, "reader_minibatches": 1,
}  # fmt: skip
HUNT = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
AGAINST = ("nearest_stag", "nearest_hare")


def config(iterations: int, **more: Any) -> Config:
    usual = SMALL | more
    return Config(steps=iterations * usual["lanes"] * usual["slots"], **usual)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"types": 65}, "goal_dqn: types must be 1 to 64, found 65"),
        ({"mix": 0.0}, "goal_dqn: mix must be 1e-06 to below 1, found 0.0"),
        ({"goal_reward": 1.0, "goal_quantile": 0.5}, "goal_dqn: give goal_reward or goal_quantile"),
        (
            {"goals": "codes", "habit": 0.1},
            "goal_dqn: habit counts goals of the game that were reached",
        ),
        ({"code_window": 0}, "goal_dqn: code_window must be at least 1, found 0"),
        ({"reader_grad_norm": 0.0}, "goal_dqn: reader_grad_norm must be positive, found 0.0"),
        ({"codes": 1}, "goal_dqn: codes must be at least 2, found 1"),
        ({"told_width": 0}, "told_width must be at least 1, found 0"),
        ({"reader_rate": 0.0}, "reader_rate must be positive, found 0.0"),
        ({"gru": 4, "window": 9, "burn_in": 8}, "dqn: window must be at least 10, or nothing"),
        ({"gru": 4, "priority": 0.5}, "dqn: priority and gru exclude each other"),
        ({"passes": 0}, "dqn: passes must be at least 1, found 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(ValueError) as error:
        config(1, **settings)
    assert words in str(error.value)


def test_choices_that_there_are_not_are_refused():
    """As a config.json that was written by hand may hold them."""
    settings = Config()
    object.__setattr__(settings, "goal_input", "mode")  # past the type checker of the tests
    with pytest.raises(ValueError, match="unknown goal_input 'mode'; expected one of: belief, map"):
        settings.__post_init__()


def names_of(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_reader_is_that_of_goal_ppo_and_the_rest_is_dqn():
    mine, theirs, its = Config(), goal_ppo.Config(), dqn.Config()
    assert mine.reading == theirs
    assert all(getattr(mine, name) == getattr(its, name) for name in names_of(its))
    other = Config(types=3, goals="codes", window=20, code_window=5, reader_gru=7)
    assert other.reading == goal_ppo.Config(types=3, goals="codes", window=5, reader_gru=7)
    assert other.window == 20
    clipped = Config(max_grad_norm=3.0, reader_grad_norm=2.0)
    assert clipped.reading == goal_ppo.Config(max_grad_norm=2.0) and clipped.max_grad_norm == 3
    assert names_of(mine) >= names_of(its) | {"code_window", "reader_grad_norm"}
    lost = names_of(theirs) - names_of(mine)
    of_ppo = {"epochs", "minibatches", "apart", "lam", "entropy", "clip", "value_weight"}
    of_ppo |= {"first_policy", "snapshots", "snapshot_count", "snapshot_every"}
    assert lost == of_ppo


class Always(eqx.Module):
    """Makes one move."""

    move: int = eqx.field(static=True)

    def begin(self, key: PRNGKeyArray, memory: Memory | None) -> Memory:
        return ()

    def act(self, key: PRNGKeyArray, memory: Memory, view: View, greedy: bool) -> Act:
        return Act(jnp.int32(self.move), (), {})


class Match(Probe):
    """Seat 0 earns 1 by making the move of seat 1, in each of four slots. Nothing shows time."""

    num_seats = 2
    num_actions = 3

    def earns(self, state: State, actions: Int[Array, " N"]) -> Array:
        return jnp.stack([(actions[0] == actions[1]).astype(jnp.float32), jnp.float32(0)])

    def shows(self, state: State) -> dict[str, Any]:
        return {"obs": jnp.ones((2, 1)), "terminated": state.time >= 4}


def meeting() -> Roster:
    kinds = (
        Kind("self", learner=True),
        Kind("one", policy=Always(1), first_id=1),
        Kind("two", policy=Always(2), first_id=2),
    )
    return Roster(kinds, ((Chair(0, 0), Chair(1, 0)), (Chair(0, 0), Chair(2, 0))))


def test_who_knows_the_type_of_the_other_earns_more_than_anybody_blind():
    """Blind play earns half a slot: 2 an episode. After the first slot the type is known: 3.5,
    less what is explored."""
    more: dict[str, Any] = {"lanes": 32, "slots": 8, "widths": (16,), "replay": 8192, "start": 512}
    more |= {"passes": 8, "batch": 64, "target_every": 20, "learning_rate": 0.01, "gamma": 0.5}
    more |= {"action_input": "none", "reader_rate": 0.02, "n_step": 1, "told_width": 8}
    updates = list(goal_dqn.train(config(60, **more), Match(), meeting()))
    episodes = updates[-1].episodes
    assert episodes is not None
    returns = np.asarray(episodes["returns"])[np.asarray(episodes["ended"])][:, 0]
    assert len(returns) == 32 * 2
    assert returns.mean() > 3, "a blind player earns 2 on average, whatever it does"
    first, last = (np.asarray(updates[i].metrics["types_loss"]) for i in (0, -1))
    assert last < first


def train(chosen: verbs.Train, until: int = 10**9) -> Path:
    """Trains, up to an iteration."""
    follow = keeper.Keeper.follow

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper.Keeper, "follow", short)
        return verbs.run_training("goal_dqn", chosen, quiet=True).folder


@pytest.fixture(scope="module")
def chosen(tmp_path_factory) -> verbs.Train:
    out = str(tmp_path_factory.mktemp("runs") / "whole")
    asked = config(3, match=2, priority=0.6, duelling=True)
    return verbs.Train(asked, env=HUNT, against=AGAINST, out=out)


@pytest.fixture(scope="module")
def whole(chosen) -> Path:
    """Three iterations against two rules, the last two of which learn."""
    return train(chosen)


def test_a_training_that_goes_on_is_the_whole_one_to_the_last_bit(whole, chosen, tmp_path):
    halves = replace(chosen, out=str(tmp_path / "halves"))
    train(halves, until=2)
    half = left_by(Path(str(halves.out)))
    assert len(half.metrics) == 2 and half.state != left_by(whole).state
    train(replace(halves, out=None, resume=halves.out))
    assert left_by(Path(str(halves.out))) == left_by(whole)


def test_a_frozen_run_plays_predicts_and_believes(whole):
    env = envs.make(HUNT)
    frozen: Any = load_policy(str(whole), env, 1)
    assert float(frozen.epsilon) == np.float32(0.05)
    view = some_view(env)

    @jax.jit
    def told(agent, view):
        memory = agent.begin(jax.random.key(0), None)
        act = agent.act(jax.random.key(1), memory, view, True)
        names = "log_probs", "values", "value", "predict", "types", "belief"
        return act, {name: getattr(agent, name)(act.memory, view) for name in names}

    act, said = told(frozen, view)
    assert said["types"].shape == (1, 2) and said["predict"].shape == (1, 7)
    for row in (said["belief"], said["types"], jnp.exp(said["predict"])):
        np.testing.assert_allclose(row.sum(1), 1, atol=1e-5)
    best = int(jnp.argmax(said["values"]))
    chances = np.exp(said["log_probs"])
    np.testing.assert_allclose(chances[best], 0.95 + 0.05 / 7, rtol=1e-5)
    np.testing.assert_allclose(said["value"], (chances * said["values"]).sum(), rtol=1e-4)
    assert 0 <= int(act.action) < 7


def some_view(env: Any) -> View:
    """Of one who has seen the other move."""
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(env))
    return replace(blank, moved=jnp.array([4, 2], jnp.int32), event=jnp.full(2, -1, jnp.int32))


def held(algorithm: Any, settings: Any, env: Any, roster: Roster) -> lent.Held:
    """No episodes, of the kind that a training of these settings stores."""
    shapes = loops.state_shapes(settings, env, roster, algorithm).replay
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return lent.Held(Path("there"), [[empty.whole()]], [])


def test_only_episodes_that_tell_what_was_told_are_lent():
    env, roster = Match(), meeting()
    mine = loops.resolved(config(3), env, roster)
    own = {name: getattr(mine, name) for name in names_of(dqn.Config)}
    theirs = dqn.Config(**own)
    state = loops.state_shapes(mine, env, roster, goal_dqn)
    ask = lambda lender: lent.check(lender, state, "goal_dqn", [])
    ask(held(goal_dqn, mine, env, roster))
    says = "goal_dqn learns from what players were told of each other, field 'told', found episodes"
    with pytest.raises(ValueError, match=f"--buffer-from there: {says} without it"):
        ask(held(dqn, theirs, env, roster))
    more = replace(mine, types=5)
    with pytest.raises(ValueError, match=r"field 'told': expected float32\[2, 1, 7\] of agents, "
                       r"found float32\[2, 1, 10\] of agents"):  # fmt: skip
        ask(held(goal_dqn, more, env, roster))
    plain = loops.state_shapes(theirs, env, roster, dqn)
    lent.check(held(goal_dqn, mine, env, roster), plain, "dqn", [])


def test_what_is_kept_of_others_counts_as_memory():
    env, roster = Match(), meeting()
    mine = loops.resolved(config(3), env, roster)
    size = lambda told: dqn.store(mine, env, 4, told=told).nbytes
    assert goal_dqn.told_of(mine, env) == (1, 1 + 2 + 1 + 3)
    assert size((1, 7)) - size(None) == 4 * 24 * 2 * 7 * 4, "lanes, slots, seats, numbers, bytes"
    assert goal_dqn.describe(mine, env, roster).startswith("a replay of 96 slots takes ")
    with pytest.raises(ValueError, match="dqn: start must be at most steps"):
        goal_dqn.train(replace(mine, start=10**6), env, roster)


def test_who_is_alone_has_nobody_to_read():
    roster = roster_of(Cue(), {0: "self"})
    *_, last = goal_dqn.train(config(3, gru=3, window=5, burn_in=1), Cue(), roster)
    assert last.metrics["updates"] == 2 and last.metrics["bad_updates"].sum() == 0
    assert last.metrics["moves_loss"] == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(last.nets))
