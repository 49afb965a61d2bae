"""Models of observations and of latents, of the same play: what is kept, told, and planned with."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from models.world_games import Written, window

from counterplay import envs, studies
from counterplay.bench import study_tables
from counterplay.jobs import Job
from counterplay.models import twohot
from counterplay.studies import one_step, one_step_play, raw_vs_embedding
from counterplay.studies.one_step import Head, Lesson, Nets, learnt, player
from counterplay.studies.one_step_models import MODELS, Ahead
from counterplay.studies.one_step_play import OneStep
from counterplay.studies.raw_vs_embedding import RawVsEmbedding, jobs_of, short
from counterplay.views import view_shapes

GAME = "stag_hunt:4x4,players=2,hares=1,horizon=4"
TINY: dict[str, Any] = {
    "updates": 2, "lanes": 8, "batch": 4, "window": 4, "hidden": 6, "width": 8, "token": 4,
    "samples": 2, "held_out": 16, "against": "nearest_hare",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(raw_vs_embedding, "run_where_called", lambda: None)


@pytest.mark.parametrize("quick", [False, True])
def test_every_model_learns_from_the_same_play(quick):
    chosen = short(RawVsEmbedding(quick=quick))
    jobs = jobs_of(chosen)
    games, seeds = (2, 1) if quick else (8, 5)
    assert len(jobs) == games * (1 + 3 * seeds)
    lessons = [job.config["lesson"] for job in jobs if "lesson" in job.config]
    assert {lesson["model"] for lesson in lessons} == set(MODELS)
    alike = {json.dumps(lesson | {"model": ""}, sort_keys=True) for lesson in lessons}
    assert len(alike) == 1, "but for the model nothing differs"
    assert all(Lesson(**lesson) for lesson in lessons)
    assert set(raw_vs_embedding.QUICK) <= set(raw_vs_embedding.PLACES)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--places matrix:pd --models laten", "unknown model 'laten'"),
        ("--places stag_hunt:4x4 --behaviour self", "knows how to play, found 'self'"),
        ("--places stag_hunt:4x4 --behaviour nearest_stagg", "unknown"),
        ("--places stag_hunt:4x44", "unknown preset"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_learnt(words, told, monkeypatch):
    monkeypatch.setattr(
        raw_vs_embedding, "tabled", lambda *a, **k: pytest.fail("nothing should be run")
    )
    with pytest.raises(ValueError, match=told):
        studies.main(["raw-vs-embedding", *words.split()])


def test_a_queue_goes_on_and_is_told(monkeypatch, tmp_path, capsys):
    asked = []

    def measured(job: Job) -> dict[str, Any]:
        asked.append((job.name, job.seed))
        told = {"return": 0.5 + job.seed, "return_error": 0.25}
        right = {"nonzero": 0.02, "loss": 1.5, "error": 0.001, "blank": 0.02, "marks": 0.5}
        right |= {"exact": 0.125, "reward": 0.01}
        return told | right if "lesson" in job.config else told

    monkeypatch.setattr(raw_vs_embedding, "measured", measured)
    words = ["raw-vs-embedding", "--places", GAME, "--models", "latent", "raw-squared"]
    words += ["--seed", "0", "--seeds", "2", "--out", str(tmp_path), "--json"]
    assert studies.main(words) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert studies.main(words) == 0
    assert len(asked) == 5 == len(set(asked))
    behaviour, latent, squared = found["rows"]
    assert behaviour["who"] == "random" and behaviour["return_error"] == 0.25
    assert "exact" not in behaviour and "error" not in behaviour
    assert latent["return"] == 1.0 and latent["return_error"] == pytest.approx(0.5)
    assert latent["error"] == pytest.approx(0.001)
    assert latent["per_seed"] == [0.5, 1.5] and squared["exact"] == 0.125
    rows = study_tables.raw_vs_embedding(found)
    assert rows[0]["next board exact"] == "" and rows[0]["plans in"] == "- (random)"
    assert rows[1]["next board exact"] == "12.50%" and rows[1]["seeds"] == "2"
    assert rows[1]["return an episode"] == "1.000 ± 0.500"
    assert rows[1]["squared error"] == "0.00100" and rows[0]["squared error"] == ""


@pytest.mark.parametrize("model", MODELS)
def test_a_tiny_run_of_each_is_measured_and_plays_and_repeats(model):
    lesson = {"model": model} | TINY
    about = {"place": GAME, "against": "nearest_hare", "episodes": 8, "lesson": lesson}
    found = raw_vs_embedding.measured(Job("tiny", about, 3))
    names = {"nonzero", "loss", "error", "blank", "marks", "exact", "reward"}
    assert set(found) == names | {"return", "return_error"}
    assert all(np.isfinite(x) for x in found.values())
    assert all(0 <= found[name] <= 1 for name in ("nonzero", "blank", "marks", "exact"))
    if model == "raw-squared":
        assert found == raw_vs_embedding.measured(Job("tiny", about, 3))
        other = raw_vs_embedding.measured(Job("tiny", about, 4))
        assert found["loss"] != other["loss"]


def test_what_is_not_the_model_is_learnt_alike():
    """The others' moves do not depend on the model, nor does the value of observations."""
    env = envs.make(GAME)
    squared, bernoulli, latent = (learnt(env, Lesson(m, **TINY), 0) for m in MODELS)
    for a, b in zip(*(jax.tree.leaves(n.moves) for n in (squared, latent)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(*(jax.tree.leaves(n.value) for n in (squared, bernoulli)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_probe_and_a_value_leave_the_latent_alone():
    env = envs.make(GAME)
    lesson = Lesson("latent", **TINY)
    nets, _ = one_step._programs(env, lesson).fresh(jr.key(0))
    begin, play = player(env, "random", "nearest_hare", 8, 4)
    _, windows = play(begin(jr.key(1)), jr.key(2))
    batch, key = jax.tree.map(lambda x: x[:4], windows), jr.key(3)
    grads = jax.grad(one_step.loss)(nets, env, lesson, batch, key)
    spoilt = nets._replace(
        model=nets.model._replace(probe=jax.tree.map(lambda x: 3 * x + 1, nets.model.probe)),
        value=jax.tree.map(lambda x: 3 * x + 1, nets.value),
    )
    again = jax.grad(one_step.loss)(spoilt, env, lesson, batch, key)
    pairs = zip(*(jax.tree.leaves(g.model.world) for g in (grads, again)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    assert any((x != 0).any() for x in jax.tree.leaves(grads.model.probe))


def told(model: str) -> dict[str, Any]:
    """What is measured of a model that nobody trained."""
    env, lesson = envs.make(GAME), Lesson(model, **TINY)
    nets, _ = one_step._programs(env, lesson).fresh(jr.key(0))
    return one_step_play.measured(env, lesson, nets, 0)


def test_measures_of_models_that_know_all_or_nothing(monkeypatch):
    """Who says what comes is exact; a blank board has an error as low as boards are empty."""
    base = MODELS["raw-squared"]

    def knows(env, model, window):
        obs = jax.vmap(env.encode)(window.obs)
        return jnp.roll(obs, -1, axis=0), jnp.zeros(len(obs)), window.reward

    def blank(env, model, window):
        obs = jax.vmap(env.encode)(window.obs)
        return jnp.zeros_like(obs), jnp.ones(len(obs)), window.reward + 0.5

    monkeypatch.setitem(MODELS, "knows", base._replace(foretold=knows))
    monkeypatch.setitem(MODELS, "blank", base._replace(foretold=blank))
    all_of_it, nothing = told("knows"), told("blank")
    assert all_of_it["exact"] == all_of_it["marks"] == 1 and all_of_it["error"] == 0
    assert nothing["exact"] == nothing["marks"] == 0 and nothing["loss"] == 1
    assert nothing["error"] == pytest.approx(nothing["blank"]) and 0 < nothing["error"] < 0.1
    assert nothing["reward"] == pytest.approx(0.5)


def test_the_best_move_is_made(monkeypatch):
    """A model in which a move earns its number, and a value that knows of nothing."""
    env, lesson = envs.make(GAME), Lesson("pays", **TINY)
    base = MODELS["raw-squared"]

    def pays(model: Any, x: Any, joint: Any) -> Ahead:
        chances = jnp.full(2, 0.5)
        return Ahead(x, joint[0].astype(jnp.float32), chances, jnp.ones(7))

    monkeypatch.setitem(MODELS, "pays", base._replace(step=pays))
    nets, _ = one_step._programs(env, lesson).fresh(jr.key(0))
    value = jax.tree.map(jnp.zeros_like, nets.value)
    policy = OneStep(Nets(nets.model, value, nets.moves), "pays", 0.9, 2)
    view: Any = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), view_shapes(env))
    act = jax.jit(lambda view: policy.act(jr.key(1), jnp.zeros(0), view, False).action)
    for legal in ([1, 1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0, 0]):
        flags = jnp.array(legal, bool)
        seen = replace(view, legal=flags, alive=jnp.ones(2, bool))
        assert int(act(seen)) == int(np.flatnonzero(legal).max())


def test_values_are_drawn_to_what_was_earned():
    """Worked by hand: gamma .5; I earn 1 and 2, and leave by the second move."""
    env = Written(obs_shape=(2,))
    w = window(
        env, 0, 4, reward=[[1, 0], [2, 0], [0, 0], [0, 0]], alive=[[1, 1], [1, 1], [0, 1], [0, 1]],
        continues=[[1, 1], [0, 1], [0, 1], [0, 1]],
    )  # fmt: skip
    head = Head(2, one_step.BINS, 4, jr.key(0))
    x = jnp.arange(8.0).reshape(4, 2) / 8
    off, counts = jax.jit(lambda w: one_step._value_loss(head, 0.5, x, w))(w)
    assert counts.tolist() == [True, True, False]
    logits = jax.vmap(head)(x)
    worth = one_step.worth_of(logits)
    bins = twohot.bins(one_step.BINS, one_step.REACH)
    last = 2.0
    first = 1.0 + 0.5 * (0.05 * float(worth[1]) + 0.95 * last)
    for i, target in enumerate((first, last)):
        want = twohot.two_hot_loss(logits[i], jnp.float32(target), bins)
        assert float(off[i]) == pytest.approx(float(want), rel=1e-5)
