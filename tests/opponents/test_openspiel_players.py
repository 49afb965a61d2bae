"""Players that OpenSpiel works out for matrix games, and the mixed strategies that they are."""

import importlib.util

import jax
import jax.random as jr
import numpy as np
import pytest

from counterplay import envs, opponents
from counterplay.envs.matrix import Matrix
from counterplay.evaluate.disjoint import opponent_digest
from counterplay.evaluate.returns import evaluate
from counterplay.evaluate.rows import EpisodeRows
from counterplay.opponents import roshambo
from counterplay.opponents.rule import Rule
from counterplay.pools import roster_of, stage
from counterplay.types import Env
from counterplay.views import view_shapes

UNEVEN = Matrix(((0.0, 2.0), (3.0, -1.0)), ((0.0, -3.0), (-2.0, 1.0)), horizon=20)
"""Zero-sum. Seat 0 makes the other indifferent by 3 (1 - p) = 2 p - (1 - p): p is 2/3; seat 1 by
2 (1 - q) = 3 q - (1 - q): q is 1/2."""


def chances(text: str, env: Env, seat: int = 0) -> np.ndarray:
    rule = opponents.make_bot(text, env, seat)
    assert isinstance(rule, Rule)
    view = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), view_shapes(env))
    object.__setattr__(view, "legal", np.ones(env.num_actions, bool))
    memory = rule.begin(jr.key(0), rule.begin(jr.key(1), None))
    return np.exp(np.asarray(rule.log_probs(memory, view)))


@pytest.mark.parametrize("seat", [0, 1])
@pytest.mark.parametrize(
    ("game", "known"),
    [
        ("rps", [1 / 3, 1 / 3, 1 / 3]),
        ("pennies", [1 / 2, 1 / 2]),
        ("pd", [0, 1]),
        ("chicken", [1 / 2, 1 / 2]),
        ("stag", [0, 1]),
    ],
)
def test_cfr_plays_the_equilibria_that_are_known(game, known, seat):
    found = chances("openspiel:cfr", envs.make(f"matrix:{game}"), seat)
    np.testing.assert_allclose(found, known, atol=1e-2)


def test_cfr_plays_for_the_seat_that_it_has():
    """An equilibrium with other chances for each, to which it does not begin near."""
    text = "openspiel:cfr:iterations=20000"
    np.testing.assert_allclose(chances(text, UNEVEN, 0), [2 / 3, 1 / 3], atol=1e-2)
    np.testing.assert_allclose(chances(text, UNEVEN, 1), [1 / 2, 1 / 2], atol=1e-2)
    short = chances("openspiel:cfr:iterations=2", UNEVEN, 0)
    assert np.abs(short - [2 / 3, 1 / 3]).max() > 0.05, "as exact after two steps"
    swapped = Matrix(UNEVEN.other_payoffs or (), UNEVEN.payoffs, horizon=20)
    np.testing.assert_allclose(chances(text, swapped, 1), [2 / 3, 1 / 3], atol=1e-2)


@pytest.mark.parametrize(("game", "known"), [("pd", [0, 1]), ("chicken", [0, 1]), ("stag", [1, 0])])
def test_the_search_moves_as_if_the_other_saw_it(game, known):
    assert chances("openspiel:mcts", envs.make(f"matrix:{game}")).tolist() == known


def test_where_every_move_has_an_answer_the_search_draws_one():
    found = chances("openspiel:mcts", envs.make("matrix:rps"))
    np.testing.assert_allclose(found, 1 / 3, atol=0.05)
    again = chances("openspiel:mcts:sims=100", envs.make("matrix:rps"))
    assert found.tolist() == again.tolist(), "drawn anew"


