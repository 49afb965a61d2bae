"""Types inferred together, and goals that vanish, by goal_ppo: what is refused, learnt and told."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meadow_play import CONFIG, ENV, model, study

from counterplay import envs
from counterplay.algos import goal_dqn, goal_ppo, loops
from counterplay.algos.goal_ppo import Config
from counterplay.algos.labels import met_together
from counterplay.algos.study import Study
from counterplay.envs.stag_hunt import StagHunt
from counterplay.opponents.stag_hunt import nearest_hare, nearest_stag
from counterplay.seats import Chair, Kind, Roster
from counterplay.types import NO_EVENT
from counterplay.views import view_shapes

MADE: Any = Study
SMALL: dict[str, Any] = {
    "lanes": 8, "slots": 6, "widths": (6,), "minibatches": 2, "epochs": 1, "told_width": 5,
    "reader_widths": (6,), "reader_gru": 4, "reader_minibatches": 1, "match": 2,
}  # fmt: skip


def among(opponents: int, seats: int, **more: Any) -> Config:
    names = tuple(f"rule{i}" for i in range(opponents))
    kinds = Kind("self", learner=True), Kind("all", first_id=1, names=names)
    table = Chair(0, 0), *(Chair(1, 0),) * (seats - 1)
    return Config(belief="joint", **more).among(Roster(kinds, (table,)))


def test_more_than_64_hypotheses_are_refused_before_anything_is_played():
    assert among(4, 4).types == 4 and among(64, 2).types == 64 and among(9, 9, types=1).types == 1
    with pytest.raises(ValueError, match=r"5 types .* 3 others make 125 joint .* and 64 "):
        among(5, 4)
    with pytest.raises(ValueError, match=r"9 types .* 2 others make 81 joint .* and 64 "):
        among(3, 3, types=9)
    with pytest.raises(ValueError, match="81 joint hypotheses"):
        goal_ppo.make_reader(Config(belief="joint", types=9), ENV, jax.random.key(0))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"belief": "joint", "types_from": "moves", "types": 2}, "joint learns which opponents si"),
        ({"vanish": True, "goals": "codes"}, "seen to be completed, .*found goals codes"),
        ({"vanish": True, "goals": "none"}, "found goals none"),
        ({"vanish": True, "goal_reward": 0.5}, "goals events, goal_reward 0.5, goal_quantile None"),
        ({"vanish": True, "goal_quantile": 0.5}, "goal_reward None, goal_quantile 0.5"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Config(**settings)


@pytest.mark.parametrize("game", ["stag_hunt:4x4,view=1", "matrix:pd"])
def test_goals_vanish_only_where_everybody_sees_them_completed(game):
    env = envs.make(game)
    if game == "matrix:pd":
        assert env.num_goals == 0
    with pytest.raises(ValueError, match="vanish wants a game in which everybody sees whose goal"):
        loops.resolved(Config(vanish=True), env)
    assert Config(vanish=True, goals="declared").vanish


def test_what_lies_around_is_read_only_where_a_game_tells_it():
    with pytest.raises(ValueError, match="around wants a game on a board that tells what lies"):
        loops.resolved(Config(around=True), envs.make("matrix:pd"))
    with pytest.raises(ValueError, match="goal_dqn: around wants"):
        loops.resolved(goal_dqn.Config(around=True), envs.make("matrix:pd"))


def matches(opponent: Any, **given: Any) -> Study:
    """Of one place, [T, M], that acts in all slots, each of them a first contact."""
    slots = len(opponent)
    fields: dict[str, Any] = {"contact": [True] * slots, "acting": [True] * slots} | given
    fields = {name: jnp.asarray(x) for name, x in fields.items()}
    return MADE(**(dict.fromkeys(Study._fields) | fields | {"opponent": jnp.asarray(opponent)}))


def kinds_of(told: Study) -> tuple:
    return goal_ppo.types_of((4, 7), told.opponent, 2)


def test_who_sits_together_is_learnt_at_first_contacts_where_all_are_known():
    """Of six matches count the first, 7 with 4, and the last, 4 with 4; the others begin earlier,
    have a learner, or are not mine."""
    told = matches([[7, 4], [7, 7], [4, 0], [0, 7], [7, 7], [4, 4]],
                   contact=[True, False, True, True, True, True],
                   acting=[True, True, True, True, False, True])  # fmt: skip
    logits = jnp.array([0.3, -0.2, 0.5, 0.1])
    loss = lambda x: met_together(x, told, *kinds_of(told))
    (sums, number), pull = loss(logits), jax.grad(lambda x: loss(x)[0])(logits)
    chance = np.exp([0.3, -0.2, 0.5, 0.1]) / np.exp([0.3, -0.2, 0.5, 0.1]).sum()
    assert number == 2
    np.testing.assert_allclose(sums, -np.log(chance[2]) - np.log(chance[0]), rtol=1e-6)
    np.testing.assert_allclose(pull, 2 * chance - [1, 0, 1, 0], atol=1e-6)


def test_three_of_a_kind_are_learnt_to_be_three_of_a_kind():
    told = matches([[4, 4], [7, 7], [4, 4], [7, 7], [4, 4]])
    pull = jax.jit(jax.grad(lambda x: met_together(x, told, *kinds_of(told))[0]))
    logits = jnp.zeros(4)
    for _ in range(300):
        logits -= 0.5 * pull(logits)
    np.testing.assert_allclose(jax.nn.softmax(logits), [0.6, 0, 0, 0.4], atol=0.01)


def test_nothing_else_teaches_it_and_it_teaches_nothing_else():
    """Exactly: the gradients of its own part, and of all the others."""
    told = study()
    prior = jnp.array([0.4, -0.3, 0.0, 0.2, 0.1, -0.5, 0.3, 0.0, -0.1])  # two and who learns

    @jax.jit
    def gradients(reader):
        one = partial(goal_ppo.reader_loss, (4, 7), CONFIG, ENV)

        def total(reader, its_own):
            sums, counts = jax.vmap(partial(one, reader))(told)
            parts = [x.sum() for name, x in sums.items() if (name == "joint_loss") == its_own]
            return sum(parts), counts

        slope = jax.grad(total, has_aux=True)
        return slope(reader, True), slope(reader, False)[0]

    (joint, counts), rest = gradients(with_prior(prior))
    assert all((x == 0).all() for x in jax.tree.leaves(joint.model)) and (rest.prior == 0).all()
    assert any((x != 0).any() for x in jax.tree.leaves(rest.model))
    number = np.asarray(counts["joint_loss"]).sum()
    assert number == np.asarray(told.contact & told.acting).sum() > 0
    chance, true = np.asarray(jax.nn.softmax(prior)), np.zeros(9)
    for p, t in zip(*np.nonzero(np.asarray(told.contact & told.acting)), strict=True):
        first, second = ({4: 0, 7: 1}.get(int(k), 2) for k in np.asarray(told.opponent[p, t]))
        true[3 * first + second] += 1
    np.testing.assert_allclose(joint.prior, number * chance - true, rtol=1e-4, atol=1e-4)


def with_prior(prior: Any) -> Any:
    old = model()
    how = old.amortised, old.goal_input, old.action_input
    return goal_ppo.GoalReader(old.model, old.goals, old.named, old.rates, *how, prior)


@cache
def trained() -> Any:
    """Three iterations against two of a kind, in a hunt in which all goals are there once."""
    env = StagHunt(players=3, size=2, stags=1, hares=1, horizon=4)
    config = Config(steps=3 * 48, belief="joint", vanish=True, **SMALL)
    roster = Roster(*two_of_a_kind(env))
    *_, last = goal_ppo.train(config, env, roster)
    return env, jax.tree.map(np.asarray, last._replace(going=None))


def two_of_a_kind(env: Any) -> tuple:
    many = lambda rule: jax.tree.map(lambda x: x[None], rule)
    stag = Kind("stag", policy=many(nearest_stag(env)), first_id=1)
    hare = Kind("hare", policy=many(nearest_hare(env)), first_id=2)
    tables = tuple((Chair(0, 0), Chair(i, 0), Chair(i, 0)) for i in (1, 2))
    return (Kind("self", learner=True), stag, hare), tables


def test_a_training_learns_who_sits_together_and_tells_it():
    env, last = trained()
    assert np.isfinite(last.metrics["joint_loss"]).all()
    assert last.metrics["bad_updates"].sum() == 0
    net = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), last.nets[0])
    prior = net.reader.prior
    assert prior.shape == (4,)
    assert min(prior[0], prior[3]) > max(prior[1], prior[2]), "both are of one kind, always"
    agent = goal_ppo.Agent(net)
    blank = jax.tree.map(lambda x: jnp.ones(x.shape, x.dtype), view_shapes(env))
    nothing = jnp.full(3, NO_EVENT, jnp.int32)
    first = replace(blank, first=jnp.array(True), moved=nothing, event=nothing)
    later = replace(blank, first=jnp.array(False), moved=jnp.array([4, 2, 1]), event=nothing)
    caught = replace(later, event=jnp.array([NO_EVENT, 1, NO_EVENT]),
                      alive=jnp.array([True, False, True]))  # fmt: skip

    @jax.jit
    def told():
        memory = agent.begin(jax.random.key(0), None)
        names = "joint", "types", "predict", "belief"
        rows = []
        for view in (first, later, caught):
            rows.append([getattr(agent, name)(memory, view) for name in names])
            memory = agent.act(jax.random.key(1), memory, view, False).memory
        return rows

    rows = told()
    np.testing.assert_allclose(rows[0][0].weight, jax.nn.softmax(prior), rtol=1e-5)
    for joint, types, predict, belief in rows:
        there = np.asarray(joint.chances).any((0, 2))
        weight, cube = np.asarray(joint.weight), np.asarray(joint.weight).reshape(2, 2)
        np.testing.assert_allclose(weight.sum(), 1, rtol=1e-5)
        mixed = (weight[:, None, None] * np.asarray(joint.chances)).sum(0)
        np.testing.assert_allclose(mixed[there], np.exp(predict)[there], rtol=1e-4, atol=1e-6)
        sides = np.stack([cube.sum(1), cube.sum(0)])
        np.testing.assert_allclose(np.asarray(types)[there], sides[there], rtol=1e-4)
        np.testing.assert_allclose(np.asarray(belief).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(rows[2][3][1], [1, 0], atol=1e-6)
    assert not np.array_equal(rows[1][3][1], [1, 0]), "the only hare was there until then"
