"""Predicted moves alone: the loss by hand, who does not count, and a rule that can be learnt."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from probes import Bandit
from read_chunks import against_tit_for_tat, moves_loss, read, same_bits, spoilt, unseen

from counterplay.algos import liam, moa, naive_om
from counterplay.algos.loops import Spec
from counterplay.pools import roster_of
from counterplay.rollout import collect, open_lanes


def test_the_loss_is_that_of_what_was_predicted_while_playing():
    """So unrolling repeats acting: across first contacts, absences and slots that only show."""
    here = read("naive_om")
    study = here.study()
    sums, counts, _ = here.loss(study)
    total, count = moves_loss(study, np.asarray(study.record["predicted"]))
    assert counts["moves_loss"] == count > 50
    assert sums["moves_loss"] == pytest.approx(total, rel=1e-4)


def test_what_i_did_not_see_is_not_learnt_from():
    here = read("naive_om")
    whole, less = here.study(), here.study(unseen(here))
    seat = np.arange(len(whole.moves)) % 3
    both = np.asarray(whole.acting[:, :, None] & whole.there)
    assert (np.asarray(whole.moves) >= 0).sum() == both.sum()
    lost = both[seat == 0][:, :, 0].sum()
    assert here.loss(less)[1]["moves_loss"] == both.sum() - lost < both.sum()


def test_nothing_of_the_absent_is_read():
    here = read("naive_om")
    assert same_bits(here.loss(here.study()), here.loss(here.study(spoilt(here))))


def test_the_policy_is_told_who_is_there_and_what_they_may_do():
    """Rows sum to two: one for being there, and the chances of moves, all of them legal."""
    here = read("naive_om")
    record = jax.tree.map(lambda x: np.asarray(x[0]), here.chunk.records[0])
    there, told = record["seen_alive"][:, :, 1:], record["told"]
    np.testing.assert_allclose(told.sum(-1), 2.0 * there, atol=1e-5)
    assert (told[..., 0] == there).all()
    legal = record["seen_legal"]
    assert (told[..., 1:][there & ~legal[..., 2]][:, 2] == 0).all() and (~legal[there]).any()
    chances = np.exp(record["predicted"])
    np.testing.assert_allclose(chances.sum(-1), 1.0, atol=1e-5)


def test_a_rule_is_learnt():
    """Tit for tat does what I did last; before, nothing is known of it but its first move."""
    first, last = against_tit_for_tat("naive_om")
    assert first["others_nll"] > 0.4 and last["others_nll"] < 0.05
    assert last["others_top1"] > 0.98 and last["entropy"] > 0.6, "I move at random"


@pytest.mark.parametrize("module", [naive_om, liam, moa], ids=lambda m: m.__name__[17:])
def test_alone_in_a_game_there_is_nobody_to_read(module):
    """Shapes only; a training of CartPole computes them."""
    env, settings = Bandit(), {"lanes": 4, "slots": 2, "widths": (4,)}
    settings |= {"influence": 1.0} if module is moa else {}
    config: Any = module.Config(**settings)
    seating = roster_of(env, {0: "self"}).seating(4)

    def one():
        state = module.init(config, Spec(env, seating, None), jr.key(0))
        agents = module.policy(config, state)
        lanes = open_lanes(env, seating, agents, jr.key(1))
        chunk = collect(env, seating, agents, lanes, jr.key(2), slots=2)[1]
        return module.learn(config, state, chunk)[1], chunk.records[0]["predicted"]

    metrics, predicted = jax.eval_shape(one)
    assert predicted.shape == (1, 4, 2, 0, 3) and metrics["moves_loss"].shape == ()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("reader_gru", -1), ("reader_widths", ()), ("told_width", 0), ("reader_places", 0)],
)
def test_settings_that_cannot_be_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .*found"):
        naive_om.Config(**{setting: value})


def test_predicting_asks_what_acting_recorded():
    here = read("naive_om")
    agent = naive_om.Agent(jax.tree.map(lambda x: x[0], here.net))
    first = lambda tree: jax.tree.map(lambda x: x[0, 0], tree)
    memory, view = first(here.chunk.next_memories[0]), first(here.chunk.next_views[0])

    @jax.jit
    def both(memory, view):
        acted = agent.act(jr.key(0), memory, view, True).record["predicted"]
        return acted, agent.predict(memory, view)

    assert jnp.array_equal(*both(memory, view))