def test_the_search_commits_for_the_seat_that_it_has():
    """What is left to it when the other answers.

    Seat 0: move 0 is answered by 0 (it gets 0), move 1 by 1 (it gets -1), so it makes move 0.
    Seat 1: move 0 is answered by 1 (it gets -3), move 1 by 0 (it gets -2), so it makes move 1.
    """
    assert chances("openspiel:mcts", UNEVEN, 0).tolist() == [1, 0]
    assert chances("openspiel:mcts", UNEVEN, 1).tolist() == [0, 1]


def test_at_a_table_each_seat_has_its_own_and_no_process():
    """Together 20 rounds of seat 0's game at 2/3 against 1/2 are worth 1 each."""
    text = "openspiel:cfr:iterations=20000"
    rows, roster = EpisodeRows(), roster_of(UNEVEN, {0: text, 1: text})
    assert [kind.name for kind in roster.kinds] == [text, text] and roster.ids == {0: text, 1: text}
    assert stage(UNEVEN, roster) is UNEVEN, "played outside JAX"
    (row,) = evaluate(UNEVEN, roster, 2000, rows=rows)
    assert row.mean[0] == pytest.approx(20, abs=0.6), "an episode has a deviation of about 7"
    assert row.mean[1] == -row.mean[0]


def test_it_sits_among_rules_in_a_list():
    env = envs.make("matrix:pd,horizon=4")
    roster = roster_of(env, {0: "always_defect:tremble=0", 1: "openspiel:mcts:sims=50,grim"})
    assert set(roster.ids.values()) == {"always_defect:tremble=0", "openspiel:mcts:sims=50", "grim"}
    rows = EpisodeRows()
    evaluate(env, roster, 40, rows=rows)
    found = rows.columns()
    his = {i for i, name in roster.ids.items() if name.startswith("openspiel")}
    met = np.isin(found["opponent_id_1"], list(his))
    assert 0 < met.sum() < 40 and (found["return_0"][met] == 4).all()


@pytest.mark.parametrize(
    ("game", "text", "said"),
    [
        ("matrix:pd", "openspiel:cfrr", r"player of OpenSpiel 'cfrr' \(did you mean 'cfr'"),
        ("matrix:pd", "openspiel", r"player of OpenSpiel ''; expected one of: cfr, mcts"),
        ("matrix:pd", "openspeil:cfr", r"rule for matrix 'openspeil' \(did you mean 'openspiel'"),
        ("matrix:pd", "openspiel:cfr:sims=3", r"setting of openspiel:cfr 'sims'"),
        ("matrix:pd", "openspiel:cfr:iterations=0", r"iterations must be 1 to 1,000,000, found 0"),
        ("matrix:pd", "openspiel:mcts:sims=many", r"'sims' wants a whole number, found 'many'"),
        ("matrix:pd", "openspiel:mcts:100", r"written name=value, found '100'"),
        ("stag_hunt:4x4", "openspiel:cfr", r"unknown rule for stag_hunt 'openspiel'"),
    ],
)
def test_who_cannot_sit_down_is_told_why(game, text, said):
    env = envs.make(game)
    with pytest.raises(ValueError, match=said):
        roster_of(env, dict.fromkeys(range(env.num_seats), str(text)))


def test_without_openspiel_the_extra_is_named(monkeypatch):
    there = importlib.util.find_spec
    hide = lambda name: None if name == "pyspiel" else there(name)
    monkeypatch.setattr(roshambo, "find_spec", hide)
    said = r"openspiel:cfr needs the package 'pyspiel'.*counterplay\[openspiel\]"
    with pytest.raises(ValueError, match=said):
        opponents.make_bot("openspiel:cfr", envs.make("matrix:rps"))


def test_settings_that_are_the_usual_make_nobody_else():
    digest = lambda text: opponent_digest(text, "matrix")
    assert digest("openspiel:cfr") == digest("openspiel: cfr:iterations=01000")
    others = {digest(t) for t in ("openspiel:cfr", "openspiel:cfr:iterations=9", "openspiel:mcts")}
    assert len(others) == 3
