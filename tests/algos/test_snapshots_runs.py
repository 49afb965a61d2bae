"""Trainings with earlier selves, and without: in run folders, outside JAX, beside readers."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import cli, envs, keeper, play, runs, verbs
from counterplay.algos import Options, Resume, goal_ppo, guards, loops, ppo
from counterplay.algos.loops import Spec, Training
from counterplay.algos.snapshots import joined
from counterplay.bench.faults import left_by
from counterplay.envs.hosting import host_native
from counterplay.pools import roster_of
from counterplay.rollout import collect, ended
from counterplay.runs.checkpoints import filled, named
from counterplay.views import view_shapes

PD = envs.make("matrix:pd,horizon=4")
PAIR = roster_of(PD, {0: "self", 1: "self"})
LANES, SLOTS, COUNT, EVERY = 12, 6, 3, 2
SMALL: dict[str, Any] = {"lanes": LANES, "slots": SLOTS, "widths": (4,), "minibatches": 2}
SMALL |= {"epochs": 1, "snapshot_count": COUNT, "snapshot_every": EVERY}


def config(iterations: int, **more: Any) -> ppo.Config:
    return ppo.Config(**{**SMALL, "steps": iterations * LANES * SLOTS, "snapshots": 0.25, **more})


def same(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def old(algorithm, config, spec, on_nonfinite, training, others, cut):
    """An iteration as it is without them."""
    key, play_key = jr.split(training.key)
    policies = (*algorithm.policy(config, training.state), *others)
    size = {"slots": config.slots, "match": config.match}
    lanes, chunk = collect(
        spec.env, spec.seating, policies, training.lanes, play_key, cut=cut, **size
    )
    learn, after = partial(algorithm.learn, config), guards.bad_after(lanes.shown)
    state, metrics = guards.learn(learn, training.state, chunk, on_nonfinite, spec.axis, after)
    seen = guards.heeded(chunk, on_nonfinite, after).slots
    return Training(state, lanes, key), (metrics, ended(seen))


def test_without_them_the_program_is_the_old_one():
    asked = loops.resolved(config(1, snapshots=0), PD)
    assert joined(asked, PAIR) is PAIR and ppo.Config().snapshots == 0
    spec = Spec(PD, PAIR.seating(LANES), None)
    shapes = jax.eval_shape(partial(loops.begin, ppo, asked, spec, ()), jnp.int32(0))
    assert shapes.frozen == ()

    def text(body):
        def program(training, cut):
            return body(ppo, asked, spec, "stop", training, (), cut)

        return jax.jit(program).lower(shapes, jnp.bool_(False)).as_text()

    assert text(loops.iteration) == text(old)


def hosted(resume: Resume | None = None) -> Iterator[tuple[Any, list[Any], dict[str, Any]]]:
    """Networks [seeds, 1, ...] after an iteration, the ring of each seed, and what is saved."""
    game = cast(Any, host_native(envs.make("matrix:pd,horizon=5")))
    asked = config(5, snapshot_count=1, lanes=4, steps=5 * 4 * SLOTS, gru=2, seeds=2)
    for update in ppo.train(asked, game, PAIR, Options(resume=resume)):
        assert update.episodes is not None
        ends = np.asarray(update.episodes["ended"])  # [seeds, L, T]
        assert ends[..., -1].all() or update.iteration % EVERY, "a twelfth slot ends no episode"
        rings = [jax.tree.map(np.asarray, t["frozen"].policy.net) for t in update.going[0]]
        yield jax.tree.map(np.asarray, update.nets[0]), rings, named(update.going)


def test_games_outside_jax_have_them_too():
    """With one place in the ring, which is never the learner's own memory."""
    nets, rings, saved = zip(*hosted(), strict=True)
    for i, taken in ((1, 1), (2, 1), (3, 3), (4, 3)):
        for seed in range(2):
            assert same(rings[i][seed], jax.tree.map(lambda x, s=seed: x[s], nets[taken]))
    assert not same(nets[1], nets[3])
    after = list(hosted(Resume(3, lambda shapes: filled(shapes, saved[2], "here"))))
    assert len(after) == 2, "the fourth, which takes one, and the fifth"
    for seed in range(2):
        mine = jax.tree.map(lambda x, s=seed: x[s], after[0][0])
        assert same(after[0][1][seed], mine) and same(after[1][1][seed], mine)


WORDS = (
    "--env matrix:pd,horizon=4 --seat 0..1=self --snapshots 0.25 --snapshot-count 2 --seeds 2 "
    "--snapshot-every 2 --lanes 8 --slots 6 --widths 4 --minibatches 1 --epochs 1 --match 3"
)


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    for module in (verbs, play):
        monkeypatch.setattr(module, "use_all_cores", lambda game="": None)


def run(words: str, until: int = 99) -> None:
    """A command, stopped after an iteration as a signal would."""
    follow = keeper.Keeper.follow

    def short(self, updates, over):
        follow(self, updates, lambda: over() or self.last.iteration >= until)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeper.Keeper, "follow", short)
        assert cli.main([*words.split(), "--json"]) == 0


def test_a_run_goes_on_to_the_same_bits_and_is_evaluated_as_the_learner(tmp_path, capsys):
    begin = f"train ppo {WORDS} --gru 2 --steps 288 --out {tmp_path}"
    run(f"{begin}/whole")
    run(f"{begin}/halves", until=3)
    run(f"train ppo --resume {tmp_path}/halves")
    whole, halves = left_by(tmp_path / "whole"), left_by(tmp_path / "halves")
    assert len(whole.metrics) == 6 and whole == halves
    row = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert row["opponents"] == ["self", "snapshot 0", "snapshot 1"]
    assert row["learners"] == [{"name": "self", "members": 1, "seats": [0, 1]}]
    capsys.readouterr()
    run(f"eval {tmp_path}/whole --episodes 8 --greedy")
    assert "snapshot" not in capsys.readouterr().out
    assert cli.main(f"train ppo --resume {tmp_path}/halves --snapshots 0.5".split()) == 2
    assert "--snapshots was 0.25 in that run, found 0.5" in capsys.readouterr().err


def test_what_cannot_be_dealt_leaves_no_folder(tmp_path, capsys):
    asked = WORDS.replace("0..1=self", "0=self --seat 1=random")
    assert cli.main(f"train ppo {asked} --out {tmp_path}/none".split()) == 2
    assert "two seats or more must be self" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_readers_tell_them_apart(tmp_path):
    """The reader of a run has a type for each place of the ring, and one for who learns."""
    asked = joined(config(1), PAIR)
    assert goal_ppo.Config().among(PAIR).types == 1
    assert goal_ppo.Config().among(asked).types == COUNT + 1
    out, small = tmp_path / "reads", "--reader-widths 4 --reader-gru 3 --told-width 3"
    run(f"train goal_ppo {WORDS} {small} --steps 96 --out {out}")
    agent = runs.load_policy(str(out), PD, 0)
    row = json.loads((out / "config.json").read_text())
    assert row["config"]["types"] == 2 + 1
    first = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    assert all(0 < loss < 2 for loss in first["types_loss"]), "it learns from their labels"
    view = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(PD))
    types = agent.types(agent.begin(jr.key(0), None), view)
    assert types.shape == (1, 2 + 1) and float(types.sum()) == pytest.approx(1)
