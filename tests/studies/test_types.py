"""The study of types: rules and learned opponents, how they are grouped, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, runs, studies
from counterplay.algos import ppo
from counterplay.bench import agents
from counterplay.evaluate import published
from counterplay.evaluate.opponent_model import FILTER, MODEL
from counterplay.evaluate.scenarios import scenario_of
from counterplay.opponents.frozen import Frozen
from counterplay.opponents.rule import Rule
from counterplay.studies import types
from counterplay.types import View
from counterplay.views import view_shapes

PD = scenario_of("matrix:pd")
SMALL: dict[str, Any] = {"widths": (4,), "reader_widths": (4,), "reader_gru": 3, "told_width": 3}
SMALL |= {"lanes": 16, "slots": 5, "epochs": 1, "minibatches": 1, "reader_minibatches": 1}


@pytest.fixture(autouse=True)
def no_devices(monkeypatch):
    """The devices of this process were chosen when its first test began."""
    monkeypatch.setattr(types, "use_all_cores", lambda game="": None)


def saved(folder: Path, gru: int = 0) -> str:
    """A fresh network, which plays either move alike, as a run."""
    env: Any = envs.make(PD.game)
    config = ppo.Config(widths=(4,), gru=gru)
    folder.mkdir()
    runs.save_config(folder, "ppo", PD.game, [{"name": "self", "members": 1, "seats": [0]}], config)
    net = ppo.init_learner(config, env, 1, jr.key(0)).net
    runs.save_policy(folder, (jax.tree.map(lambda x: x[None], net),))
    return f"run:{folder}"


def test_a_queue_goes_on_and_is_told(monkeypatch, tmp_path, capsys):
    """With figures of groups beside those of exact inference; nothing is trained twice."""
    asked = []
    grouped = lambda rand: {"groups": 4, "adjusted_rand": rand, "homogeneity": 1, "completeness": 1}

    def measured(job, seed, seeds, out):
        asked.append((job.name, seed, job.config["steps"]))
        assert [one["place"] for one in job.config["learned"]] == ["ppo-self", "ppo-rules"]
        part = {"choice": 0.5, "report": [0.5] * 10}
        ways = {"sampled": part, "greedy": part}
        mine = None if job.config["player"] == "none" else grouped(0.5 + 0.1 * (seed - 400))
        groups = {MODEL: mine, FILTER: grouped(0.9)}
        return [{"train": ways, "held-out": ways, "foreseen": [0.2, 0.8], "groups": groups}]

    monkeypatch.setattr(types, "measured", measured)
    monkeypatch.setattr(types.references, "together", lambda seeds: 1)
    words = ["types", "--quick", "--out", str(tmp_path)]
    assert studies.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(asked) == 6 == len(set(asked)) and {steps for *_, steps in asked} == {400_000}
    assert studies.main([*words, "--json"]) == 0 and len(asked) == 6
    lines = {(x["player"], x["set"]): x for x in types.reading_table.types(found)}
    assert (
        len(lines) == 6 and lines["none", "train"]["adjusted Rand"] == "; exact 0.90 [0.90, 0.90]"
    )
    line = lines["opponents", "train"]
    assert line["groups"] == "4.00 [4.00, 4.00]; exact 4.00 [4.00, 4.00]"
    assert line["adjusted Rand"].startswith("0.55 [-0.09, 1.19]; exact 0.90")
    assert lines["opponents", "held-out"]["adjusted Rand"] == ""


def test_the_whole_of_it_can_be_asked_for(monkeypatch):
    chosen = types.Types()
    jobs = types.jobs_of(chosen)
    assert len(jobs) == len(types.VARIANTS) * len(chosen.scenarios) * chosen.seeds
    for job in jobs[:: chosen.seeds]:
        assert published.references(scenario_of(job.config["scenario"])) is not None
        given = {k: tuple(v) if isinstance(v, list) else v
                 for k, v in job.config["settings"].items()}  # fmt: skip
        agents.config_class(job.config["algorithm"])(**given)
        assert job.config["steps"] == scenario_of(job.config["scenario"]).budget
    with pytest.raises(ValueError, match="a is no run folder"):
        types.jobs_of(types.Types(learned=("run:a", "run:b"), quick=True))
    with pytest.raises(ValueError, match="in pursuit-v1 not all that others do is seen"):
        types.jobs_of(types.Types(scenarios=("race", "pursuit")))
    monkeypatch.setattr(types, "find", lambda *asked: None)
    monkeypatch.setattr(types, "digest_of", lambda run: f"digest of {run}")
    named = types.jobs_of(types.Types(learned=("run:a", "run:b"), quick=True))
    assert named[0].config["learned"] == ["run:a", "run:b"] and len(named) == 6
    assert named[0].config["are"] == ["digest of run:a", "digest of run:b"]
    with pytest.raises(ValueError, match="expected frozen runs, as run:FOLDER, found 'grim'"):
        types.Types(learned=("grim",))


@pytest.mark.parametrize("gru", [0, 3])
def test_a_frozen_run_says_as_a_rule_what_it_would_do(tmp_path, gru):
    env: Any = envs.make(PD.game)
    agent = runs.load_policy(saved(tmp_path / "it", gru).removeprefix("run:"), env, 1)
    rule, key = Rule(Frozen(agent)), jr.key(0)
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(env))
    own, kept = agent.begin(key, None), rule.begin(key, None)
    for turn in range(3):
        view: View = jax.tree.map(lambda x, t=turn: x * t if x.dtype == jnp.float32 else x, blank)
        np.testing.assert_allclose(
            rule.log_probs(kept, view), agent.log_probs(own, view), atol=1e-5
        )
        own = agent.act(key, own, view, False).memory
        kept = rule.act(key, kept, view, False).memory


def test_rules_and_a_learned_opponent_are_grouped_beside_exact_inference(monkeypatch, tmp_path):
    """An agent that has learnt nothing holds all of them for one; exact inference does not."""
    monkeypatch.setattr(types.agents, "play", lambda *asked: [asked[2]])
    run = saved(tmp_path / "them")
    chosen = types.Types(scenarios=("matrix:pd",), learned=(run,), seeds=1, steps=80, matches=40)
    job = next(job for job in types.jobs_of(chosen) if job.config["player"] == "opponents")
    about = job.config | {"settings": job.config["settings"] | SMALL, "grouped": 24}
    (found,) = types.measured(type(job)(job.name, about, 0), 0, 1, tmp_path)
    assert (found["train"], found["held-out"]) == agents.POOLS and len(found["foreseen"]) == 2
    exact, mine = found["groups"][FILTER], found["groups"][MODEL]
    assert exact["adjusted_rand"] > 0.5 and exact["groups"] > 3
    assert mine["adjusted_rand"] < exact["adjusted_rand"] and mine["rows"] == exact["rows"]
