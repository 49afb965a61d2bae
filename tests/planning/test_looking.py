"""Frozen runs of counterplay that plan otherwise than they were trained to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, play, runs
from counterplay.algos import counterplay
from counterplay.algos.looking import Latent
from counterplay.planning.latent import likeliest, plan
from counterplay.pools import find
from counterplay.seats import needs_state
from counterplay.types import Simulator
from counterplay.views import Last, cut_views

HUNT = "stag_hunt:4x4,players=2,size=2,stags=1,hares=1,horizon=4"
PLANNERS = (
    "latent:trust=1,samples=0",
    "latent:depth=2,samples=2,trust=1",
    "latent:form=letter,trust=1",
    "latent:form=likeliest,samples=1",
    "latent:depth=2,samples=2,form=even,trust=1",
    "none",
    "mcts:sims=4,draws=2",
    "mcts:sims=4,draws=2,world=true",
)


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(play, "use_all_cores", lambda game="": None)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A fresh agent, as if it had been trained."""
    folder = tmp_path_factory.mktemp("runs") / "r1"
    folder.mkdir()
    sizes: Any = {"widths": (6,), "told_width": 5, "reader_widths": (6,), "reader_gru": 4}
    sizes |= {"latent": 6, "world_width": 8, "world_token": 4, "value_width": 6}
    config = counterplay.Config(types=2, gamma=0.95, steps=64, **sizes)
    env = envs.make(HUNT)
    learner = counterplay.init_learner(config, env, 1, jr.key(0))
    kinds = [{"name": "self", "members": 1, "seats": [0, 1]}]
    runs.save_config(folder, "counterplay", HUNT, kinds, config)
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], learner.net),))
    return folder


def views(env: Any) -> Any:
    """What both seats are shown in one fresh game, with its state."""
    state, shown = env.reset(jr.key(2))
    seen = cut_views(env, shown, Last.nothing(2), jnp.int32(0), jnp.bool_(True))
    seats = jax.vmap(lambda seat: Simulator(state, seat))(jnp.arange(2))
    return seen, seats


@pytest.mark.parametrize("planner", PLANNERS)
def test_it_plays_legal_moves_and_remembers_what_it_does_without(planner, run):
    env = envs.make(HUNT)
    alone, plans = find(f"run:{run}", env, 0), find(f"{planner}+run:{run}", env, 0)
    assert needs_state(plans) == ("world=true" in planner)
    seen, seats = views(env)

    @jax.jit
    def act(key, view, seat):
        given = view if not needs_state(plans) else with_state(view, seat)
        first = plans.act(key, plans.begin(key, None), given, False)
        own = alone.act(key, alone.begin(key, None), view, False)
        return first, own

    made, own = jax.vmap(act, (None, 0, 0))(jr.key(1), seen, seats)
    legal = np.asarray(seen.legal)
    assert legal[np.arange(2), np.asarray(made.action)].all()
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), made.memory, own.memory)
    assert all(jax.tree.leaves(same))
    calls = 4 if "world=true" in planner else 0
    assert (np.asarray(made.record["simulator_calls"]) == calls).all()


def with_state(view: Any, seat: Any) -> Any:
    return replace(view, state=seat)


def test_what_a_plan_of_one_move_is_worth_does_not_depend_on_how_it_is_asked(run):
    """Depth 1 over all joint moves is the mean of what draws say."""
    env = envs.make(HUNT)
    seen, _ = views(env)
    exact, drawn = (find(f"latent:samples={n},trust=1+run:{run}", env, 0) for n in (0, 512))

    def q(agent):
        one = lambda view: agent.planned(
            jr.key(3), agent.see(jr.key(0), agent.begin(jr.key(0), None), view), view
        )
        return jax.jit(jax.vmap(one))(seen).q

    np.testing.assert_allclose(q(exact), q(drawn), atol=0.02)


def test_who_asks_for_plans_gets_them_from_a_run_that_came_to_trust_none(run):
    """By default wholly; and with the likeliest move of the other alone, if that is asked for."""
    env = envs.make(HUNT)
    own, asked = (find(f"{name}run:{run}", env, 0) for name in ("", "latent:samples=0+"))
    assert own.net.trust == 0 and asked.net.trust == 1
    point = find(f"latent:samples=1,form=likeliest+run:{run}", env, 0)
    seen, _ = views(env)
    view = jax.tree.map(lambda x: x[0], seen)

    @jax.jit
    def q(agent):
        slot = agent.see(jr.key(0), agent.begin(jr.key(0), None), view)
        f, (root, belief) = agent.functions(), agent.root(slot, view)
        by_hand = plan(
            f.step, likeliest(f.actions), f.update, f.value, root, belief, slot.log_pi, view.legal,
            view.alive, jr.key(3), samples=1, gamma=0.95,
        )  # fmt: skip
        return agent.planned(jr.key(3), slot, view).q, by_hand.q

    np.testing.assert_allclose(*q(point), rtol=1e-5)
    mixed, by_hand = q(asked)
    assert not np.allclose(mixed, by_hand)


def test_evaluations_tell_how_a_run_planned(run, capsys):
    command = f"eval {run} --against random --episodes 8 --planner latent:depth=1 --json"
    assert cli.main(command.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["planner"] == "latent:depth=1" and "marks" not in found
    assert found["planning"]["simulator_calls"] == 0 < found["planning"]["decisions"]


def test_a_run_that_learnt_no_world_is_told_so():
    with pytest.raises(ValueError, match="a run of goal_ppo has learnt no world to plan in"):
        Latent().seated(object(), envs.make(HUNT), {"algorithm": "goal_ppo"})
